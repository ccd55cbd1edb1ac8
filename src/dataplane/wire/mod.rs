//! Wire formats: zero-copy views over the octets of each header, and the small typed meanings of a few of them.
//!
//! This room knows bytes and RFCs and nothing else of the director. As in smoltcp there are two layers:
//! - a `Packet<T: AsRef<[u8]>>` (for Ethernet, a `Frame<T>`) has one getter and one setter per field. Its offsets lie
//!   in one `mod field`. `new_checked` is for octets that somebody sent us, `new_unchecked` for octets we are writing;
//! - a `Repr` says what a header means, where that is small: [`arp`], [`ipv4`], [`ipv6`] and ICMP echo ([`icmp`]).
//!
//! Integers and addresses come out and go in in host order; network order exists only inside the views.
//!
//! A view over a fixed window, such as `ipv4::Packet<&[u8; 20]>`, reads each fixed field with one load and no bounds
//! check, because the length is part of the type. The packet path works on such windows.
//!
//! Where to start reading: [`checksum`], then [`ipv4`].

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod sctp;
pub mod tcp;
pub mod udp;

/// Why octets are not the header they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The buffer ends before the header does.
    Truncated,
    /// A length in the header contradicts the header itself or the buffer.
    Length,
    /// The version is another one.
    Version,
    /// The header is of a type that has no typed meaning here.
    Type,
}

/// Reads the big-endian 16-bit integer at `at`.
#[inline(always)]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array_at(bytes, at))
}

/// Reads the big-endian 32-bit integer at `at`.
#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

/// Reads the `N` octets at `at`.
#[inline(always)]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Writes `value` big-endian at `at`.
#[inline(always)]
fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    put(bytes, at, &value.to_be_bytes());
}

/// Writes `value` big-endian at `at`.
#[inline(always)]
fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_be_bytes());
}

/// Writes `octets` at `at`.
#[inline(always)]
fn put(bytes: &mut [u8], at: usize, octets: &[u8]) {
    bytes[at..at + octets.len()].copy_from_slice(octets);
}
