//! NAT: one side's address and port are replaced, and nothing else that the two ends see but the TTL.
//!
//! ```text
//!   client ── CIP:cport > VIP:vport ──► inbound  ── CIP:cport > RIP:rport ──► real server
//!   client ◄── VIP:vport > CIP:cport ── outbound ◄── RIP:rport > CIP:cport ── real server
//! ```
//! TCP's and UDP's two checksums are updated incrementally (RFC 1624): the change of the address counts in both, TTL only in the
//! header's, and the port only in the transport's. A checksum that was wrong stays wrong, for the other end to find.
//! IPv6's header has none; there ICMP's covers the addresses (RFC 4443 §2.3).
//!
//! A UDP checksum of 0 is none, and stays none. Over IPv6 only tunnels may send such datagrams (RFC 8200 §8.1, RFC 6935), and whoever
//! is not such a tunnel's end throws them away. Which port is one the real server knows, not its director: RFC 6936 §5 has
//! middleboxes forward both kinds. A sum computed here would hide what was damaged, and one that is updated as if it were there
//! would be wrong.
//!
//! Of a fragmented datagram the first fragment has the transport's header, and with it the checksum over all of them: what changes in
//! it is updated there. In the others, of whose transport header `l4` says 0 (as [`Parsed`](crate::dataplane::parse::Parsed)
//! does), the address changes and no more.
//!
//! SCTP's covers no address, so it changes with the port alone; and as no octet's share in a CRC is known without all
//! that follow, it is computed over the whole packet. RFC 9260 §6.8 has the receiver throw a packet with a wrong
//! CRC32c away, and a sum computed anew would hide from it what was damaged on the way here. So it is computed before the
//! change too, and the bits in which the packet's own differs from that are kept. IPVS does compute it anew, unseen.
//! Addresses within chunks (INIT's of a host with several, RFC 9260 §3.3.2.1) are left as they are, as IPVS does:
//! translated associations have one path.

use super::Error;
use super::header::{End, Header, Ipv4Window, Ipv6Window, header, split};
use crate::dataplane::address::{Family, TransportAddress};
use crate::dataplane::service::Protocol;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{ethernet, icmpv6, ipv4, ipv6, sctp, tcp, udp};

/// Sends a client's packet on to the real server `to`: destination address and port, TTL, checksums.
///
/// `l3` and `l4` are where the IP and the transport header begin in `frame`. The packet is of `to`'s family, and its TTL is not 0.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
#[inline(always)]
pub fn inbound(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, to: TransportAddress) -> Result<(), Error> {
    translate::<true, true>(frame, (l3, l4), protocol, to)
}

/// Sends a real server's packet on to the client, as coming from the service `from`: source address and port, TTL,
/// checksums.
///
/// `l3` and `l4` are where the IP and the transport header begin in `frame`. The packet is of `from`'s family, and its TTL is not 0.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
#[inline(always)]
pub fn outbound(
    frame: &mut [u8],
    l3: usize,
    l4: usize,
    protocol: Protocol,
    from: TransportAddress,
) -> Result<(), Error> {
    translate::<false, true>(frame, (l3, l4), protocol, from)
}

/// As [`inbound`], for a real server that is the host: the TTL stays.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
pub fn deliver(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, to: TransportAddress) -> Result<(), Error> {
    translate::<true, false>(frame, (l3, l4), protocol, to)
}

/// As [`outbound`], for a real server that is the host: the TTL stays.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
pub fn answer(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, from: TransportAddress) -> Result<(), Error> {
    translate::<false, false>(frame, (l3, l4), protocol, from)
}

/// Where the headers of nearly all IPv4 packets begin: no tag, no options. None of IPv6 begin there.
const USUAL: (usize, usize) = (ethernet::HEADER_OCTETS, ethernet::HEADER_OCTETS + ipv4::HEADER_OCTETS);
/// Where those of nearly all IPv6 packets begin: no tag, no extension headers.
const USUAL_V6: (usize, usize) = (ethernet::HEADER_OCTETS, ethernet::HEADER_OCTETS + ipv6::HEADER_OCTETS);

/// Replaces the destination if `INBOUND`, else the source; on its way further, if `HOP`.
#[inline(always)]
fn translate<const INBOUND: bool, const HOP: bool>(
    frame: &mut [u8],
    offsets: (usize, usize),
    protocol: Protocol,
    new: TransportAddress,
) -> Result<(), Error> {
    // The same twice, once with constants: they need one check of the frame's length instead of six.
    if offsets == USUAL {
        translate_at::<Ipv4Window<'_>, INBOUND, HOP>(frame, USUAL, protocol, new)
    } else {
        translate_anywhere::<INBOUND, HOP>(frame, offsets, protocol, new)
    }
}

