//! Next hop to Ethernet address: the neighbour table all workers share (RFC 826 and RFC 4861 §5, with the ageing of RFC 1122
//! §2.3.2.1).
//!
//! A fixed number of slots, found by hash within a window of 32; no locks. Any worker may add, learn or use a
//! neighbour; only the housekeeping worker ages them ([`Neighbors::maintain`]). A slot is given back only after a
//! minute without use, so an id stays good for far longer than a packet can wait for it.
//!
//! ```text
//!            packet, no entry                 reply
//!   (free) ──────────────────► incomplete ─────────────► reachable ◄──────────┐
//!      ▲                        │  ▲  3 requests,          │ 30 s, and used   │ reply
//!      │ 60 s unused            │  │  1 s apart,           ▼                  │
//!      └────────────────────────┘  └── no reply ───── probing (still used) ───┘
//! ```
//!
//! Next hops that the configuration names (real servers, gateways) are *pinned*: they keep their slot. Static
//! entries never ask and never age.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::address::Address;
use super::clock::{Now, TICK_NANOS};
use super::service::PortId;

/// Names a slot of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NeighborId(pub u32);

/// How many slots there are: stations on the director's own links, not clients behind routers.
pub const CAPACITY: usize = 4096;

/// Places that a station may have. With 8 the first of random stations is refused at 1,000 to 1,500, with 32 at 2,300 or
/// more; most are found in their first place all the same.
const WINDOW: usize = 32;

const fn ticks(seconds: u64) -> u32 {
    (seconds * 1_000_000_000 / TICK_NANOS) as u32
}

/// Linux's `base_reachable_time`: how long an answer is believed without asking again.
const REACHABLE: u32 = ticks(30);
/// Linux's `retrans_time`: between two requests.
const RETRANSMIT: u32 = ticks(1);
/// Linux's `mcast_solicit`: requests before giving up.
const TRIES: u16 = 3;
/// Linux's `gc_stale_time`: an entry unused for this long is given back.
const UNUSED: u32 = ticks(60);
/// How long a packet waits for an answer: all the requests there will be.
pub const PATIENCE: u32 = RETRANSMIT * TRIES as u32;

const USED_BIT: u64 = 1 << 63;
const PINNED_BIT: u64 = 1 << 62;
/// Of an IPv6 station: the key has a hash in the place of the address, which stands beside it.
const SIX_BIT: u64 = 1 << 61;
/// The key of a slot that is just being freed, or filled: no station's.
const LEAVING: u64 = u64::MAX;
const STATE_SHIFT: u32 = 48;
const MAC_MASK: u64 = (1 << STATE_SHIFT) - 1;
const INCOMPLETE: u64 = 0;
const REACHABLE_STATE: u64 = 1;
const STATIC: u64 = 2;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    /// 0 when free; else [`USED_BIT`], the port and the address, and [`PINNED_BIT`]. Whoever pins a slot, adds or frees
    /// it, does so by a compare-and-swap of this word: a pinned slot is never freed.
    key: AtomicU64,
    /// State and Ethernet address: one word, so that a reader never sees half of either.
    word: AtomicU64,
    /// Ticks at which it was last confirmed, used, asked for.
    confirmed: AtomicU32,
    used: AtomicU32,
    asked: AtomicU32,
    tries: AtomicU16,
    /// The halves of an IPv6 station's address, written before the key is.
    six: [AtomicU64; 2],
}

impl Slot {
    /// Tells whether it is the station's.
    #[inline(always)]
    fn is(&self, station: Station) -> bool {
        if self.key.load(Ordering::Acquire) & !PINNED_BIT != station.key {
            return false;
        }
        station.key & SIX_BIT == 0 || self.is_six(station)
    }

    /// The rest of that for an IPv6 station: its key again after its address, so that the address is no later station's.
    fn is_six(&self, station: Station) -> bool {
        let [upper, lower] = self.six.each_ref().map(|half| half.load(Ordering::Acquire));
        station.address.halves() == (upper, lower) && self.key.load(Ordering::Acquire) & !PINNED_BIT == station.key
    }

