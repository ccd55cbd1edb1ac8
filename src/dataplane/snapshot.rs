//! The cell that carries what workers read, from the one thread that changes it to the many that look.
//!
//! Control builds a whole new [`Snapshot`] aside and publishes it with one pointer store. A worker looks once a
//! burst: one load and one comparison when nothing changed. The old snapshot is kept by the [`Publisher`] until
//! every worker has moved on, so that no worker ever runs a destructor:
//!
//! ```text
//! control:  swap(new) ── keep old in `retired` ── strong count of old is 1? ── drop old
//! worker:        burst with old ── next burst: load sees new, lets go of old (count - 1)
//! ```
//!
//! A count of one therefore also means that every worker has passed a quiescent point since the swap: the moment
//! from which an id that only the old snapshot named can be thought about being given out again.
//!
//! Pieces that a change does not touch are the former snapshot's: a copy of a snapshot shares all of them until one is
//! written to. They lie behind one pointer each, as they would if they were not shared.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use hashbrown::HashMap;

use super::conn::{Era, Outlet, Timeouts};
use super::punt::Transit;
use super::route::Routes;
use super::rules::Rules;
use super::selectors::Selectors;
use super::service::{Endpoint, EndpointId, Local, Persistence, PortSettings, Protocol, RealId, RealServer, Service};
use super::stand_in::StandIns;

/// A fast, unkeyed hash for tables whose keys only the operator chooses.
pub(super) type ConfigHash = foldhash::fast::FixedState;

/// Everything workers read: immutable once published.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up with each publication.
    pub generation: u64,
    /// What each (address, port, protocol) is.
    pub endpoints: Endpoints,
    /// What each (address, 0, protocol) is on every port that is not an endpoint of its own: services of every port, and
    /// their NAT real servers.
    pub wildcards: Endpoints,
    /// What each NAT real server's socket is to the service with one-packet scheduling that has it.
    pub one_packet: Endpoints,
    /// Services of several addresses or ports, by `match` or by mark.
    pub selectors: Selectors,
    /// Whether there are services of every port, or of those kinds.
    pub wide: bool,
    /// What `endpoints` and `wildcards` knew of NAT real servers that were removed, and may have connections left.
    pub former: Former,
    /// The addresses the director answers for.
    pub locals: Locals,
    /// Services by [`EndpointId`]; `None` where the id is no service, or its service was removed.
    pub services: Arc<[Option<Arc<Service>>]>,
    /// By [`EndpointId`], the [`Service::address`] of each service: all that a real server's answer asks of it.
    pub addresses: Arc<[Option<SocketAddrV4>]>,
    /// Real servers by [`RealId`]; `None` where there is none any more.
    pub reals: Arc<[Option<RealServer>]>,
    /// By [`RealId`], the socket that a NAT real server shares with other services; kept for a real server that was
    /// removed for as long as connections may name it.
    pub sockets: Arc<[Option<Outlet>]>,
    /// By [`EndpointId`], a service's latest persistence; kept for a service that was removed, or is not
    /// persistent any more, for as long as connections that were made through its templates may end.
    pub persistence: Arc<[Option<LatestPersistence>]>,
    /// Ports by [`super::service::PortId`].
    pub ports: Arc<[PortSettings]>,
    /// Where packets go next.
    pub routes: Routes,
    /// How long each connection state lasts.
    pub timeouts: Timeouts,
    /// Which packets open connections.
    pub rules: Rules,
    /// What becomes of packets that are on their way through the director.
    pub transit: Transit,
    /// By what the host reaches real servers through their VIPs.
    pub stand_ins: StandIns,
    /// Whether the host is a real server of some service's.
    pub host_serves: bool,
}

/// What a service's templates are, or were when it was last persistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestPersistence {
    /// The service's address; 0.0.0.0 if it has several.
    pub vip: Ipv4Addr,
    /// How its clients' connections keep to one real server.
    pub persistence: Persistence,
    /// The next one begins when the prefix changes.
    pub era: Era,
}

/// NAT real servers of former configurations.
#[derive(Clone, Debug, Default)]
pub struct Former {
    /// As [`Snapshot::endpoints`].
    pub endpoints: Endpoints,
    /// As [`Snapshot::wildcards`].
    pub wildcards: Endpoints,
}

impl Snapshot {
    /// Returns the service of an id.
    #[inline]
    pub fn service(&self, id: EndpointId) -> Option<&Service> {
        self.services.get(id.index())?.as_deref()
    }

    /// Returns the address of a service.
    #[inline]
    pub fn address(&self, id: EndpointId) -> Option<SocketAddrV4> {
        *self.addresses.get(id.index())?
    }

    /// Returns the real server of an id.
    #[inline]
    pub fn real(&self, id: RealId) -> Option<&RealServer> {
        self.reals.get(id.index())?.as_ref()
    }

