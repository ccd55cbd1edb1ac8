//! From a checked configuration to what workers see: assigns ids, builds the snapshot, publishes it.
//!
//! The [`Applier`] is the only writer of the data plane's configuration. It keeps what must outlive a snapshot:
//! which id belongs to whom, which sockets have ever been shared, which neighbours are pinned.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ipnet::{IpNet, Ipv4Net};

use super::config::{self, Config};
use super::connections::Names;
use super::ids::Ids;
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{self, Connections, Timeouts};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::route::{NextHop, Routes, Target};
use crate::dataplane::service::{
    Endpoint, EndpointId, Forwarding, Local, PortId, PortSettings, Protocol, RealId, RealServer, Service,
};
use crate::dataplane::shared::{Announcement, Shared};
use crate::dataplane::snapshot::{Endpoints, Locals, Publisher, Reader, Snapshot, Viewer};

/// The most endpoints: services, and real servers' sockets that several services share.
pub const MAX_ENDPOINTS: u32 = u16::MAX as u32;
/// The most real servers, counted once for each service that has them.
pub const MAX_REALS: u32 = (1 << 16) - 1;

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

type Socket = (SocketAddrV4, Protocol);

/// Who owns an endpoint id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum EndpointOwner {
    Service(Socket),
    SharedSocket(Socket),
}

/// Who owns a real server id: a service's endpoint and the real server's socket.
type RealOwner = (EndpointId, Socket);

/// Builds and publishes snapshots.
pub struct Applier {
    shared: Arc<Shared>,
    publisher: Publisher,
    macs: Vec<[u8; 6]>,
    endpoints: Ids<EndpointOwner>,
    reals: Ids<RealOwner>,
    /// The one service a socket belongs or first belonged to.
    first: HashMap<Socket, EndpointId>,
    pinned: HashSet<NeighborId>,
    unpin: Vec<(u64, NeighborId)>,
    announced: HashSet<(PortId, Ipv4Addr)>,
}

fn endpoint_id(id: u32) -> EndpointId {
    let id = u16::try_from(id).ok().and_then(NonZeroU16::new);
    EndpointId(id.expect("ids run from 1 to MAX_ENDPOINTS, which fits"))
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
            locals: Locals::default(),
            services: Box::default(),
            reals: Box::default(),
            sockets: Box::default(),
            ports: settings(config, &macs),
            routes: Routes::default(),
            timeouts: Timeouts::default(),
        };
        let mut applier = Self {
            shared,
            publisher: Publisher::new(empty),
            macs,
            endpoints: Ids::new(MAX_ENDPOINTS),
            reals: Ids::new(MAX_REALS),
            first: HashMap::new(),
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
            EndpointOwner::Service((address, _)) => Some((endpoint_id(id), *address)),
            EndpointOwner::SharedSocket(_) => None,
        });
        let reals = self.reals.owners().map(|((_, (address, _)), id)| (RealId(id), *address));
        Names { services: services.collect(), reals: reals.collect() }
    }

    /// Publishes a configuration as one new snapshot.
    ///
    /// # Errors
    /// What cannot be applied; the running configuration stays as it was.
    pub fn apply(&mut self, config: &Config, now: Now) -> Result<(), ApplyError> {
        let mut build = Build { pins: HashSet::new(), now, applier: self };
        let hops = build.neighbors(config)?;
        let (services, reals, endpoints, owners) = build.services(config, &hops)?;
        let pins = build.pins;
        let snapshot = Snapshot {
            generation: 0,
            endpoints,
            locals: locals(config),
            services,
            reals,
            sockets: self.sockets(),
            ports: settings(config, &self.macs),
            routes: hops.routes,
            timeouts: Timeouts::default(),
        };
        self.publisher.publish(snapshot);
        let generation = self.publisher.current().generation;
        self.endpoints.retire(now, generation, |owner| owners.endpoints.contains(owner));
        self.reals.retire(now, generation, |owner| owners.reals.contains(owner));
        self.unpin.retain(|(_, id)| !pins.contains(id));
        self.unpin.extend(self.pinned.difference(&pins).map(|id| (generation, *id)));
        self.pinned = pins;
        self.announce(config);
        Ok(())
    }

    /// Does what waits for workers to move on: frees old snapshots, ids nobody refers to, neighbours nobody names.
    /// Call it once a second.
    pub fn tend(&mut self, now: Now) {
        let oldest = self.publisher.reclaim();
        let shared = &self.shared;
        let busy = |id: u32| shared.counts.connections(RealId(id)) != Connections::default();
        self.reals.release(now, oldest, |_, id| busy(id));
        let reals = &self.reals;
        let first = &self.first;
        self.endpoints.release(now, oldest, |owner, id| match owner {
            EndpointOwner::Service(_) => {
                reals.owners().any(|((service, _), _)| u32::from(service.0.get()) == id)
                    || first.values().any(|service| u32::from(service.0.get()) == id)
            }
            EndpointOwner::SharedSocket(socket) => reals.owners().any(|((_, real), _)| real == socket),
        });
        let kept: HashSet<Socket> = self.reals.owners().map(|((_, socket), _)| *socket).collect();
        self.first.retain(|socket, _| kept.contains(socket));
        let neighbors = &self.shared.neighbors;
        self.unpin.retain(|(generation, id)| {
            if oldest >= *generation {
                neighbors.unpin(*id);
            }
            oldest < *generation
        });
    }

    /// The shared sockets of all real servers that connections may name, the removed ones included.
    fn sockets(&self) -> Box<[Option<EndpointId>]> {
        let mut sockets = Vec::new();
        for ((_, socket), id) in self.reals.owners() {
            if let Some(endpoint) = self.endpoints.get(&EndpointOwner::SharedSocket(*socket)) {
                place(&mut sockets, id as usize, endpoint_id(endpoint));
            }
        }
        sockets.into()
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
            let vips = config.services.iter().filter_map(|service| v4(service.address)).map(|vip| *vip.ip());
            let on_link = vips.filter(|vip| port.addresses.iter().any(|net| net.contains(vip)));
            wanted.extend(own.chain(on_link).map(|address| (PortId(place as u8), address)));
        }
        self.announced.retain(|known| wanted.contains(known));
        for (port, address) in wanted {
            if self.announced.insert((port, address)) {
                // A full ring means thousands of VIPs at once; those are found by ARP all the same.
                let _ = self.shared.announcements.push(Announcement { port, address });
            }
        }
    }
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
    for vip in config.services.iter().filter_map(|service| v4(service.address)) {
        locals.insert(vip.ip().to_bits(), Local::Virtual);
    }
    for (place, port) in config.ports.iter().enumerate() {
        for own in port.addresses.iter().filter_map(v4_net) {
            locals.insert(own.addr().to_bits(), Local::Own(PortId(place as u8)));
        }
    }
    locals
}

