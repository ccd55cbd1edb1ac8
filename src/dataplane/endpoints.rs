//! What each (address, port, protocol) of a packet is to the director: a table that is small, and so always in cache.
//!
//! Open addressing with linear steps. A real server's answer is looked for twice, first by its destination, a client,
//! which is not here: how often that meets a neighbour's place is how often the branch is foreseen wrongly, so a small
//! table is at most an eighth full, and only one of more than 4,096 places half. Only the operator chooses the keys, so the hash needs no secret;
//! a stranger's packet meets at worst the longest run of neighbours.
//!
//! Each family has places of its own: an IPv4 packet's key is one word.

use std::fmt::Debug;
use std::sync::Arc;

use super::address::{Address, TransportAddress};
use super::service::{Endpoint, Protocol};

/// (address, port, protocol) to [`Endpoint`].
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    four: Places<Four>,
    six: Places<Six>,
}

impl Endpoints {
    /// Finds what a socket address of IPv4 is; `address` in host order.
    #[inline]
    pub fn find_v4(&self, address: u32, port: u16, protocol: Protocol) -> Option<Endpoint> {
        self.four.find(Four::new(address, port, protocol))
    }

    /// Finds what a socket address is.
    #[inline]
    pub fn find(&self, address: Address, port: u16, protocol: Protocol) -> Option<Endpoint> {
        match address.as_v4() {
            Some(address) => self.find_v4(address, port, protocol),
            None => self.six.find(Six::new(address, port, protocol)),
        }
    }

    /// Tells whether there is nothing to find.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.four.used == 0 && self.six.used == 0
    }

    /// Sets what a socket address is, and returns what it was before.
    pub fn insert(&mut self, address: Address, port: u16, protocol: Protocol, endpoint: Endpoint) -> Option<Endpoint> {
        match address.as_v4() {
            Some(address) => self.four.insert(Four::new(address, port, protocol), endpoint),
            None => self.six.insert(Six::new(address, port, protocol), endpoint),
        }
    }

    /// Forgets what a socket address is, and returns it.
    pub fn remove(&mut self, address: Address, port: u16, protocol: Protocol) -> Option<Endpoint> {
        match address.as_v4() {
            Some(address) => self.four.remove(Four::new(address, port, protocol)),
            None => self.six.remove(Six::new(address, port, protocol)),
        }
    }

    /// All there is, in no order: what a socket address is, with its protocol's number.
    pub fn iter(&self) -> impl Iterator<Item = (TransportAddress, u8, Endpoint)> {
        let four = self.four.iter().map(|(key, endpoint)| {
            (TransportAddress::new(Address::v4((key.0 >> 24) as u32), (key.0 >> 8) as u16), key.0 as u8, endpoint)
        });
        let six = self.six.iter().map(|(key, endpoint)| {
            (TransportAddress::new(key.address, (key.rest >> 8) as u16), key.rest as u8, endpoint)
        });
        four.chain(six)
    }
}

/// What a family's places are found by. No protocol is 0, so no key is.
trait Name: Copy + Eq + Debug {
    /// Of a place that is free.
    const NONE: Self;

    fn hash(self) -> usize;
}

/// Multiplied by 2^64 over the golden ratio; the upper bits depend on all of the key.
#[inline(always)]
const fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Four(u64);

impl Four {
    #[inline(always)]
    const fn new(address: u32, port: u16, protocol: Protocol) -> Self {
        Self(((address as u64) << 24) | ((port as u64) << 8) | protocol as u64)
    }
}

impl Name for Four {
    const NONE: Self = Self(0);

