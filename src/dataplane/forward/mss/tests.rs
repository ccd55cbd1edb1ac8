//! Segments with options, against the same built anew.

use proptest::prelude::*;

use super::*;
use crate::dataplane::fixture::{Ip, Ip6, naive_sum};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The frame of a segment with these options, padded with "end of options", its checksum right.
fn segment(family: Family, flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), END);
    let words = 5 + options.len() / 4;
    let mut segment = vec![0x9c, 0x40, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0];
    segment.extend([(words as u8) << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(data);
    let (v4, v6) = (Ip::default(), Ip6::default());
    let length = (segment.len() as u16).to_be_bytes();
    let pseudo = match family {
        Family::V4 => [&v4.source[..], &v4.destination, &[0, 6], &length].concat(),
        Family::V6 => [&v6.source.octets()[..], &v6.destination.octets(), &length, &[0, 6]].concat(),
    };
    let sum = !naive_sum(&[pseudo, segment.clone()].concat());
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    match family {
        Family::V4 => v4.frame(&segment),
        Family::V6 => v6.frame(&segment),
    }
}

const fn l4(family: Family) -> usize {
    match family {
        Family::V4 => 34,
        Family::V6 => 54,
    }
}

fn mss(octets: u16) -> [u8; 4] {
    let [high, low] = octets.to_be_bytes();
    [2, 4, high, low]
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

#[test]
fn a_size_is_lowered_wherever_it_stands_and_never_raised() {
    for (family, room, most) in [(Family::V4, 1480, 1440), (Family::V6, 1460, 1400), (Family::V4, 41, 1)] {
        for flags in [SYN, SYN | ACK, SYN | 0xc0] {
            for before in [&[][..], &[1], &[1, 1], &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8], &[3, 3, 7], &[4, 2, 254, 3, 0]] {
                for (size, clamped) in [(most, most), (most - 1, most - 1), (most + 1, most), (0xffff, most), (0, 0)] {
                    let with = |size| segment(family, flags, &[before, &mss(size), &[4, 2]].concat(), b"fast open");
                    let mut frame = with(size);
                    assert_eq!(clamp(&mut frame, l4(family), family, room), size > most);
                    assert_eq!(frame, with(clamped), "{size} behind {before:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_syn_or_says_no_size_stays() {
    for family in FAMILIES {
        let big = mss(9000);
        for (what, flags, options) in [
            ("an acknowledgment", ACK, &big[..]),
            ("a reset", 0x04, &big),
            ("no option", SYN, &[]),
            ("behind the end of options", SYN, &[0, 2, 4, 0x23, 0x28]),
            ("another length", SYN, &[2, 3, 0x23, 0x28]),
            ("no length", SYN, &[1, 1, 1, 2]),
            ("no room for the value", SYN, &[1, 2, 4, 0x23]),
            ("behind an option of length 0", SYN, &[5, 0, 2, 4, 0x23, 0x28]),
            ("behind an option of length 1", SYN, &[5, 1, 2, 4, 0x23, 0x28]),
            ("behind an option beyond the header", SYN, &[5, 40, 2, 4, 0x23, 0x28]),
        ] {
            let mut frame = segment(family, flags, options, b"");
            let before = frame.clone();
            assert!(!clamp(&mut frame, l4(family), family, 1400), "{what}");
            assert_eq!(frame, before, "{what}");
        }
        for room in [0, 39, 40, if family == Family::V6 { 60 } else { 40 }] {
            assert!(!clamp(&mut segment(family, SYN, &big, b""), l4(family), family, room), "{room}");
        }
    }
}

#[test]
fn a_wrong_checksum_stays_as_wrong() {
    let mut frame = segment(Family::V6, SYN, &mss(1440), b"");
    frame[70] ^= 0x10;
    assert!(clamp(&mut frame, 54, Family::V6, 1400));
    let right = segment(Family::V6, SYN, &mss(1340), b"");
    assert_eq!((&frame[..70], &frame[72..]), (&right[..70], &right[72..]));
    assert_ne!(frame[70..72], right[70..72]);
}

proptest! {
    #[test]
    fn noise_never_panics_and_nothing_else_changes(
        options in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..40),
        (cut, l4_off) in (0usize..120, 0usize..120),
        room: u16,
    ) {
        let whole = segment(Family::V4, SYN, &options, b"data");
        let mut cut = whole[..cut.min(whole.len())].to_vec();
        let _ = clamp(&mut cut, 34, Family::V4, room);
        let _ = clamp(&mut whole.clone(), l4_off, Family::V6, room);

        let mut frame = whole.clone();
        let clamped = clamp(&mut frame, 34, Family::V4, room);
        let changed = frame.iter().zip(&whole).skip(54).filter(|(after, before)| after != before).count();
        prop_assert!(changed <= 2 && (clamped || changed == 0));
        // Its checksum, over whatever it says now.
        crate::dataplane::fixture::assert_sound(&frame);
    }
}
