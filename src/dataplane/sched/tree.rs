//! What one worker knows of a service's real servers, in a tree: changed or asked in a few cache lines, be there ten
//! real servers or ten thousand.
//!
//! ```text
//!                     ┌──────────────┐   a line of 8 numbers, each the fold of a line below:
//!                     │ 3 7 · · · · ·│   the best standing, or the sum
//!                     └─┬─┬──────────┘
//!       ┌───────────────┘ └──────────┐
//!   ┌───┴──────────┐          ┌──────┴───────┐
//!   │ 5 3 9 4 8 6 3│          │ 7 9 8 · · · ·│   leaves: one a real server
//!   └──────────────┘          └──────────────┘
//! ```
//! Control makes one tree for each worker when it builds a snapshot; then that worker alone writes it (relaxed stores: no
//! other reads it), and never allocates. A new tree knows nobody: with each choice [`FIRST_ROUND`] leaves are looked at until
//! all were; from then on [`STEP`] a choice, in turn, for the sake of what other workers book (where there are none, one, for
//! control's). What the worker books itself
//! it looks at before its next choice (see [`super`]).

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use arrayvec::ArrayVec;

/// Numbers in a line.
const WIDTH: usize = 8;
/// Levels of a tree of 2^21 leaves, more than there are ids.
const LEVELS: usize = 7;
/// Leaves of a new tree looked at with each choice.
pub(super) const FIRST_ROUND: u32 = 1024;
/// Leaves looked at with each choice after that: their counts lie in two lines of each worker's.
pub(super) const STEP: u32 = 8;

/// Eight numbers.
pub(super) type Numbers = [u64; WIDTH];

/// How a line becomes one number.
pub(super) trait Fold {
    /// What a leaf is that nobody looked at: it changes no fold.
    const NOTHING: u64;

    /// Returns the line's number.
    fn fold(line: &Numbers) -> u64;
}

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU64; WIDTH]);

impl Line {
    #[inline]
    fn numbers(&self) -> Numbers {
        self.0.each_ref().map(|number| number.load(Relaxed))
    }
}

/// The tree of one worker for one service.
#[derive(Debug)]
pub(super) struct Tree<F> {
    lines: Box<[Line]>,
    /// Where each level begins, leaves first.
    levels: ArrayVec<u32, LEVELS>,
    leaves: u32,
    /// How many leaves are looked at with each choice.
    step: u32,
    /// The leaf to look at next.
    next: AtomicU32,
    /// How many of the first round are left.
    unseen: AtomicU32,
    fold: PhantomData<F>,
}

impl<F: Fold> Tree<F> {
    /// Makes a tree that knows nothing of its leaves, for one of so many workers.
    pub fn new(leaves: u32, workers: u32) -> Self {
        let mut levels = ArrayVec::new();
        let (mut total, mut level) = (0, leaves.max(1));
        loop {
            level = level.div_ceil(WIDTH as u32);
            levels.push(total);
            total += level;
            if level == 1 {
                break;
            }
        }
        let line = || Line(std::array::from_fn(|_| AtomicU64::new(F::NOTHING)));
        let lines = (0..total).map(|_| line()).collect();
        let step = leaves.min(if workers > 1 { STEP } else { 1 });
        Self { lines, levels, leaves, step, next: AtomicU32::new(0), unseen: AtomicU32::new(leaves), fold: PhantomData }
    }

    /// A leaf's number.
    #[inline]
    pub fn leaf(&self, leaf: u32) -> u64 {
        let line = self.lines.get(leaf as usize / WIDTH);
        line.map_or(F::NOTHING, |line| line.0[leaf as usize % WIDTH].load(Relaxed))
    }

    /// Sets a leaf's number, and what follows from it above.
    #[inline]
    pub fn set(&self, leaf: u32, number: u64) {
        let (mut index, mut number) = (leaf as usize, number);
        for start in &self.levels {
            let Some(line) = self.lines.get(*start as usize + index / WIDTH) else { return };
            let place = &line.0[index % WIDTH];
            if place.load(Relaxed) == number {
                return;
            }
            place.store(number, Relaxed);
            number = F::fold(&line.numbers());
            index /= WIDTH;
        }
    }

