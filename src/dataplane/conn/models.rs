//! The protocol under loom: every interleaving, and every order that the memory model allows, up to a bound on
//! preemptions. Tables here have one slot a line and two lines a key, and none of an overflow level.
//!
//! A model that passes proves little unless it fails when the protocol is broken: each guard has a model that
//! commits the [`Fault`] of leaving it out and must panic with its own message.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loom::thread;

use super::*;
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::sync::Fault;
use crate::dataplane::sync::faults::commit;

const SECRET: [u64; 4] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3211, 0x0f1e_2d3c_4b5a_6978, 0x8796_a5b4_c3d2_e1f1];

mod entries;
mod evictions;
mod links;
mod wide;

/// Runs a model with up to `preemptions`, committing `fault`.
fn explore(fault: Option<Fault>, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    commit(fault);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

/// A table of `lines` slots and `stash` more.
fn table(lines: u32, stash: usize) -> Arc<Table> {
    Arc::new(Table::with_geometry(lines, 0, stash, SECRET).unwrap())
}

fn endpoint(id: u16) -> EndpointId {
    EndpointId(NonZeroU16::new(id).unwrap())
}

fn tick(number: u32) -> Tick {
    Tick::from_number(number)
}

fn entry(real: u32, seen: u32) -> Value {
    Value::new(State::UDP, tick(seen), RealId(real))
}

/// For a key that a model does not use.
const ANYWHERE: [u32; 2] = [u32::MAX; 2];

/// Finds a client whose keys towards endpoints 1, 2, … have these first and second lines.
fn client(lines: u32, wanted: &[[u32; 2]]) -> Vec<Key> {
    static FOUND: Mutex<BTreeMap<Vec<[u32; 2]>, u32>> = Mutex::new(BTreeMap::new());
    let keys = |address| (1..=wanted.len() as u16).map(move |id| Key::new(address, 7, endpoint(id)));
    let mut found = FOUND.lock().unwrap();
    let address = found.entry([&[[lines, 0]], wanted].concat()).or_insert_with(|| {
        let secret = hash::Secret::new(SECRET);
        let place = |key: Key| {
            let [first, second] = key.hash(&secret).main().map(|fraction| hash::at(fraction, lines));
            [first, if first == second { (second + 1) % lines } else { second }]
        };
        let fits =
            |address: &u32| keys(*address).zip(wanted).all(|(key, &lines)| lines == ANYWHERE || place(key) == lines);
        (1..10_000_000).find(fits).expect("a client whose keys lie so")
    });
    keys(*address).collect()
}

fn insert(table: &Table, key: Key, content: Value) -> Insert {
    table.insert(key, table.hash(key), content)
}

/// Inserts without anybody else around.
fn put(table: &Table, key: Key, content: Value) -> (Slot, Value) {
    match insert(table, key, content) {
        Insert::Inserted(slot, value) => (slot, value),
        other => panic!("{other:?}"),
    }
}

/// All live entries of a key, wherever they are.
fn live(table: &Table, key: Key) -> Vec<(Slot, Value)> {
    let mut found = Vec::new();
    table.each(0..table.lines(), |slot, holder, value| {
        if holder == key {
            found.push((slot, value));
        }
    });
    found
}

/// No slot is left pending or dead, or with a key that is nobody's.
fn assert_settled<K: Identity>(table: &Table<K>) {
    for slot in (0..table.lines()).map(|line| Slot::new(line, 0)) {
        match table.value(slot).phase() {
            Phase::Free => assert_eq!(table.key(slot), None),
            Phase::Live => assert!(table.key(slot).is_some(), "{slot:?} is left without its key"),
            other => panic!("{slot:?} is left {other:?}"),
        }
    }
    let stashed = table.stash().filter(|&line| table.value(Slot::new(line, 0)).is_live()).count();
    assert_eq!(table.stashed(), stashed as u64);
}

fn private(_: RealId) -> Option<Outlet> {
    None
}
