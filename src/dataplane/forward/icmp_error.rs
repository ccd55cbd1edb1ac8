//! The director's own ICMP errors (RFC 792, RFC 1812 §4.3; RFC 4443): made in place, out of the packet they are about.
//!
//! ```text
//!                       +----------+-------------+----------------------
//!                       | Ethernet | IP header   | data
//!                       +----------+-------------+----------------------
//!   +----------+--------+----------+-------------+-----------------+
//!   | Ethernet | IP     | ICMP     | IP header   | data, as much as fits
//!   +----------+--------+----------+-------------+-----------------+
//! ```
//! | | IPv4 | IPv6 |
//! |---|---|---|
//! | fits in | 576 octets (RFC 1812 §4.3.2.3) | 1,280 octets (RFC 4443 §2.4 (c)) |
//! | [`TooBig`](Problem::TooBig) | 3, code 4, with the MTU (RFC 1191 §4) | 2, with the MTU, of 1,280 at the least (RFC 2473 §7.1) |
//! | [`TimeExceeded`](Problem::TimeExceeded) | 11, code 0 | 3, code 0 |
//! | [`Unreachable`](Problem::Unreachable): net | 3, code 0 | 1, code 0 |
//! | host | 3, code 1 | 1, code 3 |
//! | port | 3, code 3 | 1, code 4 |
//!
//! The caller limits their rate (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::echo::TTL;
use crate::dataplane::address::Address;
use crate::dataplane::port::Frame;
use crate::dataplane::stats::Outcome;
use crate::dataplane::wire::checksum::Sum;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, icmp, icmpv6, ipv4, ipv6};

/// The longest error over IPv4, its IP header included, in octets (RFC 1812 §4.3.2.3).
pub const MAX_OCTETS: usize = 576;
/// The longest over IPv6 (RFC 4443 §2.4 (c)).
pub const MAX_OCTETS_V6: usize = ipv6::MIN_MTU as usize;

/// Precedence "internetwork control" (RFC 1812 §4.3.2.5).
const TOS: u8 = 0xc0;
/// Where the offending packet begins in the untagged frame, in octets.
const L3: usize = ethernet::HEADER_OCTETS;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is too big for the next link and must not be fragmented: "fragmentation needed" of IPv4, "packet too big" of IPv6.
    TooBig {
        /// The largest packet that would fit, in octets; through a tunnel, [`inner_mtu`](super::ipip::inner_mtu).
        mtu: u16,
    },
    /// Its time to live, or hop limit, would run out here.
    TimeExceeded,
    /// It cannot get where it is sent to.
    Unreachable {
        /// How far it gets.
        what: Unreachable,
        /// How it ends if its sender is not told.
        dropped: Outcome,
    },
}

/// What a packet does not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No route leads there.
    Net,
    /// Nobody answers for the next hop's address, or the destination's.
    Host,
    /// Nobody serves the port.
    Port,
}

impl Problem {
    /// How the packet ends if its sender is told.
    pub const fn answered(self) -> Outcome {
        match self {
            Self::TooBig { .. } => Outcome::AnsweredTooBig,
            Self::TimeExceeded => Outcome::AnsweredTimeExceeded,
            Self::Unreachable { .. } => Outcome::AnsweredUnreachable,
        }
    }

    /// How it ends if its sender is not.
    pub const fn dropped(self) -> Outcome {
        match self {
            Self::TooBig { .. } => Outcome::DropTooBig,
            Self::TimeExceeded => Outcome::DropTtl,
            Self::Unreachable { dropped, .. } => dropped,
        }
    }

    /// Writes type, code and second word of the message over IPv4.
    fn emit_v4(self, message: &mut icmp::Packet<&mut [u8]>) {
        let (kind, code, rest) = match self {
            Self::TooBig { mtu } => {
                (icmp::Type::DestinationUnreachable, icmp::CODE_FRAGMENTATION_NEEDED, u32::from(mtu))
            }
            Self::TimeExceeded => (icmp::Type::TimeExceeded, 0, 0),
            Self::Unreachable { what, .. } => (icmp::Type::DestinationUnreachable, what.code_v4(), 0),
        };
        message.set_kind(kind);
        message.set_code(code);
        message.set_rest(rest);
    }

    /// The same over IPv6.
    fn emit_v6(self, message: &mut icmpv6::Packet<&mut [u8]>) {
        let (kind, code, rest) = match self {
            Self::TooBig { mtu } => (icmpv6::Type::PacketTooBig, 0, u32::from(mtu.max(ipv6::MIN_MTU))),
            Self::TimeExceeded => (icmpv6::Type::TimeExceeded, 0, 0),
            Self::Unreachable { what, .. } => (icmpv6::Type::DestinationUnreachable, what.code_v6(), 0),
        };
        message.set_kind(kind);
        message.set_code(code);
        message.set_rest(rest);
    }
}

