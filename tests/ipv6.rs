//! IPv6 over the whole data plane: every method, both directions, tunnels of either family, neighbour discovery, errors.

mod support;

use std::net::{IpAddr, Ipv6Addr};

use etherparse::PacketBuilder;
use millrace::dataplane::conn::Table;
use millrace::dataplane::service::PortId;
use millrace::dataplane::stats::Outcome;
use support::*;

const CLIENT: (&str, u16) = ("2001:db8:c::7", 40_000);
const VIP: (&str, u16) = ("2001:db8:f::10", 80);
const REAL: (&str, u16) = ("fd00::11", 8080);
const REAL_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

fn director(services: &str) -> Director {
    let text = text(services)
        .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
        .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
    let six = "[[route]]\nto = '::/0'\nvia = '2001:db8:a::1'\n\
               [[neighbor]]\naddress = '2001:db8:a::1'\nmac = '02:00:00:00:01:01'\n\
               [[neighbor]]\naddress = 'fd00::11'\nmac = '02:00:00:00:01:0b'\n";
    Director::with_config(&parse(&format!("{text}\n{six}")), 1, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn start(
    from: (&str, u16),
    to: (&str, u16),
    to_mac: [u8; 6],
    hops: u8,
) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv6(address(from.0).octets(), address(to.0).octets(), hops)
}

fn syn(from: (&str, u16), to: (&str, u16), to_mac: [u8; 6], hops: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    start(from, to, to_mac, hops).tcp(from.1, to.1, 1000, 4096).syn().write(&mut bytes, b"").unwrap();
    bytes
}

fn datagram(from: (&str, u16), to: (&str, u16), to_mac: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    start(from, to, to_mac, 64).udp(from.1, to.1).write(&mut bytes, payload).unwrap();
    bytes
}

fn echo(from: &str, to: &str, to_mac: [u8; 6], reply: bool) -> Vec<u8> {
    let builder = start((from, 0), (to, 0), to_mac, 64);
    let builder = if reply { builder.icmpv6_echo_reply(7, 1) } else { builder.icmpv6_echo_request(7, 1) };
    let mut bytes = Vec::new();
    builder.write(&mut bytes, b"hello").unwrap();
    bytes
}

/// What an IPv6 packet in a frame says, its transport checksum verified: source, destination, hop limit, next header, payload.
fn told(packet: &[u8]) -> (String, String, u8, u8, &[u8]) {
    let text = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap()).to_string();
    let payload = &packet[40..];
    assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), payload.len(), "payload length");
    if matches!(packet[6], 6 | 17 | 58) {
        let length = (payload.len() as u32).to_be_bytes();
        let words = [&packet[8..40], &length, &[0, 0, 0, packet[6]], payload].concat();
        let sum = words
            .chunks(2)
            .fold(0u32, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))));
        let sum = (sum & 0xffff) + (sum >> 16);
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "checksum");
    }
    (text(8), text(24), packet[7], packet[6], payload)
}

fn ports(payload: &[u8]) -> (u16, u16) {
    (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]))
}

fn service(address: &str, protocol: &str, forwarding: &str, real: &str) -> String {
    format!(
        "[[service]]\naddress = '{address}'\nprotocol = '{protocol}'\nforwarding = '{forwarding}'\n\
         scheduler = 'rr'\nreal = [{{ address = '{real}' }}]\n"
    )
}

/// Gives a frame and returns the one that was sent, from `out` to `mac`.
fn through(director: &mut Director, port: usize, frame: &[u8], out: usize, mac: [u8; 6]) -> Vec<u8> {
    let mut sent = director.give(0, port, frame);
    assert_eq!(sent.len(), 1, "sent: {sent:02x?}; outcomes: {:?}", director.outcomes());
    let (port, bytes) = sent.remove(0);
    assert_eq!((port, &bytes[..6]), (out, &mac[..]));
    bytes
}

