//! From a checked configuration to what workers see: assigns ids, builds the snapshot, publishes it.
//!
//! The [`Applier`] is the only writer of the data plane's configuration. It keeps what must outlive a snapshot:
//! which id belongs to whom, which sockets have ever been shared, which neighbours are pinned.

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};
use ipnet::{IpNet, Ipv4Net};

use super::config::{self, Config};
use super::connections::Names;
use super::ids::Ids;
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Connections, Era, MAX_REAL_ID, Outlet, State, Timeouts};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::route::Routes;
use crate::dataplane::selector::Selector;
use crate::dataplane::selectors::Selectors;
use crate::dataplane::service::{
    EndpointId, Forwarding, Local, PortId, PortSettings, Protocol, RealId, RealServer, Service,
};
use crate::dataplane::shared::{Announcement, Shared};
use crate::dataplane::snapshot::{Endpoints, Former, LatestPersistence, Locals, Publisher, Reader, Snapshot, Viewer};

mod build;
mod former;
mod slow_start;

use build::{Build, Built, place};
use slow_start::SlowStarts;

/// The most endpoints: services, and real servers' sockets that several services share.
pub const MAX_ENDPOINTS: u32 = config::MAX_ENDPOINTS as u32;
/// The most real servers, counted once for each service that has them.
pub const MAX_REALS: u32 = config::MAX_REALS as u32;
const _: () = assert!(MAX_REALS <= MAX_REAL_ID.0);

/// Why a configuration cannot be applied. The running one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// More services and shared sockets than there are endpoint ids.
    EndpointIds,
    /// More real servers than there are ids.
    RealIds,
    /// The neighbour table has no room for a next hop.
    Neighbors(Ipv4Addr),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndpointIds => write!(
                f,
                "more than {MAX_ENDPOINTS} services and shared real server sockets, \
                 those removed in the last two minutes or still in use included"
            ),
            Self::RealIds => write!(
                f,
                "more than {MAX_REALS} real servers, those removed in the last two minutes or still in use included"
            ),
            Self::Neighbors(address) => write!(f, "the neighbour table has no room for next hop {address}"),
        }
    }
}

impl Error for ApplyError {}

/// What answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Socket {
    /// One port of a real server.
    Port(SocketAddrV4, Protocol),
    /// Whatever port of a real server of wide connections, by whatever protocol: a port of its own and one that a client chose
    /// must not be mistaken for each other.
    Station(Ipv4Addr),
}

/// Who owns an endpoint id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum EndpointOwner {
    Service(Selector),
    SharedSocket(Socket),
}

/// Who owns a real server id. One that is reached by another method is another: its connections keep the method that
/// they began with, as in IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RealOwner {
    service: EndpointId,
    address: SocketAddrV4,
    socket: Socket,
    forwarding: Forwarding,
}

/// Who appears in a configuration.
#[derive(Default)]
struct Owners {
    endpoints: HashSet<EndpointOwner>,
    reals: HashSet<RealOwner>,
    /// Real servers that are reached by another method now, and still have connections.
    lingering: Vec<RealOwner>,
}

/// Builds and publishes snapshots.
pub struct Applier {
    shared: Arc<Shared>,
    publisher: Publisher,
    macs: Vec<[u8; 6]>,
    endpoints: Ids<EndpointOwner>,
    reals: Ids<RealOwner>,
    /// Who appears in the configuration that runs.
    owners: Owners,
    /// The one service a socket belongs or first belonged to.
    first: HashMap<Socket, EndpointId>,
    /// The latest persistence of each service.
    persistent: HashMap<EndpointId, LatestPersistence>,
    /// Which real servers are on their way to their weights.
    slow_starts: SlowStarts,
    /// How many versions of services there were: see [`crate::dataplane::service::Service::version`].
    versions: u32,
    pinned: HashSet<NeighborId>,
    unpin: Vec<(u64, NeighborId)>,
    announced: HashSet<(PortId, Ipv4Addr)>,
}

fn endpoint_id(id: u32) -> EndpointId {
    let id = u16::try_from(id).ok().and_then(NonZeroU16::new);
    EndpointId(id.expect("ids run from 1 to MAX_ENDPOINTS, which fits"))
}

