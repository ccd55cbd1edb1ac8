use std::net::SocketAddrV4;

use proptest::prelude::*;

use super::*;
use crate::dataplane::address::Address;
use crate::dataplane::fixture::{
    Ip, PEER_MAC, PORT_MAC, ethernet, fix_header_checksum, naive_sum, received, received_as, received_with,
};
use crate::dataplane::port::memory::Arrival;
use crate::dataplane::wire::ipv6;

const CLIENT: &str = "198.51.100.7:40000";
const SERVICE: &str = "203.0.113.10:80";

fn socket(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn tcp_frame() -> Vec<u8> {
    Ip { tos: 0xb9, ttl: 57, ..Ip::default() }.tcp(socket(CLIENT), socket(SERVICE), 0x12, b"GET / HTTP/1.1\r\n")
}

fn udp_frame() -> Vec<u8> {
    Ip { flags_offset: 0, ..Ip::default() }.udp(socket(CLIENT), socket(SERVICE), b"question")
}

/// A COOKIE ECHO of five octets and what is bundled with it.
fn cookie_frame(bundled: &[u8]) -> Vec<u8> {
    let cookie = [10, 0, 0, 9, 1, 2, 3, 4, 5, 0, 0, 0];
    Ip::default().sctp(socket(CLIENT), socket(SERVICE), &[&cookie, bundled].concat())
}

fn icmp_frame() -> Vec<u8> {
    Ip::default().icmp(8, 0, 0x0001_0002, b"abcdefgh")
}

fn arp_frame() -> Vec<u8> {
    let mut frame = ethernet(0x0806, &[0; 28]);
    frame[..6].fill(0xff);
    frame
}

fn parse_frame(octets: &[u8]) -> Result<Parsed, Outcome> {
    parse(&mut received(octets), PORT_MAC)
}

/// Applies `change` to the IPv4 packet in `frame` and makes its header checksum right again.
fn changed(mut frame: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut frame[14..]);
    fix_header_checksum(&mut frame[14..]);
    frame
}

#[test]
fn a_tcp_segment_is_told_field_by_field() {
    let expected = Parsed {
        src: Address::v4(0xc633_6407),
        dst: Address::v4(0xcb00_710a),
        src_port: 40_000,
        dst_port: 80,
        l4_offset: 34,
        ip_octets: 56,
        kind: Kind::Tcp,
        l3_offset: 14,
        tcp_flags: tcp::Flags::SYN | tcp::Flags::ACK,
        message_type: 0,
        icmp_code: 0,
        tos: 0xb9,
        ttl: 57,
        dont_fragment: true,
    };
    assert_eq!(parse_frame(&tcp_frame()), Ok(expected));
    assert_eq!(expected.frame_octets(), tcp_frame().len());
    assert_eq!(expected.kind.transport(), Some(Protocol::Tcp));
}

#[test]
fn a_udp_datagram_is_told() {
    let parsed = parse_frame(&udp_frame()).unwrap();
    assert_eq!((parsed.kind, parsed.src_port, parsed.dst_port), (Kind::Udp, 40_000, 80));
    assert_eq!((parsed.ip_octets, parsed.dont_fragment, parsed.tcp_flags), (36, false, tcp::Flags::default()));
    assert_eq!(parsed.kind.transport(), Some(Protocol::Udp));
}

#[test]
fn an_sctp_packet_is_told() {
    let parsed = parse_frame(&cookie_frame(&[])).unwrap();
    assert_eq!((parsed.kind, parsed.src_port, parsed.dst_port), (Kind::Sctp, 40_000, 80));
    assert_eq!((parsed.message_type, parsed.ip_octets, parsed.l4_offset), (10, 44, 34));
    assert_eq!(parsed.kind.transport(), Some(Protocol::Sctp));
}

#[test]
fn the_first_chunk_tells_what_a_packet_means_but_for_an_abort_behind_a_cookie() {
    let of = |chunks: &[u8]| {
        let frame = Ip::default().sctp(socket(CLIENT), socket(SERVICE), chunks);
        parse_frame(&frame).unwrap().message_type
    };
    for number in 0..=255 {
        assert_eq!(of(&[number, 0, 0, 4]), number);
        let bundled = [&[number, 0, 0, 6, 1, 2, 0, 0][..], &[6, 0, 0, 4]].concat();
        assert_eq!(of(&bundled), if matches!(number, 10 | 11) { 6 } else { number });
        assert_eq!(of(&[number, 0, 0, 4, 0, 0, 0, 4, 6, 0, 0, 4]), number, "an ABORT behind DATA is nobody's");
    }
    assert_eq!(of(&[0, 0, 0, 4, 6, 0, 0, 0]), 0, "later chunks are the ends' affair");
    assert_eq!(of(&[10, 0, 0, 4, 11, 0, 0, 4, 6]), 10);
}

