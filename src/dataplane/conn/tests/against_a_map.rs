//! The table against a plain map: whatever is done to both, they hold the same connections, replies find the same
//! ones, and the accounts agree. The geometry is so small that lines fill up, overflow and spill into the stash.
//!
//! Endpoints 1 and 2 are services, 3 and 4 the sockets of two real servers, which both services share: the real
//! servers 13, 14, 23 and 24, service first.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dataplane::address::Address;
use crate::dataplane::conn::identity::Line;

/// Something done to the table. Clients, services and real servers are small numbers.
#[derive(Clone, Debug)]
enum Step {
    /// A packet of no connection so far, in this state.
    Open { client: u32, service: u16, real: u16, state: u8 },
    /// The same, in the place of one that never came to life if need be.
    Press { client: u32, service: u16, real: u16, state: u8 },
    /// A packet of a connection changes its state.
    Change { client: u32, service: u16, state: u8 },
    /// A connection starts over with another real server.
    Move { client: u32, service: u16, real: u16 },
    /// A connection is removed, if it is old enough.
    Remove { client: u32, service: u16 },
    /// A connection is removed in any case.
    Flush { client: u32, service: u16 },
    /// Time passes.
    Pass { ticks: u32 },
    /// The whole table is swept.
    Sweep { links: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (client, service, real, state) = (0..24u32, 1..3u16, 3..5u16, 0..28u8);
    let new = (client.clone(), service.clone(), real.clone(), state.clone());
    let old = (client, service);
    prop_oneof![
        8 => new.clone().prop_map(|(client, service, real, state)| Step::Open { client, service, real, state }),
        4 => new.prop_map(|(client, service, real, state)| Step::Press { client, service, real, state }),
        4 => (old.clone(), state).prop_map(|((client, service), state)| Step::Change { client, service, state }),
        3 => (old.clone(), real).prop_map(|((client, service), real)| Step::Move { client, service, real }),
        2 => old.clone().prop_map(|(client, service)| Step::Remove { client, service }),
        1 => old.prop_map(|(client, service)| Step::Flush { client, service }),
        6 => prop_oneof![1..4u32, 8..3700u32].prop_map(|ticks| Step::Pass { ticks }),
        2 => any::<bool>().prop_map(|links| Step::Sweep { links }),
    ]
}

/// What a connection is, the table aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    state: State,
    seen: Tick,
    real: RealId,
}

impl Entry {
    fn of(value: Value) -> Self {
        Self { state: value.state(), seen: value.seen(), real: value.real() }
    }

    fn content(self) -> Value {
        Value::new(self.state, self.seen, self.real)
    }
}

fn sockets(real: RealId) -> Option<Outlet> {
    // A link's word, read as a connection's, names no real server in particular.
    let id = std::num::NonZeroU16::new(real.0 as u16 % 10)?;
    Some(Outlet { endpoint: EndpointId(id), port: 0, local: false })
}

fn socket(real: RealId) -> Socket {
    Socket { endpoint: endpoint(real.0 as u16 % 10), port: 0, local: false, first: Some(endpoint(9)) }
}

/// A key, by the number of its client.
trait Numbered: Identity + std::hash::Hash {
    fn numbered(client: u32, service: u16) -> Self;
}

impl Numbered for Key {
    fn numbered(client: u32, service: u16) -> Self {
        Self::new(0xc633_6400 + client, 40_000, endpoint(service))
    }
}

/// Two neighbours are one client that talks to two ports.
impl Numbered for WideKey {
    fn numbered(client: u32, service: u16) -> Self {
        let (from, to) = (Address::v4(0xc633_6400 + client / 2), Address::v4(0xcb00_710a));
        Self::new((from, 40_000), (to, 80 + (client % 2) as u16), endpoint(service))
    }
}

/// The table, and the map beside it.
struct Both<K: Identity> {
    table: Table<K>,
    map: HashMap<K, Entry>,
    now: Tick,
    /// Connections, by what was told of insertions and removals.
    account: i64,
}

impl<K: Numbered> Both<K> {
    fn new() -> Self {
        let slots = K::Line::SLOTS as u32;
        Self {
            table: Table::with_geometry(24 / slots, 8 / slots, 4 / slots as usize, SECRET).unwrap(),
            map: HashMap::new(),
            now: tick(Tick::MASK - 4000),
            account: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Open { client, service, real, state } => self.open(client, service, real, state, false),
            Step::Press { client, service, real, state } => self.open(client, service, real, state, true),
            Step::Change { client, service, state } => {
                self.change(K::numbered(client, service), State::from_number(state))
            }
            Step::Move { client, service, real } => {
                self.relocate(K::numbered(client, service), RealId(u32::from(service * 10 + real)))
            }
            Step::Remove { client, service } => self.remove(K::numbered(client, service)),
            Step::Flush { client, service } => self.flush(K::numbered(client, service)),
            Step::Pass { ticks } => self.now = self.now.after(ticks),
            Step::Sweep { links } => self.sweep(links),
        }
    }

