//! Connections whose key does not fit one word.
//!
//! A service of every port is one endpoint, but a client's connections to two of its ports are two; so the port, and
//! for a service of many addresses or protocols those too, belong to the key. And an IPv6 client's address alone is longer than a
//! word. Such entries lie in a table of their own, by the same protocol: two slots a line, 80 octets a connection, since lines
//! of two fill less evenly than lines of four.

use std::num::NonZeroU16;

use super::entry::Value;
use super::hash::{Hash, Secret};
use super::identity::{Identity, Line};
use super::link::Outlet;
use super::table::SLOTS as NARROW_SLOTS;
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::service::EndpointId;
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits};

/// The identity of a connection to a service of many ports or addresses, or of an IPv6 one.
///
/// ```text
///     63          48 47          32 31          16 15           0
///     +-------------+--------------+--------------+-------------+
/// k0  |   protocol  |  dest. port  | client port  | endpoint id |    all in host order
///     +-------------+--------------+--------------+-------------+
/// k1  |        client addr         |     destination addr       |
///     +----------------------------+----------------------------+
/// k2  |                             0                           |
///     +---------------------------------------------------------+
/// ```
/// Protocol is IANA's number, 0 where none is told apart. An IPv6 service has one address, and its endpoint says which:
///
/// ```text
///     63          56 55         32 31          16 15           0
///     +-------------+--------------+--------------+-------------+
/// k0  |      1      |       0      | client port  | endpoint id |
///     +-------------+--------------+--------------+-------------+
/// k1  |          client addr, the upper 64 bits                 |
///     +---------------------------------------------------------+
/// k2  |          client addr, the lower 64 bits                 |
///     +---------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WideKey([u64; 3]);

impl WideKey {
    /// The key of `client` towards `destination` of `endpoint`; ports in host order. Of an IPv6 client the endpoint says the
    /// destination.
    #[inline]
    pub const fn new(client: (Address, u16), destination: (Address, u16), endpoint: EndpointId) -> Self {
        let client_port = (client.1 as u64) << 16 | endpoint.0.get() as u64;
        if let Some(address) = client.0.as_v4() {
            let words = (address as u64) << 32 | destination.0.low() as u64;
            return Self([(destination.1 as u64) << 32 | client_port, words, 0]);
        }
        let (upper, lower) = client.0.halves();
        Self([SIX | client_port, upper, lower])
    }

    #[inline]
    const fn is_six(self) -> bool {
        self.0[0] & SIX != 0
    }

    /// The same for one protocol, by its number.
    #[inline]
    #[must_use]
    pub const fn over(self, protocol: u8) -> Self {
        if self.is_six() {
            return self;
        }
        let [k0, k1, k2] = self.0;
        Self([k0 & !(0xff << 48) | (protocol as u64) << 48, k1, k2])
    }

    /// The key of the link by which an answer from port `port` of a real server to `client` finds its connection.
    #[inline]
    pub const fn answer(client: (Address, u16), port: u16, socket: EndpointId) -> Self {
        Self::new(client, (Address::v4(0), port), socket)
    }
}

/// Tells an IPv6 key.
const SIX: u64 = 1 << 56;

/// Slots in a line. A model has one, so that loom has less to try.
const SLOTS: usize = if NARROW_SLOTS == 1 { 1 } else { 2 };

impl Identity for WideKey {
    type Line = WideLine;

    // With two pairs of lines in an overflow level of a fifth, lines of two that are 0.4 full on average leave no insert
    // without a place in five million; at 0.5 it would be 7 in 100,000.
    const LINES_PER_OVERFLOW: u32 = 5;
    const OVERFLOW_RUN: u32 = 2;
    /// Two tables have such keys, and most directors have no use for either.
    const FEWEST_LINES: usize = 1024;

    fn lines(connections: usize) -> usize {
        connections.saturating_add(connections.div_ceil(4))
    }

    #[inline]
    fn hash(self, secret: &Secret) -> Hash {
        secret.hash(&self.0)
    }

