//! Direct routing: the packet stays as it is, VIP and all, but for one hop of its TTL. What leads it to its real
//! server is the Ethernet destination, which [`link`](super::link) writes.

use super::Error;
use super::header::{Header, Ipv4Window, Ipv6Window, header};
use crate::dataplane::address::Family;

/// Takes one hop off the TTL, or hop limit, of the packet that begins at `l3` in `frame`. It must not be 0.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold the header.
#[inline(always)]
pub fn hop(frame: &mut [u8], l3: usize, family: Family) -> Result<(), Error> {
    match family {
        Family::V4 => header::<Ipv4Window<'_>>(frame, l3)?.hop(),
        Family::V6 => header::<Ipv6Window<'_>>(frame, l3)?.hop(),
    }
    Ok(())
}