impl Unreachable {
    /// RFC 792, "destination unreachable message".
    const fn code_v4(self) -> u8 {
        match self {
            Self::Net => icmp::CODE_NET_UNREACHABLE,
            Self::Host => icmp::CODE_HOST_UNREACHABLE,
            Self::Port => icmp::CODE_PORT_UNREACHABLE,
        }
    }

    /// RFC 4443 §3.1.
    const fn code_v6(self) -> u8 {
        match self {
            Self::Net => icmpv6::CODE_NO_ROUTE,
            Self::Host => icmpv6::CODE_ADDRESS_UNREACHABLE,
            Self::Port => icmpv6::CODE_PORT_UNREACHABLE,
        }
    }
}

/// Tells whether an error about the IP packet in the untagged `frame` may be sent: not about another error, a packet to a
/// group, or one whose source is no single host (RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)); of IPv4 not about a fragment that is not
/// the first. RFC 4443 lets a router of groups tell that an IPv6 packet to one is too big; the director is none.
pub fn may_answer(frame: &[u8], problem: Problem) -> bool {
    let Some((link, packet)) = frame.split_first_chunk::<L3>() else { return false };
    let link = ethernet::Frame::new_unchecked(link);
    !ethernet::is_group(&link.destination())
        && match link.ethertype() {
            ethernet::EtherType::Ipv4 => may_answer_v4(packet),
            ethernet::EtherType::Ipv6 => may_answer_v6(packet, problem),
            _ => false,
        }
}

fn may_answer_v4(packet: &[u8]) -> bool {
    let Ok(packet) = ipv4::Packet::new_checked(packet) else { return false };
    packet.fragment_offset() == 0
        && ipv4::is_host(packet.source().to_bits())
        && ipv4::is_host(packet.destination().to_bits())
        && (packet.protocol() != Protocol::Icmp || is_query(packet.payload()))
}

fn may_answer_v6(octets: &[u8], problem: Problem) -> bool {
    let Ok(packet) = ipv6::Packet::new_checked(octets) else { return false };
    let Ok(upper) = packet.upper() else { return false };
    // Whoever sends no more than every link takes cannot send less.
    let helpless = matches!(problem, Problem::TooBig { .. }) && packet.total_octets() <= usize::from(ipv6::MIN_MTU);
    // Of a later fragment nobody can tell which message it is of.
    let later = upper.fragment.is_some_and(|fragment| fragment.offset != 0);
    let message = octets.get(upper.offset..packet.total_octets()).unwrap_or_default();
    !helpless
        && ipv6::is_host(packet.source())
        && ipv6::is_host(packet.destination())
        && (upper.protocol != Protocol::Icmpv6 || (!later && is_query_v6(message)))
}

/// Tells whether an ICMP message surely is no error. What a type not known here means, nobody can tell: so it may be one.
fn is_query(message: &[u8]) -> bool {
    message.first().is_some_and(|kind| {
        let kind = icmp::Type::from(*kind);
        !kind.is_error() && !matches!(kind, icmp::Type::Unknown(_))
    })
}

/// Tells whether an ICMPv6 message is neither an error nor a redirect. Types not known here tell (RFC 4443 §2.1).
fn is_query_v6(message: &[u8]) -> bool {
    message.first().is_some_and(|kind| {
        let kind = icmpv6::Type::from(*kind);
        !kind.is_error() && kind != icmpv6::Type::Redirect
    })
}

/// Turns the packet in the untagged `frame`, still as it came, into the error about it, from `source` (the director) back
/// to its sender. The Ethernet addresses are swapped: it goes back the way it came unless the caller knows better. `source` is of
/// the packet's family; `identification` is for IPv4.
///
/// # Errors
/// The outcome to count if the error may not be sent, or there is no headroom.
pub fn answer<F: Frame>(
    frame: &mut F,
    problem: Problem,
    source: Address,
    identification: u16,
) -> Result<Outcome, Outcome> {
    if !may_answer(frame.bytes(), problem) {
        return Err(problem.dropped());
    }
    let (link, _) = frame.bytes().split_first_chunk::<L3>().ok_or(Outcome::DropTruncated)?;
    let link = ethernet::Frame::new_unchecked(*link);
    if source.is_v4() != (link.ethertype() == ethernet::EtherType::Ipv4) {
        return Err(problem.dropped());
    }
    tell(frame, problem, source, identification)?;
    let mut front_link = ethernet::Frame::new_unchecked(frame.bytes_mut());
    front_link.set_destination(link.source());
    front_link.set_source(link.destination());
    Ok(problem.answered())
}

