//! What a connection is found by.

use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU64};

use crate::dataplane::service::EndpointId;

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

    /// The client's address.
    pub const fn client(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address_bits())
    }

    /// The client's port.
    #[inline]
    pub const fn client_port(self) -> u16 {
        (self.word() >> 16) as u16
    }

    /// The endpoint.
    #[inline]
    pub const fn endpoint(self) -> EndpointId {
        match NonZeroU16::new(self.word() as u16) {
            Some(id) => EndpointId(id),
            None => unreachable!(),
        }
    }

    /// Tells whether both keys name the same client address and port.
    #[inline]
    pub const fn same_client(self, other: Self) -> bool {
        self.word() >> 16 == other.word() >> 16
    }

    const fn address_bits(self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// The key as it lies in a slot.
    #[inline]
    pub(super) const fn word(self) -> u64 {
        self.0.get()
    }

    /// Reads a slot's key word. `None` for a slot that is nobody's, and for a word without an endpoint, which no
    /// insert wrote.
    #[inline]
    pub(super) const fn from_word(word: u64) -> Option<Self> {
        match NonZeroU64::new(word) {
            Some(key) if word as u16 != 0 => Some(Self(key)),
            _ => None,
        }
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
            assert_eq!(key.client(), Ipv4Addr::from_bits(address));
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
        assert!(key.same_client(other));
        assert!(!key.same_client(Key::new(0x0a00_0001, 4712, endpoint(7))));
        assert!(!key.same_client(Key::new(0x0a00_0002, 4711, endpoint(7))));
    }

    #[test]
    fn words_that_no_insert_wrote_are_no_keys() {
        assert_eq!(Key::from_word(0), None);
        assert_eq!(Key::from_word(0x0a00_0001_1267_0000), None);
    }
}
