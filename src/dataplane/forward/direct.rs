//! Direct routing: the packet stays as it is, VIP and all, but for one hop of its TTL. What leads it to its real
//! server is the Ethernet destination, which [`link`](super::link) writes.

use super::{Error, header};
use crate::dataplane::wire::checksum::Delta;

/// Takes one hop off the TTL of the IPv4 packet that begins at `l3` in `frame`. The TTL must not be 0.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold the header.
#[inline(always)]
pub fn hop(frame: &mut [u8], l3: usize) -> Result<(), Error> {
    let mut ip = header(frame, l3)?;
    ip.set_checksum(Delta::TTL_DECREMENT.adjust(ip.checksum()));
    ip.set_ttl(ip.ttl().wrapping_sub(1));
    Ok(())
}
