//! The value word: who owns a slot, and everything a packet needs to know about its connection.
//!
//! ```text
//!  63  62  61  60  59  58 57 56 55        36 35        12 11   7 6      2 1   0
//! +---+---+---+---+---+---+-----+------------+------------+------+--------+-----+
//! |era|ctl|lrn|snt|nou|una|count| real server| last seen  |state | gener. |phase|   a connection
//! +---+---+---+---+---+---+-----+------------+------------+------+--------+-----+
//!  63           51 50         46 45                     12 11   7 6      2 1   0
//! +---------------+-------------+-------------------------+------+--------+-----+
//! | last seen     | generation  | forward slot            |  31  | gener. |phase|   a link
//! +---------------+-------------+-------------------------+------+--------+-----+
//! ```
//! The phase is the authority over the slot; a free word holds nothing but the generation. The generation counts
//! the slot's claims, so that a reader sees when a slot changed hands under it.

use std::fmt;

use super::state::{Class, State};
use super::table::Slot;
use super::tick::Tick;
use crate::dataplane::service::RealId;

/// Whose a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody's.
    Free = 0,
    /// Claimed, and looking for rivals that insert the same key.
    Pending = 1,
    /// A connection's or a link's.
    Live = 2,
    /// About to be free.
    Dead = 3,
}

/// One field of the word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    const fn get(self, word: u64) -> u64 {
        (word >> self.shift) & self.mask()
    }

    const fn set(self, word: u64, to: u64) -> u64 {
        word & !(self.mask() << self.shift) | (to & self.mask()) << self.shift
    }
}

const fn field(shift: u32, bits: u32) -> Field {
    Field { shift, bits }
}

const PHASE: Field = field(0, 2);
const GENERATION: Field = field(2, 5);
const STATE: Field = field(7, 5);
const SEEN: Field = field(12, Tick::BITS);
const REAL: Field = field(36, 20);
const COUNT: Field = field(56, 2);
const UNANSWERED: Field = field(58, 1);
const NO_OUTPUT: Field = field(59, 1);
const SENT: Field = field(60, 1);
const LEARNED: Field = field(61, 1);
const CONTROLLED: Field = field(62, 1);
const ERA: Field = field(63, 1);

const TARGET: Field = field(12, Slot::BITS);
const TARGET_GENERATION: Field = field(46, GENERATION.bits);
const LINK_SEEN: Field = field(51, 13);

/// The highest real-server id that an entry can hold.
pub const MAX_REAL_ID: RealId = RealId(REAL.mask() as u32);

/// An entry that is younger than this, in ticks, is not removed: readers tell a slot's owners apart by 32
/// generations, and every life of at least this long keeps those from running out between two of their steps.
pub const SHORTEST_LIFE: u32 = 2;

/// The time between two changes of the mask of a service's clients. One bit: the era before the last one is taken for this
/// one again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Era(bool);

impl Era {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(!self.0)
    }
}

/// A slot's value word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value(pub(super) u64);

impl Value {
    /// The content of a new entry: no flags, no packets counted, no phase yet.
    #[inline]
    pub const fn new(state: State, seen: Tick, real: RealId) -> Self {
        let word = STATE.set(0, state.number() as u64);
        Self(REAL.set(SEEN.set(word, seen.number() as u64), real.0 as u64))
    }

    /// Whose the slot was when the word was read.
    #[inline]
    pub const fn phase(self) -> Phase {
        match PHASE.get(self.0) {
            0 => Phase::Free,
            1 => Phase::Pending,
            2 => Phase::Live,
            _ => Phase::Dead,
        }
    }

    /// Tells whether a connection or a link held the slot when the word was read.
    #[inline]
    pub const fn is_live(self) -> bool {
        PHASE.get(self.0) == Phase::Live as u64
    }

    /// Tells whether the slot was nobody's when the word was read.
    #[inline]
    pub(super) const fn is_free(self) -> bool {
        PHASE.get(self.0) == Phase::Free as u64
    }

    /// How many times the slot was claimed, modulo 32.
    #[inline]
    pub const fn generation(self) -> u8 {
        GENERATION.get(self.0) as u8
    }

    /// Protocol and state.
    #[inline]
    pub const fn state(self) -> State {
        State::from_number(STATE.get(self.0) as u8)
    }

    /// When a packet last belonged to it, to within [`Value::touched`]'s two ticks.
    #[inline]
    pub const fn seen(self) -> Tick {
        Tick::from_number(SEEN.get(self.0) as u32)
    }