    /// The station's address, by its key.
    fn address(&self, key: u64) -> Address {
        if key & SIX_BIT == 0 {
            return Address::v4(key as u32);
        }
        let [upper, lower] = self.six.each_ref().map(|half| half.load(Ordering::Acquire));
        Address::from_halves(upper, lower)
    }

    /// Makes a free slot the station's; tells what its key was if it is not free.
    fn claim(&self, station: Station) -> Result<(), u64> {
        if station.key & SIX_BIT == 0 {
            return self.key.compare_exchange(0, station.key, Ordering::AcqRel, Ordering::Acquire).map(|_| ());
        }
        self.key.compare_exchange(0, LEAVING, Ordering::AcqRel, Ordering::Acquire)?;
        let (upper, lower) = station.address.halves();
        self.six[0].store(upper, Ordering::Release);
        self.six[1].store(lower, Ordering::Release);
        self.key.store(station.key, Ordering::Release);
        Ok(())
    }
}

/// A station that is looked for.
#[derive(Clone, Copy)]
struct Station {
    key: u64,
    address: Address,
}

impl Station {
    #[inline(always)]
    const fn new(port: PortId, address: Address) -> Self {
        let named = USED_BIT | (port.0 as u64) << 32;
        let key = match address.as_v4() {
            Some(address) => named | address as u64,
            None => named | SIX_BIT | mixed(address) as u64,
        };
        Self { key, address }
    }
}

/// A hash of an IPv6 address. Whoever makes two that are alike is a station on the link, and slows a look by a comparison.
const fn mixed(address: Address) -> u32 {
    let (upper, lower) = address.halves();
    let word = upper.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ lower;
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// What to do with a packet whose next hop is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Send a request and let the packet wait.
    Ask,
    /// Somebody has asked: let it wait.
    Wait,
    /// Nobody answered a moment ago: drop it.
    Unreachable,
}

/// What a listing shows of a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub address: IpAddr,
    /// The port it is behind.
    pub port: PortId,
    /// Its Ethernet address, when known.
    pub mac: Option<[u8; 6]>,
    /// How well it is known.
    pub state: State,
    /// Seconds since it was last confirmed; `None` if it never was, or is static.
    pub confirmed_seconds: Option<u64>,
}

/// How well a neighbour is known, in the words of `ip neighbour` (a static one is its "permanent").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was asked for, and has not answered.
    Incomplete,
    /// The configuration says where it is.
    Static,
    /// It answered lately.
    Reachable,
    /// It answered once, and is asked again when it is needed.
    Stale,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Incomplete, Self::Static, Self::Reachable, Self::Stale];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Static => "static",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct Neighbors {
    slots: Box<[Slot]>,
}

impl Default for Neighbors {
    fn default() -> Self {
        Self { slots: (0..CAPACITY).map(|_| Slot::default()).collect() }
    }
}

/// Packs an address, first octet highest.
fn pack(mac: [u8; 6]) -> u64 {
    mac.iter().fold(0, |word, octet| (word << 8) | u64::from(*octet))
}

#[inline]
fn unpack(word: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
    [a, b, c, d, e, f]
}

fn now_ticks(now: Now) -> u32 {
    now.ticks() as u32
}

/// Returns the ticks from `then` to `now`; 0 if `then` is later: each worker reads the clock for itself, and another
/// may have written the slot in the next tick already.
const fn age(now: u32, then: u32) -> u32 {
    let ticks = now.wrapping_sub(then) as i32;
    if ticks > 0 { ticks as u32 } else { 0 }
}

impl Neighbors {
    #[inline]
    fn window(key: u64) -> impl Iterator<Item = usize> {
        let start = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        (0..WINDOW).map(move |step| (start + step) % CAPACITY)
    }

    fn slot(&self, id: NeighborId) -> &Slot {
        &self.slots[id.0 as usize % CAPACITY]
    }

    /// Finds the entry of a station.
    #[inline(always)]
    pub fn find(&self, port: PortId, address: Address) -> Option<NeighborId> {
        let station = Station::new(port, address);
        Self::window(station.key).find(|index| self.slots[*index].is(station)).map(|index| NeighborId(index as u32))
    }

