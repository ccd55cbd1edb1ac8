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

use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use hashbrown::HashMap;

use super::conn::{Era, Outlet, Timeouts};
use super::route::Routes;
use super::rules::Rules;
use super::selectors::Selectors;
use super::service::{Endpoint, EndpointId, Local, Persistence, PortSettings, Protocol, RealId, RealServer, Service};

/// A fast, unkeyed hash for tables whose keys only the operator chooses.
pub(super) type ConfigHash = foldhash::fast::FixedState;

/// Everything workers read: immutable once published.
#[derive(Clone, Debug)]
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
    pub services: Box<[Option<Service>]>,
    /// Real servers by [`RealId`]; `None` where there is none any more.
    pub reals: Box<[Option<RealServer>]>,
    /// By [`RealId`], the socket that a NAT real server shares with other services; kept for a real server that was
    /// removed for as long as connections may name it.
    pub sockets: Box<[Option<Outlet>]>,
    /// By [`EndpointId`], a service's latest persistence; kept for a service that was removed, or is not
    /// persistent any more, for as long as connections that were made through its templates may end.
    pub persistence: Box<[Option<LatestPersistence>]>,
    /// Ports by [`super::service::PortId`].
    pub ports: Box<[PortSettings]>,
    /// Where packets go next.
    pub routes: Routes,
    /// How long each connection state lasts.
    pub timeouts: Timeouts,
    /// Which packets open connections.
    pub rules: Rules,
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
        self.services.get(id.index())?.as_ref()
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
    /// A power of two of places. A key is never 0, since no protocol is.
    places: Box<[(u64, Option<Endpoint>)]>,
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
            let larger = vec![(0, None); (self.places.len() * 2).max(16)].into_boxed_slice();
            let old = std::mem::replace(&mut self.places, larger);
            for (key, endpoint) in old.into_iter().filter(|(key, _)| *key != 0) {
                *self.place(key) = (key, endpoint);
            }
        }
        let key = Self::key(address, port, protocol);
        let (found, held) = self.place(key);
        let fresh = *found == 0;
        *found = key;
        let before = held.replace(endpoint);
        self.used += usize::from(fresh);
        before
    }

    /// How many keys this many places may hold.
    const fn room(places: usize) -> usize {
        if places <= 4096 { places / 8 } else { places / 2 }
    }

    /// The place that holds a key, or the free one that is to.
    fn place(&mut self, key: u64) -> &mut (u64, Option<Endpoint>) {
        let mask = self.places.len() - 1;
        let mut place = Self::hash(key) & mask;
        while self.places[place].0 != key && self.places[place].0 != 0 {
            place = (place + 1) & mask;
        }
        &mut self.places[place]
    }

    /// Multiplied by 2^64 over the golden ratio; the upper bits depend on all of the key.
    const fn hash(key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }
}

/// Addresses the director answers for, in host order.
#[derive(Clone, Debug, Default)]
pub struct Locals(HashMap<u32, Local, ConfigHash>);

impl Locals {
    /// Tells whether and how an address is the director's.
    #[inline]
    pub fn find(&self, address: u32) -> Option<Local> {
        self.0.get(&address).copied()
    }

    /// Adds an address. An own address that is also a VIP stays an own address.
    pub fn insert(&mut self, address: u32, local: Local) {
        let entry = self.0.entry(address).or_insert(local);
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
}
