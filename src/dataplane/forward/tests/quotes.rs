//! What ICMP errors quote, of both families.

use std::net::IpAddr;

use super::quote::{self, Quote};
use super::*;
use crate::dataplane::address::Address;
use crate::dataplane::fixture::Ip6;
use crate::dataplane::wire::ip;

const ROUTER: &str = "192.0.2.77:0";
const ROUTER_V6: &str = "[2001:db8:7::1]:0";

/// Four sockets: the client's, the service's, a real server's, and whoever tells of the error.
fn sockets(family: Family) -> [TransportAddress; 4] {
    match family {
        Family::V4 => [CLIENT, SERVICE, REAL, ROUTER].map(end),
        Family::V6 => [six::CLIENT, six::SERVICE, six::REAL, ROUTER_V6].map(six::end),
    }
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const ALL: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];

/// Where the ICMP message begins in an error, and how long a quoted header is.
fn lengths(family: Family) -> (usize, usize) {
    match family {
        Family::V4 => (34, 20),
        Family::V6 => (54, 40),
    }
}

/// A packet that may be quoted: of echo a request.
fn packet(protocol: Protocol, from: TransportAddress, to: TransportAddress, data: &[u8]) -> Vec<u8> {
    let frame = match (from.to_socket(), to.to_socket()) {
        (std::net::SocketAddr::V4(from), std::net::SocketAddr::V4(to)) if protocol == Protocol::Icmp => {
            Ip { source: from.ip().octets(), destination: to.ip().octets(), ..hops(9) }.icmp(8, 0, 0x1234_0001, data)
        }
        (std::net::SocketAddr::V4(from), std::net::SocketAddr::V4(to)) => built(hops(9), protocol, from, to, data),
        (std::net::SocketAddr::V6(from), std::net::SocketAddr::V6(to)) => {
            six::built(six::hops(9), protocol, from, to, data)
        }
        _ => panic!("two families"),
    };
    frame[14..].to_vec()
}

/// The error from one to another about `quoted`.
fn error(ttl: u8, from: Address, to: Address, (kind, code, rest): (u8, u8, u32), quoted: &[u8]) -> Vec<u8> {
    match (from.to_ip(), to.to_ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            Ip { source: from.octets(), destination: to.octets(), ..hops(ttl) }.icmp(kind, code, rest, quoted)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Ip6 { source, destination, ..six::hops(ttl) }.icmp(kind, code, rest, quoted)
        }
        _ => panic!("two families"),
    }
}

const PORT: (u8, u8, u32) = (3, 3, 0);

fn read(frame: &[u8], family: Family) -> Option<Quote> {
    Quote::of(frame, lengths(family).0, family)
}

/// How much of a packet may be quoted: all, less, with and without TCP's checksum, the least.
fn quotes(protocol: Protocol, family: Family, whole: usize) -> Vec<usize> {
    let header = lengths(family).1;
    match protocol {
        // Its sum is not updated, and so not as it would be built.
        Protocol::Sctp => vec![header + 8],
        _ => [whole, whole - 1, header + 20, header + 19, header + 18, header + 16, header + 9, header + 8]
            .into_iter()
            .filter(|octets| *octets <= whole)
            .collect(),
    }
}

#[test]
fn to_the_real_server_as_about_what_it_sent() {
    for family in FAMILIES {
        let [client, service, real, router] = sockets(family);
        for protocol in ALL {
            let sent = packet(protocol, real, client, b"some data to quote");
            let seen = packet(protocol, service, client, b"some data to quote");
            for octets in quotes(protocol, family, sent.len()) {
                for (hop, ttl) in [(true, 63), (false, 64)] {
                    let mut frame = error(64, router.address, service.address, PORT, &seen[..octets]);
                    let quote = read(&frame, family).unwrap();
                    let offsets = (14, lengths(family).0);
                    let done = match hop {
                        true => quote::inbound::<true>(&mut frame, offsets, &quote, real),
                        false => quote::inbound::<false>(&mut frame, offsets, &quote, real),
                    };
                    done.unwrap();
                    let expected = error(ttl, router.address, real.address, PORT, &sent[..octets]);
                    assert_eq!(frame, expected, "{protocol} over {family}, {octets} octets");
                    assert_sound(&frame);
                }
            }
        }
    }
}

#[test]
fn to_the_client_as_about_what_it_sent() {
    for family in FAMILIES {
        let [client, service, real, router] = sockets(family);
        for protocol in ALL {
            let sent = packet(protocol, client, service, b"some data to quote");
            let seen = packet(protocol, client, real, b"some data to quote");
            for octets in quotes(protocol, family, sent.len()) {
                for (from, source) in [(real, Some(service.address)), (router, Some(service.address)), (router, None)] {
                    let mut frame = error(64, from.address, client.address, (3, 4, 1400), &seen[..octets]);
                    let quote = read(&frame, family).unwrap();
                    quote::outbound::<true>(&mut frame, (14, lengths(family).0), &quote, source, service).unwrap();
                    let source = source.unwrap_or(from.address);
                    let expected = error(63, source, client.address, (3, 4, 1400), &sent[..octets]);
                    assert_eq!(frame, expected, "{protocol} over {family}, {octets} octets");
                }
            }
        }
    }
}

