//! Persistence templates: which real server a client, or a network of clients, keeps coming back to.
//!
//! A template is an entry of a table of its own, so that no flood of connections can drive it out and its long life does
//! not slow the others' sweep. Its key is the client's network and the service; its real server takes all connections from
//! there. As in IPVS (`ip_vs_core.c`, `ip_vs_conn.c`):
//! - each new connection renews it; its time is the service's persistence timeout;
//! - if that is over while connections made through it live, it gets another minute (or its whole time once more, if that
//!   is shorter), as often as need be;
//! - it is assured once one of them was established; one that never was gives way when the table is full.
//!
//! One that is flushed while such connections live becomes void: nobody sees it, and the next connection is given a real
//! server anew, but it goes on counting, so that the template that is made of it then lasts for all of them.
//!
//! How many connections live is counted beside the table, by slot, under the slot's generation: what is booked for a
//! former holder of the slot is nobody's.

use std::io;

use super::entry::{SHORTEST_LIFE, Value};
use super::hash::Hash;
use super::identity::Identity;
use super::insert::Insert;
use super::memory::{Backing, Memory};
use super::state::State;
use super::sweep::Slice;
use super::table::{Gone, Slot, Table};
use super::tick::Tick;
use super::timeouts::Timeouts;
use super::wide::WideKey;
use crate::dataplane::address::Address;
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::sync::{AtomicU64, Ordering};

/// How long a template whose time is over goes on for connections that live, in seconds.
const ANOTHER: u32 = 60;

/// How often a new template makes room for itself, since another worker's may take what it made.
const TRIES: u32 = 8;

/// The key of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TemplateKey(WideKey);

impl TemplateKey {
    /// The template of `client`'s network, of `prefix` bits, for `destination` (the VIP; 0.0.0.0 where there are several) of
    /// `service`.
    /// The length is part of it: a template of another mask is another.
    pub const fn new(client: Address, prefix: u8, destination: Address, service: EndpointId) -> Self {
        Self(WideKey::new((client.network(prefix), prefix as u16), (destination, 0), service))
    }

    /// The client, or its network.
    pub fn client(self) -> Address {
        self.0.client().address
    }

    /// The prefix length of the client's network.
    pub fn prefix(self) -> u8 {
        self.0.client().port as u8
    }

    /// The service.
    pub fn service(self) -> EndpointId {
        self.0.endpoint()
    }
}

/// A template that was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    slot: Slot,
    value: Value,
}

impl Template {
    /// Its real server.
    pub fn real(self) -> RealId {
        self.value.real()
    }

    /// Tells whether it was flushed: it names no real server.
    pub fn is_void(self) -> bool {
        self.value.is_void()
    }

    /// The same template as it is now.
    #[must_use]
    pub fn with(self, value: Value) -> Self {
        Self { value, ..self }
    }
}

/// What became of an attempt to make a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is made, and the caller accounts for the entry.
    New(Template, Value),
    /// Another worker had made it.
    Old(Template),
    /// There is no room for it.
    Full,
}

/// The templates, shared by all workers.
pub struct Templates {
    table: Table<WideKey>,
    /// By slot: generation (upper half) and number of connections.
    controlled: Memory<AtomicU64>,
}

impl Templates {
    /// Makes an empty table for so many; see [`Table::new`].
    ///
    /// # Errors
    /// As there.
    pub fn new(templates: usize, secret: [u64; 4]) -> io::Result<Self> {
        let table = Table::new(templates, secret)?;
        let controlled = Memory::touched(table.slots())?;
        Ok(Self { table, controlled })
    }

    /// How many lines there are to sweep or walk.
    pub fn lines(&self) -> u32 {
        self.table.lines()
    }

    /// What kind of pages they lie in.
    pub fn backing(&self) -> Backing {
        self.table.backing()
    }

    /// How many are in the stash: normally none.
    pub fn stashed(&self) -> u64 {
        self.table.stashed()
    }

    /// Finds a template.
    pub fn find(&self, key: TemplateKey) -> Option<Template> {
        self.table.lookup(key.0, self.table.hash(key.0)).map(|(slot, value)| Template { slot, value })
    }

