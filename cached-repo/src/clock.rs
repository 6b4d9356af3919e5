//! The only place that reads the time or draws random numbers, so that tests can pass their own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Monotonic time. It follows tokio's clock, so a test with paused time moves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    /// Microseconds since this clock was made, never 0.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// Random numbers for tokens, jitter and backoff. Cheap to clone; clones share one sequence.
#[derive(Clone, Debug)]
pub(crate) struct Random(Arc<Mutex<fastrand::Rng>>);

impl Random {
    /// Seeded by the operating system.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::new())))
    }

    /// The same numbers in every run.
    #[cfg(any(test, feature = "conformance", feature = "testing"))]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    /// A token that no other process draws: 128 bits, as 32 hexadecimal digits.
    pub(crate) fn token(&self) -> String {
        format!("{:032x}", self.lock().u128(..))
    }

    /// A number below this one, or 0.
    #[cfg(feature = "mongodb")]
    pub(crate) fn below(&self, bound: u32) -> u32 {
        self.lock().u32(..bound.max(1))
    }

    /// `base`, lengthened or shortened by at most `share` of it (0.1 is ten percent).
    pub(crate) fn jitter(&self, base: Duration, share: f64) -> Duration {
        base.mul_f64(1.0 + share.clamp(0.0, 1.0) * (2.0 * self.lock().f64() - 1.0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, fastrand::Rng> {
        // A generator is valid in every state, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_over_its_whole_share_and_not_beyond() {
        let (random, base) = (Random::seeded(7), Duration::from_secs(1000));
        let drawn: Vec<_> = (0..2000).map(|_| random.jitter(base, 0.1).as_secs_f64()).collect();
        let (low, high) =
            drawn.iter().fold((f64::MAX, 0.0_f64), |(l, h), d| (l.min(*d), h.max(*d)));
        assert!((900.0..910.0).contains(&low), "{low}");
        assert!((1090.0..=1100.0).contains(&high), "{high}");
    }
}