/// Next hops with their pinned neighbours.
struct Hops {
    routes: Routes,
}

/// Who appears in the configuration.
#[derive(Default)]
struct Owners {
    endpoints: HashSet<EndpointOwner>,
    reals: HashSet<RealOwner>,
}

type Tables = (Box<[Option<Service>]>, Box<[Option<RealServer>]>, Endpoints, Owners);

struct Build<'a> {
    applier: &'a mut Applier,
    pins: HashSet<NeighborId>,
    now: Now,
}

impl Build<'_> {
    fn pin(&mut self, port: usize, address: Ipv4Addr, mac: Option<[u8; 6]>) -> Result<NextHop, ApplyError> {
        let port = PortId(port as u8);
        let neighbors = &self.applier.shared.neighbors;
        let neighbor = neighbors.pin(port, address.to_bits(), mac, self.now).ok_or(ApplyError::Neighbors(address))?;
        self.pins.insert(neighbor);
        Ok(NextHop { port, neighbor })
    }

    fn fixed(config: &Config, address: Ipv4Addr) -> Option<[u8; 6]> {
        config.neighbors.iter().find(|entry| entry.address == IpAddr::V4(address)).map(|entry| entry.mac)
    }

    fn neighbors(&mut self, config: &Config) -> Result<Hops, ApplyError> {
        for entry in &config.neighbors {
            if let (IpAddr::V4(address), Some(port)) = (entry.address, config.on_link(entry.address)) {
                self.pin(port, address, Some(entry.mac))?;
            }
        }
        let mut routes = Vec::new();
        for route in &config.routes {
            if let (IpNet::V4(to), IpAddr::V4(gateway), Some(port)) = (route.to, route.via, config.on_link(route.via)) {
                let hop = self.pin(port, gateway, Self::fixed(config, gateway))?;
                routes.push((to, Target::Via { gateway, hop }));
            }
        }
        // After the routes: a port's own network comes before a route of the same length.
        for (place, port) in config.ports.iter().enumerate() {
            for net in port.addresses.iter().filter_map(v4_net) {
                routes.push((net, Target::OnLink(PortId(place as u8))));
            }
        }
        Ok(Hops { routes: routes.into_iter().collect() })
    }

    fn hop(&mut self, config: &Config, routes: &Routes, address: Ipv4Addr) -> Result<Option<NextHop>, ApplyError> {
        Ok(match routes.find(address.to_bits()) {
            Some(Target::Via { hop, .. }) => Some(hop),
            Some(Target::OnLink(port)) => Some(self.pin(port.index(), address, Self::fixed(config, address))?),
            None => None,
        })
    }

    fn endpoint(&mut self, owner: EndpointOwner, owners: &mut Owners) -> Result<EndpointId, ApplyError> {
        owners.endpoints.insert(owner);
        self.applier.endpoints.assign(owner).map(endpoint_id).ok_or(ApplyError::EndpointIds)
    }

    fn services(&mut self, config: &Config, hops: &Hops) -> Result<Tables, ApplyError> {
        let previous = self.applier.publisher.current();
        let mut owners = Owners::default();
        let mut endpoints = Endpoints::default();
        let mut services: Vec<Option<Service>> = Vec::new();
        let mut reals: Vec<Option<RealServer>> = Vec::new();
        let shared = shared_sockets(config);
        for wanted in &config.services {
            let Some(vip) = v4(wanted.address) else { continue };
            let id = self.endpoint(EndpointOwner::Service((vip, wanted.protocol)), &mut owners)?;
            endpoints.insert(vip.ip().to_bits(), vip.port(), wanted.protocol, Endpoint::Service(id));
            let mut members: Vec<(SocketAddrV4, &config::Real)> =
                wanted.reals.iter().filter_map(|real| Some((v4(real.address)?, real))).collect();
            members.sort_by_key(|(address, _)| *address);
            let mut ids = Vec::with_capacity(members.len());
            for (address, real) in &members {
                let socket = (*address, wanted.protocol);
                let owner = (id, socket);
                owners.reals.insert(owner);
                let real_id = RealId(self.applier.reals.assign(owner).ok_or(ApplyError::RealIds)?);
                let mut sharing = None;
                if real.forwarding == Forwarding::Nat {
                    sharing = self.sharing(socket, id, shared.contains(&socket), &mut owners)?;
                    let endpoint = match sharing {
                        Some(socket) => Endpoint::Shared(socket),
                        None => Endpoint::Private { service: id, real: real_id },
                    };
                    endpoints.insert(address.ip().to_bits(), address.port(), wanted.protocol, endpoint);
                }
                let hop = self.hop(config, &hops.routes, *address.ip())?;
                place(
                    &mut reals,
                    real_id.index(),
                    RealServer {
                        id: real_id,
                        service: id,
                        address: *address,
                        forwarding: real.forwarding,
                        weight: real.weight,
                        shared: sharing,
                        hop,
                    },
                );
                ids.push(real_id);
            }
            let mut service = Service {
                id,
                address: vip,
                protocol: wanted.protocol,
                scheduler: wanted.scheduler,
                weights: members.iter().map(|(_, real)| real.weight).collect(),
                version: 1,
                reals: ids.into(),
            };
            service.version = version(&service, &reals, &previous);
            place(&mut services, id.index(), service);
        }
        Ok((services.into(), reals.into(), endpoints, owners))
    }

    /// Decides whether a NAT socket is shared: from the moment that a second service names it, and then for as long
    /// as its id lives, since connections made meanwhile have links.
    fn sharing(
        &mut self,
        socket: Socket,
        service: EndpointId,
        several: bool,
        owners: &mut Owners,
    ) -> Result<Option<conn::Socket>, ApplyError> {
        let first = *self.applier.first.entry(socket).or_insert(service);
        let owner = EndpointOwner::SharedSocket(socket);
        // A socket that changes hands is shared too: the former service's connections must not be mistaken.
        if !several && first == service && self.applier.endpoints.get(&owner).is_none() {
            return Ok(None);
        }
        Ok(Some(conn::Socket { endpoint: self.endpoint(owner, owners)?, first }))
    }
}

