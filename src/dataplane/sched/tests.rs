use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use super::*;
use crate::dataplane::conn::Counts;
use crate::dataplane::neigh::NeighborId;
use crate::dataplane::route::NextHop;
use crate::dataplane::service::{EndpointId, Forwarding, PortId, Protocol, Thresholds};

const ONE: Share = Share { worker: 0, workers: 1 };

fn set(scheduler: &str, weights: &[u16]) -> (Service, Vec<Option<RealServer>>) {
    let id = EndpointId(NonZeroU16::MIN);
    let mut reals = vec![None];
    for (index, weight) in weights.iter().enumerate() {
        reals.push(Some(RealServer {
            id: RealId(index as u32 + 1),
            service: id,
            address: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, index as u8 + 1), 80),
            forwarding: Forwarding::Nat,
            weight: *weight,
            thresholds: Thresholds::default(),
            shared: None,
            hop: Some(NextHop { port: PortId(0), neighbor: NeighborId(0) }),
        }));
    }
    let scheduler = if scheduler == "rr" { Scheduler::Rr } else { Scheduler::Wrr };
    let service = Service {
        id,
        address: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80),
        protocol: Protocol::Tcp,
        scheduler,
        weights: weights.iter().copied().collect(),
        version: 1,
        max_new_per_second: 0,
        reals: (1..=weights.len() as u32).map(RealId).collect(),
    };
    (service, reals)
}

fn picks(scheduler: &str, weights: &[u16], share: Share, count: usize) -> Vec<u32> {
    let (service, reals) = set(scheduler, weights);
    let mut cursor = Cursor::default();
    let counts = Counts::new(1).unwrap();
    let pool = Pool { reals: &reals, loads: Loads { counts: &counts, overloaded: &[] } };
    (0..count).map(|_| schedule(&service, pool, &mut cursor, share).map_or(0, |id| id.0)).collect()
}

#[test]
fn rr_takes_turns_and_passes_over_weight_0() {
    assert_eq!(picks("rr", &[1, 1, 1], ONE, 7), [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(picks("rr", &[5, 0, 1], ONE, 4), [1, 3, 1, 3]);
    assert_eq!(picks("rr", &[0, 0], ONE, 2), [0, 0]);
    assert_eq!(picks("rr", &[], ONE, 1), [0]);
}

#[test]
fn wrr_spreads_weights_as_ipvs_does() {
    assert_eq!(picks("wrr", &[4, 3, 2], ONE, 9), [1, 1, 2, 1, 2, 3, 1, 2, 3]);
    assert_eq!(picks("wrr", &[2, 4, 6], ONE, 6), [3, 2, 3, 1, 2, 3]);
    assert_eq!(picks("wrr", &[0, 1, 0], ONE, 2), [2, 2]);
    assert_eq!(picks("wrr", &[0, 0], ONE, 1), [0]);
}

#[test]
fn wrr_shares_are_the_weights_over_whole_cycles() {
    for weights in [&[1u16, 2, 3, 0, 10][..], &[65535, 1], &[100, 100, 50]] {
        let total: u32 = weights.iter().map(|w| u32::from(*w)).sum();
        let divisor = weights.iter().fold(0, |a, b| gcd(a, *b));
        let cycle = (total / u32::from(divisor)) as usize;
        let chosen = picks("wrr", weights, ONE, cycle);
        for (index, weight) in weights.iter().enumerate() {
            let share = chosen.iter().filter(|id| **id == index as u32 + 1).count();
            assert_eq!(share, usize::from(weight / divisor), "server {index} of {weights:?}");
        }
    }
}

#[test]
fn workers_start_at_servers_of_their_own() {
    assert_eq!(picks("rr", &[1, 1, 1, 1], Share { worker: 1, workers: 2 }, 3), [3, 4, 1]);
    assert_eq!(picks("wrr", &[1, 1, 1, 1], Share { worker: 1, workers: 2 }, 3), [3, 4, 1]);
}

#[test]
fn a_change_of_the_set_leaves_no_choice_out_of_range() {
    let (service, reals) = set("rr", &[1, 1, 1]);
    let counts = Counts::new(1).unwrap();
    let loads = Loads { counts: &counts, overloaded: &[] };
    let mut cursor = Cursor::default();
    for _ in 0..3 {
        schedule(&service, Pool { reals: &reals, loads }, &mut cursor, ONE);
    }
    for scheduler in ["rr", "wrr"] {
        let (mut smaller, reals) = set(scheduler, &[1]);
        smaller.version = 2;
        let mut cursor = Cursor { next: 7, ..cursor };
        assert_eq!(schedule(&smaller, Pool { reals: &reals, loads }, &mut cursor, ONE), Some(RealId(1)));
    }
}