/// The port that a real server's answers come from, where clients' ports do not say it.
fn outlet_port(owner: &RealOwner) -> u16 {
    match owner.socket {
        Socket::Port(..) => 0,
        Socket::Station(_) => owner.address.port(),
    }
}

fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(v4) => Some(v4),
        SocketAddr::V6(_) => None,
    }
}

impl Applier {
    /// Starts with the first configuration; `macs` are the ports' Ethernet addresses, in the order of the ports.
    ///
    /// # Errors
    /// What cannot be applied.
    pub fn start(shared: Arc<Shared>, config: &Config, macs: Vec<[u8; 6]>, now: Now) -> Result<Self, ApplyError> {
        let empty = Snapshot {
            generation: 0,
            endpoints: Endpoints::default(),
            wildcards: Endpoints::default(),
            one_packet: Endpoints::default(),
            selectors: Selectors::default(),
            wide: false,
            former: Former::default(),
            locals: Locals::default(),
            services: Box::default(),
            reals: Box::default(),
            sockets: Box::default(),
            persistence: Box::default(),
            ports: settings(config, &macs),
            routes: Routes::default(),
            timeouts: Timeouts::default(),
            rules: config.rules,
        };
        let mut applier = Self {
            shared,
            publisher: Publisher::new(empty),
            macs,
            endpoints: Ids::new(MAX_ENDPOINTS),
            reals: Ids::new(MAX_REALS),
            owners: Owners::default(),
            first: HashMap::new(),
            persistent: HashMap::new(),
            slow_starts: SlowStarts::default(),
            versions: 0,
            pinned: HashSet::new(),
            unpin: Vec::new(),
            announced: HashSet::new(),
        };
        applier.apply(config, now)?;
        Ok(applier)
    }

    /// A reader for one worker.
    pub fn reader(&self) -> Reader {
        self.publisher.reader()
    }

    /// A view of what workers are being given.
    pub fn viewer(&self) -> Viewer {
        self.publisher.viewer()
    }

    /// Who has which id, those included that are gone and may still have connections.
    pub fn names(&self) -> Names {
        let services = self.endpoints.owners().filter_map(|(owner, id)| match owner {
            EndpointOwner::Service(service) => Some((endpoint_id(id), *service)),
            EndpointOwner::SharedSocket(_) => None,
        });
        let reals = self.reals.owners().map(|(owner, id)| (RealId(id), owner.address));
        Names { services: services.collect(), reals: reals.collect() }
    }

    /// Publishes a configuration as one new snapshot.
    ///
    /// # Errors
    /// What cannot be applied; the running configuration stays as it was.
    pub fn apply(&mut self, config: &Config, now: Now) -> Result<(), ApplyError> {
        let (built, pins, owners) = Build::new(self, now).build(config);
        let Built { services, reals, endpoints, selectors, routes, mut slow_starts } = match built {
            Ok(built) => built,
            Err(error) => {
                self.take_back(pins.keys(), now);
                return Err(error);
            }
        };
        for (neighbor, mac) in &pins {
            self.shared.neighbors.fix(*neighbor, *mac);
        }
        let persistence = self.persistence(&services);
        let timeouts = timeouts(config, &services, &reals).with_persistence(self.template_timeouts());
        self.unburden(&reals);
        let former = self.former(&owners);
        let snapshot = Snapshot {
            generation: 0,
            wide: !endpoints.wildcards.is_empty() || !selectors.is_empty() || !former.wildcards.is_empty(),
            endpoints: endpoints.single,
            wildcards: endpoints.wildcards,
            one_packet: endpoints.one_packet,
            selectors,
            former: Former { endpoints: former.single, wildcards: former.wildcards },
            locals: locals(config),
            services,
            reals,
            sockets: self.sockets(),
            persistence,
            ports: settings(config, &self.macs),
            routes,
            timeouts,
            rules: config.rules,
        };
        slow_starts.tidy(now, |service, address| build::known(&snapshot, service, address).is_some());
        self.slow_starts = slow_starts;
        self.publisher.publish(snapshot);
        let generation = self.publisher.current().generation;
        self.owners = owners;
        self.retire(now, generation);
        self.unpin.retain(|(_, id)| !pins.contains_key(id));
        self.unpin.extend(self.pinned.iter().filter(|id| !pins.contains_key(*id)).map(|id| (generation, *id)));
        self.pinned = pins.into_keys().collect();
        self.announce(config);
        Ok(())
    }

