//! The table against a look at each route.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

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
fn table(routes: &[(Ipv4Net, u8, bool)]) -> Routes {
    let mut draft = Draft::default();
    routes.iter().for_each(|(to, port, up)| draft.add(*to, on(*port), *up));
    draft.finish()
}

fn routes(routes: &[(&str, u8)]) -> Routes {
    let routes: Vec<_> = routes.iter().map(|(to, port)| (to.parse().unwrap(), *port, true)).collect();
    table(&routes)
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

#[test]
fn random_routes_agree_with_a_look_at_each() {
    let mut draw = random();
    // Few, and so many that the first two octets are asked.
    for (rounds, count) in [(50, 20), (3, 3000)] {
        for _ in 0..rounds {
            let routes: Vec<(Ipv4Net, u8, bool)> = (0..count)
                .map(|n| {
                    let net = Ipv4Net::new_assert(Ipv4Addr::from_bits(draw() & 0x0fff_ffff), (draw() % 33) as u8);
                    (net, n as u8, !draw().is_multiple_of(4))
                })
                .collect();
            let made = table(&routes);
            assert_eq!(made.pairs.is_empty(), count == 20);
            for n in 0..400 {
                // Of those at the edge of a prefix, too.
                let net = routes[n % routes.len()].0;
                let edges = [net.network().to_bits(), net.broadcast().to_bits()];
                let near = edges[n % 2].wrapping_add(draw() % 3).wrapping_sub(1);
                for address in [draw() & 0x1fff_ffff, near] {
                    let holds = |net: &Ipv4Net| net.contains(&Ipv4Addr::from_bits(address));
                    let later: Vec<_> = routes.iter().enumerate().filter(|(_, (net, ..))| holds(net)).collect();
                    let last = |net: Ipv4Net| later.iter().rev().find(|(_, route)| route.0.trunc() == net.trunc());
                    let counting = later.iter().filter(|(n, route)| last(route.0).is_some_and(|(last, _)| last == n));
                    let best = counting.max_by_key(|(_, (net, _, up))| (*up, net.prefix_len()));
                    assert_eq!(made.find(address), best.and_then(|(_, route)| on(route.1)), "{address:#x}");
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
        draft.add(Ipv4Net::new_assert(Ipv4Addr::new(10, n as u8, 0, 0), 16), via, true);
    }
    assert_eq!(*draft.finish().starts, [0, 0x0a00_0000, 0x0b00_0000]);
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