    /// The connection that the answers from a link's socket belong to.
    fn answered(&self, link: K) -> Option<(K, Entry)> {
        let linked = |(key, entry): &(&K, &Entry)| key.link(socket(entry.real).outlet()) == link;
        self.map.iter().find(linked).map(|(key, entry)| (*key, *entry))
    }

    /// Whether another service has the tuple that this connection would have towards its real server.
    fn taken(&self, wanted: K, real: RealId) -> bool {
        self.answered(wanted.link(socket(real).outlet())).is_some_and(|(key, _)| key != wanted)
    }

    fn find(&self, key: K) -> Option<(Slot, Value)> {
        self.table.lookup(key, self.table.hash(key))
    }

    fn open(&mut self, client: u32, service: u16, real: u16, state: u8, press: bool) {
        let (key, real) = (K::numbered(client, service), RealId(u32::from(service * 10 + real)));
        let entry = Entry { state: State::from_number(state), seen: self.now, real };
        let (hash, link) = (self.table.hash(key), self.table.hash(key.link(socket(real).outlet())));
        let mut done = self.table.insert_linked(key, hash, entry.content(), socket(real), sockets);
        if press && done == LinkedInsert::Full {
            let mut evicted = Vec::new();
            let room = self
                .table
                .make_room(&[hash, link], self.now, sockets, |key, value| evicted.push((key, Entry::of(value))));
            evicted.into_iter().for_each(|(key, gone)| self.evicted(key, gone));
            if room {
                done = self.table.insert_linked(key, hash, entry.content(), socket(real), sockets);
            }
        }
        match done {
            LinkedInsert::Inserted(slot, value) => {
                assert!(!self.map.contains_key(&key) && !self.taken(key, real));
                assert_eq!(self.table.read(slot), Some((key, value)));
                self.map.insert(key, entry);
                self.account += 1;
            }
            LinkedInsert::Exists(slot, value) => {
                assert_eq!(self.map.get(&key), Some(&Entry::of(value)));
                assert_eq!(self.find(key), Some((slot, value)));
            }
            LinkedInsert::Ambiguous => assert!(!self.map.contains_key(&key) && self.taken(key, real)),
            LinkedInsert::Full => assert!(!self.map.contains_key(&key) && (self.is_full(hash) || self.is_full(link))),
            LinkedInsert::Busy(_) | LinkedInsert::NoPort => panic!("nobody else is here"),
        }
    }

    /// Nobody whom nobody may evict; tests.rs looks at whose turn it is.
    fn evicted(&mut self, key: K, gone: Entry) {
        assert!(turn(gone.state).is_some() && self.now.since(gone.seen) >= 2, "{gone:?} was evicted");
        assert_eq!(self.map.remove(&key), Some(gone));
        self.account -= 1;
    }

    /// Whether no place of a key is free, up to one: of two keys' places one may be the same.
    fn is_full(&self, hash: Hash) -> bool {
        let lines = self.table.candidates(hash).into_iter().chain(self.table.stash());
        lines.flat_map(Table::<K>::slots_of).filter(|slot| self.table.value(*slot).phase() == Phase::Free).count() <= 1
    }

    fn change(&mut self, key: K, state: State) {
        let Some((slot, value)) = self.find(key) else { return assert!(!self.map.contains_key(&key)) };
        let now = self.now;
        let updated = self.table.update(slot, value, |value| value.in_state(state, now)).unwrap();
        let entry = self.map.get_mut(&key).unwrap();
        if entry.state != state || now.since(entry.seen) >= 2 {
            *entry = Entry { state, seen: now, ..*entry };
        }
        assert_eq!(Entry::of(updated.new), *entry);
    }

