use super::*;

const ECHO: [u8; 11] = [
    0x08, 0x00, 0x21, 0x64, // echo request, checksum
    0x12, 0x34, 0x00, 0x05, // identifier, sequence
    b'a', b'b', b'c', // data of odd length
];

const TOO_BIG: [u8; 12] = [
    0x03, 0x04, 0xb2, 0x33, // destination unreachable, fragmentation needed, checksum
    0x00, 0x00, 0x05, 0xc8, // next-hop MTU 1480
    0x45, 0x00, 0x00, 0x00, // the offending packet's beginning
];

#[test]
fn golden_octets_are_read_field_by_field() {
    let message = Packet::new_checked(&ECHO).unwrap();
    assert_eq!((message.kind(), message.code(), message.checksum()), (Type::EchoRequest, 0, 0x2164));
    assert_eq!((message.identifier(), message.sequence(), message.rest()), (0x1234, 5, 0x1234_0005));
    assert_eq!(message.payload(), b"abc");
    assert!(message.verify_checksum());
    let echo = Echo { reply: false, identifier: 0x1234, sequence: 5, data: b"abc" };
    assert_eq!(Echo::parse(&message), Ok(echo));
    assert_eq!(echo.octets(), 11);
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 11];
    let echo = Echo { reply: false, identifier: 0x1234, sequence: 5, data: b"abc" };
    echo.emit(&mut Packet::new_unchecked(&mut buffer));
    assert_eq!(buffer, ECHO);

    let mut buffer = [0xa5; 12];
    let mut message = Packet::new_unchecked(&mut buffer);
    message.set_kind(Type::DestinationUnreachable);
    message.set_code(CODE_FRAGMENTATION_NEEDED);
    message.set_next_hop_mtu(1480);
    message.payload_mut().copy_from_slice(&TOO_BIG[8..]);
    message.fill_checksum();
    assert_eq!(buffer, TOO_BIG);
}

#[test]
fn an_error_is_read() {
    let message = Packet::new_checked(&TOO_BIG).unwrap();
    assert_eq!((message.kind(), message.code(), message.next_hop_mtu()), (Type::DestinationUnreachable, 4, 1480));
    assert!(message.kind().is_error() && message.verify_checksum());
    assert_eq!(Echo::parse(&message), Err(Error::Type));
}

#[test]
fn echoes_make_the_round_trip() {
    for reply in [false, true] {
        for data in [&b""[..], b"x", b"some more data"] {
            let echo = Echo { reply, identifier: 0xffff, sequence: 0, data };
            let mut buffer = vec![0xa5; echo.octets()];
            echo.emit(&mut Packet::new_unchecked(&mut buffer));
            let message = Packet::new_checked(&buffer).unwrap();
            assert!(message.verify_checksum());
            assert_eq!(Echo::parse(&message), Ok(echo));
        }
    }
}

#[test]
fn an_echo_with_a_code_is_none() {
    let mut message = ECHO;
    message[1] = 1;
    assert_eq!(Echo::parse(&Packet::new_unchecked(&message)), Err(Error::Type));
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..8 {
        assert_eq!(Packet::new_checked(&ECHO[..length]), Err(Error::Truncated));
    }
    for length in 8..11 {
        assert!(!Packet::new_checked(&ECHO[..length]).unwrap().verify_checksum());
    }
}

#[test]
fn types_survive_the_round_trip_and_errors_are_told() {
    for number in 0..=u8::MAX {
        let kind = Type::from(number);
        assert_eq!(u8::from(kind), number);
        assert_eq!(kind.is_error(), matches!(number, 3 | 4 | 5 | 11 | 12), "type {number}");
    }
}
