//! Thresholds: a real server with as many connections as its upper threshold takes no new ones, until it has fewer than
//! its lower threshold (or, where that is 0, than three quarters of the upper). As `ip_vs_ctl.c` and `ip_vs_conn.c`
//! decide it, by the connections of this real server in this service, active and inactive.
//!
//! ```text
//!               connections reach upper
//!   (open) ──────────────────────────────► (overloaded)
//!      ▲                                        │
//!      └────────────────────────────────────────┘
//!         connections fall below lower, or 3/4 of upper
//! ```
//! Other thresholds apply at once, to what it has and whether it was overloaded. Connections only grow by being scheduled, so
//! it is enough to look then. Workers that schedule at the same moment may each bring one connection too many.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dataplane::conn::Counts;
use crate::dataplane::service::{RealId, Thresholds};

/// What is known of the real servers' load.
#[derive(Clone, Copy)]
pub struct Loads<'a> {
    /// Their connections.
    pub counts: &'a Counts,
    /// Whether each is overloaded, by id.
    pub overloaded: &'a [AtomicBool],
}

impl Loads<'_> {
    /// Tells whether a real server with these thresholds takes another connection.
    #[inline]
    pub fn accepts(&self, real: RealId, thresholds: Thresholds) -> bool {
        thresholds.upper == 0 || !self.is_overloaded(real, thresholds)
    }

    /// Notes that it was given a connection.
    #[inline]
    pub fn grew(&self, real: RealId, thresholds: Thresholds) {
        if thresholds.upper != 0 {
            self.is_overloaded(real, thresholds);
        }
    }

    #[cold]
    fn is_overloaded(&self, real: RealId, thresholds: Thresholds) -> bool {
        let Some(flag) = self.overloaded.get(real.index()) else { return false };
        let connections = self.counts.connections(real);
        let before = flag.load(Ordering::Relaxed);
        let now = after(before, thresholds, u64::from(connections.active) + u64::from(connections.inactive));
        if now != before {
            flag.store(now, Ordering::Relaxed);
        }
        now
    }
}

fn after(overloaded: bool, thresholds: Thresholds, connections: u64) -> bool {
    let (upper, lower) = (u64::from(thresholds.upper), u64::from(thresholds.lower));
    let stays = if lower > 0 { connections >= lower } else { connections * 4 >= upper * 3 };
    upper > 0 && (connections >= upper || (overloaded && stays))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overloaded_server_stays_so_down_to_the_lower_threshold() {
        let walk = |upper, lower, counts: &[u64]| -> String {
            let thresholds = Thresholds { upper, lower };
            let mut overloaded = false;
            let mut step = |count: &u64| {
                overloaded = after(overloaded, thresholds, *count);
                if overloaded { 'x' } else { '.' }
            };
            counts.iter().map(&mut step).collect()
        };
        assert_eq!(walk(10, 4, &[0, 9, 10, 11, 9, 5, 4, 3, 5, 9, 10]), "..xxxxx...x");
        assert_eq!(walk(8, 0, &[7, 8, 7, 6, 5, 7, 8]), ".xxx..x", "three quarters");
        assert_eq!(walk(0, 0, &[0, 1_000_000]), "..", "no threshold");
        assert_eq!(walk(1, 1, &[0, 1, 0]), ".x.");
        assert_eq!(walk(u32::MAX, 0, &[u64::from(u32::MAX)]), "x");
    }
}
