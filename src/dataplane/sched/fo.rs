//! Weighted fail-over: the real server of the largest weight takes all, and the next one when that takes no more.
//!
//! As `ip_vs_fo.c`. All workers choose the same one.

use super::rank::Standing;

#[inline]
pub(super) fn standing(weight: u16) -> Standing {
    Standing::new(1, weight)
}
