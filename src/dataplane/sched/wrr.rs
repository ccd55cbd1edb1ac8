//! Weighted round robin: each server as often as its weight says, spread over the cycle.
//!
//! As `ip_vs_wrr.c`: rounds with a falling threshold, from the largest weight down in steps of the weights'
//! greatest common divisor; in each round every server whose weight reaches the threshold gets one turn. Weights
//! 4, 3, 2 give A A B A B C A B C. When the set or a weight changes, the walk restarts at the first server and
//! keeps the threshold, cut to the new largest weight.

use super::{Cursor, Loads, Service, weight};

/// What is known of a service's weights before the first packet comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// The largest.
    pub max: u16,
    /// Their greatest common divisor; 0 if all are 0.
    pub gcd: u16,
}

impl FromIterator<u16> for Weights {
    fn from_iter<I: IntoIterator<Item = u16>>(weights: I) -> Self {
        weights.into_iter().fold(Self::default(), |sum, w| Self { max: sum.max.max(w), gcd: gcd(sum.gcd, w) })
    }
}

const fn gcd(mut a: u16, mut b: u16) -> u16 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

pub(super) fn choose(service: &Service, weights: Weights, loads: Loads<'_>, cursor: &mut Cursor) -> Option<u32> {
    let Weights { max, gcd } = weights;
    let count = service.reals.len() as u32;
    if max == 0 || gcd == 0 {
        return None;
    }
    if cursor.version != service.version {
        if cursor.version == 0 {
            cursor.round = max;
        } else {
            cursor.next = 0;
            cursor.round = cursor.round.min(max);
        }
        cursor.version = service.version;
    }
    // One full cycle of rounds: some server has the largest weight, so this ends with a choice.
    let rounds = u32::from(max / gcd) + 1;
    for _ in 0..=rounds {
        while cursor.next < count {
            let place = cursor.next;
            cursor.next += 1;
            let weight = weight(service, loads, place);
            if weight > 0 && weight >= cursor.round {
                return Some(place);
            }
        }
        cursor.next = 0;
        cursor.round = if cursor.round > gcd { cursor.round - gcd } else { max };
    }
    None
}
