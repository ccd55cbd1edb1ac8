//! The table as one worker sees it.

use std::num::NonZeroU16;

use super::*;
use crate::dataplane::clock::Now;
use crate::dataplane::service::{EndpointId, RealId};

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
fn private(_: RealId) -> Option<EndpointId> {
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

#[test]
fn a_spot_leads_wherever_the_entry_is_by_then() {
    let table = table(0);
    // Rated load: some keys find their first line full.
    let keys: Vec<Key> = (0..32_768).map(|n| Key::new(n, 1024, endpoint(1))).collect();
    let spots: Vec<Spot> = keys.iter().map(|&key| table.spot(key, table.hash(key))).collect();
    assert!(spots.iter().all(|&spot| spot == Spot::ELSEWHERE));
    for &key in &keys {
        assert!(matches!(table.insert(key, table.hash(key), open(7, 100)), Insert::Inserted(..)));
    }
    let mut further = 0;
    for (&key, &early) in keys.iter().zip(&spots) {
        let hash = table.hash(key);
        let found = table.lookup(key, hash);
        let (slot, value) = found.unwrap();
        let spot = table.spot(key, hash);
        further += usize::from(spot == Spot::ELSEWHERE);
        assert_eq!(table.lookup_at(spot, key, hash), found);
        assert_eq!(table.lookup_at(early, key, hash), found, "inserted after the look");
        assert_eq!(table.remove(slot, value, tick(102), private), Ok(()));
        assert_eq!(table.lookup_at(spot, key, hash), None, "removed after the look");
        assert!(matches!(table.insert(key, hash, open(7, 100)), Insert::Inserted(..)));
    }
    assert!(further > 300, "{further} entries outside of their first line");
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
fn a_sweepers_shares_cover_the_table_within_a_second() {
    let lines = table(0).lines();
    let mut seen = vec![0; lines as usize];
    for index in 0..3 {
        let mut sweeper = Sweeper::new(lines, index, 3, Now::from_millis(5));
        for millis in 5..=1015 {
            if let Some(slice) = sweeper.due(Now::from_millis(millis)) {
                slice.lines.for_each(|line| seen[line as usize] += 1);
            }
        }
    }
    assert!(seen.iter().all(|&times| times == 1 || times == 2), "once, and the first lines of a share perhaps again");
    assert!(seen.iter().filter(|&&times| times == 2).count() < 200);
}
