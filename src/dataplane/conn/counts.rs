//! How many connections each real server has.
//!
//! Every worker counts for itself, plainly: whoever wins the compare-and-swap that inserts, changes or removes an
//! entry books what it changed, whoever inserted the entry. So one worker's numbers may be negative, while the sums
//! over the workers are exact at rest; read meanwhile they are off by the operations in flight at most.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use super::entry::{MAX_REAL_ID, Value};
use super::marks::Marks;
use super::memory::Memory;
use super::state::Class;
use crate::dataplane::service::RealId;

/// One worker's numbers for one real server.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    active: AtomicI32,
    inactive: AtomicI32,
    persistent: AtomicI32,
}

/// A real server's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// ipvsadm's `ActiveConn`.
    pub active: u32,
    /// ipvsadm's `InActConn`.
    pub inactive: u32,
    /// ipvsadm's `PersistConn`: templates.
    pub persistent: u32,
}

/// The numbers of all workers, for every real-server id there can be. Only the pages of ids in use take memory.
pub struct Counts(Box<[WorkerCounts]>);

/// One worker's numbers, and which of them it has changed lately.
pub struct WorkerCounts {
    numbers: Memory<Numbers>,
    changed: Marks,
    /// How many of all these connections are wide.
    wide: AtomicI64,
}

impl Counts {
    /// Makes the counts of `workers` workers.
    ///
    /// # Errors
    /// When the kernel refuses 12 MiB of address space for each.
    pub fn new(workers: usize) -> io::Result<Self> {
        let one = || {
            let numbers = Memory::untouched(MAX_REAL_ID.index() + 1)?;
            Ok(WorkerCounts { numbers, changed: Marks::new(), wide: AtomicI64::new(0) })
        };
        Ok(Self((0..workers).map(|_| one()).collect::<io::Result<_>>()?))
    }

    /// The numbers of worker `index`, which only that worker may book on.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn worker(&self, index: usize) -> &WorkerCounts {
        &self.0[index]
    }

    /// Adds up the connections in the table of wide ones.
    pub fn wide(&self) -> u64 {
        let sum = self.0.iter().fold(0i64, |sum, worker| sum.wrapping_add(worker.wide.load(Ordering::Relaxed)));
        sum.max(0) as u64
    }

    /// Adds up a real server's connections.
    pub fn connections(&self, real: RealId) -> Connections {
        let sum = |number: fn(&Numbers) -> &AtomicI32| {
            let all = self.0.iter().filter_map(|worker| worker.numbers.get(real.index()));
            let sum = all.fold(0i32, |sum, numbers| sum.wrapping_add(number(numbers).load(Ordering::Relaxed)));
            sum.max(0) as u32
        };
        Connections {
            active: sum(|numbers| &numbers.active),
            inactive: sum(|numbers| &numbers.inactive),
            persistent: sum(|numbers| &numbers.persistent),
        }
    }
}

impl WorkerCounts {
    /// Books a new entry.
    #[inline]
    pub fn inserted(&self, entry: Value) {
        self.add(entry, 1);
    }

    /// Books that so many more of them are wide.
    pub fn wide(&self, more: i64) {
        self.wide.store(self.wide.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Books a change of state or of real server.
    #[inline]
    pub fn changed(&self, old: Value, new: Value) {
        if old.class() != new.class() || old.real() != new.real() {
            self.add(old, -1);
            self.add(new, 1);
        }
    }

    /// Books a removal.
    #[inline]
    pub fn removed(&self, entry: Value) {
        self.add(entry, -1);
    }

    /// Hands out the real servers that something was booked on since the last call. Only the worker itself may ask.
    #[inline]
    pub fn take_changed(&self, each: impl FnMut(RealId)) {
        self.changed.take(each);
    }

    #[inline]
    fn add(&self, entry: Value, n: i32) {
        let Some(numbers) = self.numbers.get(entry.real().index()) else { return };
        let number = match entry.class() {
            Class::Active => &numbers.active,
            Class::Inactive => &numbers.inactive,
            Class::Persistent => &numbers.persistent,
            Class::Uncounted => return,
        };
        number.store(number.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        self.changed.mark(entry.real());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::conn::state::State;
    use crate::dataplane::conn::tick::Tick;

    fn entry(state: State, real: u32) -> Value {
        Value::new(state, Tick::default(), RealId(real))
    }

    fn connections(active: u32, inactive: u32) -> Connections {
        Connections { active, inactive, persistent: 0 }
    }

    #[test]
    fn workers_sum_up_whoever_inserted_and_whoever_removed() {
        let counts = Counts::new(2).unwrap();
        let (one, two) = (counts.worker(0), counts.worker(1));
        let (opening, open, closing) =
            (entry(State::TCP_SYN_RECV, 7), entry(State::TCP_ESTABLISHED, 7), entry(State::TCP_FIN_WAIT, 7));
        one.inserted(opening);
        assert_eq!(counts.connections(RealId(7)), connections(1, 0));
        two.changed(opening, open);
        assert_eq!(counts.connections(RealId(7)), connections(1, 0));
        two.changed(open, closing);
        assert_eq!(counts.connections(RealId(7)), connections(0, 1));
        two.removed(closing);
        assert_eq!(counts.connections(RealId(7)), connections(0, 0));
        assert_eq!(counts.connections(RealId(8)), connections(0, 0));
    }

    #[test]
    fn a_connection_that_moves_is_taken_along() {
        let counts = Counts::new(1).unwrap();
        let (old, new) = (entry(State::TCP_TIME_WAIT, 1), entry(State::TCP_SYN_RECV, MAX_REAL_ID.0));
        counts.worker(0).inserted(old);
        counts.worker(0).changed(old, new);
        assert_eq!(counts.connections(RealId(1)), connections(0, 0));
        assert_eq!(counts.connections(MAX_REAL_ID), connections(1, 0));
    }

    #[test]
    fn a_sum_caught_below_zero_shows_as_zero() {
        let counts = Counts::new(2).unwrap();
        counts.worker(1).removed(entry(State::UDP, 3));
        assert_eq!(counts.connections(RealId(3)), connections(0, 0));
        counts.worker(0).inserted(entry(State::UDP, 3));
        assert_eq!(counts.connections(RealId(3)), connections(0, 0));
        counts.worker(0).inserted(entry(State::UDP, 3));
        assert_eq!(counts.connections(RealId(3)), connections(0, 1));
    }

    #[test]
    fn links_are_not_counted_and_templates_apart() {
        let counts = Counts::new(1).unwrap();
        counts.worker(0).inserted(entry(State::LINK, 3));
        assert_eq!(counts.connections(RealId(3)), connections(0, 0));
        counts.worker(0).inserted(entry(State::TEMPLATE_NONE, 3));
        assert_eq!(counts.connections(RealId(3)), Connections { active: 0, inactive: 0, persistent: 1 });
    }
}
