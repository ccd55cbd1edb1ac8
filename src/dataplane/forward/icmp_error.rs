//! The director's own ICMP errors (RFC 792, RFC 1812 §4.3): made in place, out of the packet they are about.
//!
//! ```text
//!                       +----------+-------------+----------------------
//!                       | Ethernet | IPv4 header | data
//!                       +----------+-------------+----------------------
//!   +----------+--------+----------+-------------+-----------------+
//!   | Ethernet | IPv4   | ICMP     | IPv4 header | data, as much as fits in 576 octets (RFC 1812 §4.3.2.3)
//!   +----------+--------+----------+-------------+-----------------+
//! ```
//! The caller limits their rate (RFC 1812 §4.3.2.8).

use std::net::Ipv4Addr;

use super::echo::TTL;
use crate::dataplane::port::Frame;
use crate::dataplane::stats::Outcome;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, icmp, ipv4};

/// The longest error, its IPv4 header included, in octets (RFC 1812 §4.3.2.3).
pub const MAX_OCTETS: usize = 576;

/// Precedence "internetwork control" (RFC 1812 §4.3.2.5).
const TOS: u8 = 0xc0;
/// Where the offending packet begins in the untagged frame, in octets.
const L3: usize = ethernet::HEADER_OCTETS;
/// What goes before the offending packet, in octets.
const ADDED: usize = ipv4::HEADER_OCTETS + icmp::HEADER_OCTETS;
/// The most that is quoted of it, in octets.
const MAX_QUOTE: usize = MAX_OCTETS - ADDED;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is too big for the next link and must not be fragmented (RFC 1191 §4).
    FragmentationNeeded {
        /// The largest packet that would fit, in octets; through a tunnel, [`inner_mtu`](super::ipip::inner_mtu).
        mtu: u16,
    },
    /// Its time to live would run out here (RFC 792, type 11 code 0).
    TimeExceeded,
    /// Nothing leads to its destination (RFC 1812 §5.2.7.1, type 3 code 0).
    NoRoute,
}

impl Problem {
    /// How the packet ends if its sender is told.
    pub const fn answered(self) -> Outcome {
        match self {
            Self::FragmentationNeeded { .. } => Outcome::AnsweredTooBig,
            Self::TimeExceeded => Outcome::AnsweredTimeExceeded,
            Self::NoRoute => Outcome::AnsweredUnreachable,
        }
    }

    /// How it ends if its sender is not.
    pub const fn dropped(self) -> Outcome {
        match self {
            Self::FragmentationNeeded { .. } => Outcome::DropTooBig,
            Self::TimeExceeded => Outcome::DropTtl,
            Self::NoRoute => Outcome::DropNoRoute,
        }
    }
}

/// Tells whether an error about the IPv4 packet in the untagged `frame` may be sent: not about another error, a fragment
/// that is not the first, a packet to a group, or one whose source is no single host (RFC 1812 §4.3.2.7).
pub fn may_answer(frame: &[u8]) -> bool {
    let (Ok(link), Some(packet)) = (ethernet::Frame::new_checked(frame), frame.get(L3..)) else { return false };
    let Ok(packet) = ipv4::Packet::new_checked(packet) else { return false };
    !ethernet::is_group(&link.destination())
        && packet.fragment_offset() == 0
        && ipv4::is_host(packet.source().to_bits())
        && ipv4::is_host(packet.destination().to_bits())
        && (packet.protocol() != Protocol::Icmp || is_query(packet.payload()))
}

/// Tells whether an ICMP message surely is no error. What a type not known here means, nobody can tell: so it may be one.
fn is_query(message: &[u8]) -> bool {
    match message.first() {
        Some(&kind) => {
            let kind = icmp::Type::from(kind);
            !kind.is_error() && !matches!(kind, icmp::Type::Unknown(_))
        }
        None => false,
    }
}

/// Turns the packet in the untagged `frame`, still as it came, into the error about it, from `source` (the director) back
/// to its sender. The Ethernet addresses are swapped: it goes back the way it came unless the caller knows better.
///
/// # Errors
/// The outcome to count if the error may not be sent, or there is no headroom.
pub fn answer<F: Frame>(
    frame: &mut F,
    problem: Problem,
    source: Ipv4Addr,
    identification: u16,
) -> Result<Outcome, Outcome> {
    if !may_answer(frame.bytes()) {
        return Err(problem.dropped());
    }
    let (link, packet) = frame.bytes().split_first_chunk::<L3>().ok_or(Outcome::DropTruncated)?;
    let link = ethernet::Frame::new_unchecked(*link);
    let offending = ipv4::Packet::new_unchecked(packet);
    let quote = usize::from(offending.total_octets()).min(MAX_QUOTE);
    let outer = ipv4::Repr {
        tos: TOS,
        identification,
        dont_fragment: false,
        ttl: TTL,
        protocol: Protocol::Icmp,
        source,
        destination: offending.source(),
        payload_octets: (icmp::HEADER_OCTETS + quote) as u16,
    };

    frame.prepend(ADDED).ok_or(Outcome::DropNoHeadroom)?;
    let octets = frame.set_len(ADDED + L3 + quote).ok_or(Outcome::DropTruncated)?;
    let (front, message) = octets.split_at_mut(L3 + ipv4::HEADER_OCTETS);
    let (front_link, front_ip) = front.split_at_mut(L3);
    let mut front_link = ethernet::Frame::new_unchecked(front_link);
    front_link.set_destination(link.source());
    front_link.set_source(link.destination());
    front_link.set_ethertype(link.ethertype());
    outer.emit(&mut ipv4::Packet::new_unchecked(front_ip));
    let mut message = icmp::Packet::new_unchecked(message);
    match problem {
        Problem::FragmentationNeeded { mtu } => {
            message.set_kind(icmp::Type::DestinationUnreachable);
            message.set_code(icmp::CODE_FRAGMENTATION_NEEDED);
            message.set_next_hop_mtu(mtu);
        }
        Problem::TimeExceeded => {
            message.set_kind(icmp::Type::TimeExceeded);
            message.set_code(0);
            message.set_rest(0);
        }
        Problem::NoRoute => {
            message.set_kind(icmp::Type::DestinationUnreachable);
            message.set_code(icmp::CODE_NET_UNREACHABLE);
            message.set_rest(0);
        }
    }
    message.fill_checksum();
    Ok(problem.answered())
}
