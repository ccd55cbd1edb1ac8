//! The same over IPv6, and tunnels between the families.

use std::net::{Ipv6Addr, SocketAddrV6};

use super::super::icmp_error::Unreachable;
use super::super::ipip::Outer;
use super::*;
use crate::dataplane::fixture::Ip6;
use crate::dataplane::stats::Outcome;

pub(super) const CLIENT: &str = "[2001:db8:c::7]:40000";
pub(super) const SERVICE: &str = "[2001:db8:5::10]:80";
pub(super) const REAL: &str = "[fd00:10::11]:8080";
pub(super) const DIRECTOR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 1);

pub(super) const OUTER: Outer = Outer::V6 {
    source: DIRECTOR,
    destination: Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x11),
    flow_label: 0xfff1_2345,
};

pub(super) fn socket(text: &str) -> SocketAddrV6 {
    text.parse().unwrap()
}

pub(super) fn end(text: &str) -> TransportAddress {
    socket(text).into()
}

pub(super) fn hops(hop_limit: u8) -> Ip6 {
    Ip6 { hop_limit, traffic_class: 0x2a, ..Ip6::default() }
}

/// Hop-by-hop options (a router alert) and destination options (padding).
pub(super) fn extended(hop_limit: u8) -> Ip6 {
    let options = vec![(0, vec![0, 5, 2, 0, 0, 1, 0]), (60, [&[1, 1, 12][..], &[0; 12]].concat())];
    Ip6 { extensions: options, ..hops(hop_limit) }
}

pub(super) fn built(ip: Ip6, protocol: Protocol, from: SocketAddrV6, to: SocketAddrV6, data: &[u8]) -> Vec<u8> {
    match protocol {
        Protocol::Tcp => ip.tcp(from, to, 0x18, data),
        Protocol::Udp => ip.udp(from, to, data),
        Protocol::Sctp => ip.sctp(from, to, data),
        Protocol::Icmp => Ip6 { source: *from.ip(), destination: *to.ip(), ..ip }.icmp(128, 0, 0x1234_0001, data),
    }
}

const ALL: [Protocol; 4] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];

mod translation {
    use super::*;

    #[test]
    fn both_directions_with_and_without_extension_headers() {
        for protocol in ALL {
            for (ip, l4) in [(hops as fn(u8) -> Ip6, 54), (extended, 78)] {
                for length in [0, 1, 2, 3, 64, 1399, 1400] {
                    let data = vec![0x5a; length];
                    let mut frame = built(ip(57), protocol, socket(CLIENT), socket(SERVICE), &data);
                    nat::inbound(&mut frame, 14, l4, protocol, end(REAL)).unwrap();
                    assert_eq!(frame, built(ip(56), protocol, socket(CLIENT), socket(REAL), &data));
                    assert_sound(&frame);

                    let mut frame = built(ip(2), protocol, socket(REAL), socket(CLIENT), &data);
                    nat::outbound(&mut frame, 14, l4, protocol, end(SERVICE)).unwrap();
                    assert_eq!(frame, built(ip(1), protocol, socket(SERVICE), socket(CLIENT), &data));
                    assert_sound(&frame);
                }
            }
        }
    }

    #[test]
    fn the_hosts_packets_keep_their_hops() {
        let mut frame = built(hops(9), Protocol::Tcp, socket(CLIENT), socket(SERVICE), b"data");
        nat::deliver(&mut frame, 14, 54, Protocol::Tcp, end(REAL)).unwrap();
        assert_eq!(frame, built(hops(9), Protocol::Tcp, socket(CLIENT), socket(REAL), b"data"));
        let mut frame = built(hops(9), Protocol::Udp, socket(REAL), socket(CLIENT), b"data");
        nat::answer(&mut frame, 14, 54, Protocol::Udp, end(SERVICE)).unwrap();
        assert_eq!(frame, built(hops(9), Protocol::Udp, socket(SERVICE), socket(CLIENT), b"data"));
    }

