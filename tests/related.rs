//! ICMP errors about connections over the whole data plane, of both families and by every method.

mod support;

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, PacketBuilder};
use millrace::dataplane::conn::Table;
use millrace::dataplane::service::RealId;
use millrace::dataplane::stats::{Outcome, WorkerStats};
use support::*;

const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

/// Who is who in one family.
#[derive(Clone, Copy)]
struct World {
    client: SocketAddr,
    vip: SocketAddr,
    real: SocketAddr,
    /// Routers before the client and before the real server, and the director's addresses towards them.
    routers: [IpAddr; 2],
    own: [IpAddr; 2],
}

fn world(six: bool) -> World {
    let at = |four: &str, other: &str| if six { other.to_owned() } else { four.to_owned() };
    let socket = |four, other| at(four, other).parse().unwrap();
    let address = |four, other| at(four, other).parse().unwrap();
    World {
        client: socket("198.51.100.7:40000", "[2001:db8:c::7]:40000"),
        vip: socket("203.0.113.10:80", "[2001:db8:f::10]:80"),
        real: socket("10.0.0.11:8080", "[fd00::11]:8080"),
        routers: [address("198.51.100.1", "2001:db8:c::1"), address("10.0.0.99", "fd00::99")],
        own: [address("192.0.2.2", "2001:db8:a::2"), address("10.0.0.1", "fd00::1")],
    }
}

const FAMILIES: [bool; 2] = [false, true];

fn director(services: &str, workers: usize) -> Director {
    director_of(text(services), workers)
}

/// The same with twins, which lie behind the two ports.
fn director_with_twins(services: &str) -> Director {
    let twin = |text: String, name: &str| {
        let line = format!("name = \"{name}\"\n");
        text.replacen(&line, &format!("{line}twin = \"{name}0\"\n"), 1)
    };
    director_of(twin(twin(text(services), "wan"), "lan"), 1)
}

fn director_of(text: String, workers: usize) -> Director {
    let text = text
        .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
        .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
    let six = "[[route]]\nto = '::/0'\nvia = '2001:db8:a::1'\n\
               [[neighbor]]\naddress = '2001:db8:a::1'\nmac = '02:00:00:00:01:01'\n\
               [[neighbor]]\naddress = 'fd00::11'\nmac = '02:00:00:00:01:0b'\n";
    Director::with_config(&parse(&format!("{text}\n{six}")), workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

fn service(address: impl std::fmt::Display, protocol: &str, forwarding: &str, real: impl std::fmt::Display) -> String {
    format!(
        "[[service]]\naddress = '{address}'\nprotocol = '{protocol}'\nforwarding = '{forwarding}'\n\
         scheduler = 'rr'\nreal = [{{ address = '{real}' }}]\n"
    )
}

/// A real server's address as its service has it.
fn named(forwarding: &str, real: SocketAddr) -> String {
    if forwarding == "nat" { real.to_string() } else { real.ip().to_string() }
}

/// An IP packet.
fn packet(protocol: &str, from: SocketAddr, to: SocketAddr, hops: u8, data: &[u8]) -> Vec<u8> {
    let builder = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), hops),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), hops),
        _ => panic!("two families"),
    };
    let mut bytes = Vec::new();
    match protocol {
        "tcp" => builder.tcp(from.port(), to.port(), 1000, 4096).syn().write(&mut bytes, data).unwrap(),
        "udp" => builder.udp(from.port(), to.port()).write(&mut bytes, data).unwrap(),
        // An INIT; who quotes it quotes only eight octets, and nobody looks at the sum.
        "sctp" => {
            let init = [1, 0, 0, 20, 0, 0, 0, 9, 0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1];
            let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            builder.write(&mut bytes, IpNumber::SCTP, &[&ports[..], &[0; 8], &init].concat()).unwrap()
        }
        other => panic!("protocol {other}"),
    }
    if let (IpAddr::V4(_), [0x45, ..]) = (from.ip(), &bytes[..]) {
        bytes[6] = 0x40;
        bytes[10..12].fill(0);
        let sum = !sum(&bytes[..20]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn sum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

fn pseudo(from: IpAddr, to: IpAddr, octets: usize) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            [&from.octets()[..], &to.octets(), &(octets as u32).to_be_bytes(), &[0, 0, 0, 58]].concat()
        }
        _ => Vec::new(),
    }
}

fn framed(to_mac: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&to_mac[..], &CLIENT_MAC, &ethertype, packet].concat()
}

