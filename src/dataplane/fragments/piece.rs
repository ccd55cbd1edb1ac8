//! What a fragment says of itself: which datagram it is of, where in it it lies, and, if it is the first, the ports.

use super::Key;
use crate::dataplane::address::Address;
use crate::dataplane::parse::{Kind, Parsed};
use crate::dataplane::stats::Outcome;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::{ethernet, icmp, icmpv6, ip, ipv4, ipv6, sctp, tcp, udp};

/// Where the IP header begins in the frame, in octets.
const L3: usize = ethernet::HEADER_OCTETS;

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Which datagram it is of.
    pub key: Key,
    /// What its IP header says; no ports.
    pub packet: Parsed,
    /// Where in its datagram it lies, in octets.
    pub offset: u16,
    /// What the datagram carries, or begins with.
    protocol: Protocol,
    /// Where in the frame its data begins, in octets: behind all extension headers of the first, behind the fragment header of others.
    data: usize,
}

impl Piece {
    /// Reads what the parser has found to be a fragment.
    ///
    /// # Errors
    /// The outcome to count: what is wrong with it, or [`Outcome::DropFragment`] if its ports would tell nothing.
    pub fn of(frame: &[u8]) -> Result<Self, Outcome> {
        let packet = frame.get(L3..).ok_or(Outcome::DropTruncated)?;
        let (piece, more, octets) = match packet.first().map(|octet| octet >> 4) {
            Some(4) => Self::of_v4(packet)?,
            _ => Self::of_v6(packet)?,
        };
        let end = usize::from(piece.offset) + octets;
        if octets == 0 && piece.offset == 0 {
            return Err(Outcome::DropFragmentTiny);
        }
        if octets == 0 || end > usize::from(u16::MAX) || (more && !octets.is_multiple_of(8)) {
            return Err(Outcome::DropFragmentMalformed);
        }
        let header_octets = match piece.protocol {
            Protocol::Tcp => tcp::HEADER_OCTETS,
            Protocol::Udp => udp::HEADER_OCTETS,
            Protocol::Sctp => sctp::HEADER_OCTETS,
            Protocol::Icmp | Protocol::Icmpv6 => icmp::HEADER_OCTETS,
            // The first may have more extension headers behind its fragment header, which is all that the others have.
            Protocol::DestinationOptions | Protocol::Authentication | Protocol::Routing
                if piece.packet.dst.as_v4().is_none() =>
            {
                8
            }
            _ => return Err(Outcome::DropFragment),
        };
        if piece.offset != 0 && usize::from(piece.offset) < header_octets {
            return Err(Outcome::DropFragmentTiny);
        }
        Ok(piece)
    }

    fn of_v4(packet: &[u8]) -> Result<(Self, bool, usize), Outcome> {
        let ip = ipv4::Packet::new_checked(packet).map_err(|_| Outcome::DropTruncated)?;
        let (src, dst) = (Address::from(ip.source()), Address::from(ip.destination()));
        let piece = Self {
            key: Key::new(src, dst, ip.identification().into(), ip.protocol_number()),
            packet: Parsed {
                src,
                dst,
                ip_octets: ip.total_octets(),
                tos: ip.tos(),
                ttl: ip.ttl(),
                dont_fragment: ip.dont_fragment(),
                l4_offset: 0,
                ..Parsed::NOTHING
            },
            offset: ip.fragment_offset(),
            protocol: ip.protocol(),
            data: L3 + ip.header_octets(),
        };
        Ok((piece, ip.more_fragments(), usize::from(ip.total_octets()) - ip.header_octets()))
    }

    fn of_v6(packet: &[u8]) -> Result<(Self, bool, usize), Outcome> {
        let ip = ipv6::Packet::new_checked(packet).map_err(|_| Outcome::DropTruncated)?;
        let upper = ip.upper().map_err(|_| Outcome::DropIpHeaderLength)?;
        let fragment = upper.fragment.ok_or(Outcome::DropFragment)?;
        let (src, dst) = (Address::v6(ip.source()), Address::v6(ip.destination()));
        let piece = Self {
            // Of the next headers that fragments name the first one's counts, and no other is compared (RFC 8200 §4.5).
            key: Key::new(src, dst, fragment.identification, 0),
            packet: Parsed {
                src,
                dst,
                ip_octets: ip.total_octets() as u16,
                tos: ip.traffic_class(),
                ttl: ip.hop_limit(),
                dont_fragment: true,
                l4_offset: 0,
                ..Parsed::NOTHING
            },
            offset: fragment.offset,
            protocol: upper.protocol,
            data: L3 + upper.offset,
        };
        // The first one's extension headers are fragmented with the rest; they come in units of 8 octets.
        Ok((piece, fragment.more, ip.total_octets() - upper.offset))
    }

