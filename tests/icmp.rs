//! ICMP echo as a service: requests to a VIP are shared among its real servers.

mod support;

use std::net::Ipv4Addr;

use etherparse::{PacketBuilder, checksum::Sum16BitWords};
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);

fn service(vip: Ipv4Addr, forwarding: &str) -> String {
    format!(
        "[[service]]\naddress = '{vip}'\nprotocol = 'icmp'\nscheduler = 'rr'\nforwarding = '{forwarding}'\n\
         real = [{{ address = '10.0.0.11' }}, {{ address = '10.0.0.12' }}]\n"
    )
}

fn message(from: Ipv4Addr, to: Ipv4Addr, mac: [u8; 6], identifier: u16, reply: bool) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, mac).ipv4(from.octets(), to.octets(), 64);
    let mut bytes = Vec::new();
    if reply {
        builder.icmpv4_echo_reply(identifier, 3).write(&mut bytes, b"ping?").unwrap();
    } else {
        builder.icmpv4_echo_request(identifier, 3).write(&mut bytes, b"ping?").unwrap();
    }
    bytes
}

/// Source and destination of an echo message, whose checksum must be right.
fn addresses(frame: &[u8]) -> (Ipv4Addr, Ipv4Addr) {
    assert_eq!(Sum16BitWords::new().add_slice(&frame[34..]).ones_complement(), 0, "ICMP sum");
    let address = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    (address(26), address(30))
}

#[test]
fn pings_are_shared_and_answered_by_the_vip() {
    for workers in [1, 2] {
        let mut director = Director::new(&service(VIP, "nat"), workers);
        for (identifier, server) in [(0, FIRST), (1, SECOND), (65_535, FIRST)] {
            for worker in 0..workers {
                let request = message(CLIENT, VIP, WAN_MAC, identifier, false);
                assert_eq!(addresses(&director.through(0, WAN, &request, LAN)), (CLIENT, server));
                let reply = message(server, CLIENT, LAN_MAC, identifier, true);
                let reply = director.through(worker, LAN, &reply, WAN);
                assert_eq!(addresses(&reply), (VIP, CLIENT));
                assert_eq!((reply[34], &reply[38..40]), (0, &identifier.to_be_bytes()[..]), "as it came");
            }
        }
        let connections = director.shared.counts.connections(RealId(1));
        assert_eq!((connections.active, connections.inactive), (0, 2));
        director.pass(63_000);
        assert_eq!(director.shared.counts.connections(RealId(1)), Default::default(), "a minute after the last");
        director.balanced();
    }
}

#[test]
fn the_one_sided_methods() {
    let mut director = Director::new(&service(VIP, "direct"), 1);
    let request = message(CLIENT, VIP, WAN_MAC, 7, false);
    assert_eq!(addresses(&director.through(0, WAN, &request, LAN)), (CLIENT, VIP));
    let mut director = Director::new(&service(VIP, "tunnel"), 1);
    let tunnelled = director.through(0, WAN, &request, LAN);
    assert_eq!((tunnelled.len(), &tunnelled[54..]), (request.len() + 20, &request[34..]));
}

#[test]
fn everything_else_is_as_without_it() {
    let mut director = Director::new(&service(VIP, "nat"), 1);
    let mine = director.through(0, WAN, &message(CLIENT, Ipv4Addr::new(192, 0, 2, 2), WAN_MAC, 7, false), WAN);
    assert_eq!(mine[34], 0, "the director's own addresses answer for themselves");
    for (port, frame, outcome) in [
        (LAN, message(FIRST, CLIENT, LAN_MAC, 9, true), Outcome::DropNoConnectionReply),
        (LAN, message(FIRST, CLIENT, LAN_MAC, 9, false), Outcome::DropNotForUs),
        (WAN, message(CLIENT, VIP, WAN_MAC, 9, true), Outcome::DropIcmpType),
    ] {
        assert!(director.give(0, port, &frame).is_empty());
        assert_eq!(director.count(outcome), 1, "{outcome:?}");
    }
    let mut other = message(CLIENT, VIP, WAN_MAC, 9, false);
    other[35] = 1;
    other[36..38].copy_from_slice(&[0, 0]);
    let sum = Sum16BitWords::new().add_slice(&other[34..]).ones_complement().to_ne_bytes();
    other[36..38].copy_from_slice(&sum);
    assert!(director.give(0, WAN, &other).is_empty());
    assert_eq!(director.count(Outcome::DropIcmpType), 2, "no echo request has a code");
    director.balanced();
}

#[test]
fn one_server_of_two_vips_answers_as_the_right_one() {
    let other = Ipv4Addr::new(203, 0, 113, 20);
    let mut director = Director::new(&(service(VIP, "nat") + &service(other, "nat")), 2);
    for vip in [VIP, other] {
        let (_, server) = addresses(&director.through(0, WAN, &message(CLIENT, vip, WAN_MAC, 7, false), LAN));
        let reply = director.through(1, LAN, &message(server, CLIENT, LAN_MAC, 7, true), WAN);
        assert_eq!(addresses(&reply), (vip, CLIENT));
    }
    director.balanced();
}
