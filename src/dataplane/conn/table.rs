//! The table itself: its geometry, finding, reading and changing entries. [`insert`](super::insert) adds them,
//! [`sweep`](super::sweep) removes them.

use std::hint::select_unpredictable;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use arrayvec::ArrayVec;
use crossbeam::utils::CachePadded;

use super::entry::{Phase, Value};
use super::hash::{self, Hash, Secret};
use super::identity::{Identity, Line};
use super::key::Key;
use super::local::Locals;
use super::memory::{self, Backing, Memory};
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits};

/// The most slots in a line. A model has one, so that loom has less to try.
pub(super) const SLOTS: usize = if cfg!(millrace_loom) { 1 } else { 4 };

/// The most lines that a key may lie in, the stash aside: two of the main level, two pairs of the overflow level.
const CANDIDATES: usize = 6;

/// Places for entries none of whose lines has a free slot.
const STASH_SLOTS: usize = 64;

/// Names a place in the table, and so the connection that holds it, from its insertion to its removal: entries
/// never move. Another connection may hold the place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u64);

impl Slot {
    /// Bits in a slot number: fewer than 2^32 lines of four.
    pub(super) const BITS: u32 = 34;

    pub(super) const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number, which counts through lines and their slots.
    pub const fn number(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn new(line: u32, place: usize) -> Self {
        Self(line as u64 * SLOTS as u64 + place as u64)
    }

    /// The first slot of a line that is in a set of its places, which is not empty.
    #[inline(always)]
    pub(super) const fn first_of(line: u32, places: u32) -> Self {
        Self::new(line, places.trailing_zeros() as usize % SLOTS)
    }

    #[inline]
    pub(super) const fn line(self) -> u32 {
        (self.0 / SLOTS as u64) as u32
    }

    #[inline]
    const fn place(self) -> usize {
        (self.0 % SLOTS as u64) as usize
    }
}

/// Where a key was a moment ago: a slot of one of its main lines, or elsewhere if anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot(Slot);

impl Spot {
    /// Not where it was looked for.
    pub const ELSEWHERE: Self = Self(Slot(u64::MAX));

    /// The first slot of a line that is in a set of its places; without a branch, since nobody can foresee which.
    #[inline(always)]
    fn of(line: u32, places: u32) -> Self {
        select_unpredictable(places == 0, Self::ELSEWHERE, Self(Slot::first_of(line, places)))
    }
}

/// A level of the table, in the order in which a key's places are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The key's first main line: at rated load 84 in 100 hits, at half of it 98.
    First,
    /// Its second main line.
    Second,
    /// Its overflow lines, two or four, and the stash if anything is there.
    Overflow,
}

/// The connection was removed, or its slot is another's by now: look it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// What [`Table::update`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The entry before.
    pub old: Value,
    /// The entry after; equal to `old` if nothing was to be written.
    pub new: Value,
}

/// A table of connections, shared by all workers.
pub struct Table<K: Identity = Key> {
    lines: Memory<K::Line>,
    main: u32,
    overflow: u32,
    secret: Secret,
    /// How many stash slots are claimed: raised before a claim, lowered after a release, on a line of its own.
    stashed: CachePadded<AtomicU64>,
    /// What connections by full NAT have besides, once there may be any.
    pub(super) locals: OnceLock<Locals>,
}

impl<K: Identity> Table<K> {
    /// Makes an empty table that is rated for `max_connections`, at 32 octets each, or 80 where keys are wide (1 MiB at
    /// least, or 64 KiB). A NAT connection to a real server that several services share counts twice, for its link. `secret` is
    /// random.
    ///
    /// # Errors
    /// When the kernel refuses the memory, or `max_connections` needs 2^32 lines or more (8.6 thousand million).
    pub fn new(max_connections: usize, secret: [u64; 4]) -> io::Result<Self> {
        let lines = K::lines(max_connections).max(K::FEWEST_LINES);
        let too_many = || io::Error::new(io::ErrorKind::InvalidInput, "a table of 2^32 lines or more");
        let lines = u32::try_from(lines).ok().filter(|&lines| lines < u32::MAX - 64).ok_or_else(too_many)?;
        let overflow = lines / K::LINES_PER_OVERFLOW;
        Self::with_geometry(lines - overflow, overflow, STASH_SLOTS / K::Line::SLOTS, secret)
    }