#[test]
fn nat_translates_both_directions() {
    for protocol in ["tcp", "udp"] {
        let mut director = director(&service("[2001:db8:f::10]:80", protocol, "nat", "[fd00::11]:8080"));
        let frame = |from, to, mac| match protocol {
            "tcp" => syn(from, to, mac, 64),
            _ => datagram(from, to, mac, b"hello"),
        };
        for _ in 0..2 {
            let sent = through(&mut director, WAN, &frame(CLIENT, VIP, WAN_MAC), LAN, REAL_MAC);
            let (source, destination, hops, _, payload) = told(&sent[14..]);
            assert_eq!((source.as_str(), destination.as_str(), hops), (CLIENT.0, REAL.0, 63));
            assert_eq!(ports(payload), (CLIENT.1, REAL.1));
        }
        let sent = through(&mut director, LAN, &frame(REAL, CLIENT, LAN_MAC), WAN, GATEWAY_MAC);
        let (source, destination, hops, _, payload) = told(&sent[14..]);
        assert_eq!((source.as_str(), destination.as_str(), hops), (VIP.0, CLIENT.0, 63));
        assert_eq!(ports(payload), (VIP.1, CLIENT.1));
        let other = frame((REAL.0, 8081), CLIENT, LAN_MAC);
        assert_eq!(director.give(0, LAN, &other), []);
        assert_eq!((director.count(Outcome::ForwardedNatIn), director.count(Outcome::ForwardedNatOut)), (2, 1));
        director.balanced();
    }
}

#[test]
fn services_that_share_a_real_server_are_told_apart() {
    let two = service("[2001:db8:f::10]:80", "tcp", "nat", "[fd00::11]:8080")
        + &service("[2001:db8:f::20]:80", "tcp", "nat", "[fd00::11]:8080");
    let mut director = director(&two);
    for (vip, port) in [("2001:db8:f::10", 40_000), ("2001:db8:f::20", 40_001)] {
        let client = (CLIENT.0, port);
        through(&mut director, WAN, &syn(client, (vip, 80), WAN_MAC, 64), LAN, REAL_MAC);
        let sent = through(&mut director, LAN, &syn(REAL, client, LAN_MAC, 64), WAN, GATEWAY_MAC);
        assert_eq!(told(&sent[14..]).0, vip);
    }
    // One client's port to both: the answers could not be told apart.
    assert_eq!(director.give(0, WAN, &syn(CLIENT, ("2001:db8:f::20", 80), WAN_MAC, 64)), []);
    assert_eq!(director.count(Outcome::DropAmbiguous), 1);
    director.balanced();
}

#[test]
fn direct_routing_takes_a_hop_and_nothing_else() {
    let mut director = director(&service("[2001:db8:f::10]:80", "udp", "direct", "fd00::11"));
    let frame = datagram(CLIENT, VIP, WAN_MAC, b"hello");
    let sent = through(&mut director, WAN, &frame, LAN, REAL_MAC);
    let mut expected = frame[14..].to_vec();
    expected[7] -= 1;
    assert_eq!(sent[14..], expected);
    director.balanced();
}

