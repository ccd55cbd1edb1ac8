//! The maximum segment size that TCP SYNs tell, lowered as a service says.

mod support;

use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, SlicedPacket, TcpOptionElement, TransportSlice};
use millrace::dataplane::conn::Table;
use support::{CLIENT_MAC, Director, LAN, LAN_MAC, WAN, WAN_MAC, parse, text};

fn config(services: &str) -> millrace::ctrl::config::Config {
    let text = text(services)
        .replace("\"192.0.2.2/24\"", "\"192.0.2.2/24\", \"2001:db8:a::2/64\"")
        .replace("\"10.0.0.1/24\"", "\"10.0.0.1/24\", \"fd00::1/64\"");
    let six = "[[route]]\nto = '::/0'\nvia = '2001:db8:a::1'\n\
               [[neighbor]]\naddress = '2001:db8:a::1'\nmac = '02:00:00:00:01:01'\n\
               [[neighbor]]\naddress = 'fd00::11'\nmac = '02:00:00:00:01:0b'\n";
    parse(&format!("{text}\n{six}"))
}

fn director(services: &str) -> Director {
    Director::with_config(&config(services), 1, Table::new(65_536, [3, 5, 7, 9]).unwrap())
}

/// Clients, VIP and real server of a family.
fn world(six: bool) -> [SocketAddr; 3] {
    let sockets = match six {
        false => ["198.51.100.7:40000", "203.0.113.10:80", "10.0.0.11:8080"],
        true => ["[2001:db8:c::7]:40000", "[2001:db8:f::10]:80", "[fd00::11]:8080"],
    };
    sockets.map(|socket| socket.parse().unwrap())
}

fn service(vip: SocketAddr, forwarding: &str, real: SocketAddr, keys: &str) -> String {
    let real = if forwarding == "nat" { real.to_string() } else { real.ip().to_string() };
    format!(
        "[[service]]\naddress = '{vip}'\nscheduler = 'rr'\nforwarding = '{forwarding}'\n{keys}\nreal = [{{ address = '{real}' }}]\n"
    )
}

fn segment(from: SocketAddr, to: SocketAddr, to_mac: [u8; 6], flags: &str, mss: Option<u16>) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, to_mac);
    let builder = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => builder.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => builder.ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    };
    let builder = builder.tcp(from.port(), to.port(), 1000, 4096);
    let builder = if flags.contains('S') { builder.syn() } else { builder };
    let builder = if flags.contains('A') { builder.ack(7) } else { builder };
    let options = mss.map_or(vec![], |mss| vec![TcpOptionElement::MaximumSegmentSize(mss), TcpOptionElement::Noop]);
    let mut bytes = Vec::new();
    builder.options(&options).unwrap().write(&mut bytes, b"").unwrap();
    bytes
}

/// The maximum segment size in a packet, whose sum must be right; 0 where none is told.
fn mss(packet: &[u8]) -> u16 {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { panic!("no TCP: {packet:02x?}") };
    let sum = match &sliced.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).unwrap()
        }
        Some(etherparse::NetSlice::Ipv6(ip)) => {
            tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(tcp.checksum(), sum, "TCP sum");
    let told = |option: Result<TcpOptionElement, _>| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    };
    tcp.options_iterator().find_map(told).unwrap_or(0)
}

/// What of a client's segment gets to the real server; of a tunnel's the inner packet.
fn request(director: &mut Director, frame: &[u8], outer: usize) -> u16 {
    let mut sent = director.give(0, WAN, frame);
    assert_eq!(sent.len(), 1, "{:?}", director.outcomes());
    mss(&sent.remove(0).1[14 + outer..])
}

#[test]
fn by_tunnel_to_what_fits_unless_told_otherwise() {
    for six in [false, true] {
        for outer_six in [false, true] {
            let ([client, vip, _], [.., real]) = (world(six), world(outer_six));
            let (headers, outer) = (if six { 60 } else { 40 }, if outer_six { 40 } else { 20 });
            let fits = 1500 - outer - headers;
            for (keys, told, expected) in [
                ("", 1460, fits.min(1460)),
                ("mss_clamp = 'auto'", 9000, fits),
                ("", 1200, 1200),
                ("mss_clamp = 'off'", 1460, 1460),
                ("mss_clamp = 1300", 1460, 1300),
                ("mss_clamp = 1300", 1200, 1200),
            ] {
                let mut director = director(&service(vip, "tunnel", real, keys));
                let syn = segment(client, vip, WAN_MAC, "S", Some(told));
                assert_eq!(request(&mut director, &syn, outer.into()), expected, "{keys} {told}");
                assert_eq!(request(&mut director, &syn, outer.into()), expected, "sent again");
                let bare = segment(client, vip, WAN_MAC, "S", None);
                assert_eq!(request(&mut director, &bare, outer.into()), 0, "none is added");
                director.balanced();
            }
        }
    }
}

#[test]
fn by_other_methods_only_where_it_is_configured() {
    for six in [false, true] {
        let [client, vip, real] = world(six);
        for forwarding in ["nat", "direct"] {
            for (keys, expected) in [("", 1460), ("mss_clamp = 'off'", 1460), ("mss_clamp = 1280", 1280)] {
                let mut director = director(&service(vip, forwarding, real, keys));
                assert_eq!(request(&mut director, &segment(client, vip, WAN_MAC, "S", Some(1460)), 0), expected);
                if forwarding == "nat" {
                    let answer = segment(real, client, LAN_MAC, "SA", Some(1460));
                    let sent = director.give(0, LAN, &answer);
                    assert_eq!((sent.len(), mss(&sent[0].1[14..])), (1, expected), "answers by NAT too");
                }
                // No SYN: whatever looks like the option stays.
                assert_eq!(request(&mut director, &segment(client, vip, WAN_MAC, "A", Some(1460)), 0), 1460);
                director.balanced();
            }
        }
    }
}

#[test]
fn a_reload_changes_it_for_connections_that_are_there() {
    let [client, vip, real] = world(false);
    let mut director = director(&service(vip, "nat", real, ""));
    assert_eq!(request(&mut director, &segment(client, vip, WAN_MAC, "S", Some(1460)), 0), 1460);
    let other = config(&service(vip, "nat", real, "mss_clamp = 1400"));
    director.applier.apply(&other, director.now).unwrap();
    assert_eq!(request(&mut director, &segment(client, vip, WAN_MAC, "S", Some(1460)), 0), 1400);
}
