use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::dataplane::fixture::naive_sum;

#[test]
fn the_example_of_rfc_1071() {
    let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::of(&octets).fold(), 0xddf2);
    assert_eq!(Sum::of(&octets).checksum(), 0x220d);
    let with_checksum = [&octets[..], &[0x22, 0x0d]].concat();
    assert!(verify(&with_checksum));
}

#[test]
fn the_example_of_rfc_1624() {
    // The rest of the header adds up to 0xcd7a. Equation 2 would give 0xffff, the other zero.
    assert_eq!((Sum::word(0xcd7a) + Sum::word(0x5555)).checksum(), 0xdd2f);
    assert_eq!((Sum::word(0xcd7a) + Sum::word(0x3285)).checksum(), 0x0000);
    assert_eq!(Delta::u16(0x5555, 0x3285).adjust(0xdd2f), 0x0000);
}

#[test]
fn an_unchanged_word_turns_a_sum_of_zero_into_the_other_zero() {
    // RFC 1624, erratum 4782. The checksum 0xffff stands for a sum of 0, which only all-zero data has.
    assert_eq!(Delta::u16(0x1234, 0x1234).adjust(0xffff), 0x0000);
    assert_eq!(Delta::u16(0x1234, 0x1234).adjust(0x0000), 0x0000);
    assert_eq!(Delta::default().adjust(0xffff), 0xffff);
}

#[test]
fn nothing_and_single_octets() {
    assert_eq!(Sum::of(&[]).fold(), 0);
    assert_eq!(Sum::of(&[]).checksum(), 0xffff);
    assert_eq!(Sum::of(&[0xab]).fold(), 0xab00);
    assert_eq!(Sum::of(&[0, 0, 0, 0xab]).fold(), 0x00ab);
    assert!(!verify(&[0; 20]), "all zeros have no right checksum in them");
}

#[test]
fn udp_over_ipv4_keeps_absent_sums_and_never_sends_zero() {
    assert_eq!(udp(0), 0xffff);
    assert_eq!(udp(1), 1);
    assert_eq!(Delta::u16(0x5555, 0x3285).adjust_udp(0xdd2f), 0xffff);
    assert_eq!(Delta::u16(0x5555, 0x3285).adjust_udp(0), 0);
    assert_eq!(Delta::u16(0x3285, 0x5555).adjust_udp(0xffff), 0xdd2f);
}

#[test]
fn pseudo_headers_add_up_as_their_octets_do() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(255, 255, 255, 254));
    let octets = [192, 0, 2, 1, 255, 255, 255, 254, 0, 17, 0xff, 0xfe];
    assert_eq!(Sum::pseudo_v4(source, destination, 17, 0xfffe).fold(), naive_sum(&octets));

    let source: Ipv6Addr = "2001:db8::ffff:1".parse().unwrap();
    let destination: Ipv6Addr = "fe80::ff:fe00:2".parse().unwrap();
    let mut octets = [source.octets(), destination.octets()].concat();
    octets.extend([0, 1, 0x11, 0x70, 0, 0, 0, 58]);
    assert_eq!(Sum::pseudo_v6(source, destination, 58, 70_000).fold(), naive_sum(&octets));
}

#[test]
fn the_ttl_constant_is_the_difference_for_every_ttl_and_protocol() {
    for ttl in 1..=255u16 {
        for protocol in 0..=255u16 {
            let (old, new) = (ttl << 8 | protocol, (ttl - 1) << 8 | protocol);
            assert_eq!(Delta::u16(old, new), Delta::TTL_DECREMENT);
        }
    }
}

#[test]
fn long_sums_lose_no_carry() {
    let octets = vec![0xff; 65_535];
    assert_eq!(Sum::of(&octets).fold(), naive_sum(&octets));
    let many = (0..1000).fold(Sum::default(), |sum, _| sum + Sum::of(&octets[..65_534]));
    assert_eq!(many.fold(), 0xffff);
}

proptest! {
    #[test]
    fn a_sum_is_the_sum_of_its_words(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Sum::of(&octets).fold(), naive_sum(&octets));
    }

    #[test]
    fn a_window_adds_up_as_a_slice_does(octets: [u8; 20]) {
        prop_assert_eq!(Sum::of_window(&octets), Sum::of(&octets));
    }

    #[test]
    fn parts_of_even_length_may_be_added(
        first in prop::collection::vec(any::<[u8; 2]>(), 0..50),
        second in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let first = first.concat();
        let whole = [&first[..], &second].concat();
        prop_assert_eq!((Sum::of(&first) + Sum::of(&second)).fold(), naive_sum(&whole));
    }

    #[test]
    fn an_update_equals_a_full_computation(
        mut octets in prop::collection::vec(any::<u8>(), 8..80),
        (word, long) in (any::<u16>(), any::<u32>()),
        (at_word, at_long) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        // A pseudo header's protocol: not all can be zero.
        let never_zero = Sum::word(17);
        let before = (never_zero + Sum::of(&octets)).checksum();
        let at = at_word.index((octets.len() - 1) / 2) * 2;
        let old_word = u16::from_be_bytes([octets[at], octets[at + 1]]);
        octets[at..at + 2].copy_from_slice(&word.to_be_bytes());
        let at = at_long.index((octets.len() - 2) / 2) * 2;
        let old_long = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
        octets[at..at + 4].copy_from_slice(&long.to_be_bytes());
        let after = (never_zero + Sum::of(&octets)).checksum();

        let delta = Delta::u16(old_word, word).and(Delta::u32(old_long, long));
        prop_assert_eq!(delta.adjust(before), after);
        prop_assert_eq!(Delta::u32(old_long, long).adjust(Delta::u16(old_word, word).adjust(before)), after);
        let halves = Delta::u16((old_long >> 16) as u16, (long >> 16) as u16)
            .and(Delta::u16(old_long as u16, long as u16));
        prop_assert_eq!(halves.adjust(before), Delta::u32(old_long, long).adjust(before));
    }

    #[test]
    fn an_address_changes_as_its_words_do(before: [u8; 16], after: [u8; 16], rest: [u8; 4]) {
        let sum = |address: &[u8]| !naive_sum(&[&[0, 58], address, &rest].concat());
        let delta = Delta::u128(u128::from_be_bytes(before), u128::from_be_bytes(after));
        prop_assert_eq!(delta.adjust(sum(&before)), sum(&after));
    }

    #[test]
    fn a_wrong_checksum_stays_as_wrong(checksum: u16, error in 1..0xffffu16, old: u32, new: u32) {
        let wrong = (Sum::word(checksum) + Sum::word(error)).fold();
        let delta = Delta::u32(old, new);
        // Compared as residues: the two zeros are one number.
        let residue = |word: u16| word % 0xffff;
        let expected = (Sum::word(delta.adjust(checksum)) + Sum::word(error)).fold();
        prop_assert_eq!(residue(delta.adjust(wrong)), residue(expected));
    }
}
