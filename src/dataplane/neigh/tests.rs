use super::*;

const PORT: PortId = PortId(1);
const STATION: Address = Address::v4(0x0a00_0001);
const NEXT: Address = Address::v4(0x0a00_0002);
const MAC: [u8; 6] = [2, 0, 0, 0, 1, 11];

fn at(seconds: u64) -> Now {
    Now::from_millis(seconds * 1000)
}

fn requests(table: &Neighbors, now: Now) -> usize {
    let mut count = 0;
    table.maintain(0..CAPACITY, now, |port, address| {
        assert_eq!((port, address), (PORT, STATION));
        count += 1;
    });
    count
}

#[test]
fn an_unanswered_station_is_asked_three_times_and_given_up() {
    let table = Neighbors::default();
    let id = table.find_or_add(PORT, STATION, at(1)).unwrap();
    assert_eq!(table.mac(id, at(1)), None);
    assert_eq!(table.resolve(id, at(1)), Resolution::Ask);
    assert_eq!(table.resolve(id, at(1)), Resolution::Wait);
    assert_eq!(requests(&table, Now::from_millis(1500)), 0);
    assert_eq!(requests(&table, at(2)), 1);
    assert_eq!(requests(&table, at(3)), 1);
    assert_eq!(table.resolve(id, at(3)), Resolution::Wait);
    assert_eq!(requests(&table, at(4)), 0);
    assert_eq!(table.resolve(id, at(4)), Resolution::Unreachable);
    assert_eq!(table.resolve(id, at(5)), Resolution::Ask);
}

#[test]
fn an_answer_is_used_refreshed_while_used_and_forgotten_when_the_station_goes() {
    let table = Neighbors::default();
    let id = table.find_or_add(PORT, STATION, at(1)).unwrap();
    assert_eq!(table.resolve(id, at(1)), Resolution::Ask);
    assert!(table.learn(PORT, STATION, MAC, false, at(1)));
    assert_eq!(table.mac(id, at(29)), Some(MAC));
    assert_eq!(requests(&table, at(29)), 0);
    for second in 31..34 {
        assert_eq!(requests(&table, at(second)), 1, "at {second} s");
        assert_eq!(table.mac(id, at(second)), Some(MAC), "used while probed");
    }
    assert_eq!(requests(&table, at(34)), 0);
    assert_eq!(table.mac(id, at(34)), None);
}

#[test]
fn an_unused_station_gives_its_slot_back_unless_pinned() {
    let table = Neighbors::default();
    table.learn(PORT, STATION, MAC, true, at(1));
    let pinned = table.pin(PORT, NEXT, at(1)).unwrap();
    table.maintain(0..CAPACITY, at(61), |_, _| panic!("nobody uses them"));
    assert_eq!(table.find(PORT, STATION), None);
    assert_eq!(table.find(PORT, NEXT), Some(pinned));
    table.unpin(pinned);
    table.maintain(0..CAPACITY, at(62), |_, _| panic!("nobody uses them"));
    assert!(table.list(at(62)).is_empty());
}

#[test]
fn a_static_station_is_never_asked_nor_overwritten() {
    let table = Neighbors::default();
    let id = table.pin(PORT, STATION, at(0)).unwrap();
    table.fix(id, Some(MAC));
    assert!(!table.learn(PORT, STATION, [4; 6], true, at(1)));
    table.maintain(0..CAPACITY, at(1000), |_, _| panic!("static"));
    assert_eq!(table.mac(id, at(1000)), Some(MAC));
    assert_eq!(table.list(at(1000))[0].state, State::Static);
    assert_eq!(table.pin(PORT, STATION, at(1000)), Some(id));
    table.fix(id, None);
    assert_eq!(table.mac(id, at(1000)), None, "no longer static: to be resolved");
}

#[test]
fn what_another_worker_wrote_in_the_next_tick_is_new() {
    let table = Neighbors::default();
    let (now, ahead) = (Now::from_millis(1249), Now::from_millis(1250));
    let id = table.find_or_add(PORT, STATION, ahead).unwrap();
    assert!(table.learn(PORT, STATION, MAC, false, ahead));
    assert_eq!(table.mac(id, ahead), Some(MAC));
    assert_eq!(requests(&table, now), 0);
    assert_eq!(table.mac(id, ahead), Some(MAC), "in use, and so not freed");
    let listed = &table.list(now)[0];
    assert_eq!((listed.state, listed.confirmed_seconds), (State::Reachable, Some(0)));
}

#[test]
fn a_slot_that_is_pinned_while_it_is_freed_stays_pinned() {
    let table = Neighbors::default();
    for round in 0..2000u64 {
        // Unused for a minute: both at once want to do something about it.
        let added = table.find_or_add(PORT, STATION, at(round * 100)).unwrap();
        let later = at(round * 100 + 60);
        let pinned = std::thread::scope(|scope| {
            scope.spawn(|| table.maintain(0..CAPACITY, later, |_, _| {}));
            table.pin(PORT, STATION, later)
        });
        let id = pinned.unwrap();
        assert_eq!(table.find(PORT, STATION), Some(id), "round {round}, was {added:?}");
        assert_eq!(table.address(id), Some(STATION));
        table.unpin(id);
    }
}

#[test]
fn a_full_window_refuses_and_loses_nobody() {
    let table = Neighbors::default();
    let mut known = Vec::new();
    for address in (0..CAPACITY as u32 * 2).map(Address::v4) {
        if table.find_or_add(PORT, address, at(1)).is_some() {
            known.push(address);
        }
    }
    assert!(known.len() > CAPACITY / 2 && known.len() <= CAPACITY);
    assert!(known.iter().all(|address| table.find(PORT, *address).is_some()));
}

#[test]
fn two_thousand_stations_anywhere_find_room() {
    let table = Neighbors::default();
    for n in 0..2000u32 {
        // Scattered over a /12.
        let address = 0x0a00_0000 | n.wrapping_mul(0x9e37_79b1) >> 12;
        let six = Address::from_bits(0xfe80 << 112 | u128::from(address));
        assert!(table.pin(PORT, if n % 2 == 0 { Address::v4(address) } else { six }, at(1)).is_some(), "station {n}");
    }
}

#[test]
fn an_unknown_station_is_learned_only_when_asked_to() {
    let table = Neighbors::default();
    assert!(!table.learn(PORT, STATION, MAC, false, at(1)));
    assert_eq!(table.find(PORT, STATION), None);
    assert!(table.learn(PORT, STATION, MAC, true, at(1)));
}
