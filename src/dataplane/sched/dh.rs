//! Destination hashing: the same destination address, the same real server. For transparent caches; a service of one
//! address always gets the same one.
//!
//! As `ip_vs_dh.c`: 256 slots, dealt in turn whatever the weights; what takes no connection is not replaced.

use std::sync::Arc;

use super::Flow;
use super::slots::hash_32;

/// IPVS's, as it is built by default.
const BITS: u32 = 8;

/// Deals the slots to `count` real servers.
pub(super) fn fill(count: u32) -> Arc<[u32]> {
    let slots = if count == 0 { 0 } else { 1 << BITS };
    (0..slots).map(|slot| slot % count).collect()
}

#[inline]
pub(super) fn slot(flow: Flow) -> u32 {
    hash_32(flow.destination, BITS)
}
