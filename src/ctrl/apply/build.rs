//! The parts of a snapshot that have ids in them: services and real servers.

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::config::{self, Config};
use super::super::ids::How;
use super::agenda::Agenda;
use super::growth::{destinations, former, known};
use super::owner::{EndpointOwner, RealOwner, endpoint_id};
use super::part::Part;
use super::slow_start::SlowStarts;
use super::station::Draft;
use super::ways::{Moved, Ways};
use super::{Applier, ApplyError};
use crate::dataplane::address::TransportAddress;
use crate::dataplane::clock::Now;
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::sched::{Candidate, Plan, Roster};
use crate::dataplane::service::{EndpointId, RealServer, Service};
use crate::dataplane::snapshot::Snapshot;

/// A service that was built.
pub(super) struct Made {
    pub part: Part,
    pub service: Service,
    pub reals: Vec<RealServer>,
}

/// The neighbours that were pinned, with their static addresses.
pub(super) type Pins = HashMap<NeighborId, Option<[u8; 6]>>;

/// What a build has given out: to be taken back if it fails.
#[derive(Default)]
pub(super) struct Given {
    /// Owners who had no id, or were gone.
    pub endpoints: Vec<EndpointOwner>,
    pub reals: Vec<RealOwner>,
    pub pins: Pins,
}

/// Services on their way to a snapshot. Only ids, pins and the first owners of sockets change, and those can be taken back, or
/// stay as they would have come.
pub(super) struct Build<'a> {
    pub applier: &'a mut Applier,
    pub now: Now,
    pub previous: Arc<Snapshot>,
    pub ways: Ways,
    pub slow_starts: SlowStarts,
    pub given: Given,
    /// Whether a next hop for which there is no room makes it fail; if not, it is done without.
    pub strict: bool,
}

impl Build<'_> {
    pub fn new(applier: &mut Applier, now: Now, strict: bool) -> Build<'_> {
        let (previous, ways) = (applier.publisher.current(), applier.ways.clone());
        let slow_starts = applier.slow_starts.clone();
        Build { applier, now, previous, ways, slow_starts, given: Given::default(), strict }
    }

    /// Builds what there is to build: the ways, these services, and the ways to the real servers of others.
    ///
    /// # Errors
    /// If there are too many of something.
    pub fn all<'c>(
        &mut self,
        config: &Config,
        agenda: &Agenda,
        services: impl Iterator<Item = &'c Arc<config::Service>>,
    ) -> Result<(Vec<Made>, Vec<Moved>), ApplyError> {
        if agenda.ways {
            self.ways(config)?;
        }
        let made: Vec<Made> = services.map(|service| self.service(service)).collect::<Result<_, _>>()?;
        if !agenda.ways || agenda.whole {
            return Ok((made, Vec::new()));
        }
        let gone = self
            .applier
            .running
            .iter()
            .flat_map(|running| agenda.changed.before.iter().map(|place| running.services[*place].selector));
        let replaced = gone.chain(made.iter().map(|made| made.part.wanted.selector)).collect();
        Ok((made, self.moved(&replaced)?))
    }

    pub(super) fn endpoint(&mut self, owner: EndpointOwner) -> Result<EndpointId, ApplyError> {
        let given = self.applier.endpoints.assign(owner).ok_or(ApplyError::EndpointIds)?;
        if given.how != How::Kept {
            self.given.endpoints.push(owner);
        }
        if let (How::New, EndpointOwner::SharedSocket(socket)) = (given.how, owner) {
            self.applier.shared_lately.push(socket);
        }
        Ok(endpoint_id(given.id))
    }

    /// Builds one service.
    ///
    /// # Errors
    /// If there are too many of something.
    pub fn service(&mut self, wanted: &Arc<config::Service>) -> Result<Made, ApplyError> {
        let selector = wanted.selector;
        let id = self.endpoint(EndpointOwner::Service(selector))?;
        let previous = Arc::clone(&self.previous);
        if previous.service(id).is_none() {
            self.applier.shared.stateless.forget(id);
        }
        let mut draft = Draft { id, wanted, stations: Vec::new(), reals: Vec::new(), restless: false };
        let mut members: Vec<(TransportAddress, &config::Real)> =
            wanted.reals.iter().map(|real| (real.address.into(), real)).collect();
        members.sort_by_key(|(address, _)| *address);
        let mut candidates = Vec::with_capacity(members.len());
        for (address, real) in &members {
            let nth = Some(candidates.len() as u32);
            let real_id = self.station(&mut draft, *address, real, nth)?;
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
            Some(real) => Some(self.station(&mut draft, real.address.into(), real, None)?),
            None => None,
        };
        let version = self.version(id, wanted, &candidates, &previous);
        let addresses: Vec<_> = members.iter().map(|(address, _)| *address).collect();
        let weight_factor = self.slow_starts.weigh(id, wanted.scheduler, &mut candidates, &addresses, self.now);
        let roster = Roster {
            scheduler: wanted.scheduler,
            reals: &candidates,
            addresses: &addresses,
            destinations: destinations(selector),
            workers: self.applier.shared.workers.len() as u32,
        };
        let plan = Plan::new(&roster, previous.service(id).map(former));
        let Draft { stations, reals, restless, .. } = draft;
        let service = Service {
            id,
            selector,
            address: selector.socket().map_or(NO_ADDRESS, TransportAddress::from),
            scheduler: wanted.scheduler,
            plan,
            version,
            persistence: wanted.persistence,
            max_new_per_second: wanted.max_new_per_second,
            one_packet: wanted.one_packet,
            no_server: wanted.no_server,
            mss_clamp: wanted.mss_clamp,
            sorry,
            weight_factor,
            reals: candidates.into(),
        };
        Ok(Made { part: Part { wanted: Arc::clone(wanted), id, stations: stations.into(), restless }, service, reals })
    }

    /// A service's version: the former one if its scheduler sees no difference but how far a slow start has come, else one
    /// that no service ever had. A worker's cursor outlives a service that is removed, and must not take one that comes back
    /// for the old one. The candidates have the weights that are configured.
    fn version(
        &mut self,
        id: EndpointId,
        wanted: &config::Service,
        candidates: &[Candidate],
        previous: &Snapshot,
    ) -> u32 {
        let alike = |(old, new): (&Candidate, &Candidate)| {
            (old.id, old.thresholds) == (new.id, new.thresholds)
                && previous.real(old.id).is_some_and(|real| real.weight == new.weight)
        };
        let same = |old: &&Service| {
            old.scheduler == wanted.scheduler
                && old.reals.len() == candidates.len()
                && old.reals.iter().zip(candidates).all(alike)
        };
        if let Some(old) = previous.service(id).filter(same) {
            return old.version;
        }
        self.applier.versions = self.applier.versions.wrapping_add(1).max(1);
        self.applier.versions
    }
}

/// Of a service that has several addresses or ports.
const NO_ADDRESS: TransportAddress = TransportAddress::UNSPECIFIED_V4;
