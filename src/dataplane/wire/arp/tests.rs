use super::*;

const REQUEST: [u8; OCTETS] = [
    0x00, 0x01, 0x08, 0x00, // Ethernet, IPv4
    0x06, 0x04, 0x00, 0x01, // lengths, request
    0x02, 0x00, 0x00, 0x00, 0x0c, 0x02, // sender
    0x0a, 0x00, 0x00, 0x0b, // 10.0.0.11
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // target
    0x0a, 0x00, 0x00, 0x01, // 10.0.0.1
];

const REPR: Repr = Repr {
    operation: Operation::Request,
    source_hardware: [0x02, 0, 0, 0, 0x0c, 0x02],
    source_protocol: Ipv4Addr::new(10, 0, 0, 11),
    target_hardware: [0; 6],
    target_protocol: Ipv4Addr::new(10, 0, 0, 1),
};

#[test]
fn golden_octets_are_read_field_by_field() {
    let packet = Packet::new_checked(&REQUEST).unwrap();
    assert_eq!(packet.hardware_type(), HARDWARE_ETHERNET);
    assert_eq!(packet.protocol_type(), EtherType::Ipv4);
    assert_eq!((packet.hardware_octets(), packet.protocol_octets()), (6, 4));
    assert_eq!(packet.operation(), Operation::Request);
    assert_eq!(packet.source_hardware(), [0x02, 0, 0, 0, 0x0c, 0x02]);
    assert_eq!(packet.source_protocol(), [10, 0, 0, 11]);
    assert_eq!(packet.target_hardware(), [0; 6]);
    assert_eq!(packet.target_protocol(), [10, 0, 0, 1]);
    assert_eq!(Repr::parse(&packet), Ok(REPR));
}

#[test]
fn a_message_is_built_over_anything() {
    let mut buffer = [0xa5; OCTETS];
    REPR.emit(&mut Packet::new_unchecked(&mut buffer));
    assert_eq!(buffer, REQUEST);
}

#[test]
fn a_reply_makes_the_round_trip() {
    let reply = Repr { operation: Operation::Reply, target_hardware: [0x02, 1, 2, 3, 4, 5], ..REPR };
    let mut buffer = [0xa5; OCTETS];
    reply.emit(&mut Packet::new_unchecked(&mut buffer));
    assert_eq!(Repr::parse(&Packet::new_checked(&buffer).unwrap()), Ok(reply));
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..OCTETS {
        assert_eq!(Packet::new_checked(&REQUEST[..length]), Err(Error::Truncated));
    }
}

#[test]
fn padding_is_no_part_of_the_message() {
    let padded = [&REQUEST[..], &[0xee; 18]].concat();
    assert_eq!(Repr::parse(&Packet::new_checked(&padded).unwrap()), Ok(REPR));
}

#[test]
fn lengths_beyond_the_buffer_are_refused() {
    for (at, octets) in [(4, 7), (4, 255), (5, 5), (5, 255)] {
        let mut message = REQUEST;
        message[at] = octets;
        assert_eq!(Packet::new_checked(&message), Err(Error::Truncated), "octet {at} is {octets}");
    }
}

#[test]
fn other_address_lengths_move_the_addresses() {
    let mut message = REQUEST;
    message[4..6].copy_from_slice(&[2, 8]);
    let packet = Packet::new_checked(&message).unwrap();
    assert_eq!(packet.source_hardware(), &REQUEST[8..10]);
    assert_eq!(packet.source_protocol(), &REQUEST[10..18]);
    assert_eq!(packet.target_hardware(), &REQUEST[18..20]);
    assert_eq!(packet.target_protocol(), &REQUEST[20..28]);
    assert_eq!(Repr::parse(&packet), Err(Error::Length));
}

#[test]
fn only_ipv4_over_ethernet_has_a_meaning() {
    let with = |at: usize, octet: u8| {
        let mut message = REQUEST;
        message[at] = octet;
        Repr::parse(&Packet::new_checked(&message).unwrap())
    };
    assert_eq!(with(1, 6), Err(Error::Type), "IEEE 802 hardware");
    assert_eq!(with(2, 0x86), Err(Error::Type));
    assert_eq!(with(4, 5), Err(Error::Length));
    assert_eq!(with(5, 3), Err(Error::Length));
}

#[test]
fn operations_survive_the_round_trip() {
    for number in 0..=u16::MAX {
        assert_eq!(u16::from(Operation::from(number)), number);
    }
    assert_eq!((Operation::from(1), Operation::from(2)), (Operation::Request, Operation::Reply));
}