    #[inline]
    fn endpoint(self) -> EndpointId {
        match NonZeroU16::new(self.0[0] as u16) {
            Some(id) => EndpointId(id),
            None => unreachable!(),
        }
    }

    fn with_client(self, client: TransportAddress) -> Self {
        let [k0, k1, k2] = self.0;
        let k0 = k0 & !(0xffff << 16) | u64::from(client.port) << 16;
        if self.is_six() {
            let (upper, lower) = client.address.halves();
            return Self([k0, upper, lower]);
        }
        Self([k0, u64::from(client.address.low()) << 32 | k1 & 0xffff_ffff, k2])
    }

    /// An answer tells the client and the port that it comes from, and not which address the client talks to.
    #[inline]
    fn link(self, socket: Outlet) -> Self {
        let [k0, k1, k2] = self.0;
        if self.is_six() {
            return Self([k0 & !0xffff | u64::from(socket.endpoint.0.get()), k1, k2]);
        }
        let k0 = if socket.port == 0 { k0 } else { k0 & !(0xffff << 32) | u64::from(socket.port) << 32 };
        Self([k0 & !0xffff | u64::from(socket.endpoint.0.get()), k1 & !0xffff_ffff, k2])
    }

    fn unlinked(self, service: EndpointId) -> Option<Self> {
        let [k0, k1, k2] = self.0;
        self.is_six().then(|| Self([k0 & !0xffff | u64::from(service.0.get()), k1, k2]))
    }

    fn client(self) -> TransportAddress {
        let [k0, k1, k2] = self.0;
        let address = if self.is_six() { Address::from_halves(k1, k2) } else { Address::v4((k1 >> 32) as u32) };
        TransportAddress::new(address, (k0 >> 16) as u16)
    }

    fn destination(self) -> Option<TransportAddress> {
        let [k0, k1, _] = self.0;
        (!self.is_six()).then(|| TransportAddress::new(Address::v4(k1 as u32), (k0 >> 32) as u16))
    }
}

/// Two wide keys and their values.
#[derive(Debug, Default)]
#[cfg_attr(not(millrace_loom), repr(C, align(64)))]
pub struct WideLine {
    slots: [WideSlot; SLOTS],
}

#[derive(Debug, Default)]
#[cfg_attr(not(millrace_loom), repr(C))]
struct WideSlot {
    key: [AtomicU64; 3],
    value: AtomicU64,
}

#[cfg(not(millrace_loom))]
const _: () = assert!(size_of::<WideLine>() == 64 && align_of::<WideLine>() == 64);

impl Line for WideLine {
    type Key = WideKey;
    type Values = [Value; SLOTS];
    const SLOTS: usize = SLOTS;