#[inline(never)]
fn translate_anywhere<const INBOUND: bool, const HOP: bool>(
    frame: &mut [u8],
    offsets: (usize, usize),
    protocol: Protocol,
    new: TransportAddress,
) -> Result<(), Error> {
    match new.address.family() {
        Family::V6 if offsets == USUAL_V6 => {
            translate_at::<Ipv6Window<'_>, INBOUND, HOP>(frame, USUAL_V6, protocol, new)
        }
        Family::V6 => translate_elsewhere::<Ipv6Window<'_>, INBOUND, HOP>(frame, offsets, protocol, new),
        Family::V4 => translate_elsewhere::<Ipv4Window<'_>, INBOUND, HOP>(frame, offsets, protocol, new),
    }
}

#[cold]
fn translate_elsewhere<'a, H: Header<'a>, const INBOUND: bool, const HOP: bool>(
    frame: &'a mut [u8],
    offsets: (usize, usize),
    protocol: Protocol,
    new: TransportAddress,
) -> Result<(), Error> {
    let (l3, l4) = offsets;
    if l4 == 0 {
        let mut ip = header::<H>(frame, l3)?;
        let end = if INBOUND { End::Destination } else { End::Source };
        let change = ip.change(end, new.address);
        ip.readdress::<HOP>(end, new.address, change);
        return Ok(());
    }
    translate_at::<H, INBOUND, HOP>(frame, offsets, protocol, new)
}

#[inline(always)]
fn translate_at<'a, H: Header<'a>, const INBOUND: bool, const HOP: bool>(
    frame: &'a mut [u8],
    (l3, l4): (usize, usize),
    protocol: Protocol,
    new: TransportAddress,
) -> Result<(), Error> {
    let (mut ip, transport) = split::<H>(frame, l3, l4)?;
    let end = if INBOUND { End::Destination } else { End::Source };
    let address = ip.change(end, new.address);
    match protocol {
        Protocol::Tcp => {
            let window = transport.first_chunk_mut::<{ tcp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut segment = tcp::Packet::new_unchecked(window);
            let old = if INBOUND { segment.destination_port() } else { segment.source_port() };
            let delta = address.and(Delta::u16(old, new.port));
            segment.set_checksum(delta.adjust(segment.checksum()));
            if INBOUND { segment.set_destination_port(new.port) } else { segment.set_source_port(new.port) }
        }
        Protocol::Udp => {
            let window = transport.first_chunk_mut::<{ udp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut datagram = udp::Packet::new_unchecked(window);
            let old = if INBOUND { datagram.destination_port() } else { datagram.source_port() };
            let delta = address.and(Delta::u16(old, new.port));
            datagram.set_checksum(delta.adjust_udp(datagram.checksum()));
            if INBOUND { datagram.set_destination_port(new.port) } else { datagram.set_source_port(new.port) }
        }
        Protocol::Sctp => translate_sctp::<INBOUND>(transport, new.port)?,
        // An identifier is no port to translate.
        Protocol::Icmp if H::ICMP_COVERS_ADDRESSES => {
            let window = transport.first_chunk_mut::<{ icmpv6::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut message = icmpv6::Packet::new_unchecked(window);
            message.set_checksum(address.adjust(message.checksum()));
        }
        Protocol::Icmp => {}
    }
    ip.readdress::<HOP>(end, new.address, address);
    Ok(())
}

/// Replaces one port of the SCTP packet that is `octets`, and of its CRC32c the bits that this changes.
#[cold]
fn translate_sctp<const INBOUND: bool>(octets: &mut [u8], port: u16) -> Result<(), Error> {
    let mut packet = sctp::Packet::new_checked(octets).map_err(|_| Error::Truncated)?;
    let old = if INBOUND { packet.destination_port() } else { packet.source_port() };
    if old == port {
        return Ok(());
    }
    let wrong_bits = packet.checksum() ^ packet.expected_checksum();
    if INBOUND {
        packet.set_destination_port(port)
    } else {
        packet.set_source_port(port)
    }
    packet.set_checksum(packet.expected_checksum() ^ wrong_bits);
    Ok(())
}