    fn relocate(&mut self, key: K, real: RealId) {
        let Some((slot, value)) = self.find(key) else { return assert!(!self.map.contains_key(&key)) };
        match self.table.relink(slot, key, value, socket(real), self.now, sockets) {
            Ok(()) => {
                assert!(!self.taken(key, real));
                let now = self.now;
                self.table.update(slot, value, |value| value.with_real(real).with_seen(now)).unwrap();
                let entry = self.map.get_mut(&key).unwrap();
                *entry = Entry { real, seen: now, ..*entry };
            }
            Err(Unlinked::Ambiguous) => assert!(self.taken(key, real)),
            Err(Unlinked::Full) => assert!(self.is_full(self.table.hash(key.link(socket(real).outlet())))),
            Err(Unlinked::Busy | Unlinked::NoPort) => panic!("nobody else is here"),
        }
    }

    fn remove(&mut self, key: K) {
        let Some((slot, value)) = self.find(key) else { return assert!(!self.map.contains_key(&key)) };
        let removed = self.table.remove(slot, value, self.now, sockets);
        if self.now.since(self.map[&key].seen) < 2 {
            return assert_eq!(removed, Err(Kept::Young));
        }
        assert_eq!(removed, Ok(()));
        self.map.remove(&key);
        self.account -= 1;
    }

    fn flush(&mut self, key: K) {
        let Some((slot, value)) = self.find(key) else { return assert!(!self.map.contains_key(&key)) };
        assert!(self.table.flush(slot, value, self.now, sockets));
        self.map.remove(&key);
        self.account -= 1;
    }

    fn sweep(&mut self, links: bool) {
        let (timeouts, mut removed) = (Timeouts::default(), Vec::new());
        let slice = Slice { lines: 0..self.table.lines(), links };
        self.table.sweep(&slice, self.now, &timeouts, sockets, |key, value| removed.push((key, Entry::of(value))));
        let now = self.now;
        let expired = |entry: &Entry| now.since(entry.seen) >= timeouts.seconds(entry.state) * 4 + 2;
        let mut due: Vec<_> = self.map.extract_if(|_, entry| expired(entry)).collect();
        self.account -= due.len() as i64;
        let order = |(key, _): &(K, Entry)| (key.client(), key.destination(), key.endpoint().0);
        due.sort_by_key(order);
        removed.sort_by_key(order);
        assert_eq!(removed, due);
    }

    /// The same connections are there, and each socket's answers find the same one.
    fn compare(&self) {
        let mut there = HashMap::new();
        let mut links = 0;
        self.table.each(0..self.table.lines(), |slot, key, value| {
            if value.is_link() {
                links += 1;
            } else {
                assert_eq!(there.insert(key, Entry::of(value)), None, "{key:?} is there twice");
                assert_eq!(self.find(key), Some((slot, value)));
                let spot = self.table.spot(key, self.table.hash(key));
                assert_eq!(self.table.lookup_at(spot, key, self.table.hash(key)), Some((slot, value)));
            }
        });
        assert_eq!(there, self.map);
        assert_eq!(self.account, self.map.len() as i64);
        assert!(links >= self.map.len(), "each has its link");
        for client in 0..24 {
            for id in [3, 4] {
                let link = K::numbered(client, 1).link(Outlet { endpoint: endpoint(id), port: 0, local: false });
                let found = self.table.follow(link, self.table.hash(link), Some(endpoint(9)), sockets);
                assert_eq!(found.map(|(_, key, value)| (key, Entry::of(value))), self.answered(link));
            }
        }
    }

    /// After a sweep each connection has its link, and whatever other link there is counts as young still: one that was
    /// just made, or is about to come round.
    fn sweep_links(&mut self) {
        self.sweep(true);
        let mut links = 0;
        self.table.each(0..self.table.lines(), |_, key, value| {
            let Some(link) = entry::Link::of(value) else { return };
            let leads = self.table.target(key, value, sockets).is_some();
            assert!(leads || link.is_young(self.now), "an orphan is left");
            links += usize::from(leads);
        });
        assert_eq!(links, self.map.len());
    }

    /// When all connections have had their time, nothing is left of them.
    fn end(&mut self) {
        for _ in 0..24 {
            self.now = self.now.after(300);
            self.sweep_links();
        }
        let mut left = Vec::new();
        self.table.each(0..self.table.lines(), |slot, key, value| left.push((slot, key, value)));
        assert_eq!((left, self.table.stashed(), self.account), (Vec::new(), 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 200 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_a_map(steps in vec(step(), 1..400)) {
        play::<Key>(&steps);
    }

    #[test]
    fn the_table_of_wide_entries_is_a_map(steps in vec(step(), 1..400)) {
        play::<WideKey>(&steps);
    }
}

fn play<K: Numbered>(steps: &[Step]) {
    let mut both = Both::<K>::new();
    for step in steps {
        both.take(step);
        both.compare();
    }
    both.sweep_links();
    both.end();
}
