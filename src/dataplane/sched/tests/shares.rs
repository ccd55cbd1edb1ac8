//! Shares of new connections are the weights, with one worker and with two.

use fastrand::Rng;

use super::super::*;
use super::bench::{Bench, NOBODY};

const MILLION: u32 = 1_000_000;

/// Opens a million connections, none of which ends, each to a destination of its own, and returns how many each real server got.
fn opened(scheduler: Scheduler, weights: &[u16], workers: u32) -> Vec<u32> {
    let mut bench = Bench::new(scheduler, weights, workers);
    let mut got = vec![0u32; weights.len()];
    let mut rng = Rng::with_seed(9);
    for _ in 0..MILLION {
        let flow = Flow { destination: rng.u32(..), ..NOBODY };
        got[bench.open_for(rng.u32(0..workers), flow).unwrap()] += 1;
    }
    got
}

/// Checks that each real server's share of a million connections is its part of `parts` to 1 %.
fn shares(scheduler: Scheduler, weights: &[u16], parts: &[u32], workers: u32) {
    let got = opened(scheduler, weights, workers);
    let total: u32 = parts.iter().sum();
    for (got_one, part) in got.iter().zip(parts) {
        let ideal = f64::from(MILLION) * f64::from(*part) / f64::from(total);
        let off = (f64::from(*got_one) - ideal).abs();
        assert!(off <= ideal / 100.0, "{scheduler}, {workers} workers: {got:?} of {weights:?}");
    }
}

#[test]
fn are_the_weights_over_a_million_connections() {
    for scheduler in [Scheduler::Wrr, Scheduler::Wlc, Scheduler::Sed] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 2, 3, 4, 0, 10], &[1, 2, 3, 4, 0, 10], workers);
        }
    }
}

#[test]
fn are_the_weights_for_idle_servers_and_for_drawn_ones() {
    for scheduler in [Scheduler::Nq, Scheduler::Twos] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 2, 3, 4, 0, 10], &[1, 2, 3, 4, 0, 10], workers);
        }
    }
}

/// Each destination keeps to its real server; which one that is goes by wlc.
#[test]
fn are_the_weights_for_ever_new_destinations() {
    for scheduler in [Scheduler::Lblc, Scheduler::Lblcr] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 2, 3, 4, 0, 10], &[1, 2, 3, 4, 0, 10], workers);
        }
    }
}

#[test]
fn are_equal_where_weights_do_not_count() {
    for scheduler in [Scheduler::Rr, Scheduler::Lc] {
        for workers in [1, 2] {
            shares(scheduler, &[1, 1, 1, 0, 1, 1], &[1, 1, 1, 0, 1, 1], workers);
            shares(scheduler, &[9, 1, 1, 0, 1, 5], &[1, 1, 1, 0, 1, 1], workers);
        }
    }
    for workers in [1, 2] {
        shares(Scheduler::Dh, &[9, 1, 1, 3, 1, 1, 1, 5], &[1; 8], workers);
    }
}

/// ovf fills one after the other as far as its weight says: with as many connections as weight, all are full.
#[test]
fn are_the_weights_once_all_overflow_and_everything_is_the_one_that_fails_over() {
    let weights = [[60_000, 40_000].repeat(10), vec![0]].concat();
    let parts: Vec<u32> = weights.iter().map(|weight| u32::from(*weight)).collect();
    assert_eq!(parts.iter().sum::<u32>(), MILLION);
    for workers in [1, 2] {
        shares(Scheduler::Ovf, &weights, &parts, workers);
        assert_eq!(opened(Scheduler::Fo, &[3, 0, 7, 7], workers), [0, 0, MILLION, 0]);
    }
}
