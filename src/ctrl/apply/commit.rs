//! From services that were built to the next snapshot: what changed is entered into what is kept, and published.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::{HashMap, HashSet};

use super::super::config::Config;
use super::Applier;
use super::agenda::Agenda;
use super::build::{Made, Pins};
use super::growth::known;
use super::lookup::Lookup;
use super::owner::{EndpointOwner, endpoint_id};
use super::part::{Part, Station};
use super::settings::{locals, selectors, settings, timeouts};
use super::slow_start::SlowStarts;
use super::ways::{Moved, Ways};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Era, Outlet, Timeouts};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::service::{EndpointId, RealId, RealServer};
use crate::dataplane::snapshot::{Former, LatestPersistence, Snapshot};

/// What a build has come to.
pub(super) struct Built {
    pub made: Vec<Made>,
    pub ways: Ways,
    pub moved: Vec<Moved>,
    pub pins: Pins,
    pub slow_starts: SlowStarts,
}

/// The ids of what was built.
#[derive(Default)]
struct Kept {
    /// Of all stations.
    stations: HashSet<RealId>,
    /// Of those that are configured.
    configured: HashSet<RealId>,
}

impl Applier {
    /// Publishes the next snapshot.
    pub(super) fn commit(&mut self, config: &Config, now: Now, agenda: &Agenda, built: Built) {
        let Built { made, ways, moved, pins, mut slow_starts } = built;
        let generation = self.publisher.current().generation + 1;
        for (neighbor, mac) in &pins {
            self.shared.neighbors.fix(*neighbor, *mac);
        }
        let old = self.replaced(agenda, &made);
        let held = agenda.whole.then(|| {
            self.lookup = Lookup::default();
            self.columns.restart();
            mem::take(&mut self.pins)
        });
        if agenda.ways {
            self.go_by(ways, agenda.whole, generation);
        }
        self.relocate(moved, generation);
        let (kept, eras) = self.enter_all(made);
        for part in old {
            self.leave(&part, &kept, agenda.whole, (now, generation));
        }
        if let Some(held) = held {
            let gone = held.into_keys().filter(|id| !self.pins.contains_key(id));
            self.unpin.extend(gone.map(|id| (generation, id)));
        }
        self.unpin.retain(|(_, id)| !self.pins.contains_key(id));
        self.link();
        self.last(&eras);
        let snapshot = self.snapshot(config, agenda);
        slow_starts.tidy(now, |service, address| known(&snapshot, service, address).is_some());
        self.slow_starts = slow_starts;
        self.publisher.publish(snapshot);
        self.linger();
        self.remember(config, agenda);
        if agenda.locals {
            self.announce(config);
        }
    }

    /// Goes over to other routes and static neighbours.
    fn go_by(&mut self, ways: Ways, whole: bool, generation: u64) {
        for ((port, address), mac) in ways.refixed(&self.ways) {
            if let Some(neighbor) = self.shared.neighbors.find(port, address) {
                self.shared.neighbors.fix(neighbor, mac);
            }
        }
        let former = mem::replace(&mut self.ways, ways);
        self.news = false;
        let pinned = Arc::clone(&self.ways.pinned);
        pinned.iter().for_each(|neighbor| self.hold(*neighbor));
        if !whole {
            former.pinned.iter().for_each(|neighbor| self.let_go(*neighbor, generation));
        }
    }

    /// Enters the next hops of real servers that are reached by others from now on.
    fn relocate(&mut self, moved: Vec<Moved>, generation: u64) {
        for Moved { selector, place, hop } in moved {
            let station = self.parts.get_mut(&selector).and_then(|part| part.stations.get_mut(place));
            let Some(station) = station else { continue };
            let (id, former) = (station.id.index(), mem::replace(&mut station.hop, hop));
            if let Some(real) = self.columns.reals.get(id).copied().flatten() {
                self.columns.reals.set(id, Some(RealServer { hop, ..real }));
            }
            if let Some(hop) = hop {
                self.hold(hop.neighbor);
            }
            if let Some(hop) = former {
                self.let_go(hop.neighbor, generation);
            }
        }
    }