    /// Makes a template unless there is one; where there is no room, `evicted` is told of one that gave way.
    pub fn make(&self, key: TemplateKey, real: RealId, now: Tick, mut evicted: impl FnMut(Value)) -> Made {
        let hash = self.table.hash(key.0);
        let content = Value::new(State::TEMPLATE_NONE, now, real);
        for _ in 0..TRIES {
            match self.table.insert(key.0, hash, content) {
                Insert::Inserted(slot, value) => return Made::New(Template { slot, value }, value),
                Insert::Exists(slot, value) => return Made::Old(Template { slot, value }),
                // This connection is one that its template does not know.
                Insert::Busy(_) => break,
                Insert::Full if !self.make_room(hash, now, &mut evicted) => break,
                Insert::Full => {}
            }
        }
        Made::Full
    }

    fn make_room(&self, hash: Hash, now: Tick, evicted: &mut impl FnMut(Value)) -> bool {
        let counted = |_, value: Value| {
            if !value.is_void() {
                evicted(value)
            }
        };
        self.table.make_room(&[hash], now, |_| None, counted)
    }

    /// Gives a template another real server, unless another worker already did; it begins anew. Returns the entry before,
    /// if it was not void, and after, for the caller to account for.
    ///
    /// # Errors
    /// [`Gone`] if it is no longer there.
    pub fn reassign(&self, template: Template, real: RealId, now: Tick) -> Result<(Option<Value>, Value), Gone> {
        let renew = |value: Value| {
            let same = value.real() == template.value.real() && value.is_void() == template.is_void();
            let anew = value.in_state(State::TEMPLATE_NONE, now).with_real(real).with_seen(now).with_void(false);
            if same { anew } else { value }
        };
        let updated = self.table.update(template.slot, template.value, renew)?;
        Ok((Some(updated.old).filter(|old| !old.is_void()), updated.new))
    }

    /// A connection was made through the template: it is counted, and the template's time begins anew. Nothing happens to
    /// a template that is gone.
    pub fn take(&self, template: Template, now: Tick) {
        self.count(template, 1);
        if self.table.update(template.slot, template.value, |value| value.with_seen(now)).is_err() {
            self.count(template, -1);
        }
    }

    /// A packet went by the template, of which no connection was made: the template's time begins anew.
    pub fn renew(&self, template: Template, now: Tick) {
        // Nothing happens to a template that is gone.
        let _ = self.table.update(template.slot, template.value, |value| value.with_seen(now));
    }

    /// A connection that was made through `key`'s template is over.
    pub fn leave(&self, key: TemplateKey) {
        if let Some(template) = self.find(key) {
            self.count(template, -1);
        }
    }

    /// A connection that was made through `key`'s template is established.
    pub fn assure(&self, key: TemplateKey) {
        if let Some(Template { slot, value }) = self.find(key)
            && value.state() == State::TEMPLATE_NONE
        {
            // A template that is gone, or somebody else's, needs no assurance.
            let _ = self.table.update(slot, value, |value| value.in_state(State::TEMPLATE_ASSURED, value.seen()));
        }
    }

    /// Removes the templates in `slice` whose time is over and that no connection needs, and tells `removed` of each. One
    /// that is not `wanted` any more needs no connection's consent.
    pub fn sweep(
        &self,
        slice: &Slice,
        now: Tick,
        timeouts: &Timeouts,
        wanted: impl Fn(TemplateKey, RealId) -> bool,
        mut removed: impl FnMut(Value),
    ) {
        self.table.each_due(slice, now, timeouts, |slot, value| {
            let template = Template { slot, value };
            let Some((key, _)) = self.table.read(slot) else { return };
            if self.controlled(template) > 0 && wanted(TemplateKey(key), value.real()) {
                let seconds = timeouts.of(value).saturating_sub(ANOTHER);
                let seen = now.before(seconds * 4 + SHORTEST_LIFE);
                // Whoever changed it meanwhile renewed it.
                let _ = self.table.update(slot, value, |now| if now == value { value.with_seen(seen) } else { now });
            } else if self.table.flush(slot, value, now, |_| None) && !value.is_void() {
                removed(value);
            }
        });
    }

    /// Calls `template` for each in `lines` that is not void.
    pub fn each(&self, lines: std::ops::Range<u32>, mut template: impl FnMut(Slot, TemplateKey, Value)) {
        self.table.each(lines, |slot, key, value| {
            if !value.is_void() {
                template(slot, TemplateKey(key), value);
            }
        });
    }

