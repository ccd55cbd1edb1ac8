//! From a checked configuration to what workers see: assigns ids, builds the snapshot, publishes it.
//!
//! The [`Applier`] is the only writer of the data plane's configuration. It keeps what must outlive a snapshot:
//! which id belongs to whom, which sockets have ever been shared, which neighbours are pinned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};

use super::config::{self, Config, Selector};
use super::connections::Names;
use super::ids::Ids;
use super::routing::learned::Learned;
use crate::dataplane::address::{Address, TransportAddress};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Connections, MAX_REAL_ID, Outlet};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::service::{EndpointId, PortId, RealId, RealServer, Service};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::{LatestPersistence, Publisher, Reader, Snapshot, Viewer};

mod agenda;
mod announce;
mod build;
mod column;
mod commit;
mod error;
mod former;
mod growth;
mod local_pools;
mod lookup;
mod owner;
mod part;
mod settings;
mod slow_start;
mod sockets;
mod stand_ins;
mod station;
#[cfg(test)]
mod tests;
mod ways;

use agenda::Agenda;
use build::{Build, Given};
use column::Column;
use commit::Built;
pub use error::ApplyError;
use local_pools::LocalIds;
use lookup::Lookup;
use owner::{EndpointOwner, RealOwner, Socket, endpoint_id};
use part::Part;
use settings::settings;
use slow_start::SlowStarts;
use sockets::Sockets;
use ways::Ways;

/// The most endpoints: services, and real servers' sockets that several services share.
pub const MAX_ENDPOINTS: u32 = config::MAX_ENDPOINTS as u32;
/// The most real servers, counted once for each service that has them.
pub const MAX_REALS: u32 = config::MAX_REALS as u32;
const _: () = assert!(MAX_REALS <= MAX_REAL_ID.0);

/// What is kept by id, of services and of real servers.
#[derive(Default)]
struct Columns {
    services: Column<Option<Arc<Service>>>,
    addresses: Column<Option<TransportAddress>>,
    persistence: Column<Option<LatestPersistence>>,
    reals: Column<Option<RealServer>>,
    outlets: Column<Option<Outlet>>,
    /// Of a real server's service, in seconds; 0 for none.
    timeouts: Column<u32>,
    /// Those of the latest persistence of a real server's service, also of one that is gone.
    template_timeouts: Column<u32>,
}

impl Columns {
    /// Forgets what the configuration alone says.
    fn restart(&mut self) {
        self.services.clear();
        self.addresses.clear();
        self.reals.clear();
        self.timeouts.clear();
    }
}

/// Builds and publishes snapshots.
pub struct Applier {
    shared: Arc<Shared>,
    publisher: Publisher,
    macs: Vec<[u8; 6]>,
    endpoints: Ids<EndpointOwner>,
    reals: Ids<RealOwner>,
    /// By endpoint id of a service, how many ids of real servers and sockets refer to it.
    references: Vec<u32>,
    /// The configuration that runs; none before the first.
    running: Option<Config>,
    /// What became of its services.
    parts: HashMap<Selector, Part>,
    /// Those to look at again with each change: see [`Part::restless`].
    restless: HashSet<Selector>,
    sockets: Sockets,
    local_ids: LocalIds,
    /// Sockets that were found to be shared since the last snapshot.
    shared_lately: Vec<Socket>,
    lookup: Lookup,
    columns: Columns,
    ways: Ways,
    /// What the host's kernel says of routes, and whether there are news.
    learned: Arc<Learned>,
    news: bool,
    /// Which real servers are on their way to their weights.
    slow_starts: SlowStarts,
    /// How many versions of services there were: see [`crate::dataplane::service::Service::version`].
    versions: u32,
    /// The neighbours that are next hops, each with how many have it.
    pins: HashMap<NeighborId, u32>,
    unpin: Vec<(u64, NeighborId)>,
    announced: HashSet<(PortId, Address)>,
}

