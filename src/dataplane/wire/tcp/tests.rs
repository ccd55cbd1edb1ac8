use std::net::Ipv4Addr;

use super::*;

/// A SYN from 198.51.100.7 to 203.0.113.10 with the option MSS 1460, and a little data.
const SEGMENT: [u8; 27] = [
    0x9c, 0x40, 0x00, 0x50, // 40000, 80
    0x12, 0x34, 0x56, 0x78, // sequence
    0x9a, 0xbc, 0xde, 0xf0, // acknowledgment
    0x60, 0xc2, 0xfa, 0xf0, // offset, CWR ECE SYN, window
    0xf2, 0xd8, 0x00, 0x07, // checksum, urgent
    0x02, 0x04, 0x05, 0xb4, // MSS
    b'a', b'b', b'c', // data of odd length
];

fn pseudo(octets: u16) -> Sum {
    Sum::pseudo_v4(Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(203, 0, 113, 10), 6, octets)
}

#[test]
fn golden_octets_are_read_field_by_field() {
    let segment = Packet::new_checked(&SEGMENT).unwrap();
    assert_eq!((segment.source_port(), segment.destination_port()), (40_000, 80));
    assert_eq!(segment.sequence(), SeqNumber(0x1234_5678));
    assert_eq!(segment.acknowledgment(), SeqNumber(0x9abc_def0));
    assert_eq!(segment.header_octets(), 24);
    assert_eq!(segment.flags(), Flags::SYN | Flags::ECE | Flags::CWR);
    assert_eq!(segment.window(), 0xfaf0);
    assert_eq!(segment.checksum(), 0xf2d8);
    assert_eq!(segment.urgent(), 7);
    assert_eq!(segment.options(), [2, 4, 0x05, 0xb4]);
    assert_eq!(segment.payload(), b"abc");
    assert!(segment.verify_checksum(pseudo(27)));
    assert!(!segment.verify_checksum(pseudo(26)));
}

#[test]
fn golden_octets_are_built_over_anything() {
    let mut buffer = [0xa5; 27];
    let mut segment = Packet::new_unchecked(&mut buffer);
    segment.set_source_port(40_000);
    segment.set_destination_port(80);
    segment.set_sequence(SeqNumber(0x1234_5678));
    segment.set_acknowledgment(SeqNumber(0x9abc_def0));
    segment.set_header_octets(24);
    segment.set_flags(Flags::SYN | Flags::ECE | Flags::CWR);
    segment.set_window(0xfaf0);
    segment.set_urgent(7);
    segment.options_mut().copy_from_slice(&[2, 4, 0x05, 0xb4]);
    segment.payload_mut().copy_from_slice(b"abc");
    segment.fill_checksum(pseudo(27));
    assert_eq!(buffer, SEGMENT);
}

#[test]
fn every_truncation_is_refused() {
    for length in 0..20 {
        assert_eq!(Packet::new_checked(&SEGMENT[..length]), Err(Error::Truncated));
    }
    for length in 20..24 {
        assert_eq!(Packet::new_checked(&SEGMENT[..length]), Err(Error::Length));
    }
    for length in 24..27 {
        assert_eq!(Packet::new_checked(&SEGMENT[..length]).unwrap().payload().len(), length - 24);
    }
}

#[test]
fn inconsistent_data_offsets_are_refused() {
    for words in (0..5).chain(7..16) {
        let mut segment = SEGMENT;
        segment[12] = words << 4;
        assert_eq!(Packet::new_checked(&segment), Err(Error::Length), "data offset {words}");
    }
}

#[test]
fn reserved_bits_are_not_part_of_the_offset() {
    let mut segment = SEGMENT;
    segment[12] = 0x6f;
    assert_eq!(Packet::new_checked(&segment).unwrap().header_octets(), 24);
}

#[test]
fn sequence_numbers_wrap() {
    let last = SeqNumber(u32::MAX);
    assert_eq!(last + 1, SeqNumber(0));
    assert_eq!(SeqNumber(0) - 1, last);
    assert_eq!(SeqNumber(5) - last, 6);
    assert_eq!(last - SeqNumber(5), -6);
    let mut next = last;
    next += 10;
    assert_eq!(next, SeqNumber(9));
}

#[test]
fn sequence_numbers_are_ordered_across_the_wrap() {
    let last = SeqNumber(u32::MAX);
    assert!(last < SeqNumber(0) && SeqNumber(0) > last);
    assert!(SeqNumber(0) < SeqNumber(0x7fff_ffff));
    assert!(SeqNumber(1) >= SeqNumber(1));
    assert_eq!(SeqNumber(0).partial_cmp(&SeqNumber(0x8000_0000)), None);
    assert!(SeqNumber(0x8000_0001) < SeqNumber(0), "half way round the order turns");
}

#[test]
fn flags_are_the_bits_of_rfc_9293() {
    let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let flags = [Flags::FIN, Flags::SYN, Flags::RST, Flags::PSH, Flags::ACK, Flags::URG, Flags::ECE, Flags::CWR];
    for (bit, (flag, name)) in flags.into_iter().zip(names).enumerate() {
        assert_eq!(flag.0, 1 << bit);
        assert_eq!(format!("{flag:?}"), format!("{{{name:?}}}"));
    }
    let both = Flags::SYN | Flags::ACK;
    assert!(both.contains(Flags::SYN) && both.contains(both) && !both.contains(Flags::SYN | Flags::RST));
    assert!(both.intersects(Flags::SYN | Flags::RST) && !both.intersects(Flags::RST | Flags::FIN));
}
