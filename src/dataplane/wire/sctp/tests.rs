use proptest::prelude::*;

use super::*;

/// A COOKIE ACK, and data of five octets behind it, from port 40000 to 3868. The checksum is another library's.
const PACKET: [u8; 40] = [
    0x9c, 0x40, 0x0f, 0x1c, // 40000, 3868
    0x12, 0x34, 0x56, 0x78, // verification tag
    0x17, 0x79, 0x99, 0xa3, // checksum
    0x0b, 0x00, 0x00, 0x04, // COOKIE ACK, length
    0x00, 0x03, 0x00, 0x15, // DATA, first and last of its message, length
    0x00, 0x00, 0x00, 0x01, // TSN
    0x00, 0x02, 0x00, 0x03, // stream, number in it
    0x00, 0x00, 0x00, 0x2e, // payload protocol: Diameter
    b'h', b'e', b'l', b'l', // data
    b'o', 0, 0, 0, // its end, and padding
];

/// CRC32c bit by bit, from its polynomial (RFC 9260 Appendix A).
fn bitwise(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn walked(octets: &[u8]) -> Vec<Result<(ChunkType, Vec<u8>), Error>> {
    let packet = Packet::new_checked(octets).unwrap();
    packet.chunks().map(|chunk| chunk.map(|chunk| (chunk.kind(), chunk.value().to_vec()))).collect()
}

#[test]
fn golden_octets_are_read_field_by_field() {
    let packet = Packet::new_checked(&PACKET).unwrap();
    assert_eq!((packet.source_port(), packet.destination_port()), (40_000, 3868));
    assert_eq!(packet.verification_tag(), 0x1234_5678);
    assert_eq!(packet.checksum(), 0xa399_7917);
    assert!(packet.verify_checksum());
    let chunks: Vec<_> = packet.chunks().map(Result::unwrap).collect();
    assert_eq!(chunks.len(), 2);
    assert_eq!((chunks[0].kind(), chunks[0].flags(), chunks[0].octets()), (ChunkType::CookieAck, 0, 4));
    assert_eq!((chunks[1].kind(), chunks[1].flags(), chunks[1].octets()), (ChunkType::Data, 3, 21));
    assert_eq!((chunks[0].value(), &chunks[1].value()[12..]), (&b""[..], &b"hello"[..]));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = PACKET;
    buffer[..12].fill(0xa5);
    let mut packet = Packet::new_unchecked(&mut buffer);
    packet.set_source_port(40_000);
    packet.set_destination_port(3868);
    packet.set_verification_tag(0x1234_5678);
    packet.fill_checksum();
    assert_eq!(buffer, PACKET);
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..12 {
        assert_eq!(Packet::new_checked(&PACKET[..length]), Err(Error::Truncated));
    }
    for (length, whole, end) in (12..=40).map(|length| match length {
        12 => (length, 0, None),
        13..16 => (length, 0, Some(Error::Truncated)),
        16 => (length, 1, None),
        17..20 => (length, 1, Some(Error::Truncated)),
        20..37 => (length, 1, Some(Error::Length)),
        // The padding may be missing.
        _ => (length, 2, None),
    }) {
        let chunks = walked(&PACKET[..length]);
        assert_eq!(chunks.iter().filter(|chunk| chunk.is_ok()).count(), whole, "{length} octets");
        assert_eq!(chunks.get(whole).map(|chunk| chunk.clone().unwrap_err()), end, "{length} octets");
    }
}

#[test]
fn inconsistent_lengths_are_refused() {
    for octets in (0..4).chain(29..=255) {
        let mut packet = PACKET;
        packet[15] = octets;
        assert_eq!(walked(&packet), [Err(Error::Length)], "first chunk of {octets}");
    }
    for octets in (0..4).chain(25..=255) {
        let mut packet = PACKET;
        packet[19] = octets;
        assert_eq!(walked(&packet)[1..], [Err(Error::Length)], "second chunk of {octets}");
    }
    let mut packet = PACKET;
    packet[14] = 0xff;
    assert_eq!(walked(&packet), [Err(Error::Length)]);
}

#[test]
fn a_changed_octet_is_noticed() {
    for at in 0..PACKET.len() {
        let mut packet = PACKET;
        packet[at] ^= 0x40;
        assert!(!Packet::new_checked(&packet).unwrap().verify_checksum(), "octet {at}");
    }
}

#[test]
fn the_checksum_is_the_one_of_rfc_9260() {
    // RFC 3720 §B.4's examples, with the packet's own four octets of 0 where the sum stands.
    let sum = |octets: &[u8]| Packet::new_unchecked(octets).expected_checksum();
    assert_eq!(sum(&[0; 32]), 0x8a91_36aa);
    assert_eq!(bitwise(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(bitwise(b"123456789"), 0xe306_9283);
}

#[test]
fn every_number_is_the_type_that_it_names() {
    for number in 0..=255u8 {
        assert_eq!(u8::from(ChunkType::from(number)), number);
        assert_eq!(matches!(ChunkType::from(number), ChunkType::Unknown(_)), number > 14);
    }
    let named = [(1, ChunkType::Init), (6, ChunkType::Abort), (10, ChunkType::CookieEcho), (11, ChunkType::CookieAck)];
    for (number, kind) in named {
        assert_eq!(ChunkType::from(number), kind);
    }
}

proptest! {
    #[test]
    fn any_checksum_is_the_bitwise_one(octets in prop::collection::vec(any::<u8>(), 12..3000)) {
        let mut blank = octets.clone();
        blank[8..12].fill(0);
        prop_assert_eq!(Packet::new_unchecked(&octets).expected_checksum(), bitwise(&blank));
    }

    #[test]
    fn chunks_come_out_as_they_went_in(
        chunks in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut octets = vec![0; 12];
        for (kind, flags, value) in &chunks {
            octets.extend([*kind, *flags]);
            octets.extend((4 + value.len() as u16).to_be_bytes());
            octets.extend(value);
            octets.resize(octets.len().next_multiple_of(4), 0);
        }
        let packet = Packet::new_checked(&octets).unwrap();
        let read: Vec<_> = packet.chunks().map(|chunk| {
            let chunk = chunk.unwrap();
            (u8::from(chunk.kind()), chunk.flags(), chunk.value().to_vec())
        }).collect();
        prop_assert_eq!(read, chunks);
    }

    #[test]
    fn a_walk_over_anything_ends_and_stays_inside(octets in prop::collection::vec(any::<u8>(), 12..200)) {
        let packet = Packet::new_checked(&octets).unwrap();
        let (whole, broken): (Vec<_>, Vec<_>) = packet.chunks().partition(Result::is_ok);
        prop_assert!(broken.len() <= 1);
        let held: usize = whole.iter().map(|chunk| usize::from(chunk.unwrap().octets())).sum();
        prop_assert!(held <= octets.len() - 12);
    }
}