    /// The real server; id 0 is none.
    #[inline]
    pub const fn real(self) -> RealId {
        RealId(REAL.get(self.0) as u32)
    }

    /// How many of its packets were counted: up to 3, then always 3. While no answer came: how often its SYN came again.
    #[inline]
    pub const fn packets(self) -> u8 {
        COUNT.get(self.0) as u8
    }

    /// IPVS's NOOUTPUT: the real server's answers do not pass here.
    #[inline]
    pub const fn no_output(self) -> bool {
        NO_OUTPUT.get(self.0) != 0
    }

    /// Whether its answers pass here, and the real server has not said a word yet. Of TCP.
    #[inline]
    pub const fn unanswered(self) -> bool {
        UNANSWERED.get(self.0) != 0
    }

    /// Whether this state was told to the other director.
    #[inline]
    pub const fn sent(self) -> bool {
        SENT.get(self.0) != 0
    }

    /// Whether it came from the other director and no packet has confirmed it yet.
    #[inline]
    pub const fn learned(self) -> bool {
        LEARNED.get(self.0) != 0
    }

    /// Whether a persistence template chose its real server.
    #[inline]
    pub const fn controlled(self) -> bool {
        CONTROLLED.get(self.0) != 0
    }

    /// Of a controlled connection, the era of its service's persistence in which it was made: one of another era has no
    /// template of today.
    #[inline]
    pub const fn era(self) -> Era {
        Era(ERA.get(self.0) != 0)
    }

    /// Of a template: it was flushed, and stays only to count the connections that were made through it.
    #[inline]
    pub(super) const fn is_void(self) -> bool {
        self.controlled()
    }

    /// Whether the slot holds a link.
    #[inline]
    pub const fn is_link(self) -> bool {
        STATE.get(self.0) == State::LINK.number() as u64
    }

    /// How the entry counts towards its real server.
    #[inline]
    pub const fn class(self) -> Class {
        self.state().class()
    }

    /// A packet belonged to it now. Changes the word only where last seen is two ticks old or older, so that an
    /// established flow's packets mostly read: at most two writes a second.
    #[inline]
    #[must_use]
    pub const fn touched(self, now: Tick) -> Self {
        if now.since(self.seen()) >= 2 { self.with_seen(now) } else { self }
    }

    /// A packet belonged to it now and left it in `state`. A changed state is written with its time, and is not
    /// yet told to the other director; an unchanged one is [`touched`](Self::touched).
    #[inline]
    #[must_use]
    pub const fn in_state(self, state: State, now: Tick) -> Self {
        if state.number() == self.state().number() {
            return self.touched(now);
        }
        Self(STATE.set(self.0, state.number() as u64)).with_seen(now).with_sent(false)
    }

    /// Moves it to another real server.
    #[inline]
    #[must_use]
    pub const fn with_real(self, real: RealId) -> Self {
        Self(REAL.set(self.0, real.0 as u64))
    }

    /// Sets last seen, whatever it was.
    #[inline]
    #[must_use]
    pub const fn with_seen(self, seen: Tick) -> Self {
        Self(SEEN.set(self.0, seen.number() as u64))
    }

    /// Counts a packet, up to 3.
    #[inline]
    #[must_use]
    pub const fn counted(self) -> Self {
        if COUNT.get(self.0) == COUNT.mask() { self } else { Self(self.0 + (1 << COUNT.shift)) }
    }

    /// Counts from the beginning.
    #[inline]
    #[must_use]
    pub const fn uncounted(self) -> Self {
        Self(COUNT.set(self.0, 0))
    }

    /// The real server answers: its answers pass here, and it has said a word.
    #[inline]
    #[must_use]
    pub const fn answered(self) -> Self {
        Self(self.0 & !(NO_OUTPUT.mask() << NO_OUTPUT.shift | UNANSWERED.mask() << UNANSWERED.shift))
    }

    /// Sets [`Value::unanswered`].
    #[inline]
    #[must_use]
    pub const fn with_unanswered(self, on: bool) -> Self {
        Self(UNANSWERED.set(self.0, on as u64))
    }

    /// Sets [`Value::no_output`].
    #[inline]
    #[must_use]
    pub const fn with_no_output(self, on: bool) -> Self {
        Self(NO_OUTPUT.set(self.0, on as u64))
    }