#[test]
fn an_icmp_message_is_told() {
    let parsed = parse_frame(&icmp_frame()).unwrap();
    assert_eq!((parsed.kind, parsed.message_type, parsed.icmp_code), (Kind::Icmp, 8, 0));
    assert_eq!((parsed.src_port, parsed.dst_port, parsed.l4_offset), (1, 0, 34), "who asks has its identifier as port");
    assert_eq!(parsed.kind.transport(), None);
    let reply = parse_frame(&Ip::default().icmp(0, 0, 0x0001_0002, b"")).unwrap();
    assert_eq!((reply.src_port, reply.dst_port), (0, 1));
    let error = parse_frame(&Ip::default().icmp(3, 4, 0x0001_0002, b"")).unwrap();
    assert_eq!((error.src_port, error.dst_port), (0, 0));
}

#[test]
fn an_arp_message_is_recognised_and_left_as_it_is() {
    let frame = [arp_frame(), vec![0; 18]].concat();
    let mut frame = received(&frame);
    assert_eq!(parse(&mut frame, PORT_MAC).unwrap(), ARP);
    assert_eq!(frame.bytes().len(), 60);
    assert_eq!(ARP.l4_offset, 14);
}

#[test]
fn options_move_the_transport_header() {
    let options = vec![0x94, 0x04, 0, 0, 1, 1, 1, 0];
    let frame = Ip { options, ..Ip::default() }.tcp(socket(CLIENT), socket(SERVICE), 0x02, b"");
    let parsed = parse_frame(&frame).unwrap();
    assert_eq!((parsed.l4_offset, parsed.ip_octets, parsed.dst_port), (42, 48, 80));
    let mut wrong = frame;
    wrong[34] ^= 1;
    assert_eq!(parse_frame(&wrong), Err(Outcome::DropIpChecksum), "options are under the checksum");
}

#[test]
fn padding_is_cut_off() {
    for frame in [Ip::default().tcp(socket(CLIENT), socket(SERVICE), 0x10, b""), udp_frame()] {
        for padding in [1, 6, 18] {
            let mut padded = received(&[frame.clone(), vec![0xee; padding]].concat());
            assert_eq!(parse(&mut padded, PORT_MAC), parse_frame(&frame));
            assert_eq!(padded.bytes(), frame);
        }
    }
}

#[test]
fn a_refused_frame_stays_as_it_came() {
    let octets = [changed(tcp_frame(), |ip| ip[9] = 99), vec![0; 9]].concat();
    let mut frame = received(&octets);
    assert_eq!(parse(&mut frame, PORT_MAC), Err(Outcome::DropProtocol));
    assert_eq!(frame.bytes(), octets);
}

#[test]
fn what_the_port_says_about_the_checksum_counts() {
    let good = tcp_frame();
    let mut wrong = good.clone();
    wrong[24] ^= 0x40;
    let verdict = |octets: &[u8], checksum| parse(&mut received_with(octets, checksum), PORT_MAC).map(|_| ());
    assert_eq!(verdict(&good, RxChecksum::Unknown), Ok(()));
    assert_eq!(verdict(&good, RxChecksum::Bad), Err(Outcome::DropIpChecksum));
    assert_eq!(verdict(&wrong, RxChecksum::Unknown), Err(Outcome::DropIpChecksum));
    assert_eq!(verdict(&wrong, RxChecksum::Good), Ok(()), "the port has verified it");
}

#[test]
fn a_frame_in_segments_is_dropped() {
    let manner = Arrival { contiguous: false, ..Arrival::default() };
    assert_eq!(parse(&mut received_as(&tcp_frame(), manner), PORT_MAC), Err(Outcome::DropSegmented));
}