    /// Goes down from the root, in each line to the place that `pick` names, and returns the leaf and its number.
    #[inline]
    pub fn descend(&self, mut pick: impl FnMut(&Numbers) -> usize) -> (u32, u64) {
        let (mut index, mut number) = (0, F::NOTHING);
        for start in self.levels.iter().rev() {
            let numbers = self.lines[*start as usize + index].numbers();
            let place = pick(&numbers) % WIDTH;
            (index, number) = (index * WIDTH + place, numbers[place]);
        }
        (index as u32, number)
    }

    /// The fold of all leaves.
    #[inline]
    pub fn root(&self) -> u64 {
        self.lines.last().map_or(F::NOTHING, |line| F::fold(&line.numbers()))
    }

    /// Looks at the leaves whose turn it is; `look` says what a leaf's number is now.
    #[inline]
    pub fn refresh(&self, look: impl Fn(u32) -> u64) {
        let unseen = self.unseen.load(Relaxed);
        let steps = if unseen == 0 { self.step } else { unseen.min(FIRST_ROUND) };
        let mut leaf = self.next.load(Relaxed);
        for _ in 0..steps {
            self.set(leaf, look(leaf));
            leaf = if leaf + 1 == self.leaves { 0 } else { leaf + 1 };
        }
        self.next.store(leaf, Relaxed);
        if unseen != 0 {
            self.unseen.store(unseen - steps, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Largest;

    impl Fold for Largest {
        const NOTHING: u64 = 0;

        fn fold(line: &Numbers) -> u64 {
            line.iter().copied().max().unwrap_or(0)
        }
    }

    #[test]
    fn the_root_is_the_fold_of_all_leaves_at_every_size() {
        for leaves in [1u32, 2, 7, 8, 9, 63, 64, 65, 512, 513, 5000] {
            let tree = Tree::<Largest>::new(leaves, 1);
            let mut slow = vec![0u64; leaves as usize];
            for step in 0..2000u32 {
                let leaf = step.wrapping_mul(2_654_435_761) % leaves;
                let number = u64::from(step.wrapping_mul(40_503) % 97);
                tree.set(leaf, number);
                slow[leaf as usize] = number;
                let largest = *slow.iter().max().unwrap();
                assert_eq!(tree.root(), largest, "{leaves} leaves");
                let first = |line: &Numbers| line.iter().position(|n| *n == Largest::fold(line)).unwrap();
                let (found, number) = tree.descend(first);
                assert_eq!((slow.iter().position(|n| *n == largest), number), (Some(found as usize), largest));
            }
        }
    }

    #[test]
    fn all_leaves_are_looked_at_in_the_first_round_and_then_in_turn() {
        let tree = Tree::<Largest>::new(3000, 2);
        let looked = |tree: &Tree<Largest>| {
            let seen = std::cell::RefCell::new(Vec::new());
            tree.refresh(|leaf| {
                seen.borrow_mut().push(leaf);
                1
            });
            seen.into_inner()
        };
        assert_eq!(looked(&tree), (0..1024).collect::<Vec<_>>());
        assert_eq!(looked(&tree), (1024..2048).collect::<Vec<_>>());
        assert_eq!(looked(&tree), (2048..3000).collect::<Vec<_>>());
        assert_eq!(looked(&tree), (0..8).collect::<Vec<_>>());
        assert_eq!(looked(&tree), (8..16).collect::<Vec<_>>());
        let small = Tree::<Largest>::new(3, 2);
        assert_eq!((looked(&small), looked(&small)), (vec![0, 1, 2], vec![0, 1, 2]));
        assert!(looked(&Tree::<Largest>::new(0, 2)).is_empty());
        let alone = Tree::<Largest>::new(3, 1);
        assert_eq!((looked(&alone), looked(&alone), looked(&alone)), (vec![0, 1, 2], vec![0], vec![1]));
    }
}
