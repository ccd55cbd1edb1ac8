//! Weighted round robin: each server as often as its weight says, spread over the cycle.
//!
//! As `ip_vs_wrr.c`: rounds with a falling threshold, from the largest weight down in steps of the weights'
//! greatest common divisor; in each round every server whose weight reaches the threshold gets one turn. Weights
//! 4, 3, 2 give A, A B, A B C, A B C and so on. It begins with the last round, in which all have a turn, as IPVS does, which is
//! given its servers one after the other. When the set, a weight or a server's thresholds change, the walk restarts at the first
//! server and keeps the round, cut to the new largest weight and fitted to the new step. Of several changes between two
//! choices only the last counts here, and with IPVS each.

use super::heights::Heights;
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

pub(super) fn choose(
    service: &Service,
    Weights { max, gcd }: Weights,
    heights: &Heights,
    loads: Loads<'_>,
    cursor: &mut Cursor,
) -> Option<u32> {
    // Thresholds are 1, 1 + gcd, 1 + 2 gcd and so on: what reaches one of them reaches the next multiple of gcd.
    let largest = max - gcd.saturating_sub(1);
    if cursor.version != service.version {
        if cursor.version != 0 {
            cursor.next = 0;
        }
        cursor.version = service.version;
        cursor.round = fitted(cursor.round, largest, gcd);
    }
    if max == 0 {
        return None;
    }
    let next = |place: u32, round: u16| {
        let mut places = heights.places(place, round.max(1));
        places.find(|place| weight(service, loads, *place) > 0)
    };
    if let Some(place) = next(cursor.next, cursor.round) {
        cursor.next = place + 1;
        return Some(place);
    }
    let last = cursor.round <= gcd;
    let following = if last { largest } else { cursor.round - gcd };
    let found = next(0, following).map(|place| (place, following)).or_else(|| {
        // The largest weights are over their thresholds: the next round that is for somebody.
        let most = heights.places(0, 1).map(|place| weight(service, loads, place)).max().filter(|most| *most > 0)?;
        let round = (most - 1) / gcd * gcd + 1;
        Some((next(0, round)?, round))
    });
    match found {
        Some((place, round)) => {
            (cursor.next, cursor.round) = (place + 1, round);
            Some(place)
        }
        // All are over their thresholds. IPVS finds that out round by round, and the next choice begins where this one
        // did, in the round that it came to.
        None => {
            cursor.round = if last && cursor.next > 0 { 1 } else { largest };
            None
        }
    }
}

/// The threshold of the round to go on with; 0 while all weights are 0.
fn fitted(round: u16, largest: u16, gcd: u16) -> u16 {
    match round {
        _ if largest == 0 => 0,
        0 => 1,
        _ if round > largest => largest,
        _ if gcd == 1 => round,
        _ => round / gcd * gcd + 1,
    }
}