#[test]
fn damage_is_not_mended() {
    for family in FAMILIES {
        let [client, service, real, router] = sockets(family);
        let sent = packet(Protocol::Udp, real, client, b"data");
        let seen = packet(Protocol::Udp, service, client, b"data");
        let (l4, header) = lengths(family);
        // In ICMP's sum, in the quoted UDP sum, and none there at all.
        for (at, octets) in [(l4 + 2, [0x12, 0x34]), (l4 + 8 + header + 6, [0x12, 0x34])] {
            let mut frame = error(64, router.address, service.address, PORT, &seen);
            frame[at..at + 2].copy_from_slice(&octets);
            let quote = read(&frame, family).unwrap();
            quote::inbound::<true>(&mut frame, (14, l4), &quote, real).unwrap();
            let right = error(63, router.address, real.address, PORT, &sent);
            assert_ne!(frame[at..at + 2], right[at..at + 2]);
        }
        let without = |mut packet: Vec<u8>| {
            packet[header + 6..header + 8].fill(0);
            packet
        };
        let mut frame = error(64, router.address, service.address, PORT, &without(seen));
        let quote = read(&frame, family).unwrap();
        quote::inbound::<true>(&mut frame, (14, l4), &quote, real).unwrap();
        assert_eq!(frame, error(63, router.address, real.address, PORT, &without(sent)));
    }
}

#[test]
fn a_quote_tells_whose_packet_it_was() {
    for family in FAMILIES {
        let [client, service, _, router] = sockets(family);
        for (protocol, kind, ports) in [
            (Protocol::Tcp, Kind::Tcp, (40_000, 80)),
            (Protocol::Udp, Kind::Udp, (40_000, 80)),
            (Protocol::Icmp, if family == Family::V4 { Kind::Icmp } else { Kind::Icmpv6 }, (0x1234, 0)),
        ] {
            let frame = error(64, router.address, client.address, PORT, &packet(protocol, client, service, b""));
            let flow = read(&frame, family).unwrap().flow(&frame).unwrap();
            assert_eq!((flow.kind, flow.src, flow.dst), (kind, client.address, service.address));
            assert_eq!((flow.src_port, flow.dst_port), ports, "{protocol} over {family}");
        }
    }
    let extended = six::extended(64).tcp(six::socket(six::CLIENT), six::socket(six::SERVICE), 2, b"");
    let frame = error(64, six::end(ROUTER_V6).address, six::end(six::CLIENT).address, PORT, &extended[14..]);
    assert_eq!(read(&frame, Family::V6).unwrap().flow(&frame).unwrap().dst_port, 80, "behind extension headers");
    let options = Ip { options: vec![1; 40], ..hops(64) }.udp(socket(CLIENT), socket(SERVICE), b"");
    let frame = error(64, end(ROUTER).address, end(CLIENT).address, PORT, &options[14..]);
    assert_eq!(read(&frame, Family::V4).unwrap().flow(&frame).unwrap().dst_port, 80, "behind options");
}

#[test]
fn a_tunnels_packet_has_another_in_it() {
    for (outer, inner) in FAMILIES.into_iter().flat_map(|outer| FAMILIES.map(|inner| (outer, inner))) {
        let [client, service, ..] = sockets(inner);
        let [from, _, to, router] = sockets(outer);
        let carried = packet(Protocol::Udp, client, service, b"hello");
        let number = if inner == Family::V4 { 4 } else { 41 };
        let tunnelled = match (from.address.to_ip(), to.address.to_ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                Ip { protocol: number, source: from.octets(), destination: to.octets(), ..hops(9) }.packet(&carried)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Ip6 { protocol: number, source, destination, ..six::hops(9) }.packet(&carried)
            }
            _ => panic!("two families"),
        };
        let frame = error(64, router.address, from.address, PORT, &tunnelled);
        let quote = read(&frame, outer).unwrap();
        assert_eq!((quote.flow(&frame), quote.total_octets(&frame)), (None, Some(tunnelled.len())));
        let within = quote.inner(&frame).unwrap();
        assert_eq!(frame[within.octets()], carried);
        assert_eq!((within.total_octets(&frame), within.dont_fragment(&frame)), (Some(carried.len()), true));
        assert_eq!(within.flow(&frame).unwrap().src, client.address);
        // A router that quotes as little as it may.
        let frame = error(64, router.address, from.address, PORT, &tunnelled[..lengths(outer).1 + 8]);
        assert_eq!(read(&frame, outer).unwrap().inner(&frame), None);
    }
}

#[test]
fn extensions_are_no_part_of_a_quote() {
    for (family, words) in [(Family::V4, 32 << 16), (Family::V6, 16 << 24)] {
        let [client, service, _, router] = sockets(family);
        let padded = |data: &[u8]| {
            let mut packet = packet(Protocol::Udp, client, service, data);
            packet.resize(128, 0);
            [&packet[..], &[0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0]].concat()
        };
        let kind = if family == Family::V4 { 11 } else { 3 };
        let frame = error(64, router.address, client.address, (kind, 0, words), &padded(b"hello"));
        let quote = read(&frame, family).unwrap();
        assert_eq!(quote.octets().len(), 128);
        // Longer than it is.
        let frame = error(64, router.address, client.address, (kind, 0, words), &padded(b"hello")[..60]);
        assert_eq!(read(&frame, family).unwrap().octets().len(), 60);
    }
}

