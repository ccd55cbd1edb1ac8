//! Configurations that follow one another, over the whole data plane: what goes, stays, comes back or is refused.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;

use millrace::ctrl::apply::ApplyError;
use millrace::dataplane::address::TransportAddress;
use millrace::dataplane::neigh::CAPACITY;
use millrace::dataplane::sched::Plan;
use millrace::dataplane::service::{PortId, RealId};
use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const FIRST: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 11), 80);
const SECOND: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 12), 80);

fn service(protocol: &str, reals: &[(Ipv4Addr, u16)]) -> String {
    let head = format!("[[service]]\naddress = '{}:{}'\nprotocol = '{protocol}'\nscheduler = 'wrr'\n", VIP.0, VIP.1);
    let reals = reals.iter().map(|(real, weight)| format!("[[service.real]]\naddress = '{real}'\nweight = {weight}\n"));
    head + &reals.collect::<String>()
}

fn syn(port: u16) -> Vec<u8> {
    tcp((CLIENT.0, port), VIP, WAN_MAC, "S", b"")
}

#[test]
fn a_service_that_comes_back_with_other_weights_is_scheduled_at_once() {
    let mut director = Director::new(&service("tcp", &[(FIRST.0, 100), (SECOND.0, 100)]), 1);
    director.through(0, WAN, &syn(1000), LAN);
    director.reload("");
    director.reload(&service("tcp", &[(FIRST.0, 1), (SECOND.0, 1)]));
    for (port, server) in [(1001, FIRST), (1002, SECOND), (1003, FIRST)] {
        assert_eq!(sockets(&director.through(0, WAN, &syn(port), LAN)).1, server);
    }
    assert_eq!(director.count(Outcome::DropNoRealServer), 0);
}

/// The addresses in the slots of the first service's table.
fn mh_table(director: &Director) -> Vec<TransportAddress> {
    let snapshot = director.applier.viewer().current();
    let service = snapshot.services.iter().flatten().next().unwrap();
    let Plan::Slots(slots) = &service.plan else { panic!("{:?}", service.plan) };
    let address = |place: &u32| snapshot.real(service.reals[*place as usize].id).unwrap().address;
    slots.table().iter().map(address).collect()
}

#[test]
fn directors_that_came_to_one_configuration_by_different_ways_have_one_mh_table() {
    let mh = |reals: &[(Ipv4Addr, u16)]| service("tcp", reals).replace("'wrr'", "'mh'\nmh_table_size = 2039");
    let reals: Vec<_> = (0..40u8).map(|n| (Ipv4Addr::new(10, 0, 0, 11 + n), 1 + u16::from(n % 5))).collect();
    let at_once = mh_table(&Director::new(&mh(&reals), 1));
    assert_eq!(at_once.len(), 2039);
    let mut shuffled = reals.clone();
    fastrand::Rng::with_seed(7).shuffle(&mut shuffled);
    assert_eq!(mh_table(&Director::new(&mh(&shuffled), 2)), at_once);

    // One after the other, some at first with another weight, and one that goes again.
    let guest = (Ipv4Addr::new(10, 0, 0, 9), 3);
    let mut grown = Director::new(&mh(&[guest]), 1);
    for count in 1..=shuffled.len() {
        let weight =
            |(at, (real, weight)): (usize, &(Ipv4Addr, u16))| (*real, if at + 1 == count { 7 } else { *weight });
        let so_far: Vec<_> = shuffled[..count].iter().enumerate().map(weight).chain([guest]).collect();
        grown.reload(&mh(&so_far));
    }
    assert_ne!(mh_table(&grown), at_once);
    grown.reload(&mh(&shuffled));
    assert_eq!(mh_table(&grown), at_once);
}

#[test]
fn a_client_that_keeps_talking_to_a_removed_server_gets_another_in_the_end() {
    let both = [(FIRST.0, 1), (SECOND.0, 1)];
    let mut director = Director::new(&service("udp", &both), 1);
    let query = udp(CLIENT, VIP, WAN_MAC, b"?");
    assert_eq!(sockets(&director.through(0, WAN, &query, LAN)).1, FIRST);
    director.reload(&service("udp", &both[1..]));
    let mut seconds = 0;
    let answer = loop {
        director.pass(10_000);
        seconds += 10;
        director.quiet();
        let sent = director.give(0, WAN, &query);
        if let [(LAN, frame)] = &sent[..] {
            break frame.clone();
        }
        assert!(seconds < 400, "IPVS does not restart the timer of a connection whose server is gone");
    };
    assert_eq!(sockets(&answer).1, SECOND);
    assert!(seconds > 290, "and lets it run: the server may come back");
    director.balanced();
}

