//! Several next hops, and ports that lose their links: which way packets take, on memory ports.

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use millrace::ctrl::config::Config;
use millrace::dataplane::conn::Table;
use millrace::dataplane::service::PortId;
use millrace::dataplane::stats::Outcome;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);

/// The gateways, by the last octets of their Ethernet addresses.
const NORTH: u8 = 0x01;
const SOUTH: u8 = 0x02;
const EAST: u8 = 0xfe;

/// Clients are behind two gateways on the one port and a third on the other; real servers on the link of the second, and behind
/// gateways on both.
fn routed(more: &str) -> Config {
    let text = text(more).replacen("via = \"192.0.2.1\"", "via = [\"192.0.2.1\", \"192.0.2.3\", \"10.0.0.254\"]", 1);
    let neighbors = "\
[[neighbor]]
address = '192.0.2.3'
mac = '02:00:00:00:01:02'
[[neighbor]]
address = '10.0.0.254'
mac = '02:00:00:00:01:fe'
";
    parse(&(text + neighbors))
}

fn director(config: &Config, workers: usize) -> Director {
    Director::with_config(config, workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn service(real: &str, forwarding: &str) -> String {
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\nforwarding = '{forwarding}'\nreal = [{{ address = '{real}' }}]\n"
    )
}

/// The last octet of the Ethernet address that a frame was sent to, and the port.
fn way((port, frame): &(usize, Vec<u8>)) -> (usize, u8) {
    (*port, frame[5])
}

fn client(n: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, (n % 200) as u8 + 1), 20_000 + n)
}

/// Has a client open a connection, and the real server answer; returns the way of the answer.
fn answered(director: &mut Director, n: u16, real: (Ipv4Addr, u16)) -> (usize, u8) {
    let worker = usize::from(n) % director.workers.len();
    assert_eq!(director.give(worker, WAN, &tcp(client(n), VIP, WAN_MAC, "S", b"")).len(), 1);
    answer(director, n, real)
}

fn answer(director: &mut Director, n: u16, real: (Ipv4Addr, u16)) -> (usize, u8) {
    // Whichever worker it comes to.
    let worker = usize::from(n / 2) % director.workers.len();
    let sent = director.give(worker, LAN, &tcp(real, client(n), LAN_MAC, "SA", b""));
    assert_eq!(sent.len(), 1, "{:?}", director.outcomes());
    verify(&sent[0].1);
    way(&sent[0])
}

fn link(director: &mut Director, config: &Config, port: usize, up: bool) {
    director.shared.set_carrier(PortId(port as u8), up);
    director.applier.reroute(config, director.now).unwrap();
}

#[test]
fn each_flow_keeps_to_one_next_hop_and_flows_are_shared() {
    let real = (Ipv4Addr::new(10, 0, 0, 11), 8080);
    let config = routed(&service("10.0.0.11:8080", "nat"));
    for workers in [1, 2] {
        let mut director = director(&config, workers);
        let mut shares = BTreeMap::new();
        for n in 0..600 {
            let first = answered(&mut director, n, real);
            *shares.entry(first).or_insert(0) += 1;
            assert_eq!(answer(&mut director, n, real), first);
        }
        let ways: Vec<_> = shares.keys().copied().collect();
        assert_eq!(ways, [(WAN, NORTH), (WAN, SOUTH), (LAN, EAST)], "{shares:?}");
        assert!(shares.values().all(|share| (140..260).contains(share)), "{shares:?}");
        director.balanced();
    }
}

#[test]
fn a_next_hop_whose_port_has_no_link_is_left_out_until_it_has() {
    let real = (Ipv4Addr::new(10, 0, 0, 11), 8080);
    let config = routed(&service("10.0.0.11:8080", "nat"));
    let mut director = director(&config, 2);
    let before: Vec<_> = (0..300).map(|n| answered(&mut director, n, real)).collect();
    link(&mut director, &config, WAN, false);
    assert!((0..300).all(|n| answer(&mut director, n, real) == (LAN, EAST)));
    link(&mut director, &config, WAN, true);
    assert_eq!((0..300).map(|n| answer(&mut director, n, real)).collect::<Vec<_>>(), before);
    assert_eq!(director.count(Outcome::DropLinkDown) + director.count(Outcome::DropNoRoute), 0);
    director.balanced();
}

