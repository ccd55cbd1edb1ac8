//! The tunnel: IP inside IP, of either family in either (RFC 2003, RFC 4213, RFC 2473).
//!
//! ```text
//!                                       +----------+----------+----------+------
//!                                       | Ethernet | IP       | TCP, UDP | data
//!                                       +----------+----------+----------+------
//!                 +----------+----------+----------+----------+----------+------
//!                 | Ethernet | outer IP | IP, as it came      | TCP, UDP | data
//!                 |          |          | but for one hop     |          |
//!                 +----------+----------+----------+----------+----------+------
//! octets, 4in4     0 .. 14    14 .. 34   34 .. 54
//!         6in4     0 .. 14    14 .. 34   34 .. 74
//!         4in6     0 .. 14    14 .. 54   54 .. 74
//!         6in6     0 .. 14    14 .. 54   54 .. 94
//! ```
//! The EtherType is the outer header's.
//!
//! | outer field | value | source |
//! |---|---|---|
//! | TOS, traffic class | the inner one's, ECN included | RFC 2003 §3.1, RFC 6040 §4.1 |
//! | TTL, hop limit | the inner one's after the hop, as IPVS's tunnel transmit does | "appropriate for delivery" |
//! | protocol, next header | 4 or 41, for the inner packet's family | |
//! | IPv4's identification | the caller's, unique | |
//! | DF of 4in4 | the inner one's: with it set path MTU discovery works through the tunnel | RFC 2003 §3.1 |
//! | DF of 6in4 | set above 1,280 octets | RFC 4213 §3.2.2 |
//! | IPv6's flow label | the caller's, a hash of the inner packet's flow | RFC 6438 §2.1 |
//!
//! An IPv6 packet of 1,280 octets is what its sender makes at the least (RFC 8200 §5), and must get through: so routers of an IPv4 tunnel may
//! fragment it. A larger one they may not, and its sender hears of the tunnel's MTU. IPVS clears DF of all.
//!
//! Between one director and one real server all outer packets have the same addresses, and routers with several ways
//! look no deeper. The flow label is what they can tell flows apart by; IPVS sends 0.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Error;
use crate::dataplane::address::Family;
use crate::dataplane::port::Frame;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::ethernet::EtherType;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, ipv4, ipv6};

/// The outer header in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// An IPv4 header.
    V4 {
        /// The director.
        source: Ipv4Addr,
        /// The real server.
        destination: Ipv4Addr,
        /// By which fragments find each other: unique among packets on their way.
        identification: u16,
    },
    /// An IPv6 header.
    V6 {
        /// The director.
        source: Ipv6Addr,
        /// The real server.
        destination: Ipv6Addr,
        /// What tells the inner packet's flow; the lower 20 bits count.
        flow_label: u32,
    },
}

