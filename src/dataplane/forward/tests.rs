//! Packet in, packet out, for every rewrite. What comes out is compared octet by octet with a packet that was built
//! from nothing, and all of its checksums are computed anew.

use std::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;

use super::icmp_error::Problem;
use super::*;
use crate::dataplane::fixture::{Ip, PEER_MAC, PORT_MAC, assert_sound, be16, fix_header_checksum, received};
use crate::dataplane::parse::{Kind, parse_octets};
use crate::dataplane::port::{Frame, HEADROOM, RxChecksum};
use crate::dataplane::service::Protocol;
use crate::dataplane::wire::icmp;

const CLIENT: &str = "198.51.100.7:40000";
const SERVICE: &str = "203.0.113.10:80";
const REAL: &str = "10.0.0.11:8080";
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn socket(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn hops(ttl: u8) -> Ip {
    Ip { ttl, tos: 0x2a, ..Ip::default() }
}

/// What `protocol` with `data` looks like on the link, from scratch.
fn built(ip: Ip, protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Vec<u8> {
    match protocol {
        Protocol::Tcp => ip.tcp(from, to, 0x18, data),
        Protocol::Udp => ip.udp(from, to, data),
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

mod translation {
    use super::*;

    #[test]
    fn a_clients_packet_goes_to_the_real_server() {
        for protocol in PROTOCOLS {
            for length in [0, 1, 2, 3, 64, 1399, 1400] {
                let data = vec![0x5a; length];
                let mut frame = built(hops(57), protocol, socket(CLIENT), socket(SERVICE), &data);
                nat::inbound(&mut frame, 14, 34, protocol, socket(REAL)).unwrap();
                assert_eq!(frame, built(hops(56), protocol, socket(CLIENT), socket(REAL), &data));
                assert_sound(&frame);
            }
        }
    }

    #[test]
    fn a_real_servers_packet_goes_to_the_client() {
        for protocol in PROTOCOLS {
            for length in [0, 1, 2, 3, 64, 1399, 1400] {
                let data = vec![0xc3; length];
                let mut frame = built(hops(2), protocol, socket(REAL), socket(CLIENT), &data);
                nat::outbound(&mut frame, 14, 34, protocol, socket(SERVICE)).unwrap();
                assert_eq!(frame, built(hops(1), protocol, socket(SERVICE), socket(CLIENT), &data));
                assert_sound(&frame);
            }
        }
    }

    #[test]
    fn options_are_stepped_over() {
        let ip = |ttl| Ip { options: vec![0x94, 0x04, 0, 0, 1, 1, 1, 0], ..hops(ttl) };
        let mut frame = ip(9).tcp(socket(CLIENT), socket(SERVICE), 0x02, b"odd");
        nat::inbound(&mut frame, 14, 42, Protocol::Tcp, socket(REAL)).unwrap();
        assert_eq!(frame, ip(8).tcp(socket(CLIENT), socket(REAL), 0x02, b"odd"));
    }

    #[test]
    fn an_absent_udp_checksum_stays_absent() {
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), b"data");
        frame[40..42].fill(0);
        nat::inbound(&mut frame, 14, 34, Protocol::Udp, socket(REAL)).unwrap();
        assert_eq!(be16(&frame, 40), 0);
        nat::outbound(&mut frame, 14, 34, Protocol::Udp, socket(SERVICE)).unwrap();
        assert_eq!(be16(&frame, 40), 0);
        assert_sound(&frame);
    }

    /// Two octets of data with which the checksum of a datagram or segment between the two sockets is 0 or 0xffff.
    fn zero_sum_data(protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4) -> [u8; 2] {
        let frame = built(hops(64), protocol, from, to, &[0, 0]);
        let at = if protocol == Protocol::Tcp { 50 } else { 40 };
        be16(&frame, at).to_be_bytes()
    }

    #[test]
    fn a_udp_checksum_that_becomes_zero_is_sent_as_ffff() {
        let data = zero_sum_data(Protocol::Udp, socket(CLIENT), socket(REAL));
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &data);
        assert!(!matches!(be16(&frame, 40), 0 | 0xffff));
        nat::inbound(&mut frame, 14, 34, Protocol::Udp, socket(REAL)).unwrap();
        assert_eq!(be16(&frame, 40), 0xffff);
        assert_sound(&frame);
    }

    #[test]
    fn a_udp_checksum_of_ffff_is_a_number_like_others() {
        let data = zero_sum_data(Protocol::Udp, socket(CLIENT), socket(SERVICE));
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &data);
        assert_eq!(be16(&frame, 40), 0xffff);
        nat::inbound(&mut frame, 14, 34, Protocol::Udp, socket(REAL)).unwrap();
        assert_eq!(frame, hops(63).udp(socket(CLIENT), socket(REAL), &data));
        assert!(!matches!(be16(&frame, 40), 0 | 0xffff));
    }

    #[test]
    fn a_tcp_checksum_may_become_zero_and_come_back() {
        let data = zero_sum_data(Protocol::Tcp, socket(CLIENT), socket(REAL));
        let mut frame = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, &data);
        nat::inbound(&mut frame, 14, 34, Protocol::Tcp, socket(REAL)).unwrap();
        assert_eq!(be16(&frame, 50), 0, "0 is not special to TCP");
        assert_sound(&frame);
        nat::inbound(&mut frame, 14, 34, Protocol::Tcp, socket(SERVICE)).unwrap();
        assert_eq!(frame, hops(62).tcp(socket(CLIENT), socket(SERVICE), 0x18, &data));
    }

    #[test]
    fn a_wrong_checksum_is_not_mended() {
        let mut frame = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
        frame[50] ^= 0x10;
        nat::inbound(&mut frame, 14, 34, Protocol::Tcp, socket(REAL)).unwrap();
        let right = hops(63).tcp(socket(CLIENT), socket(REAL), 0x18, b"data");
        assert_ne!(be16(&frame, 50), be16(&right, 50));
        assert_eq!((&frame[..50], &frame[52..]), (&right[..50], &right[52..]));
    }

    #[test]
    fn a_frame_without_its_headers_is_refused_and_unchanged() {
        for protocol in PROTOCOLS {
            let whole = built(hops(64), protocol, socket(CLIENT), socket(SERVICE), b"");
            let transport = whole.len();
            for length in 0..transport {
                let mut frame = whole[..length].to_vec();
                assert_eq!(nat::inbound(&mut frame, 14, 34, protocol, socket(REAL)), Err(Error::Truncated));
                assert_eq!(nat::outbound(&mut frame, 14, 34, protocol, socket(REAL)), Err(Error::Truncated));
                assert_eq!(frame, whole[..length]);
            }
            let mut frame = whole.clone();
            for (l3, l4) in [(14, 33), (34, 14), (60, 34), (usize::MAX, 34), (14, usize::MAX)] {
                assert_eq!(nat::inbound(&mut frame, l3, l4, protocol, socket(REAL)), Err(Error::Truncated));
            }
            assert_eq!(frame, whole);
        }
    }

    fn any_socket() -> impl Strategy<Value = SocketAddrV4> {
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(address, port)| SocketAddrV4::new(address.into(), port))
    }

    proptest! {
        #[test]
        fn any_translation_equals_a_packet_built_anew(
            tcp: bool,
            (client, service, real) in (any_socket(), any_socket(), any_socket()),
            data in prop::collection::vec(any::<u8>(), 0..64),
            (ttl, tos, identification) in (1u8.., any::<u8>(), any::<u16>()),
        ) {
            let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
            let ip = |ttl| Ip { ttl, tos, identification, ..Ip::default() };
            let mut frame = built(ip(ttl), protocol, client, service, &data);
            nat::inbound(&mut frame, 14, 34, protocol, real).unwrap();
            prop_assert_eq!(&frame, &built(ip(ttl - 1), protocol, client, real, &data));

            let mut frame = built(ip(ttl), protocol, real, client, &data);
            nat::outbound(&mut frame, 14, 34, protocol, service).unwrap();
            prop_assert_eq!(&frame, &built(ip(ttl - 1), protocol, service, client, &data));
        }
    }
}

