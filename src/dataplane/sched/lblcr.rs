//! Locality-based least connections with replication: the same destination address, the least loaded of a set of real
//! servers that grows while they are overloaded and shrinks again when it has not changed for a day.
//!
//! As `ip_vs_lblcr.c`; *saturated* and the rest as in [`super::lblc`].

use super::lblc::{Choice, Load};
use super::lc::overhead;
use super::places::{EXPIRATION, Entry, Places};
use super::{Candidate, Flow};
use crate::dataplane::service::RealId;

/// Chooses, and remembers the choice.
pub(super) fn choose(places: &Places, load: &Load, flow: Flow, choice: Choice<'_>) -> Option<u32> {
    let Some(entry) = places.find(flow.destination, choice.now) else {
        let place = load.least(choice)?;
        places.insert(flow.destination, choice.service.reals.get(place as usize)?.id, choice.now);
        return Some(place);
    };
    let Survey { least, gone } = survey(entry, choice);
    if entry.len() > 1
        && entry.unchanged(choice.now) > EXPIRATION
        && let Some(most) = most(entry, choice)
    {
        entry.remove(most, choice.now);
    }
    if let Some((place, candidate)) = least
        && !load.saturated(candidate, choice)
    {
        return Some(place);
    }
    let place = load.least(choice)?;
    if gone {
        while let Some(gone) = entry.members().find(|real| choice.candidate(*real).is_none()) {
            entry.remove(gone, choice.now);
        }
    }
    entry.add(choice.service.reals.get(place as usize)?.id, choice.now);
    Some(place)
}

/// What a walk along a set finds.
struct Survey<'a> {
    /// The least loaded for its weight that takes connections, and its place; the latest of equals.
    least: Option<(u32, &'a Candidate)>,
    /// Whether some are the service's no more.
    gone: bool,
}

fn survey<'a>(entry: &Entry, choice: Choice<'a>) -> Survey<'a> {
    let mut gone = false;
    let mut best: Option<(u32, &Candidate, u64)> = None;
    for real in entry.members() {
        let Some((place, candidate)) = choice.candidate(real) else {
            gone = true;
            continue;
        };
        if candidate.weight_now(choice.loads) == 0 {
            continue;
        }
        let load = overhead(choice.loads.counts.connections(candidate.id));
        let lighter =
            |(_, best, its): &(u32, &Candidate, u64)| load * u64::from(best.weight) < its * u64::from(candidate.weight);
        if best.as_ref().is_none_or(lighter) {
            best = Some((place, candidate, load));
        }
    }
    Survey { least: best.map(|(place, candidate, _)| (place, candidate)), gone }
}

/// The most loaded of a set for its weight; the latest of equals. Weight 0 is none.
fn most(entry: &Entry, choice: Choice<'_>) -> Option<RealId> {
    let members = entry.members().filter_map(|real| choice.candidate(real)).map(|(_, candidate)| candidate);
    let weighty = members.filter(|candidate| candidate.weight > 0);
    weighty.reduce(|one, two| if lighter(one, two, choice) { two } else { one }).map(|candidate| candidate.id)
}

fn lighter(one: &Candidate, two: &Candidate, choice: Choice<'_>) -> bool {
    let load = |candidate: &Candidate| overhead(choice.loads.counts.connections(candidate.id));
    load(one) * u64::from(two.weight) < load(two) * u64::from(one.weight)
}
