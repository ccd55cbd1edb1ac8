//! The parts of a snapshot that have ids in them: services, real servers and their next hops.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::super::config::{self, Config};
use super::slow_start::SlowStarts;
use super::{Applier, ApplyError, EndpointOwner, Owners, RealOwner, Socket, endpoint_id, outlet_port, v4, v4_net};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{self, Connections};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::route::{NextHop, Routes, Target};
use crate::dataplane::sched::{Candidate, Former, Plan, Roster};
use crate::dataplane::selector::{Pattern, Selector};
use crate::dataplane::selectors::Selectors;
use crate::dataplane::service::{Endpoint, EndpointId, Forwarding, PortId, Protocol, RealId, RealServer, Service};
use crate::dataplane::snapshot::{Endpoints, Snapshot};

/// What a snapshot is made of that has ids in it.
pub(super) struct Built {
    pub services: Box<[Option<Service>]>,
    pub reals: Box<[Option<RealServer>]>,
    pub endpoints: Known,
    pub selectors: Selectors,
    pub routes: Routes,
    pub slow_starts: SlowStarts,
}

/// The endpoints of one port, those of every port, and those whose answers have no connections.
#[derive(Default)]
pub(super) struct Known {
    pub single: Endpoints,
    pub wildcards: Endpoints,
    pub one_packet: Endpoints,
}

/// Services that an endpoint does not lead to, in the order of the file.
#[derive(Default)]
struct Several {
    matches: Vec<(Pattern, EndpointId)>,
    ranges: Vec<(Pattern, EndpointId)>,
    marks: HashMap<u32, EndpointId>,
}

impl Several {
    fn selectors(self, config: &Config) -> Selectors {
        let marks = config.marks.iter().map(|rule| (rule.pattern, self.marks.get(&rule.mark).copied()));
        Selectors::new(marks, self.matches, self.ranges)
    }
}

/// Lets a service be found by what it is for.
fn insert_service(endpoints: &mut Known, others: &mut Several, selector: Selector, id: EndpointId) {
    match selector {
        Selector::Socket(address, protocol) => {
            let Some(vip) = v4(address) else { return };
            let kind = if selector.is_wide() { &mut endpoints.wildcards } else { &mut endpoints.single };
            kind.insert(vip.ip().to_bits(), vip.port(), protocol, Endpoint::Service(id));
        }
        Selector::Range(pattern) => others.ranges.push((pattern, id)),
        Selector::Match(pattern) => others.matches.push((pattern, id)),
        Selector::Mark(mark) => {
            others.marks.insert(mark, id);
        }
    }
}

/// What answers of a service's real server come from.
fn socket_of(selector: Selector, address: SocketAddrV4) -> Socket {
    match selector {
        Selector::Socket(_, protocol) if !selector.is_wide() => Socket::Port(address, protocol),
        _ => Socket::Station(*address.ip()),
    }
}

/// Of a service that has several addresses or ports.
const NO_ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// The neighbours that are next hops, with their static addresses.
type Pins = HashMap<NeighborId, Option<[u8; 6]>>;

/// A configuration on its way to a snapshot. Only ids and pins of the [`Applier`] change, and those can be taken back.
pub(super) struct Build<'a> {
    applier: &'a mut Applier,
    now: Now,
    fixed: HashMap<Ipv4Addr, [u8; 6]>,
    pins: Pins,
    owners: Owners,
    slow_starts: SlowStarts,
}