    /// What the first fragment of a datagram says of the whole: its ports, and TCP's flags.
    ///
    /// # Errors
    /// The outcome to count: [`Outcome::DropFragmentTiny`] if it has not all of the transport's header.
    pub fn beginning(&self, frame: &[u8]) -> Result<Parsed, Outcome> {
        let data = frame.get(self.data..self.packet.frame_octets()).ok_or(Outcome::DropFragmentTiny)?;
        let parsed = Parsed { l4_offset: self.data as u16, ..self.packet };
        let parsed = match self.protocol {
            ip::Protocol::Tcp => Self::tcp(data, parsed)?,
            ip::Protocol::Udp => {
                let header = udp::Packet::new_unchecked(begins::<{ udp::HEADER_OCTETS }>(data)?);
                let (src_port, dst_port) = (header.source_port(), header.destination_port());
                Parsed { kind: Kind::Udp, src_port, dst_port, ..parsed }
            }
            ip::Protocol::Sctp => {
                let header = begins::<{ sctp::HEADER_OCTETS + sctp::CHUNK_HEADER_OCTETS }>(data)?;
                let message_type = header[sctp::HEADER_OCTETS];
                let header = sctp::Packet::new_unchecked(&header[..]);
                let (src_port, dst_port) = (header.source_port(), header.destination_port());
                Parsed { kind: Kind::Sctp, src_port, dst_port, message_type, ..parsed }
            }
            ip::Protocol::Icmp if self.packet.dst.is_v4() => {
                let message = icmp::Packet::new_unchecked(&begins::<{ icmp::HEADER_OCTETS }>(data)?[..]);
                let of = |kind| if message.kind() == kind { message.identifier() } else { 0 };
                return Ok(Parsed {
                    kind: Kind::Icmp,
                    message_type: message.kind().into(),
                    icmp_code: message.code(),
                    src_port: of(icmp::Type::EchoRequest),
                    dst_port: of(icmp::Type::EchoReply),
                    ..parsed
                });
            }
            ip::Protocol::Icmpv6 if !self.packet.dst.is_v4() => {
                let message = icmpv6::Packet::new_unchecked(&begins::<{ icmpv6::HEADER_OCTETS }>(data)?[..]);
                let of = |kind| if message.kind() == kind { message.identifier() } else { 0 };
                return Ok(Parsed {
                    kind: Kind::Icmpv6,
                    message_type: message.kind().into(),
                    icmp_code: message.code(),
                    src_port: of(icmpv6::Type::EchoRequest),
                    dst_port: of(icmpv6::Type::EchoReply),
                    ..parsed
                });
            }
            _ => return Err(Outcome::DropFragment),
        };
        if parsed.src_port == 0 || parsed.dst_port == 0 {
            return Err(Outcome::DropPortZero);
        }
        Ok(parsed)
    }

    fn tcp(data: &[u8], parsed: Parsed) -> Result<Parsed, Outcome> {
        let header = tcp::Packet::new_unchecked(begins::<{ tcp::HEADER_OCTETS }>(data)?);
        let header_octets = header.header_octets();
        if header_octets < tcp::HEADER_OCTETS {
            return Err(Outcome::DropTcpHeader);
        }
        if data.len() < header_octets {
            return Err(Outcome::DropFragmentTiny);
        }
        let (src_port, dst_port) = (header.source_port(), header.destination_port());
        Ok(Parsed { kind: Kind::Tcp, src_port, dst_port, tcp_flags: header.flags(), ..parsed })
    }
}

/// The header that a datagram must begin with.
fn begins<const OCTETS: usize>(data: &[u8]) -> Result<&[u8; OCTETS], Outcome> {
    data.first_chunk().ok_or(Outcome::DropFragmentTiny)
}