/// An ICMP error: an IP packet.
fn error(from: IpAddr, to: IpAddr, (kind, code, rest): (u8, u8, u32), quoted: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0][..], &rest.to_be_bytes(), quoted].concat();
    let sum = !sum(&[&pseudo(from, to, message.len())[..], &message].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let builder = PacketBuilder::ipv4(from.octets(), to.octets(), 60);
            builder.write(&mut bytes, IpNumber::ICMP, &message).unwrap();
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let builder = PacketBuilder::ipv6(from.octets(), to.octets(), 60);
            builder.write(&mut bytes, IpNumber::IPV6_ICMP, &message).unwrap();
        }
        _ => panic!("two families"),
    }
    bytes
}

/// What an ICMP error in a frame says, its sums verified.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    from: IpAddr,
    to: IpAddr,
    hops: u8,
    what: (u8, u8, u32),
    quoted: Vec<u8>,
}

fn told(packet: &[u8]) -> Told {
    let (from, to, hops, message) = if packet[0] >> 4 == 4 {
        assert_eq!((sum(&packet[..20]), packet[9]), (0xffff, 1), "IPv4 sum and ICMP");
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        let at = |n: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[n..n + 4]).unwrap());
        (at(12), at(16), packet[8], &packet[20..])
    } else {
        assert_eq!(packet[6], 58, "ICMPv6");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len() - 40);
        let at = |n: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[n..n + 16]).unwrap());
        (at(8), at(24), packet[7], &packet[40..])
    };
    assert_eq!(sum(&[&pseudo(from, to, message.len())[..], message].concat()), 0xffff, "ICMP sum: {message:02x?}");
    let rest = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
    Told { from, to, hops, what: (message[0], message[1], rest), quoted: message[8..].to_vec() }
}

/// Gives a packet to a port and returns the one that was sent, from `out` to `mac`.
fn through(director: &mut Director, worker: usize, port: usize, packet: &[u8], out: usize, mac: [u8; 6]) -> Vec<u8> {
    let own = if port == WAN { WAN_MAC } else { LAN_MAC };
    let mut sent = director.give(worker, port, &framed(own, packet));
    assert_eq!(sent.len(), 1, "sent: {sent:02x?}; outcomes: {:?}", director.outcomes());
    let (port, bytes) = sent.remove(0);
    assert_eq!((port, &bytes[..6]), (out, &mac[..]));
    bytes[14..].to_vec()
}

const REAL_MAC: [u8; 6] = [2, 0, 0, 0, 1, 0x0b];

fn to_real(director: &mut Director, worker: usize, packet: &[u8]) -> Vec<u8> {
    through(director, worker, WAN, packet, LAN, REAL_MAC)
}

fn to_client(director: &mut Director, worker: usize, packet: &[u8]) -> Vec<u8> {
    through(director, worker, LAN, packet, WAN, GATEWAY_MAC)
}

/// Expects a packet to end as `outcome`.
fn ends(director: &mut Director, port: usize, packet: &[u8], outcome: Outcome) {
    let own = if port == WAN { WAN_MAC } else { LAN_MAC };
    let before = director.count(outcome);
    assert_eq!(director.give(0, port, &framed(own, packet)), [], "{outcome:?}");
    assert_eq!(director.count(outcome), before + 1, "{outcome:?}: {:?}", director.outcomes());
}

/// The errors of a family: what is unreachable, too big, out of hops, wrong.
fn errors(six: bool) -> Vec<(u8, u8, u32)> {
    match six {
        false => vec![(3, 1, 0), (3, 3, 0), (3, 4, 1400), (4, 0, 0), (11, 0, 0), (11, 1, 0), (12, 0, 0x0500_0000)],
        true => vec![(1, 3, 0), (1, 4, 0), (2, 0, 1400), (3, 0, 0), (3, 1, 0), (4, 1, 6)],
    }
}

fn quote(protocol: &str, packet: Vec<u8>) -> Vec<u8> {
    let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
    if protocol == "sctp" { packet[..header + 8].to_vec() } else { packet }
}

