//! The schedulers that look at connections, against slow ones written down from IPVS's definitions: a walk over the whole
//! list, a strictly better one replacing what was found. Connections come and go at random, weights change, thresholds are
//! reached, and with one worker each choice must be the same.

use fastrand::Rng;

use super::super::*;
use super::bench::{Bench, NOBODY, plain};

/// A real server as a model sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    pub weight: i64,
    pub active: i64,
    pub inactive: i64,
    pub thresholds: Thresholds,
    pub overloaded: bool,
}

impl Held {
    pub fn new((weight, thresholds): &(u16, Thresholds)) -> Self {
        Self { weight: i64::from(*weight), thresholds: *thresholds, ..Self::default() }
    }

    pub fn overhead(&self) -> i64 {
        self.active * 256 + self.inactive
    }

    pub fn takes(&self) -> bool {
        self.weight > 0 && !self.overloaded
    }

    /// It was given a connection.
    pub fn opened(&mut self) {
        self.active += 1;
        self.feel();
    }

    /// Overloaded from the upper threshold on, until below the lower, or three quarters.
    pub fn feel(&mut self) {
        let (upper, lower) = (i64::from(self.thresholds.upper), i64::from(self.thresholds.lower));
        let held = self.active + self.inactive;
        if upper == 0 {
            self.overloaded = false;
        } else if held >= upper {
            self.overloaded = true;
        } else if if lower > 0 { held < lower } else { held * 4 < upper * 3 } {
            self.overloaded = false;
        }
    }
}

/// The first in the list that no other beats.
pub fn first(list: &[Held], takes: impl Fn(&Held) -> bool, beats: impl Fn(&Held, &Held) -> bool) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (place, held) in list.iter().enumerate().filter(|(_, held)| takes(held)) {
        if found.is_none_or(|found| beats(held, &list[found])) {
            found = Some(place);
        }
    }
    found
}

fn sed(list: &[Held]) -> Option<usize> {
    first(list, Held::takes, |one, two| (one.active + 1) * two.weight < (two.active + 1) * one.weight)
}

fn model(scheduler: Scheduler, list: &[Held], dice: &mut Rng) -> Option<usize> {
    match scheduler {
        Scheduler::Lc => first(list, Held::takes, |one, two| one.overhead() < two.overhead()),
        Scheduler::Wlc => {
            first(list, Held::takes, |one, two| one.overhead() * two.weight < two.overhead() * one.weight)
        }
        Scheduler::Sed => sed(list),
        Scheduler::Nq => list.iter().position(|held| held.takes() && held.active == 0).or_else(|| sed(list)),
        Scheduler::Fo => first(list, Held::takes, |one, two| one.weight > two.weight),
        Scheduler::Ovf => {
            first(list, |held| held.takes() && held.active <= held.weight, |one, two| one.weight > two.weight)
        }
        Scheduler::Twos => twos(list, dice),
        other => panic!("no model of {other}"),
    }
}

fn twos(list: &[Held], dice: &mut Rng) -> Option<usize> {
    let total: i64 = list.iter().filter(|held| held.takes()).map(|held| held.weight).sum();
    if total == 0 {
        return None;
    }
    let mut left = [dice.u64(0..=total as u64) as i64, dice.u64(0..=total as u64) as i64];
    let mut choice = [None, None];
    for (place, held) in list.iter().enumerate().filter(|(_, held)| held.takes()) {
        for (left, choice) in left.iter_mut().zip(&mut choice) {
            *left -= held.weight;
            if *left <= 0 && choice.is_none() {
                *choice = Some(place);
            }
        }
    }
    let (one, two) = (choice[0].unwrap(), choice[1].unwrap());
    let (w1, w2) = (list[one].weight, list[two].weight);
    if w2 * list[one].overhead() > w1 * list[two].overhead() { Some(two) } else { Some(one) }
}

pub fn random_weight(rng: &mut Rng) -> u16 {
    match rng.u32(0..10) {
        0 | 1 => 0,
        2 => rng.u16(..),
        _ => rng.u16(1..8),
    }
}

pub fn random_thresholds(rng: &mut Rng) -> Thresholds {
    if rng.u32(0..4) > 0 {
        return Thresholds::default();
    }
    let upper = rng.u32(1..20);
    Thresholds { upper, lower: if rng.bool() { 0 } else { rng.u32(0..=upper) } }
}

