use super::*;
use bench::{Bench, plain};

mod bench;
mod hashes;
mod locality;
mod models;
mod shares;

const ONE: Share = Share { worker: 0, workers: 1 };

fn picks(scheduler: Scheduler, weights: &[u16], share: Share, count: usize) -> Vec<usize> {
    let mut bench = Bench::new(scheduler, weights, share.workers);
    (0..count).map(|_| bench.choose(share.worker).map_or(0, |place| place + 1)).collect()
}

#[test]
fn rr_takes_turns_and_passes_over_weight_0() {
    assert_eq!(picks(Scheduler::Rr, &[1, 1, 1], ONE, 7), [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(picks(Scheduler::Rr, &[5, 0, 1], ONE, 4), [1, 3, 1, 3]);
    assert_eq!(picks(Scheduler::Rr, &[0, 0], ONE, 2), [0, 0]);
    assert_eq!(picks(Scheduler::Rr, &[], ONE, 1), [0]);
}

#[test]
fn wrr_spreads_weights_as_ipvs_does() {
    assert_eq!(picks(Scheduler::Wrr, &[4, 3, 2], ONE, 9), [1, 2, 3, 1, 1, 2, 1, 2, 3]);
    assert_eq!(picks(Scheduler::Wrr, &[2, 4, 6], ONE, 6), [1, 2, 3, 3, 2, 3]);
    assert_eq!(picks(Scheduler::Wrr, &[0, 1, 0], ONE, 2), [2, 2]);
    assert_eq!(picks(Scheduler::Wrr, &[0, 0], ONE, 1), [0]);
}

#[test]
fn wrr_shares_are_the_weights_over_whole_cycles() {
    for weights in [&[1u16, 2, 3, 0, 10][..], &[65535, 1], &[100, 100, 50]] {
        let total: u32 = weights.iter().map(|w| u32::from(*w)).sum();
        let divisor = (1..=u16::MAX).rev().find(|d| weights.iter().all(|weight| weight % d == 0)).unwrap();
        let cycle = (total / u32::from(divisor)) as usize;
        let chosen = picks(Scheduler::Wrr, weights, ONE, cycle);
        for (index, weight) in weights.iter().enumerate() {
            let share = chosen.iter().filter(|id| **id == index + 1).count();
            assert_eq!(share, usize::from(weight / divisor), "server {index} of {weights:?}");
        }
    }
}

#[test]
fn workers_start_at_servers_of_their_own() {
    assert_eq!(picks(Scheduler::Rr, &[1, 1, 1, 1], Share { worker: 1, workers: 2 }, 3), [3, 4, 1]);
    assert_eq!(picks(Scheduler::Wrr, &[1, 1, 1, 1], Share { worker: 1, workers: 2 }, 3), [3, 4, 1]);
}

#[test]
fn a_change_of_the_set_leaves_no_choice_out_of_range() {
    for scheduler in [Scheduler::Rr, Scheduler::Wrr] {
        let mut bench = Bench::new(scheduler, &[1, 1, 1], 1);
        for _ in 0..3 {
            bench.choose(0);
        }
        bench.change(scheduler, &[plain(&1)]);
        bench.cursors[0].next = 7;
        assert_eq!(bench.choose(0), Some(0));
    }
}

/// `ip_vs_wrr.c` step by step: its variables, and what it does to them when a server or a weight changes.
struct KernelWrr {
    weights: Vec<i32>,
    at: i32,
    current: i32,
}

impl KernelWrr {
    fn step(&self) -> i32 {
        let common = |d: &i32| self.weights.iter().all(|weight| weight % d == 0);
        if self.most() == 0 { 1 } else { (1..=self.most()).rev().find(common).unwrap() }
    }

    fn most(&self) -> i32 {
        self.weights.iter().copied().max().unwrap_or(0)
    }

    fn changed(&mut self) {
        let largest = if self.most() == 0 { 0 } else { self.most() - (self.step() - 1) };
        self.at = -1;
        if self.current > largest || self.current == 0 {
            self.current = largest;
        } else if self.step() > 1 {
            self.current = self.current / self.step() * self.step() + 1;
        }
    }

    fn choose(&mut self) -> Option<usize> {
        if self.most() == 0 {
            return None;
        }
        loop {
            self.at += 1;
            if self.at as usize == self.weights.len() {
                self.at = -1;
                self.current -= self.step();
                if self.current <= 0 {
                    self.current = self.most() - (self.step() - 1);
                }
                continue;
            }
            if self.weights[self.at as usize] >= self.current && self.weights[self.at as usize] > 0 {
                return Some(self.at as usize);
            }
        }
    }
}

#[test]
fn wrr_goes_on_as_ipvs_does_when_weights_change() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..200 {
        let factor = rng.u16(1..4);
        let mut weights: Vec<u16> = (0..rng.usize(1..7)).map(|_| rng.u16(0..7) * factor).collect();
        let mut kernel = KernelWrr { weights: Vec::new(), at: -1, current: 0 };
        for weight in weights.iter().rev() {
            kernel.weights.insert(0, i32::from(*weight));
            kernel.changed();
        }
        let mut bench = Bench::new(Scheduler::Wrr, &weights, 1);
        for _ in 0..20 {
            for _ in 0..rng.usize(1..25) {
                assert_eq!(bench.choose(0), kernel.choose(), "{weights:?}");
            }
            let at = rng.usize(0..weights.len());
            weights[at] = rng.u16(0..7) * factor;
            kernel.weights[at] = weights[at].into();
            kernel.changed();
            bench.change(Scheduler::Wrr, &weights.iter().map(plain).collect::<Vec<_>>());
        }
    }
}
