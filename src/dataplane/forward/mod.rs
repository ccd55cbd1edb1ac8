//! What is done to a packet before it goes on: one file per forwarding method, each a rewrite of a parsed frame.
//!
//! | file | method | touches |
//! |---|---|---|
//! | [`nat`] | NAT, both directions | one address, one port, TTL, the checksums over them |
//! | [`ipip`] | tunnel | TTL; puts an outer IPv4 header in front |
//! | [`direct`] | direct routing | TTL |
//! | [`link`] | all of them, last | the Ethernet addresses |
//! | [`echo`] | none: the director answers | turns an echo request into its reply |
//! | [`stand_in`] | all, before and after, for what the host asks through a VIP | one address, one port, the checksums over them |
//! | [`icmp_error`] | none: the director answers | turns a packet into an ICMP error about it |
//!
//! As IPVS does, every method takes one hop off the TTL; who has only one left is told so by [`icmp_error`] and comes
//! in here no more. The caller vouches for what [`parse`](super::parse) promises and hands on its offsets. Offsets
//! that do not fit the frame are refused with [`Error::Truncated`]; nothing here panics, and a refused frame is
//! unchanged.

pub mod direct;
pub mod echo;
pub mod icmp_error;
pub mod ip_ids;
pub mod ipip;
pub mod link;
pub mod nat;
pub mod stand_in;

#[cfg(test)]
mod tests;

use super::wire::ipv4;

/// Why a frame could not be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// It ends before the headers that the caller named.
    Truncated,
    /// There is no room in front of it.
    NoHeadroom,
    /// With an outer header it would be longer than an IPv4 packet can be.
    TooBig,
}

/// The IPv4 header's fixed part, as a window.
type Ipv4Window<'a> = ipv4::Packet<&'a mut [u8; ipv4::HEADER_OCTETS]>;

/// Returns the IPv4 header that begins at `l3` in `frame`, and everything from `l4` on.
#[inline(always)]
fn split(frame: &mut [u8], l3: usize, l4: usize) -> Result<(Ipv4Window<'_>, &mut [u8]), Error> {
    let (front, transport) = frame.split_at_mut_checked(l4).ok_or(Error::Truncated)?;
    Ok((header(front, l3)?, transport))
}

/// Returns the IPv4 header that begins at `l3` in `frame`.
#[inline(always)]
fn header(frame: &mut [u8], l3: usize) -> Result<Ipv4Window<'_>, Error> {
    let window = frame.get_mut(l3..).and_then(|packet| packet.first_chunk_mut()).ok_or(Error::Truncated)?;
    Ok(ipv4::Packet::new_unchecked(window))
}
