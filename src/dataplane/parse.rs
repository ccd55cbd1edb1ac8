//! The first stage: what a frame is, told in [`Parsed`], or why it goes no further.
//!
//! Checks run from the outside in and the first that fails names the outcome. What passes has a whole and consistent
//! Ethernet header, IP header and TCP, UDP, SCTP or ICMP header, and addresses that one host may have; later stages take
//! their offsets from [`Parsed`] and check none of it again.
//!
//! | layer | checked | reference |
//! |---|---|---|
//! | Ethernet | in one segment, 14 octets, source no group, destination this port or a group, EtherType | IEEE 802.3 §3.2 |
//! | IPv4 | version, header length, total length, header checksum, source, destination, no fragment | RFC 1122 §3.2.1, RFC 1812 §5.2.2 |
//! | IPv6 | version, payload length, source, destination, extension headers, no fragment | RFC 8200, RFC 4291 |
//! | TCP | 20 octets, data offset, ports | RFC 9293 §3.1 |
//! | UDP | 8 octets, length, ports | RFC 768 |
//! | SCTP | 12 octets, ports, the length of the first chunk; behind COOKIE ECHO or COOKIE ACK, of the second | RFC 9260 §3 |
//! | ICMP | 8 octets, checksum | RFC 792, RFC 4443 |
//!
//! Fragments are refused as [`Outcome::DropFragment`], and [`super::fragments`] has them then.
//!
//! TCP, UDP and SCTP checksums are the end's to verify: translation keeps a wrong one wrong. VLAN tags are not taken off yet.
//! ARP is recognised here and read by whoever answers it.

use super::address::{Address, Family};
use super::port::{Frame, RxChecksum};
use super::service::Protocol;
use super::stats::Outcome;
use super::wire::checksum::{self, Sum};
use super::wire::ethernet::{self, EtherType};
use super::wire::sctp::ChunkType;
use super::wire::{self, icmp, ip, ipv4, sctp, tcp, udp};

mod six;

/// Where the IP header begins in an untagged frame, in octets.
const L3: usize = ethernet::HEADER_OCTETS;

const TCP: u8 = ip::Protocol::Tcp.number();
const UDP: u8 = ip::Protocol::Udp.number();
const SCTP: u8 = ip::Protocol::Sctp.number();
const ICMP: u8 = ip::Protocol::Icmp.number();

/// The part of an IPv4 header that every packet has.
type Fixed = [u8; ipv4::HEADER_OCTETS];

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An SCTP packet.
    Sctp,
    /// An ICMP message over IPv4.
    Icmp,
    /// An ICMP message over IPv6, neighbour discovery included.
    Icmpv6,
    /// An ARP message; nothing of it has been looked at.
    Arp,
}

impl Kind {
    /// Returns the transport protocol, if it is one that can be balanced.
    #[inline]
    pub const fn transport(self) -> Option<Protocol> {
        match self {
            Self::Tcp => Some(Protocol::Tcp),
            Self::Udp => Some(Protocol::Udp),
            Self::Sctp => Some(Protocol::Sctp),
            Self::Icmp | Self::Icmpv6 | Self::Arp => None,
        }
    }
}

