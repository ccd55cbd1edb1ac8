//! Weighted least connections: the real server with the fewest for its weight, an active one counting as 256 inactive
//! ones. ipvsadm's default.
//!
//! As `ip_vs_wlc.c`.

use super::lc::overhead;
use super::rank::Standing;
use crate::dataplane::conn::Connections;

#[inline]
pub(super) fn standing(connections: Connections, weight: u16) -> Standing {
    Standing::new(overhead(connections), weight)
}
