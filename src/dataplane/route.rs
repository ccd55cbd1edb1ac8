//! Where a packet goes next: on-link prefixes and static routes, by the longest matching prefix.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::neigh::NeighborId;
use super::service::PortId;

/// The next station on a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The port to send from.
    pub port: PortId,
    /// The station's entry in the neighbour table.
    pub neighbor: NeighborId,
}

/// Where a prefix leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Stations of the prefix are on this port's own link.
    OnLink(PortId),
    /// They are behind a gateway.
    Via {
        /// The gateway, an on-link station.
        gateway: Ipv4Addr,
        /// Its port and neighbour entry.
        hop: NextHop,
    },
}

/// All routes, immutable within a snapshot: the addresses in order, cut into spans where another target begins. An
/// address's first octet tells its span, or a few, among which a binary search decides.
#[derive(Clone, Debug)]
pub struct Routes {
    /// The first address of each span, in host order; the first span's is 0.
    starts: Arc<[u32]>,
    targets: Arc<[Option<Target>]>,
    /// By first octet: the first and the last span of its addresses.
    octets: Arc<[(u32, u32); 256]>,
}

impl Default for Routes {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<(Ipv4Net, Target)> for Routes {
    /// Of two routes for the same prefix the later one counts.
    fn from_iter<I: IntoIterator<Item = (Ipv4Net, Target)>>(routes: I) -> Self {
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_by_key(|(to, _)| to.prefix_len());
        let mut spans = BTreeMap::from([(0, None)]);
        for (to, target) in routes {
            let (first, last) = (to.network().to_bits(), to.broadcast().to_bits());
            let before = |address: u32| spans.range(..=address).next_back().and_then(|(_, target)| *target);
            if let Some(next) = last.checked_add(1) {
                let rest = before(next);
                spans.entry(next).or_insert(rest);
            }
            while let Some((&inside, _)) = spans.range(first..=last).next() {
                spans.remove(&inside);
            }
            spans.insert(first, Some(target));
        }
        let starts: Arc<[u32]> = spans.keys().copied().collect();
        let span = |address: u32| starts.partition_point(|start| *start <= address) as u32 - 1;
        let octets =
            std::array::from_fn(|octet| (span((octet as u32) << 24), span((octet as u32) << 24 | 0x00ff_ffff)));
        Self { targets: spans.into_values().collect(), octets: Arc::new(octets), starts }
    }
}

impl Routes {
    /// Finds where an address, in host order, leads.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Target> {
        let (first, last) = self.octets[(address >> 24) as usize];
        let mut span = first as usize;
        if first != last {
            let later = self.starts.get(span + 1..=last as usize)?;
            span += later.partition_point(|start| *start <= address);
        }
        *self.targets.get(span)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(port: u8) -> Target {
        Target::OnLink(PortId(port))
    }

    fn routes(routes: &[(&str, u8)]) -> Routes {
        routes.iter().map(|(to, port)| (to.parse().unwrap(), on(*port))).collect()
    }

    fn find(routes: &Routes, address: &str) -> Option<Target> {
        routes.find(address.parse::<Ipv4Addr>().unwrap().to_bits())
    }

    #[test]
    fn the_longest_prefix_counts_whatever_the_order() {
        let routes = routes(&[("10.1.2.0/24", 3), ("10.0.0.0/8", 1), ("10.1.2.128/25", 4), ("10.1.0.0/16", 2)]);
        for (address, port) in [
            ("10.0.0.0", 1),
            ("10.1.0.0", 2),
            ("10.1.1.255", 2),
            ("10.1.2.0", 3),
            ("10.1.2.127", 3),
            ("10.1.2.128", 4),
            ("10.1.2.255", 4),
            ("10.1.3.0", 2),
            ("10.2.0.0", 1),
            ("10.255.255.255", 1),
        ] {
            assert_eq!(find(&routes, address), Some(on(port)), "{address}");
        }
        for address in ["0.0.0.0", "9.255.255.255", "11.0.0.0", "255.255.255.255"] {
            assert_eq!(find(&routes, address), None, "{address}");
        }
        assert_eq!(Routes::default().find(7), None);
    }

    #[test]
    fn a_default_route_covers_both_ends_and_a_host_route_one_address() {
        let routes = routes(&[("0.0.0.0/0", 1), ("255.255.255.255/32", 2), ("0.0.0.0/32", 3), ("10.0.0.9/32", 4)]);
        for (address, port) in [("0.0.0.0", 3), ("0.0.0.1", 1), ("10.0.0.9", 4), ("10.0.0.10", 1)] {
            assert_eq!(find(&routes, address), Some(on(port)), "{address}");
        }
        assert_eq!(find(&routes, "255.255.255.255"), Some(on(2)));
        assert_eq!(find(&routes, "255.255.255.254"), Some(on(1)));
    }

    #[test]
    fn the_later_of_two_routes_for_a_prefix_counts() {
        let routes = routes(&[("10.0.0.0/8", 1), ("10.9.9.9/8", 2)]);
        assert_eq!(find(&routes, "10.0.0.0"), Some(on(2)));
    }

    #[test]
    fn random_routes_agree_with_a_look_at_each() {
        let mut random = 1u32;
        let mut draw = || {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random
        };
        for _ in 0..50 {
            let nets: Vec<Ipv4Net> = (0..20)
                .map(|_| Ipv4Net::new_assert(Ipv4Addr::from_bits(draw() & 0x0fff_ffff), (draw() % 33) as u8))
                .collect();
            let routes: Routes = nets.iter().enumerate().map(|(n, net)| (*net, on(n as u8))).collect();
            for _ in 0..200 {
                let address = draw() & 0x1fff_ffff;
                let holds = |net: &Ipv4Net| net.contains(&Ipv4Addr::from_bits(address));
                let best =
                    nets.iter().enumerate().filter(|(_, net)| holds(net)).max_by_key(|(n, net)| (net.prefix_len(), *n));
                assert_eq!(routes.find(address), best.map(|(n, _)| on(n as u8)), "{address:#x} in {nets:?}");
            }
        }
    }
}
