//! The table as one worker sees it.

use std::collections::HashMap;
use std::num::NonZeroU16;

use super::*;
use crate::dataplane::address::Address;
use crate::dataplane::clock::Now;
use crate::dataplane::service::{EndpointId, RealId};

mod against_a_map;

const SECRET: [u64; 4] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3211, 0x0f1e_2d3c_4b5a_6978, 0x8796_a5b4_c3d2_e1f1];

fn endpoint(id: u16) -> EndpointId {
    EndpointId(NonZeroU16::new(id).unwrap())
}

fn tick(number: u32) -> Tick {
    Tick::from_number(number)
}

fn table(connections: usize) -> Table {
    Table::new(connections, SECRET).unwrap()
}

fn open(real: u32, seen: u32) -> Value {
    Value::new(State::TCP_ESTABLISHED, tick(seen), RealId(real))
}

/// No real server's socket is shared.
fn private(_: RealId) -> Option<Outlet> {
    None
}

fn whole(table: &Table) -> Slice {
    Slice { lines: 0..table.lines(), links: true }
}

#[test]
fn an_entry_is_found_changed_and_removed() {
    let table = table(0);
    let key = Key::new(0x0a00_0001, 40_000, endpoint(1));
    let hash = table.hash(key);
    assert_eq!(table.lookup(key, hash), None);

    let Insert::Inserted(slot, value) = table.insert(key, hash, open(7, 100)) else { panic!() };
    assert_eq!(table.lookup(key, hash), Some((slot, value)));
    assert_eq!(table.read(slot), Some((key, value)));
    assert_eq!((value.phase(), value.real(), value.state()), (Phase::Live, RealId(7), State::TCP_ESTABLISHED));
    assert_eq!(table.insert(key, hash, open(8, 100)), Insert::Exists(slot, value));

    let updated = table.update(slot, value, |value| value.in_state(State::TCP_FIN_WAIT, tick(101))).unwrap();
    assert_eq!(updated.old, value);
    assert_eq!(table.lookup(key, hash), Some((slot, updated.new)));

    assert_eq!(table.remove(slot, updated.new, tick(102), private), Err(Kept::Young));
    assert_eq!(table.remove(slot, value, tick(103), private), Err(Kept::Changed));
    assert_eq!(table.remove(slot, updated.new, tick(103), private), Ok(()));
    assert_eq!(table.lookup(key, hash), None);
    assert_eq!(table.update(slot, updated.new, |value| value.counted()), Err(Gone));
}

/// A reader takes a slot's later life for the one it knows if the slot comes to the same generation between two of its
/// steps. That takes 16 seconds at least, however eagerly its owners are removed.
#[test]
fn a_slots_generation_comes_round_after_sixteen_seconds() {
    let table = table(0);
    let key = Key::new(0x0a00_0001, 40_000, endpoint(1));
    let (start, mut now, mut lives) = (tick(100), tick(100), 0);
    let Insert::Inserted(place, first) = table.insert(key, table.hash(key), open(7, 100)) else { panic!() };
    let mut value = first;
    loop {
        while table.remove(place, value, now, private) == Err(Kept::Young) {
            now = now.after(1);
        }
        let Insert::Inserted(slot, next) = table.insert(key, table.hash(key), open(7, now.number())) else { panic!() };
        assert_eq!(slot, place);
        assert_ne!(next, first, "not even then is it the same word");
        (value, lives) = (next, lives + 1);
        if value.generation() == first.generation() {
            break;
        }
    }
    assert_eq!(lives, 32);
    assert!(now.since(start) >= 16 * 4, "{} ticks", now.since(start));
}

