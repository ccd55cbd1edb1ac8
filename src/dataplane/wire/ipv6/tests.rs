use proptest::prelude::*;

use super::*;

const PACKET: [u8; 44] = [
    0x6b, 0x91, 0x23, 0x45, // version, traffic class 0xb9, flow label
    0x00, 0x04, 0x11, 0x40, // payload length, UDP, hop limit
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, // 2001:db8::7
    0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // 2001:db8:1::10
    0xde, 0xad, 0xbe, 0xef, // payload
];

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A packet whose payload is `payload`, announced as `next_header`.
fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = [&PACKET[..40], payload].concat();
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6] = next_header;
    packet
}

fn upper(octets: &[u8]) -> Result<Upper, Error> {
    Packet::new_checked(octets).unwrap().upper()
}

#[test]
fn golden_octets_are_read_field_by_field() {
    let packet = Packet::new_checked(&PACKET).unwrap();
    assert_eq!((packet.version(), packet.traffic_class(), packet.flow_label()), (6, 0xb9, 0x1_2345));
    assert_eq!((packet.payload_octets(), packet.total_octets()), (4, 44));
    assert_eq!((packet.next_header(), packet.hop_limit()), (Protocol::Udp, 64));
    assert_eq!(packet.source(), address("2001:db8::7"));
    assert_eq!(packet.destination(), address("2001:db8:1::10"));
    assert_eq!(packet.payload(), [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(packet.upper(), Ok(Upper { protocol: Protocol::Udp, offset: 40, fragment: None }));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 44];
    let mut packet = Packet::new_unchecked(&mut buffer);
    packet.set_version_class_label(0xb9, 0x1_2345);
    packet.set_payload_octets(4);
    packet.set_next_header(Protocol::Udp);
    packet.set_hop_limit(64);
    packet.set_source(address("2001:db8::7"));
    packet.set_destination(address("2001:db8:1::10"));
    packet.payload_mut().copy_from_slice(&PACKET[40..]);
    assert_eq!(buffer, PACKET);
}

#[test]
fn a_repr_is_built_over_anything() {
    let mut buffer = [0xa5; 44];
    let repr = Repr {
        traffic_class: 0xb9,
        flow_label: 0xfff1_2345,
        hop_limit: 64,
        next_header: Protocol::Udp,
        source: address("2001:db8::7"),
        destination: address("2001:db8:1::10"),
        payload_octets: 4,
    };
    repr.emit(&mut Packet::new_unchecked(&mut buffer[..40]));
    assert_eq!(buffer[..40], PACKET[..40]);
    assert_eq!(buffer[40..], [0xa5; 4]);
}

#[test]
fn not_every_address_is_a_hosts() {
    for text in ["2001:db8::1", "fe80::1", "fd00::1", "64:ff9b::192.0.2.1"] {
        assert!(is_host(address(text)), "{text}");
    }
    for text in ["::", "::1", "ff02::1", "ffff::", "::2", "::192.0.2.1", "::ffff:192.0.2.1", "::1:0:0", "0:0:ffff::1"] {
        assert!(!is_host(address(text)), "{text}");
    }
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..40 {
        assert_eq!(Packet::new_checked(&PACKET[..length]), Err(Error::Truncated));
    }
    for length in 40..44 {
        assert_eq!(Packet::new_checked(&PACKET[..length]), Err(Error::Length));
    }
}

#[test]
fn inconsistent_lengths_and_versions_are_refused() {
    let mut wrong = PACKET;
    wrong[5] = 5;
    assert_eq!(Packet::new_checked(&wrong), Err(Error::Length));
    wrong = PACKET;
    wrong[0] = 0x4b;
    assert_eq!(Packet::new_checked(&wrong), Err(Error::Version));
    let padded = [&PACKET[..], &[0xee; 10]].concat();
    assert_eq!(Packet::new_checked(&padded).unwrap().payload(), [0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn extension_headers_are_walked_in_their_own_units() {
    let hop_by_hop = [&[60, 0][..], &[1, 4, 0, 0, 0, 0]].concat();
    let destination = [&[43, 1][..], &[1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let routing = [51, 0, 0, 0, 0, 0, 0, 0];
    let authentication = [&[6, 4][..], &[0; 22]].concat();
    let headers = [&hop_by_hop[..], &destination, &routing, &authentication].concat();
    let octets = packet(0, &[&headers[..], &[0; 20]].concat());
    assert_eq!(upper(&octets), Ok(Upper { protocol: Protocol::Tcp, offset: 40 + 8 + 16 + 8 + 24, fragment: None }));
}

#[test]
fn a_first_fragment_shows_its_upper_layer() {
    let octets = packet(44, &[17, 0, 0x00, 0x01, 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0]);
    let fragment = Fragment { offset: 0, more: true, identification: 0xcafe_babe };
    assert_eq!(upper(&octets), Ok(Upper { protocol: Protocol::Udp, offset: 48, fragment: Some(fragment) }));
}

#[test]
fn a_later_fragment_ends_the_walk() {
    // What would be a routing header is the middle of something.
    let octets = packet(44, &[43, 0, 0x05, 0xa8, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    let fragment = Fragment { offset: 1448, more: false, identification: 1 };
    assert_eq!(upper(&octets), Ok(Upper { protocol: Protocol::Routing, offset: 48, fragment: Some(fragment) }));
}

#[test]
fn esp_and_nothing_end_the_walk() {
    for next_header in [50, 59, 99] {
        let expected = Upper { protocol: next_header.into(), offset: 40, fragment: None };
        assert_eq!(upper(&packet(next_header, &[0xff; 16])), Ok(expected));
    }
}

#[test]
fn headers_beyond_the_packet_are_refused() {
    for next_header in [0, 43, 44, 51, 60] {
        for length in 0..8 {
            assert_eq!(upper(&packet(next_header, &[0; 8][..length])), Err(Error::Length), "{next_header}: {length}");
        }
    }
    assert_eq!(upper(&packet(60, &[17, 1, 0, 0, 0, 0, 0, 0])), Err(Error::Length));
    assert_eq!(upper(&packet(51, &[17, 1, 0, 0, 0, 0, 0, 0])), Err(Error::Length));
    assert_eq!(upper(&packet(60, &[17, 255, 0, 0, 0, 0, 0, 0])), Err(Error::Length));
    // Padding behind the payload length is not the packet's.
    let padded = [packet(60, &[17, 1, 0, 0, 0, 0, 0, 0]), vec![0; 8]].concat();
    assert_eq!(upper(&padded), Err(Error::Length));
}

#[test]
fn the_walk_is_bounded() {
    let header = [60, 0, 0, 0, 0, 0, 0, 0];
    let last = [17, 0, 0, 0, 0, 0, 0, 0];
    let chain = |headers: usize| packet(60, &[header.repeat(headers - 1), last.to_vec()].concat());
    let offset = 40 + 8 * MAX_EXTENSION_HEADERS;
    let expected = Upper { protocol: Protocol::Udp, offset, fragment: None };
    assert_eq!(upper(&chain(MAX_EXTENSION_HEADERS)), Ok(expected));
    assert_eq!(upper(&chain(MAX_EXTENSION_HEADERS + 1)), Err(Error::Type));
    assert_eq!(upper(&chain(1000)), Err(Error::Type));
}

#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    let octets = packet(60, &[0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(upper(&octets), Err(Error::Type));
}

proptest! {
    #[test]
    fn no_walk_panics_or_leaves_the_packet(
        next_header in prop_oneof![Just(0u8), Just(43), Just(44), Just(51), Just(60), any::<u8>()],
        pairs in prop::collection::vec(
            (prop_oneof![Just(43u8), Just(44), Just(51), Just(60), any::<u8>()], 0u8..4, any::<[u8; 6]>()), 0..20),
        padding in 0usize..20,
    ) {
        let payload: Vec<u8> = pairs.iter().flat_map(|(next, length, rest)| [&[*next, *length][..], rest].concat()).collect();
        let mut octets = packet(next_header, &payload);
        let total = octets.len();
        octets.resize(total + padding, 0xee);
        if let Ok(upper) = upper(&octets) {
            prop_assert!((40..=total).contains(&upper.offset));
        }
    }
}
