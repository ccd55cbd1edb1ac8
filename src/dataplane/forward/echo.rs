//! The director's answer to an ICMP echo request for one of its addresses (RFC 792, RFC 1122 §3.2.2.6; RFC 4443 §4.2), in place.
//!
//! IPv4's identification stays: it was unique from the asker to us, and so it is on the way back. Data and its length
//! come back as they are. IP options do not: source routes would have to be turned around and stamps added, so they
//! are overwritten with "end of options". Nor do IPv6's extension headers: they are taken out.
//!
//! ICMPv6's checksum covers the addresses (RFC 4443 §2.3), whose sum is the same when they are swapped: so only the type
//! changes it, in either family.

use super::Error;
use super::header::{Ipv6Window, header};
use crate::dataplane::address::Family;
use crate::dataplane::port::Frame;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, icmp, icmpv6, ipv4, ipv6};

/// Hops that an answer of the director's own may take (RFC 1122 §3.2.1.7 asks for enough; IANA recommends 64).
pub const TTL: u8 = 64;

/// Turns the echo request in `frame` into its reply: addresses of both layers swapped, type, TTL 64, checksums.
///
/// `l3` and `l4` are where the IP header and the ICMP message begin in `frame`; its checksum has been verified.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold the headers.
pub fn reply<F: Frame>(frame: &mut F, l3: usize, l4: usize, family: Family) -> Result<(), Error> {
    let octets = frame.bytes_mut();
    if octets.len() < l4.checked_add(icmp::HEADER_OCTETS).ok_or(Error::Truncated)? || l3 < ethernet::HEADER_OCTETS {
        return Err(Error::Truncated);
    }
    let (front, message) = octets.split_at_mut_checked(l4).ok_or(Error::Truncated)?;
    match family {
        Family::V4 => turn_v4(front.get_mut(l3..).ok_or(Error::Truncated)?)?,
        Family::V6 => turn_v6(front, l3)?,
    }
    let link = front.first_chunk_mut::<{ ethernet::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let mut link = ethernet::Frame::new_unchecked(link);
    let (destination, source) = (link.destination(), link.source());
    link.set_destination(source);
    link.set_source(destination);
    turn_message(message.first_chunk_mut().ok_or(Error::Truncated)?, family);

    let extensions = match family {
        Family::V4 => 0,
        Family::V6 => l4 - l3 - ipv6::HEADER_OCTETS,
    };
    if extensions != 0 {
        octets.copy_within(..l3 + ipv6::HEADER_OCTETS, extensions);
        frame.trim_front(extensions).ok_or(Error::Truncated)?;
    }
    Ok(())
}

/// Turns an IPv4 header around, options and all.
fn turn_v4(packet: &mut [u8]) -> Result<(), Error> {
    let mut ip = ipv4::Packet::new_unchecked(packet);
    ip.check_header().map_err(|_| Error::Truncated)?;
    let (source, destination) = (ip.source(), ip.destination());
    ip.set_source(destination);
    ip.set_destination(source);
    ip.set_ttl(TTL);
    ip.options_mut().fill(0);
    ip.fill_checksum();
    Ok(())
}

/// Turns the IPv6 header that begins at `l3` around. The extension headers that follow it, to the end of `front`, no longer count.
fn turn_v6(front: &mut [u8], l3: usize) -> Result<(), Error> {
    let behind = front.len();
    let mut ip = header::<Ipv6Window<'_>>(front, l3)?;
    let extensions = (behind - l3 - ipv6::HEADER_OCTETS) as u16;
    let payload_octets = ip.payload_octets().checked_sub(extensions).ok_or(Error::Truncated)?;
    let (source, destination) = (ip.source(), ip.destination());
    ip.set_source(destination);
    ip.set_destination(source);
    ip.set_hop_limit(TTL);
    ip.set_payload_octets(payload_octets);
    ip.set_next_header(Protocol::Icmpv6);
    Ok(())
}

/// Makes a request's header the reply's. Both families have type and checksum in the same places.
fn turn_message(header: &mut [u8; icmp::HEADER_OCTETS], family: Family) {
    let (request, reply) = match family {
        Family::V4 => (icmp::Type::EchoRequest.into(), icmp::Type::EchoReply.into()),
        Family::V6 => (icmpv6::Type::EchoRequest.into(), icmpv6::Type::EchoReply.into()),
    };
    let mut message = icmp::Packet::new_unchecked(header);
    let word = |kind: u8, code: u8| u16::from(kind) << 8 | u16::from(code);
    let code = message.code();
    let checksum = Delta::u16(word(request, code), word(reply, code)).adjust(message.checksum());
    message.set_kind(reply.into());
    // All of an IPv4 reply may be zero, and then 0 would be the wrong one of the two zeros; 0xffff is right in any case.
    message.set_checksum(if checksum == 0 { 0xffff } else { checksum });
}
