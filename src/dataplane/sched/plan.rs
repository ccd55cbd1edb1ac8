//! What control makes of a service's scheduler, ready for the workers to choose by.

use crate::dataplane::address::TransportAddress;
use std::sync::Arc;

use super::heights::Heights;
use super::lblc::{Choice, Load};
use super::places::Places;
use super::rank::{Measure, Ranking};
use super::slots::Slots;
use super::twos::Draw;
use super::wrr::Weights;
use super::{Candidate, Flow, Loads, Scheduler, Share, dh, lblc, lblcr, mh, sh};

/// A scheduler's data. What workers write in it, each writes in a part of its own.
#[derive(Clone, Debug)]
pub enum Plan {
    /// rr: which have weight.
    Turns(Heights),
    /// wrr: what is known of the weights.
    Rounds(Weights, Heights),
    /// lc, wlc, sed, nq, fo, ovf: who stands best, by worker.
    Best(Arc<[Ranking]>),
    /// twos: by worker.
    Twos(Arc<[Draw]>),
    /// dh, sh, mh: the table, for all workers.
    Slots(Slots),
    /// lblc, lblcr: by worker.
    Local(Locality),
}

/// What lblc and lblcr choose by.
#[derive(Clone, Debug)]
pub struct Locality {
    replicated: bool,
    loads: Arc<[Load]>,
    /// Outlives changes of the real servers.
    places: Arc<[Places]>,
}

impl Locality {
    #[inline]
    pub(super) fn choose(&self, worker: usize, flow: Flow, choice: Choice<'_>) -> Option<u32> {
        let (places, load) = (self.places.get(worker)?, self.loads.get(worker)?);
        let choose = if self.replicated { lblcr::choose } else { lblc::choose };
        choose(places, load, flow, choice)
    }
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub struct Roster<'a> {
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The real servers, in canonical order.
    pub reals: &'a [Candidate],
    /// Their addresses.
    pub addresses: &'a [TransportAddress],
    /// How many addresses the service has.
    pub destinations: u64,
    /// How many workers will choose.
    pub workers: u32,
}

/// A service as a former snapshot had it.
#[derive(Clone, Copy)]
pub struct Former<'a> {
    /// Its scheduler.
    pub scheduler: Scheduler,
    /// Its real servers.
    pub reals: &'a [Candidate],
    /// What came of them.
    pub plan: &'a Plan,
}

impl Former<'_> {
    /// Tells whether the scheduler was one that fills the same table, given real servers of which this is equal.
    fn alike<T: PartialEq>(&self, roster: &Roster<'_>, of: impl Fn(&Candidate) -> T) -> bool {
        self.scheduler.name() == roster.scheduler.name()
            && self.scheduler.mh_size() == roster.scheduler.mh_size()
            && self.reals.iter().map(&of).eq(roster.reals.iter().map(&of))
    }
}

impl Plan {
    /// Prepares a scheduler. What the former plan has that still holds is taken over.
    pub fn new(roster: &Roster<'_>, former: Option<Former<'_>>) -> Self {
        let Roster { scheduler, reals, workers, .. } = *roster;
        if let Some(former) = former.filter(|former| former.scheduler == scheduler && former.reals == reals) {
            return former.plan.clone();
        }
        let count = reals.len() as u32;
        let weights = || reals.iter().map(|real| real.weight);
        let best = |measure| {
            let ranking = |worker| Ranking::new(measure, count, Share { worker, workers });
            Self::Best((0..workers).map(ranking).collect())
        };
        match scheduler {
            Scheduler::Rr => Self::Turns(weights().collect()),
            Scheduler::Wrr => Self::Rounds(weights().collect(), weights().collect()),
            Scheduler::Lc => best(Measure::Lc),
            Scheduler::Wlc => best(Measure::Wlc),
            Scheduler::Sed => best(Measure::Sed),
            Scheduler::Nq => best(Measure::Nq),
            Scheduler::Fo => best(Measure::Fo),
            Scheduler::Ovf => best(Measure::Ovf),
            Scheduler::Twos => Self::twos(roster, former),
            Scheduler::Lblc | Scheduler::Lblcr => Self::locality(roster, former),
            Scheduler::Dh | Scheduler::Sh(_) | Scheduler::Mh { .. } => Self::Slots(slots(roster, former)),
        }
    }

