//! Round robin: each eligible server in turn.
//!
//! As `ip_vs_rr.c`: the turn goes on from the last choice, also when weights change; servers of weight 0 are
//! passed over.

use super::{Cursor, Loads, Service, weight};

pub(super) fn choose(service: &Service, loads: Loads<'_>, cursor: &mut Cursor) -> Option<u32> {
    let count = service.reals.len() as u32;
    cursor.version = service.version;
    for step in 0..count {
        let place = (cursor.next % count + step) % count;
        if weight(service, loads, place) > 0 {
            cursor.next = (place + 1) % count;
            return Some(place);
        }
    }
    None
}