    /// Removes a template whatever its age, as [`Table::flush`], or makes it void if connections live that were made
    /// through it; and tells whether it did, so that the caller accounts for the entry.
    pub fn flush(&self, slot: Slot, seen: Value, now: Tick) -> bool {
        if seen.is_void() {
            return false;
        }
        if self.controlled(Template { slot, value: seen }) == 0 {
            return self.table.flush(slot, seen, now, |_| None);
        }
        let void = |value: Value| if value == seen { value.with_void(true) } else { value };
        self.table.update(slot, seen, void).is_ok_and(|updated| updated.old != updated.new)
    }

    /// Reads a slot.
    pub fn read(&self, slot: Slot) -> Option<(TemplateKey, Value)> {
        self.table.read(slot).map(|(key, value)| (TemplateKey(key), value))
    }

    /// How many connections live that were made through a template.
    fn controlled(&self, template: Template) -> u32 {
        let Some(word) = self.controlled.get(template.slot.number() as usize) else { return 0 };
        counted(word.load(Ordering::Relaxed), template.value)
    }

    fn count(&self, template: Template, n: i32) {
        let Some(word) = self.controlled.get(template.slot.number() as usize) else { return };
        let mut old = word.load(Ordering::Relaxed);
        loop {
            let count = counted(old, template.value).saturating_add_signed(n);
            let new = u64::from(template.value.generation()) << 32 | u64::from(count);
            match word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
    }
}

/// The count in `word`, if it is this entry's.
fn counted(word: u64, value: Value) -> u32 {
    if word >> 32 == u64::from(value.generation()) { word as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    const CLIENT: Address = Address::v4(0xc633_6407);
    const REAL: RealId = RealId(5);

    fn service(id: u16) -> EndpointId {
        EndpointId(NonZeroU16::new(id).unwrap())
    }

    const VIP: Address = Address::v4(1);

    fn key(client: Address) -> TemplateKey {
        TemplateKey::new(client, 24, VIP, service(7))
    }

    fn beside(client: Address, other: u32) -> Address {
        Address::v4(client.low() ^ other)
    }

    fn tick(number: u32) -> Tick {
        Tick::from_number(number)
    }

    fn make(templates: &Templates, key: TemplateKey, now: Tick) -> Template {
        match templates.make(key, REAL, now, |_| panic!("nobody gives way")) {
            Made::New(template, _) => template,
            other => panic!("{other:?}"),
        }
    }

    fn sweep(templates: &Templates, now: Tick, wanted: bool) -> usize {
        let timeouts = Timeouts::default().with_persistence([0, 0, 0, 0, 0, 300]);
        let mut removed = 0;
        let all = Slice { lines: 0..templates.lines(), links: false };
        templates.sweep(&all, now, &timeouts, |_, _| wanted, |_| removed += 1);
        removed
    }

    #[test]
    fn clients_of_one_network_share_a_template() {
        let one = key(CLIENT);
        assert_eq!((one.client(), one.prefix(), one.service()), (CLIENT.network(24), 24, service(7)));
        assert_eq!(one, key(beside(CLIENT, 0xff)));
        assert_ne!(one, key(beside(CLIENT, 0x100)));
        assert_ne!(one, TemplateKey::new(CLIENT.network(24), 32, VIP, service(7)), "another mask");
        assert_ne!(one, TemplateKey::new(CLIENT, 24, Address::v4(2), service(7)), "another VIP");
        assert_ne!(one, TemplateKey::new(CLIENT, 24, VIP, service(8)));
        assert_eq!(TemplateKey::new(CLIENT, 0, VIP, service(7)), TemplateKey::new(Address::v4(0), 0, VIP, service(7)));
        assert_eq!(TemplateKey::new(CLIENT, 32, VIP, service(7)).client(), CLIENT);
        let six = |low: u128| Address::from_bits(0x2001_0db8 << 96 | low);
        let network = TemplateKey::new(six(0x1234), 64, six(1), service(7));
        assert_eq!((network.client(), network.prefix(), network.service()), (six(0), 64, service(7)));
        assert_eq!(network, TemplateKey::new(six(0x5678), 64, six(1), service(7)));
        assert_ne!(network, TemplateKey::new(six(1 << 64), 64, six(1), service(7)));
    }

    #[test]
    fn a_template_lasts_from_its_last_new_connection() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        let template = make(&templates, key(CLIENT), tick(100));
        templates.take(template, tick(500));
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(500 + 1201), true), 0);
        assert_eq!(sweep(&templates, tick(500 + 1202), true), 1);
        assert_eq!(templates.find(key(CLIENT)), None);
    }

    #[test]
    fn one_that_connections_need_gets_another_minute() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        let template = make(&templates, key(CLIENT), tick(100));
        templates.take(template, tick(100));
        templates.take(templates.find(key(CLIENT)).unwrap(), tick(100));
        let over = 100 + 1202;
        assert_eq!(sweep(&templates, tick(over), true), 0);
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(over + 239), true), 0);
        assert_eq!(sweep(&templates, tick(over + 240), true), 0, "one connection is left");
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(over + 479), true), 0);
        assert_eq!(sweep(&templates, tick(over + 480), true), 1);
    }

    #[test]
    fn one_that_is_flushed_goes_on_counting_for_those_that_were_made_through_it() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        let template = make(&templates, key(CLIENT), tick(100));
        templates.take(template, tick(100));
        assert!(templates.flush(template.slot, template.value, tick(200)));
        let void = templates.find(key(CLIENT)).unwrap();
        assert!(void.is_void() && !templates.flush(void.slot, void.value, tick(201)));
        templates.each(0..templates.lines(), |_, _, _| panic!("nobody sees it"));
        // The next connection, and its template.
        let (before, after) = templates.reassign(void, RealId(5), tick(300)).unwrap();
        assert_eq!((before, after.real(), after.is_void()), (None, RealId(5), false));
        templates.take(void.with(after), tick(300));
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(300 + 1202), true), 0, "the new one lives");
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(300 + 1202 + 240), true), 1);
    }

    #[test]
    fn one_that_is_flushed_and_not_needed_is_gone() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        let template = make(&templates, key(CLIENT), tick(100));
        templates.take(template, tick(100));
        assert!(templates.flush(template.slot, template.value, tick(200)));
        templates.leave(key(CLIENT));
        assert_eq!(sweep(&templates, tick(100 + 1202), true), 0, "it was accounted for");
        assert_eq!(templates.find(key(CLIENT)), None);
        let template = make(&templates, key(CLIENT), tick(3000));
        assert!(templates.flush(template.slot, template.value, tick(3000)));
        assert_eq!(templates.find(key(CLIENT)), None);
    }

    #[test]
    fn nobody_keeps_one_that_is_not_wanted() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        templates.take(make(&templates, key(CLIENT), tick(100)), tick(100));
        assert_eq!(sweep(&templates, tick(100 + 1202), false), 1);
        // Its slot's next holder does not inherit the count.
        make(&templates, key(CLIENT), tick(5000));
        assert_eq!(sweep(&templates, tick(5000 + 1202), true), 1);
    }

    #[test]
    fn an_assured_one_does_not_give_way() {
        let templates = Templates {
            table: Table::with_geometry(2, 4, 0, [1; 4]).unwrap(),
            controlled: Memory::touched(24).unwrap(),
        };
        let mut made = Vec::new();
        for client in 0.. {
            match templates.make(key(Address::v4(client << 8)), REAL, tick(100), |_| {}) {
                Made::New(..) => made.push(client << 8),
                Made::Full => break,
                Made::Old(_) => panic!(),
            }
        }
        assert!(made.len() > 5, "{made:?}");
        for client in &made[1..] {
            templates.assure(key(Address::v4(*client)));
        }
        let mut evicted = 0;
        for client in 1000..1100 {
            templates.make(key(Address::v4(client << 8)), REAL, tick(102), |_| evicted += 1);
        }
        assert!(made[1..].iter().all(|client| templates.find(key(Address::v4(*client))).is_some()));
        assert_eq!((evicted, templates.find(key(Address::v4(made[0])))), (1, None));
    }

    #[test]
    fn another_real_server_begins_anew() {
        let templates = Templates::new(0, [1, 2, 3, 4]).unwrap();
        make(&templates, key(CLIENT), tick(100));
        templates.assure(key(CLIENT));
        let template = templates.find(key(CLIENT)).unwrap();
        assert_eq!(template.value.state(), State::TEMPLATE_ASSURED);
        let (old, new) = templates.reassign(template, RealId(6), tick(200)).unwrap();
        assert_eq!((old.map(Value::real), new.real(), new.state()), (Some(REAL), RealId(6), State::TEMPLATE_NONE));
        assert_eq!(templates.find(key(CLIENT)).unwrap().real(), RealId(6));
    }
}
