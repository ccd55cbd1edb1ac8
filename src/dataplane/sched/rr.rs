//! Round robin: each eligible server in turn.
//!
//! As `ip_vs_rr.c`: the turn goes on from the last choice, also when weights change; servers of weight 0 are
//! passed over, however many there are in a row.

use super::heights::Heights;
use super::{Cursor, Loads, Service, weight};

pub(super) fn choose(service: &Service, heights: &Heights, loads: Loads<'_>, cursor: &mut Cursor) -> Option<u32> {
    let count = service.reals.len() as u32;
    let start = cursor.next.checked_rem(count)?;
    cursor.version = service.version;
    let before = heights.places(0, 1).take_while(|place| *place < start);
    let place = heights.places(start, 1).chain(before).find(|place| weight(service, loads, *place) > 0)?;
    cursor.next = (place + 1) % count;
    Some(place)
}