    pub(super) fn with_geometry(main: u32, overflow: u32, stash: usize, secret: [u64; 4]) -> io::Result<Self> {
        Ok(Self {
            lines: Memory::touched(main as usize + overflow as usize + stash)?,
            main,
            overflow,
            secret: Secret::new(secret),
            stashed: CachePadded::new(AtomicU64::new(0)),
            locals: OnceLock::new(),
        })
    }

    /// How many lines there are to sweep or walk, the stash's included.
    pub fn lines(&self) -> u32 {
        self.lines.len() as u32
    }

    /// One more than the largest number of a slot.
    pub(super) fn slots(&self) -> usize {
        self.lines.len() * SLOTS
    }

    /// What kind of pages it lies in.
    pub fn backing(&self) -> Backing {
        self.lines.backing()
    }

    /// How many entries are in the stash: normally none.
    pub fn stashed(&self) -> u64 {
        self.stashed.load(Ordering::Relaxed)
    }

    /// The secret that its keys are hashed with, for what else is to be hashed so.
    pub(in crate::dataplane) const fn secret(&self) -> Secret {
        self.secret
    }

    /// Hashes a key for this table.
    #[inline]
    pub fn hash(&self, key: K) -> Hash {
        key.hash(&self.secret)
    }

    /// Asks for the lines of one level ahead of [`Table::spot`] or [`Table::lookup`].
    #[inline]
    pub fn prefetch(&self, level: Level, hash: Hash) {
        match level {
            Level::First => self.prefetch_line(self.first(hash)),
            Level::Second => self.prefetch_line(self.second(hash)),
            Level::Overflow => self.overflow(hash).for_each(|line| self.prefetch_line(line)),
        }
    }

    /// Asks for all lines of a key: for a packet that opens a connection, which will see them all.
    #[inline]
    pub fn prefetch_all(&self, hash: Hash) {
        self.prefetch(Level::First, hash);
        self.prefetch(Level::Second, hash);
        self.prefetch(Level::Overflow, hash);
    }

    /// Asks for the line of a slot: the next step after a link.
    #[inline]
    pub fn prefetch_slot(&self, slot: Slot) {
        self.prefetch_line(slot.line());
    }

    #[inline(always)]
    pub(super) fn prefetch_line(&self, number: u32) {
        if let Some(line) = self.lines.get(number as usize) {
            memory::prefetch(line);
        }
    }

    /// Finds a live entry in any of its places. Wait-free, and never misses one that was live throughout.
    #[inline]
    pub fn lookup(&self, key: K, hash: Hash) -> Option<(Slot, Value)> {
        self.find(self.first(hash), key)
            .or_else(|| self.find(self.second(hash), key))
            .or_else(|| self.find_overflow(key, hash))
    }

    /// Looks for a key in its first line, and asks for the second if it is not there. For a whole burst, some time
    /// after its first lines were asked for and before [`Table::lookup_at`] for each.
    #[inline(always)]
    pub fn spot(&self, key: K, hash: Hash) -> Spot {
        let number = self.first(hash);
        let matches = self.line(number).matches(key);
        self.prefetch_line(select_unpredictable(matches == 0, self.second(hash), number));
        Spot::of(number, matches)
    }

    /// Looks in the second line for a key that [`Table::spot`] did not see, and asks for the overflow lines if it is not
    /// there. For all such keys of a burst after the last was looked for.
    #[inline(always)]
    pub fn spot_second(&self, key: K, hash: Hash) -> Spot {
        let number = self.second(hash);
        let matches = self.line(number).matches(key);
        if matches == 0 {
            self.prefetch(Level::Overflow, hash);
        }
        Spot::of(number, matches)
    }

