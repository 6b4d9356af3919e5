//! How long to wait before the next attempt, for everything in this crate that tries again.

use std::time::Duration;

use crate::clock::Random;

/// Exponential backoff with jitter: each wait is twice the one before, up to a bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    /// The wait before the next attempt, spread by a quarter so that processes do not march in step.
    pub(crate) fn wait(&mut self, random: &Random) -> Duration {
        let wait = random.jitter(self.next, 0.25);
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let random = Random::seeded(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(&random).as_millis()).collect();
        for (wait, middle) in waits.iter().zip([100, 200, 400, 800, 1000, 1000, 1000, 1000]) {
            assert!((middle * 3 / 4..=middle * 5 / 4).contains(wait), "{waits:?}");
        }
    }
}
