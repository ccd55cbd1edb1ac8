//! What a connection is found by.

use std::num::{NonZeroU16, NonZeroU64};

use super::entry::Value;
use super::hash::{Hash, Secret};
use super::identity::{Identity, Line};
use super::link::Outlet;
use super::table::SLOTS;
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::service::EndpointId;
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits};

/// The identity of an IPv4 connection: its client's address and port, and the endpoint it talks to.
///
/// ```text
/// 63          32 31          16 15           0
/// +-------------+--------------+-------------+
/// | client addr | client port  | endpoint id |    all in host order
/// +-------------+--------------+-------------+
/// ```
/// The endpoint is a virtual service, or, in a link's key, the socket of a real server that services share. An
/// endpoint id is never 0, so no key is: a slot with key 0 belongs to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(NonZeroU64);

impl Key {
    /// The key of the client's (`address`, `port`) towards `endpoint`; both in host order.
    #[inline]
    pub const fn new(address: u32, port: u16, endpoint: EndpointId) -> Self {
        let client = ((address as u64) << 32) | ((port as u64) << 16);
        Self(match NonZeroU64::new(client | endpoint.0.get() as u64) {
            Some(word) => word,
            None => unreachable!(),
        })
    }

    /// The same client's key towards another endpoint.
    #[inline]
    pub const fn towards(self, endpoint: EndpointId) -> Self {
        Self::new(self.address_bits(), self.client_port(), endpoint)
    }

    /// The client's port.
    #[inline]
    pub const fn client_port(self) -> u16 {
        (self.word() >> 16) as u16
    }

    const fn address_bits(self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// The key as it lies in a slot.
    #[inline]
    const fn word(self) -> u64 {
        self.0.get()
    }

    /// Reads a slot's key word. `None` for a slot that is nobody's, and for a word without an endpoint, which no
    /// insert wrote.
    #[inline]
    const fn from_word(word: u64) -> Option<Self> {
        match NonZeroU64::new(word) {
            Some(key) if word as u16 != 0 => Some(Self(key)),
            _ => None,
        }
    }
}

impl Identity for Key {
    type Line = NarrowLine;

    // Lines of four that are half full on average: one insert in 50 million finds no place outside of the stash.
    const LINES_PER_OVERFLOW: u32 = 9;
    const OVERFLOW_RUN: u32 = 1;
    const FEWEST_LINES: usize = 16_384;

    fn lines(connections: usize) -> usize {
        connections.div_ceil(2)
    }

    #[inline]
    fn hash(self, secret: &Secret) -> Hash {
        secret.hash(&[self.word()])
    }

    #[inline]
    fn endpoint(self) -> EndpointId {
        match NonZeroU16::new(self.word() as u16) {
            Some(id) => EndpointId(id),
            None => unreachable!(),
        }
    }

    #[inline]
    fn with_client(self, client: TransportAddress) -> Self {
        Self::new(client.address.low(), client.port, self.endpoint())
    }

    #[inline]
    fn link(self, socket: Outlet) -> Self {
        self.towards(socket.endpoint)
    }

    #[inline]
    fn unlinked(self, service: EndpointId) -> Option<Self> {
        Some(self.towards(service))
    }

    #[inline]
    fn client(self) -> TransportAddress {
        TransportAddress::new(Address::v4(self.address_bits()), self.client_port())
    }

    fn destination(self) -> Option<TransportAddress> {
        None
    }
}

/// Four keys of a word, and their values.
#[derive(Debug, Default)]
#[cfg_attr(not(millrace_loom), repr(C, align(64)))]
pub struct NarrowLine {
    keys: [AtomicU64; SLOTS],
    values: [AtomicU64; SLOTS],
}

#[cfg(not(millrace_loom))]
const _: () = assert!(size_of::<NarrowLine>() == 64 && align_of::<NarrowLine>() == 64);

impl Line for NarrowLine {
    type Key = Key;
    type Values = [Value; SLOTS];
    const SLOTS: usize = SLOTS;

    #[inline(always)]
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.values[place]
    }

    #[inline(always)]
    fn values(&self) -> [Value; SLOTS] {
        self.values.each_ref().map(|value| Value(value.load(Ordering::Relaxed)))
    }

    #[inline(always)]
    fn holds(&self, place: usize, key: Key, order: Ordering) -> bool {
        self.keys[place].load(order) == key.word()
    }

    #[inline]
    fn key(&self, place: usize, order: Ordering) -> Option<Key> {
        Key::from_word(self.keys[place].load(order))
    }

    fn store_key(&self, place: usize, key: Key) {
        let order = if commits(Fault::RelaxedKey) { Ordering::Relaxed } else { Ordering::Release };
        self.keys[place].store(key.word(), order);
    }

    fn clear_key(&self, place: usize) {
        self.keys[place].store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: u16) -> EndpointId {
        EndpointId(NonZeroU16::new(id).unwrap())
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        for (address, port, id) in [(0, 0, 1), (0xc633_6407, 51_234, 0x1234), (u32::MAX, u16::MAX, u16::MAX)] {
            let key = Key::new(address, port, endpoint(id));
            assert_eq!(key.client(), TransportAddress::new(Address::v4(address), port));
            assert_eq!(key.client_port(), port);
            assert_eq!(key.endpoint(), endpoint(id));
            assert_eq!(Key::from_word(key.word()), Some(key));
        }
    }

    #[test]
    fn towards_changes_the_endpoint_only() {
        let key = Key::new(0x0a00_0001, 4711, endpoint(7));
        let other = key.towards(endpoint(9));
        assert_eq!(other, Key::new(0x0a00_0001, 4711, endpoint(9)));
    }

    #[test]
    fn words_that_no_insert_wrote_are_no_keys() {
        assert_eq!(Key::from_word(0), None);
        assert_eq!(Key::from_word(0x0a00_0001_1267_0000), None);
    }
}