#[test]
fn nat_translates_errors_of_both_sides() {
    for (six, protocol) in FAMILIES.into_iter().flat_map(|six| ["tcp", "udp", "sctp"].map(|protocol| (six, protocol))) {
        let World { client, vip, real, routers, .. } = world(six);
        let mut director = director(&service(vip, protocol, "nat", real), 2);
        to_real(&mut director, 0, &packet(protocol, client, vip, 64, b"hello"));
        for what in errors(six) {
            for worker in [0, 1] {
                for from in [client.ip(), routers[0]] {
                    let seen = quote(protocol, packet(protocol, vip, client, 55, b"answer"));
                    let sent = to_real(&mut director, worker, &error(from, vip.ip(), what, &seen));
                    let quoted = quote(protocol, packet(protocol, real, client, 55, b"answer"));
                    assert_eq!(told(&sent), Told { from, to: real.ip(), hops: 59, what, quoted });
                }
                for from in [real.ip(), routers[1]] {
                    let seen = quote(protocol, packet(protocol, client, real, 55, b"hello"));
                    let sent = to_client(&mut director, worker, &error(from, client.ip(), what, &seen));
                    let quoted = quote(protocol, packet(protocol, client, vip, 55, b"hello"));
                    assert_eq!(told(&sent), Told { from: vip.ip(), to: client.ip(), hops: 59, what, quoted });
                }
            }
        }
        let all = 8 * errors(six).len() as u64;
        assert_eq!(director.count(Outcome::ForwardedIcmpError), all);
        let flow = |index: usize| {
            let of =
                |worker: &WorkerStats| (worker.reals[index].in_packets.get(), worker.reals[index].out_packets.get());
            director
                .shared
                .workers
                .iter()
                .map(|worker| of(worker))
                .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        };
        assert_eq!(flow(1), (1 + all / 2, all / 2), "counted as packets, as IPVS does");
        director.balanced();
    }
}

#[test]
fn the_one_sided_methods_send_the_whole_error_on() {
    for (six, protocol) in FAMILIES.into_iter().flat_map(|six| ["tcp", "udp"].map(|protocol| (six, protocol))) {
        let World { client, vip, real, routers, own, .. } = world(six);
        let other = world(!six);
        for (forwarding, end, source) in
            [("direct", real, own[1]), ("tunnel", real, own[1]), ("tunnel", other.real, other.own[1])]
        {
            let mut director = director(&service(vip, protocol, forwarding, named(forwarding, end)), 1);
            to_real(&mut director, 0, &packet(protocol, client, vip, 64, b"hello"));
            for what in errors(six) {
                let seen = packet(protocol, vip, client, 55, b"answer");
                let sent = to_real(&mut director, 0, &error(routers[0], vip.ip(), what, &seen));
                let mut message = &sent[..];
                if forwarding == "tunnel" {
                    let (header, number) = if end.is_ipv6() { (40, sent[6]) } else { (20, sent[9]) };
                    assert_eq!(number, if six { 41 } else { 4 });
                    let from = if end.is_ipv6() { 8 } else { 12 };
                    let from = match source {
                        IpAddr::V4(source) => sent[from..from + 4] == source.octets(),
                        IpAddr::V6(source) => sent[from..from + 16] == source.octets(),
                    };
                    assert!(from, "{sent:02x?}");
                    message = &sent[header..];
                }
                assert_eq!(told(message), Told { from: routers[0], to: vip.ip(), hops: 59, what, quoted: seen });
            }
            assert_eq!(director.count(Outcome::ForwardedIcmpError), errors(six).len() as u64);
            director.balanced();
        }
    }
}

