//! The table against a look at each route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::super::parse::{Kind, Parsed};
use super::*;
use crate::dataplane::address::Address;

fn on(port: u8) -> Option<Target> {
    Some(Target::OnLink(PortId(port)))
}

fn hop(number: u32) -> NextHop {
    NextHop { port: PortId(0), neighbor: NeighborId(number) }
}

/// A table of these prefixes, each with its port, and whether that has a link.
fn table(routes: &[(IpNet, u8, bool)]) -> Routes {
    let mut draft = Draft::default();
    routes.iter().for_each(|(to, port, up)| draft.add(*to, on(*port), *up));
    draft.finish()
}

fn routes(routes: &[(&str, u8)]) -> Routes {
    let routes: Vec<_> = routes.iter().map(|(to, port)| (to.parse().unwrap(), *port, true)).collect();
    table(&routes)
}

fn find(routes: &Routes, address: &str) -> Option<Target> {
    let address = Address::from(address.parse::<IpAddr>().unwrap());
    let found = routes.find_address(address);
    if let Some(bits) = address.as_v4() {
        assert_eq!(routes.find(bits), found);
    }
    found
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
        assert_eq!(find(&routes, address), on(port), "{address}");
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
        assert_eq!(find(&routes, address), on(port), "{address}");
    }
    assert_eq!(find(&routes, "255.255.255.255"), on(2));
    assert_eq!(find(&routes, "255.255.255.254"), on(1));
}

#[test]
fn each_family_has_its_own_routes() {
    let routes = routes(&[
        ("0.0.0.0/0", 1),
        ("::/0", 2),
        ("2001:db8::/32", 3),
        ("2001:db8:1::/48", 4),
        ("2001:db8:1::9/128", 5),
        ("2001:db8:1:2::/64", 6),
        ("::/128", 7),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 8),
    ]);
    for (address, port) in [
        ("203.0.113.1", 1),
        ("::1", 2),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 2),
        ("2001:db8::", 3),
        ("2001:db8:0:ffff:ffff:ffff:ffff:ffff", 3),
        ("2001:db8:1::", 4),
        ("2001:db8:1::8", 4),
        ("2001:db8:1::9", 5),
        ("2001:db8:1::a", 4),
        ("2001:db8:1:1:ffff:ffff:ffff:ffff", 4),
        ("2001:db8:1:2::", 6),
        ("2001:db8:1:3::", 4),
        ("2001:db8:2::", 3),
        ("2001:db9::", 2),
        ("::", 7),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 2),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 8),
    ] {
        assert_eq!(find(&routes, address), on(port), "{address}");
    }
}

#[test]
fn the_later_of_two_routes_for_a_prefix_counts() {
    let routes = routes(&[("10.0.0.0/8", 1), ("10.9.9.9/8", 2)]);
    assert_eq!(find(&routes, "10.0.0.0"), on(2));
}

#[test]
fn a_route_without_a_link_is_the_last_to_be_taken() {
    let routes: Vec<_> = [("0.0.0.0/0", 1, true), ("10.0.0.0/8", 2, false), ("10.1.0.0/16", 3, true)]
        .map(|(to, port, up)| (to.parse().unwrap(), port, up))
        .into();
    let with_default = table(&routes);
    assert_eq!(["10.0.0.1", "10.1.0.1", "11.0.0.1"].map(|to| find(&with_default, to)), [on(1), on(3), on(1)]);
    let without = table(&routes[1..]);
    assert_eq!(["10.0.0.1", "10.1.0.1", "11.0.0.1"].map(|to| find(&without, to)), [on(2), on(3), None]);
    let all_down: Vec<_> = routes.iter().map(|(to, port, _)| (*to, *port, false)).collect();
    assert_eq!(["10.0.0.1", "10.1.0.1", "11.0.0.1"].map(|to| find(&table(&all_down), to)), [on(2), on(3), on(1)]);
}

