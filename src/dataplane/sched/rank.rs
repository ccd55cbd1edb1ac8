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
const CORRECTIONS: u32 = 64;

/// How a real server stands: its load over its weight, the least being best. One that takes no connection has weight 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing(u64);

impl Standing {
    /// Takes no connection: worse than any other.
    pub const OUT: Self = Self::new(1, 0);

    /// `load` has 41 bits at most.
    pub const fn new(load: u64, weight: u16) -> Self {
        Self(load << 16 | weight as u64)
    }

    const fn load(self) -> u64 {
        self.0 >> 16
    }

    const fn weight(self) -> u64 {
        self.0 & 0xffff
    }

    /// Strictly better: fractions are compared by cross-multiplication, as IPVS does.
    #[inline]
    const fn beats(self, other: Self) -> bool {
        self.load() * other.weight() < other.load() * self.weight()
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
    /// By pairs: the comparisons of a round do not wait for one another.
    #[inline]
    fn place(line: &Numbers) -> usize {
        let better = |one: usize, two: usize| if Standing(line[two]).beats(Standing(line[one])) { two } else { one };
        better(better(better(0, 1), better(2, 3)), better(better(4, 5), better(6, 7)))
    }
}

impl Fold for Best {
    const NOTHING: u64 = Standing::OUT.0;

    #[inline]
    fn fold(line: &Numbers) -> u64 {
        line[Self::place(line)]
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

    /// Looks at the real server in this place: its counts have changed.
    #[inline]
    pub(super) fn look(&self, place: u32, candidates: &[Candidate], loads: Loads<'_>) {
        if place < self.count {
            let leaf = if place >= self.first { place - self.first } else { place + self.count - self.first };
            self.tree.set(leaf, self.standing(leaf, candidates, loads).0);
        }
    }

    /// Returns the place of the best.
    #[inline]
    pub(super) fn best(&self, candidates: &[Candidate], loads: Loads<'_>) -> Option<u32> {
        self.tree.refresh(|leaf| self.standing(leaf, candidates, loads).0);
        let mut found = self.tree.descend(Best::place);
        for _ in 0..CORRECTIONS {
            let now = self.standing(found.0, candidates, loads);
            if now.0 == found.1 {
                break;
            }
            self.tree.set(found.0, now.0);
            found = self.tree.descend(Best::place);
        }
        (Standing(found.1).weight() != 0).then(|| self.place(found.0))
    }
}
