use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

/// A question for 203.0.113.10 from 198.51.100.7.
const DATAGRAM: [u8; 11] = [
    0x9c, 0x40, 0x00, 0x35, // 40000, 53
    0x00, 0x0b, 0x38, 0xba, // length, checksum
    b'a', b'b', b'c', // data of odd length
];

fn pseudo(octets: u16) -> Sum {
    Sum::pseudo_v4(Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(203, 0, 113, 10), 17, octets)
}

#[test]
fn golden_octets_are_read_field_by_field() {
    let datagram = Packet::new_checked(&DATAGRAM).unwrap();
    assert_eq!((datagram.source_port(), datagram.destination_port()), (40_000, 53));
    assert_eq!(datagram.octets(), 11);
    assert_eq!(datagram.checksum(), 0x38ba);
    assert_eq!(datagram.payload(), b"abc");
    assert!(datagram.verify_checksum(pseudo(11)));
    assert!(!datagram.verify_checksum(pseudo(12)));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 11];
    let mut datagram = Packet::new_unchecked(&mut buffer);
    datagram.set_source_port(40_000);
    datagram.set_destination_port(53);
    datagram.set_octets(11);
    datagram.payload_mut().copy_from_slice(b"abc");
    datagram.fill_checksum(pseudo(11));
    assert_eq!(buffer, DATAGRAM);
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..8 {
        assert_eq!(Packet::new_checked(&DATAGRAM[..length]), Err(Error::Truncated));
    }
    for length in 8..11 {
        assert_eq!(Packet::new_checked(&DATAGRAM[..length]), Err(Error::Length));
    }
}

#[test]
fn inconsistent_lengths_are_refused() {
    for octets in (0..8).chain(12..=255) {
        let mut datagram = DATAGRAM;
        datagram[5] = octets;
        assert_eq!(Packet::new_checked(&datagram), Err(Error::Length), "length {octets}");
    }
    let mut shorter = DATAGRAM;
    shorter[5] = 8;
    assert!(Packet::new_checked(&shorter).unwrap().payload().is_empty());
}

#[test]
fn an_absent_checksum_is_right_over_ipv4() {
    let mut datagram = DATAGRAM;
    datagram[6..8].fill(0);
    assert!(Packet::new_checked(&datagram).unwrap().verify_checksum(pseudo(11)));
    datagram[7] = 1;
    assert!(!Packet::new_checked(&datagram).unwrap().verify_checksum(pseudo(11)));
}

#[test]
fn a_computed_zero_is_sent_as_ffff() {
    let mut buffer = [0; 10];
    let mut datagram = Packet::new_unchecked(&mut buffer);
    datagram.set_source_port(40_000);
    datagram.set_destination_port(53);
    datagram.set_octets(10);
    datagram.fill_checksum(pseudo(10));
    // The checksum itself as data makes the sum 0xffff, so that its complement is 0.
    let rest = datagram.checksum();
    datagram.payload_mut().copy_from_slice(&rest.to_be_bytes());
    datagram.fill_checksum(pseudo(10));
    assert_eq!(datagram.checksum(), 0xffff);
    assert!(datagram.verify_checksum(pseudo(10)));
}

#[test]
fn over_ipv6_only_the_pseudo_header_differs() {
    let pseudo = Sum::pseudo_v6(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, 17, 11);
    let mut buffer = DATAGRAM;
    let mut datagram = Packet::new_unchecked(&mut buffer);
    datagram.fill_checksum(pseudo);
    assert!(datagram.verify_checksum(pseudo) && !datagram.verify_checksum(super::tests::pseudo(11)));
}