impl Build<'_> {
    pub fn new(applier: &mut Applier, now: Now) -> Build<'_> {
        let slow_starts = applier.slow_starts.clone();
        Build { applier, now, fixed: HashMap::new(), pins: Pins::new(), owners: Owners::default(), slow_starts }
    }

    /// Builds, and tells, also if that failed, which neighbours are pinned now, and who was given an id.
    pub fn build(mut self, config: &Config) -> (Result<Built, ApplyError>, Pins, Owners) {
        let built = self.routes(config).and_then(|routes| self.services(config, routes));
        (built, self.pins, self.owners)
    }

    fn pin(&mut self, port: PortId, address: Ipv4Addr) -> Result<NextHop, ApplyError> {
        let neighbors = &self.applier.shared.neighbors;
        let neighbor = neighbors.pin(port, address.to_bits(), self.now).ok_or(ApplyError::Neighbors(address))?;
        self.pins.insert(neighbor, self.fixed.get(&address).copied());
        Ok(NextHop { port, neighbor })
    }

    fn routes(&mut self, config: &Config) -> Result<Routes, ApplyError> {
        for entry in &config.neighbors {
            if let (IpAddr::V4(address), Some(port)) = (entry.address, config.on_link(entry.address)) {
                self.fixed.insert(address, entry.mac);
                self.pin(PortId(port as u8), address)?;
            }
        }
        let mut routes = Vec::new();
        for route in &config.routes {
            if let (IpNet::V4(to), IpAddr::V4(gateway), Some(port)) = (route.to, route.via, config.on_link(route.via)) {
                let hop = self.pin(PortId(port as u8), gateway)?;
                routes.push((to, Target::Via { gateway, hop }));
            }
        }
        // After the routes: a port's own network comes before a route of the same length.
        for (place, port) in config.ports.iter().enumerate() {
            for net in port.addresses.iter().filter_map(v4_net) {
                routes.push((net, Target::OnLink(PortId(place as u8))));
            }
        }
        Ok(routes.into_iter().collect())
    }

    fn hop(&mut self, routes: &Routes, address: Ipv4Addr) -> Result<Option<NextHop>, ApplyError> {
        Ok(match routes.find(address.to_bits()) {
            Some(Target::Via { hop, .. }) => Some(hop),
            Some(Target::OnLink(port)) => Some(self.pin(port, address)?),
            None => None,
        })
    }

    fn endpoint(&mut self, owner: EndpointOwner) -> Result<EndpointId, ApplyError> {
        self.owners.endpoints.insert(owner);
        self.applier.endpoints.assign(owner).map(endpoint_id).ok_or(ApplyError::EndpointIds)
    }

    fn services(&mut self, config: &Config, routes: Routes) -> Result<Built, ApplyError> {
        let previous = self.applier.publisher.current();
        let mut endpoints = Known::default();
        let mut others = Several::default();
        let mut services: Vec<Option<Service>> = Vec::new();
        let mut reals: Vec<Option<RealServer>> = Vec::new();
        let shared = shared_sockets(config);
        for wanted in &config.services {
            let selector = wanted.selector;
            let id = self.endpoint(EndpointOwner::Service(selector))?;
            insert_service(&mut endpoints, &mut others, selector, id);
            if previous.service(id).is_none() {
                self.applier.shared.stateless.forget(id);
            }
            let mut members: Vec<(SocketAddrV4, &config::Real)> =
                wanted.reals.iter().filter_map(|real| Some((v4(real.address)?, real))).collect();
            members.sort_by_key(|(address, _)| *address);
            let mut candidates = Vec::with_capacity(members.len());
            for (address, real) in &members {
                let station = Station::new(id, wanted, real, *address, &shared);
                let nth = Some(candidates.len() as u32);
                let real_id = self.station(&mut endpoints, &mut reals, &routes, station, nth)?;
                let before = known(&previous, id, *address);
                if previous.service(id).is_some() {
                    self.start_slowly(id, *address, real, before.map_or(0, |(_, real)| real.weight));
                }
                let last_weight = before.map_or(0, |(candidate, _)| candidate.last_weight);
                candidates.push(Candidate {
                    id: real_id,
                    weight: real.weight,
                    last_weight: if real.weight > 0 { real.weight } else { last_weight },
                    thresholds: real.thresholds,
                });
            }
            let sorry = match &wanted.sorry_server {
                Some(real) if let Some(address) = v4(real.address) => {
                    let station = Station::new(id, wanted, real, address, &shared);
                    Some(self.station(&mut endpoints, &mut reals, &routes, station, None)?)
                }
                _ => None,
            };
            let addresses: Vec<_> = members.iter().map(|(address, _)| *address).collect();
            let weight_factor = self.slow_starts.weigh(id, wanted.scheduler, &mut candidates, &addresses, self.now);
            let workers = self.applier.shared.workers.len() as u32;
            let roster = Roster {
                scheduler: wanted.scheduler,
                reals: &candidates,
                addresses: &addresses,
                destinations: destinations(selector),
                workers,
            };
            let plan = Plan::new(&roster, previous.service(id).map(former));
            let mut service = Service {
                id,
                selector,
                address: selector.socket().and_then(v4).unwrap_or(NO_ADDRESS),
                scheduler: wanted.scheduler,
                plan,
                version: 0,
                persistence: wanted.persistence,
                max_new_per_second: wanted.max_new_per_second,
                one_packet: wanted.one_packet,
                sorry,
                weight_factor,
                reals: candidates.into(),
            };
            service.version = self.version(&service, &reals, &previous);
            place(&mut services, id.index(), service);
        }
        let (selectors, slow_starts) = (others.selectors(config), self.slow_starts.clone());
        Ok(Built { services: services.into(), reals: reals.into(), endpoints, selectors, routes, slow_starts })
    }

    /// Adds what packets of a service are sent to: a real server by its place among the service's, or the sorry server,
    /// which has none.
    fn station(
        &mut self,
        endpoints: &mut Known,
        reals: &mut Vec<Option<RealServer>>,
        routes: &Routes,
        station: Station<'_>,
        nth: Option<u32>,
    ) -> Result<RealId, ApplyError> {
        let Station { service, address, socket, real, .. } = station;
        let owner = RealOwner { service, address, socket, forwarding: real.forwarding };
        self.owners.reals.insert(owner);
        let known = self.applier.reals.get(&owner).is_some();
        let id = RealId(self.applier.reals.assign(owner).ok_or(ApplyError::RealIds)?);
        if !known {
            // What is known of the id is a former owner's.
            self.applier.shared.overloaded[id.index()].store(false, Ordering::Relaxed);
        }
        let mut methods = vec![(owner, id, real.weight, nth)];
        methods.extend(self.lingering(owner).map(|(owner, id)| (owner, id, 0, None)));
        for (owner, id, weight, place_in_service) in methods {
            let shared = self.answers(endpoints, owner, id, station)?;
            let real = RealServer {
                id,
                service,
                place: place_in_service,
                address,
                forwarding: owner.forwarding,
                weight,
                thresholds: real.thresholds,
                shared,
                hop: self.hop(routes, *address.ip())?,
            };
            place(reals, id.index(), real);
        }
        Ok(id)
    }

    /// Sees whether a real server returns, goes, or is on its way; `before` is the weight it had, 0 if it was not there.
    fn start_slowly(&mut self, service: EndpointId, address: SocketAddrV4, real: &config::Real, before: u16) {
        match (before, real.weight) {
            (_, 0) => self.slow_starts.end(service, address),
            (0, _) => self.slow_starts.begin(service, address, real.slow_start, self.now),
            _ => self.slow_starts.change(service, address, real.slow_start),
        }
    }

    /// The same real server by the methods by which it was reached before, where connections still are.
    fn lingering(&mut self, now: RealOwner) -> impl Iterator<Item = (RealOwner, RealId)> + use<> {
        let applier = &*self.applier;
        let others =
            [Forwarding::Nat, Forwarding::Tunnel, Forwarding::Direct].map(|forwarding| RealOwner { forwarding, ..now });
        let others = others.into_iter().filter(|owner| *owner != now);
        let known = others.filter_map(|owner| Some((owner, RealId(applier.reals.get(&owner)?))));
        let busy = known.filter(|(_, id)| applier.shared.counts.connections(*id) != Connections::default());
        let busy: Vec<_> = busy.collect();
        self.owners.lingering.extend(busy.iter().map(|(owner, _)| *owner));
        busy.into_iter()
    }

    /// Lets answers of a NAT real server be known as such, and tells whether its socket is shared.
    fn answers(
        &mut self,
        endpoints: &mut Known,
        owner: RealOwner,
        real: RealId,
        station: Station<'_>,
    ) -> Result<Option<conn::Socket>, ApplyError> {
        if owner.forwarding != Forwarding::Nat {
            return Ok(None);
        }
        let RealOwner { service, socket, .. } = owner;
        let sharing = self.sharing(owner, station.several)?;
        let private = Endpoint::Private { service, real };
        match socket {
            Socket::Port(address, protocol) => {
                let (address, port) = (address.ip().to_bits(), address.port());
                endpoints.single.insert(address, port, protocol, sharing.map_or(private, Endpoint::Shared));
                if station.one_packet {
                    endpoints.one_packet.insert(address, port, protocol, private);
                }
            }
            Socket::Station(address) => {
                // The port of an answer is the answer's to tell.
                if let Some(sharing) = sharing.map(|sharing| conn::Socket { port: 0, ..sharing }) {
                    for protocol in station.protocols {
                        endpoints.wildcards.insert(address.to_bits(), 0, *protocol, Endpoint::Shared(sharing));
                    }
                }
            }
        }
        Ok(sharing)
    }

    /// Decides whether a NAT socket is shared: from the moment that a second service names it, and then for as long
    /// as its id lives, since connections made meanwhile have links.
    fn sharing(&mut self, real: RealOwner, several: bool) -> Result<Option<conn::Socket>, ApplyError> {
        let RealOwner { service, socket, .. } = real;
        let (owner, port) = (EndpointOwner::SharedSocket(socket), outlet_port(&real));
        if matches!(socket, Socket::Station(_)) {
            // An answer does not say which VIP it is from: all its connections have links, from the first on.
            return Ok(Some(conn::Socket { endpoint: self.endpoint(owner)?, port, first: None }));
        }
        let first = *self.applier.first.entry(socket).or_insert(service);
        // A socket that changes hands is shared too: the former service's connections must not be mistaken.
        if !several && first == service && self.applier.endpoints.get(&owner).is_none() {
            return Ok(None);
        }
        Ok(Some(conn::Socket { endpoint: self.endpoint(owner)?, port, first: Some(first) }))
    }

    /// A service's version: the former one if its scheduler sees no difference but how far a slow start has come, else one
    /// that no service ever had. A worker's cursor outlives a service that is removed, and must not take one that comes back
    /// for the old one.
    fn version(&mut self, service: &Service, reals: &[Option<RealServer>], previous: &Snapshot) -> u32 {
        let weight = |reals: &[Option<RealServer>], id: RealId| Some(reals.get(id.index())?.as_ref()?.weight);
        let alike = |(old, new): (&Candidate, &Candidate)| {
            (old.id, old.thresholds) == (new.id, new.thresholds)
                && weight(&previous.reals, old.id) == weight(reals, new.id)
        };
        let same = |old: &&Service| {
            old.scheduler == service.scheduler
                && old.reals.len() == service.reals.len()
                && old.reals.iter().zip(&service.reals).all(alike)
        };
        if let Some(old) = previous.service(service.id).filter(same) {
            return old.version;
        }
        self.applier.versions = self.applier.versions.wrapping_add(1).max(1);
        self.applier.versions
    }
}

