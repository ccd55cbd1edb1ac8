//! Stand-in addresses: put in the place of a VIP or a NAT real server, and that in theirs, for what the host asks through a VIP
//! ([`stand_in`](crate::dataplane::stand_in)).
//!
//! ```text
//!   host ── OWN:hport > STAND-IN:port ──► to   ── OWN:hport > VIP:port ──► one of the forwarding methods
//!   host ◄── STAND-IN:port > OWN:hport ── from ◄── VIP:port > OWN:hport ── real server
//! ```
//! Neither takes a hop off the TTL: on the way out the method does, and on the way back the packet is where it was going. Checksums are updated
//! (RFC 1624), as [`nat`](super::nat) does. What an ICMP error quotes is put back by [`quote`](super::quote).

use std::net::{Ipv4Addr, SocketAddrV4};

use super::Error;
use super::header::{Ipv4Window, split};
use crate::dataplane::service::Protocol;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{tcp, udp};

/// Replaces the destination address.
///
/// `l3` and `l4` are where the IPv4 and the transport header begin in `frame`.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
pub fn to(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, vip: Ipv4Addr) -> Result<(), Error> {
    let (mut ip, transport) = split::<Ipv4Window<'_>>(frame, l3, l4)?;
    let address = Delta::u32(ip.destination().to_bits(), vip.to_bits());
    cover(transport, protocol, address)?;
    ip.set_checksum(address.adjust(ip.checksum()));
    ip.set_destination(vip);
    Ok(())
}

/// Replaces the source address and port; of ICMP the address.
///
/// `l3` and `l4` are where the IPv4 and the transport header begin in `frame`.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold both headers.
pub fn from(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, new: SocketAddrV4) -> Result<(), Error> {
    let (mut ip, transport) = split::<Ipv4Window<'_>>(frame, l3, l4)?;
    let address = Delta::u32(ip.source().to_bits(), new.ip().to_bits());
    if protocol != Protocol::Icmp {
        cover(transport, protocol, address.and(change_of(transport, new.port())?))?;
        set_source_port(transport, new.port());
    }
    ip.set_checksum(address.adjust(ip.checksum()));
    ip.set_source(*new.ip());
    Ok(())
}

/// Returns how a new source port changes the words under a checksum. TCP and UDP have their ports in the same place.
fn change_of(transport: &[u8], port: u16) -> Result<Delta, Error> {
    let window = transport.first_chunk::<{ udp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    Ok(Delta::u16(udp::Packet::new_unchecked(window).source_port(), port))
}

fn set_source_port(transport: &mut [u8], port: u16) {
    if let Some(window) = transport.first_chunk_mut::<{ udp::HEADER_OCTETS }>() {
        udp::Packet::new_unchecked(window).set_source_port(port);
    }
}

/// Updates a transport checksum, where it covers addresses.
fn cover(transport: &mut [u8], protocol: Protocol, change: Delta) -> Result<(), Error> {
    match protocol {
        Protocol::Tcp => {
            let window = transport.first_chunk_mut::<{ tcp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut segment = tcp::Packet::new_unchecked(window);
            segment.set_checksum(change.adjust(segment.checksum()));
        }
        Protocol::Udp => {
            let window = transport.first_chunk_mut::<{ udp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut datagram = udp::Packet::new_unchecked(window);
            datagram.set_checksum(change.adjust_udp(datagram.checksum()));
        }
        Protocol::Icmp | Protocol::Sctp => {}
    }
    Ok(())
}
