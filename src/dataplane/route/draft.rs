//! Routes on their way into the table that packets are looked up in.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::{NextHop, Routes, Several, Target};

/// The most places that the next hops of one route take up: weights beyond are rounded, and nobody gets less than one.
const MOST_PLACES: u64 = 1024;
/// With more spans than this in one octet there is a table of the first two: half a megabyte, of which packets ask what they need.
const FEW: u32 = 64;

/// Routes that are being collected.
#[derive(Debug, Default)]
pub struct Draft {
    routes: Vec<Route>,
    hops: Vec<NextHop>,
}

#[derive(Debug)]
struct Route {
    to: Ipv4Net,
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
    pub fn add(&mut self, to: Ipv4Net, target: Option<Target>, up: bool) {
        self.routes.push(Route { to: to.trunc(), target, up });
    }

    /// Makes the table.
    pub fn finish(mut self) -> Routes {
        // A prefix comes before those within it. The sort is stable.
        self.routes.sort_by_key(|route| (route.to.addr(), route.to.prefix_len()));
        self.routes.dedup_by(|later, kept| {
            let same = later.to == kept.to;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        let spans = Spans::of(&self.routes);
        let span = |address: u32| spans.starts.partition_point(|start| *start <= address) as u32 - 1;
        let octets: [_; 256] = std::array::from_fn(|octet| {
            let first = (octet as u32) << 24;
            (span(first), span(first | 0x00ff_ffff))
        });
        let many = octets.iter().any(|(first, last)| last - first > FEW);
        let pairs = many.then(|| spans.by_pairs());
        Routes {
            starts: spans.starts.into(),
            targets: spans.targets.into(),
            octets: Arc::new(octets),
            pairs: pairs.unwrap_or_default().into(),
            hops: self.hops.into(),
        }
    }
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
#[derive(Default)]
struct Spans {
    starts: Vec<u32>,
    targets: Vec<Option<Target>>,
}

/// A prefix around the address that was come to, and where what is not within a longer one leads.
struct Around {
    last: u32,
    target: Option<Target>,
    up: bool,
}

impl Spans {
    /// Goes through the routes, which are in order, once.
    fn of(routes: &[Route]) -> Self {
        let mut spans = Self::default();
        let mut around = vec![Around { last: u32::MAX, target: None, up: false }];
        spans.begin(0, None);
        for Route { to, target, up } in routes {
            let (first, last) = (to.network().to_bits(), to.broadcast().to_bits());
            spans.leave(&mut around, |prefix| prefix.last < first);
            // Not empty: the first is left by nobody before the end.
            let Some(outer) = around.last() else { break };
            let (target, up) = if *up || !outer.up { (*target, *up) } else { (outer.target, true) };
            spans.begin(first, target);
            around.push(Around { last, target, up });
        }
        spans.leave(&mut around, |_| true);
        spans
    }

    /// Leaves the innermost prefixes as long as they are to be left.
    fn leave(&mut self, around: &mut Vec<Around>, done: impl Fn(&Around) -> bool) {
        while around.len() > 1
            && let Some(left) = around.pop_if(|prefix| done(prefix))
        {
            if let (Some(next), Some(outer)) = (left.last.checked_add(1), around.last()) {
                self.begin(next, outer.target);
            }
        }
    }

    /// From this address on another target counts. What began there counts for nothing.
    fn begin(&mut self, address: u32, target: Option<Target>) {
        if self.starts.last() == Some(&address) {
            self.starts.pop();
            self.targets.pop();
        }
        if self.targets.last() != Some(&target) {
            self.starts.push(address);
            self.targets.push(target);
        }
    }

    /// By the first two octets: the first and the last span of their addresses.
    fn by_pairs(&self) -> Vec<(u32, u32)> {
        let mut span = 0;
        let mut up_to = |last: u32| {
            while self.starts.get(span + 1).is_some_and(|start| *start <= last) {
                span += 1;
            }
            span as u32
        };
        (0..=0xffff_u32).map(|pair| (up_to(pair << 16), up_to(pair << 16 | 0xffff))).collect()
    }
}