/// What packets of a service can be sent to.
#[derive(Clone, Copy)]
struct Station<'a> {
    service: EndpointId,
    address: SocketAddrV4,
    socket: Socket,
    protocols: &'static [Protocol],
    real: &'a config::Real,
    /// Whether several services have its socket.
    several: bool,
    /// Whether the service keeps no connections.
    one_packet: bool,
}

impl<'a> Station<'a> {
    fn new(
        service: EndpointId,
        wanted: &config::Service,
        real: &'a config::Real,
        address: SocketAddrV4,
        shared: &HashSet<Socket>,
    ) -> Self {
        let socket = socket_of(wanted.selector, address);
        let (protocols, several) = (wanted.selector.protocols(), shared.contains(&socket));
        Self { service, address, socket, protocols, real, several, one_packet: wanted.one_packet }
    }
}

/// A service with the weights that its real servers have grown to; `None` if none has.
pub(super) fn grown(
    service: &Service,
    snapshot: &Snapshot,
    starts: &SlowStarts,
    workers: u32,
    now: Now,
) -> Option<Service> {
    let mut reals = service.reals.clone();
    let mut addresses = Vec::with_capacity(reals.len());
    for candidate in &mut reals {
        let real = snapshot.real(candidate.id)?;
        candidate.weight = real.weight;
        addresses.push(real.address);
    }
    let weight_factor = starts.weigh(service.id, service.scheduler, &mut reals, &addresses, now);
    if reals == service.reals {
        return None;
    }
    let roster = Roster {
        scheduler: service.scheduler,
        reals: &reals,
        addresses: &addresses,
        destinations: destinations(service.selector),
        workers,
    };
    let plan = Plan::new(&roster, Some(former(service)));
    Some(Service { plan, weight_factor, reals, ..service.clone() })
}

