//! What the host asks real servers through their VIPs, on memory ports: it arrives as a client's packet would, at the one real server that
//! the stand-in address is for, and the answer comes back from that address.

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpNumber, PacketBuilder};
use ipnet::Ipv4Net;
use millrace::ctrl::config::Config;
use millrace::dataplane::conn::{Connections, Table};
use millrace::dataplane::service::{Forwarding, RealId};
use millrace::dataplane::stand_in::{STATION, StandIn, StandIns};
use millrace::dataplane::stats::Outcome;
use support::*;

const WAN_TWIN: usize = 2;
const LAN_TWIN: usize = 3;

const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OWN_LAN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const R1: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const R2: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 12);
const R1_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];
const R2_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0c];
const HOST: (Ipv4Addr, u16) = (OWN_LAN, 40_000);

/// The stand-ins of R1 and R2.
const S1: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const S2: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);

const METHODS: [Forwarding; 3] = [Forwarding::Nat, Forwarding::Tunnel, Forwarding::Direct];

fn real_port(forwarding: Forwarding) -> u16 {
    if forwarding == Forwarding::Nat { 8080 } else { 80 }
}

/// A director whose ports have twins, with a service of R1 and R2, and the stand-ins of both.
fn director(forwarding: Forwarding, workers: usize) -> Director {
    with_twins(forwarding, workers, true)
}

fn with_twins(forwarding: Forwarding, workers: usize, lan: bool) -> Director {
    let port = real_port(forwarding);
    let reals = format!("real = [{{ address = '{R1}:{port}' }}, {{ address = '{R2}:{port}' }}]");
    let config = config_of(forwarding, &reals, lan);
    let mut director = Director::with_config(&config, workers, Table::new(65_536, [3, 5, 7, 9]).unwrap());
    director.applier.stand_in(stand_ins(forwarding)).unwrap();
    director
}

fn config_of(forwarding: Forwarding, reals: &str, lan: bool) -> Config {
    let service = format!("address = '{VIP}:80'\nscheduler = 'rr'\nforwarding = '{forwarding}'");
    let mut text = text(&format!("[[service]]\n{service}\n{reals}\n"));
    for name in ["wan", "lan"].iter().take(1 + usize::from(lan)) {
        let line = format!("name = \"{name}\"\n");
        text = text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1);
    }
    parse(&text)
}

fn stand_ins(forwarding: Forwarding) -> StandIns {
    let stand_in = |real| {
        let real = SocketAddrV4::new(real, real_port(forwarding));
        Some(StandIn { vip: VIP, port: 80, real, forwarding })
    };
    let prefix = Ipv4Net::new(Ipv4Addr::new(198, 18, 0, 0), 15).unwrap();
    StandIns::new(prefix, [None, None, stand_in(R1), stand_in(R2)].into())
}

/// Where a question to port 80 of a stand-in arrives.
fn end(forwarding: Forwarding, real: Ipv4Addr) -> (Ipv4Addr, u16) {
    if forwarding == Forwarding::Nat { (real, 8080) } else { (VIP, 80) }
}

/// What a frame that left the director is to its real server: in a tunnel, the packet inside.
fn unwrapped(forwarding: Forwarding, mut frame: Vec<u8>, real: Ipv4Addr) -> Vec<u8> {
    if forwarding == Forwarding::Tunnel {
        assert_eq!((addresses(&frame), frame[23]), ((OWN_LAN, real), 4));
        frame.drain(14..34);
    }
    frame
}

fn message(from: Ipv4Addr, to: Ipv4Addr, to_mac: [u8; 6], message: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv4(from.octets(), to.octets(), 64);
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    message[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    let mut bytes = Vec::new();
    builder.write(&mut bytes, IpNumber(1), &message).unwrap();
    bytes
}

fn addresses(frame: &[u8]) -> (Ipv4Addr, Ipv4Addr) {
    let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).unwrap());
    (address(26), address(30))
}

/// Asks a stand-in from the host, and returns what its real server gets.
fn ask(director: &mut Director, forwarding: Forwarding, worker: usize, frame: &[u8], real: Ipv4Addr) -> Vec<u8> {
    let sent = director.through(worker, WAN_TWIN, frame, LAN);
    assert_eq!(sent[..6], if real == R1 { R1_MAC } else { R2_MAC });
    unwrapped(forwarding, sent, real)
}