/// What later stages need of a frame. Addresses and ports are in host order; fields that its kind lacks are 0.
///
/// The order of the fields is for the compiler: `Result<Parsed, Outcome>` keeps its tag in the spare values of
/// `dont_fragment` and an outcome in the octet behind it. Where rustc chooses, the outcome lies across a wider field, which then
/// is written and read back in unequal pieces, at 15 ns a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Parsed {
    /// Whether routers may not fragment the packet; IPv6's never may.
    pub dont_fragment: bool,
    /// DSCP and ECN, IPv6's traffic class.
    pub tos: u8,
    /// The time to live or hop limit, in hops, as received.
    pub ttl: u8,
    /// TCP's control bits.
    pub tcp_flags: tcp::Flags,
    /// By its number, the type of an ICMP message, or of the SCTP chunk that tells what the packet means: the first, or
    /// an ABORT right behind a COOKIE ECHO or COOKIE ACK.
    pub message_type: u8,
    /// The code of an ICMP message.
    pub icmp_code: u8,
    /// What the frame carries.
    pub kind: Kind,
    /// Where the IP header begins in the frame, in octets.
    pub l3_offset: u8,
    /// Where the TCP, UDP, SCTP or ICMP header begins in the frame, in octets; for ARP, where the message does. 0 in a fragment that
    /// is not the first ([`super::fragments`]): its kind and ports are the first one's.
    pub l4_offset: u16,
    /// The length of the IP packet, its header included, in octets.
    pub ip_octets: u16,
    /// The source port of TCP, UDP and SCTP; the identifier of an ICMP echo request.
    pub src_port: u16,
    /// The destination port of TCP, UDP and SCTP; the identifier of an ICMP echo reply.
    pub dst_port: u16,
    /// The source address.
    pub src: Address,
    /// The destination address; of the same family.
    pub dst: Address,
}

const _: () = assert!(size_of::<Parsed>() <= 48);

impl Parsed {
    /// Of nothing in particular: what a place for one holds before the first packet.
    pub const NOTHING: Self = ARP;

    /// The family of its addresses, and so of its IP header. The parser lets no IPv6 packet through whose destination begins with
    /// 32 zeros, so that this is one look.
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.dst.top() == 0 { Family::V4 } else { Family::V6 }
    }

    /// Where the IP packet ends in the frame, in octets. What follows is padding.
    #[inline]
    pub fn frame_octets(&self) -> usize {
        usize::from(self.l3_offset) + usize::from(self.ip_octets)
    }
}

/// Parses `frame`, received on the port with the address `port_mac`, and cuts it to the length of its IPv4 packet:
/// short packets come padded to Ethernet's minimum (IEEE 802.3 §4.2.3.3), and padding must not go into a tunnel.
///
/// # Errors
/// The outcome to count; the frame is as it came.
#[inline(always)]
pub fn parse<F: Frame>(frame: &mut F, port_mac: ethernet::Address) -> Result<Parsed, Outcome> {
    if !frame.is_contiguous() {
        return Err(Outcome::DropSegmented);
    }
    let parsed = parse_octets(frame.bytes(), frame.rx_checksum(), port_mac)?;
    if parsed.kind != Kind::Arp {
        frame.truncate(parsed.frame_octets());
    }
    Ok(parsed)
}

/// Parses the octets of a whole frame. `rx_checksum` is what the port said about its IPv4 header checksum.
///
/// # Errors
/// The outcome to count.
#[inline(always)]
pub fn parse_octets(octets: &[u8], rx_checksum: RxChecksum, port_mac: ethernet::Address) -> Result<Parsed, Outcome> {
    let header = octets.first_chunk::<L3>().ok_or(Outcome::DropTruncated)?;
    let header = ethernet::Frame::new_unchecked(header);
    let (destination, source) = (header.destination(), header.source());
    if ethernet::is_group(&source) {
        return Err(Outcome::DropBadSource);
    }
    let to_group = ethernet::is_group(&destination);
    if destination != port_mac && !to_group {
        return Err(Outcome::DropOtherStation);
    }
    let ethertype = header.ethertype();
    if ethertype == EtherType::Ipv4 {
        parse_ipv4(octets, rx_checksum, to_group)
    } else {
        parse_other(ethertype, octets, to_group)
    }
}

/// Parses a frame that holds no IPv4 packet.
#[inline(never)]
fn parse_other(ethertype: EtherType, octets: &[u8], to_group: bool) -> Result<Parsed, Outcome> {
    match ethertype {
        EtherType::Ipv6 => six::parse(octets, to_group),
        EtherType::Arp => Ok(ARP),
        _ => Err(Outcome::DropEtherType),
    }
}

/// What there is to say about an ARP message.
const ARP: Parsed = Parsed {
    src: Address::UNSPECIFIED_V4,
    dst: Address::UNSPECIFIED_V4,
    src_port: 0,
    dst_port: 0,
    l4_offset: L3 as u16,
    ip_octets: 0,
    kind: Kind::Arp,
    l3_offset: L3 as u8,
    tcp_flags: tcp::Flags(0),
    message_type: 0,
    icmp_code: 0,
    tos: 0,
    ttl: 0,
    dont_fragment: false,
};

