//! Services of every port (port 0): their connections are told apart by the port too.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);

fn service(address: &str, protocol: &str, forwarding: &str, reals: &[&str]) -> String {
    let reals: Vec<String> = reals.iter().map(|real| format!("{{ address = '{real}' }}")).collect();
    format!(
        "[[service]]\naddress = '{address}'\nprotocol = '{protocol}'\nforwarding = '{forwarding}'\nscheduler = 'rr'\n\
         real = [{}]\n",
        reals.join(", ")
    )
}

fn every(vip: Ipv4Addr, forwarding: &str) -> String {
    service(&format!("{vip}:0"), "tcp", forwarding, &["10.0.0.11", "10.0.0.12"])
}

/// Opens a connection by NAT; returns which real server has it.
fn open(director: &mut Director, client: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Ipv4Addr {
    let syn = director.through(0, WAN, &tcp(client, to, WAN_MAC, "S", b""), LAN);
    let (from, server) = sockets(&syn);
    assert_eq!((from, server.1), (client, to.1), "the port stays");
    server.0
}

#[test]
fn one_client_port_has_a_connection_to_each_port_of_the_vip() {
    for workers in [1, 2] {
        let mut director = Director::new(&every(VIP, "nat"), workers);
        let ports = [21, 80, 443, 65_535];
        let servers = ports.map(|port| open(&mut director, CLIENT, (VIP, port)));
        assert_eq!(servers, [FIRST, SECOND, FIRST, SECOND]);
        for (port, server) in ports.into_iter().zip(servers) {
            for worker in 0..workers {
                let answer = tcp((server, port), CLIENT, LAN_MAC, "SA", b"");
                let answer = director.through(worker, LAN, &answer, WAN);
                assert_eq!(sockets(&answer), ((VIP, port), CLIENT));
                let data = tcp(CLIENT, (VIP, port), WAN_MAC, "PA", b"x");
                assert_eq!(sockets(&director.through(worker, WAN, &data, LAN)).1, (server, port));
            }
            let other = if server == FIRST { SECOND } else { FIRST };
            assert!(director.give(0, LAN, &tcp((other, port), CLIENT, LAN_MAC, "A", b"")).is_empty());
        }
        assert_eq!(director.count(Outcome::DropNoConnectionReply), 4);
        assert_eq!(director.shared.counts.connections(RealId(1)).active, 2);
        director.balanced();
    }
}

#[test]
fn the_one_sided_methods_leave_the_port_alone() {
    for (forwarding, outcome) in [("direct", Outcome::ForwardedDirect), ("tunnel", Outcome::ForwardedTunnel)] {
        let mut director = Director::new(&every(VIP, forwarding), 1);
        for port in [21, 40_021] {
            let sent = tcp(CLIENT, (VIP, port), WAN_MAC, "S", b"");
            let got = director.through(0, WAN, &sent, LAN);
            assert_eq!(got[got.len() - 20..], sent[34..], "{forwarding}: the TCP header is untouched");
        }
        assert_eq!(director.count(outcome), 2);
        director.balanced();
    }
}

#[test]
fn a_port_of_its_own_comes_first() {
    let web = service("203.0.113.10:80", "tcp", "nat", &["10.0.0.12"]);
    let rest = service("203.0.113.10:0", "tcp", "nat", &["10.0.0.11"]);
    let mut director = Director::new(&(rest + &web), 1);
    assert_eq!(open(&mut director, CLIENT, (VIP, 80)), SECOND);
    assert_eq!(open(&mut director, CLIENT, (VIP, 81)), FIRST);
    assert!(director.give(0, WAN, &udp(CLIENT, (VIP, 81), WAN_MAC, b"?")).is_empty(), "of TCP only");
    assert_eq!(director.count(Outcome::DropNoService), 1);
}

#[test]
fn a_service_that_takes_a_port_over_leaves_its_connections_alone() {
    let rest = service("203.0.113.10:0", "tcp", "nat", &["10.0.0.11"]);
    let web = service("203.0.113.10:80", "tcp", "nat", &["10.0.0.12", "10.0.0.11"]);
    let mut director = Director::new(&rest, 1);
    assert_eq!(open(&mut director, CLIENT, (VIP, 80)), FIRST);
    director.reload(&(rest + &web));
    let data = director.through(0, WAN, &tcp(CLIENT, (VIP, 80), WAN_MAC, "A", b"x"), LAN);
    assert_eq!(sockets(&data).1, (FIRST, 80));
    let answer = director.through(0, LAN, &tcp((FIRST, 80), CLIENT, LAN_MAC, "A", b"y"), WAN);
    assert_eq!(sockets(&answer), ((VIP, 80), CLIENT));
    let next = (CLIENT.0, CLIENT.1 + 1);
    let servers = [open(&mut director, next, (VIP, 80)), open(&mut director, (CLIENT.0, 5), (VIP, 80))];
    assert!(servers.contains(&SECOND), "new ones are the new service's");
    director.balanced();
}

#[test]
fn answers_that_could_be_two_vips_are_never_mixed_up() {
    let mut director = Director::new(&(every(VIP, "nat") + &every(OTHER, "nat")), 2);
    let first = open(&mut director, CLIENT, (VIP, 443));
    let second = open(&mut director, CLIENT, (OTHER, 443));
    assert_ne!(first, second, "the other real server");
    for (vip, server) in [(VIP, first), (OTHER, second)] {
        let answer = director.through(1, LAN, &tcp((server, 443), CLIENT, LAN_MAC, "SA", b""), WAN);
        assert_eq!(sockets(&answer), ((vip, 443), CLIENT));
    }
    director.reload(&(every(VIP, "nat") + &every(OTHER, "nat") + &every(Ipv4Addr::new(203, 0, 113, 30), "nat")));
    let third = tcp(CLIENT, (Ipv4Addr::new(203, 0, 113, 30), 443), WAN_MAC, "S", b"");
    assert!(director.give(0, WAN, &third).is_empty());
    assert_eq!(director.count(Outcome::DropAmbiguous), 1);
    director.balanced();
}

#[test]
fn what_is_left_of_a_former_configuration_is_not_mixed_up_either() {
    let one = |forwarding: &str| service("203.0.113.20:80", "tcp", forwarding, &["10.0.0.11"]);
    let all = |forwarding: &str| service("203.0.113.10:0", "tcp", forwarding, &["10.0.0.11"]);
    let stay = (CLIENT.0, 50_000);
    // Each kind was by NAT, and is not any more when the other comes to be.
    for (before, after, old, new) in [
        (one("nat"), one("direct") + &all("nat"), (OTHER, 80), (VIP, 80)),
        (all("nat"), all("direct") + &one("nat"), (VIP, 80), (OTHER, 80)),
    ] {
        let mut director = Director::new(&before, 2);
        assert_eq!(open(&mut director, CLIENT, old), FIRST);
        director.reload(&after);
        assert!(director.give(0, WAN, &tcp(CLIENT, new, WAN_MAC, "S", b"")).is_empty(), "one client port, one server");
        assert_eq!(director.count(Outcome::DropAmbiguous), 1);
        assert_eq!(open(&mut director, stay, new), FIRST, "another port of the client can be told apart");
        for (client, vip) in [(CLIENT, old), (stay, new)] {
            let answer = director.through(1, LAN, &tcp((FIRST, 80), client, LAN_MAC, "A", b"x"), WAN);
            assert_eq!(sockets(&answer), (vip, client));
        }
        director.balanced();
    }
}

#[test]
fn nor_when_a_connection_starts_over() {
    let all = |forwarding: &str| service("203.0.113.10:0", "tcp", forwarding, &["10.0.0.11"]);
    let mut director = Director::new(&all("nat"), 1);
    assert_eq!(open(&mut director, CLIENT, (VIP, 80)), FIRST);
    director.reload(&(all("direct") + &service("203.0.113.20:80", "tcp", "nat", &["10.0.0.11", "10.0.0.12"])));
    for _ in 0..4 {
        assert_eq!(open(&mut director, CLIENT, (OTHER, 80)), SECOND, "the first one's answers are the other VIP's");
        director.through(0, LAN, &tcp((SECOND, 80), CLIENT, LAN_MAC, "RA", b""), WAN);
    }
    let answer = director.through(0, LAN, &tcp((FIRST, 80), CLIENT, LAN_MAC, "A", b"y"), WAN);
    assert_eq!(sockets(&answer), ((VIP, 80), CLIENT));
}

#[test]
fn datagrams_and_associations_too() {
    let services = service("203.0.113.10:0", "udp", "nat", &["10.0.0.11"])
        + &service("203.0.113.10:0", "sctp", "nat", &["10.0.0.11"]);
    let mut director = Director::new(&services, 1);
    for port in [53, 123] {
        let asked = director.through(0, WAN, &udp(CLIENT, (VIP, port), WAN_MAC, b"?"), LAN);
        assert_eq!(sockets(&asked), (CLIENT, (FIRST, port)));
        let answer = director.through(0, LAN, &udp((FIRST, port), CLIENT, LAN_MAC, b"!"), WAN);
        assert_eq!(sockets(&answer), ((VIP, port), CLIENT));
        director.through(0, WAN, &sctp(CLIENT, (VIP, port), WAN_MAC, &[(1, 16)]), LAN);
        director.through(0, LAN, &sctp((FIRST, port), CLIENT, LAN_MAC, &[(2, 16)]), WAN);
    }
    director.balanced();
}

#[test]
fn they_expire_with_their_links() {
    let mut director = Director::new(&every(VIP, "nat"), 2);
    for port in 1..=200 {
        open(&mut director, CLIENT, (VIP, port));
    }
    let entries = |director: &Director| {
        let mut entries = 0;
        director.shared.wide.each(0..director.shared.wide.lines(), |_, _, _| entries += 1);
        entries
    };
    assert_eq!(entries(&director), 400, "each with a link");
    director.pass(64_000);
    assert_eq!(entries(&director), 0, "SYN_RECV is over after a minute");
    assert!((1..3).all(|real| director.shared.counts.connections(RealId(real)) == Default::default()));
    director.balanced();
}
