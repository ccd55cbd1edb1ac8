//! The last rewrite of every frame: from whom and to whom on the link.

use super::Error;
use crate::dataplane::wire::ethernet;

/// Writes the Ethernet addresses of `frame`.
///
/// # Errors
/// [`Error::Truncated`] below 14 octets.
#[inline(always)]
pub fn readdress(frame: &mut [u8], destination: ethernet::Address, source: ethernet::Address) -> Result<(), Error> {
    let window = frame.first_chunk_mut::<{ ethernet::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let mut header = ethernet::Frame::new_unchecked(window);
    header.set_destination(destination);
    header.set_source(source);
    Ok(())
}
