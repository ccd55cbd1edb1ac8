//! A network header as the rewrites see it, so that each of them is written once for both families.
//!
//! | | IPv4 | IPv6 |
//! |---|---|---|
//! | hops left | TTL | hop limit |
//! | a checksum of its own | over addresses and TTL | none |
//! | ICMP's checksum | over the message | over the addresses too (RFC 4443 §2.3) |

use std::net::Ipv4Addr;

use super::Error;
use crate::dataplane::address::Address;
use crate::dataplane::wire::checksum::Delta;
use crate::dataplane::wire::{ipv4, ipv6};

/// Which end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// The fixed part of an IPv4 header.
pub(super) type Ipv4Window<'a> = ipv4::Packet<&'a mut [u8; ipv4::HEADER_OCTETS]>;
/// The fixed part of an IPv6 header.
pub(super) type Ipv6Window<'a> = ipv6::Packet<&'a mut [u8; ipv6::HEADER_OCTETS]>;

/// The header of either family. An address that is given to it is of its family.
pub(super) trait Header<'a>: Sized {
    /// Whether the addresses count in ICMP's checksum.
    const ICMP_COVERS_ADDRESSES: bool;

    /// Returns the header that `packet` begins with; `None` if that is shorter.
    fn of(packet: &'a mut [u8]) -> Option<Self>;

    /// Returns how the words under a checksum change that covers this end's address.
    fn change(&self, end: End, new: Address) -> Delta;

    /// Writes an address, whose `change` was told by [`change`](Self::change), and with `HOP` takes a hop off.
    fn readdress<const HOP: bool>(&mut self, end: End, new: Address, change: Delta);

    /// Takes a hop off, of which there is one.
    fn hop(&mut self);
}

impl<'a> Header<'a> for Ipv4Window<'a> {
    const ICMP_COVERS_ADDRESSES: bool = false;

    #[inline(always)]
    fn of(packet: &'a mut [u8]) -> Option<Self> {
        packet.first_chunk_mut().map(Self::new_unchecked)
    }

    #[inline(always)]
    fn change(&self, end: End, new: Address) -> Delta {
        let old = match end {
            End::Source => self.source(),
            End::Destination => self.destination(),
        };
        Delta::u32(old.to_bits(), new.low())
    }

    #[inline(always)]
    fn readdress<const HOP: bool>(&mut self, end: End, new: Address, change: Delta) {
        if HOP {
            self.set_checksum(change.and(Delta::TTL_DECREMENT).adjust(self.checksum()));
            self.set_ttl(self.ttl().wrapping_sub(1));
        } else {
            self.set_checksum(change.adjust(self.checksum()));
        }
        let new = Ipv4Addr::from_bits(new.low());
        match end {
            End::Source => self.set_source(new),
            End::Destination => self.set_destination(new),
        }
    }

    #[inline(always)]
    fn hop(&mut self) {
        self.set_checksum(Delta::TTL_DECREMENT.adjust(self.checksum()));
        self.set_ttl(self.ttl().wrapping_sub(1));
    }
}

impl<'a> Header<'a> for Ipv6Window<'a> {
    const ICMP_COVERS_ADDRESSES: bool = true;

    #[inline(always)]
    fn of(packet: &'a mut [u8]) -> Option<Self> {
        packet.first_chunk_mut().map(Self::new_unchecked)
    }

    #[inline(always)]
    fn change(&self, end: End, new: Address) -> Delta {
        let old = match end {
            End::Source => self.source(),
            End::Destination => self.destination(),
        };
        Delta::u128(old.to_bits(), new.to_bits())
    }

    #[inline(always)]
    fn readdress<const HOP: bool>(&mut self, end: End, new: Address, _: Delta) {
        if HOP {
            self.hop();
        }
        match end {
            End::Source => self.set_source(new.to_v6()),
            End::Destination => self.set_destination(new.to_v6()),
        }
    }

    #[inline(always)]
    fn hop(&mut self) {
        self.set_hop_limit(self.hop_limit().wrapping_sub(1));
    }
}

/// Returns the header that begins at `l3` in `frame`, and everything from `l4` on.
#[inline(always)]
pub(super) fn split<'a, H: Header<'a>>(frame: &'a mut [u8], l3: usize, l4: usize) -> Result<(H, &'a mut [u8]), Error> {
    let (front, transport) = frame.split_at_mut_checked(l4).ok_or(Error::Truncated)?;
    Ok((header(front, l3)?, transport))
}

/// Returns the header that begins at `l3` in `frame`.
#[inline(always)]
pub(super) fn header<'a, H: Header<'a>>(frame: &'a mut [u8], l3: usize) -> Result<H, Error> {
    frame.get_mut(l3..).and_then(H::of).ok_or(Error::Truncated)
}