#[test]
fn a_shorter_prefix_takes_over_for_a_real_server_and_gives_back() {
    let config = routed(&service("10.0.0.11", "tunnel"));
    let mut director = director(&config, 1);
    let sent = |director: &mut Director, n| {
        let sent = director.give(0, WAN, &tcp(client(n), VIP, WAN_MAC, "S", b""));
        sent.iter().map(way).collect::<Vec<_>>()
    };
    assert_eq!(sent(&mut director, 1), [(LAN, 0x0b)]);
    link(&mut director, &config, LAN, false);
    let around = sent(&mut director, 2);
    assert!(around == [(WAN, NORTH)] || around == [(WAN, SOUTH)], "by the default route: {around:?}");
    assert_eq!(sent(&mut director, 1), around, "connections that are there, too");
    link(&mut director, &config, LAN, true);
    assert_eq!(sent(&mut director, 2), [(LAN, 0x0b)]);
    // Nothing is left: what is lost is lost to the link.
    link(&mut director, &config, WAN, false);
    link(&mut director, &config, LAN, false);
    assert_eq!(sent(&mut director, 2), []);
    assert_eq!(director.outcomes().last(), Some(&("drop_link_down", 1)));
    director.balanced();
}

#[test]
fn direct_routing_never_goes_by_a_gateway() {
    let config = routed(&service("10.0.0.11", "direct"));
    let mut director = director(&config, 1);
    link(&mut director, &config, LAN, false);
    assert_eq!(director.give(0, WAN, &tcp(client(1), VIP, WAN_MAC, "S", b"")), []);
    assert_eq!(director.outcomes(), [("drop_link_down", 1)]);
    link(&mut director, &config, LAN, true);
    let sent = director.give(0, WAN, &tcp(client(1), VIP, WAN_MAC, "S", b""));
    assert_eq!(sent.iter().map(way).collect::<Vec<_>>(), [(LAN, 0x0b)]);
}

#[test]
fn real_servers_behind_several_next_hops_are_shared_and_few_move() {
    let reals: Vec<_> = (1..=60).map(|n| Ipv4Addr::new(172, 16, 0, n)).collect();
    let list: Vec<_> = reals.iter().map(|real| format!("{{ address = '{real}' }}")).collect();
    let service = format!(
        "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\nforwarding = 'tunnel'\nreal = [{}]\n",
        list.join(", ")
    );
    let config = routed(&service);
    let mut director = director(&config, 1);
    let ways = |director: &mut Director| -> BTreeMap<[u8; 4], (usize, u8)> {
        let open = |n| director.give(0, WAN, &tcp(client(n), VIP, WAN_MAC, "S", b"")).remove(0);
        // Round robin: each has its turn.
        let sent = (0..60).map(open).map(|sent| (sent.1[30..34].try_into().unwrap(), way(&sent)));
        let sent: BTreeMap<_, _> = sent.collect();
        assert_eq!(sent.len(), 60);
        director.pass(0);
        sent
    };
    let before = ways(&mut director);
    let share = |ways: &BTreeMap<_, _>, hop| ways.values().filter(|way| **way == hop).count();
    let hops = [(WAN, NORTH), (WAN, SOUTH), (LAN, EAST)];
    assert!(hops.iter().all(|hop| share(&before, *hop) >= 10), "{before:?}");
    link(&mut director, &config, LAN, false);
    for n in 0..60 {
        // The flows that are there: each real server has one.
        let sent = director.give(0, WAN, &tcp(client(n), VIP, WAN_MAC, "A", b"")).remove(0);
        let (real, way): ([u8; 4], _) = (sent.1[30..34].try_into().unwrap(), way(&sent));
        match before[&real] {
            (LAN, EAST) => assert_eq!(way.0, WAN),
            stays => assert_eq!(way, stays, "one with a link moves nobody"),
        }
    }
    director.balanced();
}

#[test]
fn a_changed_route_moves_what_it_leads_to() {
    let text = |via: &str| {
        let route = format!("[[route]]\nto = '172.16.0.0/16'\nvia = '{via}'\n");
        routed(&(route + &service("172.16.0.9", "tunnel")))
    };
    let mut director = director(&text("192.0.2.3"), 1);
    let sent = |director: &mut Director| {
        let sent = director.give(0, WAN, &tcp(client(1), VIP, WAN_MAC, "S", b""));
        sent.iter().map(way).collect::<Vec<_>>()
    };
    assert_eq!(sent(&mut director), [(WAN, SOUTH)]);
    director.applier.apply(&text("10.0.0.254"), director.now).unwrap();
    assert_eq!(sent(&mut director), [(LAN, EAST)]);
}