impl Applier {
    /// Starts with the first configuration; `macs` are the ports' Ethernet addresses, in the order of the ports.
    ///
    /// # Errors
    /// What cannot be applied.
    pub fn start(shared: Arc<Shared>, config: &Config, macs: Vec<[u8; 6]>, now: Now) -> Result<Self, ApplyError> {
        let empty = Snapshot { ports: settings(config, &macs), rules: config.rules, ..Snapshot::default() };
        let mut applier = Self {
            shared,
            publisher: Publisher::new(empty),
            macs,
            endpoints: Ids::new(MAX_ENDPOINTS),
            reals: Ids::new(MAX_REALS),
            references: vec![0; MAX_ENDPOINTS as usize + 1],
            running: None,
            parts: HashMap::new(),
            restless: HashSet::new(),
            sockets: Sockets::default(),
            local_ids: LocalIds::default(),
            shared_lately: Vec::new(),
            lookup: Lookup::default(),
            columns: Columns::default(),
            ways: Ways::default(),
            learned: Arc::default(),
            news: false,
            slow_starts: SlowStarts::default(),
            versions: 0,
            pins: HashMap::new(),
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

    /// Tells whether every worker has moved on to the newest snapshot: then no packet is handled by an older one any more. Who
    /// looks at one in a listing holds this back for that long.
    pub fn is_settled(&mut self) -> bool {
        self.publisher.reclaim() == self.publisher.current().generation
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

    /// Publishes a configuration as one new snapshot. Services that are the running ones, or equal to them, are taken over as
    /// they are; those that a configuration shares with the running one cost next to nothing.
    ///
    /// # Errors
    /// What cannot be applied; the running configuration stays as it was.
    pub fn apply(&mut self, config: &Config, now: Now) -> Result<(), ApplyError> {
        let agenda = Agenda::new(self.running.as_ref(), config);
        self.carry_out(config, now, &agenda, true)
    }

    /// Publishes the routes that packets take now that ports have lost their links, or have them again, or the host's kernel has
    /// told of some, and by which next hops real servers are reached; `config` is what runs. If nothing has changed, nothing happens.
    ///
    /// # Errors
    /// What cannot be applied; all stays as it was.
    pub fn reroute(&mut self, config: &Config, now: Now) -> Result<(), ApplyError> {
        if !self.news && !self.links_changed(config) {
            return Ok(());
        }
        let agenda = Agenda { ways: true, ..Agenda::new(self.running.as_ref(), config) };
        self.carry_out(config, now, &agenda, false)
    }

    /// For how many next hops there is no room in the table of neighbours; what they lead to is reached by others, or not at all.
    pub fn left_out(&self) -> usize {
        self.ways.left_out.len()
    }

    fn carry_out(&mut self, config: &Config, now: Now, agenda: &Agenda, strict: bool) -> Result<(), ApplyError> {
        self.know_locals(config, agenda)?;
        self.rename(config, &agenda.changed);
        let places = self.to_build(config, agenda);
        let mut build = Build::new(self, now, strict);
        let services = places.iter().map(|place| &config.services[*place]);
        let made = build.all(config, agenda, services);
        let Build { ways, slow_starts, given, .. } = build;
        match made {
            Ok((made, moved)) => {
                self.commit(config, now, agenda, Built { made, ways, moved, pins: given.pins, slow_starts });
                Ok(())
            }
            Err(error) => {
                self.rename_back(config, &agenda.changed);
                self.take_back(&given, now);
                Err(error)
            }
        }
    }

    /// Undoes what a build that failed has left: ids and pins of what does not run.
    fn take_back(&mut self, given: &Given, now: Now) {
        let generation = self.publisher.current().generation;
        given.endpoints.iter().for_each(|owner| self.endpoints.retire(owner, now, generation));
        given.reals.iter().for_each(|owner| self.reals.retire(owner, now, generation));
        self.linger();
        let unpinned = given.pins.keys().filter(|id| !self.pins.contains_key(*id));
        for id in unpinned.filter(|id| !self.unpin.iter().any(|(_, old)| old == *id)) {
            self.shared.neighbors.unpin(*id);
        }
    }

    /// A real server was given an id.
    fn know(&mut self, owner: &RealOwner, id: RealId) {
        // What is known of the id is a former owner's.
        self.shared.overloaded[id.index()].store(false, Ordering::Relaxed);
        self.sockets.add(owner, id);
        self.references[owner.service.index()] += 1;
    }

    /// The service that a socket first belongs to: `service`, if it is the first.
    fn first(&mut self, socket: Socket, service: EndpointId) -> EndpointId {
        if let Some(first) = self.sockets.first(socket) {
            return first;
        }
        self.sockets.set_first(socket, service);
        self.references[service.index()] += 1;
        service
    }

    /// The real servers that are reached by another method now, and still have connections.
    fn lingering(&self) -> impl Iterator<Item = RealOwner> {
        let parts = self.restless.iter().filter_map(|selector| self.parts.get(selector));
        let stations = parts.flat_map(|part| &part.stations);
        stations.filter(|station| station.lingers).map(|station| station.owner)
    }

    /// Notes that the newest snapshot still has the real servers that linger.
    fn linger(&mut self) {
        let generation = self.publisher.current().generation;
        let lingering: Vec<_> = self.lingering().collect();
        for owner in lingering {
            self.reals.linger(&owner, generation + 1);
        }
    }

    /// Publishes what real servers that start slowly have grown to: their services are made anew, nothing else is.
    fn grow(&mut self, now: Now) {
        let (current, workers) = (self.publisher.current(), self.shared.workers.len() as u32);
        let services = self.slow_starts.services();
        let services = services.into_iter().filter_map(|id| current.service(id));
        let grown = services.filter_map(|service| growth::grown(service, &current, &self.slow_starts, workers, now));
        let grown: Vec<Service> = grown.collect();
        self.slow_starts.tidy(now, |_, _| true);
        if grown.is_empty() {
            return;
        }
        for service in grown {
            self.columns.services.replace(service.id.index(), Some(Arc::new(service)));
        }
        let services = self.columns.services.publish();
        self.publisher.publish(Snapshot { services, ..Snapshot::clone(&current) });
        self.linger();
    }

    /// Does what is due as time goes by, and what waits for workers to move on: lets weights grow; frees old snapshots, ids
    /// nobody refers to, neighbours nobody names. Call it once a second.
    pub fn tend(&mut self, now: Now) {
        self.grow(now);
        let oldest = self.publisher.reclaim();
        let shared = &self.shared;
        let busy = |id: u32| shared.counts.connections(RealId(id)) != Connections::default();
        for (owner, id) in self.reals.release(now, oldest, |_, id| busy(id)) {
            self.forget(&owner, RealId(id));
        }
        let (references, sockets) = (&self.references, &self.sockets);
        let released = self.endpoints.release(now, oldest, |owner, id| match owner {
            EndpointOwner::Service(_) => references[id as usize] > 0,
            EndpointOwner::SharedSocket(socket) => sockets.is_owned(*socket),
        });
        for (_, id) in released {
            self.columns.persistence.set(id as usize, None);
        }
        let neighbors = &self.shared.neighbors;
        self.unpin.retain(|(generation, id)| {
            if oldest >= *generation {
                neighbors.unpin(*id);
            }
            oldest < *generation
        });
    }

    /// A real server's id was given back.
    fn forget(&mut self, owner: &RealOwner, id: RealId) {
        self.columns.outlets.set(id.index(), None);
        self.columns.template_timeouts.set(id.index(), 0);
        let first = self.sockets.remove(owner, id);
        for service in first.into_iter().chain([owner.service]) {
            self.references[service.index()] -= 1;
        }
    }
}