#[test]
fn a_question_reaches_its_real_server_as_a_clients_packet_and_the_answer_comes_back() {
    for forwarding in METHODS {
        for workers in [1, 2] {
            let mut director = director(forwarding, workers);
            for (real, stand_in) in [(R1, S1), (R2, S2), (R1, S1)] {
                let asked = ask(&mut director, forwarding, 0, &tcp(HOST, (stand_in, 80), STATION, "S", b""), real);
                assert_eq!(sockets(&asked), (HOST, end(forwarding, real)), "{forwarding}");
                assert_eq!(ttl(&asked), 63);
                // It may arrive at another worker.
                let answer = tcp(end(forwarding, real), HOST, LAN_MAC, "SA", b"hello");
                let told = director.through(workers - 1, LAN, &answer, WAN_TWIN);
                assert_eq!(sockets(&told), ((stand_in, 80), HOST));
                assert_eq!((&told[..6], &told[6..12], ttl(&told)), (&WAN_MAC[..], &STATION[..], 64));
            }
            assert_eq!(director.outcomes(), [("check_sent", 3), ("check_answered", 3)]);
            director.balanced();
        }
    }
}

#[test]
fn datagrams_and_pings_go_the_same_way() {
    for forwarding in METHODS {
        let mut director = director(forwarding, 1);
        let asked = ask(&mut director, forwarding, 0, &udp(HOST, (S2, 80), STATION, b"who?"), R2);
        assert_eq!(sockets(&asked), (HOST, end(forwarding, R2)));
        let told = director.through(0, LAN, &udp(end(forwarding, R2), HOST, LAN_MAC, b"me"), WAN_TWIN);
        assert_eq!(sockets(&told), ((S2, 80), HOST));

        let (address, _) = end(forwarding, R2);
        let asked = ask(&mut director, forwarding, 0, &echo(OWN_LAN, S2, STATION, b"ping"), R2);
        assert_eq!(addresses(&asked), (OWN_LAN, address));
        let reply = message(address, OWN_LAN, LAN_MAC, &[0, 0, 0, 0, 0, 77, 0, 1, 5]);
        let told = director.through(0, LAN, &reply, WAN_TWIN);
        assert_eq!(addresses(&told), (S2, OWN_LAN));
        assert_eq!(told[14 + 20..], reply[14 + 20..]);
        assert_eq!(director.outcomes(), [("check_sent", 2), ("check_answered", 2)]);
    }
}

#[test]
fn a_refusal_by_icmp_is_an_answer() {
    for forwarding in METHODS {
        let mut director = director(forwarding, 1);
        let asked = ask(&mut director, forwarding, 0, &udp(HOST, (S1, 80), STATION, b"who?"), R1);
        let (address, _) = end(forwarding, R1);
        let refusal = [&[3, 3, 0, 0, 0, 0, 0, 0], &asked[14..]].concat();
        let told = director.through(0, LAN, &message(address, OWN_LAN, LAN_MAC, &refusal), WAN_TWIN);
        assert_eq!(addresses(&told), (S1, OWN_LAN));
        let quoted = [&[0; 14], &told[14 + 20 + 8..]].concat();
        assert_eq!(addresses(&quoted), (OWN_LAN, S1));
        assert_eq!(quoted[34 + 2..34 + 4], 80u16.to_be_bytes());
        // One of a router says who it is from, and one about another's packet is none.
        let told = director.through(0, LAN, &message(R2, OWN_LAN, LAN_MAC, &refusal), WAN_TWIN);
        assert_eq!(addresses(&told), (R2, OWN_LAN));
        let mut foreign = refusal;
        foreign[8 + 12..8 + 16].copy_from_slice(&[192, 0, 2, 77]);
        let foreign = message(R2, OWN_LAN, LAN_MAC, &foreign);
        assert_eq!(director.give(0, LAN, &foreign), [(LAN_TWIN, foreign)]);
        assert_eq!(director.outcomes(), [("punted", 1), ("check_sent", 1), ("check_answered", 2)]);
    }
}