    #[inline(always)]
    fn hash(self) -> usize {
        (spread(self.0) >> 32) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Six {
    address: Address,
    rest: u32,
}

impl Six {
    #[inline(always)]
    const fn new(address: Address, port: u16, protocol: Protocol) -> Self {
        Self { address, rest: (port as u32) << 8 | protocol as u32 }
    }
}

impl Name for Six {
    const NONE: Self = Self { address: Address::UNSPECIFIED_V4, rest: 0 };

    #[inline(always)]
    fn hash(self) -> usize {
        let (upper, lower) = self.address.halves();
        // One after the other, so that no two halves cancel each other out.
        let upper = spread(upper ^ u64::from(self.rest) << 40).rotate_left(32);
        (spread(upper ^ lower) >> 32) as usize
    }
}

/// One family's.
#[derive(Clone, Debug)]
struct Places<N> {
    /// A power of two of places, shared with copies until one of them changes.
    places: Arc<[(N, Option<Endpoint>)]>,
    used: usize,
}

impl<N> Default for Places<N> {
    fn default() -> Self {
        Self { places: Arc::new([]), used: 0 }
    }
}

impl<N: Name> Places<N> {
    #[inline(always)]
    fn find(&self, key: N) -> Option<Endpoint> {
        let mut place = key.hash();
        loop {
            let (found, endpoint) = *self.places.get(place & self.places.len().wrapping_sub(1))?;
            if found == key || found == N::NONE {
                return endpoint;
            }
            place = place.wrapping_add(1);
        }
    }

    fn insert(&mut self, key: N, endpoint: Endpoint) -> Option<Endpoint> {
        if self.used >= Self::room(self.places.len()) {
            self.resize((self.places.len() * 2).max(16));
        }
        let places = Arc::make_mut(&mut self.places);
        let place = Self::place(places, key);
        let before = std::mem::replace(&mut places[place], (key, Some(endpoint))).1;
        self.used += usize::from(before.is_none());
        before
    }

    fn remove(&mut self, key: N) -> Option<Endpoint> {
        self.find(key)?;
        let places = Arc::make_mut(&mut self.places);
        let mask = places.len() - 1;
        let mut free = Self::place(places, key);
        let before = std::mem::replace(&mut places[free], (N::NONE, None)).1;
        self.used -= 1;
        // Those that stepped over the place must still be found: the first that may go back to it does, and leaves one.
        let mut place = (free + 1) & mask;
        while places[place].0 != N::NONE {
            let steps = |from: usize| place.wrapping_sub(from) & mask;
            if steps(places[place].0.hash()) >= steps(free) {
                places[free] = std::mem::replace(&mut places[place], (N::NONE, None));
                free = place;
            }
            place = (place + 1) & mask;
        }
        let small = places.len() / 4;
        if small >= 16 && self.used < Self::room(small) {
            self.resize(small);
        }
        before
    }

    /// Goes over to so many places.
    fn resize(&mut self, places: usize) {
        let mut other = vec![(N::NONE, None); places];
        for held in self.places.iter().filter(|(key, _)| *key != N::NONE) {
            let place = Self::place(&other, held.0);
            other[place] = *held;
        }
        self.places = other.into();
    }

    fn iter(&self) -> impl Iterator<Item = (N, Endpoint)> {
        self.places.iter().filter_map(|(key, endpoint)| Some((*key, (*endpoint)?)))
    }

    /// How many keys this many places may hold.
    const fn room(places: usize) -> usize {
        if places <= 4096 { places / 8 } else { places / 2 }
    }

    /// The place that holds a key, or the free one that is to.
    fn place(places: &[(N, Option<Endpoint>)], key: N) -> usize {
        let mask = places.len() - 1;
        let mut place = key.hash() & mask;
        while places[place].0 != key && places[place].0 != N::NONE {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use hashbrown::HashMap;

    use super::super::service::EndpointId;
    use super::*;

    fn service(id: u16) -> Endpoint {
        Endpoint::Service(EndpointId(NonZeroU16::new(id).unwrap()))
    }

    /// The same numbers as addresses of either family.
    const FAMILIES: [fn(u32) -> Address; 2] = [Address::v4, |n| Address::from_bits(0x2001_0db8 << 96 | n as u128)];

    #[test]
    fn endpoints_are_found_by_address_port_and_protocol() {
        let mut endpoints = Endpoints::default();
        for address in FAMILIES {
            assert_eq!(endpoints.find(address(1), 80, Protocol::Tcp), None);
            assert_eq!(endpoints.insert(address(1), 80, Protocol::Tcp, service(1)), None);
            assert_eq!(endpoints.insert(address(1), 80, Protocol::Tcp, service(2)), Some(service(1)));
            assert_eq!(endpoints.find(address(1), 80, Protocol::Tcp), Some(service(2)));
            for (n, port, protocol) in [(1, 80, Protocol::Udp), (1, 81, Protocol::Tcp), (2, 80, Protocol::Tcp)] {
                assert_eq!(endpoints.find(address(n), port, protocol), None);
            }
        }
    }

    #[test]
    fn many_endpoints_are_all_found_and_runs_stay_short() {
        for address in FAMILIES {
            let mut endpoints = Endpoints::default();
            let all = || (1..=20_000u16).map(|n| (address(0x0a00_0000 + u32::from(n) / 4), 80 + n % 4, n));
            for (address, port, id) in all() {
                endpoints.insert(address, port, Protocol::Tcp, service(id));
            }
            for (address, port, id) in all() {
                assert_eq!(endpoints.find(address, port, Protocol::Tcp), Some(service(id)));
                assert_eq!(endpoints.find(address, port, Protocol::Udp), None);
            }
            let run = |taken: Vec<bool>| taken.split(|taken| !taken).map(<[_]>::len).max();
            let four = run(endpoints.four.places.iter().map(|(key, _)| *key != Four::NONE).collect());
            let six = run(endpoints.six.places.iter().map(|(key, _)| *key != Six::NONE).collect());
            assert!(four.max(six) < Some(64), "{four:?} {six:?}");
        }
    }

    #[test]
    fn what_is_removed_is_gone_and_all_else_is_found() {
        let mut random = 7u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % n
        };
        let (mut endpoints, mut known) = (Endpoints::default(), HashMap::new());
        for round in 0..60_000u64 {
            // Many at first, then fewer, then hardly any: tables of every size, and runs that go round the end.
            let percent = [70, 50, 1][(round / 20_000) as usize];
            let address = FAMILIES[below(2) as usize](0x0a00_0000 + below(1500) as u32);
            let port = 80 + below(2) as u16;
            if below(100) < percent {
                let endpoint = service(1 + below(1000) as u16);
                let before = endpoints.insert(address, port, Protocol::Tcp, endpoint);
                assert_eq!(before, known.insert((address, port), endpoint));
            } else {
                assert_eq!(endpoints.remove(address, port, Protocol::Tcp), known.remove(&(address, port)));
            }
            if round % 500 == 0 {
                assert_eq!(endpoints.iter().count(), known.len());
                for (&(address, port), endpoint) in &known {
                    assert_eq!(endpoints.find(address, port, Protocol::Tcp), Some(*endpoint));
                }
            }
        }
        let places = endpoints.four.places.len().max(endpoints.six.places.len());
        assert!(places <= 2048, "{places} places for {}", known.len());
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut endpoints = Endpoints::default();
        endpoints.insert(Address::v4(1), 80, Protocol::Tcp, service(1));
        let copy = endpoints.clone();
        endpoints.insert(Address::v4(1), 80, Protocol::Tcp, service(2));
        endpoints.insert(Address::v4(2), 80, Protocol::Tcp, service(2));
        let one = TransportAddress::new(Address::v4(1), 80);
        assert_eq!(copy.iter().collect::<Vec<_>>(), [(one, 6, service(1))]);
    }
}