/// A connection of the real server at `at` is closed, cut or expires, as `roll` of 56 to 99 says; if it has one.
pub fn depart(bench: &mut Bench, list: &mut [Held], at: usize, roll: u32) {
    let held = &mut list[at];
    match roll {
        56..=75 if held.active > 0 => {
            bench.finish(0, at);
            held.active -= 1;
            held.inactive += 1;
        }
        76..=85 if held.active > 0 => {
            bench.cut(0, at);
            held.active -= 1;
        }
        _ if held.inactive > 0 => {
            bench.expire(0, at);
            held.inactive -= 1;
        }
        _ => return,
    }
    held.feel();
}

/// A life of `steps` arrivals and departures, each choice compared.
fn live(scheduler: Scheduler, seed: u64, servers: usize, steps: u32) {
    let mut rng = Rng::with_seed(seed);
    let mut set: Vec<_> = (0..servers).map(|_| (random_weight(&mut rng), random_thresholds(&mut rng))).collect();
    let mut bench = Bench::with_thresholds(scheduler, &set, 1);
    // Worker 0's dice begin at 0.
    let mut dice = Rng::with_seed(0);
    let mut list: Vec<Held> = set.iter().map(Held::new).collect();
    for step in 0..steps {
        let at = rng.usize(0..servers);
        match rng.u32(0..100) {
            0 => {
                set[at].0 = random_weight(&mut rng);
                list[at].weight = set[at].0.into();
                bench.change(scheduler, &set);
            }
            1..=55 => {
                let expected = model(scheduler, &list, &mut dice);
                let chosen = bench.open(0);
                assert_eq!(chosen, expected, "{scheduler}, seed {seed}, step {step}: {list:?}");
                if let Some(place) = chosen {
                    list[place].opened();
                }
            }
            roll => depart(&mut bench, &mut list, at, roll),
        }
    }
}

/// Those that a model above describes.
const MODELLED: [Scheduler; 7] =
    [Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq, Scheduler::Fo, Scheduler::Ovf, Scheduler::Twos];

#[test]
fn one_worker_chooses_what_the_definition_says() {
    for scheduler in MODELLED {
        for (seed, servers) in [1, 2, 3, 5, 8, 9, 17, 64, 65, 200].into_iter().enumerate() {
            live(scheduler, seed as u64, servers, 3000);
        }
    }
}

#[test]
fn one_worker_is_as_exact_with_a_thousand_real_servers() {
    for scheduler in MODELLED {
        live(scheduler, 77, 1000, 3000);
    }
}

