//! The host as a client of the director's own VIPs.

mod support;

use std::net::Ipv4Addr;

use etherparse::{NetSlice, SlicedPacket};
use millrace::dataplane::conn::Table;
use millrace::dataplane::stats::Outcome;
use support::*;

/// Behind the two ports come their twins.
const WAN_TWIN: usize = 2;
const LAN_TWIN: usize = 3;

const HOST: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 2), 50_000);
const HOST_LAN: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 1), 50_000);
const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 11), 8080);
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// Whom the host is told it speaks to.
const STATION: [u8; 6] = [2, b's', b't', b'a', b'n', b'd'];

fn service(forwarding: &str) -> String {
    format!(
        "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\nforwarding = '{forwarding}'\n\
         real = [{{ address = '10.0.0.11:8080' }}]\n"
    )
}

fn director(services: &str) -> Director {
    let text = ["wan", "lan"].iter().fold(text(services), |text, name| {
        let line = format!("name = \"{name}\"\n");
        text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1)
    });
    Director::with_config(&parse(&text), 2, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

/// As the host sends it.
fn from_host(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac);
    frame
}

#[test]
fn by_nat_its_packets_are_forwarded_and_answers_come_back_on_the_twin() {
    for (twin, host, mac) in [(WAN_TWIN, HOST, WAN_MAC), (LAN_TWIN, HOST_LAN, LAN_MAC)] {
        let mut director = director(&service("nat"));
        let syn = from_host(tcp(host, VIP, GATEWAY_MAC, "S", b""), mac);
        let sent = director.through(0, twin, &syn, LAN);
        assert_eq!((sockets(&sent), ttl(&sent)), ((host, SERVER), 63));
        assert_eq!((&sent[..6], &sent[6..12]), (&SERVER_MAC[..], &LAN_MAC[..]));
        let answer = director.through(1, LAN, &tcp(SERVER, host, LAN_MAC, "SA", b""), twin);
        assert_eq!((sockets(&answer), ttl(&answer)), ((VIP, host), 64));
        assert_eq!((&answer[..6], &answer[6..12]), (&mac[..], &STATION[..]));
        director.through(1, twin, &from_host(tcp(host, VIP, GATEWAY_MAC, "A", b""), mac), LAN);
        assert_eq!(director.outcomes(), [("forwarded_nat_in", 2), ("forwarded_nat_out", 1)]);
        let neighbors = director.shared.neighbors.list(director.now);
        assert!(neighbors.iter().all(|known| known.address != host.0), "{neighbors:?}");
        director.balanced();
    }
}

#[test]
fn by_the_other_methods_answers_come_from_the_link() {
    for (forwarding, outcome) in [("direct", "forwarded_direct"), ("tunnel", "forwarded_tunnel")] {
        let mut director = director(&service(forwarding));
        let sent = director.through(0, WAN_TWIN, &from_host(tcp(HOST, VIP, GATEWAY_MAC, "S", b""), WAN_MAC), LAN);
        assert_eq!(&sent[..6], &SERVER_MAC);
        if forwarding == "direct" {
            assert_eq!(sockets(&sent), (HOST, VIP));
        }
        let answer = tcp(VIP, HOST, LAN_MAC, "SA", b"");
        assert_eq!(director.give(1, LAN, &answer), [(LAN_TWIN, answer)]);
        assert_eq!(director.outcomes(), [(outcome, 1), ("punted", 1)]);
        director.balanced();
    }
}

