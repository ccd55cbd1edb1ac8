//! The first of many patterns that a packet fits, found without going through them.
//!
//! ```text
//!  shape  = lengths of the two prefixes, ingress named or not     one look into a hash table for each shape in use
//!  place  = the prefixes themselves, protocol, ingress             ► what the ports there are
//!  ports  = ranges that do not overlap, each its first pattern's   binary search; one range alone is compared
//! ```
//! Which pattern comes first where port ranges of one place overlap is settled when this is made. So a look costs as
//! many probes as there are different *shapes*, whose patterns could still come before what was found: one for ten
//! thousand prefixes of one length, whatever their ports. A range of addresses is as many prefixes as it takes, of up to
//! 32 lengths; what is cheap to look up is a prefix.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use super::parse::Parsed;
use super::selector::{Addresses, Pattern, Ports};
use super::service::PortId;
use super::snapshot::ConfigHash;

/// Patterns in their order, each with what it leads to.
#[derive(Clone, Debug)]
pub struct Patterns<T> {
    /// The one with the earliest pattern first.
    shapes: Arc<[Shape<T>]>,
}

/// The patterns that look at the same bits.
#[derive(Clone, Debug)]
struct Shape<T> {
    /// The place of its earliest pattern in the order.
    first: u32,
    mask: Mask,
    places: HashMap<Place, Node<T>, ConfigHash>,
}

/// What a shape looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mask {
    to: u32,
    from: u32,
    ingress: bool,
}

/// What it sees there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    addresses: u64,
    /// The protocol, and the port that it arrived by plus 1.
    rest: u16,
}

impl Place {
    #[inline]
    const fn new((to, from): (u32, u32), protocol: u8, ingress: Option<PortId>) -> Self {
        let ingress = match ingress {
            Some(port) => port.0 as u16 + 1,
            None => 0,
        };
        Self { addresses: (to as u64) << 32 | from as u64, rest: ingress << 8 | protocol as u16 }
    }
}

/// Whose the ports of one place are.
#[derive(Clone, Debug)]
enum Node<T> {
    One(Ports, Won<T>),
    /// From each port on until the next.
    Many(Box<[(u16, Option<Won<T>>)]>),
}

/// The port ranges of each place, in their order.
type Ranges<T> = HashMap<Place, Vec<(Ports, Won<T>)>, ConfigHash>;

/// A pattern's place in the order, and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Won<T> {
    rank: u32,
    target: T,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { shapes: Arc::new([]) }
    }
}

impl<T: Copy> Patterns<T> {
    /// Takes patterns in their order: the earlier comes first.
    pub fn new(patterns: impl IntoIterator<Item = (Pattern, T)>) -> Self {
        let mut shapes: BTreeMap<Mask, Ranges<T>> = BTreeMap::new();
        for (rank, (pattern, target)) in (0..).zip(patterns) {
            for ((to, mask), from) in prefixes(pattern.to).map(|to| (to, pattern)).flat_map(both) {
                for protocol in pattern.protocols() {
                    let place = Place::new((to, from), *protocol as u8, pattern.ingress.map(|ingress| ingress.port));
                    let places = shapes.entry(mask).or_default();
                    places.entry(place).or_default().push((pattern.ports, Won { rank, target }));
                }
            }
        }
        let shape = |(mask, places): (Mask, Ranges<T>)| Shape {
            first: places.values().flatten().map(|(_, won)| won.rank).min().unwrap_or(u32::MAX),
            mask,
            places: places.into_iter().map(|(place, ports)| (place, Node::new(&ports))).collect(),
        };
        let mut shapes: Vec<_> = shapes.into_iter().map(shape).collect();
        shapes.sort_by_key(|shape| shape.first);
        Self { shapes: shapes.into() }
    }

