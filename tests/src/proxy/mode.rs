//! What a proxy can do with what it carries.

use std::time::Duration;

/// What the proxy does with connections and with what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything.
    Pass,
    /// Holds every piece for this long (of tokio's time).
    Delay(Duration),
    /// Holds every piece for a time of its own, this long at most.
    Jitter(Duration),
    /// Holds everything until there is another mode, and carries it then: a partition that heals.
    Stall,
    /// Carries pieces of at most so many bytes, and each by itself.
    Slice(usize),
    /// Accepts connections and swallows everything. A connection of which something was swallowed ends
    /// with this mode, as what is missing would confuse both sides.
    BlackHole,
    /// Resets connections, new and old.
    Refuse,
    /// Carries this many more bytes, all connections together; then cuts the connection that was to
    /// carry the next byte, and passes again. With 0 the next piece is lost.
    CutAfter(u64),
}

/// Which way something is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Request,
    /// From the server.
    Reply,
}
