//! Never queue: the first real server without an active connection, whatever its weight; if there is none, as sed.
//!
//! As `ip_vs_nq.c`: an idle one stands best of all, and all idle ones stand equal.

use super::rank::Standing;
use super::sed;
use crate::dataplane::conn::Connections;

#[inline]
pub(super) fn standing(connections: Connections, weight: u16) -> Standing {
    if connections.active == 0 { Standing::new(0, weight) } else { sed::standing(connections, weight) }
}
