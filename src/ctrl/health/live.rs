//! What the checker tells of a real server, for listings: written by its checks, read by control.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The last check of a real server, and how many there were.
#[derive(Debug, Default)]
pub struct Live(Mutex<Seen>);

/// What was seen of a real server so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last check; none before the first has ended.
    pub last: Option<Last>,
    /// How many answers were right.
    pub right: u64,
    /// How many checks failed.
    pub wrong: u64,
    /// How many could not be made: that is not the server's fault and does not count.
    pub unmade: u64,
    /// How many checks in a row have said otherwise than its state.
    pub against: u32,
    /// Until when it is held down, since it flaps.
    pub held_until: Option<SystemTime>,
}

/// A check that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What was wrong; `None` if nothing was.
    pub failure: Option<String>,
}

impl Live {
    /// Goes on from what was seen so far.
    pub fn from(seen: Seen) -> Self {
        Self(Mutex::new(seen))
    }

    /// Takes in what was seen.
    pub fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.lock());
    }

    /// Returns what was seen so far.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Whoever panicked with it held has left whole values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
