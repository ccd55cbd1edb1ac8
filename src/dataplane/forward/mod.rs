//! What is done to a packet before it goes on: one file per forwarding method, each a rewrite of a parsed frame.
//!
//! | file | method | touches |
//! |---|---|---|
//! | [`nat`] | NAT, both directions; full NAT, twice for each packet | one address, one port, TTL, the checksums over them |
//! | [`ipip`] | tunnel | TTL; puts an outer IP header in front |
//! | [`direct`] | direct routing | TTL |
//! | [`mss`] | all of them, before | a TCP SYN's maximum segment size |
//! | [`link`] | all of them, last | the Ethernet addresses |
//! | [`echo`] | none: the director answers | turns an echo request into its reply |
//! | [`stand_in`] | all, before and after, for what the host asks through a VIP | one address, one port, the checksums over them |
//! | [`icmp_error`] | none: the director answers | turns a packet into an ICMP error about it |
//! | [`reset`] | none: the director answers | turns a TCP segment into the reset that answers it |
//! | [`quote`] | NAT and stand-ins, of ICMP errors | one address of the error, and one end of the packet that it quotes |
//!
//! Each is written once for both families: where their headers differ, `header.rs` knows. An IPv6 packet's TTL is its hop limit.
//!
//! As IPVS does, every method takes one hop off the TTL; who has only one left is told so by [`icmp_error`] and comes
//! in here no more. The caller vouches for what [`parse`](super::parse) promises and hands on its offsets. Offsets
//! that do not fit the frame are refused with [`Error::Truncated`]; nothing here panics, and a refused frame is
//! unchanged.

pub mod direct;
pub mod echo;
mod header;
pub mod icmp_error;
pub mod ip_ids;
pub mod ipip;
pub mod link;
pub mod mss;
pub mod nat;
pub mod quote;
pub mod reset;
pub mod stand_in;

#[cfg(test)]
mod tests;

/// Why a frame could not be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// It ends before the headers that the caller named.
    Truncated,
    /// There is no room in front of it.
    NoHeadroom,
    /// With an outer header it would be longer than a packet can be.
    TooBig,
}
