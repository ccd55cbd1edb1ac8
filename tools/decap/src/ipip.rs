//! The outer header comes off: RFC 2003, 2473 and 4213 for the packet, RFC 6040 §4.2 for the congestion mark.
//!
//! An IPv4 raw socket delivers the outer header with the packet, and [`outer_ipv4`] reads it. An IPv6 raw socket delivers
//! only what follows its headers; the rest of [`Outer`] comes beside it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

/// The least octets of an IPv4 header (RFC 791 §3.1).
const IPV4_HEADER: usize = 20;

/// The octets of an IPv6 header (RFC 8200 §3).
const IPV6_HEADER: usize = 40;

/// Of the two headers of a packet, each may be of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns the protocol (next header) by which an outer header announces an inner packet of this family.
    pub fn protocol(self) -> u8 {
        match self {
            Family::V4 => 4,
            Family::V6 => 41,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// What matters of an outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Who sent the packet into the tunnel.
    pub source: IpAddr,
    /// The congestion mark (RFC 3168 §5), 0 to 3.
    pub mark: u8,
}

/// Why a packet was not taken out of its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The outer header is cut short, not IPv4, announces something else, or its lengths disagree.
    Outer,
    /// The inner packet is cut short, of another family than was announced, or its lengths disagree.
    Inner,
    /// Not sent by one of the directors that were named.
    Stranger,
    /// The tunnel marked congestion and the inner packet's sender does not understand the mark.
    Congestion,
}

/// Reads the outer IPv4 header at the start of `packet`, which announces a packet of `inner`, and finds what is inside.
///
/// # Errors
/// [`Refusal::Outer`] for anything else.
pub fn outer_ipv4(packet: &[u8], inner: Family) -> Result<(Outer, Range<usize>), Refusal> {
    let (header, total) = ipv4_lengths(packet).ok_or(Refusal::Outer)?;
    if packet[9] != inner.protocol() {
        return Err(Refusal::Outer);
    }
    let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]).into();
    Ok((Outer { source, mark: packet[1] & 3 }, header..total))
}

/// Returns the packet of `inner` at the start of `payload`, without padding that followed it, ready to be written.
///
/// `directors` are the outer sources that are accepted; none named, every one is.
///
/// # Errors
/// A [`Refusal`] for anything that is not one whole packet of that family from one of them.
pub fn take_out<'a>(
    outer: Outer,
    inner: Family,
    payload: &'a mut [u8],
    directors: &[IpAddr],
) -> Result<&'a [u8], Refusal> {
    if !directors.is_empty() && !directors.contains(&outer.source) {
        return Err(Refusal::Stranger);
    }
    let total = match inner {
        Family::V4 => ipv4_lengths(payload).map(|(_, total)| total),
        Family::V6 => ipv6_total(payload),
    };
    let packet = &mut payload[..total.ok_or(Refusal::Inner)?];
    carry_mark(outer.mark, inner, packet)?;
    Ok(packet)
}

/// Reads header and total length of the IPv4 packet at the start of `bytes`; `None` if they cannot be true.
fn ipv4_lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = *bytes.first()?;
    let header = usize::from(first & 15) * 4;
    let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    (first >> 4 == 4 && header >= IPV4_HEADER && header <= total && total <= bytes.len()).then_some((header, total))
}

/// Reads the length of the IPv6 packet at the start of `bytes`, its header included; `None` if it cannot be true.
fn ipv6_total(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let total = IPV6_HEADER + usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
    (first >> 4 == 6 && total <= bytes.len()).then_some(total)
}

/// Copies "congestion experienced" (3) from the outer header to the inner one, as RFC 6040 figure 4 has it.
fn carry_mark(outer: u8, family: Family, inner: &mut [u8]) -> Result<(), Refusal> {
    let found = match family {
        Family::V4 => inner[1] & 3,
        Family::V6 => inner[1] >> 4 & 3,
    };
    match (outer, found, family) {
        (3, 0, _) => Err(Refusal::Congestion),
        (3, 1 | 2, Family::V4) => {
            let old = u16::from_be_bytes([inner[0], inner[1]]);
            inner[1] |= 3;
            let new = u16::from_be_bytes([inner[0], inner[1]]);
            let sum = updated_sum(u16::from_be_bytes([inner[10], inner[11]]), old, new);
            inner[10..12].copy_from_slice(&sum.to_be_bytes());
            Ok(())
        }
        (3, 1 | 2, Family::V6) => {
            inner[1] |= 3 << 4;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// RFC 1624 equation 3: the checksum after one 16-bit field went from `old` to `new`.
fn updated_sum(sum: u16, old: u16, new: u16) -> u16 {
    let total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    let folded = (total & 0xffff) + (total >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests;