    #[test]
    fn an_absent_udp_checksum_stays_absent_and_a_computed_zero_is_ffff() {
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), b"data");
        frame[60..62].fill(0);
        nat::inbound(&mut frame, 14, 54, Protocol::Udp, end(REAL)).unwrap();
        assert_eq!(be16(&frame, 60), 0);

        let data = be16(&hops(64).udp(socket(CLIENT), socket(REAL), &[0, 0]), 60).to_be_bytes();
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &data);
        nat::inbound(&mut frame, 14, 54, Protocol::Udp, end(REAL)).unwrap();
        assert_eq!(be16(&frame, 60), 0xffff);
        assert_sound(&frame);
    }

    #[test]
    fn a_wrong_checksum_is_not_mended() {
        let mut frame = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
        frame[70] ^= 0x10;
        nat::inbound(&mut frame, 14, 54, Protocol::Tcp, end(REAL)).unwrap();
        let right = hops(63).tcp(socket(CLIENT), socket(REAL), 0x18, b"data");
        assert_ne!(be16(&frame, 70), be16(&right, 70));
        assert_eq!((&frame[..70], &frame[72..]), (&right[..70], &right[72..]));
    }

    #[test]
    fn a_frame_without_its_headers_is_refused_and_unchanged() {
        for protocol in ALL {
            let whole = built(hops(64), protocol, socket(CLIENT), socket(SERVICE), b"");
            for length in 0..whole.len() {
                let mut frame = whole[..length].to_vec();
                assert_eq!(nat::inbound(&mut frame, 14, 54, protocol, end(REAL)), Err(Error::Truncated));
                assert_eq!(nat::outbound(&mut frame, 14, 54, protocol, end(REAL)), Err(Error::Truncated));
                assert_eq!(frame, whole[..length]);
            }
            let mut frame = whole.clone();
            for (l3, l4) in [(14, 53), (54, 14), (80, 54), (usize::MAX, 54), (14, usize::MAX)] {
                assert_eq!(nat::inbound(&mut frame, l3, l4, protocol, end(REAL)), Err(Error::Truncated));
            }
            assert_eq!(frame, whole);
        }
    }

    fn any_socket() -> impl Strategy<Value = SocketAddrV6> {
        // Not as IPv4 ones are mapped.
        (any::<[u8; 15]>(), any::<u16>()).prop_map(|(rest, port)| {
            let mut octets = [0x20; 16];
            octets[1..].copy_from_slice(&rest);
            SocketAddrV6::new(octets.into(), port, 0, 0)
        })
    }

    proptest! {
        #[test]
        fn any_translation_equals_a_packet_built_anew(
            protocol in prop::sample::select(&ALL[..]),
            (client, service, real) in (any_socket(), any_socket(), any_socket()),
            data in prop::collection::vec(any::<u8>(), 0..64),
            (hop_limit, traffic_class, flow_label) in (1u8.., any::<u8>(), 0u32..1 << 20),
        ) {
            let ip = |hop_limit| Ip6 { hop_limit, traffic_class, flow_label, ..Ip6::default() };
            let mut frame = built(ip(hop_limit), protocol, client, service, &data);
            nat::inbound(&mut frame, 14, 54, protocol, real.into()).unwrap();
            prop_assert_eq!(&frame, &built(ip(hop_limit - 1), protocol, client, real, &data));

            let mut frame = built(ip(hop_limit), protocol, real, client, &data);
            nat::outbound(&mut frame, 14, 54, protocol, service.into()).unwrap();
            prop_assert_eq!(&frame, &built(ip(hop_limit - 1), protocol, service, client, &data));
        }
    }
}

