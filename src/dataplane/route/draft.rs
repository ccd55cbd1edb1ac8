//! Routes on their way into the tables that packets are looked up in.

use std::cmp::Reverse;

use ipnet::IpNet;

use super::table::{Bits, Table};
use super::{NextHop, Routes, Several, Target};

/// The most places that the next hops of one route take up: weights beyond are rounded, and nobody gets less than one.
const MOST_PLACES: u64 = 1024;

/// Routes that are being collected.
#[derive(Debug, Default)]
pub struct Draft {
    v4: Vec<Route<u32>>,
    v6: Vec<Route<u128>>,
    hops: Vec<NextHop>,
}

#[derive(Debug)]
struct Route<A> {
    /// The first and the last address of its prefix.
    first: A,
    last: A,
    /// None for where packets shall not go.
    target: Option<Target>,
    up: bool,
}

impl Draft {
    /// Makes the target of a route with these next hops and their weights; `None` without any.
    pub fn via(&mut self, hops: &[(NextHop, u16)]) -> Option<Target> {
        if let [] | [_] = hops {
            return hops.first().map(|(hop, _)| Target::Via(*hop));
        }
        let first = self.hops.len() as u32;
        for ((hop, _), places) in hops.iter().zip(places(hops)) {
            self.hops.extend(std::iter::repeat_n(*hop, places));
        }
        Some(Target::Several(Several { first, count: self.hops.len() as u32 - first }))
    }

    /// Adds a route; of two for the same prefix the later counts. One that is not up is used only for addresses to which no
    /// other leads that is, of whatever length. Without a target packets go nowhere.
    pub fn add(&mut self, to: IpNet, target: Option<Target>, up: bool) {
        match to {
            IpNet::V4(to) => {
                let (first, last) = (to.network().to_bits(), to.broadcast().to_bits());
                self.v4.push(Route { first, last, target, up });
            }
            IpNet::V6(to) => {
                let (first, last) = (to.network().to_bits(), to.broadcast().to_bits());
                self.v6.push(Route { first, last, target, up });
            }
        }
    }

    /// Makes the tables.
    pub fn finish(self) -> Routes {
        Routes { v4: table(self.v4), v6: table(self.v6), hops: self.hops.into() }
    }
}

fn table<A: Bits>(mut routes: Vec<Route<A>>) -> Table<A> {
    // A prefix comes before those within it. The sort is stable.
    routes.sort_by_key(|route| (route.first, Reverse(route.last)));
    routes.dedup_by(|later, kept| {
        let same = (later.first, later.last) == (kept.first, kept.last);
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    let Spans { starts, targets } = Spans::of(&routes);
    Table::of(starts, targets)
}

/// How many places each next hop gets.
fn places(hops: &[(NextHop, u16)]) -> Vec<usize> {
    let weights = || hops.iter().map(|(_, weight)| u64::from(*weight).max(1));
    let common = weights().fold(0, common_divisor);
    let total: u64 = weights().map(|weight| weight / common).sum();
    let rounded = |weight: u64| (weight * MOST_PLACES + total / 2) / total;
    let fitting = |weight| if total > MOST_PLACES { rounded(weight).max(1) } else { weight };
    weights().map(|weight| fitting(weight / common) as usize).collect()
}

fn common_divisor(one: u64, other: u64) -> u64 {
    if one == 0 { other } else { common_divisor(other % one, one) }
}

/// The addresses in order, cut where another target begins.
struct Spans<A> {
    starts: Vec<A>,
    targets: Vec<Option<Target>>,
}

/// A prefix around the address that was come to, and where what is not within a longer one leads.
struct Around<A> {
    last: A,
    target: Option<Target>,
    up: bool,
}

impl<A: Bits> Spans<A> {
    /// Goes through the routes, which are in order, once.
    fn of(routes: &[Route<A>]) -> Self {
        let mut spans = Self { starts: Vec::new(), targets: Vec::new() };
        let mut around = vec![Around { last: A::LAST, target: None, up: false }];
        spans.begin(A::FIRST, None);
        for Route { first, last, target, up } in routes {
            spans.leave(&mut around, |prefix| prefix.last < *first);
            // Not empty: the first is left by nobody before the end.
            let Some(outer) = around.last() else { break };
            let (target, up) = if *up || !outer.up { (*target, *up) } else { (outer.target, true) };
            spans.begin(*first, target);
            around.push(Around { last: *last, target, up });
        }
        spans.leave(&mut around, |_| true);
        spans
    }

    /// Leaves the innermost prefixes as long as they are to be left.
    fn leave(&mut self, around: &mut Vec<Around<A>>, done: impl Fn(&Around<A>) -> bool) {
        while around.len() > 1
            && let Some(left) = around.pop_if(|prefix| done(prefix))
        {
            if let (Some(next), Some(outer)) = (left.last.next(), around.last()) {
                self.begin(next, outer.target);
            }
        }
    }

    /// From this address on another target counts. What began there counts for nothing.
    fn begin(&mut self, address: A, target: Option<Target>) {
        if self.starts.last() == Some(&address) {
            self.starts.pop();
            self.targets.pop();
        }
        if self.targets.last() != Some(&target) {
            self.starts.push(address);
            self.targets.push(target);
        }
    }
}
