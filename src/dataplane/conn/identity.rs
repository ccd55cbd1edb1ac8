//! What a table's keys have in common, and the lines that keep them.
//!
//! The table's protocol does not care how long a key is: a slot is one value word, which has the say, and the words of
//! a key, which only the slot's owner writes. [`Key`](super::Key) is one word, [`WideKey`](super::WideKey) three.

use super::entry::{Phase, Value};
use super::hash::{Hash, Secret};
use super::link::Outlet;
use super::memory::Zeroed;
use crate::dataplane::address::TransportAddress;
use crate::dataplane::service::EndpointId;
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits};
use std::fmt::Debug;

/// What a connection is found by.
pub trait Identity: Copy + Eq + Debug + Send + Sync + 'static {
    /// The cache line that keeps such keys and their values.
    type Line: Line<Key = Self>;

    /// How many lines a table has in all for each line of its overflow level.
    const LINES_PER_OVERFLOW: u32;

    /// How many lines lie side by side at each of a key's two places in the overflow level.
    const OVERFLOW_RUN: u32;

    /// How many lines the smallest table has.
    const FEWEST_LINES: usize;

    /// How many lines a table for so many connections has.
    fn lines(connections: usize) -> usize;

    /// Hashes it.
    fn hash(self, secret: &Secret) -> Hash;

    /// The endpoint it names.
    fn endpoint(self) -> EndpointId;

    /// The same of another client.
    #[must_use]
    fn with_client(self, client: TransportAddress) -> Self;

    /// The key of this connection's link: as much of it as an answer from a real server tells, towards the real server's
    /// socket.
    #[must_use]
    fn link(self, socket: Outlet) -> Self;

    /// The key of a link's connection with a service, if links say so much.
    fn unlinked(self, service: EndpointId) -> Option<Self>;

    /// The client's address and port.
    fn client(self) -> TransportAddress;

    /// What the client talks to, if that is not simply the endpoint's address and port.
    fn destination(self) -> Option<TransportAddress>;
}

/// One cache line: the keys and the values of its slots.
pub trait Line: Zeroed {
    /// What it keeps.
    type Key: Identity;

    /// The values of all slots, in their order.
    type Values: AsRef<[Value]>;

    /// How many slots it has: four at most.
    const SLOTS: usize;

    /// A slot's value word.
    fn word(&self, place: usize) -> &AtomicU64;

    /// The values as they are just now, for a sweep to look through.
    fn values(&self) -> Self::Values;

    /// Tells whether a slot's key is this one. With [`Ordering::Acquire`], what is read next is no older.
    fn holds(&self, place: usize, key: Self::Key, order: Ordering) -> bool;

    /// Reads a slot's key. `None` for a slot that is nobody's, and for words that no insert wrote.
    fn key(&self, place: usize, order: Ordering) -> Option<Self::Key>;

    /// Writes the key of a slot that the caller owns; whoever sees any of it sees what the caller did before.
    fn store_key(&self, place: usize, key: Self::Key);

    /// Makes a slot nobody's; as above.
    fn clear_key(&self, place: usize);

    /// A slot's value just now.
    #[inline(always)]
    fn value(&self, place: usize, order: Ordering) -> Value {
        Value(self.word(place).load(order))
    }

    /// Tells what the slot holds if it is `key`'s: value, key and value again, of one generation and with a phase
    /// that `accepts`. Reading the key last could pair it with another connection's value.
    #[inline(always)]
    fn confirm(&self, place: usize, key: Self::Key, accepts: impl Fn(Phase) -> bool) -> Option<Value> {
        if commits(Fault::KeyValueKey) {
            let value = self.value(place, Ordering::Acquire);
            return (self.holds(place, key, Ordering::Acquire) && accepts(value.phase())).then_some(value);
        }
        let before = self.value(place, Ordering::Acquire);
        if !self.holds(place, key, Ordering::Acquire) && !commits(Fault::NoKeyAgain) {
            return None;
        }
        let value = self.value(place, Ordering::Relaxed);
        let same_owner = value.same_generation(before) || commits(Fault::NoGeneration);
        (accepts(value.phase()) && same_owner).then_some(value)
    }

    /// The places that hold `key` just now, as a set of bits. Without a branch for each: which it is nobody can foresee.
    #[inline(always)]
    fn matches(&self, key: Self::Key) -> u32 {
        (0..Self::SLOTS).fold(0, |set, place| set | u32::from(self.holds(place, key, Ordering::Relaxed)) << place)
    }
}
