//! Which real server takes a new connection.
//!
//! A scheduler is data in the snapshot: a [`Scheduler`] by its ipvsadm name, and its [`Plan`], which control makes and which
//! holds what the workers need to choose by it. Where a worker must remember something between choices, it does so in memory of
//! its own (a [`Cursor`], or its part of the plan), so that choosing never writes what another worker reads, and never
//! allocates.
//!
//! Eligibility is decided here and nowhere else ([`Candidate::weight_now`]): a server of weight 0, or over its threshold
//! ([`Loads`]), takes no new connection.
//!
//! | scheduler | state | how exact with N workers |
//! |---|---|---|
//! | rr, wrr | a cursor | the sequence on each worker, from a start of its own: shares differ by N - 1 turns in all at most |
//! | lc, wlc, sed, nq | a ranking | the best by the counts of all workers, less what has ended elsewhere lately (`rank.rs`) |
//! | fo, ovf | a ranking | all workers the same server; thresholds and ovf's weights are overshot by N - 1 at most |
//! | twos | a sum of weights, dice | as with one: each worker draws, and compares by the counts of all |
//! | dh, sh, mh | a table that all share | all workers the same |
//! | lblc, lblcr | rankings, what was sent where | each worker remembers for itself: a destination goes to N times as many |
//!
//! With one worker each chooses exactly what its definition says, the first in the list among equals.

mod dh;
mod fo;
mod heights;
mod lblc;
mod lblcr;
mod lc;
mod load;
mod mh;
mod nq;
mod ovf;
mod places;
mod plan;
mod rank;
mod rr;
mod scheduler;
mod sed;
mod sh;
mod slots;
mod tree;
mod twos;
mod wlc;
mod wrr;

use crate::dataplane::address::TransportAddress;
use std::sync::Arc;

use super::clock::Now;
use super::conn::WorkerCounts;
use super::service::{RealId, RealServer, Service, Thresholds};

use lblc::Choice;

pub use load::Loads;
pub use plan::{Former, Plan, Roster};
pub use scheduler::{DEFAULT_MH_SIZE, HashFlags, MH_SIZES, Scheduler};

/// A real server as schedulers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: RealId,
    /// Its share of new connections.
    pub weight: u16,
    /// The latest weight it had that was not 0, if it ever had one: what mh counts.
    pub last_weight: u16,
    /// How many connections it may have.
    pub thresholds: Thresholds,
}

impl Candidate {
    /// Its weight, or 0 if it takes no new connection now.
    #[inline]
    pub fn weight_now(&self, loads: Loads<'_>) -> u16 {
        if loads.accepts(self.id, self.thresholds) { self.weight } else { 0 }
    }
}

/// What a packet is hashed by, in host order.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The client's address.
    pub client: u32,
    /// The client's port.
    pub client_port: u16,
    /// The address it wants to talk to.
    pub destination: u32,
}

impl Flow {
    /// What sh and mh hash.
    #[inline]
    fn source(self, flags: HashFlags) -> u32 {
        if flags.port { self.client.wrapping_add(self.client_port.into()) } else { self.client }
    }
}

/// What one worker remembers about one service between choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The [`Service::version`] that `next` refers to; 0 before the first choice.
    version: u32,
    /// The place in [`Service::reals`] to look at first.
    next: u32,
    /// rr: what was chosen last, for when places have changed.
    last: Option<TransportAddress>,
    /// wrr: the weight that a server needs in this round.
    round: u16,
}

/// Which worker is asking, out of how many.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The worker's number, from 0.
    pub worker: u32,
    /// How many there are.
    pub workers: u32,
}

impl Share {
    /// The place that this worker begins at, out of `count`: workers that all began at the first would keep meeting there.
    fn first_of(self, count: u32) -> u32 {
        (u64::from(self.worker) * u64::from(count) / u64::from(self.workers.max(1))) as u32
    }
}

/// What a worker chooses from, and with what knowledge.
#[derive(Clone, Copy)]
pub struct Pool<'a> {
    /// All services, by id.
    pub services: &'a [Option<Arc<Service>>],
    /// All real servers, by id.
    pub reals: &'a [Option<RealServer>],
    /// Their load.
    pub loads: Loads<'a>,
    /// The worker's own counts, which know what it has booked since it last chose.
    pub own: &'a WorkerCounts,
    /// Which worker it is.
    pub share: Share,
    /// The burst's time.
    pub now: Now,
}

impl Pool<'_> {
    /// Looks at the real servers that this worker has booked something on, in whatever service they are.
    #[inline]
    fn catch_up(&self) {
        self.own.take_changed(|real| {
            let place = self.reals.get(real.index()).and_then(Option::as_ref);
            let Some((service, place)) = place.and_then(|real| Some((real.service, real.place?))) else { return };
            if let Some(service) = self.services.get(service.index()).and_then(Option::as_deref) {
                service.plan.look(place, &service.reals, self.loads, self.share);
            }
        });
    }
}

/// Chooses the real server of a new connection; `None` if none is eligible.
pub fn schedule(service: &Service, flow: Flow, pool: Pool<'_>, cursor: &mut Cursor) -> Option<RealId> {
    let Pool { loads, share, .. } = pool;
    let worker = share.worker as usize;
    let count = service.reals.len() as u32;
    if count == 0 {
        return None;
    }
    let place = match &service.plan {
        Plan::Turns(heights) => {
            cursor.begin(count, share);
            rr::choose(service, heights, pool, cursor)
        }
        Plan::Rounds(weights, heights) => {
            cursor.begin(count, share);
            wrr::choose(service, *weights, heights, loads, cursor)
        }
        Plan::Best(rankings) => {
            pool.catch_up();
            rankings.get(worker)?.best(&service.reals, loads)
        }
        Plan::Twos(draws) => {
            pool.catch_up();
            draws.get(worker)?.choose(&service.reals, loads)
        }
        Plan::Slots(slots) => slots.choose(flow, &service.reals, loads),
        Plan::Local(locality) => {
            pool.catch_up();
            let choice = Choice { service, reals: pool.reals, loads, now: pool.now };
            locality.choose(worker, flow, choice)
        }
    };
    service.reals.get(place? as usize).map(|candidate| candidate.id)
}

/// Chooses another real server than `refused`, whose replies could not be told apart from another service's: the next in
/// the list that is eligible. Only rr and wrr choose as ever: they have moved on by themselves.
pub fn schedule_after(
    service: &Service,
    refused: RealId,
    flow: Flow,
    pool: Pool<'_>,
    cursor: &mut Cursor,
) -> Option<RealId> {
    if matches!(service.plan, Plan::Turns(_) | Plan::Rounds(..)) {
        return schedule(service, flow, pool, cursor);
    }
    let from = service.reals.iter().position(|candidate| candidate.id == refused)?;
    let (before, after) = service.reals.split_at(from + 1);
    let mut others = after.iter().chain(before);
    others.find(|candidate| candidate.weight_now(pool.loads) > 0).map(|candidate| candidate.id)
}

impl Cursor {
    fn begin(&mut self, count: u32, share: Share) {
        if self.version == 0 {
            self.next = share.first_of(count);
        }
    }
}

/// The weight of a service's server by its place; 0 for one that may take no new connection.
#[inline]
fn weight(service: &Service, loads: Loads<'_>, place: u32) -> u16 {
    service.reals.get(place as usize).map_or(0, |candidate| candidate.weight_now(loads))
}

#[cfg(test)]
mod tests;