#[test]
fn tunnels_are_of_either_family() {
    let inner = datagram(CLIENT, VIP, WAN_MAC, b"hello");
    let mut expected = inner[14..].to_vec();
    expected[7] -= 1;
    // 6in6
    let mut six = director(&service("[2001:db8:f::10]:80", "udp", "tunnel", "fd00::11"));
    let sent = through(&mut six, WAN, &inner, LAN, REAL_MAC);
    let (source, destination, hops, next, payload) = told(&sent[14..]);
    assert_eq!((source.as_str(), destination.as_str(), hops, next), ("fd00::1", "fd00::11", 63, 41));
    assert_eq!((&sent[12..14], payload), (&[0x86, 0xdd][..], &expected[..]));
    six.balanced();
    // 6in4
    let mut four = director(&service("[2001:db8:f::10]:80", "udp", "tunnel", "10.0.0.11"));
    let sent = through(&mut four, WAN, &inner, LAN, REAL_MAC);
    assert_eq!((&sent[12..14], sent[14], sent[23]), (&[0x08, 0x00][..], 0x45, 41));
    assert_eq!((&sent[26..30], &sent[30..34]), (&[10, 0, 0, 1][..], &[10, 0, 0, 11][..]));
    assert_eq!(sent[34..], expected);
    four.balanced();
    // 4in6
    let four: ((_, u16), (_, u16)) = (("198.51.100.7".parse().unwrap(), 40_000), ("203.0.113.10".parse().unwrap(), 80));
    let inner = udp(four.0, four.1, WAN_MAC, b"hello");
    let mut mixed = director(&service("203.0.113.10:80", "udp", "tunnel", "fd00::11"));
    let sent = through(&mut mixed, WAN, &inner, LAN, REAL_MAC);
    let (source, destination, hops, next, payload) = told(&sent[14..]);
    assert_eq!((source.as_str(), destination.as_str(), hops, next), ("fd00::1", "fd00::11", 63, 4));
    assert_eq!((payload[8], &payload[12..20]), (63, &inner[26..34]));
    mixed.balanced();
}

#[test]
fn echo_requests_are_answered_or_balanced() {
    let mut director = director(&service("[2001:db8:f::10]:80", "tcp", "nat", "[fd00::11]:8080"));
    for asked in ["2001:db8:f::10", "2001:db8:a::2"] {
        let sent = through(&mut director, WAN, &echo(CLIENT.0, asked, WAN_MAC, false), WAN, CLIENT_MAC);
        let (source, destination, _, next, payload) = told(&sent[14..]);
        assert_eq!((source.as_str(), destination.as_str(), next, payload[0]), (asked, CLIENT.0, 58, 129));
    }
    let mut director = self::director(&service("2001:db8:f::10", "icmp", "nat", "fd00::11"));
    let sent = through(&mut director, WAN, &echo(CLIENT.0, VIP.0, WAN_MAC, false), LAN, REAL_MAC);
    assert_eq!((told(&sent[14..]).1.as_str(), told(&sent[14..]).4[0]), (REAL.0, 128));
    let sent = through(&mut director, LAN, &echo(REAL.0, CLIENT.0, LAN_MAC, true), WAN, GATEWAY_MAC);
    assert_eq!((told(&sent[14..]).0.as_str(), told(&sent[14..]).4[0]), (VIP.0, 129));
    director.balanced();
}

#[test]
fn whoever_sends_too_far_or_too_much_is_told() {
    let mut director = director(&service("[2001:db8:f::10]:80", "udp", "tunnel", "fd00::11"));
    let mut short = datagram(CLIENT, VIP, WAN_MAC, b"hello");
    short[21] = 1;
    let sent = through(&mut director, WAN, &short, WAN, CLIENT_MAC);
    let (source, destination, _, next, payload) = told(&sent[14..]);
    assert_eq!((source.as_str(), destination.as_str(), next), ("2001:db8:a::2", CLIENT.0, 58));
    assert_eq!((payload[0], payload[1], &payload[8..]), (3, 0, &short[14..]));
    let long = datagram(CLIENT, VIP, WAN_MAC, &[7; 1413]);
    let sent = through(&mut director, WAN, &long, WAN, CLIENT_MAC);
    let (.., payload) = told(&sent[14..]);
    assert_eq!((payload[0], payload[1], &payload[4..8]), (2, 0, &1460u32.to_be_bytes()[..]));
    let fits = datagram(CLIENT, VIP, WAN_MAC, &[7; 1412]);
    assert_eq!(through(&mut director, WAN, &fits, LAN, REAL_MAC).len(), 14 + 1500);
    director.balanced();
}