    /// Takes out the parts that are gone or made anew.
    fn replaced(&mut self, agenda: &Agenda, made: &[Made]) -> Vec<Part> {
        let running = self.running.as_ref().map_or(&[][..], |running| &running.services);
        let gone = agenda.changed.before.iter().map(|place| running[*place].selector);
        let all = gone.chain(made.iter().map(|made| made.part.wanted.selector));
        all.filter_map(|selector| self.parts.remove(&selector)).collect()
    }

    /// Enters what was built, and returns their ids, and the services with another persistence than before.
    fn enter_all(&mut self, made: Vec<Made>) -> (Kept, HashMap<EndpointId, u32>) {
        let (mut kept, mut eras) = (Kept::default(), HashMap::new());
        for made in made {
            for station in &made.part.stations {
                kept.stations.insert(station.id);
                if !station.lingers {
                    kept.configured.insert(station.id);
                }
            }
            if let Some(seconds) = self.persist(&made) {
                eras.insert(made.part.id, seconds);
            }
            self.enter(made);
        }
        (kept, eras)
    }

    fn enter(&mut self, made: Made) {
        let Made { part, service, reals } = made;
        let (id, columns) = (part.id.index(), &mut self.columns);
        columns.addresses.set(id, Some(service.address));
        columns.services.replace(id, Some(Arc::new(service)));
        let latest = columns.persistence.get(id).copied().flatten();
        let seconds = latest.map_or(0, |latest| latest.persistence.timeout);
        for real in reals {
            let id = real.id.index();
            if real.thresholds.upper == 0 {
                // In case it gets one again.
                self.shared.overloaded[id].store(false, Ordering::Relaxed);
            }
            columns.reals.set(id, Some(real));
            columns.timeouts.set(id, part.wanted.timeout.unwrap_or(0));
            columns.template_timeouts.set(id, seconds);
        }
        for station in &part.stations {
            if let Some(shared) = station.shared {
                self.columns.outlets.set(station.id.index(), Some(shared.outlet()));
            }
            if let Some(hop) = station.hop {
                self.hold(hop.neighbor);
            }
        }
        for (place, endpoint) in part.places() {
            self.lookup.add(place, endpoint);
        }
        answering(&part).for_each(|station| self.sockets.enter(station));
        let selector = part.wanted.selector;
        if part.restless {
            self.restless.insert(selector);
        }
        self.parts.insert(selector, part);
    }

    /// Takes out what a service came to before, as far as it is gone; from the snapshot `generation` on.
    fn leave(&mut self, part: &Part, kept: &Kept, whole: bool, (now, generation): (Now, u64)) {
        let selector = part.wanted.selector;
        let new = self.parts.get(&selector);
        if new.is_none() {
            self.endpoints.retire(&EndpointOwner::Service(selector), now, generation);
            self.columns.services.replace(part.id.index(), None);
            self.columns.addresses.set(part.id.index(), None);
        }
        if new.is_none_or(|new| !new.restless) {
            self.restless.remove(&selector);
        }
        for station in &part.stations {
            if !kept.stations.contains(&station.id) {
                self.columns.reals.set(station.id.index(), None);
                self.columns.timeouts.set(station.id.index(), 0);
            }
            if !station.lingers && !kept.configured.contains(&station.id) {
                self.reals.retire(&station.owner, now, generation);
            }
            if let Some(hop) = station.hop.filter(|_| !whole) {
                self.let_go(hop.neighbor, generation);
            }
        }
        for station in answering(part) {
            if self.sockets.leave(station) {
                self.endpoints.retire(&EndpointOwner::SharedSocket(station.owner.socket), now, generation);
            }
        }
        if !whole {
            part.places().into_iter().for_each(|(place, _)| self.lookup.remove(place));
        }
    }

    fn hold(&mut self, neighbor: NeighborId) {
        *self.pins.entry(neighbor).or_default() += 1;
    }

    fn let_go(&mut self, neighbor: NeighborId, generation: u64) {
        let Some(count) = self.pins.get_mut(&neighbor) else { return };
        *count -= 1;
        if *count == 0 {
            self.pins.remove(&neighbor);
            self.unpin.push((generation, neighbor));
        }
    }

    /// Gives the real servers of sockets that are shared since lately, those that are gone included, their outlets.
    fn link(&mut self) {
        for socket in mem::take(&mut self.shared_lately) {
            let Some(id) = self.endpoints.get(&EndpointOwner::SharedSocket(socket)) else { continue };
            for owner in self.sockets.owners(socket).iter().filter(|owner| owner.answers_here) {
                let outlet = Outlet { endpoint: endpoint_id(id), port: owner.port, local: owner.local };
                self.columns.outlets.set(owner.id.index(), Some(outlet));
            }
        }
    }