    /// Returns the latest persistence of a service.
    #[inline]
    pub fn latest_persistence(&self, id: EndpointId) -> Option<&LatestPersistence> {
        self.persistence.get(id.index())?.as_ref()
    }

    /// Returns a real server's shared socket.
    #[inline]
    pub fn socket(&self, id: RealId) -> Option<Outlet> {
        *self.sockets.get(id.index())?
    }
}

/// (address, port, protocol) to [`Endpoint`]: small, and so always in cache.
///
/// Open addressing with linear steps. A real server's answer is looked for twice, first by its destination, a client,
/// which is not here: how often that meets a neighbour's place is how often the branch is foreseen wrongly, so a small
/// table is at most an eighth full, and only one of more than 4,096 places half. Only the operator chooses the keys, so the hash needs no secret;
/// a stranger's packet meets at worst the longest run of neighbours.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// A power of two of places, shared with copies until one of them changes. A key is never 0, since no protocol is.
    places: Arc<[(u64, Option<Endpoint>)]>,
    used: usize,
}

impl Endpoints {
    const fn key(address: u32, port: u16, protocol: Protocol) -> u64 {
        ((address as u64) << 24) | ((port as u64) << 8) | protocol as u64
    }

    /// Finds what a socket address is; `address` in host order.
    #[inline]
    pub fn find(&self, address: u32, port: u16, protocol: Protocol) -> Option<Endpoint> {
        let key = Self::key(address, port, protocol);
        let mut place = Self::hash(key);
        loop {
            let (found, endpoint) = *self.places.get(place & self.places.len().wrapping_sub(1))?;
            if found == key || found == 0 {
                return endpoint;
            }
            place = place.wrapping_add(1);
        }
    }

    /// Tells whether there is nothing to find.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Sets what a socket address is, and returns what it was before.
    pub fn insert(&mut self, address: u32, port: u16, protocol: Protocol, endpoint: Endpoint) -> Option<Endpoint> {
        if self.used >= Self::room(self.places.len()) {
            self.resize((self.places.len() * 2).max(16));
        }
        let key = Self::key(address, port, protocol);
        let places = Arc::make_mut(&mut self.places);
        let place = Self::place(places, key);
        let before = std::mem::replace(&mut places[place], (key, Some(endpoint))).1;
        self.used += usize::from(before.is_none());
        before
    }

    /// Forgets what a socket address is, and returns it.
    pub fn remove(&mut self, address: u32, port: u16, protocol: Protocol) -> Option<Endpoint> {
        self.find(address, port, protocol)?;
        let places = Arc::make_mut(&mut self.places);
        let mask = places.len() - 1;
        let mut free = Self::place(places, Self::key(address, port, protocol));
        let before = std::mem::take(&mut places[free]).1;
        self.used -= 1;
        // Those that stepped over the place must still be found: the first that may go back to it does, and leaves one.
        let mut place = (free + 1) & mask;
        while places[place].0 != 0 {
            let steps = |from: usize| place.wrapping_sub(from) & mask;
            if steps(Self::hash(places[place].0)) >= steps(free) {
                places[free] = std::mem::take(&mut places[place]);
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
        let mut other = vec![(0, None); places];
        for held in self.places.iter().filter(|(key, _)| *key != 0) {
            let place = Self::place(&other, held.0);
            other[place] = *held;
        }
        self.places = other.into();
    }

    /// All there is, in no order: address in host order, port, protocol's number.
    pub fn iter(&self) -> impl Iterator<Item = ((u32, u16, u8), Endpoint)> {
        let held = self.places.iter().filter_map(|(key, endpoint)| Some((key, (*endpoint)?)));
        held.map(|(key, endpoint)| (((key >> 24) as u32, (key >> 8) as u16, *key as u8), endpoint))
    }

    /// How many keys this many places may hold.
    const fn room(places: usize) -> usize {
        if places <= 4096 { places / 8 } else { places / 2 }
    }

    /// The place that holds a key, or the free one that is to.
    fn place(places: &[(u64, Option<Endpoint>)], key: u64) -> usize {
        let mask = places.len() - 1;
        let mut place = Self::hash(key) & mask;
        while places[place].0 != key && places[place].0 != 0 {
            place = (place + 1) & mask;
        }
        place
    }

    /// Multiplied by 2^64 over the golden ratio; the upper bits depend on all of the key.
    const fn hash(key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }
}

/// Addresses the director answers for, in host order.
#[derive(Clone, Debug, Default)]
pub struct Locals(Arc<HashMap<u32, Local, ConfigHash>>);

impl Locals {
    /// Tells whether and how an address is the director's.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Local> {
        self.0.get(&address).copied()
    }

    /// Adds an address. An own address that is also a VIP stays an own address.
    pub fn insert(&mut self, address: u32, local: Local) {
        let entry = Arc::make_mut(&mut self.0).entry(address).or_insert(local);
        if matches!(local, Local::Own(_)) {
            *entry = local;
        }
    }

    /// Iterates over all addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Local)> + '_ {
        self.0.iter().map(|(address, local)| (*address, *local))
    }
}