mod direct_routing {
    use super::*;

    #[test]
    fn only_the_ttl_and_its_checksum_change() {
        for ttl in 1..=255 {
            let mut frame = hops(ttl).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
            direct::hop(&mut frame, 14).unwrap();
            assert_eq!(frame, hops(ttl - 1).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data"));
        }
    }

    #[test]
    fn a_frame_without_its_header_is_refused_and_unchanged() {
        let whole = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
        for length in 0..34 {
            let mut frame = whole[..length].to_vec();
            assert_eq!(direct::hop(&mut frame, 14), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
    }

    #[test]
    fn the_link_addresses_are_written_and_nothing_else() {
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
        let before = frame.clone();
        link::readdress(&mut frame, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]).unwrap();
        assert_eq!(frame[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(frame[12..], before[12..]);
        assert_eq!(link::readdress(&mut frame[..13], [0; 6], [0; 6]), Err(Error::Truncated));
    }
}

mod tunnel {
    use super::*;

    /// What the tunnel is to make of `inner`, a frame whose hop has been taken.
    fn tunnelled(inner: &[u8], tos: u8, flags_offset: u16, ttl: u8) -> Vec<u8> {
        let outer = Ip {
            tos,
            identification: 0xbeef,
            flags_offset,
            ttl,
            protocol: 4,
            source: DIRECTOR.octets(),
            destination: socket(REAL).ip().octets(),
            options: Vec::new(),
        };
        outer.frame(&inner[14..])
    }

    fn encapsulate(octets: &[u8]) -> Result<Vec<u8>, Error> {
        let mut frame = received(octets);
        ipip::encapsulate(&mut frame, DIRECTOR, *socket(REAL).ip(), 0xbeef).map(|()| frame.bytes().to_vec())
    }

    #[test]
    fn an_outer_header_goes_in_front() {
        for protocol in PROTOCOLS {
            for tos in [0, 0x2a, 0x03, 0xb9, 0xff] {
                for flags_offset in [0, 0x4000] {
                    for length in [0, 1, 7, 1401] {
                        let ip = |ttl| Ip { ttl, tos, flags_offset, ..Ip::default() };
                        let data = vec![0x77; length];
                        let before = built(ip(33), protocol, socket(CLIENT), socket(SERVICE), &data);
                        let inner = built(ip(32), protocol, socket(CLIENT), socket(SERVICE), &data);
                        let after = encapsulate(&before).unwrap();
                        assert_eq!(after, tunnelled(&inner, tos, flags_offset, 32));
                        assert_sound(&after);
                    }
                }
            }
        }
    }

    #[test]
    fn options_stay_inside() {
        let ip = |ttl| Ip { options: vec![1; 40], ..hops(ttl) };
        let after = encapsulate(&ip(8).tcp(socket(CLIENT), socket(SERVICE), 0x02, b"")).unwrap();
        assert_eq!(after, tunnelled(&ip(7).tcp(socket(CLIENT), socket(SERVICE), 0x02, b""), 0x2a, 0x4000, 7));
        assert_eq!(after[14], 0x45);
    }

    #[test]
    fn the_reserved_flag_is_not_copied() {
        let before = Ip { flags_offset: 0x8000, ..hops(9) }.tcp(socket(CLIENT), socket(SERVICE), 0x02, b"");
        assert_eq!(be16(&encapsulate(&before).unwrap(), 20), 0);
    }

    #[test]
    fn without_headroom_the_frame_is_refused_and_unchanged() {
        let octets = hops(64).udp(socket(CLIENT), socket(SERVICE), b"data");
        let mut frame = received(&octets);
        let filler = HEADROOM - 19;
        frame.prepend(filler).unwrap().copy_within(filler.., 0);
        frame.set_len(octets.len()).unwrap();
        assert_eq!(ipip::encapsulate(&mut frame, DIRECTOR, DIRECTOR, 0), Err(Error::NoHeadroom));
        assert_eq!(frame.bytes(), octets);
    }

    #[test]
    fn the_longest_packet_that_fits() {
        let longest = vec![0; 65_515 - 28];
        let after = encapsulate(&hops(64).udp(socket(CLIENT), socket(SERVICE), &longest)).unwrap();
        assert_eq!(be16(&after, 16), 65_535);
        assert_sound(&after);
        let too_long = vec![0; 65_516 - 28];
        let before = hops(64).udp(socket(CLIENT), socket(SERVICE), &too_long);
        assert_eq!(encapsulate(&before), Err(Error::TooBig));
    }

    #[test]
    fn a_frame_without_its_header_is_refused() {
        let whole = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
        for length in 0..34 {
            assert_eq!(encapsulate(&whole[..length]), Err(Error::Truncated));
        }
    }

    #[test]
    fn the_tunnel_takes_twenty_octets_of_the_mtu() {
        assert_eq!(ipip::inner_mtu(1500), 1480);
        assert_eq!(ipip::inner_mtu(19), 0);
    }

    proptest! {
        #[test]
        fn any_packet_is_wrapped_soundly(
            (ttl, tos, identification, outer) in (1u8.., any::<u8>(), any::<u16>(), any::<u16>()),
            (dont_fragment, data) in (any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)),
            (source, destination) in (any::<[u8; 4]>(), any::<[u8; 4]>()),
        ) {
            let flags_offset = if dont_fragment { 0x4000 } else { 0 };
            let ip = |ttl| Ip { ttl, tos, identification, flags_offset, ..Ip::default() };
            let mut frame = received(&ip(ttl).udp(socket(CLIENT), socket(SERVICE), &data));
            ipip::encapsulate(&mut frame, source.into(), destination.into(), outer).unwrap();
            let inner = ip(ttl - 1).udp(socket(CLIENT), socket(SERVICE), &data);
            let expected = Ip {
                ttl: ttl - 1, tos, identification: outer, flags_offset, protocol: 4, source, destination, options: vec![]
            };
            prop_assert_eq!(frame.bytes(), expected.frame(&inner[14..]));
        }
    }
}

mod answers {
    use super::*;

    /// The Ethernet header of an answer.
    fn turned_around(mut frame: Vec<u8>) -> Vec<u8> {
        frame[..6].copy_from_slice(&PEER_MAC);
        frame[6..12].copy_from_slice(&PORT_MAC);
        frame
    }

    fn echo_frame(options: Vec<u8>, rest: u32, data: &[u8]) -> Vec<u8> {
        Ip { options, ttl: 3, ..Ip::default() }.icmp(8, 0, rest, data)
    }

    #[test]
    fn an_echo_request_becomes_its_reply() {
        for length in [0, 1, 56, 57, 1472] {
            let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut frame = echo_frame(vec![], 0x1234_0001, &data);
            echo::reply(&mut frame, 14, 34).unwrap();
            let reply = Ip { source: [203, 0, 113, 10], destination: [198, 51, 100, 7], ..Ip::default() };
            assert_eq!(frame, turned_around(reply.icmp(0, 0, 0x1234_0001, &data)));
            assert_sound(&frame);
        }
    }

    #[test]
    fn a_reply_of_nothing_but_zeros_has_the_right_zero() {
        for length in [0, 1, 8] {
            let mut frame = echo_frame(vec![], 0, &vec![0; length]);
            echo::reply(&mut frame, 14, 34).unwrap();
            assert_eq!(be16(&frame, 36), 0xffff);
            assert_sound(&frame);
        }
    }

    #[test]
    fn a_reply_carries_no_options_and_keeps_their_place() {
        let options = vec![0x07, 0x07, 0x04, 0, 0, 0, 0, 0];
        let mut frame = echo_frame(options, 7, b"data");
        echo::reply(&mut frame, 14, 42).unwrap();
        assert_eq!(frame[34..42], [0; 8]);
        assert_sound(&frame);
    }

    #[test]
    fn what_holds_no_echo_is_refused_and_unchanged() {
        let whole = echo_frame(vec![], 7, b"");
        for length in 0..whole.len() {
            let mut frame = whole[..length].to_vec();
            assert_eq!(echo::reply(&mut frame, 14, 34), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
        let mut frame = whole.clone();
        for (l3, l4) in [(14, 33), (13, 34), (34, 14), (usize::MAX, 34), (14, usize::MAX)] {
            assert_eq!(echo::reply(&mut frame, l3, l4), Err(Error::Truncated));
        }
        frame[14] = 0x46;
        assert_eq!(echo::reply(&mut frame, 14, 34), Err(Error::Truncated));
    }

    const TOO_BIG: Problem = Problem::FragmentationNeeded { mtu: 1480 };

    fn answered(octets: &[u8], problem: Problem) -> Result<Vec<u8>, Outcome> {
        let mut frame = received(octets);
        let outcome = icmp_error::answer(&mut frame, problem, DIRECTOR, 0x0102)?;
        assert_eq!(outcome, problem.answered());
        Ok(frame.bytes().to_vec())
    }

    fn error(kind: u8, code: u8, rest: u32, quote: &[u8]) -> Vec<u8> {
        let ip = Ip {
            tos: 0xc0,
            identification: 0x0102,
            flags_offset: 0,
            ttl: 64,
            protocol: 1,
            source: DIRECTOR.octets(),
            destination: [198, 51, 100, 7],
            options: vec![],
        };
        turned_around(ip.icmp(kind, code, rest, quote))
    }

    #[test]
    fn a_short_packet_is_quoted_whole() {
        let offending = hops(1).udp(socket(CLIENT), socket(SERVICE), b"hello");
        let padded = [&offending[..], &[0xee; 13]].concat();
        for frame in [&offending, &padded] {
            let expected = error(11, 0, 0, &offending[14..]);
            assert_eq!(answered(frame, Problem::TimeExceeded), Ok(expected.clone()));
            assert_sound(&expected);
        }
    }

    #[test]
    fn a_long_packet_is_quoted_up_to_576_octets_in_all() {
        let offending = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, &[0x42; 1460]);
        let after = answered(&offending, TOO_BIG).unwrap();
        assert_eq!(after, error(3, 4, 1480, &offending[14..14 + 548]));
        assert_eq!(after.len(), 14 + icmp_error::MAX_OCTETS);
        assert_sound(&after);
    }

    #[test]
    fn the_answer_reads_back_through_the_parser() {
        let offending = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, &[0x42; 1460]);
        let after = answered(&offending, TOO_BIG).unwrap();
        let parsed = parse_octets(&after, RxChecksum::Unknown, PEER_MAC).unwrap();
        assert_eq!((parsed.kind, parsed.icmp_type, parsed.icmp_code), (Kind::Icmp, 3, 4));
        let message = icmp::Packet::new_checked(&after[usize::from(parsed.l4_offset)..]).unwrap();
        assert_eq!(message.next_hop_mtu(), 1480);
    }

    #[test]
    fn no_error_answers_an_error_or_what_may_be_one() {
        for (kind, may) in [(0, true), (8, true), (13, true), (14, true), (3, false), (4, false), (5, false)] {
            assert_eq!(answered(&hops(1).icmp(kind, 0, 0, b"12345678"), Problem::TimeExceeded).is_ok(), may, "{kind}");
        }
        for kind in [11, 12, 1, 2, 42, 255] {
            let frame = hops(1).icmp(kind, 0, 0, b"12345678");
            assert_eq!(answered(&frame, Problem::TimeExceeded), Err(Outcome::DropTtl), "{kind}");
            assert_eq!(answered(&frame, TOO_BIG), Err(Outcome::DropTooBig), "{kind}");
        }
        let empty = Ip { protocol: 1, ..hops(1) }.frame(b"");
        assert_eq!(answered(&empty, Problem::TimeExceeded), Err(Outcome::DropTtl));
    }

    #[test]
    fn no_error_about_groups_nobodies_and_later_fragments() {
        let with = |at: usize, octets: &[u8]| {
            let mut frame = hops(1).udp(socket(CLIENT), socket(SERVICE), b"hello");
            frame[at..at + octets.len()].copy_from_slice(octets);
            fix_header_checksum(&mut frame[14..]);
            frame
        };
        assert!(answered(&with(0, &[]), Problem::TimeExceeded).is_ok());
        assert!(answered(&with(20, &[0x20, 0x00]), Problem::TimeExceeded).is_ok(), "a first fragment");
        for (what, frame) in [
            ("a later fragment", with(20, &[0x20, 0x01])),
            ("the last fragment", with(20, &[0x00, 0x01])),
            ("to an Ethernet group", with(0, &[0xff; 6])),
            ("to a multicast group", with(30, &[224, 0, 0, 1])),
            ("to broadcast", with(30, &[255, 255, 255, 255])),
            ("from nobody", with(26, &[0, 0, 0, 0])),
            ("from loopback", with(26, &[127, 0, 0, 1])),
            ("from a multicast group", with(26, &[239, 0, 0, 1])),
            ("from broadcast", with(26, &[255, 255, 255, 255])),
            ("a total length beyond the frame", with(16, &[1, 0])),
        ] {
            assert_eq!(answered(&frame, Problem::TimeExceeded), Err(Outcome::DropTtl), "{what}");
        }
        for length in 0..33 {
            assert_eq!(answered(&with(0, &[])[..length], TOO_BIG), Err(Outcome::DropTooBig));
        }
    }

    #[test]
    fn without_headroom_there_is_no_answer() {
        let mut frame = received(&hops(1).udp(socket(CLIENT), socket(SERVICE), b""));
        let filler = HEADROOM - 27;
        let octets = frame.bytes().to_vec();
        frame.prepend(filler).unwrap().copy_within(filler.., 0);
        frame.set_len(octets.len()).unwrap();
        let outcome = icmp_error::answer(&mut frame, Problem::TimeExceeded, DIRECTOR, 0);
        assert_eq!((outcome, frame.bytes()), (Err(Outcome::DropNoHeadroom), &octets[..]));
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            octets in prop::collection::vec(any::<u8>(), 0..120),
            (l3, l4) in (0usize..130, 0usize..130),
            tcp: bool,
        ) {
            let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
            let _ = nat::inbound(&mut octets.clone(), l3, l4, protocol, socket(REAL));
            let _ = nat::outbound(&mut octets.clone(), l3, l4, protocol, socket(REAL));
            let _ = direct::hop(&mut octets.clone(), l3);
            let _ = echo::reply(&mut octets.clone(), l3, l4);
            let _ = ipip::encapsulate(&mut received(&octets), DIRECTOR, DIRECTOR, 0);
            let _ = icmp_error::answer(&mut received(&octets), TOO_BIG, DIRECTOR, 0);
        }

        #[test]
        fn any_echo_reply_verifies(rest: u32, data in prop::collection::vec(0u8..3, 0..6)) {
            let mut frame = echo_frame(vec![], rest, &data);
            echo::reply(&mut frame, 14, 34).unwrap();
            assert_sound(&frame);
        }
    }
}
