//! Least connections: the real server with the fewest, an active one counting as 256 inactive ones.
//!
//! As `ip_vs_lc.c`; weights are looked at only for being 0.

use super::rank::Standing;
use crate::dataplane::conn::Connections;

/// What IPVS calls a real server's overhead.
#[inline]
pub(super) fn overhead(connections: Connections) -> u64 {
    u64::from(connections.active) * 256 + u64::from(connections.inactive)
}

#[inline]
pub(super) fn standing(connections: Connections) -> Standing {
    Standing::new(overhead(connections), 1)
}
