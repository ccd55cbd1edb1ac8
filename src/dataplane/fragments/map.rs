//! What became of first fragments, for the others of their datagrams: a table of a fixed size that all workers share.
//!
//! A slot is a version, a time and a few words. Its version is odd while somebody writes it, and another one after that (a seqlock):
//!
//! ```text
//! write:  version even? ─ compare-and-swap to odd ─ fence(Release) ─ words ─ version + 2, released
//! read:   version even? (acquired) ─ words ─ fence(Acquire) ─ version the same?
//! ```
//! Nobody waits. Who finds a slot being written sees nothing there; a writer takes another slot of the set, or notes nothing. A
//! datagram has one set of slots by its hash, and in that the slot that it had, or else the one that was quiet for longest. The time is stored
//! plainly: a reader may so lengthen the life of a slot's next tenant by nothing that matters.
//!
//! What is not found is not known *yet*, whatever the reason: the fragment is held then.

use std::num::NonZeroU16;

use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Secret, at};
use crate::dataplane::connect::{Answered, Reply};
use crate::dataplane::parse::Kind;
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::stats::Outcome;
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits, fence};

/// How many datagrams are known at once, in 2 MiB. 10 Gb/s of datagrams of 8,000 octets are 156,000 a second: each of those is known for
/// about a tenth of a second.
pub const CAPACITY: usize = 1 << 14;

/// For how long a datagram is known after its last fragment, in milliseconds.
pub const LIFE: u64 = 2000;

/// The time is written when it is so old, in milliseconds: not by each fragment.
const STALE: u64 = 100;

const SLOTS: usize = 4;
const KEY: usize = 5;
const WORDS: usize = KEY + 7;

/// Which datagram: its source, destination, protocol and identification (RFC 791 §3.2; IPv6 knows no protocol, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u64; KEY]);

impl Key {
    /// The key of a datagram; `protocol` is 0 over IPv6.
    pub fn new(src: Address, dst: Address, identification: u32, protocol: u8) -> Self {
        let ((a, b), (c, d)) = (src.halves(), dst.halves());
        // Never all 0, as free slots are.
        Self([a, b, c, d, 1 << 63 | u64::from(identification) << 8 | u64::from(protocol)])
    }
}

/// What is known of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it carries.
    pub kind: Kind,
    /// Its source port, or what stands for it.
    pub src_port: u16,
    /// Its destination port, or what stands for it.
    pub dst_port: u16,
    /// What became of it.
    pub way: Way,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It went to this real server.
    To(RealId),
    /// It was a real server's answer.
    Back(Answered),
    /// It ended so, if it was not the host's or in transit.
    Ends(Outcome),
}

const TO: u8 = 1;
const BACK: u8 = 2;
const BACK_FULL: u8 = 3;
const ENDS: u8 = 4;

impl Entry {
    fn pack(self) -> [u64; WORDS - KEY] {
        let head = |tag: u8, more: u8| {
            u64::from(tag) << 56
                | u64::from(more) << 48
                | (self.kind as u64) << 32
                | u64::from(self.src_port) << 16
                | u64::from(self.dst_port)
        };
        match self.way {
            Way::To(real) => [head(TO, 0), u64::from(real.0), 0, 0, 0, 0, 0],
            Way::Back(Answered { reply: Reply { service, from, real }, client }) => {
                let (upper, lower) = from.address.halves();
                let more = u64::from(service.0.get()) << 48 | u64::from(from.port) << 32 | u64::from(real.0);
                let Some(client) = client else { return [head(BACK, 0), more, upper, lower, 0, 0, 0] };
                let to = client.address.halves();
                [head(BACK_FULL, 0), more, upper, lower, to.0, to.1, client.port.into()]
            }
            Way::Ends(outcome) => [head(ENDS, outcome as u8), 0, 0, 0, 0, 0, 0],
        }
    }