#[test]
fn nothing_counts_and_nothing_is_scheduled() {
    for forwarding in METHODS {
        let mut director = director(forwarding, 1);
        ask(&mut director, forwarding, 0, &tcp(HOST, (S2, 80), STATION, "S", b""), R2);
        director.through(0, LAN, &tcp(end(forwarding, R2), HOST, LAN_MAC, "SA", b""), WAN_TWIN);
        let stats = &director.shared.workers[0];
        let counted = |flows: &[millrace::dataplane::stats::FlowStats]| {
            flows.iter().all(|flow| {
                let counters = [&flow.connections, &flow.in_packets, &flow.in_octets, &flow.out_packets];
                counters.iter().all(|counter| counter.get() == 0)
            })
        };
        assert!(counted(&stats.services) && counted(&stats.reals));
        let none = (0..16).all(|id| director.shared.counts.connections(RealId(id)) == Connections::default());
        assert!(none, "no connection is kept");
        // The first client gets the first real server, as ever.
        let client = (Ipv4Addr::new(198, 51, 100, 7), 40_000);
        let syn = director.through(0, WAN, &tcp(client, (VIP, 80), WAN_MAC, "S", b""), LAN);
        assert_eq!(syn[..6], R1_MAC);
    }
}

#[test]
fn an_answer_may_come_by_any_port_and_goes_where_the_question_came_from() {
    let mut director = director(Forwarding::Tunnel, 2);
    let from = (OWN, 40_000);
    director.through(0, LAN_TWIN, &tcp(from, (S1, 80), STATION, "S", b""), LAN);
    let told = director.through(1, WAN, &tcp((VIP, 80), from, WAN_MAC, "SA", b""), LAN_TWIN);
    assert_eq!((sockets(&told), &told[..6]), (((S1, 80), from), &LAN_MAC[..]));
    // Also by one that the host does not hear.
    let mut director = with_twins(Forwarding::Nat, 1, false);
    director.through(0, WAN_TWIN, &tcp(from, (S1, 80), STATION, "S", b""), LAN);
    let told = director.through(0, LAN, &tcp((R1, 8080), from, LAN_MAC, "SA", b""), WAN_TWIN);
    assert_eq!(sockets(&told), ((S1, 80), from));
    assert_eq!(director.outcomes(), [("check_sent", 1), ("check_answered", 1)]);
}

#[test]
fn what_comes_from_elsewhere_is_no_answer() {
    for forwarding in METHODS {
        let mut director = director(forwarding, 1);
        ask(&mut director, forwarding, 0, &tcp(HOST, (S1, 80), STATION, "S", b""), R1);
        let (address, port) = end(forwarding, R1);
        for (from, to) in [
            ((address, port + 1), HOST),
            ((Ipv4Addr::new(10, 0, 0, 99), port), HOST),
            ((address, port), (OWN_LAN, 40_001)),
            ((address, port), (OWN, 40_000)),
        ] {
            let other = tcp(from, to, LAN_MAC, "SA", b"");
            assert_eq!(director.give(0, LAN, &other), [(LAN_TWIN, other)], "the host's as it is");
        }
        let datagram = udp((address, port), HOST, LAN_MAC, b"");
        assert_eq!(director.give(0, LAN, &datagram), [(LAN_TWIN, datagram)]);
        let shown = director.give(0, LAN, &tcp((address, port), HOST, LAN_MAC, "SA", b""));
        assert_eq!((shown[0].0, sockets(&shown[0].1)), (WAN_TWIN, ((S1, 80), HOST)));
        director.balanced();
    }
}

#[test]
fn whatever_else_the_host_sends_from_the_port_is_its_own_again() {
    let mut director = director(Forwarding::Nat, 1);
    ask(&mut director, Forwarding::Nat, 0, &tcp(HOST, (S1, 80), STATION, "S", b""), R1);
    let answer = tcp((R1, 8080), HOST, LAN_MAC, "SA", b"");
    assert_eq!(director.give(0, LAN, &answer)[0].0, WAN_TWIN);
    for (other, answered) in [
        (udp(HOST, (R1, 8080), R1_MAC, b""), true),
        (tcp((OWN, 40_000), (R1, 8080), R1_MAC, "S", b""), true),
        (tcp(HOST, (R1, 8080), R1_MAC, "S", b""), false),
    ] {
        assert_eq!(director.give(0, LAN_TWIN, &other), [(LAN, other)], "leaves as it is");
        let sent = director.give(0, LAN, &answer);
        assert_eq!(sent[0].0, if answered { WAN_TWIN } else { LAN_TWIN });
        assert_eq!(sent[0].1 == answer, !answered);
    }
}

