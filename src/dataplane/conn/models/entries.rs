//! One key at a time: inserts, hits, changes and removals of plain entries.

use super::*;

/// Two workers insert a key of which one place is just being freed, so that they claim different places in either
/// order. `stash`: the second place is in the stash.
fn two_inserters(stash: bool) {
    let keys = client(2, &[[0, 1], [0, 1], [1, 0]]);
    let key = keys[0];
    let table = table(2, if stash { 2 } else { 0 });
    let (old, seen) = put(&table, keys[1], entry(9, 0));
    if stash {
        put(&table, keys[2], entry(9, 0));
    }
    let inserters: Vec<_> = [1, 2]
        .map(|real| {
            let table = table.clone();
            thread::spawn(move || insert(&table, key, entry(real, 10)))
        })
        .into();
    table.remove(old, seen, tick(10), private).unwrap();
    let done: Vec<Insert> = inserters.into_iter().map(|inserter| inserter.join().unwrap()).collect();

    assert_settled(&table);
    let [(slot, value)] = live(&table, key)[..] else { panic!("not one entry: {:?}", live(&table, key)) };
    assert_eq!(done.iter().filter(|&&one| one == Insert::Inserted(slot, value)).count(), 1, "{done:?}");
    for one in done {
        match one {
            Insert::Inserted(at, what) | Insert::Exists(at, what) => assert_eq!((at, what), (slot, value)),
            Insert::Busy(content) => assert!([1, 2].contains(&content.real().0)),
            // It looked between the other's claim of the one free place and the other's key.
            Insert::Full => {}
        }
    }
}

#[test]
fn two_inserters_of_a_key_leave_one_entry() {
    explore(None, 3, || two_inserters(false));
}

#[test]
fn two_inserters_of_a_key_leave_one_entry_in_the_stash_too() {
    explore(None, 2, || two_inserters(true));
}

#[test]
#[should_panic(expected = "not one entry")]
fn two_inserters_need_the_fence() {
    explore(Some(Fault::NoFence), 3, || two_inserters(false));
}

#[test]
#[should_panic(expected = "not one entry")]
fn two_inserters_need_the_pending_phase() {
    explore(Some(Fault::NoPending), 3, || two_inserters(false));
}

#[test]
#[should_panic(expected = "not one entry")]
fn two_inserters_need_one_that_stays() {
    explore(Some(Fault::EveryoneYields), 3, || two_inserters(false));
}

#[test]
#[should_panic(expected = "without its key")]
fn two_inserters_need_the_key_cleared_before_the_slot_is_free() {
    explore(Some(Fault::FreedFirst), 3, || two_inserters(false));
}

#[test]
#[should_panic(expected = "not one entry")]
fn two_inserters_need_the_stash_counted_before_they_look() {
    explore(Some(Fault::StashCountedLate), 2, || two_inserters(true));
}

/// Three workers insert a key that has three places.
#[test]
fn three_inserters_of_a_key_leave_one_entry() {
    explore(None, 2, || {
        let key = client(2, &[[0, 1]])[0];
        let table = table(2, 1);
        let spawn = |real| {
            let table = table.clone();
            thread::spawn(move || insert(&table, key, entry(real, 0)))
        };
        let others = [spawn(1), spawn(2)];
        let mine = insert(&table, key, entry(3, 0));
        let [first, second] = others.map(|inserter| inserter.join().unwrap());
        let done = [first, second, mine];
        assert_settled(&table);
        assert_eq!(live(&table, key).len(), 1, "{done:?}");
        assert_eq!(done.iter().filter(|one| matches!(one, Insert::Inserted(..))).count(), 1, "{done:?}");
    });
}

/// How a worker finds an entry.
type Find = fn(&Table, Key) -> Option<(Slot, Value)>;

fn by_lookup(table: &Table, key: Key) -> Option<(Slot, Value)> {
    table.lookup(key, table.hash(key))
}

/// In two steps, as bursts do.
fn by_spot(table: &Table, key: Key) -> Option<(Slot, Value)> {
    table.lookup_at(table.spot(key, table.hash(key)), key, table.hash(key))
}

/// A slot is held by key 5, then 6, then 5 again, while a worker finds 5, and changes what it found.
fn lives_5_6_5(find: Find) {
    let keys = client(2, &[[0, 1], [0, 1], [1, 0]]);
    let [five, six, resident] = keys[..] else { panic!() };
    let table = table(2, 0);
    put(&table, resident, entry(77, 0));
    let first = put(&table, five, entry(50, 0));

    let reader = {
        let table = table.clone();
        thread::spawn(move || {
            assert!(find(&table, resident).is_some(), "missed an entry that was live throughout");
            let (slot, seen) = find(&table, five)?;
            assert!([50, 51].contains(&seen.real().0), "found another's value: {seen:?}");
            table.update(slot, seen, |value| value.with_no_output(true)).ok()
        })
    };
    table.remove(first.0, table.value(first.0), tick(10), private).ok();
    if table.lookup(five, table.hash(five)).is_none() {
        let second = put(&table, six, entry(60, 10));
        table.remove(second.0, second.1, tick(20), private).unwrap();
        put(&table, five, entry(51, 20));
    }
    let updated = reader.join().unwrap();

    assert_settled(&table);
    let [(_, value)] = live(&table, five)[..] else { panic!() };
    let last_was_changed = updated.is_some_and(|updated| updated.new.real() == value.real());
    assert_eq!(value.no_output(), last_was_changed, "{updated:?} left {value:?}");
}

#[test]
fn a_reader_is_not_fooled_by_a_slots_next_lives() {
    explore(None, 8, || lives_5_6_5(by_lookup));
}