#[test]
fn a_spot_leads_wherever_the_entry_is_by_then() {
    let table = table(0);
    // Rated load: some keys find their first line full.
    let keys: Vec<Key> = (0..32_768).map(|n| Key::new(n, 1024, endpoint(1))).collect();
    let spots: Vec<Spot> = keys.iter().map(|&key| table.spot(key, table.hash(key))).collect();
    assert!(spots.iter().all(|&spot| spot == Spot::ELSEWHERE));
    assert!(keys.iter().all(|&key| table.spot_second(key, table.hash(key)) == Spot::ELSEWHERE));
    for &key in &keys {
        assert!(matches!(table.insert(key, table.hash(key), open(7, 100)), Insert::Inserted(..)));
    }
    let (mut further, mut farthest) = (0, 0);
    for (&key, &early) in keys.iter().zip(&spots) {
        let hash = table.hash(key);
        let found = table.lookup(key, hash);
        let (slot, value) = found.unwrap();
        let mut spot = table.spot(key, hash);
        if spot == Spot::ELSEWHERE {
            further += 1;
            spot = table.spot_second(key, hash);
            farthest += usize::from(spot == Spot::ELSEWHERE);
        }
        assert_eq!(table.lookup_at(spot, key, hash), found);
        assert_eq!(table.lookup_at(early, key, hash), found, "inserted after the look");
        assert_eq!(table.remove(slot, value, tick(102), private), Ok(()));
        assert_eq!(table.lookup_at(spot, key, hash), None, "removed after the look");
        assert!(matches!(table.insert(key, hash, open(7, 100)), Insert::Inserted(..)));
    }
    assert!(further > 300, "{further} entries outside of their first line");
    assert!((30..300).contains(&farthest), "{farthest} in neither of their main lines");
}

/// Fills a table with what it is rated for, replaces that four times over in random order, and returns the share of entries
/// that were in their first line in the end.
fn turned_over<K: Identity>(rated: usize, key: impl Fn(u32) -> K) -> f64 {
    let table = Table::<K>::new(rated, SECRET).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut held = Vec::new();
    for n in 0..5 * rated as u32 {
        let now = tick(4 * n);
        if held.len() == rated {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (slot, value) = held.swap_remove((random % rated as u64) as usize);
            assert_eq!(table.remove(slot, value, now, private), Ok(()));
        }
        let key = key(n);
        let Insert::Inserted(slot, value) = table.insert(key, table.hash(key), open(1, now.number())) else {
            panic!("no place for entry {n}")
        };
        held.push((slot, value));
    }
    let first = held.iter().filter(|(slot, _)| {
        let (key, _) = table.read(*slot).unwrap();
        table.spot(key, table.hash(key)) != Spot::ELSEWHERE
    });
    first.count() as f64 / rated as f64
}

#[test]
fn a_table_holds_what_it_is_rated_for_under_turnover() {
    let narrow = turned_over(32_768, |n| Key::new(n, 1024, endpoint(1)));
    assert!((0.82..0.86).contains(&narrow), "{narrow}");
    let wide = turned_over(13_107, |n| WideKey::new((Address::v4(n), 1024), (Address::v4(7), n as u16), endpoint(1)));
    assert!((0.72..0.78).contains(&wide), "{wide}");
}

#[test]
fn wide_keys_go_the_same_way() {
    let table = Table::<WideKey>::new(0, SECRET).unwrap();
    let keys = [(1, 2, 3, 4), (9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9)];
    let keys = keys.map(|(client, port, to, to_port)| {
        WideKey::new((Address::v4(client), port), (Address::v4(to), to_port), endpoint(1))
    });
    let entries = keys.map(|key| match table.insert(key, table.hash(key), open(key.client().port.into(), 100)) {
        Insert::Inserted(slot, value) => (slot, value),
        other => panic!("{other:?}"),
    });
    for (key, (slot, value)) in keys.into_iter().zip(entries) {
        let hash = table.hash(key);
        assert_eq!(table.lookup(key, hash), Some((slot, value)));
        assert_eq!(table.lookup_at(table.spot(key, hash), key, hash), Some((slot, value)));
        assert_eq!(table.read(slot), Some((key, value)));
        assert_eq!(table.insert(key, hash, open(8, 100)), Insert::Exists(slot, value));
    }
    let mut removed = Vec::new();
    let slice = Slice { lines: 0..table.lines(), links: true };
    table.sweep(&slice, tick(100 + 900 * 4 + 1), &Timeouts::default(), private, |key, _| removed.push(key));
    assert!(removed.is_empty());
    table.sweep(&slice, tick(100 + 900 * 4 + 2), &Timeouts::default(), private, |key, _| removed.push(key));
    assert_eq!(removed.len(), keys.len());
    assert!(keys.iter().all(|key| removed.contains(key) && table.lookup(*key, table.hash(*key)).is_none()));
}

