//! Locality-based least connections: the same destination address, the same real server, while that is not
//! overloaded; the least loaded for its weight otherwise. For transparent caches, and services of many addresses.
//!
//! As `ip_vs_lblc.c`. *Saturated* is a real server with more active connections than its weight says while some other has
//! fewer than half of its own. The least loaded is wlc's.
//!
//! A remembered real server over its threshold is left, too; IPVS looks at thresholds only when it chooses anew.
//!
//! Each worker remembers for itself what it has sent where, so with N workers a destination is sent to N real servers at most.

use super::places::{Member, Places};
use super::rank::{Measure, Ranking, Standing};
use super::{Candidate, Flow, Loads, Service, Share};
use crate::dataplane::clock::Now;
use crate::dataplane::service::{RealId, RealServer};

/// What lblc and lblcr know of a service's real servers: who is least loaded, and who has least of what its weight says.
#[derive(Debug)]
pub struct Load {
    least: Ranking,
    idlest: Ranking,
    /// Whether there is one worker only.
    alone: bool,
}

/// The real servers of a service to choose from.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub service: &'a Service,
    pub reals: &'a [Option<RealServer>],
    pub loads: Loads<'a>,
    pub now: Now,
}

impl<'a> Choice<'a> {
    /// A real server that an entry names, if it is still the service's: in the place that it had, or another.
    #[inline]
    pub fn candidate(&self, member: Member) -> Option<(u32, &'a Candidate)> {
        match self.service.reals.get(member.place as usize) {
            Some(candidate) if candidate.id == member.real => Some((member.place, candidate)),
            _ => self.elsewhere(member.real),
        }
    }

    #[cold]
    fn elsewhere(&self, real: RealId) -> Option<(u32, &'a Candidate)> {
        let known = self.reals.get(real.index())?.as_ref().filter(|known| known.service == self.service.id)?;
        let place = known.place?;
        Some((place, self.service.reals.get(place as usize)?))
    }

    /// The real server in this place, for an entry to remember.
    pub fn member(&self, place: u32) -> Option<Member> {
        self.service.reals.get(place as usize).map(|candidate| Member { real: candidate.id, place })
    }
}

impl Load {
    pub(super) fn new(count: u32, share: Share) -> Self {
        let ranking = |measure| Ranking::new(measure, count, share);
        Self { least: ranking(Measure::Wlc), idlest: ranking(Measure::Idle), alone: share.workers == 1 }
    }

    pub(super) fn look(&self, place: u32, candidates: &[Candidate], loads: Loads<'_>) {
        self.least.look(place, candidates, loads);
        self.idlest.look(place, candidates, loads);
    }

    /// How loaded a real server is for its weight. One worker knows without a look at the counts, but for what control ended;
    /// several look.
    #[inline]
    pub(super) fn standing(&self, place: u32, choice: Choice<'_>) -> Standing {
        match self.least.last(place) {
            last if self.alone && last != Standing::OUT => last,
            _ => self.look_at(place, choice),
        }
    }

    /// How loaded a real server is for its weight, by the counts as they are.
    #[inline]
    pub(super) fn look_at(&self, place: u32, choice: Choice<'_>) -> Standing {
        self.least.look(place, &choice.service.reals, choice.loads)
    }

    /// Looks at those whose turn it is.
    #[inline]
    pub(super) fn refresh(&self, choice: Choice<'_>) {
        self.least.refresh(&choice.service.reals, choice.loads);
    }

    /// The least loaded of all.
    pub(super) fn least(&self, choice: Choice<'_>) -> Option<u32> {
        self.least.best(&choice.service.reals, choice.loads)
    }

    /// Tells whether a real server has more than it should while another has little.
    pub(super) fn saturated(&self, candidate: &Candidate, choice: Choice<'_>) -> bool {
        let Choice { service, loads, .. } = choice;
        let active = |candidate: &Candidate| loads.counts.connections(candidate.id).active;
        let has_little = |candidate: &Candidate| 2 * u64::from(active(candidate)) < u64::from(candidate.weight);
        if active(candidate) <= u32::from(candidate.weight) {
            return false;
        }
        self.idlest.refresh(&service.reals, loads);
        // What is on top is as good as it looks, or worse: most of the time nobody has little.
        self.idlest.best_last() < HALF
            && self
                .idlest
                .best_known(&service.reals, loads)
                .is_some_and(|place| has_little(&service.reals[place as usize]))
    }
}

/// With fewer active connections than half of what its weight says.
const HALF: Standing = Standing::new(1, 2);

/// How a real server stands by what it has of what its weight says, whether it takes connections or not.
#[inline]
pub(super) fn idleness(active: u32, weight: u16) -> Standing {
    Standing::new(active.into(), weight)
}

/// Chooses, and remembers the choice.
pub(super) fn choose(places: &Places, load: &Load, flow: Flow, choice: Choice<'_>) -> Option<u32> {
    let entry = places.find(flow.destination, choice.now);
    let known = entry.and_then(|entry| choice.candidate(entry.members().next()?));
    let fit =
        known.filter(|(_, candidate)| candidate.weight_now(choice.loads) > 0 && !load.saturated(candidate, choice));
    if let Some((place, _)) = fit {
        return Some(place);
    }
    let place = load.least(choice)?;
    let member = choice.member(place)?;
    match entry {
        Some(entry) => entry.set(member, choice.now),
        None => places.insert(flow.destination, member, choice.now),
    }
    Some(place)
}
