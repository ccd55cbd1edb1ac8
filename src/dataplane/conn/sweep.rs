//! Removing entries: when their time is over, a slice of the table at a time, between bursts.
//!
//! Whoever swaps a live entry for a dead one has removed it, and alone accounts for it, removes its link and frees
//! the slot. A packet that refreshes the entry meanwhile changes the word, and the removal fails, which is right.

use std::ops::Range;

use super::entry::{Link, Phase, SHORTEST_LIFE, Value};
use super::identity::{Identity, Line};
use super::link::Outlet;
use super::table::{Slot, Table};
use super::tick::Tick;
use super::timeouts::Timeouts;
use crate::dataplane::clock::Now;
use crate::dataplane::service::RealId;
use crate::dataplane::sync::{Fault, commits};

/// Why an entry was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is younger than [`SHORTEST_LIFE`].
    Young,
    /// It changed, or is gone.
    Changed,
}

impl<K: Identity> Table<K> {
    /// Removes a live entry, and its link. `seen` is what a lookup returned. The caller accounts for it.
    ///
    /// # Errors
    /// [`Kept`]: nothing happened.
    pub fn remove(
        &self,
        slot: Slot,
        seen: Value,
        now: Tick,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> Result<(), Kept> {
        if now.since(seen.seen()) < SHORTEST_LIFE {
            return Err(Kept::Young);
        }
        if self.retire(slot, seen, now, &sockets, |_, _| {}) { Ok(()) } else { Err(Kept::Changed) }
    }

    /// [`Table::remove`] whatever the entry's age, and tells whether it did. For a caller that comes by each slot at most
    /// once in [`SHORTEST_LIFE`] ticks, so that a slot's owners still follow each other slowly enough to be told apart.
    pub fn flush(&self, slot: Slot, seen: Value, now: Tick, sockets: impl Fn(RealId) -> Option<Outlet>) -> bool {
        self.retire(slot, seen, now, &sockets, |_, _| {})
    }

    /// Removes what has expired in `slice`, and tells `removed` of each connection, for the caller to account for.
    /// Links that lead nowhere go too.
    pub fn sweep(
        &self,
        slice: &Slice,
        now: Tick,
        timeouts: &Timeouts,
        sockets: impl Fn(RealId) -> Option<Outlet>,
        mut removed: impl FnMut(K, Value),
    ) {
        self.each_due(slice, now, timeouts, |slot, value| {
            if value.is_link() {
                self.expire_link(slot, value, now, &sockets);
            } else {
                self.retire(slot, value, now, &sockets, &mut removed);
            }
        });
    }

    /// Calls `due` for each entry in `slice` whose time is over, and for each link that is to be looked at.
    #[inline(always)]
    pub(super) fn each_due(&self, slice: &Slice, now: Tick, timeouts: &Timeouts, mut due: impl FnMut(Slot, Value)) {
        let limits = timeouts.limits(slice.links);
        // Between bursts a slice is short: what is asked for here is the next one.
        let ahead = (slice.lines.len() as u32).min(FARTHEST_AHEAD);
        for number in slice.lines.clone() {
            self.prefetch_line(number + ahead);
            let values = self.line(number).values();
            let values = values.as_ref();
            let old = old(values, now, limits);
            if old != 0 {
                for place in (0..K::Line::SLOTS).filter(|place| old & 1 << place != 0) {
                    let (slot, value) = (Slot::new(number, place), values[place]);
                    if value.is_link() || timeouts.expired(value, now) {
                        due(slot, value);
                    }
                }
            }
        }
    }

    #[cold]
    fn expire_link(&self, slot: Slot, seen: Value, now: Tick, sockets: &impl Fn(RealId) -> Option<Outlet>) {
        if let Some(link) = Link::of(seen)
            && self.is_orphan(slot, seen, link, now, sockets)
        {
            self.remove_word(slot, seen);
        }
    }

    fn is_orphan(
        &self,
        slot: Slot,
        seen: Value,
        link: Link,
        now: Tick,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
    ) -> bool {
        if link.is_young(now) && !commits(Fault::YoungOrphans) {
            return false;
        }
        match self.read(slot) {
            Some((key, value)) if value == seen => self.forward(key, link, sockets).is_none(),
            _ => false,
        }
    }

    /// Makes a connection's entry dead and, if that worked, does everything that follows from it.
    #[cold]
    pub(super) fn retire(
        &self,
        slot: Slot,
        seen: Value,
        now: Tick,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
        removed: impl FnOnce(K, Value),
    ) -> bool {
        if !seen.is_live() {
            return false;
        }
        match self.exchange(slot, seen, seen.in_phase(Phase::Dead)) {
            Ok(()) => {}
            Err(other) if commits(Fault::RemovesRefreshed) => return self.retire(slot, other, now, sockets, removed),
            Err(_) => return false,
        }
        if let Some(key) = self.key(slot) {
            removed(key, seen);
            if let Some(socket) = sockets(seen.real())
                && let Some(link_key) = self.link_key(slot, seen, key, socket)
            {
                self.unlink(link_key, slot, seen, now);
            }
        }
        self.release(slot, seen);
        true
    }

    /// Removes a link, unless it changed.
    pub(super) fn remove_word(&self, slot: Slot, seen: Value) {
        if self.exchange(slot, seen, seen.in_phase(Phase::Dead)).is_ok() {
            self.release(slot, seen);
        }
    }
}

/// The live values whose age has reached their state's limit, as a set of bits by place.
#[inline(always)]
fn old(values: &[Value], now: Tick, limits: &[u32; 32]) -> u32 {
    let old = |value: &Value| value.is_live() & (now.since(value.seen()) >= limits[value.state().index()]);
    values.iter().enumerate().fold(0, |set, (place, value)| set | u32::from(old(value)) << place)
}

/// Lines that are due for a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which.
    pub lines: Range<u32>,
    /// Whether to look where their links lead, which costs a cache miss each.
    pub links: bool,
}