#[test]
fn a_large_new_ranking_knows_all_within_a_few_choices() {
    let weights = vec![1; 10_000];
    for scheduler in [Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq] {
        let mut bench = Bench::new(scheduler, &weights, 1);
        let mut chosen: Vec<usize> = (0..10_000).map(|_| bench.open(0).unwrap()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert!(chosen.len() >= 9_990, "{scheduler}: {} of 10,000", chosen.len());
        bench.cut(0, 7_777);
        assert_eq!(bench.open(0), Some(7_777));
    }
}

#[test]
fn two_workers_fill_equal_servers_equally() {
    for scheduler in [Scheduler::Lc, Scheduler::Wlc, Scheduler::Sed, Scheduler::Nq] {
        for servers in [3usize, 10, 100, 1000] {
            let mut bench = Bench::new(scheduler, &vec![3; servers], 2);
            let mut rng = Rng::with_seed(1);
            for _ in 0..20 * servers {
                bench.open(rng.u32(0..2)).unwrap();
            }
            let held: Vec<u32> = (0..servers).map(|place| bench.connections(place).active).collect();
            assert!(held.iter().all(|held| (19..=21).contains(held)), "{scheduler}, {servers}: {held:?}");
        }
    }
}

/// In a steady state, whoever books the ends, the load stays even: what a worker does not know yet is no more than a
/// few connections of each real server.
#[test]
fn several_workers_stay_even_under_turnover() {
    for workers in [2u32, 4] {
        for servers in [10usize, 300] {
            let mut bench = Bench::new(Scheduler::Wlc, &vec![1; servers], workers);
            let mut rng = Rng::with_seed(5);
            let mut open: Vec<usize> = Vec::new();
            for _ in 0..40 * servers {
                open.push(bench.open(rng.u32(0..workers)).unwrap());
            }
            let mut worst = 0;
            for step in 0..40 * servers {
                let gone = open.swap_remove(rng.usize(0..open.len()));
                bench.cut(rng.u32(0..workers), gone);
                open.push(bench.open(rng.u32(0..workers)).unwrap());
                if step % servers == 0 {
                    let held = (0..servers).map(|place| bench.connections(place).active);
                    worst = worst.max(held.max().unwrap());
                }
            }
            // Chosen blindly, the fullest of 300 would have about 60.
            let allowed = 40 + 2 + workers;
            assert!(worst <= allowed, "{workers} workers, {servers} servers: {worst}");
        }
    }
}

#[test]
fn an_end_that_another_worker_booked_is_seen_when_its_turn_comes() {
    let mut bench = Bench::new(Scheduler::Lc, &[1; 80], 2);
    for _ in 0..160 {
        bench.open(0).unwrap();
    }
    bench.cut(1, 79);
    let choices: Vec<usize> = (0..11).map(|_| bench.open(0).unwrap()).collect();
    assert!(choices.contains(&79), "{choices:?}");
    // Few enough real servers are all looked at.
    let mut bench = Bench::new(Scheduler::Lc, &[1; 8], 2);
    for _ in 0..16 {
        bench.open(0).unwrap();
    }
    bench.cut(1, 7);
    assert_eq!(bench.open(0), Some(7));
}

#[test]
fn failover_and_overflow_are_the_same_for_all_workers() {
    let mut bench = Bench::new(Scheduler::Fo, &[3, 9, 9], 4);
    assert_eq!((0..4).map(|worker| bench.open(worker).unwrap()).collect::<Vec<_>>(), [1; 4]);
    let mut bench = Bench::new(Scheduler::Ovf, &[3, 9, 9], 4);
    let places: Vec<usize> = (0..24).map(|n| bench.open(n % 4).unwrap()).collect();
    assert_eq!((places.iter().position(|p| *p == 2), places.iter().position(|p| *p == 0)), (Some(10), Some(20)));
    assert_eq!(bench.open(0), None, "more than the weight is more than enough");
}

#[test]
fn another_one_is_the_next_that_is_eligible() {
    let bench = Bench::new(Scheduler::Wlc, &[1, 0, 1, 1], 1);
    let service = bench.service[1].as_ref().unwrap();
    let after = |refused| schedule_after(service, RealId(refused), NOBODY, bench.pool(0), &mut Cursor::default());
    assert_eq!([1, 2, 3, 4].map(after), [3, 3, 4, 1].map(|id| Some(RealId(id))));
    let none = Bench::new(Scheduler::Wlc, &[0, 0], 1);
    let service = none.service[1].as_ref().unwrap();
    assert_eq!(schedule_after(service, RealId(1), NOBODY, none.pool(0), &mut Cursor::default()), None);
}

#[test]
fn nobody_eligible_is_nobody() {
    for scheduler in MODELLED {
        for weights in [&[][..], &[0], &[0; 9]] {
            let mut bench = Bench::new(scheduler, weights, 1);
            assert_eq!(bench.choose(0), None, "{scheduler}");
        }
    }
}

#[test]
fn a_plan_is_kept_while_nothing_changes() {
    for scheduler in MODELLED {
        let set: Vec<_> = [1, 2].iter().map(plain).collect();
        let mut bench = Bench::with_thresholds(scheduler, &set, 2);
        let part = |bench: &Bench| match &bench.service[1].as_ref().unwrap().plan {
            Plan::Best(rankings) => std::sync::Arc::as_ptr(rankings).cast::<()>(),
            Plan::Twos(draws) => std::sync::Arc::as_ptr(draws).cast::<()>(),
            other => panic!("{other:?}"),
        };
        let before = part(&bench);
        bench.change(scheduler, &set);
        assert_eq!(part(&bench), before);
        bench.change(scheduler, &[set[0], (3, Thresholds::default())]);
        assert_ne!(part(&bench), before);
    }
}
