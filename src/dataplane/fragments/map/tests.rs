use proptest::prelude::*;

use super::*;

const SECRET: [u64; 4] = [3, 5, 7, 9];

fn map(sets: usize) -> Map {
    Map::with_sets(sets, Secret::new(SECRET))
}

fn key(identification: u32) -> Key {
    Key::new(Address::v4(0xc633_6407), Address::v4(0xcb00_710a), identification, 17)
}

fn entry(port: u16, way: Way) -> Entry {
    Entry { kind: Kind::Udp, src_port: port, dst_port: 53, way }
}

fn to(port: u16) -> Entry {
    entry(port, Way::To(RealId(u32::from(port))))
}

fn at_millis(millis: u64) -> Now {
    Now::from_millis(millis)
}

#[test]
fn a_datagram_is_told_apart_by_each_part_of_its_key() {
    let (map, now) = (map(64), at_millis(5000));
    let six = |bits: u128| Address::from_bits(0x2001_0db8 << 96 | bits);
    let keys = [
        key(1),
        key(2),
        Key::new(Address::v4(0xc633_6408), Address::v4(0xcb00_710a), 1, 17),
        Key::new(Address::v4(0xc633_6407), Address::v4(0xcb00_710b), 1, 17),
        Key::new(Address::v4(0xc633_6407), Address::v4(0xcb00_710a), 1, 6),
        Key::new(six(1), six(2), 1, 0),
        Key::new(six(2), six(1), 1, 0),
        Key::new(six(1), six(2), 1 << 31, 0),
        Key::new(six(1 << 64), six(2), 1, 0),
    ];
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(map.find(key, now), None);
        map.note(key, to(n as u16), now);
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(map.find(key, now), Some(to(n as u16)));
    }
}

#[test]
fn the_latest_first_fragment_counts() {
    let (map, now) = (map(1), at_millis(5000));
    for port in [1, 2, 3] {
        map.note(&key(1), to(port), now);
        assert_eq!(map.find(&key(1), now), Some(to(port)));
    }
    let taken = map.sets[0].iter().filter(|slot| slot.holds(&key(1))).count();
    assert_eq!(taken, 1);
}

#[test]
fn a_datagram_is_forgotten_some_time_after_its_last_fragment() {
    let map = map(1);
    map.note(&key(1), to(1), at_millis(5000));
    map.note(&key(2), to(2), at_millis(5000));
    assert_eq!(map.find(&key(1), at_millis(4000)), Some(to(1)), "another worker's clock is a little behind");
    assert_eq!(map.find(&key(1), at_millis(6500)), Some(to(1)));
    assert_eq!(map.find(&key(2), at_millis(5000 + LIFE)), None);
    assert_eq!(map.find(&key(1), at_millis(6500 + LIFE - 1)), Some(to(1)));
    assert_eq!(map.find(&key(1), at_millis(6500 + 2 * LIFE)), None);
}

#[test]
fn a_full_set_gives_up_the_datagram_that_was_quiet_for_longest() {
    let map = map(1);
    for n in 0..4 {
        map.note(&key(n), to(n as u16), at_millis(5000 + 10 * u64::from(n)));
    }
    assert!(map.find(&key(0), at_millis(5200)).is_some());
    map.note(&key(9), to(9), at_millis(5201));
    let known = |n: u32| map.find(&key(n), at_millis(5202)).is_some();
    assert_eq!([0, 1, 2, 3, 9].map(known), [true, false, true, true, true]);
}

#[test]
fn a_flood_takes_no_more_than_there_is() {
    let map = map(CAPACITY / SLOTS);
    for n in 0..4 * CAPACITY as u32 {
        map.note(&key(n), to(n as u16), at_millis(5000 + u64::from(n) / 1000));
    }
    let known = |range: std::ops::Range<u32>| range.filter(|n| map.find(&key(*n), at_millis(5100)).is_some()).count();
    let (all, latest) = (4 * CAPACITY as u32, CAPACITY as u32 / 4);
    assert!(known(0..all) <= CAPACITY);
    // Those of the last quarter of its size: but for a few in sets that have had more than four since.
    assert!(known(all - latest..all) * 100 >= latest as usize * 97, "{}", known(all - latest..all));
}

#[test]
fn a_slot_that_is_being_written_shows_nothing_and_is_left_to_its_writer() {
    let map = map(1);
    map.note(&key(1), to(1), at_millis(5000));
    let slot = map.sets[0].iter().find(|slot| slot.holds(&key(1))).unwrap();
    slot.version.fetch_add(1, Ordering::Relaxed);
    assert_eq!(map.find(&key(1), at_millis(5000)), None);
    map.note(&key(1), to(2), at_millis(5000));
    assert_eq!(map.find(&key(1), at_millis(5000)), Some(to(2)), "in another slot");
    slot.version.fetch_add(1, Ordering::Relaxed);
    assert!(map.find(&key(1), at_millis(5000)).is_some());
}

proptest! {
    #[test]
    fn an_entry_is_what_it_was(
        kind in prop::sample::select(vec![Kind::Tcp, Kind::Udp, Kind::Sctp, Kind::Icmp, Kind::Icmpv6]),
        (src_port, dst_port, from_port) in any::<(u16, u16, u16)>(),
        (service, real) in (1..=u16::MAX, any::<u32>()),
        (bits, client_bits, client_port) in any::<(u128, u128, u16)>(),
        outcome in prop::sample::select(Outcome::ALL),
        which in 0..4,
    ) {
        let from = TransportAddress::new(Address::from_bits(bits), from_port);
        let way = match which {
            0 => Way::To(RealId(real)),
            1 | 2 => {
                let reply = Reply { service: EndpointId(NonZeroU16::new(service).unwrap()), from, real: RealId(real) };
                let client = TransportAddress::new(Address::from_bits(client_bits), client_port);
                Way::Back(Answered { reply, client: (which == 2).then_some(client) })
            }
            _ => Way::Ends(outcome),
        };
        let entry = Entry { kind, src_port, dst_port, way };
        prop_assert_eq!(Entry::unpack(entry.pack()), Some(entry));
    }
}