/// One worker's share of the table, and how far it is swept.
#[derive(Debug)]
pub struct Sweeper {
    share: Range<u32>,
    next: u32,
    pass: u32,
    nanos_per_line: u64,
    /// The sweep is where it should have been at this moment.
    swept: u64,
}

/// A pass over the table takes this long at least, and this long a line: 9 s for 100 million connections. Last seen may be
/// half a second old: so connections are removed within 0.9 s after their time, or 9.5 s there.
const SHORTEST_PASS: u64 = 400_000_000;
const NANOS_PER_LINE: u64 = 180;

/// How many lines ahead the sweep asks for.
const FARTHEST_AHEAD: u32 = 64;

/// Slices are not shorter than this, except at the end of a share, nor longer.
const FEWEST_LINES: u32 = 16;
const MOST_LINES: u32 = 65_536;

/// One pass in so many looks after links. An orphan does no harm, and is rare: whoever removes an entry removes its
/// link.
const LINK_PASSES: u32 = 16;

impl Sweeper {
    /// The share of worker `index` of `workers` in a table of `lines`, to be swept from `now` on.
    pub fn new(lines: u32, index: usize, workers: usize, now: Now) -> Self {
        let border = |index: usize| (u64::from(lines) * index as u64 / workers as u64) as u32;
        let share = border(index)..border(index + 1);
        let pass = SHORTEST_PASS.max(u64::from(lines) * NANOS_PER_LINE);
        let nanos_per_line = pass / (share.len() as u64).max(1);
        Self { next: share.start, share, pass: 0, nanos_per_line, swept: now.nanos() }
    }

    /// Returns the next slice, if enough time has passed for one. A worker calls it once a burst; after a pause (or a
    /// jump in a capture's time) it has up to one whole pass to catch up with, in slices of half a millisecond's work.
    #[inline]
    pub fn due(&mut self, now: Now) -> Option<Slice> {
        let elapsed = now.nanos().saturating_sub(self.swept);
        if elapsed < self.nanos_per_line * u64::from(FEWEST_LINES) || self.share.is_empty() {
            return None;
        }
        let pass = self.nanos_per_line * self.share.len() as u64;
        self.swept = self.swept.max(now.nanos().saturating_sub(pass));
        let most = MOST_LINES.min(self.share.end - self.next);
        let count = (elapsed.min(pass) / self.nanos_per_line).min(u64::from(most)) as u32;
        self.swept += u64::from(count) * self.nanos_per_line;
        let slice = Slice { lines: self.next..self.next + count, links: self.pass.is_multiple_of(LINK_PASSES) };
        self.next += count;
        if self.next == self.share.end {
            self.next = self.share.start;
            self.pass = self.pass.wrapping_add(1);
        }
        Some(slice)
    }
}
