use super::*;

const FRAME: [u8; 18] = [
    0x02, 0x00, 0x00, 0x00, 0x00, 0x01, // destination
    0x02, 0x00, 0x00, 0x00, 0x0c, 0x02, // source
    0x08, 0x00, // IPv4
    0x45, 0x00, 0x00, 0x14, // payload
];

#[test]
fn golden_octets_are_read_field_by_field() {
    let frame = Frame::new_checked(&FRAME).unwrap();
    assert_eq!(frame.destination(), [0x02, 0, 0, 0, 0, 0x01]);
    assert_eq!(frame.source(), [0x02, 0, 0, 0, 0x0c, 0x02]);
    assert_eq!(frame.ethertype(), EtherType::Ipv4);
    assert_eq!(frame.payload(), [0x45, 0x00, 0x00, 0x14]);
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 18];
    let mut frame = Frame::new_unchecked(&mut buffer);
    frame.set_destination([0x02, 0, 0, 0, 0, 0x01]);
    frame.set_source([0x02, 0, 0, 0, 0x0c, 0x02]);
    frame.set_ethertype(EtherType::Ipv4);
    frame.payload_mut().copy_from_slice(&FRAME[14..]);
    assert_eq!(buffer, FRAME);
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..HEADER_OCTETS {
        assert_eq!(Frame::new_checked(&FRAME[..length]), Err(Error::Truncated));
    }
    assert!(Frame::new_checked(&FRAME[..14]).unwrap().payload().is_empty());
}

#[test]
fn types_survive_the_round_trip() {
    for number in 0..=u16::MAX {
        assert_eq!(u16::from(EtherType::from(number)), number);
    }
    assert_eq!(EtherType::from(0x86dd), EtherType::Ipv6);
    assert_eq!(EtherType::from(0x0806), EtherType::Arp);
    assert_eq!(EtherType::from(0x8100), EtherType::Vlan);
    assert_eq!(EtherType::from(0x88a8), EtherType::ServiceVlan);
    assert_eq!(EtherType::from(0x88cc), EtherType::Unknown(0x88cc));
}

#[test]
fn groups_are_told_by_the_first_bit_sent() {
    assert!(is_group(&BROADCAST));
    assert!(is_group(&[0x01, 0, 0x5e, 0, 0, 1]));
    assert!(is_group(&[0x33, 0x33, 0, 0, 0, 1]));
    assert!(!is_group(&[0x02, 0, 0, 0, 0, 1]));
    assert!(!is_group(&[0; 6]));
}
