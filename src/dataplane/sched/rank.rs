//! The real server that stands best: what lc, wlc, sed, nq, fo and ovf have in common. Each of them says only how a real
//! server stands ([`Measure`]); the best of all is on top of a [`Tree`], so that one of ten thousand is found in five cache lines.
//!
//! What is on top is looked at once more before it is chosen, with the counts of all workers as they are then: if it
//! has become worse, its leaf is corrected and the next best is on top. So
//! - **one worker** chooses exactly what the definition says, the first in the list if several stand equal: all that it
//!   books it looks at before its next choice. Only a new tree of more than [`super::tree::FIRST_ROUND`] real servers takes a few
//!   choices to be so; and what control ends (`millrace conn flush`) it sees when the leaf's turn comes, within n choices of n.
//! - **N workers** never choose one that is worse than it looked, whoever made it so. That another worker's connections
//!   *ended* is seen when the leaf's turn comes: at once with up to [`super::tree::STEP`] real servers, with n of them within
//!   n/8 choices of this worker. In a steady state that is N/8 connections of a real server, more or less. Where
//!   several stand equal each worker begins at a place of its own, except by fo and ovf.

use super::tree::{Fold, Numbers, Tree};
use super::{Candidate, Loads, Share, fo, lblc, lc, nq, ovf, sed, wlc};

/// How often the top is corrected in one choice. Other workers would have to book as many real servers meanwhile.
pub(super) const CORRECTIONS: u32 = 64;

/// How a real server stands: its load over its weight, the least being best. One number, so that the best of a line is its least
/// number: the fraction in units of 2^-32, cut off. Two fractions that differ do so by more than that, as weights have 16
/// bits: so this says what IPVS's cross-multiplication says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing(u64);

impl Standing {
    /// Takes no connection: worse than any other.
    pub const OUT: Self = Self(u64::MAX);

    /// `load` has 41 bits at most; `weight` is not 0.
    #[inline]
    pub const fn new(load: u64, weight: u16) -> Self {
        if load >> 31 != 0 {
            return Self::of_many(load, weight);
        }
        match (load << 32).checked_div(weight as u64) {
            Some(fraction) => Self(fraction),
            None => Self::OUT,
        }
    }

    /// With eight million active connections or more. Fractions too large for one number lose eleven bits: they have 21
    /// left to differ in, and a connection counts for 2^-16 at least.
    #[cold]
    const fn of_many(load: u64, weight: u16) -> Self {
        const HALF: u128 = 1 << 63;
        match ((load as u128) << 32).checked_div(weight as u128) {
            Some(fraction) if fraction < HALF => Self(fraction as u64),
            Some(fraction) => Self((HALF | fraction >> 11) as u64),
            None => Self::OUT,
        }
    }
}

/// The schedulers that choose the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Lc,
    Wlc,
    Sed,
    Nq,
    Fo,
    Ovf,
    /// lblc's and lblcr's: who has least of what its weight says, be it overloaded or not.
    Idle,
}

impl Measure {
    /// How a candidate stands now.
    #[inline]
    fn standing(self, candidate: &Candidate, loads: Loads<'_>) -> Standing {
        let weight = if self == Self::Idle { candidate.weight } else { candidate.weight_now(loads) };
        if weight == 0 {
            return Standing::OUT;
        }
        let connections = || loads.counts.connections(candidate.id);
        match self {
            Self::Lc => lc::standing(connections()),
            Self::Wlc => wlc::standing(connections(), weight),
            Self::Sed => sed::standing(connections(), weight),
            Self::Nq => nq::standing(connections(), weight),
            Self::Fo => fo::standing(weight),
            Self::Ovf => ovf::standing(connections(), weight),
            Self::Idle => lblc::idleness(connections().active, weight),
        }
    }

    /// Whether any of several that stand equal will do.
    const fn spreads_ties(self) -> bool {
        !matches!(self, Self::Fo | Self::Ovf)
    }
}

/// The best of a line.
#[derive(Debug)]
struct Best;

impl Best {
    /// The first place of a number that is in the line. Without a branch for each: which it is nobody can foresee.
    #[inline]
    fn place(line: &Numbers, number: u64) -> usize {
        let equal = line.iter().enumerate().fold(0u32, |set, (place, one)| set | u32::from(*one == number) << place);
        equal.trailing_zeros() as usize
    }
}

impl Fold for Best {
    const NOTHING: u64 = Standing::OUT.0;

    /// By pairs: the comparisons of a round do not wait for one another.
    #[inline]
    fn fold(line: &Numbers) -> u64 {
        let [a, b, c, d, e, f, g, h] = *line;
        a.min(b).min(c.min(d)).min(e.min(f).min(g.min(h)))
    }
}

/// The real servers of one service as one worker sees them, the best on top.
#[derive(Debug)]
pub struct Ranking {
    measure: Measure,
    tree: Tree<Best>,
    /// The place of the first leaf.
    first: u32,
    count: u32,
}

