//! Which real servers' counts have changed: a set of ids that one worker writes and the same worker empties.
//!
//! ```text
//!  level 2      one bit for each word of level 1 that is not 0
//!  level 1      one bit for each word of level 0 that is not 0
//!  level 0      one bit for each real-server id
//! ```
//! To mark is a load and a test when the mark is there already, three stores at most when it is not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::entry::MAX_REAL_ID;
use crate::dataplane::service::RealId;

const IDS: usize = MAX_REAL_ID.0 as usize + 1;

/// The set. Not for two threads at once: a change is a load and a store.
pub(super) struct Marks([Box<[AtomicU64]>; 3]);

impl Marks {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self([6, 12, 18].map(|shift| (0..(IDS >> shift).max(1)).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Adds an id.
    #[inline]
    pub fn mark(&self, real: RealId) {
        let mut index = real.index();
        for level in &self.0 {
            let Some(word) = level.get(index / 64) else { return };
            let before = word.load(Relaxed);
            word.store(before | 1 << (index % 64), Relaxed);
            if before != 0 {
                // The levels above know of this word.
                return;
            }
            index /= 64;
        }
    }

    /// Empties the set, and hands out what was in it.
    #[inline]
    pub fn take(&self, mut each: impl FnMut(RealId)) {
        for index in 0..self.0[2].len() {
            self.empty(2, index, &mut each);
        }
    }

    fn empty(&self, level: usize, index: usize, each: &mut impl FnMut(RealId)) {
        let mut bits = self.0[level][index].load(Relaxed);
        if bits == 0 {
            return;
        }
        self.0[level][index].store(0, Relaxed);
        while bits != 0 {
            let below = index * 64 + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            match level.checked_sub(1) {
                Some(level) => self.empty(level, below, each),
                None => each(RealId(below as u32)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_was_marked_is_handed_out_once() {
        let marks = Marks::new();
        let ids = [1, 2, 63, 64, 65, 4095, 4096, 262_143, 262_144, 700_000, MAX_REAL_ID.0];
        let taken = || {
            let mut taken = Vec::new();
            marks.take(|real| taken.push(real.0));
            taken
        };
        for round in 0..3 {
            for id in ids.iter().chain(&ids) {
                marks.mark(RealId(*id));
            }
            assert_eq!(taken(), ids, "round {round}");
            assert!(taken().is_empty());
        }
    }

    #[test]
    fn random_marks_are_a_set() {
        let marks = Marks::new();
        let mut number = 1u32;
        for round in 1..50 {
            let mut wanted = BTreeSet::new();
            for _ in 0..round * 7 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let id = number >> 12;
                marks.mark(RealId(id));
                wanted.insert(id);
            }
            let mut taken = BTreeSet::new();
            marks.take(|real| assert!(taken.insert(real.0)));
            assert_eq!(taken, wanted);
        }
    }
}
