use super::*;
use crate::dataplane::stats::Outcome;

/// The Ethernet header of an answer.
fn turned_around(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&PEER_MAC);
    frame[6..12].copy_from_slice(&PORT_MAC);
    frame
}

fn echo_frame(options: Vec<u8>, rest: u32, data: &[u8]) -> Vec<u8> {
    Ip { options, ttl: 3, ..Ip::default() }.icmp(8, 0, rest, data)
}

fn echoed(octets: &[u8], l4: usize) -> Result<Vec<u8>, Error> {
    let mut frame = received(octets);
    echo::reply(&mut frame, 14, l4, Family::V4).map(|()| frame.bytes().to_vec())
}

#[test]
fn an_echo_request_becomes_its_reply() {
    for length in [0, 1, 56, 57, 1472] {
        let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let frame = echoed(&echo_frame(vec![], 0x1234_0001, &data), 34).unwrap();
        let reply = Ip { source: [203, 0, 113, 10], destination: [198, 51, 100, 7], ..Ip::default() };
        assert_eq!(frame, turned_around(reply.icmp(0, 0, 0x1234_0001, &data)));
        assert_sound(&frame);
    }
}

#[test]
fn a_reply_of_nothing_but_zeros_has_the_right_zero() {
    for length in [0, 1, 8] {
        let frame = echoed(&echo_frame(vec![], 0, &vec![0; length]), 34).unwrap();
        assert_eq!(be16(&frame, 36), 0xffff);
        assert_sound(&frame);
    }
}

#[test]
fn a_reply_carries_no_options_and_keeps_their_place() {
    let options = vec![0x07, 0x07, 0x04, 0, 0, 0, 0, 0];
    let frame = echoed(&echo_frame(options, 7, b"data"), 42).unwrap();
    assert_eq!(frame[34..42], [0; 8]);
    assert_sound(&frame);
}

#[test]
fn what_holds_no_echo_is_refused_and_unchanged() {
    let whole = echo_frame(vec![], 7, b"");
    let refused = |octets: &[u8], l3, l4| {
        let mut frame = received(octets);
        assert_eq!(echo::reply(&mut frame, l3, l4, Family::V4), Err(Error::Truncated));
        assert_eq!(frame.bytes(), octets);
    };
    for length in 0..whole.len() {
        refused(&whole[..length], 14, 34);
    }
    for (l3, l4) in [(14, 33), (13, 34), (34, 14), (usize::MAX, 34), (14, usize::MAX)] {
        refused(&whole, l3, l4);
    }
    let mut longer = whole;
    longer[14] = 0x46;
    refused(&longer, 14, 34);
}

const NO_ROUTE: Problem = Problem::Unreachable { what: icmp_error::Unreachable::Net, dropped: Outcome::DropNoRoute };
const TOO_BIG: Problem = Problem::TooBig { mtu: 1480 };

fn answered(octets: &[u8], problem: Problem) -> Result<Vec<u8>, Outcome> {
    let mut frame = received(octets);
    let outcome = icmp_error::answer(&mut frame, problem, DIRECTOR.into(), 0x0102)?;
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
fn where_no_route_leads_the_net_is_unreachable() {
    let offending = hops(64).udp(socket(CLIENT), socket(SERVICE), b"hello");
    assert_eq!(answered(&offending, NO_ROUTE), Ok(error(3, 0, 0, &offending[14..])));
    let later = Ip { flags_offset: 0x0001, ..hops(64) }.frame(b"hello");
    assert_eq!(answered(&later, NO_ROUTE), Err(Outcome::DropNoRoute));
}

#[test]
fn the_answer_reads_back_through_the_parser() {
    let offending = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, &[0x42; 1460]);
    let after = answered(&offending, TOO_BIG).unwrap();
    let parsed = parse_octets(&after, RxChecksum::Unknown, PEER_MAC).unwrap();
    assert_eq!((parsed.kind, parsed.message_type, parsed.icmp_code), (Kind::Icmp, 3, 4));
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
    let outcome = icmp_error::answer(&mut frame, Problem::TimeExceeded, DIRECTOR.into(), 0);
    assert_eq!((outcome, frame.bytes()), (Err(Outcome::DropNoHeadroom), &octets[..]));
}

proptest! {
    #[test]
    fn noise_never_panics(
        octets in prop::collection::vec(any::<u8>(), 0..120),
        (l3, l4) in (0usize..130, 0usize..130),
        protocol in prop::sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp][..]),
    ) {
        for to in [end(REAL), six::end(six::REAL)] {
            let _ = nat::inbound(&mut octets.clone(), l3, l4, protocol, to);
            let _ = nat::outbound(&mut octets.clone(), l3, l4, protocol, to);
        }
        for family in [Family::V4, Family::V6] {
            let _ = direct::hop(&mut octets.clone(), l3, family);
            let _ = echo::reply(&mut received(&octets), l3, l4, family);
            for outer in [tunnel::OUTER, six::OUTER] {
                let _ = ipip::encapsulate(&mut received(&octets), family, outer);
            }
        }
        let typed = |ethertype: [u8; 2]| {
            let mut octets = octets.clone();
            if let Some(field) = octets.get_mut(12..14) {
                field.copy_from_slice(&ethertype);
            }
            received(&octets)
        };
        let _ = icmp_error::answer(&mut typed([0x08, 0]), TOO_BIG, DIRECTOR.into(), 0);
        let _ = icmp_error::answer(&mut typed([0x86, 0xdd]), TOO_BIG, six::DIRECTOR.into(), 0);
    }

    #[test]
    fn any_echo_reply_verifies(rest: u32, data in prop::collection::vec(0u8..3, 0..6)) {
        let frame = echoed(&echo_frame(vec![], rest, &data), 34).unwrap();
        assert_sound(&frame);
    }
}