impl Ranking {
    /// Makes the ranking of `count` real servers for one worker.
    pub(super) fn new(measure: Measure, count: u32, share: Share) -> Self {
        let first = if measure.spreads_ties() { share.first_of(count) } else { 0 };
        Self { measure, tree: Tree::new(count, share.workers), first, count }
    }

    fn place(&self, leaf: u32) -> u32 {
        let place = leaf + self.first;
        if place < self.count { place } else { place - self.count }
    }

    fn standing(&self, leaf: u32, candidates: &[Candidate], loads: Loads<'_>) -> Standing {
        let candidate = candidates.get(self.place(leaf) as usize);
        candidate.map_or(Standing::OUT, |candidate| self.measure.standing(candidate, loads))
    }

    fn leaf(&self, place: u32) -> u32 {
        if place >= self.first { place - self.first } else { place + self.count - self.first }
    }

    /// Looks at the real server in this place: its counts have changed. Returns how it stands.
    #[inline]
    pub(super) fn look(&self, place: u32, candidates: &[Candidate], loads: Loads<'_>) -> Standing {
        if place >= self.count {
            return Standing::OUT;
        }
        let leaf = self.leaf(place);
        let now = self.standing(leaf, candidates, loads);
        self.tree.set(leaf, now.0);
        now
    }

    /// Returns how the real server in this place stood when it was looked at last; out if it never was.
    #[inline]
    pub(super) fn last(&self, place: u32) -> Standing {
        if place < self.count { Standing(self.tree.leaf(self.leaf(place))) } else { Standing::OUT }
    }

    /// Returns how the best stood when it was looked at last.
    #[inline]
    pub(super) fn best_last(&self) -> Standing {
        Standing(self.tree.root())
    }

    /// Looks at those whose turn it is.
    #[inline]
    pub(super) fn refresh(&self, candidates: &[Candidate], loads: Loads<'_>) {
        self.tree.refresh(|leaf| self.standing(leaf, candidates, loads).0);
    }

    /// Returns the place of the best.
    #[inline]
    pub(super) fn best(&self, candidates: &[Candidate], loads: Loads<'_>) -> Option<u32> {
        self.refresh(candidates, loads);
        self.best_known(candidates, loads)
    }

    /// The same, without a look at those whose turn it is.
    #[inline]
    pub(super) fn best_known(&self, candidates: &[Candidate], loads: Loads<'_>) -> Option<u32> {
        let mut found = self.top()?;
        for _ in 0..CORRECTIONS {
            let now = self.standing(found.0, candidates, loads);
            if now == found.1 {
                break;
            }
            self.tree.set(found.0, now.0);
            found = self.top()?;
        }
        Some(self.place(found.0))
    }

    /// The leaf on top, and how it stood when it was looked at; none if all are out.
    #[inline]
    fn top(&self) -> Option<(u32, Standing)> {
        let best = self.tree.root();
        if best == Standing::OUT.0 {
            return None;
        }
        // It is on the way down to it in a line of each level.
        let (leaf, _) = self.tree.descend(|line| Best::place(line, best));
        Some((leaf, Standing(best)))
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use fastrand::Rng;

    use super::*;

    /// As IPVS compares.
    fn by_products((load, weight): (u64, u16), (other, others): (u64, u16)) -> Ordering {
        (u128::from(load) * u128::from(others)).cmp(&(u128::from(other) * u128::from(weight)))
    }

    #[test]
    fn standings_are_in_the_order_of_the_fractions() {
        let mut rng = Rng::with_seed(8);
        let agree = |one: (u64, u16), two: (u64, u16)| {
            let standings = [one, two].map(|(load, weight)| Standing::new(load, weight));
            assert_eq!(standings[0].cmp(&standings[1]), by_products(one, two), "{one:?}, {two:?}");
            assert!(standings[0] < Standing::OUT);
        };
        for _ in 0..200_000 {
            let weight = |rng: &mut Rng| if rng.bool() { rng.u16(1..8) } else { rng.u16(1..) };
            let (one, two) = (weight(&mut rng), weight(&mut rng));
            let load = rng.u64(..) >> rng.u32(33..64);
            // As near to the same fraction as there is a load.
            let near = (u128::from(load) * u128::from(two) / u128::from(one)) as u64 + rng.u64(0..2);
            agree((load, one), (near.min(u64::from(u32::MAX >> 1)), two));
            agree((load, one), (rng.u64(0..1 << 31), two));
        }
        for (one, two) in [((1, 65_535), (1, 65_534)), ((65_533, 65_534), (65_534, 65_535)), ((0, 1), (0, 65_535))] {
            agree(one, two);
        }
    }

    #[test]
    fn more_connections_than_one_number_holds_stand_worse_by_each() {
        let loads = [1 << 31, 1 << 32, 1 << 33, (1 << 40) + 12_345, (1 << 41) - 1000];
        for weight in [1, 2, 255, 65_535] {
            for load in loads {
                let next = Standing::new(load + 1, weight);
                assert!(Standing::new(load, weight) < next && next < Standing::OUT, "{load} / {weight}");
            }
            assert!(Standing::new((1 << 31) - 1, weight) < Standing::new(1 << 31, weight));
        }
    }
}