    fn unpack([head, more, upper, lower, to_upper, to_lower, to_port]: [u64; WORDS - KEY]) -> Option<Self> {
        const KINDS: [Kind; 6] = [Kind::Tcp, Kind::Udp, Kind::Sctp, Kind::Icmp, Kind::Icmpv6, Kind::Arp];
        let real = RealId(more as u32);
        let tag = (head >> 56) as u8;
        let way = match tag {
            TO => Way::To(real),
            BACK | BACK_FULL => {
                let service = EndpointId(NonZeroU16::new((more >> 48) as u16)?);
                let from = TransportAddress::new(Address::from_halves(upper, lower), (more >> 32) as u16);
                let client = TransportAddress::new(Address::from_halves(to_upper, to_lower), to_port as u16);
                let client = (tag == BACK_FULL).then_some(client);
                Way::Back(Answered { reply: Reply { service, from, real }, client })
            }
            ENDS => Way::Ends(*Outcome::ALL.get(usize::from((head >> 48) as u8))?),
            _ => return None,
        };
        let number = (head >> 32) as u8;
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == number)?;
        Some(Self { kind, src_port: (head >> 16) as u16, dst_port: head as u16, way })
    }
}

#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    version: AtomicU64,
    /// When it was last written or read, in milliseconds.
    seen: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Default for Slot {
    fn default() -> Self {
        Self { version: AtomicU64::new(0), seen: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Slot {
    fn read(&self) -> Option<[u64; WORDS]> {
        let version = self.version.load(Ordering::Acquire);
        if !version.is_multiple_of(2) {
            return None;
        }
        let words = std::array::from_fn(|n| self.words[n].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let whole = self.version.load(Ordering::Relaxed) == version || commits(Fault::NoVersionAgain);
        whole.then_some(words)
    }

    /// Writes all of it; tells whether nobody else was about to.
    fn write(&self, words: &[u64; WORDS]) -> bool {
        let version = self.version.load(Ordering::Relaxed);
        let mine = version.is_multiple_of(2)
            && self.version.compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !mine && !commits(Fault::NoMark) {
            return false;
        }
        if !commits(Fault::NoMarkFence) {
            fence(Ordering::Release);
        }
        for (word, new) in self.words.iter().zip(words) {
            word.store(*new, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
        true
    }

    fn holds(&self, key: &Key) -> bool {
        self.words.iter().zip(key.0).all(|(word, part)| word.load(Ordering::Relaxed) == part)
    }
}

/// The map.
pub struct Map {
    secret: Secret,
    sets: Box<[[Slot; SLOTS]]>,
}

impl Map {
    /// An empty map that is addressed by this secret.
    pub fn new(secret: Secret) -> Self {
        Self::with_sets(CAPACITY / SLOTS, secret)
    }

    fn with_sets(sets: usize, secret: Secret) -> Self {
        Self { secret, sets: (0..sets).map(|_| Default::default()).collect() }
    }

    fn set(&self, key: &Key) -> &[Slot; SLOTS] {
        let [fraction, _] = self.secret.hash(&key.0).main();
        &self.sets[at(fraction, self.sets.len() as u32) as usize]
    }

    /// Notes what became of a datagram's first fragment.
    pub fn note(&self, key: &Key, entry: Entry, now: Now) {
        let set = self.set(key);
        let mut words = [0; WORDS];
        words[..KEY].copy_from_slice(&key.0);
        words[KEY..].copy_from_slice(&entry.pack());
        // A flood of first fragments takes the places of those that were quiet for longest.
        let quiet = |slot: &&Slot| slot.seen.load(Ordering::Relaxed);
        let slot = set.iter().find(|slot| slot.holds(key)).or_else(|| set.iter().min_by_key(quiet));
        let others = || set.iter().filter(|other| slot.is_some_and(|slot| !std::ptr::eq(slot, *other)));
        if let Some(slot) = slot.into_iter().chain(others()).find(|slot| slot.write(&words)) {
            slot.seen.store(now.millis(), Ordering::Relaxed);
        }
    }

    /// Finds what became of a datagram's first fragment.
    pub fn find(&self, key: &Key, now: Now) -> Option<Entry> {
        let age = |slot: &Slot| now.millis().saturating_sub(slot.seen.load(Ordering::Relaxed));
        let (slot, words) = self.set(key).iter().filter(|slot| age(slot) < LIFE).find_map(|slot| {
            let words = slot.read()?;
            (words[..KEY] == key.0).then_some((slot, words))
        })?;
        if age(slot) >= STALE {
            slot.seen.store(now.millis(), Ordering::Relaxed);
        }
        Entry::unpack(std::array::from_fn(|n| words[KEY + n]))
    }
}

#[cfg(all(test, millrace_loom))]
mod models;
#[cfg(all(test, not(millrace_loom)))]
mod tests;