#[test]
fn services_of_many_ports_and_shared_servers_have_their_errors_too() {
    let World { client, vip, real, .. } = world(false);
    let other: SocketAddr = "203.0.113.20:80".parse().unwrap();
    let every_port = "[[service]]\naddress = '203.0.113.10:0'\nforwarding = 'nat'\nscheduler = 'rr'\n\
                      real = [{ address = '10.0.0.11:0' }]\n";
    let range = "[[service]]\naddress = '203.0.113.0/28:70-90'\nforwarding = 'nat'\nscheduler = 'rr'\n\
                 real = [{ address = '10.0.0.11:8080' }]\n";
    let matched = "[[service]]\nmatch = { protocol = 'tcp', to = '203.0.113.0/28' }\nforwarding = 'nat'\nscheduler = 'rr'\n\
                   real = [{ address = '10.0.0.11:8080' }]\n";
    let marked = "[[mark]]\nmark = 7\nmatch = { protocol = 'tcp', to = '203.0.113.0/28' }\n\
                  [[service]]\nmark = 7\nforwarding = 'nat'\nscheduler = 'rr'\nreal = [{ address = '10.0.0.11:8080' }]\n";
    let shared = service(vip, "tcp", "nat", real) + &service(other, "tcp", "nat", real);
    let kept = SocketAddr::new(real.ip(), vip.port());
    for (services, end) in [(every_port, kept), (range, real), (matched, real), (marked, real), (shared.as_str(), real)]
    {
        let mut director = director(services, 2);
        to_real(&mut director, 0, &packet("tcp", client, vip, 64, b""));
        let seen = packet("tcp", vip, client, 55, b"");
        let sent = told(&to_real(&mut director, 1, &error(client.ip(), vip.ip(), (3, 3, 0), &seen)));
        assert_eq!((sent.to, sent.quoted), (end.ip(), packet("tcp", end, client, 55, b"")), "{services}");
        let seen = packet("tcp", client, end, 55, b"");
        let sent = told(&to_client(&mut director, 1, &error(end.ip(), client.ip(), (3, 3, 0), &seen)));
        assert_eq!((sent.from, sent.quoted), (vip.ip(), packet("tcp", client, vip, 55, b"")), "{services}");
        // Of a connection that there is not, by one port.
        let stranger = SocketAddr::new(client.ip(), client.port() + 1);
        for (port, from, to, quoted) in [
            (WAN, client.ip(), vip.ip(), packet("tcp", vip, stranger, 55, b"")),
            (LAN, end.ip(), client.ip(), packet("tcp", stranger, end, 55, b"")),
        ] {
            ends(&mut director, port, &error(from, to, (3, 3, 0), &quoted), Outcome::DropIcmpNoConnection);
        }
        director.balanced();
    }
    // Over IPv6 a socket that two services share.
    let World { client, vip, real, .. } = world(true);
    let other: SocketAddr = "[2001:db8:f::20]:80".parse().unwrap();
    let mut director = director(&(service(vip, "tcp", "nat", real) + &service(other, "tcp", "nat", real)), 1);
    for (vip, client) in [(vip, client), (other, SocketAddr::new(client.ip(), 40_001))] {
        to_real(&mut director, 0, &packet("tcp", client, vip, 64, b""));
        let seen = packet("tcp", client, real, 55, b"");
        let sent = told(&to_client(&mut director, 0, &error(real.ip(), client.ip(), (1, 4, 0), &seen)));
        assert_eq!((sent.from, sent.quoted), (vip.ip(), packet("tcp", client, vip, 55, b"")));
    }
    director.balanced();
}

/// An echo request or reply: an IP packet.
fn ping(from: IpAddr, to: IpAddr, hops: u8, reply: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let builder = PacketBuilder::ipv4(from.octets(), to.octets(), hops);
            let builder = if reply { builder.icmpv4_echo_reply(77, 1) } else { builder.icmpv4_echo_request(77, 1) };
            builder.write(&mut bytes, b"ping?").unwrap();
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let builder = PacketBuilder::ipv6(from.octets(), to.octets(), hops);
            let builder = if reply { builder.icmpv6_echo_reply(77, 1) } else { builder.icmpv6_echo_request(77, 1) };
            builder.write(&mut bytes, b"ping?").unwrap();
        }
        _ => panic!("two families"),
    }
    bytes
}

#[test]
fn errors_about_pings_find_their_connection() {
    for six in FAMILIES {
        let World { client, vip, real, routers, .. } = world(six);
        let (client, vip, real) = (client.ip(), vip.ip(), real.ip());
        let mut director = director(&service(vip, "icmp", "nat", real), 1);
        to_real(&mut director, 0, &ping(client, vip, 64, false));
        let what = if six { (3, 0, 0) } else { (11, 0, 0) };
        let sent = told(&to_real(&mut director, 0, &error(routers[0], vip, what, &ping(vip, client, 1, true))));
        assert_eq!((sent.from, sent.to, sent.quoted), (routers[0], real, ping(real, client, 1, true)));
        let sent = told(&to_client(&mut director, 0, &error(routers[1], client, what, &ping(client, real, 1, false))));
        assert_eq!((sent.from, sent.to, sent.quoted), (vip, client, ping(client, vip, 1, false)));
        director.balanced();
    }
}

/// What the director put into a tunnel, from a client's packet.
fn tunnelled(director: &mut Director, packet: &[u8]) -> Vec<u8> {
    to_real(director, 0, packet)
}

