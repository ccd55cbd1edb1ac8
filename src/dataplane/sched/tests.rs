use super::*;
use bench::{Bench, plain};

mod bench;
mod hashes;
mod locality;
mod models;
mod shares;
mod turns;

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