/// Parses the IPv4 packet in `octets`, a frame. Nearly all have no options: for them every offset is a constant.
#[inline(always)]
fn parse_ipv4(octets: &[u8], rx_checksum: RxChecksum, to_group: bool) -> Result<Parsed, Outcome> {
    let fixed = octets[L3..].first_chunk().ok_or(Outcome::DropTruncated)?;
    let header = ipv4::Packet::new_unchecked(fixed);
    if header.version() == 4 && header.header_octets() == ipv4::HEADER_OCTETS {
        return parse_packet(octets, fixed, ipv4::HEADER_OCTETS, rx_checksum, to_group);
    }
    let header_octets = unusual_header_octets(octets, fixed)?;
    parse_packet(octets, fixed, header_octets, rx_checksum, to_group)
}

/// Returns the length of an IPv4 header that is not the usual one, in octets.
#[cold]
fn unusual_header_octets(octets: &[u8], fixed: &Fixed) -> Result<usize, Outcome> {
    let header = ipv4::Packet::new_unchecked(fixed);
    let header_octets = header.header_octets();
    if header.version() != 4 {
        return Err(Outcome::DropIpVersion);
    }
    if header_octets < ipv4::HEADER_OCTETS || octets.len() < L3 + header_octets {
        return Err(Outcome::DropIpHeaderLength);
    }
    Ok(header_octets)
}

/// Parses an IPv4 packet with a header of `header_octets`, which lie within the frame.
#[inline(always)]
fn parse_packet(
    octets: &[u8],
    fixed: &Fixed,
    header_octets: usize,
    rx_checksum: RxChecksum,
    to_group: bool,
) -> Result<Parsed, Outcome> {
    let header = ipv4::Packet::new_unchecked(fixed);
    let total = usize::from(header.total_octets());
    if total < header_octets || octets.len() < L3 + total {
        return Err(Outcome::DropIpTotalLength);
    }
    let sound = match rx_checksum {
        RxChecksum::Good => true,
        RxChecksum::Bad => false,
        RxChecksum::Unknown if header_octets == fixed.len() => Sum::of_window(fixed).fold() == 0xffff,
        RxChecksum::Unknown => checksum::verify(&octets[L3..L3 + header_octets]),
    };
    if !sound {
        return Err(Outcome::DropIpChecksum);
    }
    let (src, dst) = (header.source().to_bits(), header.destination().to_bits());
    if !ipv4::is_host(src) {
        return Err(Outcome::DropIpSource);
    }
    if to_group || !ipv4::is_host(dst) {
        return Err(Outcome::DropIpGroup);
    }
    if header.is_fragment() {
        return Err(Outcome::DropFragment);
    }
    let start = L3 + header_octets;
    let parsed = Parsed {
        src: Address::v4(src),
        dst: Address::v4(dst),
        l4_offset: start as u16,
        ip_octets: total as u16,
        tos: header.tos(),
        ttl: header.ttl(),
        dont_fragment: header.dont_fragment(),
        ..ARP
    };
    let data = &octets[start..L3 + total];
    match header.protocol_number() {
        TCP => parse_tcp(data, parsed),
        UDP => parse_udp(data, parsed),
        ICMP => {
            let icmp = parse_icmp(data).ok_or(Outcome::DropIcmpMalformed)?;
            let Icmp { message_type, icmp_code, asker, asked } = icmp;
            Ok(Parsed { kind: Kind::Icmp, message_type, icmp_code, src_port: asker, dst_port: asked, ..parsed })
        }
        SCTP => {
            let (src_port, dst_port, message_type) = parse_sctp(data)?;
            Ok(Parsed { kind: Kind::Sctp, src_port, dst_port, message_type, ..parsed })
        }
        _ => Err(Outcome::DropProtocol),
    }
}