#[test]
fn what_happens_within_a_tunnel_its_client_is_told() {
    for (six, outer_six) in FAMILIES.into_iter().flat_map(|six| FAMILIES.map(|outer| (six, outer))) {
        let World { client, vip, own, .. } = world(six);
        let outer = world(outer_six);
        let overhead = if outer_six { 40 } else { 20 };
        let mut director = director(&service(vip, "udp", "tunnel", outer.real.ip()), 1);
        let inside = tunnelled(&mut director, &packet("udp", client, vip, 64, &[7; 1400]));
        let mut hear = |what, octets: usize| {
            let error = error(outer.routers[1], outer.own[1], what, &inside[..octets]);
            let sent = told(&to_client(&mut director, 0, &error));
            assert_eq!((sent.from, sent.to, sent.hops), (own[0], client.ip(), 64));
            let quoted = packet("udp", client, vip, 63, &[7; 1400]);
            assert!(quoted.starts_with(&sent.quoted), "{:02x?}", sent.quoted);
            (sent.what, sent.quoted.len())
        };
        let least = overhead + if six { 48 } else { 28 };
        let whole = inside.len() - overhead;
        let most = if six { 1280 - 48 } else { 576 - 28 };
        let too_big = |mtu: u16| if outer_six { (2, 0, u32::from(mtu)) } else { (3, 4, u32::from(mtu)) };
        let told_of = |mtu: u16| if six { (2, 0, u32::from(mtu)) } else { (3, 4, u32::from(mtu)) };
        for (mtu, expected) in [(1400, 1400 - overhead as u16), (1280, if six { 1280 } else { 1280 - overhead as u16 })]
        {
            assert_eq!(
                hear(too_big(mtu), inside.len().min(1232)),
                (told_of(expected), whole.min(1232 - overhead).min(most))
            );
            assert_eq!(hear(too_big(mtu), least), (told_of(expected), least - overhead));
        }
        let host = if six { (1, 3, 0) } else { (3, 1, 0) };
        let others = if outer_six {
            vec![(1, 0, 0), (1, 3, 0), (3, 0, 0)]
        } else {
            vec![(3, 0, 0), (3, 1, 0), (3, 13, 0), (11, 0, 0)]
        };
        for what in others {
            assert_eq!(hear(what, least), (host, least - overhead), "{what:?}");
        }
        assert_eq!(director.count(Outcome::ForwardedTunnelError), 4 + if outer_six { 3 } else { 4 });
        // What says nothing to a client, or is not credible.
        let about = |what, quoted: &[u8]| error(outer.routers[1], outer.own[1], what, quoted);
        let nothing =
            if outer_six { vec![(1, 4, 0), (4, 0, 0)] } else { vec![(3, 3, 0), (3, 5, 0), (4, 0, 0), (12, 0, 0)] };
        for what in nothing.into_iter().chain([too_big(1500), too_big(inside.len() as u16)]) {
            ends(&mut director, LAN, &about(what, &inside[..least]), Outcome::DropTunnelError);
        }
        for octets in [overhead + 8, least - 1] {
            ends(&mut director, LAN, &about(too_big(1400), &inside[..octets]), Outcome::DropIcmpQuote);
        }
        // From another tunnel's end; of no connection.
        let mut elsewhere = inside.clone();
        elsewhere[overhead - 1] ^= 1;
        ends(&mut director, LAN, &about(too_big(1400), &elsewhere[..least]), Outcome::DropTunnelError);
        let mut unknown = inside.clone();
        unknown[least - 8] ^= 1;
        ends(&mut director, LAN, &about(too_big(1400), &unknown[..least]), Outcome::DropIcmpNoConnection);
        director.balanced();
    }
}

#[test]
fn who_cannot_send_less_is_not_told_to() {
    // An IPv6 client's packet of 1,280 octets, or an IPv4 client's that may be fragmented, in an IPv6 tunnel.
    let World { client, vip, real, routers, own, .. } = world(true);
    let mut six = director(&service(vip, "udp", "tunnel", real.ip()), 1);
    let inside = tunnelled(&mut six, &packet("udp", client, vip, 64, &[7; 1232]));
    ends(&mut six, LAN, &error(routers[1], own[1], (2, 0, 1300), &inside[..1000]), Outcome::DropTunnelError);
    let four = world(false);
    let mut mixed = director(&service(four.vip, "udp", "tunnel", real.ip()), 1);
    let mut bare = packet("udp", four.client, four.vip, 64, &[7; 1300]);
    bare[6] = 0;
    bare[10..12].fill(0);
    let header = !sum(&bare[..20]);
    bare[10..12].copy_from_slice(&header.to_be_bytes());
    let inside = tunnelled(&mut mixed, &bare);
    ends(&mut mixed, LAN, &error(routers[1], own[1], (2, 0, 1300), &inside[..1000]), Outcome::DropTunnelError);
}