    /// Finds or adds the entry of a station; `None` if its window is full.
    #[inline]
    pub fn find_or_add(&self, port: PortId, address: Address, now: Now) -> Option<NeighborId> {
        if let Some(id) = self.find(port, address) {
            return Some(id);
        }
        let station = Station::new(port, address);
        for index in Self::window(station.key) {
            let slot = &self.slots[index];
            match slot.claim(station) {
                Ok(()) => {
                    slot.used.store(now_ticks(now), Ordering::Relaxed);
                    return Some(NeighborId(index as u32));
                }
                // Another worker has just added the same station.
                Err(found) if found & !PINNED_BIT == station.key && slot.is(station) => {
                    return Some(NeighborId(index as u32));
                }
                Err(_) => {}
            }
        }
        None
    }

    /// Gives a station a slot that it keeps until [`Neighbors::unpin`]. Only control calls this. `None` if the table
    /// has no room for it.
    pub fn pin(&self, port: PortId, address: Address, now: Now) -> Option<NeighborId> {
        let Station { key, .. } = Station::new(port, address);
        loop {
            let id = self.find_or_add(port, address, now)?;
            let pinned = key | PINNED_BIT;
            match self.slot(id).key.compare_exchange(key, pinned, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(id),
                Err(found) if found == pinned => return Some(id),
                // It was freed as unused this moment.
                Err(_) => {}
            }
        }
    }

    /// Makes a pinned station's address a static one, or, with `None`, one that is asked for. Only control calls this.
    pub fn fix(&self, id: NeighborId, mac: Option<[u8; 6]>) {
        let word = &self.slot(id).word;
        match mac {
            Some(mac) => word.store(pack(mac) | (STATIC << STATE_SHIFT), Ordering::Release),
            None if word.load(Ordering::Relaxed) >> STATE_SHIFT == STATIC => word.store(0, Ordering::Release),
            None => {}
        }
    }

    /// Lets a pinned station age like any other. Only control calls this, once no snapshot names the slot.
    pub fn unpin(&self, id: NeighborId) {
        self.fix(id, None);
        self.slot(id).key.fetch_and(!PINNED_BIT, Ordering::Release);
    }

    /// Returns the station of an entry; `None` if it was freed.
    pub fn address(&self, id: NeighborId) -> Option<Address> {
        let slot = self.slot(id);
        let key = slot.key.load(Ordering::Acquire);
        (key != 0 && key != LEAVING).then(|| slot.address(key))
    }

    /// Returns the Ethernet address to send to, and notes the use; `None` if it is not known.
    #[inline(always)]
    pub fn mac(&self, id: NeighborId, now: Now) -> Option<[u8; 6]> {
        let slot = self.slot(id);
        let now = now_ticks(now);
        // At most four writes a second for a neighbour, whatever the packet rate.
        if slot.used.load(Ordering::Relaxed) != now {
            slot.used.store(now, Ordering::Relaxed);
        }
        let word = slot.word.load(Ordering::Acquire);
        (word >> STATE_SHIFT != INCOMPLETE).then(|| unpack(word))
    }