#[test]
fn the_sweep_removes_what_has_expired_and_nothing_else() {
    let table = table(0);
    let timeouts = Timeouts::default();
    let keys: Vec<Key> = (0..1000).map(|port| Key::new(1, port, endpoint(1))).collect();
    for (n, &key) in keys.iter().enumerate() {
        table.insert(key, table.hash(key), open(1, n as u32));
    }
    let mut removed = Vec::new();
    let now = tick(900 * 4 + 2 + 499);
    table.sweep(&whole(&table), now, &timeouts, private, |key, _| removed.push(key.client_port()));
    removed.sort();
    assert_eq!(removed, (0..500).collect::<Vec<u16>>());
    for (n, &key) in keys.iter().enumerate() {
        assert_eq!(table.lookup(key, table.hash(key)).is_some(), n >= 500);
    }
}

#[test]
fn a_sweepers_shares_cover_the_table_within_two_fifths_of_a_second() {
    let lines = table(0).lines();
    let mut seen = vec![0; lines as usize];
    for index in 0..3 {
        let mut sweeper = Sweeper::new(lines, index, 3, Now::from_millis(5));
        for millis in 5..=409 {
            if let Some(slice) = sweeper.due(Now::from_millis(millis)) {
                slice.lines.for_each(|line| seen[line as usize] += 1);
            }
        }
    }
    assert!(seen.iter().all(|&times| times == 1 || times == 2), "once, and the first lines of a share perhaps again");
    assert!(seen.iter().filter(|&&times| times == 2).count() < 200);
}

/// Connections to a service with a timeout of 3 s that begin at any moment; every other one has a second packet just before
/// its tick would be written again.
#[test]
fn nothing_is_removed_early_nor_a_second_late() {
    const AGAIN: u64 = 499;
    let table = table(0);
    let timeouts = Timeouts::default().with(State::UDP, 3);
    let mut sweeper = Sweeper::new(table.lines(), 0, 1, Now::from_millis(0));
    let begins = |n: u32| u64::from(n) * 7 + 11;
    let (mut next, mut again, mut removed) = (0, 0, 0);
    for now in 0..60_000 {
        let tick = Tick::at(Now::from_millis(now));
        for n in (next..6000).take_while(|&n| begins(n) <= now) {
            let key = Key::new(n, 1024, endpoint(1));
            let inserted = table.insert(key, table.hash(key), Value::new(State::UDP, tick, RealId(1)));
            assert!(matches!(inserted, Insert::Inserted(..)));
            next = n + 1;
        }
        for n in (again..6000).take_while(|&n| begins(n) + AGAIN <= now) {
            let key = Key::new(n, 1024, endpoint(1));
            if n % 2 == 1 {
                let (slot, value) = table.lookup(key, table.hash(key)).unwrap();
                table.update(slot, value, |value| value.touched(tick)).unwrap();
            }
            again = n + 1;
        }
        while let Some(slice) = sweeper.due(Now::from_millis(now)) {
            table.sweep(&slice, tick, &timeouts, private, |key, _| {
                let n = key.client().address.low();
                let last = begins(n) + if n % 2 == 1 { AGAIN } else { 0 };
                assert!((last + 3000..=last + 4000).contains(&now), "{n}: from {last} to {now}");
                removed += 1;
            });
        }
    }
    assert_eq!(removed, 6000);
}

/// The turn in which a state is evicted, said once more.
fn turn(state: State) -> Option<u8> {
    match (state.protocol(), state.name()) {
        ("TCP", "NONE" | "SYN_SENT" | "SYN_RECV" | "SYNACK") => Some(1),
        ("SCTP", "NONE" | "INIT1" | "INIT" | "C-SENT") => Some(1),
        ("", "NONE") => Some(1),
        ("UDP", _) if state == State::UDP_ONE_WAY => Some(2),
        _ => None,
    }
}

