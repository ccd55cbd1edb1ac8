//! Source hashing: the same client, the same real server.
//!
//! As `ip_vs_sh.c`: 256 slots; each real server in turn gets as many as its weight says, one at least, until all are
//! dealt. With the flag sh-port the client's port counts too. A real server that takes no connection is
//! replaced only with sh-fallback.

use std::sync::Arc;

use super::Flow;
use super::scheduler::HashFlags;
use super::slots::hash_32;

/// IPVS's, as it is built by default.
const BITS: u32 = 8;

/// Deals the slots by weight.
pub(super) fn fill(weights: impl ExactSizeIterator<Item = u16> + Clone) -> Arc<[u32]> {
    let slots = if weights.len() == 0 { 0 } else { 1 << BITS };
    let turn = weights.enumerate().flat_map(|(place, weight)| (0..weight.max(1)).map(move |_| place as u32));
    turn.cycle().take(slots).collect()
}

#[inline]
pub(super) fn slot(flow: Flow, flags: HashFlags, offset: u32) -> u32 {
    let hash = hash_32(flow.source(flags), BITS);
    offset.wrapping_add(hash) & ((1 << BITS) - 1)
}
