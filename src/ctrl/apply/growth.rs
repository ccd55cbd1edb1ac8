//! A service as it was, for what becomes of it: by another configuration, or as its real servers grow to their weights.

use crate::dataplane::address::TransportAddress;

use super::slow_start::SlowStarts;
use crate::dataplane::clock::Now;
use crate::dataplane::sched::{Candidate, Former, Plan, Roster};
use crate::dataplane::selector::Selector;
use crate::dataplane::service::{EndpointId, RealServer, Service};
use crate::dataplane::snapshot::Snapshot;

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
pub(super) fn destinations(selector: Selector) -> u64 {
    selector.addresses().count()
}

/// A service for comparison with what becomes of it.
pub(super) fn former(service: &Service) -> Former<'_> {
    Former { scheduler: service.scheduler, reals: &service.reals, plan: &service.plan }
}

/// A service's real server as a snapshot has it.
pub(super) fn known(
    snapshot: &Snapshot,
    service: EndpointId,
    address: TransportAddress,
) -> Option<(&Candidate, &RealServer)> {
    let reals = &snapshot.service(service)?.reals;
    let of = |candidate: &Candidate| snapshot.real(candidate.id).map(|real| real.address);
    let candidate = reals.get(reals.binary_search_by_key(&Some(address), of).ok()?)?;
    Some((candidate, snapshot.real(candidate.id)?))
}
