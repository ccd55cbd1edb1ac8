//! Shortest expected delay: the real server that with one connection more would have the fewest active ones for its
//! weight. So a strong one is begun with, and idle weak ones wait.
//!
//! As `ip_vs_sed.c`; inactive connections do not count.

use super::rank::Standing;
use crate::dataplane::conn::Connections;

#[inline]
pub(super) fn standing(connections: Connections, weight: u16) -> Standing {
    Standing::new(u64::from(connections.active) + 1, weight)
}
