//! The director's answer to an ICMP echo request for one of its addresses (RFC 792, RFC 1122 §3.2.2.6), in place.
//!
//! The identification stays: it was unique from the asker to us, and so it is on the way back. Data and its length
//! come back as they are. IP options do not: source routes would have to be turned around and stamps added, so they
//! are overwritten with "end of options".

use super::Error;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{ethernet, icmp, ipv4};

/// Hops that an answer of the director's own may take (RFC 1122 §3.2.1.7 asks for enough; IANA recommends 64).
pub const TTL: u8 = 64;

/// Turns the echo request in `frame` into its reply: addresses of both layers swapped, type 0, TTL 64, checksums.
///
/// `l3` and `l4` are where the IPv4 header and the ICMP message begin in `frame`; its checksum has been verified.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold the headers.
#[inline]
pub fn reply(frame: &mut [u8], l3: usize, l4: usize) -> Result<(), Error> {
    let (front, message) = frame.split_at_mut_checked(l4).ok_or(Error::Truncated)?;
    let (link, packet) = front.split_at_mut_checked(l3).ok_or(Error::Truncated)?;
    let link = link.first_chunk_mut::<{ ethernet::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let message = message.first_chunk_mut::<{ icmp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let mut ip = ipv4::Packet::new_unchecked(packet);
    ip.check_header().map_err(|_| Error::Truncated)?;

    let mut link = ethernet::Frame::new_unchecked(link);
    let (destination, source) = (link.destination(), link.source());
    link.set_destination(source);
    link.set_source(destination);

    let (source, destination) = (ip.source(), ip.destination());
    ip.set_source(destination);
    ip.set_destination(source);
    ip.set_ttl(TTL);
    ip.options_mut().fill(0);
    ip.fill_checksum();

    let mut message = icmp::Packet::new_unchecked(message);
    let code = u16::from(message.code());
    let request = u16::from(u8::from(icmp::Type::EchoRequest)) << 8 | code;
    let checksum = Delta::u16(request, code).adjust(message.checksum());
    message.set_kind(icmp::Type::EchoReply);
    // All of a reply may be zero, and then 0 would be the wrong one of the two zeros; 0xffff is right in any case.
    message.set_checksum(if checksum == 0 { 0xffff } else { checksum });
    Ok(())
}
