//! The tunnel: IPv4 inside IPv4 (RFC 2003).
//!
//! ```text
//!                                  +----------+----------+----------+------
//!                                  | Ethernet | IPv4     | TCP, UDP | data
//!                                  +----------+----------+----------+------
//!            +----------+----------+----------+----------+----------+------
//!            | Ethernet | outer    | IPv4, as it came    | TCP, UDP | data
//!            |          | IPv4     | but for one hop     |          |
//!            +----------+----------+----------+----------+----------+------
//! ```
//! | outer field | value | RFC 2003 §3.1 |
//! |---|---|---|
//! | TOS | the inner one's, ECN included | copied |
//! | identification | the caller's, unique | |
//! | DF | the inner one's | copied: with it set path MTU discovery works through the tunnel |
//! | TTL | the inner one's after the hop, as IPVS's tunnel transmit does | "appropriate for delivery" |
//! | protocol | 4 | |

use std::net::Ipv4Addr;

use super::Error;
use crate::dataplane::port::Frame;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, ipv4};

/// What the tunnel adds to a packet, in octets.
pub const OVERHEAD: u16 = ipv4::HEADER_OCTETS as u16;

/// Where the packet begins, in octets from the start of the untagged frame.
const L3: usize = ethernet::HEADER_OCTETS;
/// Where it begins once it is the inner packet.
const INNER: usize = L3 + ipv4::HEADER_OCTETS;
/// Where its fixed header then ends.
const INNER_END: usize = INNER + ipv4::HEADER_OCTETS;

/// Returns the largest packet that fits the tunnel over a link with `mtu`, in octets: what "fragmentation needed" tells.
#[inline]
pub const fn inner_mtu(mtu: u16) -> u16 {
    mtu.saturating_sub(OVERHEAD)
}

/// Takes one hop off the TTL of the packet in `frame`, which must not be 0, and puts an outer header from `source`
/// (the director) to `destination` (the real server) before it. The Ethernet header moves to the new front.
///
/// The frame is untagged and ends with its packet: padding is not for the tunnel.
///
/// # Errors
/// [`Error::NoHeadroom`] without 20 octets in front, [`Error::TooBig`] above 65,515 octets, [`Error::Truncated`] if the
/// frame does not hold the headers.
#[inline]
pub fn encapsulate<F: Frame>(
    frame: &mut F,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    identification: u16,
) -> Result<(), Error> {
    let before = frame.bytes().first_chunk::<{ L3 + ipv4::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let inner = ipv4::Packet::new_unchecked(&before[L3..]);
    let payload_octets = inner.total_octets();
    if payload_octets > u16::MAX - OVERHEAD {
        return Err(Error::TooBig);
    }
    let outer = ipv4::Repr {
        tos: inner.tos(),
        identification,
        dont_fragment: inner.dont_fragment(),
        ttl: inner.ttl().wrapping_sub(1),
        protocol: Protocol::Ipv4,
        source,
        destination,
        payload_octets,
    };
    let inner_checksum = Delta::TTL_DECREMENT.adjust(inner.checksum());
    let mut link = [0; L3];
    link.copy_from_slice(&before[..L3]);

    let octets = frame.prepend(ipv4::HEADER_OCTETS).ok_or(Error::NoHeadroom)?;
    let octets = octets.first_chunk_mut::<INNER_END>().ok_or(Error::Truncated)?;
    octets[..L3].copy_from_slice(&link);
    outer.emit(&mut ipv4::Packet::new_unchecked(&mut octets[L3..INNER]));
    let mut inner = ipv4::Packet::new_unchecked(&mut octets[INNER..]);
    inner.set_checksum(inner_checksum);
    inner.set_ttl(outer.ttl);
    Ok(())
}
