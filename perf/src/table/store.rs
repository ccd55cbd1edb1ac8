//! What is measured on each kind of table.

use std::time::{Duration, Instant};

use millrace::dataplane::conn::Tick;

use super::population::Word;

/// When the connections that stay had their last packet, and what time it is.
pub const NOW: Tick = Tick::from_number(100_000);

/// How long a connection lives after its last packet, in ticks: an open TCP connection's 900 s and the two that the
/// sweep adds.
pub const LIFE: u32 = 900 * 4 + 2;

/// When those had theirs whose time is over.
pub const LONG_AGO: Tick = Tick::from_number(100_000 - LIFE);

/// A moment before that, but after they began.
pub const EARLIER: Tick = Tick::from_number(100_000 - LIFE / 2);

/// A table of connections, by words.
pub trait Store {
    /// What it is.
    fn name(&self) -> &'static str;

    /// What pages it lies in.
    fn pages(&self) -> &'static str;

    /// Looks for connections, a burst at a time, reads them, and returns how many there are.
    fn find(&mut self, words: &[Word]) -> usize;

    /// Inserts connections unless they are there, and returns how many it inserted.
    fn insert(&mut self, words: &[Word], seen: Tick) -> usize;

    /// Removes connections, and returns how many it did.
    fn remove(&mut self, words: &[Word]) -> usize;

    /// Walks through the table once and removes what has expired at `now`.
    fn expire(&mut self, now: Tick) -> Vec<Walk>;
}

/// A part of a walk, always of the same part of the table.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Places for connections in it.
    pub places: u64,
    /// Connections that it removed.
    pub removed: u64,
    /// How long that took.
    pub time: Duration,
}

impl Walk {
    /// Times a walk through `places`, which returns how many connections it removed.
    pub fn timed(places: u64, walk: impl FnOnce() -> u64) -> Self {
        let start = Instant::now();
        let removed = walk();
        Self { places, removed, time: start.elapsed() }
    }
}
