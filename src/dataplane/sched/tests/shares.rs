//! Shares of new connections are the weights, with one worker and with two.

use fastrand::Rng;

use super::super::*;
use super::bench::Bench;

/// Opens `count` connections, none of which ends, and checks that each real server's share is its weight's to 1 %.
fn shares(scheduler: Scheduler, weights: &[u16], workers: u32, count: u32) {
    let mut bench = Bench::new(scheduler, weights, workers);
    let mut got = vec![0u32; weights.len()];
    let mut rng = Rng::with_seed(9);
    for _ in 0..count {
        got[bench.open(rng.u32(0..workers)).unwrap()] += 1;
    }
    let total: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
    for (place, weight) in weights.iter().enumerate() {
        let ideal = f64::from(count) * f64::from(*weight) / f64::from(total);
        let off = (f64::from(got[place]) - ideal).abs();
        assert!(off <= ideal / 100.0, "{scheduler}, {workers} workers: {got:?} of {weights:?}");
    }
}

#[test]
fn are_the_weights_over_a_million_connections() {
    for scheduler in [Scheduler::Wrr, Scheduler::Wlc, Scheduler::Sed] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 2, 3, 4, 0, 10], workers, 1_000_000);
        }
    }
}

#[test]
fn are_the_weights_for_idle_servers_and_for_drawn_ones() {
    for scheduler in [Scheduler::Nq, Scheduler::Twos] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 2, 3, 4, 0, 10], workers, 1_000_000);
        }
    }
}

#[test]
fn are_equal_where_weights_do_not_count() {
    for scheduler in [Scheduler::Rr, Scheduler::Lc] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 1, 1, 0, 1, 1], workers, 1_000_000);
        }
    }
}
