//! Messages against frames that are put together octet by octet.

use proptest::prelude::*;

use super::*;
use crate::dataplane::fixture::{Ip6, PEER_MAC, PORT_MAC, assert_sound, received};

const TARGET: &str = "2001:db8::10";
const ASKER: &str = "fe80::1";

fn host(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// A message and its way, from a neighbour.
#[derive(Clone)]
struct Case {
    ip: Ip6,
    kind: u8,
    code: u8,
    flags: u32,
    target: Ipv6Addr,
    options: Vec<u8>,
}

impl Case {
    fn solicitation() -> Self {
        let ip = Ip6 { hop_limit: 255, source: host(ASKER), destination: host("ff02::1:ff00:10"), ..Ip6::default() };
        Self { ip, kind: 135, code: 0, flags: 0, target: host(TARGET), options: link(1, PEER_MAC) }
    }

    fn advertisement() -> Self {
        let ip = Ip6 { hop_limit: 255, source: host(TARGET), destination: host(ASKER), ..Ip6::default() };
        Self { ip, kind: 136, code: 0, flags: 0x6000_0000, target: host(TARGET), options: link(2, PEER_MAC) }
    }

    fn frame(&self) -> Vec<u8> {
        let data = [&self.target.octets()[..], &self.options].concat();
        self.ip.clone().icmp(self.kind, self.code, self.flags, &data)
    }

    fn read(&self) -> Option<Message> {
        read(&self.frame())
    }

    fn with(self, change: impl FnOnce(&mut Self)) -> Self {
        let mut case = self;
        change(&mut case);
        case
    }
}

fn link(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

fn asked() -> Solicitation {
    Solicitation { source: Some(host(ASKER)), target: host(TARGET), link: Some(PEER_MAC), sender: PEER_MAC }
}

fn told() -> Advertisement {
    Advertisement { target: host(TARGET), link: Some(PEER_MAC), sender: PEER_MAC, solicited: true, overrides: true }
}

#[test]
fn golden_octets_are_read() {
    // From fe80::1 for 2001:db8::10.
    let frame = [
        0x33, 0x33, 0xff, 0x00, 0x00, 0x10, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x02, 0x86, 0xdd, // Ethernet
        0x60, 0, 0, 0, 0, 32, 58, 255, // IPv6
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, // fe80::1
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff, 0x00, 0x00, 0x10, // ff02::1:ff00:10
        0x87, 0x00, 0x3f, 0x42, 0x00, 0x00, 0x00, 0x00, // neighbour solicitation
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // target
        0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x0c, 0x02, // option
    ];
    assert_eq!(frame.len(), FRAME);
    assert_eq!(read(&frame), Some(Message::Solicitation(asked())));
    let mut padded = frame.to_vec();
    padded.extend([0xee; 9]);
    assert_eq!(read(&padded), Some(Message::Solicitation(asked())));
    for length in 0..frame.len() {
        assert_eq!(read(&frame[..length]), None, "{length}");
    }
}

#[test]
fn solicitations_and_advertisements_say_what_they_say() {
    assert_eq!(Case::solicitation().read(), Some(Message::Solicitation(asked())));
    assert_eq!(Case::advertisement().read(), Some(Message::Advertisement(told())));

    let without = Case::solicitation().with(|case| case.options.clear());
    assert_eq!(without.read(), Some(Message::Solicitation(Solicitation { link: None, ..asked() })));
    let dad = without.with(|case| case.ip.source = host("::"));
    assert_eq!(dad.read(), Some(Message::Solicitation(Solicitation { source: None, link: None, ..asked() })));

    for (flags, solicited, overrides) in [(0, false, false), (0x4000_0000, true, false), (0xbfff_ffff, false, true)] {
        let case = Case::advertisement().with(|case| case.flags = flags);
        assert_eq!(case.read(), Some(Message::Advertisement(Advertisement { solicited, overrides, ..told() })));
    }
    let unasked = Case::advertisement().with(|case| {
        case.ip.destination = host("ff02::1");
        case.flags = 0x2000_0000;
    });
    assert_eq!(unasked.read(), Some(Message::Advertisement(Advertisement { solicited: false, ..told() })));
}

#[test]
fn other_options_are_stepped_over_and_the_first_of_several_counts() {
    let nonce = vec![14, 1, 1, 2, 3, 4, 5, 6];
    let long = [&[200, 2][..], &[0; 14]].concat();
    let options = [nonce, link(2, [2; 6]), long, link(1, PEER_MAC), link(1, [4; 6])].concat();
    let case = Case::solicitation().with(|case| case.options = options);
    assert_eq!(case.read(), Some(Message::Solicitation(asked())));
    // Two units: of another link layer than Ethernet.
    let case = Case::solicitation().with(|case| case.options = [&[1, 2][..], &[0; 14]].concat());
    assert_eq!(case.read(), Some(Message::Solicitation(Solicitation { link: None, ..asked() })));
}

/// What is wrong, and what makes it so.
type Change = (&'static str, fn(&mut Case));

/// Each of RFC 4861 §7.1's checks, and what no station says.
#[test]
fn what_is_to_be_discarded_is() {
    let both: [Change; 15] = [
        ("has passed a router", |case| case.ip.hop_limit = 254),
        ("code", |case| case.code = 1),
        ("target is a group", |case| case.target = host("ff02::1")),
        ("target is unspecified", |case| case.target = host("::")),
        ("target is loopback", |case| case.target = host("::1")),
        ("an option of no length", |case| case.options = vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ("the second option of no length", |case| case.options.extend([1, 0, 0, 0, 0, 0, 0, 0])),
        ("an option beyond the packet", |case| case.options[1] = 2),
        ("half an option", |case| case.options.truncate(4)),
        ("one octet of an option", |case| case.options.truncate(1)),
        ("the option has a group", |case| case.options[2] |= 1),
        ("the option has no address", |case| case.options[2..].fill(0)),
        ("source is a group", |case| case.ip.source = host("ff02::1")),
        ("another type", |case| case.kind = 134),
        ("a fragment", |case| case.ip.extensions = vec![(44, vec![0; 7])]),
    ];
    for (what, change) in both {
        assert_eq!(Case::solicitation().with(change).read(), None, "{what}");
        assert_eq!(Case::advertisement().with(change).read(), None, "{what}");
    }
    let from_nobody = |case: &mut Case| case.ip.source = host("::");
    let bare = |case: &mut Case| case.options.clear();
    assert_eq!(Case::solicitation().with(from_nobody).read(), None, "from nobody, but with an address");
    let elsewhere = |case: &mut Case| case.ip.destination = host(TARGET);
    assert_eq!(Case::solicitation().with(from_nobody).with(bare).with(elsewhere).read(), None, "to no such group");
    assert_eq!(Case::advertisement().with(from_nobody).with(bare).read(), None, "advertised by nobody");
    let to_group = |case: &mut Case| case.ip.destination = host("ff02::1");
    assert_eq!(Case::advertisement().with(to_group).read(), None, "an answer to a group");

    for (what, at, octets) in [
        ("another EtherType", 12, &[0x08, 0x00][..]),
        ("from an Ethernet group", 6, &[0x33]),
        ("from no station", 6, &[0; 6]),
        ("another version", 14, &[0x40]),
        ("another protocol", 20, &[17]),
        ("a wrong checksum", 56, &[0, 0]),
    ] {
        for case in [Case::solicitation(), Case::advertisement()] {
            let mut frame = case.frame();
            frame[at..at + octets.len()].copy_from_slice(octets);
            assert_eq!(read(&frame), None, "{what}");
        }
    }
}

/// An advertisement of the director's, as a frame.
fn advertised(to: [u8; 6], destination: &str, flags: u32) -> Vec<u8> {
    let ip =
        Ip6 { flow_label: 0, hop_limit: 255, source: host(TARGET), destination: host(destination), ..Ip6::default() };
    let data = [&host(TARGET).octets()[..], &link(2, PORT_MAC)].concat();
    let mut frame = ip.icmp(136, 0, flags, &data);
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&PORT_MAC);
    assert_sound(&frame);
    frame
}

#[test]
fn a_solicitation_is_answered_in_place() {
    let nonce = |case: &mut Case| case.options.extend([14, 1, 1, 2, 3, 4, 5, 6]);
    let answered = |case: Case| {
        let mut frame = received(&case.frame());
        let Some(Message::Solicitation(asked)) = read(frame.bytes()) else { panic!("none") };
        answer(&mut frame, &asked, PORT_MAC).unwrap();
        frame.bytes().to_vec()
    };
    let expected = advertised(PEER_MAC, ASKER, 0xe000_0000);
    assert_eq!(answered(Case::solicitation()), expected);
    assert_eq!(answered(Case::solicitation().with(nonce)), expected);
    assert_eq!(answered(Case::solicitation().with(|case| case.options.clear())), expected);
    let other = [2, 0, 0, 0, 0, 9];
    let elsewhere = answered(Case::solicitation().with(|case| case.options = link(1, other)));
    assert_eq!(elsewhere, advertised(other, ASKER, 0xe000_0000));

    let dad = answered(Case::solicitation().with(|case| {
        case.ip.source = host("::");
        case.options.clear();
    }));
    assert_eq!(dad, advertised([0x33, 0x33, 0, 0, 0, 1], "ff02::1", 0xa000_0000));
}

#[test]
fn what_is_made_unasked_goes_to_all_nodes() {
    let mut frame = received(&[]);
    write_unsolicited(&mut frame, PORT_MAC, host(TARGET)).unwrap();
    assert_eq!(frame.bytes(), advertised([0x33, 0x33, 0, 0, 0, 1], "ff02::1", 0xa000_0000));
}

#[test]
fn a_solicitation_goes_to_the_targets_group() {
    let target = host("2001:db8:0:1:2:3:12ab:cdef");
    let mut frame = received(&[0xa5; 200]);
    write_solicitation(&mut frame, PORT_MAC, host(ASKER), target).unwrap();
    assert_sound(frame.bytes());
    let expected = Case::solicitation().with(|case| {
        case.target = target;
        case.ip.destination = host("ff02::1:ffab:cdef");
        case.ip.flow_label = 0;
        case.options = link(1, PORT_MAC);
    });
    let mut octets = expected.frame();
    octets[..6].copy_from_slice(&[0x33, 0x33, 0xff, 0xab, 0xcd, 0xef]);
    octets[6..12].copy_from_slice(&PORT_MAC);
    assert_eq!(frame.bytes(), octets);
}

proptest! {
    #[test]
    fn noise_never_panics(
        octets in prop::collection::vec(any::<u8>(), 0..140),
        solicits: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        options in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = read(&octets);
        let case = if solicits { Case::solicitation() } else { Case::advertisement() };
        // Sums that are right lead further in.
        let noisy = case.clone().with(|case| case.options = options);
        if let Some(Message::Solicitation(asked)) = noisy.read() {
            let mut frame = received(&noisy.frame());
            answer(&mut frame, &asked, PORT_MAC).unwrap();
            assert_sound(frame.bytes());
            prop_assert!(matches!(read(frame.bytes()), Some(Message::Advertisement(told)) if told.link == Some(PORT_MAC)));
        }
        let mut frame = case.frame();
        for (at, octet) in changes {
            let at = at.index(frame.len());
            frame[at] = octet;
            let _ = read(&frame);
            let _ = read(&frame[..at]);
        }
    }

    #[test]
    fn what_is_written_is_read(source: u64, target: u64, mac: [u8; 6]) {
        let mac = mac.map(|octet| octet & 0xfe | 2);
        let address = |low: u64| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low));
        let (source, target) = (address(source), address(target));
        let mut frame = received(&[]);
        write_solicitation(&mut frame, mac, source, target).unwrap();
        let expected = Solicitation { source: Some(source), target, link: Some(mac), sender: mac };
        prop_assert_eq!(read(frame.bytes()), Some(Message::Solicitation(expected)));
        write_unsolicited(&mut frame, mac, target).unwrap();
        let expected = Advertisement { target, link: Some(mac), sender: mac, solicited: false, overrides: true };
        prop_assert_eq!(read(frame.bytes()), Some(Message::Advertisement(expected)));
    }
}