/// Fills a small table with entries in all states, and checks each eviction against a plain list of what lies where.
#[test]
fn whom_a_newcomer_drives_out() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut below = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % n
    };
    let table = Table::with_geometry(12, 4, 1, SECRET).unwrap();
    let mut held: HashMap<Slot, Value> = HashMap::new();
    let (mut now, mut turns, mut refused) = (tick(100), [0; 3], 0);
    for n in 0..20_000 {
        now = now.after(u32::from(below(40) == 0));
        let key = Key::new(n, 7, endpoint(1));
        let hash = table.hash(key);
        let state = State::from_number(below(31) as u8);
        let content = Value::new(state, now, RealId(1 + n));
        let mut inserted = table.insert(key, hash, content);
        if inserted == Insert::Full {
            let lines = table.candidates(hash);
            let near = held.iter().filter(|(slot, _)| lines.contains(&slot.line()));
            let may_go = near.filter(|(_, value)| turn(value.state()).is_some() && now.since(value.seen()) >= 2);
            let rank = |value: &Value| (turn(value.state()), std::cmp::Reverse(now.since(value.seen())));
            let first = may_go.map(|(_, value)| rank(value)).min();
            let mut gone = Vec::new();
            let room = table.make_room(&[hash], now, private, |_, value| gone.push(value));
            assert_eq!(gone.iter().map(rank).collect::<Vec<_>>(), first.into_iter().collect::<Vec<_>>());
            assert_eq!(room, first.is_some());
            for value in &gone {
                turns[usize::from(turn(value.state()).unwrap())] += 1;
                held.retain(|_, kept| kept != value);
            }
            if room {
                assert!(table.make_room(&[hash], now, private, |_, value| panic!("{value:?} went for nothing")));
                inserted = table.insert(key, hash, content);
            } else {
                refused += 1;
            }
        }
        if let Insert::Inserted(slot, value) = inserted {
            held.insert(slot, value);
        }
        if below(4) == 0 {
            // The oldest ends, or comes to life.
            let (slot, value) = held.iter().min_by_key(|(_, value)| value.real().0).map(|(s, v)| (*s, *v)).unwrap();
            held.remove(&slot);
            if below(3) == 0 {
                let updated = table.update(slot, value, |value| value.in_state(State::TCP_ESTABLISHED, now)).unwrap();
                held.insert(slot, updated.new);
            } else {
                assert!(table.flush(slot, value, now, private));
            }
        }
        if n % 64 == 0 {
            let mut there = HashMap::new();
            table.each(0..table.lines(), |slot, _, value| _ = there.insert(slot, value));
            assert_eq!(there, held);
        }
    }
    assert!(turns[1] > 500 && turns[2] > 20 && refused > 500, "{turns:?}, {refused} refused");
}

#[test]
fn a_connection_goes_with_its_link_and_only_where_that_helps() {
    let socket = Socket { endpoint: endpoint(9), port: 0, local: false, first: Some(endpoint(8)) };
    let sockets = |_: RealId| Some(socket.outlet());
    let table = Table::with_geometry(4, 2, 0, SECRET).unwrap();
    let opening = |seen| Value::new(State::TCP_SYN_RECV, tick(seen), RealId(1));
    let mut n = 0;
    let mut next = || {
        n += 1;
        Key::new(n, 7, endpoint(1))
    };
    while table.stashed() == 0 {
        let key = next();
        if table.insert_linked(key, table.hash(key), opening(100), socket, sockets) == LinkedInsert::Full {
            break;
        }
    }
    for _ in 0..50 {
        let key = next();
        let hashes = [table.hash(key), table.hash(key.towards(endpoint(9)))];
        let count = || {
            let (mut connections, mut links) = (0, 0);
            table.each(0..table.lines(), |_, _, value| {
                *if value.is_link() { &mut links } else { &mut connections } += 1
            });
            (connections, links)
        };
        let (before, mut evicted) = (count(), 0);
        assert!(!table.make_room(&hashes, tick(101), sockets, |_, _| evicted += 1) || evicted == 0, "too young");
        let room = table.make_room(&hashes, tick(102), sockets, |_, _| evicted += 1);
        let after = count();
        assert_eq!((after.0 + evicted, after.1 + evicted), before, "each with its link");
        if room {
            let inserted = table.insert_linked(key, hashes[0], opening(100), socket, sockets);
            assert!(matches!(inserted, LinkedInsert::Inserted(..) | LinkedInsert::Full), "{inserted:?}");
        }
    }
}