/// How many addresses a service may have.
fn destinations(selector: Selector) -> u64 {
    selector.addresses().count()
}

/// A service for comparison with what becomes of it.
fn former(service: &Service) -> Former<'_> {
    Former { scheduler: service.scheduler, reals: &service.reals, plan: &service.plan }
}

/// A service's real server as a snapshot has it.
pub(super) fn known(
    snapshot: &Snapshot,
    service: EndpointId,
    address: SocketAddrV4,
) -> Option<(&Candidate, &RealServer)> {
    let reals = &snapshot.service(service)?.reals;
    let of = |candidate: &Candidate| snapshot.real(candidate.id).map(|real| real.address);
    let candidate = reals.get(reals.binary_search_by_key(&Some(address), of).ok()?)?;
    Some((candidate, snapshot.real(candidate.id)?))
}

/// The NAT sockets that more than one service names, but for those that are always shared.
fn shared_sockets(config: &Config) -> HashSet<Socket> {
    let mut seen = HashSet::new();
    let mut shared = HashSet::new();
    for service in &config.services {
        for (_, real) in service.stations().filter(|(_, real)| real.forwarding == Forwarding::Nat) {
            let socket = v4(real.address).map(|address| socket_of(service.selector, address));
            if let Some(socket) = socket.filter(|socket| !seen.insert(*socket)) {
                shared.insert(socket);
            }
        }
    }
    shared
}

pub(super) fn place<T>(slots: &mut Vec<Option<T>>, index: usize, value: T) {
    if slots.len() <= index {
        slots.resize_with(index + 1, || None);
    }
    slots[index] = Some(value);
}