/// The NAT sockets that more than one service names.
fn shared_sockets(config: &Config) -> HashSet<Socket> {
    let mut seen = HashSet::new();
    let mut shared = HashSet::new();
    for service in &config.services {
        for real in service.reals.iter().filter(|real| real.forwarding == Forwarding::Nat) {
            if let Some(address) = v4(real.address)
                && !seen.insert((address, service.protocol))
            {
                shared.insert((address, service.protocol));
            }
        }
    }
    shared
}

fn place<T>(slots: &mut Vec<Option<T>>, index: usize, value: T) {
    if slots.len() <= index {
        slots.resize_with(index + 1, || None);
    }
    slots[index] = Some(value);
}

/// A service's version: the former one if its scheduler sees no difference.
fn version(service: &Service, reals: &[Option<RealServer>], previous: &Snapshot) -> u32 {
    let Some(old) = previous.service(service.id) else { return 1 };
    let weight = |reals: &[Option<RealServer>], id: &RealId| {
        reals.get(id.index()).and_then(Option::as_ref).map(|real| real.weight)
    };
    let same = old.scheduler == service.scheduler
        && old.reals == service.reals
        && service.reals.iter().all(|id| weight(reals, id) == weight(&previous.reals, id));
    if same { old.version } else { old.version.wrapping_add(1).max(1) }
}
