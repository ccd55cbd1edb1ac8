//! Connections whose key does not fit one word.
//!
//! A service of every port is one endpoint, but a client's connections to two of its ports are two; so the port, and
//! for a service of many addresses or protocols those too, belong to the key. Such entries lie in a table of their own, by the same
//! protocol: two slots a line, 80 octets a connection, since lines of two fill less evenly than lines of four.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use super::entry::Value;
use super::hash::{Hash, Secret};
use super::identity::{Identity, Line};
use super::link::Outlet;
use super::table::SLOTS as NARROW_SLOTS;
use crate::dataplane::service::EndpointId;
use crate::dataplane::sync::{AtomicU64, Fault, Ordering, commits};

/// The identity of a connection to a service of many ports or addresses.
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
/// Protocol is IANA's number, 0 where none is told apart. The rest of `k0`'s upper bits and `k2` are for IPv6 and full NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WideKey([u64; 3]);

impl WideKey {
    /// The key of `client` towards `destination` of `endpoint`; addresses and ports in host order.
    #[inline]
    pub const fn new(client: (u32, u16), destination: (u32, u16), endpoint: EndpointId) -> Self {
        let ports = (destination.1 as u64) << 32 | (client.1 as u64) << 16;
        Self([ports | endpoint.0.get() as u64, (client.0 as u64) << 32 | destination.0 as u64, 0])
    }

    /// The same for one protocol, by its number.
    #[inline]
    #[must_use]
    pub const fn over(self, protocol: u8) -> Self {
        let [k0, k1, k2] = self.0;
        Self([k0 & !(0xff << 48) | (protocol as u64) << 48, k1, k2])
    }

    /// The key of the link by which an answer from port `port` of a real server to `client` finds its connection.
    #[inline]
    pub const fn answer(client: (u32, u16), port: u16, socket: EndpointId) -> Self {
        Self::new(client, (0, port), socket)
    }
}

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

    /// An answer tells the client and the port that it comes from, and not which address the client talks to.
    #[inline]
    fn link(self, socket: Outlet) -> Self {
        let [k0, k1, k2] = self.0;
        let k0 = if socket.port == 0 { k0 } else { k0 & !(0xffff << 32) | u64::from(socket.port) << 32 };
        Self([k0 & !0xffff | u64::from(socket.endpoint.0.get()), k1 & !0xffff_ffff, k2])
    }

    fn unlinked(self, _: EndpointId) -> Option<Self> {
        None
    }

    fn client(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits((self.0[1] >> 32) as u32), (self.0[0] >> 16) as u16)
    }

    fn destination(self) -> Option<SocketAddrV4> {
        Some(SocketAddrV4::new(Ipv4Addr::from_bits(self.0[1] as u32), (self.0[0] >> 32) as u16))
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

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let all = [(0, 0), (0xc633_6407, 51_234), (u32::MAX, u16::MAX)];
        for (client, destination) in all.into_iter().flat_map(|client| all.map(|destination| (client, destination))) {
            for id in [1, u16::MAX] {
                let key = WideKey::new(client, destination, endpoint(id)).over(if id == 1 { 0 } else { 132 });
                let socket = |(address, port)| SocketAddrV4::new(Ipv4Addr::from_bits(address), port);
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
        let key = WideKey::new((1, 2), (3, 4), endpoint(7)).over(6);
        let to = |port| Outlet { endpoint: endpoint(9), port };
        assert_eq!(key.link(to(0)), WideKey::answer((1, 2), 4, endpoint(9)).over(6));
        assert_eq!(key.link(to(0)), WideKey::new((1, 2), (5, 4), endpoint(8)).over(6).link(to(0)));
        for (client, destination) in [((0, 2), (3, 4)), ((1, 0), (3, 4)), ((1, 2), (3, 0))] {
            assert_ne!(key.link(to(0)), WideKey::new(client, destination, endpoint(7)).over(6).link(to(0)));
        }
        assert_ne!(key.link(to(0)), key.over(17).link(to(0)));
        // A real server with a port of its own answers from that one, whatever the client talks to.
        assert_eq!(key.link(to(80)), WideKey::answer((1, 2), 80, endpoint(9)).over(6));
        assert_eq!(key.link(to(80)), WideKey::new((1, 2), (3, 5), endpoint(7)).over(6).link(to(80)));
    }
}
