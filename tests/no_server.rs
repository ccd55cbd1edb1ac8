//! What clients are answered while no real server takes new connections.

mod support;

use std::net::{IpAddr, SocketAddr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use millrace::dataplane::conn::Table;
use millrace::dataplane::stats::Outcome;
use support::{CLIENT_MAC, Director, LAN, WAN, WAN_MAC, parse, text};

fn director(services: &str) -> Director {
    let text = text(services)
        .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
        .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
    let six = "[[route]]\nto = '::/0'\nvia = '2001:db8:a::1'\n";
    Director::with_config(&parse(&format!("{text}\n{six}")), 1, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn world(six: bool) -> [SocketAddr; 2] {
    let sockets = match six {
        false => ["198.51.100.7:40000", "203.0.113.10:80"],
        true => ["[2001:db8:c::7]:40000", "[2001:db8:f::10]:80"],
    };
    sockets.map(|socket| socket.parse().unwrap())
}

fn service(vip: SocketAddr, protocol: &str, keys: &str) -> String {
    format!("[[service]]\naddress = '{vip}'\nprotocol = '{protocol}'\nscheduler = 'rr'\n{keys}\n")
}

fn from(client: SocketAddr, vip: SocketAddr) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, WAN_MAC);
    match (client.ip(), vip.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    }
}

fn segment(client: SocketAddr, vip: SocketAddr, flags: &str, data: &[u8]) -> Vec<u8> {
    let builder = from(client, vip).tcp(client.port(), vip.port(), 0xffff_fffe, 4096);
    let builder = if flags.contains('S') { builder.syn() } else { builder };
    let builder = if flags.contains('F') { builder.fin() } else { builder };
    let builder = if flags.contains('A') { builder.ack(0x0102_0304) } else { builder };
    let mut bytes = Vec::new();
    builder.write(&mut bytes, data).unwrap();
    bytes
}

fn datagram(client: SocketAddr, vip: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    from(client, vip).udp(client.port(), vip.port()).write(&mut bytes, b"hello").unwrap();
    bytes
}

/// The one frame that answers another.
fn answer(director: &mut Director, frame: &[u8]) -> Vec<u8> {
    let mut sent = director.give(0, WAN, frame);
    assert_eq!(sent.len(), 1, "{:?}", director.outcomes());
    let (port, bytes) = sent.remove(0);
    assert_eq!((port, &bytes[..6], &bytes[6..12]), (WAN, &CLIENT_MAC[..], &WAN_MAC[..]));
    bytes
}

#[test]
fn by_default_port_unreachable() {
    for six in [false, true] {
        let [client, vip] = world(six);
        for (protocol, keys) in
            [("tcp", ""), ("udp", ""), ("udp", "no_server = 'reset'"), ("tcp", "no_server = 'unreachable'")]
        {
            let mut director = director(&service(vip, protocol, keys));
            let frame = if protocol == "tcp" { segment(client, vip, "S", b"") } else { datagram(client, vip) };
            let sent = answer(&mut director, &frame);
            let (message, code) = if six { (&sent[54..], [1, 4]) } else { (&sent[34..], [3, 3]) };
            assert_eq!((&message[..2], &message[8..]), (&code[..], &frame[14..]), "{protocol} {keys}");
            assert_eq!(director.outcomes(), [("answered_unreachable", 1)]);
            director.balanced();
        }
    }
}

#[test]
fn a_reset_answers_what_the_segment_has() {
    for six in [false, true] {
        let [client, vip] = world(six);
        let keys = "no_server = 'reset'";
        let sloppy = format!("[ipvs]\nsloppy_tcp = 1\n{}", service(vip, "tcp", keys));
        for (flags, data, sequence, acknowledgment) in [
            ("S", &b""[..], 0, Some(0xffff_ffff)),
            ("S", b"early", 0, Some(4)),
            ("FS", b"", 0, Some(0)),
            ("F", b"x", 0, Some(0)),
            ("A", b"in the middle", 0x0102_0304, None),
        ] {
            let mut director = director(&sloppy);
            let sent = answer(&mut director, &segment(client, vip, flags, data));
            let sliced = SlicedPacket::from_ethernet(&sent).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("{sent:02x?}") };
            let (addresses, sum) = match &sliced.net {
                Some(NetSlice::Ipv4(ip)) => {
                    let header = ip.header().to_header();
                    assert_eq!((header.header_checksum, header.time_to_live), (header.calc_header_checksum(), 64));
                    let (from, to) = (ip.header().source(), ip.header().destination());
                    ((IpAddr::from(from), IpAddr::from(to)), tcp.calc_checksum_ipv4(from, to))
                }
                Some(NetSlice::Ipv6(ip)) => {
                    assert_eq!(ip.header().hop_limit(), 64);
                    let (from, to) = (ip.header().source(), ip.header().destination());
                    ((IpAddr::from(from), IpAddr::from(to)), tcp.calc_checksum_ipv6(from, to))
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((addresses, tcp.checksum()), ((vip.ip(), client.ip()), sum.unwrap()));
            assert_eq!((tcp.source_port(), tcp.destination_port()), (vip.port(), client.port()));
            assert_eq!((tcp.rst(), tcp.ack(), tcp.syn(), tcp.fin()), (true, acknowledgment.is_some(), false, false));
            assert_eq!((tcp.sequence_number(), tcp.acknowledgment_number()), (sequence, acknowledgment.unwrap_or(0)));
            assert_eq!((tcp.payload(), tcp.options()), (&b""[..], &b""[..]));
            assert_eq!(director.outcomes(), [("answered_reset", 1)]);
            director.balanced();
        }
    }
}

#[test]
fn silence_is_a_choice_too_and_a_flood_is_not_answered_by_one() {
    let [client, vip] = world(false);
    let mut director = self::director(&service(vip, "tcp", "no_server = 'drop'"));
    assert_eq!(director.give(0, WAN, &segment(client, vip, "S", b"")), []);
    assert_eq!(director.outcomes(), [("drop_no_real_server", 1)]);
    for keys in ["", "no_server = 'reset'"] {
        let mut director = self::director(&service(vip, "tcp", keys));
        let told: usize = (0..100).map(|_| director.give(0, WAN, &segment(client, vip, "S", b"")).len()).sum();
        assert_eq!((told, director.count(Outcome::DropNoRealServer)), (50, 50));
        director.balanced();
    }
}

#[test]
fn weight_0_and_thresholds_are_no_server_and_a_sorry_server_is_one() {
    let [client, vip] = world(false);
    let real = |keys: &str| format!("real = [{{ address = '10.0.0.11:8080', {keys} }}]\nno_server = 'reset'");
    let mut quiet = director(&service(vip, "tcp", &real("weight = 0")));
    answer(&mut quiet, &segment(client, vip, "S", b""));
    let mut full = director(&service(vip, "tcp", &real("upper = 1")));
    assert_eq!(full.give(0, WAN, &segment(client, vip, "S", b""))[0].0, LAN);
    let other = SocketAddr::new(client.ip(), 40_001);
    answer(&mut full, &segment(other, vip, "S", b""));
    assert_eq!(full.count(Outcome::AnsweredReset), 1);
    let sorry = "no_server = 'reset'\nsorry_server = { address = '10.0.0.12:80' }";
    let mut sorry = director(&service(vip, "tcp", sorry));
    assert_eq!(sorry.give(0, WAN, &segment(client, vip, "S", b""))[0].0, LAN);
}

#[test]
fn services_of_many_ports_answer_too() {
    for service in [
        "[[service]]\naddress = '203.0.113.10:0'\nno_server = 'reset'\n",
        "[[service]]\naddress = '203.0.113.0/28:70-90'\nno_server = 'reset'\n",
        "[[service]]\nmatch = { protocol = 'tcp', to = '203.0.113.0/28' }\nno_server = 'reset'\n",
    ] {
        let [client, vip] = world(false);
        let mut director = director(service);
        let sent = answer(&mut director, &segment(client, vip, "S", b""));
        assert_eq!(&sent[26..30], &[203, 0, 113, 10], "from the address that was asked");
        assert_eq!(director.count(Outcome::AnsweredReset), 1);
    }
}