#[test]
fn direct_routing_changes_only_the_hop_limit() {
    for hop_limit in 1..=255 {
        let mut frame = hops(hop_limit).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
        direct::hop(&mut frame, 14, Family::V6).unwrap();
        assert_eq!(frame, hops(hop_limit - 1).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data"));
    }
    for length in 0..54 {
        assert_eq!(direct::hop(&mut vec![0; length], 14, Family::V6), Err(Error::Truncated));
    }
}

mod tunnels {
    use super::*;

    /// An inner packet with its hop taken, or not yet, as long as this in all.
    fn inner(family: Family, octets: usize, hop: bool) -> Vec<u8> {
        let left = 33 - u8::from(hop);
        match family {
            Family::V4 => {
                let ip = Ip { ttl: left, tos: 0xb9, ..Ip::default() };
                ip.udp(
                    super::super::socket(super::super::CLIENT),
                    "203.0.113.10:80".parse().unwrap(),
                    &vec![7; octets - 28],
                )
            }
            Family::V6 => {
                let ip = Ip6 { hop_limit: left, traffic_class: 0xb9, ..Ip6::default() };
                ip.udp(socket(CLIENT), socket(SERVICE), &vec![7; octets - 48])
            }
        }
    }

    /// The frame that carries `packet` in an outer header.
    fn outer(outer: Outer, protocol: u8, dont_fragment: bool, packet: &[u8]) -> Vec<u8> {
        match outer {
            Outer::V4 { source, destination, identification } => Ip {
                tos: 0xb9,
                identification,
                flags_offset: if dont_fragment { 0x4000 } else { 0 },
                ttl: 32,
                protocol,
                source: source.octets(),
                destination: destination.octets(),
                options: Vec::new(),
            }
            .frame(packet),
            Outer::V6 { source, destination, flow_label } => Ip6 {
                traffic_class: 0xb9,
                flow_label: flow_label & 0xf_ffff,
                hop_limit: 32,
                protocol,
                source,
                destination,
                extensions: Vec::new(),
            }
            .frame(packet),
        }
    }

    fn encapsulated(octets: &[u8], inner: Family, outer: Outer) -> Result<Vec<u8>, Error> {
        let mut frame = received(octets);
        ipip::encapsulate(&mut frame, inner, outer).map(|()| frame.bytes().to_vec())
    }

    #[test]
    fn either_family_goes_in_either() {
        for (family, protocol) in [(Family::V4, 4), (Family::V6, 41)] {
            for header in [super::super::tunnel::OUTER, OUTER] {
                for octets in [48, 49, 1279, 1280, 1281, 1480] {
                    let dont_fragment = family == Family::V4 || octets > 1280;
                    let after = encapsulated(&inner(family, octets, false), family, header).unwrap();
                    let within = inner(family, octets, true);
                    assert_eq!(after, outer(header, protocol, dont_fragment, &within[14..]));
                    assert_sound(&after);
                }
            }
        }
    }

    #[test]
    fn without_headroom_or_header_the_frame_is_refused_and_unchanged() {
        for (family, header) in [(Family::V4, 20), (Family::V6, 40)] {
            let whole = inner(family, 48, false);
            for (outer, added) in [(super::super::tunnel::OUTER, 20), (OUTER, 40)] {
                let mut frame = received(&whole);
                let filler = HEADROOM + 1 - added;
                frame.prepend(filler).unwrap().copy_within(filler.., 0);
                frame.set_len(whole.len()).unwrap();
                assert_eq!(ipip::encapsulate(&mut frame, family, outer), Err(Error::NoHeadroom));
                assert_eq!(frame.bytes(), whole);
                for length in 0..14 + header {
                    assert_eq!(encapsulated(&whole[..length], family, outer), Err(Error::Truncated));
                }
            }
        }
    }

    #[test]
    fn the_longest_packet_that_fits() {
        for (family, outer, longest) in [
            (Family::V4, OUTER, 65_535),
            (Family::V6, OUTER, 65_535),
            (Family::V6, super::super::tunnel::OUTER, 65_515),
        ] {
            assert_sound(&encapsulated(&inner(family, longest, false), family, outer).unwrap());
            if longest < 65_535 || family == Family::V6 {
                assert_eq!(encapsulated(&inner(family, longest + 1, false), family, outer), Err(Error::TooBig));
            }
        }
    }

    #[test]
    fn the_tunnel_takes_its_headers_octets_of_the_mtu() {
        assert_eq!(ipip::inner_mtu(1500, Family::V6), 1460);
        assert_eq!(ipip::inner_mtu(39, Family::V6), 0);
    }
}

fn turned_around(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&PEER_MAC);
    frame[6..12].copy_from_slice(&PORT_MAC);
    frame
}

mod echoes {
    use super::*;

    fn echoed(octets: &[u8], l4: usize) -> Result<Vec<u8>, Error> {
        let mut frame = received(octets);
        echo::reply(&mut frame, 14, l4, Family::V6).map(|()| frame.bytes().to_vec())
    }

