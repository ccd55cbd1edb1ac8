//! A service on the bench: its real servers, their connections, and workers that schedule them, without packets.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::*;
use crate::dataplane::address::{Address, Family, TransportAddress};
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Connections, Counts, State, Tick, Value};
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::route::NextHop;
use crate::dataplane::selector::Selector;
use crate::dataplane::service::{EndpointId, Forwarding, MssClamp, NoServer, PortId};

/// The id of the service.
pub const SERVICE: EndpointId = EndpointId(NonZeroU16::MIN);

pub struct Bench {
    pub service: Vec<Option<Arc<Service>>>,
    pub reals: Vec<Option<RealServer>>,
    pub counts: Counts,
    pub overloaded: Vec<AtomicBool>,
    pub cursors: Vec<Cursor>,
    pub now: Now,
    workers: u32,
}

/// A packet for schedulers that do not look at it.
pub const NOBODY: Flow = Flow { client: 0xc633_6407, client_port: 1024, destination: 0xc000_0201 };

/// A weight without thresholds.
pub fn plain(weight: &u16) -> (u16, Thresholds) {
    (*weight, Thresholds::default())
}

impl Bench {
    pub fn new(scheduler: Scheduler, weights: &[u16], workers: u32) -> Self {
        Self::with_thresholds(scheduler, &weights.iter().map(plain).collect::<Vec<_>>(), workers)
    }

    pub fn with_thresholds(scheduler: Scheduler, set: &[(u16, Thresholds)], workers: u32) -> Self {
        let mut bench = Self {
            service: vec![None, None],
            reals: Vec::new(),
            counts: Counts::new(workers as usize + 1).unwrap(),
            overloaded: (0..=20_000).map(|_| AtomicBool::new(false)).collect(),
            cursors: vec![Cursor::default(); workers as usize],
            now: Now::default(),
            workers,
        };
        bench.change(scheduler, set);
        bench
    }

    /// Gives the service another scheduler or other real servers; those in the same places stay the same.
    pub fn change(&mut self, scheduler: Scheduler, set: &[(u16, Thresholds)]) {
        self.enlist(scheduler, &set.iter().copied().enumerate().collect::<Vec<_>>());
    }

    /// The same for real servers with numbers, which they keep and which are in order: those of [`address`].
    pub fn enlist(&mut self, scheduler: Scheduler, set: &[(usize, (u16, Thresholds))]) {
        let former = self.service[1].as_ref();
        let known = |id: RealId| former.and_then(|old| old.reals.iter().find(|real| real.id == id));
        let candidate = |(number, (weight, thresholds)): &(usize, (u16, Thresholds))| {
            let id = RealId(*number as u32 + 1);
            let last_weight = if *weight > 0 { *weight } else { known(id).map_or(0, |real| real.last_weight) };
            Candidate { id, weight: *weight, last_weight, thresholds: *thresholds }
        };
        let candidates: Box<[Candidate]> = set.iter().map(candidate).collect();
        let addresses: Vec<_> = set.iter().map(|(number, _)| address(*number)).collect();
        let roster =
            Roster { scheduler, reals: &candidates, addresses: &addresses, destinations: 1, workers: self.workers };
        self.reals = vec![None; set.last().map_or(1, |(number, _)| number + 2)];
        for (place, (candidate, address)) in candidates.iter().zip(&addresses).enumerate() {
            self.reals[candidate.id.index()] = Some(RealServer {
                id: candidate.id,
                service: SERVICE,
                place: Some(place as u32),
                address: *address,
                forwarding: Forwarding::Nat,
                weight: candidate.weight,
                thresholds: candidate.thresholds,
                shared: None,
                hop: Some(NextHop { port: PortId(0), neighbor: NeighborId(0) }),
            });
        }
        let version = former.map_or(1, |old| old.version + 1);
        let former = former.map(|old| Former { scheduler: old.scheduler, reals: &old.reals, plan: &old.plan });
        let plan = Plan::new(&roster, former);
        self.service[1] = Some(Arc::new(Service {
            id: SERVICE,
            address: TransportAddress::new(Address::v4(0xc000_0201), 80),
            selector: Selector::Mark(1, Family::V4),
            scheduler,
            plan,
            version,
            persistence: None,
            max_new_per_second: 0,
            no_server: NoServer::Unreachable,
            mss_clamp: MssClamp::Auto,
            one_packet: false,
            sorry: None,
            weight_factor: 1,
            reals: candidates,
        }));
    }

    pub fn pool(&self, worker: u32) -> Pool<'_> {
        Pool {
            services: &self.service,
            reals: &self.reals,
            loads: Loads { counts: &self.counts, overloaded: &self.overloaded },
            own: self.counts.worker(worker as usize),
            share: Share { worker, workers: self.workers },
            now: self.now,
        }
    }

    /// Lets a worker choose for nobody in particular, and returns the number.
    pub fn choose(&mut self, worker: u32) -> Option<usize> {
        self.choose_for(worker, NOBODY)
    }

    /// Lets a worker choose for a packet, and returns the number.
    pub fn choose_for(&mut self, worker: u32, flow: Flow) -> Option<usize> {
        let mut cursor = self.cursors[worker as usize];
        let chosen = schedule(self.service[1].as_ref().unwrap(), flow, self.pool(worker), &mut cursor);
        self.cursors[worker as usize] = cursor;
        chosen.map(|real| real.index() - 1)
    }

    /// Lets a worker choose and open a connection there.
    pub fn open(&mut self, worker: u32) -> Option<usize> {
        self.open_for(worker, NOBODY)
    }

    /// The same for a packet.
    pub fn open_for(&mut self, worker: u32, flow: Flow) -> Option<usize> {
        let place = self.choose_for(worker, flow)?;
        self.counts.worker(worker as usize).inserted(active(place));
        let real = self.reals[place + 1].as_ref().unwrap();
        self.pool(worker).loads.grew(real.id, real.thresholds);
        Some(place)
    }

    /// An active connection becomes inactive.
    pub fn finish(&self, worker: u32, place: usize) {
        self.counts.worker(worker as usize).changed(active(place), inactive(place));
    }

    /// An active connection ends.
    pub fn cut(&self, worker: u32, place: usize) {
        self.counts.worker(worker as usize).removed(active(place));
    }

    /// An inactive connection ends.
    pub fn expire(&self, worker: u32, place: usize) {
        self.counts.worker(worker as usize).removed(inactive(place));
    }

    pub fn connections(&self, place: usize) -> Connections {
        self.counts.connections(RealId(place as u32 + 1))
    }
}

/// The address of the real server of this number; without gaps, that is its place.
pub fn address(number: usize) -> TransportAddress {
    TransportAddress::new(Address::v4(0x0a00_0001 + number as u32), 80)
}

fn active(place: usize) -> Value {
    Value::new(State::TCP_ESTABLISHED, Tick::default(), RealId(place as u32 + 1))
}

fn inactive(place: usize) -> Value {
    Value::new(State::TCP_FIN_WAIT, Tick::default(), RealId(place as u32 + 1))
}