#[test]
fn a_router_that_tells_no_mtu_is_guessed_for() {
    let World { client, vip, real, routers, own, .. } = world(false);
    let mut director = director(&service(vip, "udp", "tunnel", real.ip()), 1);
    let inside = tunnelled(&mut director, &packet("udp", client, vip, 64, &[7; 1400]));
    let sent = told(&to_client(&mut director, 0, &error(routers[1], own[1], (3, 4, 0), &inside[..48])));
    assert_eq!(sent.what, (3, 4, 1006 - 20));
    // And nobody is told to send less than anybody must take.
    let sent = told(&to_client(&mut director, 0, &error(routers[1], own[1], (3, 4, 1), &inside[..48])));
    assert_eq!(sent.what, (3, 4, 68));
}

#[test]
fn a_flood_of_errors_from_a_tunnel_is_not_passed_on() {
    let World { client, vip, real, routers, own, .. } = world(false);
    let mut director = director(&service(vip, "udp", "tunnel", real.ip()), 1);
    let inside = tunnelled(&mut director, &packet("udp", client, vip, 64, &[7; 1400]));
    let error = framed(LAN_MAC, &error(routers[1], own[1], (3, 4, 1400), &inside[..48]));
    let told = (0..100).map(|_| director.give(0, LAN, &error).len()).sum::<usize>();
    assert_eq!((told, director.count(Outcome::DropTunnelError)), (50, 50));
    director.balanced();
}