    #[test]
    fn an_echo_request_becomes_its_reply_without_extension_headers() {
        for length in [0, 1, 56, 57, 1452] {
            let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let Ip6 { source, destination, .. } = Ip6::default();
            let reply = Ip6 { source: destination, destination: source, ..hops(64) };
            let expected = turned_around(reply.icmp(129, 0, 0x1234_0001, &data));
            assert_sound(&expected);
            assert_eq!(echoed(&hops(3).icmp(128, 0, 0x1234_0001, &data), 54), Ok(expected.clone()));
            assert_eq!(echoed(&extended(3).icmp(128, 0, 0x1234_0001, &data), 78), Ok(expected));
        }
    }

    #[test]
    fn what_holds_no_echo_is_refused_and_unchanged() {
        let whole = hops(64).icmp(128, 0, 7, b"");
        let refused = |octets: &[u8], l3, l4| {
            let mut frame = received(octets);
            assert_eq!(echo::reply(&mut frame, l3, l4, Family::V6), Err(Error::Truncated));
            assert_eq!(frame.bytes(), octets);
        };
        for length in 0..whole.len() {
            refused(&whole[..length], 14, 54);
        }
        // An extension header that is longer than the payload.
        let padded = [&whole[..], &[0; 40]].concat();
        refused(&padded, 14, 54 + 16);
        for (l3, l4) in [(14, 53), (13, 52), (54, 14), (usize::MAX, 54), (14, usize::MAX)] {
            refused(&whole, l3, l4);
        }
    }
}

mod errors {
    use super::*;

    const TOO_BIG: Problem = Problem::TooBig { mtu: 1480 };

    fn answered(octets: &[u8], problem: Problem) -> Result<Vec<u8>, Outcome> {
        let mut frame = received(octets);
        let outcome = icmp_error::answer(&mut frame, problem, DIRECTOR.into(), 0x0102)?;
        assert_eq!(outcome, problem.answered());
        Ok(frame.bytes().to_vec())
    }

    fn error(kind: u8, code: u8, rest: u32, quote: &[u8]) -> Vec<u8> {
        let destination = *socket(CLIENT).ip();
        let ip = Ip6 { flow_label: 0, source: DIRECTOR, destination, ..Ip6::default() };
        turned_around(ip.icmp(kind, code, rest, quote))
    }

    fn unreachable(what: Unreachable) -> Problem {
        Problem::Unreachable { what, dropped: Outcome::DropNoRoute }
    }

    #[test]
    fn each_problem_has_its_message_in_either_family() {
        use Unreachable::{Host, Net, Port};

        let big = built(hops(64), Protocol::Tcp, socket(CLIENT), socket(SERVICE), &[0x42; 1440]);
        let big_v4 =
            Ip::default().tcp("198.51.100.7:9".parse().unwrap(), "203.0.113.10:80".parse().unwrap(), 0, &[0x42; 1440]);
        for (problem, (kind, code, rest), v4) in [
            (TOO_BIG, (2, 0, 1480), (3, 4, 1480)),
            (Problem::TooBig { mtu: 1279 }, (2, 0, 1280), (3, 4, 1279)),
            (Problem::TimeExceeded, (3, 0, 0), (11, 0, 0)),
            (unreachable(Net), (1, 0, 0), (3, 0, 0)),
            (unreachable(Host), (1, 3, 0), (3, 1, 0)),
            (unreachable(Port), (1, 4, 0), (3, 3, 0)),
        ] {
            let after = answered(&big, problem).unwrap();
            assert_eq!(after, error(kind, code, rest, &big[14..14 + 1232]));
            assert_eq!(after.len(), 14 + icmp_error::MAX_OCTETS_V6);
            assert_sound(&after);

            let mut frame = received(&big_v4);
            icmp_error::answer(&mut frame, problem, super::super::DIRECTOR.into(), 0).unwrap();
            let (kind, code, rest) = v4;
            let after = frame.bytes();
            assert_eq!((after[34], after[35], be16(after, 38), be16(after, 40)), (kind, code, 0, rest));
            assert_sound(after);
        }
    }

    #[test]
    fn a_short_packet_is_quoted_whole_and_without_padding() {
        let offending = hops(1).udp(socket(CLIENT), socket(SERVICE), b"hello");
        let padded = [&offending[..], &[0xee; 13]].concat();
        for frame in [&offending, &padded] {
            assert_eq!(answered(frame, Problem::TimeExceeded), Ok(error(3, 0, 0, &offending[14..])));
        }
    }