    /// Decides about a packet for a next hop whose address is not known.
    pub fn resolve(&self, id: NeighborId, now: Now) -> Resolution {
        let slot = self.slot(id);
        let now = now_ticks(now);
        if slot.tries.load(Ordering::Relaxed) > 0 {
            return Resolution::Wait;
        }
        let asked = slot.asked.load(Ordering::Relaxed);
        if asked != 0 && age(now, asked) < RETRANSMIT {
            return Resolution::Unreachable;
        }
        match slot.tries.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => {
                slot.asked.store(now.max(1), Ordering::Relaxed);
                Resolution::Ask
            }
            Err(_) => Resolution::Wait,
        }
    }

    /// Takes in what a station said of itself. With `add`, a station not known yet is added. Returns whether any
    /// entry was written.
    pub fn learn(&self, port: PortId, address: Address, mac: [u8; 6], add: bool, now: Now) -> bool {
        if add && self.find_or_add(port, address, now).is_none() {
            return false;
        }
        let station = Station::new(port, address);
        let mut written = false;
        // Two workers may have added the station at once: whoever waits on either slot gets the answer.
        for index in Self::window(station.key) {
            let slot = &self.slots[index];
            let word = slot.word.load(Ordering::Relaxed);
            if !slot.is(station) || word >> STATE_SHIFT == STATIC {
                continue;
            }
            slot.confirmed.store(now_ticks(now), Ordering::Relaxed);
            slot.tries.store(0, Ordering::Relaxed);
            slot.asked.store(0, Ordering::Relaxed);
            // If it changed, then by control, whose word is final, or by another worker, whose news is as good.
            let told = pack(mac) | (REACHABLE_STATE << STATE_SHIFT);
            let _ = slot.word.compare_exchange(word, told, Ordering::Release, Ordering::Relaxed);
            written = true;
        }
        written
    }

    /// Ages the slots of `range`: asks again where due, forgets who does not answer, frees what nobody uses.
    /// Called by one worker only.
    pub fn maintain(&self, range: Range<usize>, now: Now, mut ask: impl FnMut(PortId, Address)) {
        let now = now_ticks(now);
        for slot in &self.slots[range] {
            let key = slot.key.load(Ordering::Acquire);
            if key == 0 || key == LEAVING {
                continue;
            }
            let word = slot.word.load(Ordering::Acquire);
            let unused = age(now, slot.used.load(Ordering::Relaxed));
            if key & PINNED_BIT == 0 && unused >= UNUSED {
                // If control pins it this moment, it stays.
                if slot.key.compare_exchange(key, LEAVING, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    slot.word.store(0, Ordering::Release);
                    slot.tries.store(0, Ordering::Relaxed);
                    slot.asked.store(0, Ordering::Relaxed);
                    slot.key.store(0, Ordering::Release);
                }
                continue;
            }
            let asking = match word >> STATE_SHIFT {
                STATIC => false,
                INCOMPLETE => slot.tries.load(Ordering::Relaxed) > 0,
                _ => {
                    age(now, slot.confirmed.load(Ordering::Relaxed)) >= REACHABLE
                        && (unused < REACHABLE || slot.tries.load(Ordering::Relaxed) > 0)
                }
            };
            let asked = slot.asked.load(Ordering::Relaxed);
            if !asking || (asked != 0 && age(now, asked) < RETRANSMIT) {
                continue;
            }
            let tries = slot.tries.load(Ordering::Relaxed);
            slot.asked.store(now.max(1), Ordering::Relaxed);
            if tries >= TRIES {
                slot.tries.store(0, Ordering::Relaxed);
                // Not over what control has fixed meanwhile.
                let _ = slot.word.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed);
            } else {
                slot.tries.store(tries + 1, Ordering::Relaxed);
                ask(PortId((key >> 32) as u8), slot.address(key));
            }
        }
    }

    /// Lists all neighbours.
    pub fn list(&self, now: Now) -> Vec<Listed> {
        let now = now_ticks(now);
        let mut listed = Vec::new();
        for slot in &self.slots {
            let key = slot.key.load(Ordering::Acquire);
            if key == 0 || key == LEAVING {
                continue;
            }
            let word = slot.word.load(Ordering::Acquire);
            let age = age(now, slot.confirmed.load(Ordering::Relaxed));
            let state = match word >> STATE_SHIFT {
                INCOMPLETE => State::Incomplete,
                STATIC => State::Static,
                _ if age < REACHABLE => State::Reachable,
                _ => State::Stale,
            };
            let dynamic = word >> STATE_SHIFT == REACHABLE_STATE;
            listed.push(Listed {
                address: slot.address(key).to_ip(),
                port: PortId((key >> 32) as u8),
                mac: (word >> STATE_SHIFT != INCOMPLETE).then(|| unpack(word & MAC_MASK)),
                state,
                confirmed_seconds: dynamic.then_some(u64::from(age) * TICK_NANOS / 1_000_000_000),
            });
        }
        listed.sort_by_key(|entry| (entry.port.0, entry.address));
        listed
    }
}

#[cfg(test)]
mod tests;