#[test]
fn arp_and_echo_requests_for_a_vip_are_answered_on_the_twin() {
    let on_link = Ipv4Addr::new(192, 0, 2, 80);
    let mut director = director(&service("nat").replace("203.0.113.10", "192.0.2.80"));
    let asks = |target: Ipv4Addr| {
        let mut frame = [&[0xff; 6][..], &WAN_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &WAN_MAC].concat();
        frame.extend([HOST.0.octets().as_slice(), &[0; 6], &target.octets()].concat());
        frame
    };
    let told = director.give(0, WAN_TWIN, &asks(on_link));
    assert_eq!((told.len(), told[0].0), (1, WAN_TWIN));
    let reply = &told[0].1;
    assert_eq!((&reply[..6], &reply[20..22], &reply[22..28]), (&WAN_MAC[..], &[0, 2][..], &STATION[..]));
    assert_eq!((&reply[28..32], &reply[32..38]), (&on_link.octets()[..], &WAN_MAC[..]));
    // Anybody else, and an address of its own that it probes for, it asks the link for.
    for target in [Ipv4Addr::new(192, 0, 2, 81), HOST.0] {
        assert_eq!(director.give(0, WAN_TWIN, &asks(target)), [(WAN, asks(target))]);
    }
    let echo = director.through(1, WAN_TWIN, &from_host(echo(HOST.0, on_link, STATION, b"hi"), WAN_MAC), WAN_TWIN);
    assert_eq!((&echo[..6], &echo[26..30], &echo[30..34]), (&WAN_MAC[..], &on_link.octets()[..], &HOST.0.octets()[..]));
    assert_eq!(director.outcomes(), [("answered_arp", 1), ("answered_echo", 1), ("from_host", 2)]);
    director.balanced();
}

#[test]
fn what_is_too_big_for_a_tunnel_it_is_told_by_the_vip() {
    let mut director = director(&service("tunnel"));
    director.through(0, WAN_TWIN, &from_host(tcp(HOST, VIP, GATEWAY_MAC, "S", b""), WAN_MAC), LAN);
    let mut big = from_host(tcp(HOST, VIP, GATEWAY_MAC, "A", &[7; 1460]), WAN_MAC);
    assert_eq!(big[20] & 0x40, 0x40, "DF");
    let told = director.through(0, WAN_TWIN, &big, WAN_TWIN);
    let packet = SlicedPacket::from_ethernet(&told).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("{told:02x?}") };
    assert_eq!((ip.header().source_addr(), ip.header().destination_addr()), (VIP.0, HOST.0));
    assert_eq!((&told[34..36], u16::from_be_bytes([told[40], told[41]])), (&[3, 4][..], 1480));
    big.truncate(14 + 39);
    assert_eq!(director.give(0, WAN_TWIN, &big), [], "cut short");
    assert_eq!(director.outcomes(), [("forwarded_tunnel", 1), ("answered_too_big", 1), ("drop_ip_total_length", 1)]);
    director.balanced();
}

#[test]
fn what_no_service_has_and_what_would_come_back_to_it_goes_nowhere() {
    let local = service("nat").replace("10.0.0.11:8080", "127.0.0.1:8080").replace("113.10:80", "113.11:80");
    let mut director = director(&(service("nat") + &local));
    for (port, address) in [(81, VIP.0), (80, Ipv4Addr::new(203, 0, 113, 11))] {
        let frame = from_host(tcp(HOST, (address, port), GATEWAY_MAC, "S", b""), WAN_MAC);
        assert_eq!(director.give(0, WAN_TWIN, &frame), []);
    }
    // In the middle of nothing; and from nobody who may.
    assert_eq!(director.give(0, WAN_TWIN, &tcp(HOST, VIP, GATEWAY_MAC, "A", b"")), []);
    assert_eq!(director.give(0, WAN, &tcp((HOST.0, 5), VIP, WAN_MAC, "S", b"")), [], "not from the link");
    let other = (Ipv4Addr::new(203, 0, 113, 12), 80);
    let elsewhere = from_host(tcp(HOST, other, GATEWAY_MAC, "S", b""), WAN_MAC);
    assert_eq!(director.give(0, WAN_TWIN, &elsewhere), [(WAN, elsewhere)], "nobody's VIP here");
    assert_eq!(director.count(Outcome::DropNoService), 1);
    assert_eq!(director.count(Outcome::DropNoRoute), 1);
    assert_eq!(director.count(Outcome::DropNoConnection), 1);
    assert_eq!(director.count(Outcome::DropIpSource), 1);
    director.balanced();
}