    #[test]
    fn the_other_familys_source_answers_nothing() {
        let mut frame = received(&hops(1).udp(socket(CLIENT), socket(SERVICE), b"hello"));
        let outcome = icmp_error::answer(&mut frame, Problem::TimeExceeded, super::super::DIRECTOR.into(), 0);
        assert_eq!(outcome, Err(Outcome::DropTtl));
        let mut frame = received(&Ip::default().frame(b"hello"));
        let outcome = icmp_error::answer(&mut frame, unreachable(Unreachable::Net), DIRECTOR.into(), 0);
        assert_eq!(outcome, Err(Outcome::DropNoRoute));
    }

    #[test]
    fn whoever_sends_no_more_than_every_link_takes_hears_of_no_mtu() {
        for (octets, may) in [(1280, false), (1281, true)] {
            let frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &vec![1; octets - 48]);
            assert_eq!(answered(&frame, TOO_BIG).is_ok(), may, "{octets}");
        }
    }

    #[test]
    fn no_error_answers_an_error_or_a_redirect() {
        for kind in 0..=255 {
            let frame = hops(1).icmp(kind, 0, 0, b"12345678");
            assert_eq!(answered(&frame, Problem::TimeExceeded).is_ok(), kind >= 128 && kind != 137, "{kind}");
        }
        let empty = Ip6 { protocol: 58, ..hops(1) }.frame(b"");
        assert_eq!(answered(&empty, Problem::TimeExceeded), Err(Outcome::DropTtl));
        // Behind extension headers, too.
        assert!(answered(&extended(1).icmp(128, 0, 0, b""), Problem::TimeExceeded).is_ok());
        assert!(answered(&extended(1).icmp(1, 0, 0, b""), Problem::TimeExceeded).is_err());
        // Of which message a later fragment is, it does not say.
        for (offset, may) in [(0, true), (8, false)] {
            let fragment = vec![(44, vec![0, 0, offset | 1, 0, 0, 0, 9])];
            let frame = Ip6 { extensions: fragment, ..hops(1) }.icmp(128, 0, 0, b"12345678");
            assert_eq!(answered(&frame, Problem::TimeExceeded).is_ok(), may, "{offset}");
        }
    }

    #[test]
    fn no_error_about_groups_and_nobodies() {
        let with = |at: usize, octets: &[u8]| {
            let mut frame = hops(1).udp(socket(CLIENT), socket(SERVICE), &[0; 1400]);
            frame[at..at + octets.len()].copy_from_slice(octets);
            frame
        };
        let host = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        for (what, frame, may) in [
            ("as it is", with(0, &[]), true),
            ("to an Ethernet group", with(0, &[0x33; 6]), false),
            ("to a multicast group", with(38, &host("ff05::2")), false),
            ("to loopback", with(38, &host("::1")), false),
            ("from nobody", with(22, &host("::")), false),
            ("from loopback", with(22, &host("::1")), false),
            ("from a group", with(22, &host("ff02::1")), false),
            ("from a mapped address", with(22, &host("::ffff:192.0.2.1")), false),
            ("a length beyond the frame", with(18, &[0xff, 0]), false),
            ("another version", with(14, &[0x40]), false),
            ("another EtherType", with(12, &[0x81, 0]), false),
        ] {
            assert_eq!(answered(&frame, Problem::TimeExceeded).is_ok(), may, "{what}");
            assert_eq!(answered(&frame, TOO_BIG).is_ok(), may, "{what}");
        }
    }

    #[test]
    fn without_headroom_there_is_no_answer() {
        let octets = hops(1).udp(socket(CLIENT), socket(SERVICE), b"");
        let mut frame = received(&octets);
        let filler = HEADROOM - 47;
        frame.prepend(filler).unwrap().copy_within(filler.., 0);
        frame.set_len(octets.len()).unwrap();
        let outcome = icmp_error::answer(&mut frame, Problem::TimeExceeded, DIRECTOR.into(), 0);
        assert_eq!((outcome, frame.bytes()), (Err(Outcome::DropNoHeadroom), &octets[..]));
    }
}