    /// Tells whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// Where the first pattern leads that a packet which came in by `ingress` fits.
    pub fn find(&self, packet: &Parsed, ingress: PortId) -> Option<T> {
        let protocol = packet.kind.transport()? as u8;
        let (src, dst) = (packet.src.as_v4()?, packet.dst.as_v4()?);
        let mut best: Option<Won<T>> = None;
        for shape in &*self.shapes {
            if best.is_some_and(|best| best.rank < shape.first) {
                break;
            }
            let Mask { to, from, ingress: named } = shape.mask;
            let place = Place::new((dst & to, src & from), protocol, named.then_some(ingress));
            if let Some(won) = shape.places.get(&place).and_then(|node| node.at(packet.dst_port))
                && best.is_none_or(|best| won.rank < best.rank)
            {
                best = Some(won);
            }
        }
        best.map(|won| won.target)
    }
}

impl<T: Copy> Node<T> {
    /// What `ranges`, in their order, come to where they overlap.
    fn new(ranges: &[(Ports, Won<T>)]) -> Self {
        if let [(ports, won)] = ranges {
            return Self::One(*ports, *won);
        }
        // Which ranges begin at a port, and which ended before it.
        let mut turns: BTreeMap<u32, (Vec<usize>, Vec<usize>)> = BTreeMap::from([(0, Default::default())]);
        for (nth, (ports, _)) in ranges.iter().enumerate() {
            turns.entry(ports.first.into()).or_default().0.push(nth);
            turns.entry(u32::from(ports.last) + 1).or_default().1.push(nth);
        }
        let mut open = BTreeSet::new();
        let mut whose = Vec::with_capacity(turns.len());
        for (port, (begin, end)) in turns {
            open.extend(begin);
            for nth in end {
                open.remove(&nth);
            }
            if let Ok(port) = u16::try_from(port) {
                whose.push((port, open.first().map(|nth| ranges[*nth].1)));
            }
        }
        Self::Many(whose.into())
    }

    #[inline]
    fn at(&self, port: u16) -> Option<Won<T>> {
        match self {
            Self::One(ports, won) => ports.contains(port).then_some(*won),
            Self::Many(whose) => whose[..whose.partition_point(|(first, _)| *first <= port)].last()?.1,
        }
    }
}

/// The prefixes of IPv4 addresses, in host order; no packet that is looked at has others.
fn prefixes(addresses: Addresses) -> impl Iterator<Item = (u32, u8)> {
    addresses.prefixes().filter_map(|(first, length)| match first {
        IpAddr::V4(first) => Some((first.to_bits(), length)),
        IpAddr::V6(_) => None,
    })
}

