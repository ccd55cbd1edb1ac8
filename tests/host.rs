//! The host as a real server: its packets go to a twin, and what it answers comes from the VIP.

mod support;

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;
use millrace::dataplane::conn::Table;
use millrace::dataplane::punt::Class;
use millrace::dataplane::stats::Outcome;
use support::*;

/// Behind the two ports come their twins.
const WAN_TWIN: usize = 2;
const LAN_TWIN: usize = 3;

const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OWN_LAN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The host's next hop.
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

fn client(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, 7), port)
}

fn host(port: u16) -> (Ipv4Addr, u16) {
    (OWN, port)
}

fn text_with_twins(services: &str, twins: &[&str]) -> String {
    twins.iter().fold(text(services), |text, name| {
        let line = format!("name = \"{name}\"\n");
        text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1)
    })
}

fn director(services: &str, twins: &[&str]) -> Director {
    Director::with_config(&parse(&text_with_twins(services, twins)), 2, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn service(keys: &str, real: &str) -> String {
    format!("[[service]]\naddress = '203.0.113.10:80'\nscheduler = 'rr'\n{keys}\nreal = [{{ address = '{real}' }}]\n")
}

/// What the host is given of a client's packet.
fn given(director: &mut Director, frame: &[u8]) -> Vec<u8> {
    let given = director.through(0, WAN, frame, WAN_TWIN);
    assert_eq!(given[..6], WAN_MAC);
    assert_eq!(ttl(&given), ttl(frame), "the host is where it was sent to");
    given
}

/// What a client gets of what the host sends, by the other worker.
fn answered(director: &mut Director, frame: &[u8]) -> Vec<u8> {
    let sent = director.through(1, WAN_TWIN, frame, WAN);
    assert_eq!((&sent[..12], ttl(&sent)), (&frame[..12], ttl(frame)), "to whom the host sends it");
    sent
}

#[test]
fn a_connection_comes_to_the_host_and_its_answers_from_the_vip() {
    // By whichever method, and as an own address as well: of another port's, of this one's.
    for (real, to) in [("127.0.0.1", OWN), ("192.0.2.2", OWN), ("10.0.0.1", OWN_LAN)] {
        for forwarding in ["nat", "tunnel", "direct", "local"] {
            let service = service(&format!("forwarding = '{forwarding}'"), &format!("{real}:8080"));
            let mut director = director(&service, &["wan", "lan"]);
            let (client, socket) = (client(40_000), (to, 8080));
            let syn = given(&mut director, &tcp(client, (VIP, 80), WAN_MAC, "S", b""));
            assert_eq!(sockets(&syn), (client, socket), "{real} {forwarding}");
            let answer = answered(&mut director, &tcp(socket, client, GATEWAY_MAC, "SA", b""));
            assert_eq!(sockets(&answer), ((VIP, 80), client));
            given(&mut director, &tcp(client, (VIP, 80), WAN_MAC, "A", b""));
            answered(&mut director, &tcp(socket, client, GATEWAY_MAC, "PA", b"sorry"));
            let listed = director.shared.counts.connections(real_id(&director));
            assert_eq!((listed.active, listed.inactive), (1, 0), "established: both sides were seen");
            given(&mut director, &tcp(client, (VIP, 80), WAN_MAC, "FA", b""));
            answered(&mut director, &tcp(socket, client, GATEWAY_MAC, "FA", b""));
            assert_eq!(director.outcomes(), [("forwarded_local_in", 3), ("forwarded_local_out", 3)]);
            director.balanced();
        }
    }
    let mut director = director(&service("", "127.0.0.1:8080"), &["wan"]);
    given(&mut director, &tcp(client(40_000), (VIP, 80), WAN_MAC, "S", b""));
    director.pass(70_000);
    let listed = director.shared.counts.connections(real_id(&director));
    assert_eq!((listed.active, listed.inactive), (0, 0), "expired: a SYN without an answer");
}

fn real_id(director: &Director) -> millrace::dataplane::service::RealId {
    let snapshot = director.applier.viewer().current();
    let real = snapshot.reals.iter().flatten().next().unwrap();
    real.id
}

#[test]
fn what_answers_nothing_leaves_as_it_is() {
    let mut director = director(&service("", "127.0.0.1:8080"), &["wan"]);
    let frames = [
        tcp(host(8080), client(40_000), GATEWAY_MAC, "SA", b""),
        tcp(host(22), client(40_000), GATEWAY_MAC, "SA", b""),
        udp(host(8080), client(40_000), GATEWAY_MAC, b""),
        tcp((Ipv4Addr::new(172, 16, 0, 1), 8080), client(40_000), GATEWAY_MAC, "A", b""),
        // What is no address of the host's does not answer for it, nor does what no host may send.
        tcp((Ipv4Addr::LOCALHOST, 8080), client(40_001), GATEWAY_MAC, "SA", b""),
        tcp((OWN_LAN, 8080), client(40_001), GATEWAY_MAC, "SA", b""),
    ];
    given(&mut director, &tcp(client(40_001), (VIP, 80), WAN_MAC, "S", b""));
    for frame in &frames {
        assert_eq!(director.give(1, WAN_TWIN, frame), [(WAN, frame.clone())]);
    }
    assert_eq!(director.outcomes(), [("forwarded_local_in", 1), ("from_host", 6)]);
    director.balanced();
}

#[test]
fn nobody_on_the_link_can_answer_in_the_hosts_place() {
    let mut director = director(&service("", "127.0.0.1:8080"), &["wan", "lan"]);
    given(&mut director, &tcp(client(40_000), (VIP, 80), WAN_MAC, "S", b""));
    for from in [OWN, OWN_LAN, Ipv4Addr::LOCALHOST] {
        for (port, mac) in [(WAN, WAN_MAC), (LAN, LAN_MAC)] {
            let forged = tcp((from, 8080), client(40_000), mac, "SA", b"");
            assert!(director.give(0, port, &forged).iter().all(|(to, _)| *to >= WAN_TWIN), "{from}");
        }
    }
    assert_eq!(director.count(Outcome::ForwardedLocalOut) + director.count(Outcome::ForwardedNatOut), 0);
}

#[test]
fn what_comes_by_a_port_without_a_twin_takes_the_twin_there_is() {
    let mut director = director(&service("", "127.0.0.1:8080"), &["lan"]);
    let syn = tcp(client(40_000), (VIP, 80), WAN_MAC, "S", b"");
    let given = director.through(0, WAN, &syn, LAN_TWIN - 1);
    assert_eq!(sockets(&given), (client(40_000), (OWN_LAN, 8080)));
    assert_eq!((&given[..6], &given[6..12]), (&LAN_MAC[..], &syn[6..12]));
    let answer = director.through(1, LAN_TWIN - 1, &tcp((OWN_LAN, 8080), client(40_000), GATEWAY_MAC, "SA", b""), LAN);
    assert_eq!(sockets(&answer), ((VIP, 80), client(40_000)));
}

#[test]
fn it_is_the_sorry_server_while_no_real_server_is_left() {
    let with = |weight: u8, keys: &str| {
        let sorry = format!("{keys}sorry_server = {{ address = '127.0.0.1:8080' }}");
        service(&sorry, "10.0.0.11").replace("0.11'", &format!("0.11', weight = {weight}"))
    };
    for keys in ["", "persistence = { timeout = 60 }\n"] {
        let mut director = director(&with(1, keys), &["wan"]);
        let apply = |director: &mut Director, weight| {
            let config = parse(&text_with_twins(&with(weight, keys), &["wan"]));
            director.applier.apply(&config, director.now).unwrap();
        };
        let syn = |port| tcp(client(port), (VIP, 80), WAN_MAC, "S", b"");
        director.through(0, WAN, &syn(1000), LAN);
        apply(&mut director, 0);
        let real = usize::from(keys.is_empty());
        if real == 1 {
            assert_eq!(sockets(&given(&mut director, &syn(1001))).1, host(8080));
            let answer = answered(&mut director, &tcp(host(8080), client(1001), GATEWAY_MAC, "SA", b""));
            assert_eq!(sockets(&answer), ((VIP, 80), client(1001)));
        } else {
            director.through(0, WAN, &syn(1001), LAN);
            let other = (Ipv4Addr::new(198, 51, 100, 8), 1001);
            assert_eq!(sockets(&given(&mut director, &tcp(other, (VIP, 80), WAN_MAC, "S", b""))).1, host(8080));
        }
        apply(&mut director, 1);
        director.through(0, WAN, &syn(1002), LAN);
        if real == 1 {
            given(&mut director, &tcp(client(1001), (VIP, 80), WAN_MAC, "A", b""));
            answered(&mut director, &tcp(host(8080), client(1001), GATEWAY_MAC, "A", b""));
        }
        director.balanced();
    }
}

#[test]
fn several_services_share_it_and_a_client_gets_no_answer_of_the_other() {
    let other = service("", "192.0.2.2:8080").replace("0.113.10", "0.113.11");
    let mut director = director(&(service("", "127.0.0.1:8080") + &other), &["wan", "lan"]);
    let vips = [VIP, Ipv4Addr::new(203, 0, 113, 11)];
    for (port, vip) in [(40_000, vips[0]), (40_001, vips[1])] {
        given(&mut director, &tcp(client(port), (vip, 80), WAN_MAC, "S", b""));
        let answer = answered(&mut director, &tcp(host(8080), client(port), GATEWAY_MAC, "SA", b""));
        assert_eq!(sockets(&answer), ((vip, 80), client(port)));
    }
    // The same client's port to both could not be told apart, whichever of its addresses the host is.
    assert_eq!(director.give(0, WAN, &tcp(client(40_000), (vips[1], 80), WAN_MAC, "S", b"")), []);
    assert_eq!(director.count(Outcome::DropAmbiguous), 1);
    // The other service's answers are looked for no more when it is gone.
    let alone = parse(&text_with_twins(&service("", "127.0.0.1:8080"), &["wan", "lan"]));
    director.applier.apply(&alone, director.now).unwrap();
    answered(&mut director, &tcp(host(8080), client(40_000), GATEWAY_MAC, "A", b""));
    let late = tcp(host(8080), client(40_001), GATEWAY_MAC, "A", b"");
    assert_eq!(director.give(1, WAN_TWIN, &late), [(WAN, late.clone())]);
    director.balanced();
}

#[test]
fn datagrams_echoes_every_port_and_one_packet_scheduling() {
    let kind = |keys: &str| format!("[[service]]\n{keys}\nreal = [{{ address = '127.0.0.1' }}]\n");
    let from = client(40_000);
    let cases = [
        (kind("address = '203.0.113.10:53'\nprotocol = 'udp'"), 53),
        (kind("address = '203.0.113.10:53'\nprotocol = 'udp'\nops = true"), 53),
        (kind("address = '203.0.113.10:0'\nprotocol = 'udp'"), 777),
        (kind("match = { to = '203.0.113.10', port = '50-60', protocol = 'udp' }"), 55),
    ];
    for (service, port) in cases {
        let mut director = director(&service, &["wan"]);
        let asked = given(&mut director, &udp(from, (VIP, port), WAN_MAC, b"hi"));
        assert_eq!(sockets(&asked), (from, host(port)), "{service}");
        let answer = answered(&mut director, &udp(host(port), from, GATEWAY_MAC, b"ho"));
        assert_eq!(sockets(&answer), ((VIP, port), from));
        assert_eq!(director.outcomes(), [("forwarded_local_in", 1), ("forwarded_local_out", 1)]);
        director.balanced();
    }
    let mut director = director(&kind("address = '203.0.113.10'\nprotocol = 'icmp'"), &["wan"]);
    let asked = given(&mut director, &echo(from.0, VIP, WAN_MAC, b"hi"));
    assert_eq!(asked[30..34], OWN.octets());
    let mut reply = Vec::new();
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, GATEWAY_MAC).ipv4(OWN.octets(), from.0.octets(), 64);
    builder.icmpv4_echo_reply(77, 1).write(&mut reply, b"hi").unwrap();
    assert_eq!(answered(&mut director, &reply)[26..30], VIP.octets());
}

#[test]
fn a_flood_at_it_leaves_room_for_the_hosts_sessions() {
    let mut director = director(&service("", "127.0.0.1:8080"), &["wan"]);
    let burst = Class::Served.per_second() / 10;
    let mut came = 0;
    for n in 0..burst + 100 {
        let from = (Ipv4Addr::from_bits(0xc633_6400 + n / 256), 1024 + (n % 256) as u16);
        came += director.give(0, WAN, &tcp(from, (VIP, 80), WAN_MAC, "S", b"")).len() as u32;
    }
    assert_eq!((came, director.count(Outcome::DropPuntLimit)), (burst, 100));
    let session = tcp(client(40_000), (OWN, 22), WAN_MAC, "A", b"");
    assert_eq!(director.give(0, WAN, &session), [(WAN_TWIN, session)]);
    director.balanced();
}

#[test]
fn a_packet_of_the_last_hop_comes_to_it() {
    let mut director = director(&service("", "127.0.0.1:8080"), &["wan"]);
    let mut frame = tcp(client(40_000), (VIP, 80), WAN_MAC, "S", b"");
    let sum = u16::from_be_bytes([frame[24], frame[25]]) as u32 + 0x3f00;
    frame[22] = 1;
    frame[24..26].copy_from_slice(&((sum & 0xffff) + (sum >> 16)).to_be_bytes()[2..]);
    verify(&frame);
    assert_eq!(ttl(&given(&mut director, &frame)), 1);
}