#[test]
fn where_packets_shall_not_go_no_shorter_prefix_leads() {
    let mut draft = Draft::default();
    draft.add("0.0.0.0/0".parse().unwrap(), on(1), true);
    draft.add("10.0.0.0/8".parse().unwrap(), None, true);
    draft.add("10.1.0.0/16".parse().unwrap(), on(2), true);
    let routes = draft.finish();
    assert_eq!(["9.0.0.1", "10.0.0.1", "10.1.0.1"].map(|to| find(&routes, to)), [on(1), None, on(2)]);
}

/// Numbers that follow each other without a pattern.
fn random() -> impl FnMut() -> u32 {
    let mut random = 1u32;
    move || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random
    }
}

/// An address and prefix length of each family out of which many share their first bits.
fn crowded_v4(draw: &mut impl FnMut() -> u32) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::from_bits(draw() & 0x0fff_ffff), (draw() % 33) as u8).into()
}

fn crowded_v6(draw: &mut impl FnMut() -> u32) -> IpNet {
    let upper = 0x2000_0000 | draw() & 0x0301_00ff;
    let bits = u128::from(upper) << 96 | u128::from(draw()) << 64 | u128::from(draw() & 0xf000_000f);
    Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), (draw() % 129) as u8).into()
}

/// The same address `by` further.
fn near(address: IpAddr, by: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits().wrapping_add(by).wrapping_sub(1)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits().wrapping_add(by.into()).wrapping_sub(1)).into(),
    }
}

#[test]
fn random_routes_agree_with_a_look_at_each() {
    let mut draw = random();
    // Few, and so many that the first two octets are asked.
    for (rounds, count) in [(50, 20), (3, 3000)] {
        for round in 0..2 * rounds {
            let is_v4 = round % 2 == 0;
            let mut draw_net = || if is_v4 { crowded_v4(&mut draw) } else { crowded_v6(&mut draw) };
            let others: Vec<IpNet> = (0..400).map(|_| draw_net()).collect();
            let nets: Vec<IpNet> = (0..count).map(|_| draw_net()).collect();
            let routes: Vec<(IpNet, u8, bool)> =
                nets.iter().enumerate().map(|(n, net)| (*net, n as u8, !draw().is_multiple_of(4))).collect();
            let made = table(&routes);
            assert_eq!(made.v4.pairs.is_empty(), count == 20 || !is_v4);
            assert_eq!(made.v6.pairs.is_empty(), count == 20 || is_v4);
            for (n, other) in others.iter().enumerate() {
                // Of those at the edge of a prefix, too.
                let net = nets[n % nets.len()];
                let edge = if n % 2 == 0 { net.network() } else { net.broadcast() };
                for address in [other.addr(), near(edge, draw() % 3)] {
                    let later: Vec<_> =
                        routes.iter().enumerate().filter(|(_, (net, ..))| net.contains(&address)).collect();
                    let last = |net: IpNet| later.iter().rev().find(|(_, route)| route.0.trunc() == net.trunc());
                    let counting = later.iter().filter(|(n, route)| last(route.0).is_some_and(|(last, _)| last == n));
                    let best = counting.max_by_key(|(_, (net, _, up))| (*up, net.prefix_len()));
                    let expected = best.and_then(|(_, route)| on(route.1));
                    assert_eq!(find(&made, &address.to_string()), expected, "{address}");
                }
            }
        }
    }
}

#[test]
fn what_leads_to_the_same_place_is_one_span() {
    let mut draft = Draft::default();
    let via = draft.via(&[(hop(1), 1)]);
    for n in 0..256 {
        draft.add(Ipv4Net::new_assert(Ipv4Addr::new(10, n as u8, 0, 0), 16).into(), via, true);
    }
    assert_eq!(*draft.finish().v4.starts, [0, 0x0a00_0000, 0x0b00_0000]);
}