/// Each of a pattern's source prefixes beside one of its destination prefixes, with the mask of the two.
fn both(((to, to_length), pattern): ((u32, u8), Pattern)) -> impl Iterator<Item = ((u32, Mask), u32)> {
    let mask = |length: u8| if length == 0 { 0 } else { u32::MAX << (32 - length) };
    prefixes(pattern.from).map(move |(from, from_length)| {
        let mask = Mask { to: mask(to_length), from: mask(from_length), ingress: pattern.ingress.is_some() };
        ((to, mask), from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::address::{Address, Family};
    use crate::dataplane::parse::Kind;
    use crate::dataplane::selector::Ingress;
    use crate::dataplane::service::Protocol;
    use proptest::prelude::*;

    fn packet(kind: Kind, src: u32, dst: u32, dst_port: u16) -> Parsed {
        Parsed { kind, src: Address::v4(src), dst: Address::v4(dst), dst_port, ..Parsed::NOTHING }
    }

    fn range(first: u32, last: u32) -> Addresses {
        let [first, last] = [first, last].map(|end| Address::v4(end).to_ip());
        Addresses { first, last }
    }

    fn fits(pattern: &Pattern, packet: &Parsed, ingress: PortId) -> bool {
        pattern.protocol.is_none_or(|protocol| Some(protocol) == packet.kind.transport())
            && pattern.from.contains(packet.src.to_ip())
            && pattern.to.contains(packet.dst.to_ip())
            && pattern.ports.contains(packet.dst_port)
            && pattern.ingress.is_none_or(|wanted| wanted.port == ingress)
    }

    /// Few addresses and ports, so that patterns overlap.
    fn pattern() -> impl Strategy<Value = Pattern> {
        let bounds = |most: u32| (0..most, 0..most).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let addresses = move || {
            let some = bounds(40).prop_map(|(first, last)| range(first, last));
            prop_oneof![1 => Just(Addresses::every(Family::V4)), 3 => some]
        };
        let some = bounds(30).prop_map(|(first, last)| Ports { first: first as u16, last: last as u16 });
        let ports = prop_oneof![1 => Just(Ports::EVERY), 3 => some];
        let protocol = proptest::option::of(prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]);
        let ingress = proptest::option::weighted(0.3, (0u8..3).prop_map(PortId));
        (protocol, addresses(), addresses(), ports, ingress).prop_map(|(protocol, from, to, ports, ingress)| {
            let ingress = ingress.map(|port| Ingress { port, name: Default::default() });
            Pattern { protocol, from, to, ports, ingress }
        })
    }

    proptest! {
        #[test]
        fn it_is_the_first_that_fits(
            patterns in proptest::collection::vec(pattern(), 0..40),
            packets in proptest::collection::vec((0u32..45, 0u32..45, 1u16..35, 0u8..3, any::<bool>()), 1..60),
        ) {
            let found = Patterns::new(patterns.iter().copied().zip(0usize..));
            for (src, dst, port, ingress, tcp) in packets {
                let packet = packet(if tcp { Kind::Tcp } else { Kind::Udp }, src, dst, port);
                let first = patterns.iter().position(|pattern| fits(pattern, &packet, PortId(ingress)));
                prop_assert_eq!(found.find(&packet, PortId(ingress)), first);
            }
        }
    }

    #[test]
    fn ten_thousand_of_one_shape_are_one_look() {
        let prefix = |n: u32| range(n << 4, n << 4 | 15);
        let each = |n: u32| (Pattern { to: prefix(n), ports: Ports::single(80), ..Pattern::every(Family::V4) }, n);
        let patterns = Patterns::new((0..10_000).map(each));
        assert_eq!(patterns.shapes.len(), 1);
        for n in (0..10_000).step_by(97) {
            assert_eq!(patterns.find(&packet(Kind::Tcp, 1, n << 4 | 7, 80), PortId(0)), Some(n));
            assert_eq!(patterns.find(&packet(Kind::Tcp, 1, n << 4 | 7, 81), PortId(0)), None);
        }
    }

    #[test]
    fn many_port_ranges_of_one_place_do_not_multiply() {
        // Each lies in the one before: what comes first hides the rest.
        let nested =
            |n: u16| (Pattern { ports: Ports { first: n, last: u16::MAX - n }, ..Pattern::every(Family::V4) }, n);
        for order in [(0..10_000).collect::<Vec<_>>(), (0..10_000).rev().collect()] {
            let patterns = Patterns::new(order.iter().map(|n| nested(*n)));
            let [shape] = &*patterns.shapes else { panic!() };
            for node in shape.places.values() {
                assert!(matches!(node, Node::Many(whose) if whose.len() <= 20_001));
            }
            let expected = if order[0] == 0 { 0 } else { 5000 };
            assert_eq!(patterns.find(&packet(Kind::Udp, 1, 2, 5000), PortId(0)), Some(expected));
        }
    }

    #[test]
    fn what_is_no_transport_fits_nothing() {
        let patterns = Patterns::new([(Pattern::every(Family::V4), ())]);
        assert_eq!(patterns.find(&packet(Kind::Icmp, 1, 2, 0), PortId(0)), None);
        assert_eq!(patterns.find(&packet(Kind::Sctp, 1, 2, 3), PortId(0)), Some(()));
        assert!(Patterns::<()>::default().is_empty());
    }
}
