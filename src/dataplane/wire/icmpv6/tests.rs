use std::net::Ipv6Addr;

use super::*;

/// A solicitation from fe80::1 for 2001:db8::10, sent to ff02::1:ff00:10, with the source's link-layer address.
const SOLICITATION: [u8; 32] = [
    0x87, 0x00, 0x3f, 0x42, // neighbour solicitation, checksum
    0x00, 0x00, 0x00, 0x00, // reserved
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // target
    0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x02, // option
];

fn pseudo() -> Sum {
    Sum::pseudo_v6("fe80::1".parse().unwrap(), "ff02::1:ff00:10".parse().unwrap(), 58, 32)
}

fn target() -> Ipv6Addr {
    "2001:db8::10".parse().unwrap()
}

#[test]
fn golden_octets_are_read_field_by_field() {
    let message = Packet::new_checked(&SOLICITATION).unwrap();
    assert_eq!((message.kind(), message.code(), message.rest()), (Type::NeighborSolicitation, 0, 0));
    assert_eq!(message.checksum(), 0x3f42);
    assert_eq!(message.target(), Some(target()));
    assert_eq!(message.options(), &SOLICITATION[24..]);
    assert_eq!(message.payload(), &SOLICITATION[8..]);
    assert!(message.verify_checksum(pseudo()));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 32];
    let mut message = Packet::new_unchecked(&mut buffer);
    message.set_kind(Type::NeighborSolicitation);
    message.set_code(0);
    message.set_rest(0);
    message.set_target(target());
    message.payload_mut()[16..].copy_from_slice(&SOLICITATION[24..]);
    message.fill_checksum(pseudo());
    assert_eq!(buffer, SOLICITATION);
}

#[test]
fn an_echo_has_identifier_sequence_and_no_target() {
    let mut buffer = [0xa5; 12];
    let mut message = Packet::new_unchecked(&mut buffer);
    message.set_kind(Type::EchoRequest);
    message.set_identifier(0x1234);
    message.set_sequence(5);
    assert_eq!(buffer[4..8], [0x12, 0x34, 0x00, 0x05]);
    let message = Packet::new_checked(&buffer).unwrap();
    assert_eq!((message.identifier(), message.sequence(), message.target()), (0x1234, 5, None));
    assert!(message.options().is_empty());
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..24 {
        assert_eq!(Packet::new_checked(&SOLICITATION[..length]), Err(Error::Truncated));
    }
    for length in 24..32 {
        assert_eq!(Packet::new_checked(&SOLICITATION[..length]).unwrap().target(), Some(target()));
    }
    let mut echo = SOLICITATION;
    echo[0] = 128;
    for length in 0..8 {
        assert_eq!(Packet::new_checked(&echo[..length]), Err(Error::Truncated));
    }
    assert!(Packet::new_checked(&echo[..8]).is_ok());
}

#[test]
fn types_survive_the_round_trip_and_errors_are_told() {
    for number in 0..=u8::MAX {
        let kind = Type::from(number);
        assert_eq!(u8::from(kind), number);
        assert_eq!(kind.is_error(), number < 128, "type {number}");
    }
    let discovery: Vec<_> = (0..=u8::MAX).filter(|number| Type::from(*number).is_neighbor_discovery()).collect();
    assert_eq!(discovery, [133, 134, 135, 136, 137]);
    assert_eq!(Type::from(136), Type::NeighborAdvertisement);
    assert_eq!(Type::from(2), Type::PacketTooBig);
}