#[test]
fn what_cannot_be_asked_is_dropped_for_a_reason_of_its_own() {
    let mut director = director(Forwarding::Tunnel, 1);
    let big = |octets: usize| tcp(HOST, (S1, 80), STATION, "A", &vec![0; octets - 40]);
    let dying = |mut frame: Vec<u8>| {
        frame[22] = 1;
        let sum = u32::from(u16::from_be_bytes([frame[24], frame[25]])) + (63 << 8);
        frame[24..26].copy_from_slice(&((sum & 0xffff) + (sum >> 16)).to_be_bytes()[2..]);
        frame
    };
    for (frame, outcome) in [
        (tcp(HOST, (Ipv4Addr::new(198, 18, 0, 4), 80), STATION, "S", b""), Outcome::DropNoStandIn),
        (tcp(HOST, (Ipv4Addr::new(198, 19, 255, 255), 80), STATION, "S", b""), Outcome::DropNoStandIn),
        (tcp((Ipv4Addr::new(10, 0, 0, 5), 9), (S1, 80), STATION, "S", b""), Outcome::DropStandInSource),
        (sctp(HOST, (S1, 80), STATION, &[(1, 16)]), Outcome::DropProtocol),
        (message(OWN_LAN, S1, STATION, &[0, 0, 0, 0, 0, 77, 0, 1]), Outcome::DropIcmpType),
        (big(1481), Outcome::DropTooBig),
        (dying(tcp(HOST, (S1, 80), STATION, "S", b"")), Outcome::DropTtl),
    ] {
        let before = director.count(outcome);
        assert_eq!(director.give(0, WAN_TWIN, &frame), [], "{outcome:?}");
        assert_eq!(director.count(outcome), before + 1, "{outcome:?}: {:?}", director.outcomes());
    }
    director.through(0, WAN_TWIN, &big(1480), LAN);
    director.balanced();
}

#[test]
fn a_real_server_that_is_not_known_yet_is_asked_for() {
    let mut director = director(Forwarding::Direct, 1);
    let far = Ipv4Addr::new(10, 0, 0, 77);
    let stand_in = StandIn { vip: VIP, port: 80, real: SocketAddrV4::new(far, 80), forwarding: Forwarding::Direct };
    let prefix = Ipv4Net::new(Ipv4Addr::new(198, 18, 0, 0), 15).unwrap();
    director.applier.stand_in(StandIns::new(prefix, [None, None, Some(stand_in)].into())).unwrap();
    let asked = director.give(0, WAN_TWIN, &tcp(HOST, (S1, 80), STATION, "S", b""));
    assert_eq!((asked.len(), asked[0].0, &asked[0].1[12..14]), (1, LAN, &[8, 6][..]), "who has {far}?");
    let reply = [&LAN_MAC[..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &CLIENT_MAC, &far.octets(), &LAN_MAC];
    let reply = [&reply.concat()[..], &OWN_LAN.octets()].concat();
    let sent = director.give(0, LAN, &reply);
    assert!(sent.iter().any(|(port, frame)| *port == LAN && frame[..6] == CLIENT_MAC));
    assert_eq!(director.count(Outcome::CheckSent), 1);
}

#[test]
fn without_stand_ins_the_prefix_is_like_any_other() {
    let mut director = director(Forwarding::Direct, 1);
    let syn = tcp(HOST, (S1, 80), STATION, "S", b"");
    director.through(0, WAN_TWIN, &syn, LAN);
    director.applier.stand_in(StandIns::default()).unwrap();
    assert_eq!(director.give(0, WAN_TWIN, &syn), [(WAN, syn)]);
    let answer = tcp((VIP, 80), HOST, LAN_MAC, "SA", b"");
    assert_eq!(director.give(0, LAN, &answer), [(LAN_TWIN, answer)], "of a question from before");
    assert_eq!(director.outcomes(), [("punted", 1), ("from_host", 1), ("check_sent", 1)]);
}

#[test]
fn stand_ins_outlive_the_real_server_in_the_pool() {
    let mut director = director(Forwarding::Direct, 1);
    director.applier.apply(&config_of(Forwarding::Direct, "", true), director.now).unwrap();
    ask(&mut director, Forwarding::Direct, 0, &tcp(HOST, (S2, 80), STATION, "S", b""), R2);
    director.through(0, LAN, &tcp((VIP, 80), HOST, LAN_MAC, "SA", b""), WAN_TWIN);
}