    /// Forgets whether real servers without an upper threshold were overloaded, in case they get one again.
    fn unburden(&self, reals: &[Option<RealServer>]) {
        for real in reals.iter().flatten().filter(|real| real.thresholds.upper == 0) {
            self.shared.overloaded[real.id.index()].store(false, Ordering::Relaxed);
        }
    }

    /// Undoes what a build that failed has left: ids and pins of what does not run.
    fn take_back<'a>(&mut self, pins: impl Iterator<Item = &'a NeighborId>, now: Now) {
        let generation = self.publisher.current().generation;
        self.retire(now, generation);
        for id in pins.filter(|id| !self.pinned.contains(*id) && !self.unpin.iter().any(|(_, old)| old == *id)) {
            self.shared.neighbors.unpin(*id);
        }
    }

    fn retire(&mut self, now: Now, generation: u64) {
        let Owners { endpoints, reals, .. } = &self.owners;
        self.endpoints.retire(now, generation, |owner| endpoints.contains(owner));
        self.reals.retire(now, generation, |owner| reals.contains(owner));
        self.linger();
    }

    /// Notes that the newest snapshot still has the real servers that linger.
    fn linger(&mut self) {
        let generation = self.publisher.current().generation;
        for owner in &self.owners.lingering {
            self.reals.linger(owner, generation + 1);
        }
    }

    /// Publishes what real servers that start slowly have grown to: their services are made anew, nothing else is.
    fn grow(&mut self, now: Now) {
        let (current, workers) = (self.publisher.current(), self.shared.workers.len() as u32);
        let services = self.slow_starts.services();
        let services = services.into_iter().filter_map(|id| current.service(id));
        let grown = services.filter_map(|service| build::grown(service, &current, &self.slow_starts, workers, now));
        let grown: Vec<Service> = grown.collect();
        self.slow_starts.tidy(now, |_, _| true);
        if grown.is_empty() {
            return;
        }
        let mut next = Snapshot::clone(&current);
        for service in grown {
            let id = service.id.index();
            next.services[id] = Some(service);
        }
        self.publisher.publish(next);
        self.linger();
    }

    /// Does what is due as time goes by, and what waits for workers to move on: lets weights grow; frees old snapshots, ids
    /// nobody refers to, neighbours nobody names. Call it once a second.
    pub fn tend(&mut self, now: Now) {
        self.grow(now);
        let oldest = self.publisher.reclaim();
        let shared = &self.shared;
        let busy = |id: u32| shared.counts.connections(RealId(id)) != Connections::default();
        self.reals.release(now, oldest, |_, id| busy(id));
        let sockets: HashSet<Socket> = self.reals.owners().map(|(owner, _)| owner.socket).collect();
        self.first.retain(|socket, _| sockets.contains(socket));
        let services = self.reals.owners().map(|(owner, _)| owner.service).chain(self.first.values().copied());
        let services: HashSet<EndpointId> = services.collect();
        self.endpoints.release(now, oldest, |owner, id| match owner {
            EndpointOwner::Service(_) => services.contains(&endpoint_id(id)),
            EndpointOwner::SharedSocket(socket) => sockets.contains(socket),
        });
        let neighbors = &self.shared.neighbors;
        self.unpin.retain(|(generation, id)| {
            if oldest >= *generation {
                neighbors.unpin(*id);
            }
            oldest < *generation
        });
    }

    /// The shared sockets of all real servers that connections may name, the removed ones included.
    fn sockets(&self) -> Box<[Option<Outlet>]> {
        let mut sockets = Vec::new();
        for (owner, id) in self.reals.owners().filter(|(owner, _)| owner.forwarding == Forwarding::Nat) {
            if let Some(endpoint) = self.endpoints.get(&EndpointOwner::SharedSocket(owner.socket)) {
                let port = outlet_port(owner);
                place(&mut sockets, id as usize, Outlet { endpoint: endpoint_id(endpoint), port });
            }
        }
        sockets.into()
    }

    /// The latest persistence of all services that connections may name, those of today first.
    fn persistence(&mut self, services: &[Option<Service>]) -> Box<[Option<LatestPersistence>]> {
        let known: HashSet<u32> = self.endpoints.owners().map(|(_, id)| id).collect();
        self.persistent.retain(|id, _| known.contains(&(id.index() as u32)));
        for service in services.iter().flatten() {
            if let Some(persistence) = service.persistence {
                let era = self.persistent.get(&service.id).map_or_else(Era::default, |latest| {
                    if latest.persistence.prefix == persistence.prefix { latest.era } else { latest.era.next() }
                });
                let vip = *service.address.ip();
                self.persistent.insert(service.id, LatestPersistence { vip, persistence, era });
            }
        }
        let mut latest = Vec::new();
        for (id, persistence) in &self.persistent {
            place(&mut latest, id.index(), *persistence);
        }
        latest.into()
    }

    /// How long the templates of each real server last, in seconds, those of removed ones included.
    fn template_timeouts(&self) -> Vec<u32> {
        let mut timeouts = Vec::new();
        for (owner, id) in self.reals.owners() {
            if let Some(latest) = self.persistent.get(&owner.service) {
                let id = id as usize;
                timeouts.resize(timeouts.len().max(id + 1), 0);
                timeouts[id] = latest.persistence.timeout;
            }
        }
        timeouts
    }

    /// Has a port's addresses announced once more: its link was down, and nobody heard.
    pub fn announce_again(&mut self, port: PortId, config: &Config) {
        self.announced.retain(|(announced, _)| *announced != port);
        self.announce(config);
    }

    /// Asks the first worker to announce the addresses that lie on a port's own link and were not announced yet.
    fn announce(&mut self, config: &Config) {
        let snapshot = self.publisher.current();
        let mut wanted = Vec::new();
        for (place, port) in snapshot.ports.iter().enumerate() {
            let own = port.addresses.iter().map(Ipv4Net::addr);
            let vips = config.services.iter().flat_map(|service| service.vips.iter().copied());
            let on_link = vips.filter(|vip| port.addresses.iter().any(|net| net.contains(vip)));
            wanted.extend(own.chain(on_link).map(|address| (PortId(place as u8), address)));
        }
        let stays: HashSet<_> = wanted.iter().copied().collect();
        self.announced.retain(|known| stays.contains(known));
        for (port, address) in wanted {
            if self.announced.insert((port, address)) {
                // A full ring means thousands of VIPs at once; those are found by ARP all the same.
                let _ = self.shared.announcements.push(Announcement { port, address });
            }
        }
    }
}

