//! lblc and lblcr against slow models of their definitions: destinations, connections that come and go, weights that
//! change, and days that pass.

use std::collections::HashMap;

use fastrand::Rng;

use super::super::*;
use super::bench::{Bench, NOBODY};
use super::models::{Held, depart, first, random_thresholds, random_weight};
use crate::dataplane::clock::Now;

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;

/// What a model remembers of a destination.
struct Known {
    /// The latest first.
    set: Vec<usize>,
    changed: u64,
    used: u64,
}

fn wlc(list: &[Held]) -> Option<usize> {
    first(list, Held::takes, |one, two| one.overhead() * two.weight < two.overhead() * one.weight)
}

fn saturated(list: &[Held], place: usize) -> bool {
    list[place].active > list[place].weight && list.iter().any(|held| held.active * 2 < held.weight)
}

fn lblc(known: &mut HashMap<u32, Known>, list: &[Held], destination: u32, now: u64) -> Option<usize> {
    if let Some(entry) = known.get_mut(&destination) {
        entry.used = now;
        let place = entry.set[0];
        if list[place].takes() && !saturated(list, place) {
            return Some(place);
        }
    }
    let place = wlc(list)?;
    known.insert(destination, Known { set: vec![place], changed: now, used: now });
    Some(place)
}

fn lblcr(known: &mut HashMap<u32, Known>, list: &[Held], destination: u32, now: u64) -> Option<usize> {
    let Some(entry) = known.get_mut(&destination) else {
        let place = wlc(list)?;
        known.insert(destination, Known { set: vec![place], changed: now, used: now });
        return Some(place);
    };
    entry.used = now;
    let members: Vec<Held> = entry.set.iter().map(|place| list[*place]).collect();
    let least = wlc(&members).map(|member| entry.set[member]);
    if entry.set.len() > 1 && now - entry.changed > DAY {
        let heavier = |one: &Held, two: &Held| one.overhead() * two.weight > two.overhead() * one.weight;
        if let Some(most) = first(&members, |held| held.weight > 0, heavier) {
            entry.set.remove(most);
            entry.changed = now;
        }
    }
    if let Some(place) = least.filter(|place| !saturated(list, *place)) {
        return Some(place);
    }
    let place = wlc(list)?;
    if !entry.set.contains(&place) {
        entry.set.insert(0, place);
        entry.changed = now;
    }
    Some(place)
}

fn live(scheduler: Scheduler, seed: u64, servers: usize, steps: u32) {
    let mut rng = Rng::with_seed(seed);
    let mut set: Vec<_> = (0..servers).map(|_| (random_weight(&mut rng), random_thresholds(&mut rng))).collect();
    let mut bench = Bench::with_thresholds(scheduler, &set, 1);
    let mut list: Vec<Held> = set.iter().map(Held::new).collect();
    let mut known = HashMap::new();
    let mut now = 0;
    for step in 0..steps {
        let at = rng.usize(0..servers);
        match rng.u32(0..100) {
            0 => {
                set[at].0 = random_weight(&mut rng);
                list[at].weight = set[at].0.into();
                bench.change(scheduler, &set);
            }
            1 => now += rng.u64(0..DAY / 2) / 250 * 250,
            2..=55 => {
                bench.now = Now::from_millis(now);
                known.retain(|_, entry: &mut Known| now - entry.used <= DAY);
                // A bucket's worth: nobody has to give way.
                let destination = rng.u32(0..12);
                let expected = if scheduler == Scheduler::Lblc {
                    lblc(&mut known, &list, destination, now)
                } else {
                    lblcr(&mut known, &list, destination, now)
                };
                let chosen = bench.open_for(0, Flow { destination, ..NOBODY });
                assert_eq!(chosen, expected, "{scheduler}, seed {seed}, step {step}, to {destination}: {list:?}");
                if let Some(place) = chosen {
                    list[place].opened();
                }
            }
            roll => depart(&mut bench, &mut list, at, roll),
        }
    }
}

#[test]
fn one_worker_chooses_what_the_definition_says() {
    for scheduler in [Scheduler::Lblc, Scheduler::Lblcr] {
        for (seed, servers) in [1, 2, 3, 5, 9, 14].into_iter().cycle().take(18).enumerate() {
            live(scheduler, seed as u64, servers, 4000);
        }
    }
}

#[test]
fn a_destination_stays_until_its_server_is_saturated() {
    let mut bench = Bench::new(Scheduler::Lblc, &[4, 4], 1);
    let to = |destination| Flow { destination, ..NOBODY };
    let chosen: Vec<usize> = (0..10).map(|_| bench.open_for(0, to(1)).unwrap()).collect();
    // Five are more than its weight, and the other has none.
    assert_eq!(chosen, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    let mut bench = Bench::new(Scheduler::Lblcr, &[4, 4], 1);
    let chosen: Vec<usize> = (0..10).map(|_| bench.open_for(0, to(1)).unwrap()).collect();
    assert_eq!(
        chosen,
        [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
        "the set has both then, and the least loaded of them is the other"
    );
    assert_eq!(bench.open_for(0, to(1)), Some(1), "the latest of equals");
    assert_eq!(bench.open_for(0, to(1)), Some(0));
}

#[test]
fn what_is_known_outlives_a_change_and_a_removed_server_is_forgotten() {
    let weights = |count: usize| vec![(9, Thresholds::default()); count];
    for scheduler in [Scheduler::Lblc, Scheduler::Lblcr] {
        let mut bench = Bench::with_thresholds(scheduler, &weights(2), 1);
        let to = |destination| Flow { destination, ..NOBODY };
        assert_eq!(bench.open_for(0, to(1)), Some(0));
        assert_eq!(bench.open_for(0, to(2)), Some(1));
        bench.change(scheduler, &weights(3));
        assert_eq!((bench.choose_for(0, to(2)), bench.choose_for(0, to(3))), (Some(1), Some(2)));
        bench.change(scheduler, &weights(1));
        assert_eq!((bench.choose_for(0, to(2)), bench.choose_for(0, to(3))), (Some(0), Some(0)));
    }
}
