//! Stand-in addresses: put in the place of a VIP or a NAT real server, and that in theirs, for what the host asks through a VIP
//! ([`stand_in`](crate::dataplane::stand_in)).
//!
//! ```text
//!   host ── OWN:hport > STAND-IN:port ──► to   ── OWN:hport > VIP:port ──► one of the forwarding methods
//!   host ◄── STAND-IN:port > OWN:hport ── from ◄── VIP:port > OWN:hport ── real server
//! ```
//! Neither takes a hop off the TTL: on the way out the method does, and on the way back the packet is where it was going. Checksums are updated
//! (RFC 1624), as [`nat`](super::nat) does. In an ICMP error the addresses that it quotes are put back too, and the sums that
//! cover them, as far as they are quoted (RFC 5508 §4.2).

use std::net::{Ipv4Addr, SocketAddrV4};

use super::Error;
use super::header::{End, Ipv4Window, split};
use crate::dataplane::service::Protocol;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{icmp, ip, ipv4, tcp, udp};

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
        cover(transport, protocol, address.and(change_of(transport, End::Source, new.port())?))?;
        set_port(transport, End::Source, new.port());
    }
    ip.set_checksum(address.adjust(ip.checksum()));
    ip.set_source(*new.ip());
    Ok(())
}

/// The packet that an ICMP error is about, as far as it quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where its IPv4 header begins in the frame, and where its transport header does.
    offsets: (usize, usize),
    /// Its protocol.
    pub protocol: Protocol,
    /// Whose it was: address in host order, and port; of an echo request the identifier.
    pub source: (u32, u16),
    /// Whom it was for; of an echo request port 0.
    pub destination: (u32, u16),
}

impl Quote {
    /// Reads what the ICMP error that begins at `l4` in `frame` quotes; `None` if that is not enough to say whose packet it was.
    pub fn of(frame: &[u8], l4: usize) -> Option<Self> {
        let start = l4 + icmp::HEADER_OCTETS;
        let header = ipv4::Packet::new_unchecked(frame.get(start..)?);
        header.check_header().ok()?;
        if header.version() != 4 || header.fragment_offset() != 0 {
            return None;
        }
        let offsets = (start, start + header.header_octets());
        let (source, destination) = (header.source().to_bits(), header.destination().to_bits());
        // RFC 792: so much of it at least.
        let transport = frame.get(offsets.1..)?.first_chunk::<8>()?;
        let (protocol, ports) = match header.protocol() {
            ip::Protocol::Icmp => {
                let message = icmp::Packet::new_unchecked(transport);
                (message.kind() == icmp::Type::EchoRequest).then_some((Protocol::Icmp, (message.identifier(), 0)))?
            }
            protocol => {
                let protocol = match protocol {
                    ip::Protocol::Tcp => Protocol::Tcp,
                    ip::Protocol::Udp => Protocol::Udp,
                    _ => return None,
                };
                let ports = udp::Packet::new_unchecked(transport);
                (protocol, (ports.source_port(), ports.destination_port()))
            }
        };
        Some(Self { offsets, protocol, source: (source, ports.0), destination: (destination, ports.1) })
    }
}

/// Replaces the destination that an ICMP error quotes, and with `source` its own source.
///
/// `l3` and `l4` are where the IPv4 header and the ICMP message begin in `frame`.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold what it held when `quote` was read.
pub fn from_error(
    frame: &mut [u8],
    (l3, l4): (usize, usize),
    quote: &Quote,
    source: Option<Ipv4Addr>,
    destination: SocketAddrV4,
) -> Result<(), Error> {
    let (inner, transport) = quote.offsets;
    split::<Ipv4Window<'_>>(frame, l3, l4)?;
    if inner < l4 + icmp::HEADER_OCTETS {
        return Err(Error::Truncated);
    }
    let changed = requote(frame, inner, transport, quote.protocol, destination)?;
    let (mut ip, message) = split::<Ipv4Window<'_>>(frame, l3, l4)?;
    let mut message = icmp::Packet::new_unchecked(message);
    message.set_checksum(changed.adjust(message.checksum()));
    if let Some(source) = source {
        ip.set_checksum(Delta::u32(ip.source().to_bits(), source.to_bits()).adjust(ip.checksum()));
        ip.set_source(source);
    }
    Ok(())
}

/// Replaces the destination of a quoted packet, and returns how all the words change that the error's checksum covers.
fn requote(frame: &mut [u8], l3: usize, l4: usize, protocol: Protocol, new: SocketAddrV4) -> Result<Delta, Error> {
    let (mut ip, transport) = split::<Ipv4Window<'_>>(frame, l3, l4)?;
    let address = Delta::u32(ip.destination().to_bits(), new.ip().to_bits());
    let mut changed = address;
    if protocol != Protocol::Icmp {
        let port = change_of(transport, End::Destination, new.port())?;
        changed = changed.and(port);
        // A segment is seldom quoted as far as its checksum.
        if let Ok(Some((old, new))) = cover(transport, protocol, address.and(port)) {
            changed = changed.and(Delta::u16(old, new));
        }
        set_port(transport, End::Destination, new.port());
    }
    let (old, adjusted) = (ip.checksum(), address.adjust(ip.checksum()));
    ip.set_checksum(adjusted);
    ip.set_destination(*new.ip());
    Ok(changed.and(Delta::u16(old, adjusted)))
}

/// Returns how a new port changes the words under a checksum. TCP and UDP have their ports in the same place.
fn change_of(transport: &[u8], end: End, port: u16) -> Result<Delta, Error> {
    let window = transport.first_chunk::<{ udp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    let ports = udp::Packet::new_unchecked(window);
    let old = match end {
        End::Source => ports.source_port(),
        End::Destination => ports.destination_port(),
    };
    Ok(Delta::u16(old, port))
}

fn set_port(transport: &mut [u8], end: End, port: u16) {
    let Some(window) = transport.first_chunk_mut::<{ udp::HEADER_OCTETS }>() else { return };
    let mut ports = udp::Packet::new_unchecked(window);
    match end {
        End::Source => ports.set_source_port(port),
        End::Destination => ports.set_destination_port(port),
    }
}

/// Updates a transport checksum, and returns what it was and is; `None` where it covers no addresses.
fn cover(transport: &mut [u8], protocol: Protocol, change: Delta) -> Result<Option<(u16, u16)>, Error> {
    match protocol {
        Protocol::Tcp => {
            let window = transport.first_chunk_mut::<{ tcp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut segment = tcp::Packet::new_unchecked(window);
            let old = segment.checksum();
            segment.set_checksum(change.adjust(old));
            Ok(Some((old, segment.checksum())))
        }
        Protocol::Udp => {
            let window = transport.first_chunk_mut::<{ udp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
            let mut datagram = udp::Packet::new_unchecked(window);
            let old = datagram.checksum();
            datagram.set_checksum(change.adjust_udp(old));
            Ok(Some((old, datagram.checksum())))
        }
        Protocol::Icmp | Protocol::Sctp => Ok(None),
    }
}