/// A message of neighbour discovery with one option, by which `from` tells its Ethernet address.
fn discovery(kind: u8, flags: u32, target: &str, from: &str, to: &str, to_mac: [u8; 6], mac: [u8; 6]) -> Vec<u8> {
    let body =
        [&flags.to_be_bytes()[..], &address(target).octets(), &[if kind == 135 { 1 } else { 2 }, 1], &mac].concat();
    let mut message = [&[kind, 0, 0, 0][..], &body].concat();
    let source = address(from).octets();
    let destination = address(to).octets();
    let words = [&source[..], &destination, &32u32.to_be_bytes(), &[0, 0, 0, 58], &message].concat();
    let sum = words.chunks(2).fold(0u32, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(pair[1])));
    let sum = (sum & 0xffff) + (sum >> 16);
    message[2..4].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    let head = [0x60, 0, 0, 0, 0, 32, 58, 255];
    [&to_mac[..], &mac, &[0x86, 0xdd], &head, &source, &destination, &message].concat()
}

#[test]
fn neighbours_are_answered_asked_for_and_learned() {
    let mut director = director(&service("[2001:db8:a::80]:80", "udp", "direct", "fd00::12"));
    director.applier.tend(director.now);
    // Who has the VIP?
    let asker = "2001:db8:a::77";
    let mac = [2, 0, 0, 0, 0x0a, 0x4d];
    let group = ("ff02::1:ff00:80", [0x33, 0x33, 0xff, 0, 0, 0x80]);
    let question = discovery(135, 0, "2001:db8:a::80", asker, group.0, group.1, mac);
    let sent = through(&mut director, WAN, &question, WAN, mac);
    let (source, destination, hops, _, payload) = told(&sent[14..]);
    assert_eq!((source.as_str(), destination.as_str(), hops), ("2001:db8:a::80", asker, 255));
    assert_eq!((payload[0], &payload[24..32]), (136, &[&[2, 1][..], &WAN_MAC].concat()[..]));
    assert!(director.shared.neighbors.find(PortId(0), address(asker).into()).is_some(), "the asker is learned");
    // A real server that nobody has told of: it is asked for, and the packet waits.
    let frame = datagram((asker, 9), ("2001:db8:a::80", 80), WAN_MAC, b"hello");
    let group_mac = [0x33, 0x33, 0xff, 0, 0, 0x12];
    let sent = through(&mut director, WAN, &frame, LAN, group_mac);
    let (source, destination, hops, _, payload) = told(&sent[14..]);
    assert_eq!((source.as_str(), destination.as_str(), hops, payload[0]), ("fd00::1", "ff02::1:ff00:12", 255, 135));
    let told_mac = [2, 0, 0, 0, 1, 0x0c];
    let answer = discovery(136, 0x6000_0000, "fd00::12", "fd00::12", "fd00::1", LAN_MAC, told_mac);
    let sent = director.give(0, LAN, &answer);
    let sent: Vec<_> = if sent.is_empty() {
        director.pass(0);
        director.sent()
    } else {
        sent
    };
    assert_eq!(sent.len(), 1, "{:?}", director.outcomes());
    assert_eq!((sent[0].0, &sent[0].1[..6], sent[0].1.len()), (LAN, &told_mac[..], frame.len()));
    // Nobody else may have our addresses.
    let thief =
        discovery(136, 0x2000_0000, "2001:db8:a::80", "2001:db8:a::80", "ff02::1", [0x33, 0x33, 0, 0, 0, 1], mac);
    assert_eq!(director.give(0, WAN, &thief), []);
    assert_eq!(director.count(Outcome::DropNdConflict), 1);
    // Whoever asks whether our address is free hears that it is not.
    let probe = {
        let mut frame = discovery(135, 0, "2001:db8:a::80", "::", group.0, group.1, mac);
        // Without the option, which may not be there (RFC 4861 §4.3).
        frame.truncate(14 + 40 + 24);
        frame[19] = 24;
        let words = [&frame[22..54], &24u32.to_be_bytes(), &[0, 0, 0, 58, 135, 0, 0, 0], &frame[58..]].concat();
        let sum = words.chunks(2).fold(0u32, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(pair[1])));
        let sum = (sum & 0xffff) + (sum >> 16);
        frame[56..58].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
        frame
    };
    let sent = through(&mut director, WAN, &probe, WAN, [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!((told(&sent[14..]).1.as_str(), told(&sent[14..]).4[0]), ("ff02::1", 136));
    director.balanced();
}

#[test]
fn a_client_keeps_to_its_real_server_by_its_network() {
    let persistent = "[[service]]\naddress = '[2001:db8:f::10]:80'\nforwarding = 'direct'\nscheduler = 'rr'\n\
                      persistence = { timeout = 300, mask = 64 }\n\
                      real = [{ address = 'fd00::11' }, { address = 'fd00::12' }]\n\
                      [[neighbor]]\naddress = 'fd00::12'\nmac = '02:00:00:00:01:0c'\n";
    let mut director = director(persistent);
    let mut seen = Vec::new();
    for (client, port) in [("2001:db8:c::7", 1), ("2001:db8:c::8", 2), ("2001:db8:d::7", 3), ("2001:db8:c::9", 4)] {
        let sent = director.give(0, WAN, &syn((client, port), VIP, WAN_MAC, 64));
        seen.push(sent[0].1[5]);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[3]);
    assert_ne!(seen[0], seen[2], "another network has its turn");
    director.balanced();
}

#[test]
fn what_is_no_sound_packet_ends_counted() {
    let mut director = director(&service("[2001:db8:f::10]:80", "tcp", "nat", "[fd00::11]:8080"));
    let good = syn(CLIENT, VIP, WAN_MAC, 64);
    let with = |at: usize, octets: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    let mapped = "::ffff:192.0.2.9".parse::<Ipv6Addr>().unwrap().octets();
    for (frame, outcome) in [
        (with(14, &[0x40]), Outcome::DropIpVersion),
        (with(18, &[1, 0]), Outcome::DropIpTotalLength),
        (with(22, &mapped), Outcome::DropIpSource),
        (with(22, &Ipv6Addr::LOCALHOST.octets()), Outcome::DropIpSource),
        (with(22, &address("ff02::9").octets()), Outcome::DropIpSource),
        (with(38, &mapped), Outcome::DropIpGroup),
        (with(38, &address("ff02::9").octets()), Outcome::DropIpGroup),
        (with(38, &address("2001:db8:f::99").octets()), Outcome::DropNotForUs),
        (with(20, &[44]), Outcome::DropFragment),
        (with(20, &[59]), Outcome::DropProtocol),
        (with(54, &[0, 0]), Outcome::DropPortZero),
    ] {
        let before = director.count(outcome);
        assert_eq!(director.give(0, WAN, &frame), [], "{outcome:?}");
        assert_eq!(director.count(outcome), before + 1, "{outcome:?}: {:?}", director.outcomes());
    }
    director.balanced();
}

#[test]
fn a_session_behind_extension_headers_is_one() {
    let mut director = director(&service("[2001:db8:f::10]:80", "tcp", "nat", "[fd00::11]:8080"));
    let good = syn(CLIENT, VIP, WAN_MAC, 64);
    // Destination options of 8 octets in front of the segment.
    let mut frame = [&good[..54], &[6, 0, 1, 4, 0, 0, 0, 0], &good[54..]].concat();
    frame[20] = 60;
    frame[19] += 8;
    let sent = through(&mut director, WAN, &frame, LAN, REAL_MAC);
    assert_eq!(IpAddr::from(<[u8; 16]>::try_from(&sent[38..54]).unwrap()), IpAddr::V6(address(REAL.0)));
    assert_eq!((ports(&sent[62..]), sent[20], sent[54]), ((CLIENT.1, REAL.1), 60, 6));
    director.balanced();
}
