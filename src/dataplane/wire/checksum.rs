//! The Internet checksum: whole (RFC 1071), incremental (RFC 1624), and UDP's rules about zero (RFC 768).
//!
//! # Byte order, once
//! The sum is over big-endian 16-bit words, and every `u16` that goes in or comes out here is such a word in host
//! order. Inside, [`Sum::of`] adds words as they lie in memory and swaps the folded result once, which RFC 1071 §2(B)
//! allows. Since 2^16 is 1 modulo 2^16 - 1, 32-bit words may be added as they are and folded at the end; 64-bit
//! accumulators take 2^32 of them before a carry could be lost.
//!
//! # The two zeros
//! One's complement has two: a folded sum is 0 only if every word added was 0, and 0xffff otherwise. Equation 3 of
//! RFC 1624, used here, keeps to that; equation 2 does not. What remains is that an incremental update cannot
//! tell that everything under the sum has *become* 0. No pseudo header and no IPv4 header is all zero; an ICMP echo
//! reply can be, and [`forward::echo`](crate::dataplane::forward::echo) takes care of it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Add;

/// A one's complement sum in the making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds up `octets` as 16-bit words; a last odd octet counts as if a zero octet followed (RFC 1071 §1).
    ///
    /// Sums of parts may be added together only if every part but the last has an even length.
    #[inline]
    pub fn of(octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            total += u64::from(u32::from_ne_bytes(last));
        }
        Self(u64::from(u16::from_be(fold(total))))
    }

    /// Adds up a window of fixed length, a multiple of 4: unrolled, for the packet path. As [`Sum::of`] otherwise.
    #[inline(always)]
    pub fn of_window<const N: usize>(octets: &[u8; N]) -> Self {
        const { assert!(N.is_multiple_of(4), "whole 32-bit words") }
        let total = octets.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        Self(u64::from(u16::from_be(fold(total))))
    }

    /// A single word.
    #[inline]
    pub const fn word(word: u16) -> Self {
        Self(word as u64)
    }

    /// The pseudo header of TCP and UDP over IPv4 (RFC 9293 §3.1, RFC 768). `octets` is the length of the transport
    /// header and its data.
    #[inline]
    pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, octets: u16) -> Self {
        let addresses = u64::from(source.to_bits()) + u64::from(destination.to_bits());
        Self(addresses + u64::from(protocol) + u64::from(octets))
    }

    /// The pseudo header of TCP, UDP and ICMPv6 over IPv6 (RFC 8200 §8.1). `octets` is the length of the upper-layer
    /// header and its data, and `protocol` the upper layer's, whatever extension headers come before it.
    #[inline]
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, octets: u32) -> Self {
        Self::of(&source.octets()) + Self::of(&destination.octets()) + Self(u64::from(protocol) + u64::from(octets))
    }

    /// Returns the 16-bit sum: 0xffff over anything that contains its own right checksum.
    #[inline]
    pub const fn fold(self) -> u16 {
        fold(self.0)
    }

    /// Returns the complement, which is what a checksum field holds.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }
}

impl Add for Sum {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// Tells whether `octets`, which include their checksum, add up.
#[inline]
pub fn verify(octets: &[u8]) -> bool {
    Sum::of(octets).fold() == 0xffff
}

/// Turns a computed UDP checksum into the one to send: 0 would mean "none", so 0xffff goes in its place (RFC 768).
#[inline]
pub const fn udp(computed: u16) -> u16 {
    if computed == 0 { 0xffff } else { computed }
}

/// How a checksum changes when some of the words under it do: the `~m + m'` of RFC 1624 equation 3, added up over all
/// of them. It depends on the words alone, so one delta serves every checksum that covers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Delta(u64);

impl Delta {
    /// An IPv4 TTL decreased by one. The TTL is the upper octet of its word, so that whatever the TTL was,
    /// `~m + m' = 0xffff - 0x0100`.
    pub const TTL_DECREMENT: Self = Self(0xfeff);

    /// A 16-bit word that changes.
    #[inline]
    pub const fn u16(old: u16, new: u16) -> Self {
        Self(!old as u64 + new as u64)
    }

    /// Two neighbouring 16-bit words that change, such as an IPv4 address. They must begin at an even place.
    #[inline]
    pub const fn u32(old: u32, new: u32) -> Self {
        Self(!old as u64 + new as u64)
    }

    /// Eight neighbouring 16-bit words that change, such as an IPv6 address, in host order. They must begin at an even place.
    #[inline]
    pub const fn u128(old: u128, new: u128) -> Self {
        let upper =
            Self::u32((old >> 96) as u32, (new >> 96) as u32).and(Self::u32((old >> 64) as u32, (new >> 64) as u32));
        upper.and(Self::u32((old >> 32) as u32, (new >> 32) as u32)).and(Self::u32(old as u32, new as u32))
    }

    /// Adds another change under the same checksum.
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Returns what `checksum` becomes: `~(~HC + ~m + m')`, RFC 1624 equation 3. A wrong checksum stays as wrong.
    #[inline]
    pub const fn adjust(self, checksum: u16) -> u16 {
        !fold(!checksum as u64 + self.0)
    }

    /// Returns what a UDP checksum becomes: an absent one (0) stays absent, a computed 0 is sent as 0xffff.
    #[inline]
    pub const fn adjust_udp(self, checksum: u16) -> u16 {
        if checksum == 0 { 0 } else { udp(self.adjust(checksum)) }
    }
}

/// Folds a sum of 16- or 32-bit words to 16 bits with end-around carry. Of a number plus itself with its halves swapped,
/// the upper half is the sum of the halves, and the lower half's overflow is the carry into it.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests;
