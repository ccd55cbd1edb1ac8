//! Time as the data plane sees it: read once a burst and passed in, never read below the worker.
//!
//! The origin is the director's start (or the first time stamp of a replayed capture), so that hours of
//! connection life can be tested in milliseconds.

/// A moment, in nanoseconds since the director's origin of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    nanos: u64,
    /// Asked for by every packet, and so worked out once.
    ticks: u64,
}

/// The connection table's unit of time: a quarter of a second.
pub const TICK_NANOS: u64 = 250_000_000;

impl Now {
    /// The moment `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos, ticks: nanos / TICK_NANOS }
    }

    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis * 1_000_000)
    }

    /// Nanoseconds since the origin.
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// Whole milliseconds since the origin.
    pub const fn millis(self) -> u64 {
        self.nanos / 1_000_000
    }

    /// Whole 250 ms ticks since the origin; the table keeps the lowest 24 bits of it.
    pub const fn ticks(self) -> u64 {
        self.ticks
    }
}
