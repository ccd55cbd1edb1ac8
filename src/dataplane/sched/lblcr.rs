//! Locality-based least connections with replication: the same destination address, the least loaded of a set of real
//! servers that grows while they are overloaded and shrinks again when it has not changed for a day.
//!
//! As `ip_vs_lblcr.c`; *saturated* and the rest as in [`super::lblc`].

use super::lblc::{Choice, Load};
use super::lc::overhead;
use super::places::{EXPIRATION, Entry, Member, Places};
use super::rank::{CORRECTIONS, Standing};
use super::{Candidate, Flow};
use crate::dataplane::service::RealId;

/// Chooses, and remembers the choice.
pub(super) fn choose(places: &Places, load: &Load, flow: Flow, choice: Choice<'_>) -> Option<u32> {
    let Some(entry) = places.find(flow.destination, choice.now) else {
        let place = load.least(choice)?;
        places.insert(flow.destination, choice.member(place)?, choice.now);
        return Some(place);
    };
    let Survey { least, gone } = survey(entry, load, choice);
    if entry.len() > 1
        && entry.unchanged(choice.now) > EXPIRATION
        && let Some(most) = most(entry, choice)
    {
        entry.remove(most, choice.now);
    }
    if let Some((place, candidate, _)) = least
        && !load.saturated(candidate, choice)
    {
        return Some(place);
    }
    let place = load.least(choice)?;
    if gone {
        while let Some(gone) = entry.members().find(|member| choice.candidate(*member).is_none()) {
            entry.remove(gone.real, choice.now);
        }
    }
    entry.add(choice.member(place)?, choice.now);
    Some(place)
}

/// What a walk along a set finds.
struct Survey<'a> {
    /// The least loaded for its weight that takes connections, its place, and how it stands; the latest of equals.
    least: Option<(u32, &'a Candidate, Standing)>,
    /// Whether some are the service's no more.
    gone: bool,
}

/// Walks along a set. As with the best of all (`rank.rs`), who is found is looked at once more.
fn survey<'a>(entry: &Entry, load: &Load, choice: Choice<'a>) -> Survey<'a> {
    load.refresh(choice);
    let mut found = walk(entry, load, choice);
    for _ in 0..CORRECTIONS {
        match found.least {
            Some((place, _, stood)) if load.look_at(place, choice) != stood => found = walk(entry, load, choice),
            _ => break,
        }
    }
    found
}

fn walk<'a>(entry: &Entry, load: &Load, choice: Choice<'a>) -> Survey<'a> {
    let (mut least, mut best, mut gone) = (None, Standing::OUT, false);
    for (nth, member) in entry.members().enumerate() {
        let Some((place, candidate)) = choice.candidate(member) else {
            gone = true;
            continue;
        };
        if place != member.place {
            entry.settle(nth, Member { place, ..member });
        }
        let standing = load.standing(place, choice);
        if standing < best {
            best = standing;
            least = Some((place, candidate, standing));
        }
    }
    Survey { least, gone }
}

/// The most loaded of a set for its weight; the latest of equals. Weight 0 is none.
fn most(entry: &Entry, choice: Choice<'_>) -> Option<RealId> {
    let members = entry.members().filter_map(|member| choice.candidate(member)).map(|(_, candidate)| candidate);
    let weighty = members.filter(|candidate| candidate.weight > 0);
    weighty.reduce(|one, two| if lighter(one, two, choice) { two } else { one }).map(|candidate| candidate.id)
}

fn lighter(one: &Candidate, two: &Candidate, choice: Choice<'_>) -> bool {
    let load = |candidate: &Candidate| overhead(choice.loads.counts.connections(candidate.id));
    load(one) * u64::from(two.weight) < load(two) * u64::from(one.weight)
}