#[test]
fn a_refused_configuration_leaves_no_trace() {
    let running = service("tcp", &[(FIRST.0, 1)]);
    let mut director = Director::new(&running, 1);
    let mut next = config(&running);
    next.ports[LAN].addresses = vec!["10.0.0.1/16".parse().unwrap()];
    // More next hops than the neighbour table has room for.
    for address in 0x0a00_0100..0x0a00_0100 + 2 * CAPACITY as u32 {
        let mut real = next.services[0].reals[0].clone();
        real.address.set_ip(Ipv4Addr::from_bits(address).into());
        Arc::make_mut(&mut next.services[0]).reals.push(real);
    }
    next.neighbors[1].mac = [2, 0, 0, 0, 9, 9];
    let refused = director.applier.apply(&next, director.now);
    assert!(matches!(refused, Err(ApplyError::Neighbors(_))), "{refused:?}");
    let sent = director.through(0, WAN, &syn(1000), LAN);
    assert_eq!(sent[..6], [2, 0, 0, 0, 1, 0x0b], "the static neighbour is the running configuration's");
    director.applier.tend(director.now);
    director.pass(62_000);
    director.applier.tend(director.now);
    director.pass(62_000);
    let left = director.shared.neighbors.list(director.now);
    assert_eq!(left.len(), 3, "only the running configuration's next hops keep their slots");
}

#[test]
fn a_removed_static_neighbour_is_asked_for() {
    let services = service("tcp", &[(FIRST.0, 1)]);
    let mut director = Director::new(&services, 1);
    let mut next = config(&services);
    next.neighbors.retain(|neighbor| neighbor.address != std::net::IpAddr::V4(FIRST.0));
    director.applier.apply(&next, director.now).unwrap();
    let sent = director.give(0, WAN, &syn(1000));
    assert_eq!((sent.len(), sent[0].0, &sent[0].1[38..42]), (1, LAN, &FIRST.0.octets()[..]));
    assert!(director.shared.neighbors.find(PortId(LAN as u8), FIRST.0.into()).is_some());
    assert_eq!(director.shared.counts.connections(RealId(1)).active, 1);
}

#[test]
fn connections_keep_the_method_they_began_with() {
    for protocol in ["tcp", "udp"] {
        let by = |method: &str| service(protocol, &[(FIRST.0, 1)]) + &format!("forwarding = '{method}'\n");
        let packet = |port: u16, flags: &str| match protocol {
            "tcp" => tcp((CLIENT.0, port), VIP, WAN_MAC, flags, b""),
            _ => udp((CLIENT.0, port), VIP, WAN_MAC, b"?"),
        };
        let answer = |port: u16| match protocol {
            "tcp" => tcp(FIRST, (CLIENT.0, port), LAN_MAC, "A", b""),
            _ => udp(FIRST, (CLIENT.0, port), LAN_MAC, b"!"),
        };
        let mut director = Director::new(&by("nat"), 2);
        assert_eq!(sockets(&director.through(0, WAN, &packet(1000, "S"), LAN)).1, FIRST);
        director.reload(&by("direct"));
        assert_eq!(sockets(&director.through(0, WAN, &packet(1001, "S"), LAN)).1, VIP, "a new one by the new method");
        assert_eq!(sockets(&director.through(1, WAN, &packet(1000, "A"), LAN)).1, FIRST, "an old one by the old");
        assert_eq!(sockets(&director.through(1, LAN, &answer(1000), WAN)).0, VIP, "and its answers come back");
        director.reload(&by("nat"));
        assert_eq!(sockets(&director.through(0, WAN, &packet(1001, "A"), LAN)).1, VIP);
        assert_eq!(sockets(&director.through(0, WAN, &packet(1002, "S"), LAN)).1, FIRST);
        assert_eq!(sockets(&director.through(0, LAN, &answer(1000), WAN)).0, VIP);
        assert_eq!(sockets(&director.through(0, LAN, &answer(1002), WAN)).0, VIP);
        director.pass(1_000_000);
        assert!((1..10).all(|real| director.shared.counts.connections(RealId(real)) == Default::default()));
        director.reload(&by("nat"));
        assert_eq!(sockets(&director.through(0, WAN, &packet(1000, "S"), LAN)).1, FIRST);
        director.balanced();
    }
}

#[test]
fn a_drained_server_keeps_its_place_in_the_maglev_table() {
    let mh = |weights: [u16; 2]| {
        service("tcp", &[(FIRST.0, weights[0]), (SECOND.0, weights[1])]).replace("'wrr'", "'mh'\nno_server = 'drop'")
    };
    let mut director = Director::new(&mh([3, 1]), 1);
    // A port for each try: the connections of the tries before stay where they are.
    let chosen = |director: &mut Director, port: u16| -> Vec<Option<Ipv4Addr>> {
        let client = |n: u8| (Ipv4Addr::new(198, 51, 100, n), port);
        let mut server = |n| director.give(0, WAN, &tcp(client(n), VIP, WAN_MAC, "S", b""));
        (1..=100).map(|n| server(n).first().map(|(_, frame)| sockets(frame).1.0)).collect()
    };
    let before = chosen(&mut director, 1000);
    let first = before.iter().filter(|server| **server == Some(FIRST.0)).count();
    assert!((60..90).contains(&first), "{first}");
    director.reload(&mh([0, 1]));
    let drained = chosen(&mut director, 1001);
    let expected: Vec<_> = before.iter().map(|server| server.filter(|server| *server == SECOND.0)).collect();
    assert_eq!(drained, expected, "who was the drained server's is refused, and nobody moves");
    director.reload(&mh([3, 1]));
    assert_eq!(chosen(&mut director, 1002), before);
    // Who comes with weight 0 never had another.
    director.reload("");
    director.reload(&mh([0, 1]));
    assert_eq!(chosen(&mut director, 1003), [Some(SECOND.0); 100]);
    director.balanced();
}
