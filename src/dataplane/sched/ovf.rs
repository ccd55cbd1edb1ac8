//! Weighted overflow: the real server of the largest weight, until it has more active connections than its weight
//! says; then the next one.
//!
//! As `ip_vs_ovf.c`. All workers fill the same one, and may together overshoot by one connection each.

use super::rank::Standing;
use crate::dataplane::conn::Connections;

#[inline]
pub(super) fn standing(connections: Connections, weight: u16) -> Standing {
    if connections.active <= u32::from(weight) { Standing::new(1, weight) } else { Standing::OUT }
}
