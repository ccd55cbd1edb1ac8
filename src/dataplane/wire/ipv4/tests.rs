use proptest::prelude::*;

use super::*;

/// From 198.51.100.7 to 203.0.113.10, with 4 octets of data.
const PACKET: [u8; 24] = [
    0x45, 0xb9, 0x00, 0x18, // version, IHL, EF with ECT(1), total length
    0x1c, 0x46, 0x40, 0x00, // identification, DF
    0x40, 0x06, 0xb7, 0x9b, // TTL, TCP, checksum
    0xc6, 0x33, 0x64, 0x07, // 198.51.100.7
    0xcb, 0x00, 0x71, 0x0a, // 203.0.113.10
    0xde, 0xad, 0xbe, 0xef, // data
];

const REPR: Repr = Repr {
    tos: 0xb9,
    identification: 0x1c46,
    dont_fragment: true,
    ttl: 64,
    protocol: Protocol::Tcp,
    source: Ipv4Addr::new(198, 51, 100, 7),
    destination: Ipv4Addr::new(203, 0, 113, 10),
    payload_octets: 4,
};

#[test]
fn golden_octets_are_read_field_by_field() {
    let packet = Packet::new_checked(&PACKET).unwrap();
    assert_eq!((packet.version(), packet.header_octets(), packet.total_octets()), (4, 20, 24));
    assert_eq!(packet.tos(), 0xb9);
    assert_eq!(packet.identification(), 0x1c46);
    assert!(packet.dont_fragment() && !packet.more_fragments() && !packet.is_fragment());
    assert_eq!(packet.fragment_offset(), 0);
    assert_eq!((packet.ttl(), packet.protocol(), packet.protocol_number()), (64, Protocol::Tcp, 6));
    assert_eq!(packet.checksum(), 0xb79b);
    assert!(packet.verify_checksum());
    assert_eq!(packet.source(), Ipv4Addr::new(198, 51, 100, 7));
    assert_eq!(packet.destination(), Ipv4Addr::new(203, 0, 113, 10));
    assert!(packet.options().is_empty());
    assert_eq!(packet.payload(), [0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(Repr::parse(&packet), Ok(REPR));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 24];
    let mut packet = Packet::new_unchecked(&mut buffer);
    packet.set_version_and_header_octets(20);
    packet.set_tos(0xb9);
    packet.set_total_octets(24);
    packet.set_identification(0x1c46);
    packet.set_unfragmented(true);
    packet.set_ttl(64);
    packet.set_protocol(Protocol::Tcp);
    packet.set_source(Ipv4Addr::new(198, 51, 100, 7));
    packet.set_destination(Ipv4Addr::new(203, 0, 113, 10));
    packet.fill_checksum();
    packet.payload_mut().copy_from_slice(&PACKET[20..]);
    assert_eq!(buffer, PACKET);

    let mut buffer = [0xa5; 24];
    REPR.emit(&mut Packet::new_unchecked(&mut buffer));
    assert_eq!((&buffer[..20], &buffer[20..]), (&PACKET[..20], &[0xa5; 4][..]));
}

#[test]
fn options_lie_between_header_and_data() {
    let mut buffer = [0xa5; 32];
    buffer[..24].copy_from_slice(&PACKET);
    let mut packet = Packet::new_unchecked(&mut buffer);
    packet.set_version_and_header_octets(28);
    packet.set_total_octets(30);
    packet.options_mut().copy_from_slice(&[0x94, 0x04, 0x00, 0x00, 1, 1, 1, 0]);
    packet.payload_mut().copy_from_slice(b"hi");
    packet.fill_checksum();
    let packet = Packet::new_checked(&buffer).unwrap();
    assert_eq!(packet.options(), [0x94, 0x04, 0x00, 0x00, 1, 1, 1, 0]);
    assert_eq!(packet.payload(), b"hi");
    assert!(packet.verify_checksum());
    assert_eq!(Repr::parse(&packet), Err(Error::Type));
}

#[test]
fn fragments_are_told_and_made() {
    let mut buffer = PACKET;
    let mut packet = Packet::new_unchecked(&mut buffer);
    for (more, offset) in [(true, 0), (true, 1480), (false, 1480), (false, 65_528)] {
        packet.set_fragment(more, offset);
        assert_eq!((packet.more_fragments(), packet.fragment_offset()), (more, offset));
        assert!(packet.is_fragment() && !packet.dont_fragment());
        assert_eq!(Repr::parse(&packet), Err(Error::Type));
    }
    for dont_fragment in [true, false] {
        packet.set_unfragmented(dont_fragment);
        assert!(!packet.is_fragment());
        assert_eq!((packet.dont_fragment(), packet.fragment_offset()), (dont_fragment, 0));
    }
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..20 {
        assert_eq!(Packet::new_checked(&PACKET[..length]), Err(Error::Truncated));
        assert_eq!(Packet::new_unchecked(&PACKET[..length]).check_header(), Err(Error::Truncated));
    }
    for length in 20..24 {
        assert_eq!(Packet::new_checked(&PACKET[..length]), Err(Error::Length));
        assert_eq!(Packet::new_unchecked(&PACKET[..length]).check_header(), Ok(()));
    }
}

#[test]
fn inconsistent_lengths_are_refused() {
    let with = |at: usize, octet: u8| {
        let mut buffer = PACKET;
        buffer[at] = octet;
        Packet::new_checked(buffer).map(|_| ())
    };
    assert_eq!(with(0, 0x55), Err(Error::Version));
    assert_eq!(with(0, 0x65), Err(Error::Version));
    for ihl in (0..5).chain(7..16) {
        assert_eq!(with(0, 0x40 | ihl), Err(Error::Length), "IHL {ihl}");
    }
    assert_eq!(with(0, 0x46), Ok(()));
    for total in (0..20).chain(25..=255) {
        assert_eq!(with(3, total), Err(Error::Length), "total length {total}");
    }
    for total in 20..=24 {
        assert_eq!(with(3, total), Ok(()), "total length {total}");
    }
    let mut buffer = PACKET;
    buffer[0] = 0x47;
    assert_eq!(Packet::new_unchecked(&buffer).check_header(), Err(Error::Length));
}

#[test]
fn what_follows_the_total_length_is_not_data() {
    let padded = [&PACKET[..], &[0xee; 22]].concat();
    assert_eq!(Packet::new_checked(&padded).unwrap().payload(), [0xde, 0xad, 0xbe, 0xef]);
}

#[test]
fn hosts_are_told_from_what_is_none() {
    let host = |text: &str| is_host(text.parse::<Ipv4Addr>().unwrap().to_bits());
    for address in ["1.0.0.0", "10.255.255.255", "126.255.255.255", "128.0.0.0", "169.254.0.1", "223.255.255.255"] {
        assert!(host(address), "{address}");
    }
    for address in ["0.0.0.0", "0.255.255.255", "127.0.0.0", "127.255.255.255", "224.0.0.0", "255.255.255.255"] {
        assert!(!host(address), "{address}");
    }
}

proptest! {
    #[test]
    fn a_header_makes_the_round_trip(
        (tos, identification, dont_fragment) in any::<(u8, u16, bool)>(),
        (ttl, protocol, source, destination) in any::<(u8, u8, [u8; 4], [u8; 4])>(),
        payload_octets in 0u16..=65_515,
    ) {
        let repr = Repr {
            tos, identification, dont_fragment, ttl, protocol: protocol.into(),
            source: source.into(), destination: destination.into(), payload_octets,
        };
        let mut buffer = vec![0xa5; HEADER_OCTETS + usize::from(payload_octets)];
        repr.emit(&mut Packet::new_unchecked(&mut buffer));
        let packet = Packet::new_checked(&buffer).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(Repr::parse(&packet), Ok(repr));
    }

    #[test]
    fn what_is_checked_never_panics(mut octets in prop::collection::vec(any::<u8>(), 0..80), first in 0x40u8..0x50) {
        if let Some(octet) = octets.first_mut() {
            *octet = first;
        }
        if let Some(octet) = octets.get_mut(2) {
            *octet = 0;
        }
        if let Ok(packet) = Packet::new_checked(&octets) {
            let inside = packet.header_octets() + packet.payload().len();
            prop_assert_eq!(inside, usize::from(packet.total_octets()));
            prop_assert_eq!(packet.options().len() + HEADER_OCTETS, packet.header_octets());
            let _ = (packet.verify_checksum(), Repr::parse(&packet));
        }
    }
}
