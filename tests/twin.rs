//! The exception path on memory ports: what is the host's goes to the port's twin as it came, and what the host sends goes
//! out of the port.

mod support;

use std::net::Ipv4Addr;

use millrace::dataplane::conn::Table;
use millrace::dataplane::fragments::held::PATIENCE;
use millrace::dataplane::port::memory::{MemoryLimits, MemoryPort};
use millrace::dataplane::punt::Class;
use millrace::dataplane::stats::Outcome;
use support::*;

/// Behind the two ports come their twins.
const WAN_TWIN: usize = 2;
const LAN_TWIN: usize = 3;
const NEITHER: usize = usize::MAX;

const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OWN_LAN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 0, 11), 8080);
const OUTSIDE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 99), 443);

const SERVICE: &str =
    "[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\nreal = [{ address = '10.0.0.11:8080' }]\n";

/// A director whose ports have twins: both, or one of them.
fn director(services: &str, wan: bool, lan: bool, workers: usize) -> Director {
    let mut text = text(services);
    for (twin, name) in [(wan, "wan"), (lan, "lan")] {
        if twin {
            let line = format!("name = \"{name}\"\n");
            text = text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1);
        }
    }
    Director::with_config(&parse(&text), workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn to_station(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame
}

fn to_group(frame: Vec<u8>) -> Vec<u8> {
    to_station(frame, [0xff; 6])
}

fn ethertype(number: u16, to_mac: [u8; 6]) -> Vec<u8> {
    [&to_mac[..], &CLIENT_MAC, &number.to_be_bytes(), &[0; 46]].concat()
}

/// An echo request between the hosts of [`ipv6`], with the checksum that it has there.
const ECHO_V6: [u8; 8] = [128, 0, 0x75, 0xb1, 0, 1, 0, 1];

/// An IPv6 packet from a host, to a host or, in a frame to many, to a group.
fn ipv6(next_header: u8, payload: &[u8], to_mac: [u8; 6]) -> Vec<u8> {
    let head = [0x60, 0, 0, 0, 0, payload.len() as u8, next_header, 255];
    let mut destination = [0x21; 16];
    if to_mac[0] == 0x33 {
        destination[..2].copy_from_slice(&[0xff, 0x02]);
    }
    [&to_mac[..], &CLIENT_MAC, &[0x86, 0xdd], &head, &[0x20; 16], &destination, payload].concat()
}

fn arp(operation: u8, from: Ipv4Addr, asked: Ipv4Addr, to_mac: [u8; 6]) -> Vec<u8> {
    let mut frame = [&to_mac[..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation], &CLIENT_MAC].concat();
    frame.extend(from.octets());
    frame.extend([0; 6]);
    frame.extend(asked.octets());
    frame
}

/// What comes in on the port "wan", where it goes if both ports have twins, and how it ends if none has.
fn cases() -> Vec<(&'static str, Vec<u8>, usize, Outcome)> {
    use Outcome::*;
    let own = (OWN, 22);
    let vip = (VIP, 22);
    let many = Ipv4Addr::new(224, 0, 0, 5);
    let all_on_the_link = Ipv4Addr::new(192, 0, 2, 255);
    vec![
        ("SYN to SSH", tcp(CLIENT, own, WAN_MAC, "S", b""), WAN_TWIN, DropNoService),
        ("segment of SSH", tcp(CLIENT, own, WAN_MAC, "AP", b"hi"), WAN_TWIN, DropNoService),
        ("datagram to an own address", udp(CLIENT, own, WAN_MAC, b"hi"), WAN_TWIN, DropNoService),
        ("to the other port's address", tcp(CLIENT, (OWN_LAN, 22), WAN_MAC, "S", b""), WAN_TWIN, DropNoService),
        ("echo request to an own address", echo(CLIENT.0, OWN, WAN_MAC, b"hi"), WAN_TWIN, AnsweredEcho),
        ("OSPF to an own address", packet(NEAR, OWN, WAN_MAC, 89), WAN_TWIN, DropProtocol),
        ("VRRP to its group", to_group(packet(NEAR, many, WAN_MAC, 112)), WAN_TWIN, DropIpGroup),
        (
            "datagram to all on the link",
            to_group(udp((NEAR, 9), (all_on_the_link, 9), WAN_MAC, b"")),
            WAN_TWIN,
            DropIpGroup,
        ),
        ("a first fragment", fragment(udp(CLIENT, own, WAN_MAC, &[7; 16]), 0x2000), WAN_TWIN, DropNoService),
        (
            "a fragment that is none",
            fragment(udp(CLIENT, own, WAN_MAC, b"hi"), 0x2000),
            WAN_TWIN,
            DropFragmentMalformed,
        ),
        ("a fragment of OSPF", fragment(packet(NEAR, OWN, WAN_MAC, 89), 0x0010), WAN_TWIN, DropFragment),
        ("a later fragment", fragment(udp(CLIENT, own, WAN_MAC, b"hi"), 0x0010), WAN_TWIN, DropFragmentNoFirst),
        ("IPv6", ipv6(17, &[0, 9, 0, 9, 0, 8, 0, 0], WAN_MAC), WAN_TWIN, DropNotForUs),
        ("IPv6 of another protocol", ipv6(89, b"hello", WAN_MAC), WAN_TWIN, DropProtocol),
        ("IPv6 to a group", ipv6(17, &[0, 9, 0, 9, 0, 8, 0, 0], [0x33, 0x33, 0, 0, 0, 1]), WAN_TWIN, DropIpGroup),
        ("IPv6 that is none", ethertype(0x86dd, WAN_MAC), NEITHER, DropIpVersion),
        ("LLDP", ethertype(0x88cc, [1, 0x80, 0xc2, 0, 0, 0xe]), WAN_TWIN, DropEtherType),
        ("ARP request for another", arp(1, NEAR, Ipv4Addr::new(192, 0, 2, 78), [0xff; 6]), WAN_TWIN, DropArpNotOurs),
        ("in transit", tcp(CLIENT, OUTSIDE, WAN_MAC, "S", b""), WAN_TWIN, DropNotForUs),
        ("ping in transit", echo(CLIENT.0, OUTSIDE.0, WAN_MAC, b"hi"), WAN_TWIN, DropNotForUs),
        ("SYN to a VIP without a service", tcp(CLIENT, vip, WAN_MAC, "S", b""), NEITHER, DropNoService),
        ("mid-stream to a service", tcp(CLIENT, (VIP, 80), WAN_MAC, "A", b""), NEITHER, DropNoConnection),
        ("a later fragment to a VIP", fragment(udp(CLIENT, vip, WAN_MAC, b"hi"), 0x0010), NEITHER, DropFragmentNoFirst),
        ("OSPF to a VIP", packet(NEAR, VIP, WAN_MAC, 89), NEITHER, DropProtocol),
        ("echo request to a VIP", echo(CLIENT.0, VIP, WAN_MAC, b"hi"), WAN, AnsweredEcho),
        ("ARP request for an own address", arp(1, NEAR, OWN, [0xff; 6]), WAN, AnsweredArp),
        ("ARP request for a VIP", arp(1, NEAR, VIP, [0xff; 6]), WAN, AnsweredArp),
        ("one host's packet to all", to_group(tcp(CLIENT, own, WAN_MAC, "S", b"")), NEITHER, DropIpGroup),
        ("to another station", tcp(CLIENT, own, [2, 9, 9, 9, 9, 9], "S", b""), NEITHER, DropOtherStation),
        ("to loopback", udp((NEAR, 9), (Ipv4Addr::LOCALHOST, 9), WAN_MAC, b""), NEITHER, DropIpGroup),
        ("cut short", fragment(udp(CLIENT, own, WAN_MAC, b"hi"), 0x4000)[..40].to_vec(), NEITHER, DropIpTotalLength),
    ]
}

/// Gives a frame to the port "wan", and returns what is sent then; of a fragment without its first, when it is not waited for any more.
fn given(director: &mut Director, worker: usize, frame: &[u8], what: &str) -> Vec<(usize, Vec<u8>)> {
    let mut sent = director.give(worker, WAN, frame);
    if what.starts_with("a later fragment") {
        assert_eq!(sent, [], "{what}");
        director.pass(PATIENCE);
        sent = director.sent();
    }
    sent
}

#[test]
fn what_is_the_hosts_goes_to_the_twin_as_it_came() {
    for workers in [1, 2] {
        for (what, frame, goes, _) in cases() {
            let mut director = director(SERVICE, true, true, workers);
            let sent = given(&mut director, workers - 1, &frame, what);
            match goes {
                WAN_TWIN => {
                    assert_eq!(sent, [(WAN_TWIN, frame)], "{what}: {:?}", director.outcomes());
                    assert_eq!(director.outcomes(), [("punted", 1)], "{what}");
                }
                NEITHER => assert_eq!(sent, [], "{what}"),
                port => assert_eq!(sent.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [port], "{what}"),
            }
            director.balanced();
        }
    }
}

#[test]
fn without_a_twin_nothing_is_handed_over() {
    for (what, frame, _, outcome) in cases() {
        // Of the other port's twin a port knows nothing.
        for lan in [false, true] {
            let mut director = director(SERVICE, false, lan, 1);
            assert!(given(&mut director, 0, &frame, what).iter().all(|(port, _)| *port == WAN), "{what}");
            assert_eq!(director.outcomes(), [(outcome.name(), 1)], "{what}");
        }
    }
}

#[test]
fn an_own_address_is_the_hosts_only_where_it_has_it() {
    let mut director = director(SERVICE, true, false, 1);
    let request = echo(CLIENT.0, OWN_LAN, WAN_MAC, b"hi");
    assert_eq!(
        director.give(0, WAN, &request)[0].0,
        WAN,
        "the host does not have the address of \"lan\": answered here"
    );
    assert_eq!(director.give(0, WAN, &tcp(CLIENT, (OWN_LAN, 22), WAN_MAC, "S", b"")), []);
    assert_eq!(director.outcomes(), [("answered_echo", 1), ("drop_no_service", 1)]);
}

#[test]
fn what_the_host_sends_leaves_by_its_port_unchanged() {
    for workers in [1, 2] {
        let mut director = director(SERVICE, true, true, workers);
        let segment = tcp((OWN, 22), CLIENT, CLIENT_MAC, "SA", b"");
        let request = arp(1, OWN_LAN, SERVER.0, [0xff; 6]);
        for (twin, port, frame) in [(WAN_TWIN, WAN, segment), (LAN_TWIN, LAN, request)] {
            assert_eq!(director.give(workers - 1, twin, &frame), [(port, frame)]);
        }
        assert_eq!(director.outcomes(), [("from_host", 2)]);
        director.balanced();
    }
}

#[test]
fn a_real_servers_answer_to_the_host_passes_by_the_service() {
    for transit in ["kernel", "drop"] {
        let mut director = director(&format!("{SERVICE}[director]\ntransit = '{transit}'\n"), true, true, 1);
        // The health check of a socket that answers for a service too.
        let answer = tcp(SERVER, (OWN_LAN, 50_000), LAN_MAC, "SA", b"");
        assert_eq!(director.give(0, LAN, &answer), [(LAN_TWIN, answer)]);
        // What it sends on its own, from that socket and from another.
        for port in [SERVER.1, 50_001] {
            let own = tcp((SERVER.0, port), OUTSIDE, LAN_MAC, "S", b"");
            let sent = director.give(0, LAN, &own);
            assert_eq!(sent, if transit == "kernel" { vec![(LAN_TWIN, own)] } else { vec![] });
        }
        let dropped = [("punted", 1), ("drop_not_for_us", 1), ("drop_no_connection_reply", 1)];
        assert_eq!(director.outcomes(), if transit == "kernel" { vec![("punted", 3)] } else { dropped.to_vec() });
        // And what it answers to a client goes there, as ever.
        let syn = director.through(0, WAN, &tcp(CLIENT, (VIP, 80), WAN_MAC, "S", b""), LAN);
        assert_eq!(sockets(&syn), (CLIENT, SERVER));
        director.through(0, LAN, &tcp(SERVER, CLIENT, LAN_MAC, "SA", b""), WAN);
        director.balanced();
    }
}

#[test]
fn an_arp_reply_is_learned_and_handed_on() {
    let service = SERVICE.replace("10.0.0.11", "10.0.0.13");
    let mut director = director(&service, true, true, 1);
    let syn = tcp(CLIENT, (VIP, 80), WAN_MAC, "S", b"");
    let asked = director.give(0, WAN, &syn);
    assert_eq!((asked.len(), asked[0].0), (1, LAN), "who has 10.0.0.13?");
    let reply = arp(2, Ipv4Addr::new(10, 0, 0, 13), OWN_LAN, LAN_MAC);
    let sent = director.give(0, LAN, &reply);
    assert_eq!(sent.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [LAN, LAN_TWIN], "what waited, and the reply");
    assert_eq!(sent[1].1, reply);
    director.balanced();
}

#[test]
fn an_own_address_may_have_a_service_too() {
    let service = SERVICE.replace("203.0.113.10", "192.0.2.2");
    let mut director = director(&service, true, true, 1);
    let part = |port, word| fragment(tcp(CLIENT, (OWN, port), WAN_MAC, "S", b"more"), word);
    for served in [tcp(CLIENT, (OWN, 80), WAN_MAC, "S", b""), part(80, 0x2000), part(80, 3)] {
        assert_eq!(director.give(0, WAN, &served)[0].0, LAN);
    }
    let dropped = tcp((CLIENT.0, 4), (OWN, 80), WAN_MAC, "A", b"");
    assert_eq!(director.give(0, WAN, &dropped), [], "the service's");
    let (syn, ping) = (tcp(CLIENT, (OWN, 22), WAN_MAC, "S", b""), echo(CLIENT.0, OWN, WAN_MAC, b"hi"));
    for hosts in [syn, part(22, 0x2000), part(22, 3), ping] {
        assert_eq!(director.give(0, WAN, &hosts)[0].0, WAN_TWIN);
    }
}

#[test]
fn a_flood_of_one_class_leaves_room_for_the_others() {
    let mut director = director(SERVICE, true, true, 1);
    let syn = tcp(CLIENT, (OWN, 80), WAN_MAC, "S", b"");
    let flood = |director: &mut Director, frame: &[u8], frames: u32| -> usize {
        (0..frames).map(|_| director.give(0, WAN, frame).len()).sum()
    };
    let burst = Class::Own.per_second() / 10;
    assert_eq!(flood(&mut director, &syn, 2 * burst), burst as usize);
    assert_eq!(director.count(Outcome::DropPuntLimit), u64::from(burst));
    let group = to_group(packet(NEAR, Ipv4Addr::new(224, 0, 0, 5), WAN_MAC, 89));
    assert_eq!(director.give(0, WAN, &group), [(WAN_TWIN, group)], "link");
    let storm = arp(1, NEAR, Ipv4Addr::new(192, 0, 2, 78), [0xff; 6]);
    let link = Class::Link.per_second() / 10;
    assert_eq!(flood(&mut director, &storm, link), link as usize - 1);
    for (what, frame) in [
        ("session", tcp(CLIENT, (OWN, 22), WAN_MAC, "A", b"")),
        ("session over IPv6", ipv6(6, &tcp(CLIENT, (OWN, 179), WAN_MAC, "A", b"")[34..], WAN_MAC)),
        ("neighbour", arp(2, NEAR, OWN, WAN_MAC)),
        ("neighbour solicitation", ipv6(58, &[135; 24], [0x33, 0x33, 0xff, 0, 0, 1])),
        ("transit", tcp(CLIENT, OUTSIDE, WAN_MAC, "S", b"")),
    ] {
        assert_eq!(director.give(0, WAN, &frame), [(WAN_TWIN, frame)], "{what}");
    }
    let lan = tcp(SERVER, (OWN_LAN, 22), LAN_MAC, "S", b"");
    assert_eq!(director.give(0, LAN, &lan), [(LAN_TWIN, lan)], "the other port");
    for (what, frame) in [
        ("first segment over IPv6", ipv6(6, &tcp(CLIENT, (OWN, 179), WAN_MAC, "S", b"")[34..], WAN_MAC)),
        ("ping over IPv6", ipv6(58, &ECHO_V6, WAN_MAC)),
    ] {
        assert_eq!(director.give(0, WAN, &frame), [], "{what}");
    }
    director.pass(50);
    assert_eq!(flood(&mut director, &syn, burst), burst as usize / 2, "half of a tenth of a second later");
    director.balanced();
}

#[test]
fn a_twin_that_takes_no_more_is_a_reason_of_its_own() {
    let mut director = director(SERVICE, true, true, 1);
    let (full, _wire) = MemoryPort::with_limits(MemoryLimits { departures: 2, ..MemoryLimits::default() });
    director.workers[0].ports_mut()[WAN_TWIN] = full;
    for _ in 0..5 {
        director.give(0, WAN, &tcp(CLIENT, (OWN, 22), WAN_MAC, "A", b""));
    }
    assert_eq!(director.outcomes(), [("punted", 2), ("drop_twin_full", 3)]);
    director.balanced();
}