/// Turns a `frame` that quotes a packet of `source`'s family in these octets into the error about that packet, from `source` to its
/// sender. Who calls it vouches that an error may be sent, and writes the Ethernet addresses.
///
/// # Errors
/// The outcome to count if the frame is too short for that, or has no headroom.
pub fn relay<F: Frame>(
    frame: &mut F,
    quoted: Range<usize>,
    problem: Problem,
    source: Address,
    identification: u16,
) -> Result<(), Outcome> {
    frame.truncate(quoted.end);
    let before = quoted.start.checked_sub(L3).ok_or(Outcome::DropTruncated)?;
    frame.trim_front(before).ok_or(Outcome::DropTruncated)?;
    tell(frame, problem, source, identification)
}

/// Puts the headers of an error before a packet, or as much of one as there is, and cuts it to what may be quoted.
fn tell<F: Frame>(frame: &mut F, problem: Problem, source: Address, identification: u16) -> Result<(), Outcome> {
    let packet = frame.bytes().get(L3..).ok_or(Outcome::DropTruncated)?;
    let outer = match source.as_v4() {
        Some(source) => {
            let offending = packet.first_chunk::<{ ipv4::HEADER_OCTETS }>().ok_or(Outcome::DropTruncated)?;
            let offending = ipv4::Packet::new_unchecked(offending);
            let quote = usize::from(offending.total_octets()).min(MAX_OCTETS - Outer::V4_OCTETS).min(packet.len());
            let destination = offending.source();
            Outer::V4 { source: Ipv4Addr::from_bits(source), destination, identification, quote }
        }
        None => {
            let offending = packet.first_chunk::<{ ipv6::HEADER_OCTETS }>().ok_or(Outcome::DropTruncated)?;
            let offending = ipv6::Packet::new_unchecked(offending);
            let quote = offending.total_octets().min(MAX_OCTETS_V6 - Outer::V6_OCTETS).min(packet.len());
            Outer::V6 { source: source.to_v6(), destination: offending.source(), quote }
        }
    };
    let (added, quote) = outer.octets();
    frame.prepend(added).ok_or(Outcome::DropNoHeadroom)?;
    let octets = frame.set_len(added + L3 + quote).ok_or(Outcome::DropTruncated)?;
    let (link, error) = octets.split_at_mut(L3);
    ethernet::Frame::new_unchecked(link).set_ethertype(match outer {
        Outer::V4 { .. } => ethernet::EtherType::Ipv4,
        Outer::V6 { .. } => ethernet::EtherType::Ipv6,
    });
    outer.emit(problem, error);
    Ok(())
}

/// What goes before the quoted packet.
#[derive(Clone, Copy)]
enum Outer {
    V4 { source: Ipv4Addr, destination: Ipv4Addr, identification: u16, quote: usize },
    V6 { source: Ipv6Addr, destination: Ipv6Addr, quote: usize },
}

impl Outer {
    const V4_OCTETS: usize = ipv4::HEADER_OCTETS + icmp::HEADER_OCTETS;
    const V6_OCTETS: usize = ipv6::HEADER_OCTETS + icmpv6::HEADER_OCTETS;

    /// Its length and that of the quote, in octets.
    const fn octets(self) -> (usize, usize) {
        match self {
            Self::V4 { quote, .. } => (Self::V4_OCTETS, quote),
            Self::V6 { quote, .. } => (Self::V6_OCTETS, quote),
        }
    }

    /// Writes it into `error`, in which the quote lies already.
    fn emit(self, problem: Problem, error: &mut [u8]) {
        match self {
            Self::V4 { source, destination, identification, quote } => {
                let (header, message) = error.split_at_mut(ipv4::HEADER_OCTETS);
                let header_of = ipv4::Repr {
                    tos: TOS,
                    identification,
                    dont_fragment: false,
                    ttl: TTL,
                    protocol: Protocol::Icmp,
                    source,
                    destination,
                    payload_octets: (icmp::HEADER_OCTETS + quote) as u16,
                };
                header_of.emit(&mut ipv4::Packet::new_unchecked(header));
                let mut message = icmp::Packet::new_unchecked(message);
                problem.emit_v4(&mut message);
                message.fill_checksum();
            }
            Self::V6 { source, destination, quote } => {
                let (header, message) = error.split_at_mut(ipv6::HEADER_OCTETS);
                let octets = icmpv6::HEADER_OCTETS + quote;
                let header_of = ipv6::Repr {
                    traffic_class: 0,
                    flow_label: 0,
                    hop_limit: TTL,
                    next_header: Protocol::Icmpv6,
                    source,
                    destination,
                    payload_octets: octets as u16,
                };
                header_of.emit(&mut ipv6::Packet::new_unchecked(header));
                let mut message = icmpv6::Packet::new_unchecked(message);
                problem.emit_v6(&mut message);
                message.fill_checksum(Sum::pseudo_v6(source, destination, Protocol::Icmpv6.into(), octets as u32));
            }
        }
    }
}