/// One way to be wrong: what it is, the frame, the outcome it must have.
type Malformed = (&'static str, Vec<u8>, Outcome);

fn malformed_link() -> Vec<Malformed> {
    let with = |at: usize, octets: &[u8]| {
        let mut frame = tcp_frame();
        frame[at..at + octets.len()].copy_from_slice(octets);
        frame
    };
    vec![
        ("empty", vec![], Outcome::DropTruncated),
        ("half an Ethernet header", tcp_frame()[..13].to_vec(), Outcome::DropTruncated),
        ("nothing but an Ethernet header", tcp_frame()[..14].to_vec(), Outcome::DropTruncated),
        ("source is a multicast address", with(6, &[0x03, 0, 0, 0, 0, 1]), Outcome::DropBadSource),
        ("source is the broadcast address", with(6, &[0xff; 6]), Outcome::DropBadSource),
        ("to another station", with(0, &[0x02, 0, 0, 0, 0, 2]), Outcome::DropOtherStation),
        ("to nobody", with(0, &[0; 6]), Outcome::DropOtherStation),
        ("IPv4 to the broadcast address", with(0, &[0xff; 6]), Outcome::DropIpGroup),
        ("IPv4 to a multicast address", with(0, &[0x01, 0, 0x5e, 0, 0, 1]), Outcome::DropIpGroup),
        ("IPv6, with a header that is not", with(12, &[0x86, 0xdd]), Outcome::DropIpVersion),
        ("a VLAN tag", with(12, &[0x81, 0x00]), Outcome::DropEtherType),
        ("a service VLAN tag", with(12, &[0x88, 0xa8]), Outcome::DropEtherType),
        ("LLDP", with(12, &[0x88, 0xcc]), Outcome::DropEtherType),
        ("an IEEE 802.3 length", with(12, &[0x00, 0x26]), Outcome::DropEtherType),
    ]
}

fn malformed_ip() -> Vec<Malformed> {
    let with = |at: usize, octet: u8| changed(tcp_frame(), |ip| ip[at] = octet);
    let source = |address: [u8; 4]| changed(tcp_frame(), |ip| ip[12..16].copy_from_slice(&address));
    let destination = |address: [u8; 4]| changed(tcp_frame(), |ip| ip[16..20].copy_from_slice(&address));
    let short = changed(tcp_frame(), |ip| ip[2..4].copy_from_slice(&19u16.to_be_bytes()));
    let long = changed(tcp_frame(), |ip| ip[2..4].copy_from_slice(&57u16.to_be_bytes()));
    let mut checksum = tcp_frame();
    checksum[25] ^= 0xff;
    vec![
        ("19 octets of IPv4 header", tcp_frame()[..33].to_vec(), Outcome::DropTruncated),
        ("version 6", with(0, 0x65), Outcome::DropIpVersion),
        ("version 0", with(0, 0x05), Outcome::DropIpVersion),
        ("header length 16", with(0, 0x44), Outcome::DropIpHeaderLength),
        ("header length 0", with(0, 0x40), Outcome::DropIpHeaderLength),
        (
            "header length beyond the frame",
            [&tcp_frame()[..14], &[0x46], &tcp_frame()[15..34]].concat(),
            Outcome::DropIpHeaderLength,
        ),
        (
            "header length beyond the total length",
            changed([tcp_frame(), vec![0; 8]].concat(), |ip| ip[0] = 0x4f),
            Outcome::DropIpTotalLength,
        ),
        ("total length below the header's", short, Outcome::DropIpTotalLength),
        ("total length 0", with(3, 0), Outcome::DropIpTotalLength),
        ("total length beyond the frame", long, Outcome::DropIpTotalLength),
        ("header checksum", checksum, Outcome::DropIpChecksum),
        ("from this network", source([0, 0, 0, 0]), Outcome::DropIpSource),
        ("from 0.1.2.3", source([0, 1, 2, 3]), Outcome::DropIpSource),
        ("from loopback", source([127, 0, 0, 1]), Outcome::DropIpSource),
        ("from a multicast group", source([224, 0, 0, 1]), Outcome::DropIpSource),
        ("from reserved space", source([240, 0, 0, 1]), Outcome::DropIpSource),
        ("from broadcast", source([255, 255, 255, 255]), Outcome::DropIpSource),
        ("to this network", destination([0, 0, 0, 0]), Outcome::DropIpGroup),
        ("to loopback", destination([127, 1, 2, 3]), Outcome::DropIpGroup),
        ("to a multicast group", destination([239, 255, 255, 250]), Outcome::DropIpGroup),
        ("to reserved space", destination([250, 0, 0, 1]), Outcome::DropIpGroup),
        ("to broadcast", destination([255, 255, 255, 255]), Outcome::DropIpGroup),
        ("first fragment", with(6, 0x20), Outcome::DropFragment),
        ("a later fragment", with(7, 0xb9), Outcome::DropFragment),
        (
            "last fragment, with DF",
            changed(tcp_frame(), |ip| ip[6..8].copy_from_slice(&[0x40, 0x01])),
            Outcome::DropFragment,
        ),
        ("UDP-Lite", with(9, 136), Outcome::DropProtocol),
        ("IP in IP", with(9, 4), Outcome::DropProtocol),
        ("protocol 255", with(9, 255), Outcome::DropProtocol),
    ]
}

fn malformed_transport() -> Vec<Malformed> {
    let tcp = |at: usize, octet: u8| changed(tcp_frame(), |ip| ip[20 + at] = octet);
    let udp = |at: usize, octets: [u8; 2]| changed(udp_frame(), |ip| ip[20 + at..22 + at].copy_from_slice(&octets));
    let sctp = |at: usize, octets: [u8; 2]| {
        changed(cookie_frame(&[6, 0, 0, 4]), |ip| ip[20 + at..22 + at].copy_from_slice(&octets))
    };
    let no_port = |at: usize| changed(tcp_frame(), |ip| ip[20 + at..22 + at].fill(0));
    let cut = |frame: Vec<u8>, total: u16| {
        changed(frame, |ip| ip[2..4].copy_from_slice(&total.to_be_bytes()))[..14 + usize::from(total)].to_vec()
    };
    vec![
        ("no TCP header", cut(tcp_frame(), 20), Outcome::DropTcpHeader),
        ("19 octets of TCP header", cut(tcp_frame(), 39), Outcome::DropTcpHeader),
        ("data offset 16", tcp(12, 0x40), Outcome::DropTcpHeader),
        ("data offset 0", tcp(12, 0x00), Outcome::DropTcpHeader),
        ("data offset beyond the packet", tcp(12, 0xa0), Outcome::DropTcpHeader),
        ("TCP source port 0", no_port(0), Outcome::DropPortZero),
        ("TCP destination port 0", no_port(2), Outcome::DropPortZero),
        ("no UDP header", cut(udp_frame(), 20), Outcome::DropUdpLength),
        ("7 octets of UDP header", cut(udp_frame(), 27), Outcome::DropUdpLength),
        ("UDP length 7", udp(4, [0, 7]), Outcome::DropUdpLength),
        ("UDP length 0", udp(4, [0, 0]), Outcome::DropUdpLength),
        ("UDP length beyond the packet", udp(4, [0, 17]), Outcome::DropUdpLength),
        ("UDP source port 0", udp(0, [0, 0]), Outcome::DropPortZero),
        ("UDP destination port 0", udp(2, [0, 0]), Outcome::DropPortZero),
        ("no SCTP header", cut(cookie_frame(&[]), 20), Outcome::DropSctpHeader),
        ("11 octets of SCTP header", cut(cookie_frame(&[]), 31), Outcome::DropSctpHeader),
        ("no chunk", cut(cookie_frame(&[]), 32), Outcome::DropSctpHeader),
        ("3 octets of a chunk", cut(cookie_frame(&[]), 35), Outcome::DropSctpHeader),
        ("chunk cut short", cut(cookie_frame(&[]), 40), Outcome::DropSctpHeader),
        ("chunk length 0", sctp(14, [0, 0]), Outcome::DropSctpHeader),
        ("chunk length 3", sctp(14, [0, 3]), Outcome::DropSctpHeader),
        ("chunk length beyond the packet", sctp(14, [0, 17]), Outcome::DropSctpHeader),
        ("second chunk's length 3", sctp(26, [0, 3]), Outcome::DropSctpHeader),
        ("second chunk's length beyond the packet", sctp(26, [0, 5]), Outcome::DropSctpHeader),
        ("second chunk cut short", cut(cookie_frame(&[6, 0, 0, 4]), 46), Outcome::DropSctpHeader),
        ("SCTP source port 0", sctp(0, [0, 0]), Outcome::DropPortZero),
        ("SCTP destination port 0", sctp(2, [0, 0]), Outcome::DropPortZero),
        ("no ICMP header", cut(icmp_frame(), 20), Outcome::DropIcmpMalformed),
        ("7 octets of ICMP", cut(icmp_frame(), 27), Outcome::DropIcmpMalformed),
        ("ICMP checksum", changed(icmp_frame(), |ip| ip[30] ^= 1), Outcome::DropIcmpMalformed),
        ("ICMP of zeros", changed(icmp_frame(), |ip| ip[20..36].fill(0)), Outcome::DropIcmpMalformed),
    ]
}

#[test]
fn every_malformed_frame_has_its_own_outcome() {
    for (what, frame, outcome) in [malformed_link(), malformed_ip(), malformed_transport()].concat() {
        assert_eq!(parse_frame(&frame), Err(outcome), "{what}");
    }
}

#[test]
fn padding_hides_no_truncation() {
    // What lies behind the total length is not the packet's.
    for (what, frame, outcome) in malformed_transport() {
        let padded = [frame, vec![0x55; 40]].concat();
        assert_eq!(parse_frame(&padded), Err(outcome), "{what}");
    }
}

#[test]
fn a_datagram_may_be_shorter_than_its_packet() {
    let frame = changed(udp_frame(), |ip| ip[24..26].copy_from_slice(&[0, 8]));
    assert_eq!(parse_frame(&frame).unwrap().ip_octets, 36);
}

#[test]
fn every_truncation_is_refused() {
    for frame in [tcp_frame(), udp_frame(), icmp_frame()] {
        for length in 0..frame.len() {
            let expected = match length {
                0..34 => Outcome::DropTruncated,
                _ => Outcome::DropIpTotalLength,
            };
            assert_eq!(parse_frame(&frame[..length]), Err(expected), "{length} octets");
        }
    }
}

#[test]
fn every_bit_of_the_ip_header_is_under_the_checksum() {
    for bit in 0..160 {
        let mut frame = tcp_frame();
        frame[14 + bit / 8] ^= 0x80 >> (bit % 8);
        let outcome = parse_frame(&frame).expect_err("one bit is wrong");
        let at_length = matches!(bit, 0..8 | 16..32);
        assert!(at_length || outcome == Outcome::DropIpChecksum, "bit {bit}: {outcome:?}");
    }
}

#[test]
fn arp_to_this_port_to_all_and_to_others() {
    let to = |destination: [u8; 6]| {
        let mut frame = arp_frame();
        frame[..6].copy_from_slice(&destination);
        parse_frame(&frame).map(|parsed| parsed.kind)
    };
    assert_eq!(to(PORT_MAC), Ok(Kind::Arp));
    assert_eq!(to([0xff; 6]), Ok(Kind::Arp));
    assert_eq!(to([0x01, 0, 0x5e, 0, 0, 1]), Ok(Kind::Arp));
    assert_eq!(to(PEER_MAC), Err(Outcome::DropOtherStation));
}

/// Asserts what the parser promises of whatever it lets through.
fn assert_promises(octets: &[u8], parsed: &Parsed) {
    if parsed.kind == Kind::Arp {
        return;
    }
    let (l3, l4) = (usize::from(parsed.l3_offset), usize::from(parsed.l4_offset));
    assert_eq!(l3, 14);
    assert!(
        (34..=14 + 40 + 8 * 2048).contains(&l4) && l4 <= parsed.frame_octets() && parsed.frame_octets() <= octets.len()
    );
    if parsed.family() == Family::V6 {
        return assert_promises_v6(&octets[l3..], l4 - l3, parsed);
    }
    let packet = ipv4::Packet::new_checked(&octets[l3..]).expect("the views find the same packet sound");
    assert_eq!(packet.header_octets(), l4 - l3);
    assert!(l4 <= 74);
    assert_eq!((packet.source().into(), packet.destination().into()), (parsed.src, parsed.dst));
    assert!(ipv4::is_host(parsed.src.low()) && ipv4::is_host(parsed.dst.low()) && !packet.is_fragment());
    match parsed.kind {
        Kind::Tcp => {
            let segment = tcp::Packet::new_checked(packet.payload()).expect("a whole header");
            assert_eq!((segment.source_port(), segment.destination_port()), (parsed.src_port, parsed.dst_port));
            assert_eq!(segment.flags(), parsed.tcp_flags);
        }
        Kind::Udp => {
            let datagram = udp::Packet::new_checked(packet.payload()).expect("a whole header");
            assert_eq!((datagram.source_port(), datagram.destination_port()), (parsed.src_port, parsed.dst_port));
        }
        Kind::Sctp => {
            let whole = sctp::Packet::new_checked(packet.payload()).expect("a whole header");
            assert_eq!((whole.source_port(), whole.destination_port()), (parsed.src_port, parsed.dst_port));
            let first = u8::from(whole.chunks().next().expect("a chunk").expect("a whole chunk").kind());
            assert!(parsed.message_type == first || (matches!(first, 10 | 11) && parsed.message_type == 6));
        }
        Kind::Icmp => assert!(icmp::Packet::new_checked(packet.payload()).expect("a whole header").verify_checksum()),
        Kind::Icmpv6 | Kind::Arp => unreachable!("no IPv4"),
    }
}

/// The same of an IPv6 packet.
fn assert_promises_v6(octets: &[u8], header: usize, parsed: &Parsed) {
    let packet = ipv6::Packet::new_checked(octets).expect("the views find the same packet sound");
    let (source, destination) = (packet.source(), packet.destination());
    assert_eq!((source.into(), destination.into()), (parsed.src, parsed.dst));
    let upper = packet.upper().expect("a walk that ends");
    assert_eq!((upper.offset, usize::from(parsed.ip_octets)), (header, packet.total_octets()));
    assert!(upper.fragment.is_none_or(|fragment| fragment.offset == 0 && !fragment.more));
    let data = &octets[header..packet.total_octets()];
    let discovery = parsed.kind == Kind::Icmpv6 && (133..=137).contains(&parsed.message_type);
    assert!(discovery || ipv6::is_host(source) && ipv6::is_host(destination));
    assert!(parsed.src.family() == Family::V6 && parsed.dst.family() == Family::V6);
    match parsed.kind {
        Kind::Tcp => {
            let segment = tcp::Packet::new_checked(data).expect("a whole header");
            assert_eq!((segment.source_port(), segment.destination_port()), (parsed.src_port, parsed.dst_port));
        }
        Kind::Udp => {
            let datagram = udp::Packet::new_checked(data).expect("a whole header");
            assert_eq!((datagram.source_port(), datagram.destination_port()), (parsed.src_port, parsed.dst_port));
        }
        Kind::Sctp => assert!(sctp::Packet::new_checked(data).is_ok()),
        Kind::Icmpv6 => {
            let words = [
                &source.octets()[..],
                &destination.octets(),
                &[0, 0],
                &(data.len() as u16).to_be_bytes(),
                &[0, 0, 0, 58],
                data,
            ];
            assert_eq!(naive_sum(&words.concat()), 0xffff);
        }
        Kind::Icmp | Kind::Arp => unreachable!("no IPv6"),
    }
}

fn parse_any(octets: &[u8], checksum: RxChecksum) {
    if let Ok(parsed) = parse_octets(octets, checksum, PORT_MAC) {
        assert_promises(octets, &parsed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_panics(octets in prop::collection::vec(any::<u8>(), 0..120)) {
        parse_any(&octets, RxChecksum::Unknown);
        parse_any(&octets, RxChecksum::Good);
    }

    #[test]
    fn noise_behind_a_right_ethernet_header_never_panics(
        packet in prop::collection::vec(any::<u8>(), 0..120),
        first in prop_oneof![Just(0x45u8), 0x46u8..0x50, any::<u8>()],
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), Just(132), any::<u8>()],
        total in prop_oneof![0u16..130, any::<u16>()],
    ) {
        let mut packet = packet;
        if packet.len() >= 10 {
            packet[0] = first;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            packet[6..8].fill(0);
            packet[9] = protocol;
        }
        // With the checksum taken as verified, the checks behind it are reached.
        parse_any(&ethernet(0x0800, &packet), RxChecksum::Good);
    }

    #[test]
    fn mutated_frames_keep_the_promises(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let options = vec![0x94, 0x04, 0, 0];
        let mut frame = match which {
            0 => tcp_frame(),
            1 => udp_frame(),
            2 => icmp_frame(),
            3 => cookie_frame(&[6, 0, 0, 4]),
            _ => Ip { options, ..Ip::default() }.tcp(socket(CLIENT), socket(SERVICE), 0x02, b"x"),
        };
        for (at, octet) in changes {
            let at = at.index(frame.len());
            frame[at] = octet;
        }
        if cut {
            frame.truncate(length.index(frame.len()));
        }
        parse_any(&frame, RxChecksum::Unknown);
        parse_any(&frame, RxChecksum::Good);
    }
}