/// The writer's end: one, on the control thread.
#[derive(Debug)]
pub struct Publisher {
    cell: Arc<ArcSwap<Snapshot>>,
    retired: Vec<Arc<Snapshot>>,
}

impl Publisher {
    /// Starts with a first snapshot.
    pub fn new(first: Snapshot) -> Self {
        Self { cell: Arc::new(ArcSwap::from_pointee(first)), retired: Vec::new() }
    }

    /// Makes a reader for one worker.
    pub fn reader(&self) -> Reader {
        Reader { cache: Cache::new(Arc::clone(&self.cell)) }
    }

    /// Returns the snapshot that workers are being given.
    pub fn current(&self) -> Arc<Snapshot> {
        self.cell.load_full()
    }

    /// Makes a view for listings, which do not hold up the writer.
    pub fn viewer(&self) -> Viewer {
        Viewer(Arc::clone(&self.cell))
    }

    /// Publishes `next`; its generation is set to one more than the current one's.
    pub fn publish(&mut self, mut next: Snapshot) {
        next.generation = self.cell.load().generation + 1;
        self.retired.push(self.cell.swap(Arc::new(next)));
        self.reclaim();
    }

    /// Frees the snapshots that no worker holds any more, and returns the oldest generation that one still may.
    pub fn reclaim(&mut self) -> u64 {
        self.retired.retain(|old| Arc::strong_count(old) > 1);
        let current = self.cell.load().generation;
        self.retired.iter().map(|old| old.generation).min().unwrap_or(current)
    }
}

/// A look at what workers are being given, from any thread that is no worker.
#[derive(Clone, Debug)]
pub struct Viewer(Arc<ArcSwap<Snapshot>>);

impl Viewer {
    /// Returns the current snapshot. Held for long, it holds back what waits for its end.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

/// A worker's end. Not shared: each worker has its own.
#[derive(Debug)]
pub struct Reader {
    cache: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
}

impl Reader {
    /// Returns the newest snapshot. Once a burst, also when idle: a reader that never looks holds the old one back.
    #[inline]
    pub fn load(&mut self) -> &Arc<Snapshot> {
        self.cache.load()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn service(id: u16) -> Endpoint {
        Endpoint::Service(EndpointId(NonZeroU16::new(id).unwrap()))
    }

    #[test]
    fn endpoints_are_found_by_address_port_and_protocol() {
        let mut endpoints = Endpoints::default();
        assert_eq!(endpoints.find(1, 80, Protocol::Tcp), None);
        assert_eq!(endpoints.insert(1, 80, Protocol::Tcp, service(1)), None);
        assert_eq!(endpoints.insert(1, 80, Protocol::Tcp, service(2)), Some(service(1)));
        assert_eq!(endpoints.find(1, 80, Protocol::Tcp), Some(service(2)));
        for (address, port, protocol) in [(1, 80, Protocol::Udp), (1, 81, Protocol::Tcp), (2, 80, Protocol::Tcp)] {
            assert_eq!(endpoints.find(address, port, protocol), None);
        }
    }

    #[test]
    fn many_endpoints_are_all_found_and_runs_stay_short() {
        let mut endpoints = Endpoints::default();
        let all = || (1..=20_000u16).map(|n| (0x0a00_0000 + u32::from(n) / 4, 80 + n % 4, n));
        for (address, port, id) in all() {
            endpoints.insert(address, port, Protocol::Tcp, service(id));
        }
        for (address, port, id) in all() {
            assert_eq!(endpoints.find(address, port, Protocol::Tcp), Some(service(id)));
            assert_eq!(endpoints.find(address, port, Protocol::Udp), None);
        }
        assert!(endpoints.places.len() >= 40_000);
        let longest = endpoints.places.split(|(key, _)| *key == 0).map(<[_]>::len).max();
        assert!(longest < Some(64), "{longest:?}");
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
            let (address, port) = (0x0a00_0000 + below(3000) as u32, 80 + below(2) as u16);
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
        assert!(endpoints.places.len() <= 2048, "{} places for {}", endpoints.places.len(), known.len());
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut endpoints = Endpoints::default();
        endpoints.insert(1, 80, Protocol::Tcp, service(1));
        let copy = endpoints.clone();
        endpoints.insert(1, 80, Protocol::Tcp, service(2));
        endpoints.insert(2, 80, Protocol::Tcp, service(2));
        assert_eq!(copy.iter().collect::<Vec<_>>(), [((1, 80, 6), service(1))]);
    }
}
