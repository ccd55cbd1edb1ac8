//! Round robin: each eligible server in turn.
//!
//! As `ip_vs_rr.c`: the turn goes on behind the last choice, also when weights change, and when servers come and go, be it
//! the last choice itself; servers of weight 0 are passed over, however many there are in a row.

use super::super::address::TransportAddress;
use super::heights::Heights;
use super::{Candidate, Cursor, Pool, Service, weight};

pub(super) fn choose(service: &Service, heights: &Heights, pool: Pool<'_>, cursor: &mut Cursor) -> Option<u32> {
    let count = service.reals.len() as u32;
    if cursor.version != service.version {
        if cursor.version != 0 {
            cursor.next = first_behind(cursor.last, service, pool);
        }
        cursor.version = service.version;
    }
    let start = cursor.next.checked_rem(count)?;
    let before = heights.places(0, 1).take_while(|place| *place < start);
    let place = heights.places(start, 1).chain(before).find(|place| weight(service, pool.loads, *place) > 0)?;
    cursor.next = (place + 1) % count;
    cursor.last = service.reals.get(place as usize).and_then(|chosen| address(chosen, pool));
    Some(place)
}

/// The place of the first real server behind this address in the canonical order; beyond the end if it was the last.
#[cold]
fn first_behind(last: Option<TransportAddress>, service: &Service, pool: Pool<'_>) -> u32 {
    service.reals.partition_point(|candidate| address(candidate, pool) <= last) as u32
}

#[inline]
fn address(candidate: &Candidate, pool: Pool<'_>) -> Option<TransportAddress> {
    pool.reals.get(candidate.id.index())?.as_ref().map(|real| real.address)
}