    /// [`Table::lookup`] of a key that was seen at `spot` a moment ago. One that was not is looked for everywhere: it may
    /// have been inserted since, for a packet of the same burst.
    #[inline(always)]
    pub fn lookup_at(&self, spot: Spot, key: K, hash: Hash) -> Option<(Slot, Value)> {
        if spot != Spot::ELSEWHERE {
            let line = self.line(spot.0.line());
            if commits(Fault::SpotUnconfirmed) && self.value(spot.0).is_live() {
                return Some((spot.0, self.value(spot.0)));
            }
            if let Some(value) = line.confirm(spot.0.place(), key, |phase| phase == Phase::Live) {
                return Some((spot.0, value));
            }
        }
        let (slot, value) = self.search(key, hash);
        value.is_live().then_some((slot, value))
    }

    /// [`Table::lookup`], with a free value for nothing: two words come back in registers, three through memory, for
    /// which the packet path would wait.
    #[inline(never)]
    fn search(&self, key: K, hash: Hash) -> (Slot, Value) {
        self.lookup(key, hash).unwrap_or((Spot::ELSEWHERE.0, Value(0)))
    }

    /// Reads a slot: the key and the value of the live entry in it.
    #[inline]
    pub fn read(&self, slot: Slot) -> Option<(K, Value)> {
        self.read_held(slot).filter(|(_, value)| value.is_live())
    }

