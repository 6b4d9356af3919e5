//! What can happen to connections, and in which order it does.

use std::collections::BTreeMap;

use tests::{Direction, Mode, Proxy};

use super::network::REDIS_TIMEOUT;

/// What happens to the connections to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Latency,
    Jitter,
    /// A partition that heals: what was sent arrives late, when nobody waits for it any more.
    Stall,
    StalledRequests,
    StalledReplies,
    Timeout,
    /// The server does what it is told, and nobody hears of it.
    LostReplies,
    Down,
    ResetPeer,
    Close,
    LimitReplies,
    LimitRequests,
    Slicer,
}

const EVERY: [Fault; 13] = [
    Fault::Latency,
    Fault::Jitter,
    Fault::Stall,
    Fault::StalledRequests,
    Fault::StalledReplies,
    Fault::Timeout,
    Fault::LostReplies,
    Fault::Down,
    Fault::ResetPeer,
    Fault::Close,
    Fault::LimitReplies,
    Fault::LimitRequests,
    Fault::Slicer,
];

impl Fault {
    pub(super) fn strike(self, proxy: &Proxy) {
        let bytes = fastrand::u64(0..2000);
        match self {
            Self::Latency => proxy.set(Mode::Delay(REDIS_TIMEOUT / 2)),
            Self::Jitter => proxy.set(Mode::Jitter(2 * REDIS_TIMEOUT)),
            Self::Stall => proxy.set(Mode::Stall),
            Self::StalledRequests => proxy.set_on(Direction::Request, Mode::Stall),
            Self::StalledReplies => proxy.set_on(Direction::Reply, Mode::Stall),
            Self::Timeout => proxy.set(Mode::BlackHole),
            Self::LostReplies => proxy.set_on(Direction::Reply, Mode::BlackHole),
            Self::Down => proxy.set(Mode::Refuse),
            Self::ResetPeer => proxy.reset(),
            Self::Close => proxy.cut(),
            Self::LimitReplies => proxy.set_on(Direction::Reply, Mode::CutAfter(bytes)),
            Self::LimitRequests => proxy.set_on(Direction::Request, Mode::CutAfter(bytes)),
            Self::Slicer => proxy.set(Mode::Slice(fastrand::usize(8..64))),
        }
    }

    /// How often the proxy has done what such a fault is about.
    pub(super) fn effects(self, proxy: &Proxy) -> u64 {
        match self {
            Self::Latency | Self::Jitter => proxy.held(),
            Self::Stall | Self::StalledRequests | Self::StalledReplies => proxy.held(),
            Self::Timeout | Self::LostReplies => proxy.swallowed_bytes(),
            Self::Slicer => proxy.slices(),
            _ => proxy.cuts(),
        }
    }
}

/// A fault of the connections to Redis, or to the database.
pub(super) type Blow = (bool, Fault);

/// The blows that are still to come, and those that met something.
#[derive(Default)]
pub(super) struct Deck {
    left: Vec<Blow>,
    pub(super) met: BTreeMap<Blow, usize>,
}

impl Deck {
    /// Every blow comes before one comes again. A long one is one to Redis that goes on until it is
    /// ended, and leaves nobody knowing.
    pub(super) fn draw(&mut self, is_long: bool) -> Blow {
        if is_long {
            let long = [Fault::Stall, Fault::StalledReplies, Fault::Timeout, Fault::LostReplies];
            return (true, fastrand::choice(long).unwrap());
        }
        if self.left.is_empty() {
            self.left = every().collect();
            fastrand::shuffle(&mut self.left);
        }
        self.left.pop().unwrap()
    }

    /// A blow that met nothing comes again.
    pub(super) fn put_away(&mut self, blow: Blow, has_met: bool) {
        match has_met {
            true => *self.met.entry(blow).or_default() += 1,
            false => self.left.insert(0, blow),
        }
    }

    /// Those that met nothing.
    pub(super) fn missing(&self) -> Vec<Blow> {
        every().filter(|blow| !self.met.contains_key(blow)).collect()
    }
}

fn every() -> impl Iterator<Item = Blow> {
    EVERY.into_iter().flat_map(|fault| [(true, fault), (false, fault)])
}
