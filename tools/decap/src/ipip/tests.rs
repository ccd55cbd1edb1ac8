use super::*;
use std::net::Ipv6Addr;

const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BOTH: [Family; 2] = [Family::V4, Family::V6];

/// An IPv4 header with a right checksum in front of `payload`.
fn ipv4(tos: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(IPV4_HEADER + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, tos, total[0], total[1], 0, 7, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(DIRECTOR.octets());
    packet.extend([10, 0, 0, 11]);
    let sum = !fold(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An IPv6 header in front of `payload`.
fn ipv6(class: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60 | class >> 4, class << 4 | 5, 0x12, 0x34, length[0], length[1], next, 64];
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2).octets());
    packet.extend(payload);
    packet
}

fn inner(family: Family, class: u8, payload: &[u8]) -> Vec<u8> {
    match family {
        Family::V4 => ipv4(class, 17, payload),
        Family::V6 => ipv6(class, 17, payload),
    }
}

fn fold(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Takes a packet out of an IPv4 header.
fn out_of_ipv4<'a>(packet: &'a mut [u8], family: Family, directors: &[IpAddr]) -> Result<&'a [u8], Refusal> {
    let (outer, payload) = outer_ipv4(packet, family)?;
    take_out(outer, family, &mut packet[payload], directors)
}

/// Takes a packet out as it comes from an IPv6 raw socket.
fn out_of_ipv6<'a>(payload: &'a mut [u8], family: Family, directors: &[IpAddr]) -> Result<&'a [u8], Refusal> {
    take_out(Outer { source: Ipv6Addr::LOCALHOST.into(), mark: 0 }, family, payload, directors)
}

#[test]
fn inner_packet_comes_out_whole_and_without_padding() {
    for family in BOTH {
        let whole = inner(family, 0, b"eight by");
        let mut packet = ipv4(0, family.protocol(), &whole);
        packet.extend([0; 6]);
        assert_eq!(out_of_ipv4(&mut packet, family, &[]), Ok(&whole[..]));
        let mut padded = whole.clone();
        padded.extend([0xaa; 9]);
        let mut packet = ipv4(0, family.protocol(), &padded);
        assert_eq!(out_of_ipv4(&mut packet, family, &[DIRECTOR.into()]), Ok(&whole[..]));
        assert_eq!(out_of_ipv6(&mut padded, family, &[]), Ok(&whole[..]));
    }
}

#[test]
fn every_truncation_is_refused() {
    for family in BOTH {
        let packet = inner(family, 0, b"eight by");
        let whole = ipv4(0, family.protocol(), &packet);
        for length in 0..whole.len() {
            assert_eq!(out_of_ipv4(&mut whole[..length].to_vec(), family, &[]), Err(Refusal::Outer), "{length}");
        }
        for length in 0..packet.len() {
            let mut cut = ipv4(0, family.protocol(), &packet[..length]);
            assert_eq!(out_of_ipv4(&mut cut, family, &[]), Err(Refusal::Inner), "{length}");
            assert_eq!(out_of_ipv6(&mut packet[..length].to_vec(), family, &[]), Err(Refusal::Inner), "{length}");
        }
    }
}

#[test]
fn false_lengths_and_versions_are_refused() {
    let whole = inner(Family::V4, 0, b"eight by");
    for (at, value) in [(0, 0x44), (0, 0x65), (0, 0x4f), (3, 19), (3, 200)] {
        let mut bad = whole.clone();
        bad[at] = value;
        assert_eq!(out_of_ipv6(&mut bad, Family::V4, &[]), Err(Refusal::Inner), "inner {at} {value:#x}");
        let mut bad = ipv4(0, 4, &whole);
        bad[at] = value;
        let refused = out_of_ipv4(&mut bad, Family::V4, &[]);
        assert!(matches!(refused, Err(Refusal::Outer | Refusal::Inner)), "outer {at} {value:#x}: {refused:?}");
    }
    let whole = inner(Family::V6, 0, b"eight by");
    for (at, value) in [(0, 0x45), (0, 0x70), (4, 1), (5, 9)] {
        let mut bad = whole.clone();
        bad[at] = value;
        assert_eq!(out_of_ipv6(&mut bad, Family::V6, &[]), Err(Refusal::Inner), "inner {at} {value:#x}");
    }
}

#[test]
fn what_was_announced_must_be_inside() {
    for (announced, found) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let packet = inner(found, 0, b"eight by");
        assert_eq!(out_of_ipv6(&mut packet.clone(), announced, &[]), Err(Refusal::Inner));
        let mut packet = ipv4(0, announced.protocol(), &packet);
        assert_eq!(out_of_ipv4(&mut packet.clone(), found, &[]), Err(Refusal::Outer));
        assert_eq!(out_of_ipv4(&mut packet, announced, &[]), Err(Refusal::Inner));
    }
}

#[test]
fn strangers_are_refused_when_directors_are_named() {
    let directors = [IpAddr::from(Ipv4Addr::new(10, 0, 0, 2)), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into()];
    for family in BOTH {
        let whole = inner(family, 0, b"");
        let mut packet = ipv4(0, family.protocol(), &whole);
        assert_eq!(out_of_ipv4(&mut packet, family, &directors), Err(Refusal::Stranger));
        assert_eq!(out_of_ipv6(&mut whole.clone(), family, &directors), Err(Refusal::Stranger));
        assert_eq!(out_of_ipv6(&mut whole.clone(), family, &[Ipv6Addr::LOCALHOST.into()]), Ok(&whole[..]));
    }
}

#[test]
fn congestion_marks_follow_rfc_6040() {
    for (inner_mark, outer_mark) in (0..4).flat_map(|inner| (0..4).map(move |outer| (inner, outer))) {
        let expected = match (outer_mark, inner_mark) {
            (3, 0) => Err(Refusal::Congestion),
            (3, _) => Ok(0x23),
            (_, kept) => Ok(0x20 | kept),
        };
        let which = format!("outer {outer_mark}, inner {inner_mark}");
        let mut packet = ipv4(0xb8 | outer_mark, 4, &ipv4(0x20 | inner_mark, 17, b"x"));
        let outcome = out_of_ipv4(&mut packet, Family::V4, &[]).map(|inner| (inner[1], fold(&inner[..IPV4_HEADER])));
        assert_eq!(outcome, expected.map(|class| (class, 0xffff)), "{which}");
        let mut packet = ipv6(0x20 | inner_mark, 17, b"x");
        let outer = Outer { source: DIRECTOR.into(), mark: outer_mark };
        let outcome =
            take_out(outer, Family::V6, &mut packet, &[]).map(|inner| (inner[0] << 4 | inner[1] >> 4, inner[1] & 15));
        assert_eq!(outcome, expected.map(|class| (class, 5)), "{which}");
    }
}