fn timeouts(config: &Config, services: &[Option<Service>], reals: &[Option<RealServer>]) -> Timeouts {
    let config::Timeouts { tcp, tcp_fin, udp } = config.timeouts;
    let timeouts = Timeouts::default().with(State::TCP_ESTABLISHED, tcp).with(State::TCP_FIN_WAIT, tcp_fin);
    let timeouts = timeouts.with(State::UDP, udp).with(State::UDP_ONE_WAY, udp);
    let own: HashMap<Selector, u32> =
        config.services.iter().filter_map(|service| Some((service.selector, service.timeout?))).collect();
    if own.is_empty() {
        return timeouts;
    }
    let of = |real: &RealServer| {
        let service = services.get(real.service.index())?.as_ref()?;
        own.get(&service.selector).copied()
    };
    timeouts.with_own(reals.iter().map(|real| real.as_ref().and_then(of).unwrap_or_default()))
}

fn settings(config: &Config, macs: &[[u8; 6]]) -> Box<[PortSettings]> {
    let ports = config.ports.iter().zip(macs).map(|(port, mac)| {
        let addresses: Vec<Ipv4Net> = port.addresses.iter().filter_map(v4_net).collect();
        let source = addresses.first().map(Ipv4Net::addr);
        PortSettings { name: port.name.clone(), mac: *mac, mtu: port.mtu, source, addresses }
    });
    ports.collect()
}

fn v4_net(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(v4) => Some(*v4),
        IpNet::V6(_) => None,
    }
}

fn locals(config: &Config) -> Locals {
    let mut locals = Locals::default();
    for vip in config.services.iter().flat_map(|service| &service.vips) {
        locals.insert(vip.to_bits(), Local::Virtual);
    }
    for (place, port) in config.ports.iter().enumerate() {
        for own in port.addresses.iter().filter_map(v4_net) {
            locals.insert(own.addr().to_bits(), Local::Own(PortId(place as u8)));
        }
    }
    locals
}
