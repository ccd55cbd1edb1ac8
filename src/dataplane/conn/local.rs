//! Full NAT: which of the director's own addresses and ports a connection has towards its real server.
//!
//! ```text
//!   request: (client, port, service) --------> forward entry ; beside it, by slot: local address and port
//!   answer:  (local address, port, socket of the real server) -> link ----^
//! ```
//! The real server answers to the local address and port, so a link that is keyed by these leads from the answer to the
//! connection, whichever worker has it: what [`link`](super::link) does with the client's. That a key has one entry makes the link
//! the allocation too: whoever inserts it has the port, towards this real server and no other. It lives as long as its
//! connection, and so long nobody else gets the port.
//!
//! Which ports are tried is decided by the connection's own key, so that workers seldom try the same ones, and two that make the
//! same connection do. The words beside the slots carry the generation of the connection that they are about: what is left of a
//! slot's former holder is nobody's. The owner of a claim writes its word before it inserts the link, so whoever follows the link sees it.
//!
//! The words are there once some service needs them: eight octets a slot.

use std::io;
use std::sync::{Arc, OnceLock};

use arrayvec::ArrayVec;

use super::entry::Value;
use super::hash::Hash;
use super::identity::Identity;
use super::insert::Claim;
use super::link::{LinkedInsert, Outlet, Refusal, Unlinked};
use super::memory::Memory;
use super::table::{Level, Slot, Table};
use super::tick::Tick;
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::service::RealId;
use crate::dataplane::sync::{AtomicU64, Ordering, fence};

/// The lowest port that is given out: those below are for well-known services (RFC 6335 §6).
const FIRST_PORT: u16 = 1024;
/// How many ports each local address has towards each real server's socket.
pub const LOCAL_PORTS: u32 = (1 << 16) - FIRST_PORT as u32;

/// How many ports are tried for a new connection. With 60,000 of 64,512 taken at each address, one connection in a hundred million
/// finds none; where all are taken it is what a SYN can cost.
const TRIES: usize = 256;
/// How many are asked for at a time, once the first was taken.
const AHEAD: usize = 8;
/// After so many places that had no room for a link the table counts as full.
const FULL: usize = 4;

/// Names a local address. An id belongs to its address for as long as the director runs; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalId(pub u16);

/// The local addresses by their ids. Control adds to them; nothing is ever taken out, since connections may name it.
pub struct LocalAddresses(Box<[OnceLock<Address>]>);

impl Default for LocalAddresses {
    fn default() -> Self {
        Self((0..=u16::MAX).map(|_| OnceLock::new()).collect())
    }
}

impl LocalAddresses {
    /// Gives an id its address, for good.
    pub fn set(&self, id: LocalId, address: Address) {
        let known = self.0[usize::from(id.0)].get_or_init(|| address);
        debug_assert_eq!(*known, address);
    }

    /// Returns the address of an id.
    #[inline]
    pub fn get(&self, id: LocalId) -> Option<Address> {
        self.0[usize::from(id.0)].get().copied()
    }
}

/// What a table keeps of local addresses and ports.
pub(super) struct Locals {
    /// By slot: generation, [`LocalId`] and port.
    words: Memory<AtomicU64>,
    addresses: Arc<LocalAddresses>,
}

impl Locals {
    fn note(&self, claim: Claim, id: LocalId, port: u16) {
        let word = (u64::from(claim.word.generation()) << 32) | (u64::from(id.0) << 16) | u64::from(port);
        if let Some(place) = self.words.get(claim.slot.number() as usize) {
            place.store(word, Ordering::Release);
        }
    }

    fn of(&self, slot: Slot, holder: Value) -> Option<TransportAddress> {
        // The value that was seen is of a live entry, and what its claimant noted last came before that.
        fence(Ordering::Acquire);
        let word = self.words.get(slot.number() as usize)?.load(Ordering::Acquire);
        if word >> 32 != u64::from(holder.generation()) {
            return None;
        }
        let address = self.addresses.get(LocalId((word >> 16) as u16))?;
        Some(TransportAddress::new(address, word as u16))
    }
}

/// Local addresses' ports, in the order in which a connection tries them.
struct Order<'a> {
    pool: &'a [LocalId],
    next: u64,
    step: u64,
}

impl<'a> Order<'a> {
    /// The order of the connection with this hash.
    fn of(hash: Hash, pool: &'a [LocalId]) -> Self {
        let places = pool.len() as u64 * u64::from(LOCAL_PORTS);
        let [start, step] = hash.overflow().map(|fraction| (u64::from(fraction) * places) >> 32);
        Self { pool, next: start, step: step | 1 }
    }
}

impl Iterator for Order<'_> {
    type Item = (LocalId, u16);

    fn next(&mut self) -> Option<Self::Item> {
        let ports = u64::from(LOCAL_PORTS);
        let id = *self.pool.get((self.next / ports) as usize)?;
        let port = FIRST_PORT + (self.next % ports) as u16;
        self.next = (self.next + self.step) % (self.pool.len() as u64 * ports);
        Some((id, port))
    }
}

/// Where a connection's local address and port are to come from.
#[derive(Clone, Copy, Debug)]
pub struct Allotment<'a> {
    /// The addresses there are.
    pub pool: &'a [LocalId],
    /// The real server's socket.
    pub outlet: Outlet,
}