    #[inline(always)]
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.slots[place].value
    }

    #[inline(always)]
    fn values(&self) -> [Value; SLOTS] {
        self.slots.each_ref().map(|slot| Value(slot.value.load(Ordering::Relaxed)))
    }

    #[inline(always)]
    fn holds(&self, place: usize, key: WideKey, order: Ordering) -> bool {
        let [k0, k1, k2] = &self.slots[place].key;
        // The first word is written last: whoever sees it sees the others.
        k0.load(order) == key.0[0] && k1.load(order) == key.0[1] && k2.load(order) == key.0[2]
    }

    #[inline]
    fn key(&self, place: usize, order: Ordering) -> Option<WideKey> {
        let [k0, k1, k2] = &self.slots[place].key;
        let first = k0.load(order);
        (first as u16 != 0).then(|| WideKey([first, k1.load(order), k2.load(order)]))
    }

    fn store_key(&self, place: usize, key: WideKey) {
        if commits(Fault::FirstWordFirst) {
            self.slots[place].key[0].store(key.0[0], Ordering::Release);
        }
        for (word, part) in self.slots[place].key.iter().zip(key.0).rev() {
            word.store(part, Ordering::Release);
        }
    }

    fn clear_key(&self, place: usize) {
        self.slots[place].key[0].store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: u16) -> EndpointId {
        EndpointId(NonZeroU16::new(id).unwrap())
    }

    fn v4(bits: u32) -> Address {
        Address::v4(bits)
    }

    #[test]
    fn an_ipv6_key_gives_back_what_it_was_made_of() {
        for bits in [0x2001_0db8 << 96, 0x2001_0db8 << 96 | 0xffff_c000_0201, u128::MAX] {
            let (client, vip) = (Address::from_bits(bits), Address::from_bits(7));
            let key = WideKey::new((client, 51_234), (vip, 80), endpoint(7)).over(6);
            assert_eq!((key.client(), key.endpoint()), (TransportAddress::new(client, 51_234), endpoint(7)));
            assert_eq!(key.destination(), None);
            let link = key.link(Outlet { endpoint: endpoint(9), port: 0, local: false });
            assert_eq!(link, WideKey::answer((client, 51_234), 8080, endpoint(9)).over(6));
            assert_eq!(link.unlinked(endpoint(7)), Some(key));
            let local = TransportAddress::new(Address::from_bits(bits ^ 1 << 70), 9);
            let answer = WideKey::answer((local.address, local.port), 8080, endpoint(9)).over(6);
            assert_eq!(key.with_client(local).link(Outlet { endpoint: endpoint(9), port: 0, local: true }), answer);
            assert_ne!(key, WideKey::new((client, 51_235), (vip, 80), endpoint(7)).over(6));
        }
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let all = [(v4(0), 0), (v4(0xc633_6407), 51_234), (v4(u32::MAX), u16::MAX)];
        for (client, destination) in all.into_iter().flat_map(|client| all.map(|destination| (client, destination))) {
            for id in [1, u16::MAX] {
                let key = WideKey::new(client, destination, endpoint(id)).over(if id == 1 { 0 } else { 132 });
                let socket = |(address, port)| TransportAddress::new(address, port);
                assert_eq!(key.client(), socket(client));
                assert_eq!(key.destination(), Some(socket(destination)));
                assert_eq!(key.endpoint(), endpoint(id));
                let line = WideLine::default();
                assert_eq!(line.key(0, Ordering::Relaxed), None);
                line.store_key(0, key);
                assert_eq!(line.key(0, Ordering::Relaxed), Some(key));
                line.clear_key(0);
                assert_eq!(line.key(0, Ordering::Relaxed), None);
            }
        }
    }

    #[test]
    fn a_link_is_what_an_answer_tells() {
        let key = WideKey::new((v4(1), 2), (v4(3), 4), endpoint(7)).over(6);
        let to = |port| Outlet { endpoint: endpoint(9), port, local: false };
        assert_eq!(key.link(to(0)), WideKey::answer((v4(1), 2), 4, endpoint(9)).over(6));
        let local = TransportAddress::new(v4(7), 6);
        assert_eq!(key.with_client(local).link(to(0)), WideKey::answer((v4(7), 6), 4, endpoint(9)).over(6));
        assert_eq!(key.link(to(0)), WideKey::new((v4(1), 2), (v4(5), 4), endpoint(8)).over(6).link(to(0)));
        for (client, destination) in [((v4(0), 2), (v4(3), 4)), ((v4(1), 0), (v4(3), 4)), ((v4(1), 2), (v4(3), 0))] {
            assert_ne!(key.link(to(0)), WideKey::new(client, destination, endpoint(7)).over(6).link(to(0)));
        }
        assert_ne!(key.link(to(0)), key.over(17).link(to(0)));
        // A real server with a port of its own answers from that one, whatever the client talks to.
        assert_eq!(key.link(to(80)), WideKey::answer((v4(1), 2), 80, endpoint(9)).over(6));
        assert_eq!(key.link(to(80)), WideKey::new((v4(1), 2), (v4(3), 5), endpoint(7)).over(6).link(to(80)));
    }
}