impl Outer {
    /// Its family.
    #[inline(always)]
    const fn family(&self) -> Family {
        match self {
            Self::V4 { .. } => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }
}

/// Where the packet begins, in octets from the start of the untagged frame.
const L3: usize = ethernet::HEADER_OCTETS;

/// Lengths of headers without options or extension headers, in octets.
const V4: usize = ipv4::HEADER_OCTETS;
const V6: usize = ipv6::HEADER_OCTETS;

/// Returns the largest packet that fits a tunnel with outer headers of this family over a link with `mtu`, in octets: what
/// "fragmentation needed" tells.
#[inline]
pub const fn inner_mtu(mtu: u16, outer: Family) -> u16 {
    let header = match outer {
        Family::V4 => V4,
        Family::V6 => V6,
    };
    mtu.saturating_sub(header as u16)
}

/// What the outer header takes from the inner one.
#[derive(Clone, Copy)]
struct Inner {
    class: u8,
    dont_fragment: bool,
    /// After the hop is taken.
    hops: u8,
    /// The inner header's, after the hop is taken; none of IPv6.
    checksum: u16,
    protocol: Protocol,
    /// All of the packet.
    octets: usize,
}

impl Inner {
    /// Reads it from the fixed header of a packet; `None` if that is not there.
    #[inline(always)]
    fn of(packet: &[u8], family: Family) -> Option<Self> {
        Some(match family {
            Family::V4 => {
                let ip = ipv4::Packet::new_unchecked(packet.first_chunk::<V4>()?);
                Self {
                    class: ip.tos(),
                    dont_fragment: ip.dont_fragment(),
                    hops: ip.ttl().wrapping_sub(1),
                    checksum: Delta::TTL_DECREMENT.adjust(ip.checksum()),
                    protocol: Protocol::Ipv4,
                    octets: usize::from(ip.total_octets()),
                }
            }
            Family::V6 => {
                let ip = ipv6::Packet::new_unchecked(packet.first_chunk::<V6>()?);
                Self {
                    class: ip.traffic_class(),
                    dont_fragment: ip.total_octets() > usize::from(ipv6::MIN_MTU),
                    hops: ip.hop_limit().wrapping_sub(1),
                    checksum: 0,
                    protocol: Protocol::Ipv6,
                    octets: ip.total_octets(),
                }
            }
        })
    }
}

/// Takes one hop off the TTL of the packet in `frame`, which must not be 0, and puts an outer header before it. The
/// Ethernet header moves to the new front. `inner` is the packet's family.
///
/// The frame is untagged and ends with its packet: padding is not for the tunnel.
///
/// # Errors
/// [`Error::NoHeadroom`] without 20 octets in front, or 40 for IPv6, [`Error::TooBig`] if the outer packet would have more than
/// 65,535 octets, or 65,575 with IPv6's header, [`Error::Truncated`] if the frame does not hold the headers.
#[inline(always)]
pub fn encapsulate<F: Frame>(frame: &mut F, inner: Family, outer: Outer) -> Result<(), Error> {
    match (inner, outer) {
        (Family::V4, Outer::V4 { .. }) => wrap::<F, { L3 + V4 }, { L3 + V4 + V4 }>(frame, Family::V4, outer),
        _ => wrap_others(frame, inner, outer),
    }
}

#[inline(never)]
fn wrap_others<F: Frame>(frame: &mut F, inner: Family, outer: Outer) -> Result<(), Error> {
    match (inner, outer.family()) {
        (Family::V4, Family::V4) => wrap::<F, { L3 + V4 }, { L3 + V4 + V4 }>(frame, inner, outer),
        (Family::V4, Family::V6) => wrap::<F, { L3 + V4 }, { L3 + V6 + V4 }>(frame, inner, outer),
        (Family::V6, Family::V4) => wrap::<F, { L3 + V6 }, { L3 + V4 + V6 }>(frame, inner, outer),
        (Family::V6, Family::V6) => wrap::<F, { L3 + V6 }, { L3 + V6 + V6 }>(frame, inner, outer),
    }
}

/// Encapsulates with the lengths of all headers as constants, which need few checks: up to the inner one's end as it came in, and as it
/// goes out.
#[inline(always)]
fn wrap<F: Frame, const BEFORE: usize, const AFTER: usize>(
    frame: &mut F,
    family: Family,
    outer: Outer,
) -> Result<(), Error> {
    let added = AFTER - BEFORE;
    let before = frame.bytes().first_chunk::<BEFORE>().ok_or(Error::Truncated)?;
    let inner = Inner::of(&before[L3..], family).ok_or(Error::Truncated)?;
    let longest = match outer.family() {
        Family::V4 => usize::from(u16::MAX) - added,
        Family::V6 => usize::from(u16::MAX),
    };
    if inner.octets > longest {
        return Err(Error::TooBig);
    }
    let mut link = [0; L3];
    link.copy_from_slice(&before[..L3]);

    let octets = frame.prepend(added).ok_or(Error::NoHeadroom)?;
    let octets = octets.first_chunk_mut::<AFTER>().ok_or(Error::Truncated)?;
    octets[..L3].copy_from_slice(&link);
    if outer.family() != family {
        ethernet::Frame::new_unchecked(&mut octets[..L3]).set_ethertype(match outer {
            Outer::V4 { .. } => EtherType::Ipv4,
            Outer::V6 { .. } => EtherType::Ipv6,
        });
    }
    emit(outer, inner, &mut octets[L3..L3 + added]);
    match family {
        Family::V4 => {
            let mut ip = ipv4::Packet::new_unchecked(&mut octets[L3 + added..]);
            ip.set_checksum(inner.checksum);
            ip.set_ttl(inner.hops);
        }
        Family::V6 => ipv6::Packet::new_unchecked(&mut octets[L3 + added..]).set_hop_limit(inner.hops),
    }
    Ok(())
}

/// Writes an outer header.
#[inline(always)]
fn emit(outer: Outer, inner: Inner, buffer: &mut [u8]) {
    let payload_octets = inner.octets as u16;
    match outer {
        Outer::V4 { source, destination, identification } => ipv4::Repr {
            tos: inner.class,
            identification,
            dont_fragment: inner.dont_fragment,
            ttl: inner.hops,
            protocol: inner.protocol,
            source,
            destination,
            payload_octets,
        }
        .emit(&mut ipv4::Packet::new_unchecked(buffer)),
        Outer::V6 { source, destination, flow_label } => ipv6::Repr {
            traffic_class: inner.class,
            flow_label,
            hop_limit: inner.hops,
            next_header: inner.protocol,
            source,
            destination,
            payload_octets,
        }
        .emit(&mut ipv6::Packet::new_unchecked(buffer)),
    }
}
