//! What the host's kernel has told: routes by twins, and the twins' permanent neighbours.
//!
//! Of routes to one prefix the kernel takes the one with the lowest metric, and of those with the same the first. They are kept in
//! that order. What is told twice is known once: after a look at all there is, older news may still come.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

use hashbrown::HashMap;
use ipnet::IpNet;

use super::{Candidate, Origin, Table};
use crate::dataplane::service::PortId;

/// A station on one of the links.
pub type Station = (PortId, IpAddr);

/// Something that the kernel told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All there is.
    All(Vec<(IpNet, Candidate)>, Vec<(Station, [u8; 6])>),
    /// Of routes to a prefix.
    Route(IpNet, Change),
    /// Of a station: its Ethernet address, or none if that is not fixed any more.
    Neighbor(Station, Option<[u8; 6]>),
}

/// What became of routes to a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more, before others of its metric or behind them.
    Added(Candidate, Side),
    /// One in the place of the first with its metric; none if the new one is not by a twin.
    Replaced(u32, Option<Candidate>),
    /// One less.
    Removed(Candidate),
}

/// Where among routes of the same metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is preferred to them.
    Before,
    /// They are preferred to it.
    Behind,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The routes.
    pub routes: Table,
    /// Stations whose Ethernet address is fixed.
    pub neighbors: HashMap<Station, [u8; 6]>,
}

impl Learned {
    /// Takes in news, in their order; tells whether anything is another than before.
    pub fn hear(&mut self, news: Vec<News>) -> bool {
        let mut changed = false;
        for one in news {
            changed |= match one {
                News::All(routes, neighbors) => self.begin_anew(routes, neighbors),
                News::Route(to, change) => self.change(to, change),
                News::Neighbor(station, Some(mac)) => self.neighbors.insert(station, mac) != Some(mac),
                News::Neighbor(station, None) => self.neighbors.remove(&station).is_some(),
            };
        }
        changed
    }

    fn begin_anew(&mut self, routes: Vec<(IpNet, Candidate)>, neighbors: Vec<(Station, [u8; 6])>) -> bool {
        let mut all = Self { routes: BTreeMap::new(), neighbors: neighbors.into_iter().collect() };
        for (to, candidate) in routes {
            insert(all.routes.entry(to).or_default(), candidate, Side::Behind);
        }
        mem::replace(self, all) != *self
    }

    fn change(&mut self, to: IpNet, change: Change) -> bool {
        let known = self.routes.entry(to).or_default();
        let changed = match change {
            Change::Added(candidate, _) if known.contains(&candidate) => false,
            Change::Added(candidate, side) => {
                insert(known, candidate, side);
                true
            }
            Change::Replaced(of_metric, candidate) => replace(known, of_metric, candidate),
            Change::Removed(candidate) => {
                let place = known.iter().position(|known| *known == candidate);
                place.map(|place| known.remove(place)).is_some()
            }
        };
        if known.is_empty() {
            self.routes.remove(&to);
        }
        changed
    }
}

fn metric(candidate: &Candidate) -> u32 {
    match candidate.origin {
        Origin::Kernel { metric, .. } => metric,
        Origin::Connected | Origin::Configured => 0,
    }
}

fn insert(known: &mut Vec<Candidate>, candidate: Candidate, side: Side) {
    let own = metric(&candidate);
    let place = known.partition_point(|other| match side {
        Side::Before => metric(other) < own,
        Side::Behind => metric(other) <= own,
    });
    known.insert(place, candidate);
}

fn replace(known: &mut Vec<Candidate>, of_metric: u32, candidate: Option<Candidate>) -> bool {
    let first = known.iter().position(|other| metric(other) == of_metric);
    match (first, candidate) {
        (Some(place), Some(candidate)) => mem::replace(&mut known[place], candidate) != known[place],
        (Some(place), None) => {
            known.remove(place);
            true
        }
        (None, Some(candidate)) => {
            insert(known, candidate, Side::Before);
            true
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Leg;
    use super::*;

    fn to() -> IpNet {
        "10.9.0.0/16".parse().unwrap()
    }

    fn route(gateway: u8, metric: u32) -> Candidate {
        let via = Some(IpAddr::from([192, 0, 2, gateway]));
        Candidate {
            origin: Origin::Kernel { protocol: 12, metric },
            legs: vec![Leg { port: PortId(0), via, weight: 1 }],
        }
    }

    fn gateways(learned: &Learned) -> Vec<u8> {
        let routes = learned.routes.get(&to()).into_iter().flatten();
        let last = |via: IpAddr| (0..=u8::MAX).find(|last| via == IpAddr::from([192, 0, 2, *last])).unwrap();
        routes.map(|one| last(one.legs[0].via.unwrap())).collect()
    }

    #[test]
    fn the_lowest_metric_comes_first_and_of_the_same_the_first() {
        use Change::*;
        use Side::*;
        let mut learned = Learned::default();
        for (change, changes, expected) in [
            (Added(route(1, 10), Before), true, &[1][..]),
            (Added(route(2, 0), Before), true, &[2, 1]),
            (Added(route(3, 10), Behind), true, &[2, 1, 3]),
            (Added(route(4, 10), Before), true, &[2, 4, 1, 3]),
            (Added(route(4, 10), Before), false, &[2, 4, 1, 3]),
            (Replaced(10, Some(route(5, 10))), true, &[2, 5, 1, 3]),
            (Replaced(10, Some(route(5, 10))), false, &[2, 5, 1, 3]),
            (Removed(route(4, 10)), false, &[2, 5, 1, 3]),
            (Removed(route(1, 10)), true, &[2, 5, 3]),
            (Replaced(0, None), true, &[5, 3]),
            (Replaced(7, Some(route(6, 7))), true, &[6, 5, 3]),
            (Replaced(8, None), false, &[6, 5, 3]),
        ] {
            assert_eq!(learned.hear(vec![News::Route(to(), change.clone())]), changes, "{change:?}");
            assert_eq!(gateways(&learned), expected, "{change:?}");
        }
        let all =
            [6, 5, 3].map(|gateway| News::Route(to(), Removed(route(gateway, if gateway == 6 { 7 } else { 10 }))));
        assert!(learned.hear(all.into()));
        assert_eq!(learned, Learned::default());
    }

    #[test]
    fn a_look_at_all_there_is_forgets_the_rest() {
        let station = (PortId(0), IpAddr::from([192, 0, 2, 9]));
        let mut learned = Learned::default();
        let early = vec![
            News::Route(to(), Change::Added(route(1, 0), Side::Before)),
            News::Neighbor(station, Some([2, 0, 0, 0, 0, 9])),
        ];
        assert!(learned.hear(early));
        let all = || News::All(vec![(to(), route(2, 5)), (to(), route(3, 0))], Vec::new());
        assert!(learned.hear(vec![all()]));
        assert_eq!((gateways(&learned), learned.neighbors.len()), (vec![3, 2], 0));
        assert!(!learned.hear(vec![all()]), "nothing new");
        // Older news, which come late.
        assert!(!learned.hear(vec![News::Route(to(), Change::Added(route(2, 5), Side::Before))]));
        assert!(!learned.hear(vec![News::Neighbor(station, None)]));
    }
}