    /// Changes a live entry by `change`, which may be called again with a newer value if another worker changed the
    /// entry meanwhile: both sides' changes to a connection are in one order. Nothing is written if `change` returns
    /// what it was given, nor to an entry that [`Table::follow`] found still pending: its owner has the say. `seen` is
    /// the value that a lookup returned.
    ///
    /// Whoever calls this accounts for the difference ([`Updated`]).
    ///
    /// # Errors
    /// [`Gone`] if the entry is no longer there.
    #[inline]
    pub fn update(&self, slot: Slot, seen: Value, mut change: impl FnMut(Value) -> Value) -> Result<Updated, Gone> {
        let mut old = seen;
        loop {
            let new = change(old);
            debug_assert!(new.phase() == old.phase() && new.same_generation(old));
            if new == old || !old.is_live() {
                return Ok(Updated { old, new: old });
            }
            match self.exchange(slot, old, new) {
                Ok(()) => return Ok(Updated { old, new }),
                Err(now) if now.is_live() && (now.same_generation(old) || commits(Fault::NoOwnerCheck)) => old = now,
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Calls `entry` for each live entry in `lines`, links included.
    pub fn each(&self, lines: Range<u32>, mut entry: impl FnMut(Slot, K, Value)) {
        for slot in lines.flat_map(Self::slots_of) {
            if let Some((key, value)) = self.read(slot) {
                entry(slot, key, value);
            }
        }
    }
}

/// What inserting and removing are made of.
impl<K: Identity> Table<K> {
    #[inline(always)]
    pub(super) fn line(&self, number: u32) -> &K::Line {
        &self.lines[number as usize]
    }

    #[inline(always)]
    fn first(&self, hash: Hash) -> u32 {
        hash::at(hash.main()[0], self.main)
    }

    #[inline(always)]
    fn second(&self, hash: Hash) -> u32 {
        let second = hash::at(hash.main()[1], self.main);
        if second == self.first(hash) { next(second, self.main) } else { second }
    }

    #[inline(always)]
    fn overflow(&self, hash: Hash) -> impl Iterator<Item = u32> + use<K> {
        let runs = self.overflow / K::OVERFLOW_RUN;
        let [first, second] = hash.overflow().map(|fraction| hash::at(fraction, runs));
        let second = if second == first { next(second, runs) } else { second };
        // A model has no overflow level.
        let found = if cfg!(millrace_loom) { 0..0 } else { 0..K::OVERFLOW_RUN };
        let main = self.main;
        [first, second].into_iter().flat_map(move |run| found.clone().map(move |n| main + run * K::OVERFLOW_RUN + n))
    }

    /// A key's lines, all different, in the order of [`Level`].
    pub(super) fn candidates(&self, hash: Hash) -> ArrayVec<u32, CANDIDATES> {
        [self.first(hash), self.second(hash)].into_iter().chain(self.overflow(hash)).collect()
    }

    /// The slots of a line.
    pub(super) fn slots_of(line: u32) -> impl Iterator<Item = Slot> {
        (0..K::Line::SLOTS).map(move |place| Slot::new(line, place))
    }

    pub(super) fn stash(&self) -> Range<u32> {
        self.main + self.overflow..self.lines()
    }

    pub(super) fn is_stash(&self, slot: Slot) -> bool {
        slot.line() >= self.main + self.overflow
    }

    pub(super) fn stash_counter(&self) -> &AtomicU64 {
        &self.stashed
    }

    #[inline(always)]
    fn find(&self, number: u32, key: K) -> Option<(Slot, Value)> {
        let line = self.line(number);
        let mut matches = line.matches(key);
        while matches != 0 {
            let slot = Slot::first_of(number, matches);
            if let Some(value) = line.confirm(slot.place(), key, |phase| phase == Phase::Live) {
                return Some((slot, value));
            }
            matches &= matches - 1;
        }
        None
    }

    fn find_overflow(&self, key: K, hash: Hash) -> Option<(Slot, Value)> {
        if let Some(found) = self.overflow(hash).find_map(|line| self.find(line, key)) {
            return Some(found);
        }
        if self.stashed() == 0 {
            return None;
        }
        self.stash().find_map(|line| self.find(line, key))
    }

    /// Confirms that a slot holds `key`, live or pending.
    #[inline]
    pub(super) fn held_by(&self, slot: Slot, key: K) -> Option<Value> {
        let line = self.line(slot.line());
        if !line.holds(slot.place(), key, Ordering::Relaxed) {
            return None;
        }
        line.confirm(slot.place(), key, |phase| matches!(phase, Phase::Live | Phase::Pending))
    }

    /// Reads the key and the value of an entry, live or pending, of a slot that it may have left.
    #[inline]
    pub(super) fn read_held(&self, slot: Slot) -> Option<(K, Value)> {
        let line = self.line(slot.line());
        let before = line.value(slot.place(), Ordering::Acquire);
        let key = line.key(slot.place(), Ordering::Acquire)?;
        let value = line.value(slot.place(), Ordering::Relaxed);
        let held = matches!(value.phase(), Phase::Live | Phase::Pending) && value.same_generation(before);
        held.then_some((key, value))
    }

    pub(super) fn value(&self, slot: Slot) -> Value {
        self.line(slot.line()).value(slot.place(), Ordering::Relaxed)
    }

    /// Reads the key of a slot that the caller owns.
    pub(super) fn key(&self, slot: Slot) -> Option<K> {
        self.line(slot.line()).key(slot.place(), Ordering::Relaxed)
    }

    /// Writes the key of a slot that the caller owns.
    pub(super) fn store_key(&self, slot: Slot, key: K) {
        self.line(slot.line()).store_key(slot.place(), key);
    }

    /// The one way in which a value changes hands or content.
    #[inline]
    pub(super) fn exchange(&self, slot: Slot, old: Value, new: Value) -> Result<(), Value> {
        let word = self.line(slot.line()).word(slot.place());
        match word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(now) => Err(Value(now)),
        }
    }

    /// Frees a slot that the caller made dead, or that was the caller's own pending one.
    pub(super) fn release(&self, slot: Slot, owned: Value) {
        let line = self.line(slot.line());
        if commits(Fault::FreedFirst) {
            line.word(slot.place()).store(owned.freed().0, Ordering::Release);
            return line.clear_key(slot.place());
        }
        line.clear_key(slot.place());
        line.word(slot.place()).store(owned.freed().0, Ordering::Release);
        if self.is_stash(slot) {
            self.stashed.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The line after `line` in a level of `lines`.
const fn next(line: u32, lines: u32) -> u32 {
    if line + 1 < lines { line + 1 } else { 0 }
}