#[test]
fn a_reader_in_two_steps_is_not_fooled_either() {
    explore(None, 3, || lives_5_6_5(by_spot));
}

#[test]
#[should_panic(expected = "found another's value")]
fn a_reader_in_two_steps_needs_to_look_again() {
    explore(Some(Fault::SpotUnconfirmed), 3, || lives_5_6_5(by_spot));
}

#[test]
#[should_panic(expected = "found another's value")]
fn a_reader_needs_to_read_the_key_again() {
    explore(Some(Fault::NoKeyAgain), 8, || lives_5_6_5(by_lookup));
}

#[test]
#[should_panic(expected = "found another's value")]
fn a_reader_needs_the_value_around_the_key() {
    explore(Some(Fault::KeyValueKey), 8, || lives_5_6_5(by_lookup));
}

#[test]
#[should_panic(expected = "found another's value")]
fn a_reader_needs_the_generation() {
    explore(Some(Fault::NoGeneration), 8, || lives_5_6_5(by_lookup));
}

#[test]
#[should_panic(expected = "found another's value")]
fn a_reader_needs_the_key_to_be_released() {
    explore(Some(Fault::RelaxedKey), 8, || lives_5_6_5(by_lookup));
}

/// A worker found an entry, and changes it when the slot may be the next one's.
fn a_late_change() {
    let keys = client(2, &[[0, 1], [0, 1]]);
    let [five, six] = keys[..] else { panic!() };
    let table = table(2, 0);
    let (slot, seen) = put(&table, five, entry(50, 0));
    let changer = {
        let table = table.clone();
        thread::spawn(move || table.update(slot, seen, |value| value.with_no_output(true)))
    };
    let seen = table.value(slot);
    table.remove(slot, seen, tick(10), private).ok();
    let next = if live(&table, five).is_empty() { Some(put(&table, six, entry(60, 10))) } else { None };
    let changed = changer.join().unwrap();

    assert_settled(&table);
    assert!(
        changed.is_ok_and(|changed| changed.new.real() == RealId(50)) || changed == Err(Gone),
        "changed another's entry"
    );
    assert_eq!(live(&table, six), Vec::from_iter(next), "changed another's entry");
}

#[test]
fn a_late_change_changes_nobody_else() {
    explore(None, 8, a_late_change);
}

#[test]
#[should_panic(expected = "changed another's entry")]
fn a_late_change_needs_to_look_whose_the_slot_is() {
    explore(Some(Fault::NoOwnerCheck), 8, a_late_change);
}

/// A sweep meets a refresh and a reply's change of state; each books what it won, and who was in time stays.
fn sweep_and_packets() {
    let key = client(2, &[[0, 1]])[0];
    let table = table(2, 0);
    let content = Value::new(State::TCP_ESTABLISHED, tick(0), RealId(1));
    put(&table, key, content);
    let class = |value: Value| if value.class() == Class::Active { [1, 0] } else { [0, 1] };
    let now = tick(5000);

    let packet = |event: TcpEvent, reply: bool| {
        let table = table.clone();
        thread::spawn(move || {
            let (slot, seen) = table.lookup(key, table.hash(key))?;
            let Updated { old, new } =
                table.update(slot, seen, |value| tcp_state::after(value, reply, event, now)).ok()?;
            Some([0, 1].map(|n| class(new)[n] - class(old)[n]))
        })
    };
    let packets = [packet(TcpEvent::Ack, false), packet(TcpEvent::Fin, true)];
    let mut booked = class(content);
    let slice = Slice { lines: 0..2, links: true };
    table.sweep(&slice, now, &Timeouts::default(), private, |_, old| {
        booked = [0, 1].map(|n| booked[n] - class(old)[n]);
    });
    let changes = packets.map(|packet| packet.join().unwrap());
    for change in changes.iter().flatten() {
        booked = [0, 1].map(|n| booked[n] + change[n]);
    }
    assert_settled(&table);
    assert!(changes == [None, None] || !live(&table, key).is_empty(), "removed in spite of a packet");
    let left = live(&table, key).iter().fold([0, 0], |sum, (_, value)| [0, 1].map(|n| sum[n] + class(*value)[n]));
    assert_eq!(booked, left);
}

#[test]
fn the_accounts_are_right_when_a_sweep_meets_packets() {
    explore(None, 5, sweep_and_packets);
}

#[test]
#[should_panic(expected = "removed in spite of a packet")]
fn a_sweep_needs_to_see_that_the_entry_changed() {
    explore(Some(Fault::RemovesRefreshed), 5, sweep_and_packets);
}

/// An entry in the stash is found while the place before it changes hands, and the counter moves.
#[test]
fn a_stashed_entry_is_never_missed() {
    explore(None, 4, || {
        let keys = client(2, &[[0, 1], [1, 0], [0, 1], [0, 1], [0, 1]]);
        let [one, two, passing, resident, next] = keys[..] else { panic!() };
        let table = table(2, 2);
        put(&table, one, entry(1, 0));
        put(&table, two, entry(2, 0));
        let (slot, value) = put(&table, passing, entry(3, 0));
        put(&table, resident, entry(4, 0));
        let reader = {
            let table = table.clone();
            thread::spawn(move || {
                let (_, value) = table.lookup(resident, table.hash(resident)).expect("missed a stashed entry");
                (value.real(), table.lookup(next, table.hash(next)).map(|(_, value)| value.real()))
            })
        };
        table.remove(slot, value, tick(2), private).unwrap();
        let (slot, value) = put(&table, next, entry(5, 2));
        table.remove(slot, value, tick(4), private).unwrap();
        let (found, passed) = reader.join().unwrap();
        assert_eq!(found, RealId(4));
        assert!(passed.is_none_or(|real| real == RealId(5)));
        assert_settled(&table);
    });
}