/// Parses the TCP segment that is `data`.
#[inline(always)]
fn parse_tcp(data: &[u8], parsed: Parsed) -> Result<Parsed, Outcome> {
    let fixed = data.first_chunk::<{ tcp::HEADER_OCTETS }>().ok_or(Outcome::DropTcpHeader)?;
    let header = tcp::Packet::new_unchecked(fixed);
    let header_octets = header.header_octets();
    if header_octets < tcp::HEADER_OCTETS || data.len() < header_octets {
        return Err(Outcome::DropTcpHeader);
    }
    let (src_port, dst_port) = (header.source_port(), header.destination_port());
    if src_port == 0 || dst_port == 0 {
        return Err(Outcome::DropPortZero);
    }
    Ok(Parsed { kind: Kind::Tcp, src_port, dst_port, tcp_flags: header.flags(), ..parsed })
}

/// Parses the UDP datagram that is in `data`. RFC 768 lets it be shorter than the IP packet's data.
#[inline(always)]
fn parse_udp(data: &[u8], parsed: Parsed) -> Result<Parsed, Outcome> {
    let fixed = data.first_chunk::<{ udp::HEADER_OCTETS }>().ok_or(Outcome::DropUdpLength)?;
    let header = udp::Packet::new_unchecked(fixed);
    let octets = usize::from(header.octets());
    if octets < udp::HEADER_OCTETS || data.len() < octets {
        return Err(Outcome::DropUdpLength);
    }
    let (src_port, dst_port) = (header.source_port(), header.destination_port());
    if src_port == 0 || dst_port == 0 {
        return Err(Outcome::DropPortZero);
    }
    Ok(Parsed { kind: Kind::Udp, src_port, dst_port, ..parsed })
}

/// Returns the ports of the SCTP packet that is `data`, and the type of the chunk that tells what it means. Apart from
/// the rest, for it is rare.
#[cold]
fn parse_sctp(data: &[u8]) -> Result<(u16, u16, u8), Outcome> {
    let packet = sctp::Packet::new_checked(data).map_err(|_| Outcome::DropSctpHeader)?;
    let (source, destination) = (packet.source_port(), packet.destination_port());
    if source == 0 || destination == 0 {
        return Err(Outcome::DropPortZero);
    }
    match deciding_chunk(packet.chunks()) {
        Some(Ok(chunk)) => Ok((source, destination, chunk.into())),
        Some(Err(_)) | None => Err(Outcome::DropSctpHeader),
    }
}

/// Returns the type of the chunk that tells what an SCTP packet means, or why the chunks are none; `None` if there are
/// none.
fn deciding_chunk(mut chunks: sctp::Chunks<'_>) -> Option<Result<ChunkType, wire::Error>> {
    let first = match chunks.next()? {
        Ok(chunk) => chunk.kind(),
        Err(error) => return Some(Err(error)),
    };
    if !matches!(first, ChunkType::CookieEcho | ChunkType::CookieAck) {
        return Some(Ok(first));
    }
    match chunks.next() {
        Some(Ok(second)) if second.kind() == ChunkType::Abort => Some(Ok(ChunkType::Abort)),
        Some(Err(error)) => Some(Err(error)),
        Some(Ok(_)) | None => Some(Ok(first)),
    }
}

/// What there is to say about an ICMP message.
struct Icmp {
    message_type: u8,
    icmp_code: u8,
    /// An echo request's identifier, which stands for its sender's port.
    asker: u16,
    /// An echo reply's, which stands for its receiver's.
    asked: u16,
}

/// Parses the ICMP message that is `data`, having added it up: what is answered here nobody else checks.
#[inline(never)]
fn parse_icmp(data: &[u8]) -> Option<Icmp> {
    let message = icmp::Packet::new_checked(data).ok()?;
    let of = |kind| if message.kind() == kind { message.identifier() } else { 0 };
    message.verify_checksum().then(|| Icmp {
        message_type: message.kind().into(),
        icmp_code: message.code(),
        asker: of(icmp::Type::EchoRequest),
        asked: of(icmp::Type::EchoReply),
    })
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