    fn twos(roster: &Roster<'_>, former: Option<Former<'_>>) -> Self {
        let seed = |worker: u32| match former?.plan {
            Self::Twos(draws) => draws.get(worker as usize).map(Draw::seed),
            _ => None,
        };
        let count = roster.reals.len() as u32;
        let draw = |worker: u32| Draw::new(count, roster.workers, seed(worker).unwrap_or(worker.into()));
        Self::Twos((0..roster.workers).map(draw).collect())
    }

    fn locality(roster: &Roster<'_>, former: Option<Former<'_>>) -> Self {
        let Roster { scheduler, reals, destinations, workers, .. } = *roster;
        let load = |worker| Load::new(reals.len() as u32, Share { worker, workers });
        let known = match former.filter(|former| former.scheduler == scheduler).map(|former| former.plan) {
            Some(Self::Local(locality)) => Some(Arc::clone(&locality.places)),
            _ => None,
        };
        let places = known.unwrap_or_else(|| (0..workers).map(|_| Places::new(destinations)).collect());
        Self::Local(Locality {
            replicated: scheduler == Scheduler::Lblcr,
            loads: (0..workers).map(load).collect(),
            places,
        })
    }

    /// Tells whether the choice follows from the packet and the configuration alone, so that it can be made again for
    /// each packet of a connection that nobody remembers.
    #[inline]
    pub fn is_hashed(&self) -> bool {
        matches!(self, Self::Slots(_))
    }

    /// Lets a worker look at the real server in this place, whose counts have changed.
    #[inline]
    pub(super) fn look(&self, place: u32, reals: &[Candidate], loads: Loads<'_>, share: Share) {
        let worker = share.worker as usize;
        match self {
            Self::Turns(_) | Self::Rounds(..) | Self::Slots(_) => {}
            Self::Best(rankings) => {
                if let Some(ranking) = rankings.get(worker) {
                    ranking.look(place, reals, loads);
                }
            }
            Self::Twos(draws) => {
                if let Some(draw) = draws.get(worker) {
                    draw.look(place, reals, loads);
                }
            }
            Self::Local(locality) => {
                if let Some(load) = locality.loads.get(worker) {
                    load.look(place, reals, loads);
                }
            }
        }
    }
}

/// The table of a hash: the former one if it would come out the same.
fn slots(roster: &Roster<'_>, former: Option<Former<'_>>) -> Slots {
    let Roster { reals, addresses, .. } = *roster;
    let kept = |same: &dyn Fn(&Former<'_>) -> bool| match former.filter(same)?.plan {
        Plan::Slots(slots) => Some(Arc::clone(slots.table())),
        _ => None,
    };
    match roster.scheduler {
        Scheduler::Sh(flags) => {
            let table = kept(&|former| former.alike(roster, |real| (real.id, real.weight)));
            Slots::sh(flags, table.unwrap_or_else(|| sh::fill(reals.iter().map(|real| real.weight))))
        }
        Scheduler::Mh { flags, size } => {
            let table = kept(&|former| former.alike(roster, |real| (real.id, real.last_weight)));
            let weights = reals.iter().map(|real| real.last_weight);
            let members = addresses.iter().copied().zip(weights);
            Slots::mh(flags, table.unwrap_or_else(|| mh::fill(members, size)))
        }
        _ => {
            let table = kept(&|former| former.alike(roster, |real| real.id));
            Slots::dh(table.unwrap_or_else(|| dh::fill(reals.len() as u32)))
        }
    }
}