    /// Notes a service's persistence, and returns how long its templates last from now on, in seconds, if that is new.
    fn persist(&mut self, made: &Made) -> Option<u32> {
        let (id, vip) = (made.part.id.index(), made.service.address.address);
        let persistence = made.service.persistence?;
        let before = self.columns.persistence.get(id).copied().flatten();
        let era = before.map_or_else(Era::default, |latest| {
            if latest.persistence.prefix == persistence.prefix { latest.era } else { latest.era.next() }
        });
        self.columns.persistence.set(id, Some(LatestPersistence { vip, persistence, era }));
        let seconds = persistence.timeout;
        before.is_none_or(|latest| latest.persistence.timeout != seconds).then_some(seconds)
    }

    /// Lets the templates of real servers that are gone last as long as their services' do.
    fn last(&mut self, eras: &HashMap<EndpointId, u32>) {
        if eras.is_empty() {
            return;
        }
        for (owner, id) in self.reals.gone() {
            if let Some(seconds) = eras.get(&owner.service) {
                self.columns.template_timeouts.set(id as usize, *seconds);
            }
        }
    }

    fn snapshot(&mut self, config: &Config, agenda: &Agenda) -> Snapshot {
        let current = self.publisher.current();
        let selectors = if agenda.selectors { selectors(config, &self.parts) } else { current.selectors.clone() };
        let known = self.lookup.known().clone();
        let wildcards = self.former_wildcards();
        let wide = !known.wildcards.is_empty() || !selectors.is_empty() || !wildcards.is_empty();
        // Nothing else asks for them.
        let endpoints = if wide { self.former_endpoints() } else { Default::default() };
        let timeouts = self.timeouts(config, &current);
        let local_pools = if agenda.locals { self.local_pools(config) } else { current.local_pools.clone() };
        let columns = &mut self.columns;
        Snapshot {
            generation: 0,
            endpoints: known.single,
            wildcards: known.wildcards,
            one_packet: known.one_packet,
            selectors,
            wide,
            former: Former { endpoints, wildcards },
            locals: if agenda.locals { locals(config) } else { current.locals.clone() },
            local_pools,
            services: columns.services.publish(),
            addresses: columns.addresses.publish(),
            reals: columns.reals.publish(),
            sockets: columns.outlets.publish(),
            persistence: columns.persistence.publish(),
            ports: if agenda.whole { settings(config, &self.macs) } else { Arc::clone(&current.ports) },
            routes: self.ways.routes.clone(),
            timeouts,
            rules: config.rules,
            transit: config.director.transit,
            stand_ins: current.stand_ins.clone(),
            host_serves: self.sockets.has_host(),
        }
    }

    fn timeouts(&mut self, config: &Config, current: &Snapshot) -> Timeouts {
        let columns = &mut self.columns;
        let general = self.running.as_ref().is_some_and(|running| running.timeouts == config.timeouts);
        if general && !columns.timeouts.is_changed() && !columns.template_timeouts.is_changed() {
            return current.timeouts.clone();
        }
        let own = columns.timeouts.publish();
        let templates = columns.template_timeouts.publish();
        timeouts(config).with_own(own.iter().copied()).with_persistence(templates.iter().copied())
    }

    /// Notes what runs now, for comparison with what comes next.
    fn remember(&mut self, config: &Config, agenda: &Agenda) {
        match &mut self.running {
            Some(running) if agenda.changed.in_place && !agenda.whole => {
                for place in &agenda.changed.after {
                    running.services[*place] = Arc::clone(&config.services[*place]);
                }
                running.marks.clone_from(&config.marks);
                running.local_pools.clone_from(&config.local_pools);
                running.timeouts = config.timeouts;
                if agenda.ways {
                    running.routes.clone_from(&config.routes);
                    running.neighbors.clone_from(&config.neighbors);
                }
            }
            running => *running = Some(config.clone()),
        }
    }
}

/// The stations whose answers come here.
fn answering(part: &Part) -> impl Iterator<Item = &Station> {
    part.stations.iter().filter(|station| station.owner.forwarding.answers_here())
}
