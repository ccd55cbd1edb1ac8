//! The parser against another one: whole frames, changed at random, read by etherparse and by us.
//!
//! Where a change breaks the header checksum it is mended in half of the cases, so that the layers below are reached.

use std::cell::Cell;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;
use crate::dataplane::fixture::{Ip, PORT_MAC, ethernet, fix_header_checksum, naive_sum};

/// What etherparse makes of `octets`, in our terms, if it finds TCP, UDP or ICMP in a sound IPv4 packet to this port.
/// What etherparse does not check is checked here in the plainest way.
fn reference(octets: &[u8]) -> Option<Parsed> {
    let sliced = SlicedPacket::from_ethernet(octets).ok()?;
    if octets[..6] != PORT_MAC || octets[6] & 1 != 0 || sliced.vlan().is_some() {
        return None;
    }
    let NetSlice::Ipv4(ip) = sliced.net? else { return None };
    let header = ip.header();
    let whole = !header.more_fragments() && header.fragments_offset().value() == 0;
    let hosts = [header.source_addr(), header.destination_addr()].iter().all(|address| {
        !(address.octets()[0] == 0 || address.is_loopback() || address.is_multicast() || address.octets()[0] >= 240)
    });
    if !whole || !hosts || naive_sum(header.slice()) != 0xffff {
        return None;
    }
    let parsed = Parsed {
        src: header.source_addr().into(),
        dst: header.destination_addr().into(),
        tos: octets[15],
        ttl: header.ttl(),
        dont_fragment: header.dont_fragment(),
        ip_octets: header.total_len(),
        l4_offset: 14 + header.slice().len() as u16,
        ..ARP
    };
    match sliced.transport? {
        TransportSlice::Tcp(tcp) => Some(Parsed {
            kind: Kind::Tcp,
            src_port: Some(tcp.source_port()).filter(|port| *port != 0)?,
            dst_port: Some(tcp.destination_port()).filter(|port| *port != 0)?,
            tcp_flags: tcp::Flags(tcp.slice()[13]),
            ..parsed
        }),
        // etherparse takes a length of 0, as in a jumbogram over IPv6, for all there is.
        TransportSlice::Udp(udp) => (udp.length() != 0).then_some(Parsed {
            kind: Kind::Udp,
            src_port: Some(udp.source_port()).filter(|port| *port != 0)?,
            dst_port: Some(udp.destination_port()).filter(|port| *port != 0)?,
            ..parsed
        }),
        TransportSlice::Icmpv4(icmp) => (naive_sum(icmp.slice()) == 0xffff).then_some(Parsed {
            kind: Kind::Icmp,
            message_type: icmp.type_u8(),
            icmp_code: icmp.code_u8(),
            src_port: if icmp.type_u8() == 8 { identifier(&icmp) } else { 0 },
            dst_port: if icmp.type_u8() == 0 { identifier(&icmp) } else { 0 },
            ..parsed
        }),
        _ => None,
    }
}

fn identifier(message: &etherparse::Icmpv4Slice<'_>) -> u16 {
    let [high, low, ..] = message.bytes5to8();
    u16::from_be_bytes([high, low])
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let from = "198.51.100.7:40000".parse().unwrap();
    let to = "203.0.113.10:80".parse().unwrap();
    let options = || Ip { options: vec![0x94, 0x04, 0, 0, 1, 1, 1, 0], ..Ip::default() };
    prop_oneof![
        Just(Ip::default().tcp(from, to, 0x12, b"some data")),
        Just(Ip::default().udp(from, to, b"question")),
        Just(Ip::default().icmp(8, 0, 0x0001_0002, b"abcdefgh")),
        Just(options().tcp(from, to, 0x02, b"")),
        Just(options().udp(from, to, b"odd")),
        Just(ethernet(0x86dd, &[0x60; 48])),
    ]
}

/// One octet set, one bit flipped, octets taken off the end or padding put there.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Cut(usize),
    Pad(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, octet)| Change::Set(at, octet)),
        4 => (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        1 => (1usize..30).prop_map(Change::Cut),
        1 => (1usize..30).prop_map(Change::Pad),
    ];
    prop::collection::vec(change, 0..4)
}

fn apply(frame: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Set(at, octet) if !frame.is_empty() => {
            let at = at.index(frame.len());
            frame[at] = *octet;
        }
        Change::Flip(at, bit) if !frame.is_empty() => {
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
        }
        Change::Cut(octets) => frame.truncate(frame.len().saturating_sub(*octets)),
        Change::Pad(octets) => frame.resize(frame.len() + octets, 0x55),
        Change::Set(..) | Change::Flip(..) => {}
    }
}

#[test]
fn both_parsers_find_the_same_in_changed_frames() {
    let (found, refused) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 20_000, ..ProptestConfig::default() };
    proptest!(config, |(mut frame in frames(), changes in changes(), mend: bool)| {
        for change in &changes {
            apply(&mut frame, change);
        }
        if mend && frame.len() >= 34 {
            fix_header_checksum(&mut frame[14..]);
        }
        // ARP and SCTP are not in the reference; and of time stamps it checks more than the length that all messages have.
        let comparable = |parsed: &Parsed| !matches!(parsed.kind, Kind::Arp | Kind::Sctp) && !matches!(parsed.message_type, 13 | 14);
        let expected = reference(&frame).filter(comparable);
        let count = if expected.is_some() { &found } else { &refused };
        count.set(count.get() + 1);
        let ours = parse_octets(&frame, RxChecksum::Unknown, PORT_MAC).ok();
        prop_assert_eq!(ours.filter(comparable), expected);
    });
    assert!(found.get() > 2_000 && refused.get() > 2_000, "{} found, {} refused", found.get(), refused.get());
}