impl<K: Identity> Table<K> {
    /// Makes room for local addresses and ports, if there is none yet. Only control calls this, before any worker can need it.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn keep_locals(&self, addresses: &Arc<LocalAddresses>) -> io::Result<()> {
        if self.locals.get().is_none() {
            let locals = Locals { words: Memory::touched(self.slots())?, addresses: Arc::clone(addresses) };
            let _ = self.locals.set(locals);
        }
        Ok(())
    }

    /// The local address and port of a connection by full NAT that a lookup returned.
    #[inline]
    pub fn local(&self, slot: Slot, value: Value) -> Option<TransportAddress> {
        self.locals.get()?.of(slot, value)
    }

    /// The key of the link of the connection that holds `slot`, to its real server's socket.
    #[inline]
    pub(super) fn link_key(&self, slot: Slot, holder: Value, key: K, outlet: Outlet) -> Option<K> {
        if outlet.local { self.local_link_key(slot, holder, key, outlet) } else { Some(key.link(outlet)) }
    }

    #[inline(never)]
    fn local_link_key(&self, slot: Slot, holder: Value, key: K, outlet: Outlet) -> Option<K> {
        Some(key.with_client(self.local(slot, holder)?).link(outlet))
    }

    /// As [`Table::insert_linked`], for a connection by full NAT: the link is by a local address and port that no other connection has
    /// towards this socket.
    pub fn insert_local(
        &self,
        key: K,
        hash: Hash,
        content: Value,
        allotment: Allotment<'_>,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> LinkedInsert {
        loop {
            let claim = match self.claim(key, hash, content) {
                Ok(claim) => claim,
                Err(refused) => return refused.into(),
            };
            match self.link_local((key, hash), claim, content.seen(), allotment, &sockets) {
                Ok(()) => match self.publish(claim) {
                    Some(live) => return LinkedInsert::Inserted(claim.slot, live),
                    None => self.release(claim.slot, claim.word),
                },
                Err(refusal) => {
                    self.withdraw(claim);
                    match refusal {
                        Refusal::SameKey => {}
                        Refusal::Unlinked(Unlinked::Full) => return LinkedInsert::Full,
                        Refusal::Unlinked(_) => return LinkedInsert::NoPort,
                    }
                }
            }
            if let Some((slot, value)) = self.lookup(key, hash) {
                return LinkedInsert::Exists(slot, value);
            }
        }
    }

    /// Finds a free local address and port, notes it for `owner`, and links it.
    fn link_local(
        &self,
        (key, hash): (K, Hash),
        owner: Claim,
        now: Tick,
        Allotment { pool, outlet }: Allotment<'_>,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
    ) -> Result<(), Refusal> {
        let Some(locals) = self.locals.get() else { return Err(Refusal::Unlinked(Unlinked::NoPort)) };
        let mut order = Order::of(hash, pool).take(TRIES);
        let (mut full, mut ahead) = (0, 1);
        loop {
            let batch: ArrayVec<_, AHEAD> = order
                .by_ref()
                .take(ahead)
                .filter_map(|(id, port)| {
                    let local = TransportAddress::new(locals.addresses.get(id)?, port);
                    let link_key = key.with_client(local).link(outlet);
                    let link_hash = self.hash(link_key);
                    self.prefetch(Level::First, link_hash);
                    Some((id, port, link_key, link_hash))
                })
                .collect();
            if batch.is_empty() {
                return Err(Refusal::Unlinked(Unlinked::NoPort));
            }
            for (id, port, link_key, link_hash) in batch {
                if self.is_anothers(link_key, link_hash, key, sockets) {
                    continue;
                }
                locals.note(owner, id, port);
                match self.link(link_key, key, owner, now, sockets) {
                    Err(Refusal::Unlinked(Unlinked::Full)) if full == FULL => {
                        return Err(Refusal::Unlinked(Unlinked::Full));
                    }
                    Err(Refusal::Unlinked(Unlinked::Full)) => full += 1,
                    // Somebody was quicker.
                    Err(Refusal::Unlinked(_)) => {}
                    done => return done,
                }
            }
            ahead = AHEAD;
        }
    }

    /// Tells whether a link belongs to a connection other than `key`'s. A look is much cheaper than to insert in vain.
    fn is_anothers(&self, link_key: K, link_hash: Hash, key: K, sockets: &impl Fn(RealId) -> Option<Outlet>) -> bool {
        let found = self.lookup(link_key, link_hash);
        let target = found.and_then(|(_, link)| self.target(link_key, link, sockets));
        target.is_some_and(|(_, holder, _)| holder != key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_order_goes_through_many_ports_of_all_addresses() {
        for count in [1, 2, 3, 7, 63, 4095] {
            let pool: Vec<_> = (1..=count).map(LocalId).collect();
            let mut seen = HashSet::new();
            for n in 0..200u64 {
                let hash = Hash(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n << 40);
                let tried: HashSet<_> = Order::of(hash, &pool).take(TRIES).collect();
                assert_eq!(tried.len(), TRIES, "{count} addresses, {hash:?}");
                assert!(tried.iter().all(|(id, port)| (1..=count).contains(&id.0) && *port >= FIRST_PORT));
                seen.extend(tried.into_iter().map(|(id, _)| id));
            }
            assert!(seen.len() >= usize::from(count.min(63)), "{} of {count}", seen.len());
        }
        assert_eq!(Order::of(Hash(7), &[]).next(), None);
    }
}