/// How many of 64,000 flows take each of the next hops.
fn shares(weights: &[u16]) -> Vec<u32> {
    let mut draft = Draft::default();
    let hops: Vec<_> = weights.iter().enumerate().map(|(n, weight)| (hop(n as u32), *weight)).collect();
    let target = draft.via(&hops);
    draft.add("0.0.0.0/0".parse().unwrap(), target, true);
    let routes = draft.finish();
    let Some(Target::Several(several)) = routes.find(7) else { panic!("{:?}", routes.find(7)) };
    let mut shares = vec![0; weights.len()];
    for n in 0..64_000 {
        let packet = Parsed {
            kind: Kind::Tcp,
            src: Address::v4(0x0a00_0001),
            dst: Address::v4(n / 16),
            dst_port: n as u16,
            ..Parsed::NOTHING
        };
        shares[routes.member(several, flow::of(&packet)).unwrap().neighbor.0 as usize] += 1;
    }
    shares
}

#[test]
fn flows_are_shared_by_weight() {
    for (weights, places) in [
        (&[1, 1][..], 2),
        (&[2, 2, 4], 4),
        (&[1, 3], 4),
        (&[7, 7, 7], 3),
        (&[1, 65_535], 1024),
        (&[40_000, 30_001], 1024),
    ] {
        let total: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
        let shares = shares(weights);
        for (weight, share) in weights.iter().zip(&shares) {
            let ideal = 64_000.0 * f64::from(*weight) / f64::from(total);
            // Nobody has less than one place of 1024.
            let ideal = ideal.max(62.5);
            assert!((f64::from(*share) - ideal).abs() < 0.1 * ideal + 20.0, "{weights:?}: {shares:?}");
        }
        let mut draft = Draft::default();
        let hops: Vec<_> = weights.iter().enumerate().map(|(n, weight)| (hop(n as u32), *weight)).collect();
        draft.via(&hops);
        let taken = draft.finish().hops.len();
        assert!(taken.abs_diff(places) <= 1, "{weights:?}: {taken}");
    }
}

#[test]
fn what_tells_a_flow_tells_its_hash() {
    let packet = Parsed {
        kind: Kind::Tcp,
        src: Address::v4(1),
        dst: Address::v4(2),
        src_port: 3,
        dst_port: 4,
        ttl: 64,
        ..Parsed::NOTHING
    };
    let others = [
        Parsed { src: packet.dst, dst: packet.src, ..packet },
        Parsed { src_port: 4, dst_port: 3, ..packet },
        Parsed { dst_port: 5, ..packet },
        Parsed { kind: Kind::Udp, ..packet },
    ];
    assert!(others.iter().all(|other| flow::of(other) != flow::of(&packet)));
    assert_eq!(flow::of(&Parsed { ttl: 1, tos: 4, ip_octets: 900, ..packet }), flow::of(&packet));
}

#[test]
fn every_bit_of_an_ipv6_flow_tells_its_hash() {
    let (src, dst, more) = (0x2001_0db8_u128 << 96 | 7, 0x2001_0db8_0005_u128 << 80 | 0x10, 0x9c_4000_5006_u64);
    let hash = |src, dst, more| flow::between(Address::from_bits(src), Address::from_bits(dst), more);
    let mut changed = vec![hash(src, dst, more), hash(dst, src, more)];
    changed.extend((0..128).flat_map(|bit| [hash(src ^ 1 << bit, dst, more), hash(src, dst ^ 1 << bit, more)]));
    changed.extend((0..48).map(|bit| hash(src, dst, more ^ 1 << bit)));
    let all = changed.len();
    // Each bit of the hash is changed by about half of them.
    for bit in 0..32 {
        let ones = changed.iter().filter(|hash| **hash >> bit & 1 != 0).count();
        assert!(ones.abs_diff(all / 2) < all / 5, "bit {bit}: {ones} of {all}");
    }
    changed.sort_unstable();
    changed.dedup();
    assert_eq!(changed.len(), all);
}

#[test]
fn an_ipv4_flow_has_the_same_hash_in_either_form() {
    let (src, dst) = (0x0a00_0001, 0xc000_0201);
    assert_eq!(flow::between(Address::v4(src), Address::v4(dst), 9), flow::hash(src, dst, 9));
}