#[test]
fn what_is_about_nothing_here_is_dropped_and_counted() {
    for six in FAMILIES {
        let World { client, vip, real, routers, own, .. } = world(six);
        let mut director = director(&service(vip, "udp", "nat", real), 1);
        to_real(&mut director, 0, &packet("udp", client, vip, 64, b"hello"));
        let (header, what) = if six { (40, (1, 4, 0)) } else { (20, (3, 3, 0)) };
        let seen = packet("udp", vip, client, 55, b"answer");
        for octets in [0, header - 1, header + 7] {
            let short = error(client.ip(), vip.ip(), what, &seen[..octets]);
            ends(&mut director, WAN, &short, Outcome::DropIcmpQuote);
        }
        let nested = error(vip.ip(), client.ip(), what, &packet("udp", client, vip, 55, b""));
        ends(&mut director, WAN, &error(client.ip(), vip.ip(), what, &nested), Outcome::DropIcmpQuote);
        // Nobody is told about what another sent.
        ends(&mut director, WAN, &error(client.ip(), own[0], what, &seen), Outcome::DropIcmpQuote);
        let stranger = SocketAddr::new(client.ip(), 40_001);
        let unknown = packet("udp", vip, stranger, 55, b"answer");
        ends(&mut director, WAN, &error(client.ip(), vip.ip(), what, &unknown), Outcome::DropIcmpNoConnection);
        // Of no service's port: as any other message that nobody here asked for.
        let elsewhere = packet("udp", SocketAddr::new(vip.ip(), 81), client, 55, b"answer");
        ends(&mut director, WAN, &error(client.ip(), vip.ip(), what, &elsewhere), Outcome::DropIcmpType);
        ends(
            &mut director,
            LAN,
            &error(routers[1], client.ip(), what, &packet("udp", client, SocketAddr::new(routers[0], 9), 5, b"")),
            Outcome::DropNotForUs,
        );
        // A redirect is for the director alone.
        if !six {
            ends(&mut director, WAN, &error(routers[0], vip.ip(), (5, 1, 0), &seen), Outcome::DropIcmpType);
        }
        // From an address of ours.
        ends(&mut director, WAN, &error(own[0], vip.ip(), what, &seen), Outcome::DropIpSource);
        // Out of hops, and no error about an error.
        let mut last = error(client.ip(), vip.ip(), what, &seen);
        last[if six { 7 } else { 8 }] = 1;
        if !six {
            last[10..12].fill(0);
            let sum = !sum(&last[..20]);
            last[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        ends(&mut director, WAN, &last, Outcome::DropTtl);
        director.balanced();
    }
}

#[test]
fn an_error_is_no_sign_of_life() {
    for six in FAMILIES {
        let World { client, vip, real, .. } = world(six);
        let timeouts = "[timeouts]\nudp = '10s'\n";
        let mut director = director(&format!("{timeouts}{}", service(vip, "udp", "nat", real)), 1);
        to_real(&mut director, 0, &packet("udp", client, vip, 64, b"hello"));
        let what = if six { (1, 4, 0) } else { (3, 3, 0) };
        let inbound = error(client.ip(), vip.ip(), what, &packet("udp", vip, client, 55, b"answer"));
        let outbound = error(real.ip(), client.ip(), what, &packet("udp", client, real, 55, b"hello"));
        // 10 s after its only packet it is gone, whatever errors there were.
        for _ in 0..9 {
            to_real(&mut director, 0, &inbound);
            to_client(&mut director, 0, &outbound);
            director.pass(1_000);
        }
        to_real(&mut director, 0, &inbound);
        director.pass(4_000);
        ends(&mut director, WAN, &inbound, Outcome::DropIcmpNoConnection);
        ends(&mut director, LAN, &outbound, Outcome::DropIcmpNoConnection);
        director.balanced();
    }
}

#[test]
fn a_removed_real_server_hears_nothing() {
    let World { client, vip, real, .. } = world(false);
    let mut director = director(&service(vip, "udp", "nat", real), 1);
    to_real(&mut director, 0, &packet("udp", client, vip, 64, b"hello"));
    director
        .applier
        .apply(
            &parse(&text(&format!(
                "[[service]]\naddress = '{vip}'\nprotocol = 'udp'\nscheduler = 'rr'\nforwarding = 'nat'\n"
            ))),
            director.now,
        )
        .unwrap();
    let seen = packet("udp", vip, client, 55, b"answer");
    ends(&mut director, WAN, &error(client.ip(), vip.ip(), (3, 3, 0), &seen), Outcome::DropRealServerRemoved);
}

const WAN_TWIN: usize = 2;

#[test]
fn where_the_host_is_the_real_server_it_hears_and_tells() {
    for six in FAMILIES {
        let World { client, vip, own, routers, .. } = world(six);
        let (local, host) = (if six { "[::1]:8080" } else { "127.0.0.1:8080" }, SocketAddr::new(own[0], 8080));
        let mut director = director_with_twins(&service(vip, "udp", "nat", local));
        through(&mut director, 0, WAN, &packet("udp", client, vip, 64, b"hello"), WAN_TWIN, WAN_MAC);
        let what = if six { (1, 4, 0) } else { (3, 3, 0) };
        let seen = packet("udp", vip, client, 55, b"answer");
        let given = through(&mut director, 0, WAN, &error(routers[0], vip.ip(), what, &seen), WAN_TWIN, WAN_MAC);
        let quoted = packet("udp", host, client, 55, b"answer");
        assert_eq!(told(&given), Told { from: routers[0], to: own[0], hops: 60, what, quoted });
        let about = error(own[0], client.ip(), what, &packet("udp", client, host, 64, b"hello"));
        let sent = director.give(0, WAN_TWIN, &framed(GATEWAY_MAC, &about));
        assert_eq!((sent.len(), sent[0].0, &sent[0].1[..6]), (1, WAN, &GATEWAY_MAC[..]));
        let quoted = packet("udp", client, vip, 64, b"hello");
        assert_eq!(told(&sent[0].1[14..]), Told { from: vip.ip(), to: client.ip(), hops: 60, what, quoted });
        // What it says of anything else leaves as it is.
        let other = packet("udp", client, SocketAddr::new(own[0], 53), 64, b"hello");
        let frame = framed(GATEWAY_MAC, &error(own[0], client.ip(), what, &other));
        assert_eq!(director.give(0, WAN_TWIN, &frame), [(WAN, frame)]);
        assert_eq!(director.count(Outcome::ForwardedIcmpError), 2);
        director.balanced();
    }
}

#[test]
fn where_the_host_is_the_client_it_hears_and_tells() {
    for six in FAMILIES {
        let World { vip, real, own, routers, .. } = world(six);
        let host = SocketAddr::new(own[0], 50_000);
        let what = if six { (1, 4, 0) } else { (3, 3, 0) };
        let mut director = director_with_twins(&service(vip, "udp", "nat", real));
        through(&mut director, 0, WAN_TWIN, &packet("udp", host, vip, 64, b"hello"), LAN, REAL_MAC);
        let seen = packet("udp", host, real, 55, b"hello");
        let about = error(routers[1], own[0], what, &seen);
        let given = through(&mut director, 0, LAN, &about, WAN_TWIN, WAN_MAC);
        let quoted = packet("udp", host, vip, 55, b"hello");
        assert_eq!(told(&given), Told { from: vip.ip(), to: own[0], hops: 60, what, quoted });
        let about = error(own[0], vip.ip(), what, &packet("udp", vip, host, 64, b"answer"));
        let sent = through(&mut director, 0, WAN_TWIN, &about, LAN, REAL_MAC);
        let quoted = packet("udp", real, host, 64, b"answer");
        assert_eq!(told(&sent), Told { from: own[0], to: real.ip(), hops: 59, what, quoted });
        // Of a connection of its own, to a NAT real server or elsewhere: it is the host's as ever.
        for to in [real, SocketAddr::new(routers[0], 53)] {
            let mine = SocketAddr::new(own[0], 50_001);
            let frame = framed(LAN_MAC, &error(routers[1], own[0], what, &packet("udp", mine, to, 55, b"")));
            assert_eq!(director.give(0, LAN, &frame), [(3, frame)], "{:?}", director.outcomes());
        }
        director.balanced();
        // By tunnel it hears of what happens within.
        let mut director = director_with_twins(&service(vip, "udp", "tunnel", real.ip()));
        let inside = packet("udp", host, vip, 64, &[7; 1400]);
        let inside = through(&mut director, 0, WAN_TWIN, &inside, LAN, REAL_MAC);
        let what = if six { (2, 0, 1400) } else { (3, 4, 1400) };
        let about = error(routers[1], own[1], what, &inside[..500]);
        let given = told(&through(&mut director, 0, LAN, &about, WAN_TWIN, WAN_MAC));
        let less = if six { (2, 0, 1360) } else { (3, 4, 1380) };
        assert_eq!((given.from, given.to, given.what), (vip.ip(), own[0], less));
        // Another tunnel of the host's is the host's.
        let mut other = inside[..500].to_vec();
        other[if six { 39 } else { 19 }] ^= 1;
        let frame = framed(LAN_MAC, &error(routers[1], own[1], what, &other));
        assert_eq!(director.give(0, LAN, &frame), [(3, frame)], "{:?}", director.outcomes());
        director.balanced();
    }
}

#[test]
fn with_schedule_icmp_an_error_about_no_connection_opens_one() {
    for (six, protocol) in FAMILIES.into_iter().flat_map(|six| ["tcp", "udp", "sctp"].map(|protocol| (six, protocol))) {
        for forwarding in ["nat", "direct"] {
            let World { client, vip, real, routers, .. } = world(six);
            let rules = "[ipvs]\nschedule_icmp = 1\n";
            let services = service(vip, protocol, forwarding, named(forwarding, real));
            let mut director = director(&format!("{rules}{services}"), 1);
            let what = if six { (2, 0, 1400) } else { (3, 4, 1400) };
            let seen = quote(protocol, packet(protocol, vip, client, 55, b"answer"));
            let sent = told(&to_real(&mut director, 0, &error(routers[0], vip.ip(), what, &seen)));
            let (to, from) = if forwarding == "nat" { (real.ip(), real) } else { (vip.ip(), vip) };
            assert_eq!((sent.to, sent.quoted), (to, quote(protocol, packet(protocol, from, client, 55, b"answer"))));
            assert_eq!(director.shared.counts.connections(RealId(1)).inactive, 1);
            // The next one finds it.
            to_real(&mut director, 0, &error(routers[0], vip.ip(), what, &seen));
            assert_eq!(director.shared.counts.connections(RealId(1)).inactive, 1);
            if protocol != "udp" {
                director.pass(5_000);
                assert_eq!(director.shared.counts.connections(RealId(1)).inactive, 0, "gone soon");
            }
            // About what the director sent, there is nothing to schedule.
            let stranger = SocketAddr::new(client.ip(), 40_001);
            let seen = quote(protocol, packet(protocol, stranger, real, 55, b""));
            let lost = framed(LAN_MAC, &error(routers[1], client.ip(), what, &seen));
            assert_eq!(director.give(0, LAN, &lost), []);
            assert_eq!(director.count(Outcome::ForwardedIcmpError), 2);
            director.balanced();
        }
    }
    let World { client, vip, routers, .. } = world(false);
    let nobody = format!("[ipvs]\nschedule_icmp = 1\n[[service]]\naddress = '{vip}'\nno_server = 'reset'\n");
    let mut director = director(&nobody, 1);
    let seen = packet("tcp", vip, client, 55, b"");
    ends(&mut director, WAN, &error(routers[0], vip.ip(), (3, 4, 1400), &seen), Outcome::DropNoRealServer);
    director.balanced();
}