    /// Sets [`Value::sent`].
    #[inline]
    #[must_use]
    pub const fn with_sent(self, on: bool) -> Self {
        Self(SENT.set(self.0, on as u64))
    }

    /// Sets [`Value::learned`].
    #[inline]
    #[must_use]
    pub const fn with_learned(self, on: bool) -> Self {
        Self(LEARNED.set(self.0, on as u64))
    }

    /// Sets [`Value::controlled`].
    #[inline]
    #[must_use]
    pub const fn with_controlled(self, on: bool) -> Self {
        Self(CONTROLLED.set(self.0, on as u64))
    }

    /// Sets [`Value::era`].
    #[inline]
    #[must_use]
    pub const fn with_era(self, era: Era) -> Self {
        Self(ERA.set(self.0, era.0 as u64))
    }

    /// Sets [`Value::is_void`].
    #[must_use]
    pub(super) const fn with_void(self, on: bool) -> Self {
        self.with_controlled(on)
    }

    /// The same content in another phase.
    #[inline]
    pub(super) const fn in_phase(self, phase: Phase) -> Self {
        Self(PHASE.set(self.0, phase as u64))
    }

    /// The same content as a claim, in `phase`, of the free slot that held `free`.
    #[inline]
    pub(super) const fn claiming(self, free: Self, phase: Phase) -> Self {
        Self(GENERATION.set(self.0, free.generation() as u64 + 1)).in_phase(phase)
    }

    /// The same link, leading elsewhere.
    #[inline]
    pub(super) const fn leading_to(self, link: Link) -> Self {
        let owner = PHASE.mask() << PHASE.shift | GENERATION.mask() << GENERATION.shift;
        Self(link.content().0 & !owner | self.0 & owner)
    }

    /// What is left in the slot when nobody's: the generation.
    #[inline]
    pub(super) const fn freed(self) -> Self {
        Self(self.0 & GENERATION.mask() << GENERATION.shift)
    }

    /// Tells whether the slot had the same owner in `other`.
    #[inline]
    pub(super) const fn same_generation(self, other: Self) -> bool {
        GENERATION.get(self.0 ^ other.0) == 0
    }
}

/// What a link's word says: which life of which slot it leads to, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The forward entry's slot.
    pub slot: Slot,
    /// Its generation there. A slot that changed hands is not what the link means, whoever has it now.
    pub generation: u8,
    /// When the link was made, modulo 2^13 ticks (34 minutes): enough to tell whether it is very young.
    seen: u16,
}

impl Link {
    /// A link, made `now`, to the entry that holds `slot` with the word `forward`.
    pub const fn new(slot: Slot, forward: Value, now: Tick) -> Self {
        Self { slot, generation: forward.generation(), seen: (now.number() as u64 & LINK_SEEN.mask()) as u16 }
    }

    /// Reads a link's word. `None` for a connection's.
    #[inline]
    pub const fn of(value: Value) -> Option<Self> {
        if !value.is_link() {
            return None;
        }
        Some(Self {
            slot: Slot::from_number(TARGET.get(value.0)),
            generation: TARGET_GENERATION.get(value.0) as u8,
            seen: LINK_SEEN.get(value.0) as u16,
        })
    }

    /// The word's content, to be claimed like any other.
    pub const fn content(self) -> Value {
        let word = STATE.set(0, State::LINK.number() as u64);
        let word = TARGET_GENERATION.set(TARGET.set(word, self.slot.number()), self.generation as u64);
        Value(LINK_SEEN.set(word, self.seen as u64))
    }

    /// Tells whether it leads to the same life of the same slot as `other`.
    pub const fn same_target(self, other: Self) -> bool {
        self.slot.number() == other.slot.number() && self.generation == other.generation
    }

    /// Tells whether it is too young to be taken for an orphan. A tick ahead of `now` is young.
    pub const fn is_young(self, now: Tick) -> bool {
        const AHEAD: u64 = 256;
        let ahead = (now.number() as u64 + AHEAD).wrapping_sub(self.seen as u64);
        ahead & LINK_SEEN.mask() < AHEAD + SHORTEST_LIFE as u64
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.phase(), self.generation())?;
        match (self.phase(), Link::of(*self)) {
            (Phase::Free, _) => Ok(()),
            (_, Some(link)) => write!(f, " link to {:?} {}", link.slot, link.generation),
            _ => write!(f, " {:?} real {} seen {}", self.state(), self.real().0, self.seen().number()),
        }
    }
}

#[cfg(test)]
mod tests;
