//! Power of two choices: two real servers are drawn, each as likely as its weight says, and the one takes the connection
//! that has fewer for its weight.
//!
//! As `ip_vs_twos.c`: a draw is a number from 0 to the sum of the weights, and falls to the first real server at which
//! the weights so far reach it (so the first in the list is likelier by one part in the sum); the second draw wins if it
//! stands strictly better by wlc's measure. The weights of those that take connections lie in a [`Tree`] of sums.
//!
//! Each worker draws for itself, and both that were drawn are compared by the counts of all workers. The numbers follow
//! from the worker and what was drawn before, so that a replay repeats.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::lc::overhead;
use super::tree::{Fold, Numbers, Tree};
use super::{Candidate, Loads};

/// How often is drawn anew when one that was drawn takes no more connections, as only its threshold can bring about.
const DRAWS: u32 = 64;

#[derive(Debug)]
struct Sum;

impl Fold for Sum {
    const NOTHING: u64 = 0;

    #[inline]
    fn fold(line: &Numbers) -> u64 {
        line.iter().sum()
    }
}

/// The weights of one service's real servers as one worker sees them, and its dice.
#[derive(Debug)]
pub struct Draw {
    weights: Tree<Sum>,
    seed: AtomicU64,
}

impl Draw {
    /// Makes the draw among `count` real servers for one of so many workers.
    pub(super) fn new(count: u32, workers: u32, seed: u64) -> Self {
        Self { weights: Tree::new(count, workers), seed: AtomicU64::new(seed) }
    }

    /// Where the dice are.
    pub(super) fn seed(&self) -> u64 {
        self.seed.load(Relaxed)
    }

    /// Looks at the real server in this place: its counts have changed.
    #[inline]
    pub(super) fn look(&self, place: u32, candidates: &[Candidate], loads: Loads<'_>) {
        if let Some(candidate) = candidates.get(place as usize) {
            self.weights.set(place, candidate.weight_now(loads).into());
        }
    }

    /// Draws two and returns the place of the better.
    pub(super) fn choose(&self, candidates: &[Candidate], loads: Loads<'_>) -> Option<u32> {
        let weight =
            |place: u32| candidates.get(place as usize).map_or(0, |candidate| candidate.weight_now(loads).into());
        self.weights.refresh(weight);
        let mut dice = fastrand::Rng::with_seed(self.seed.load(Relaxed));
        let chosen = (0..DRAWS).find_map(|_| {
            let total = self.weights.root();
            if total == 0 {
                return Some(None);
            }
            let drawn = [dice.u64(0..=total), dice.u64(0..=total)].map(|number| self.at(number));
            for (place, known) in drawn {
                let now = weight(place);
                if now != known {
                    self.weights.set(place, now);
                    return None;
                }
            }
            Some(Some(better(drawn, candidates, loads)))
        });
        self.seed.store(dice.get_seed(), Relaxed);
        chosen.flatten()
    }

    /// The place and weight at which the weights so far reach `number`. Without a branch for each: where it ends nobody can
    /// foresee.
    #[inline]
    fn at(&self, number: u64) -> (u32, u64) {
        let mut left = number.max(1);
        self.weights.descend(|line| {
            let (mut sum, mut before, mut place) = (0, 0, 0);
            for weight in &line[..line.len() - 1] {
                sum += weight;
                let passed = left > sum;
                place += usize::from(passed);
                before = if passed { sum } else { before };
            }
            left -= before;
            place
        })
    }
}

#[inline]
fn better([(one, weight), (two, other)]: [(u32, u64); 2], candidates: &[Candidate], loads: Loads<'_>) -> u32 {
    let connections = |real: &Candidate| loads.counts.connections(real.id);
    let overhead = |place: u32| candidates.get(place as usize).map_or(0, |real| overhead(connections(real)));
    if other * overhead(one) > weight * overhead(two) { two } else { one }
}
