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

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use hashbrown::HashMap;

use super::address::{Address, Family, TransportAddress};
use super::conn::{Era, LocalId, Outlet, Timeouts};
pub use super::endpoints::Endpoints;
use super::punt::Transit;
use super::route::Routes;
use super::rules::Rules;
use super::selectors::Selectors;
use super::service::{EndpointId, Local, Persistence, PortId, PortSettings, RealId, RealServer, Service};
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
    /// Full NAT's source addresses.
    pub local_pools: LocalPools,
    /// Services by [`EndpointId`]; `None` where the id is no service, or its service was removed.
    pub services: Arc<[Option<Arc<Service>>]>,
    /// By [`EndpointId`], the [`Service::address`] of each service: all that a real server's answer asks of it.
    pub addresses: Arc<[Option<TransportAddress>]>,
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
    pub vip: Address,
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
    pub fn address(&self, id: EndpointId) -> Option<TransportAddress> {
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

/// Addresses the director answers for.
#[derive(Clone, Debug, Default)]
pub struct Locals(Arc<HashMap<Address, Local, ConfigHash>>);

impl Locals {
    /// Tells whether and how an address is the director's.
    #[inline]
    pub fn find(&self, address: Address) -> Option<Local> {
        self.0.get(&address).copied()
    }

    /// Adds an address. An own address that is also a VIP stays an own address.
    pub fn insert(&mut self, address: Address, local: Local) {
        let entry = Arc::make_mut(&mut self.0).entry(address).or_insert(local);
        if matches!(local, Local::Own(_)) {
            *entry = local;
        }
    }

    /// Iterates over all addresses, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Address, Local)> + '_ {
        self.0.iter().map(|(address, local)| (*address, *local))
    }
}

/// Full NAT's source addresses, as each port has them.
#[derive(Clone, Debug, Default)]
pub struct LocalPools(Arc<[[Arc<[LocalId]>; 2]]>);

impl LocalPools {
    /// The addresses towards real servers that are reached by each port, by family.
    pub fn new(ports: impl IntoIterator<Item = [Arc<[LocalId]>; 2]>) -> Self {
        Self(ports.into_iter().collect())
    }

    /// Returns the addresses of a family towards real servers that are reached by `port`.
    pub fn towards(&self, port: PortId, family: Family) -> &[LocalId] {
        self.0.get(port.index()).map_or(&[], |pools| &pools[family as usize])
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