#[test]
fn what_says_too_little_is_no_quote() {
    for family in FAMILIES {
        let [client, service, _, router] = sockets(family);
        let whole = packet(Protocol::Tcp, client, service, b"");
        let (l4, header) = lengths(family);
        let flow = |quoted: &[u8]| {
            let frame = error(64, router.address, client.address, PORT, quoted);
            read(&frame, family).and_then(|quote| quote.flow(&frame))
        };
        for octets in 0..header + 8 {
            assert_eq!(flow(&whole[..octets]), None, "{octets} octets");
        }
        assert!(flow(&whole[..header + 8]).is_some());
        let with = |at: usize, octet: u8| {
            let mut packet = whole.clone();
            packet[at] = octet;
            packet
        };
        assert_eq!(flow(&with(0, if family == Family::V4 { 0x65 } else { 0x45 })), None, "another version");
        assert_eq!(flow(&with(if family == Family::V4 { 9 } else { 6 }, 47)), None, "GRE");
        let nobody =
            if family == Family::V4 { with(16, 127) } else { [&whole[..24], &[0; 15], &[1], &whole[40..]].concat() };
        assert_eq!(flow(&nobody), None, "to the loopback address");
        let nested =
            error(9, client.address, service.address, (if family == Family::V4 { 3 } else { 1 }, 0, 0), &whole);
        assert_eq!(flow(&nested[14..]), None, "an error about an error");
        let frame = error(64, router.address, client.address, PORT, &whole);
        assert_eq!(Quote::of(&frame, frame.len(), family), None);
        assert_eq!(Quote::of(&frame, usize::MAX - 8, family), None);
        assert_eq!(Quote::of(&frame[..l4 + 7], l4, family), None);
    }
    let later = |frame: Vec<u8>, from: &str, family| {
        let from = if family == Family::V4 { end(from) } else { six::end(from) };
        let frame = error(64, from.address, from.address, PORT, &frame[14..]);
        read(&frame, family)
    };
    let part = |word| Ip { flags_offset: word, ..hops(64) }.udp(socket(CLIENT), socket(SERVICE), b"");
    assert_eq!(later(part(1), CLIENT, Family::V4), None, "a later fragment");
    assert!(later(part(0x2000), CLIENT, Family::V4).is_some(), "the first fragment");
    let part = |word: u8| {
        let fragment = Ip6 { extensions: vec![(44, vec![0, 0, word, 0, 0, 0, 7])], ..six::hops(64) };
        fragment.udp(six::socket(six::CLIENT), six::socket(six::SERVICE), b"")
    };
    assert_eq!(later(part(9), six::CLIENT, Family::V6), None, "a later fragment");
    assert!(later(part(1), six::CLIENT, Family::V6).is_some(), "the first fragment");
    let many = Ip6 { extensions: vec![(60, vec![0, 1, 4, 0, 0, 0, 0]); 9], ..six::hops(64) };
    let many = many.udp(six::socket(six::CLIENT), six::socket(six::SERVICE), b"");
    assert_eq!(later(many, six::CLIENT, Family::V6), None, "too many extension headers");
}

#[test]
fn a_frame_that_is_not_what_was_read_is_refused_and_unchanged() {
    for family in FAMILIES {
        let [client, service, real, router] = sockets(family);
        let whole = error(64, router.address, service.address, PORT, &packet(Protocol::Tcp, service, client, b""));
        let quote = read(&whole, family).unwrap();
        let l4 = lengths(family).0;
        for length in 0..whole.len() {
            let mut frame = whole[..length].to_vec();
            assert_eq!(quote::inbound::<true>(&mut frame, (14, l4), &quote, real), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
        let mut frame = whole.clone();
        for offsets in [(l4, 14), (14, l4 + 1), (14, usize::MAX - 8), (l4 + 1, l4)] {
            assert_eq!(quote::inbound::<true>(&mut frame, offsets, &quote, real), Err(Error::Truncated));
        }
        assert_eq!(frame, whole);
    }
}

proptest! {
    #[test]
    fn nothing_that_a_stranger_sends_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), l4 in 14usize..80) {
        for family in FAMILIES {
            let Some(quote) = Quote::of(&octets, l4, family) else { continue };
            let _ = (quote.flow(&octets), quote.total_octets(&octets), quote.dont_fragment(&octets));
            let _ = quote.inner(&octets).and_then(|inner| inner.flow(&octets));
            prop_assert!(!matches!(quote.protocol, ip::Protocol::Fragment));
            let [_, service, ..] = sockets(family);
            let mut frame = octets.clone();
            let _ = quote::inbound::<true>(&mut frame, (14, l4), &quote, service);
            let _ = quote::outbound::<false>(&mut frame, (14, l4), &quote, None, service);
        }
    }
}
