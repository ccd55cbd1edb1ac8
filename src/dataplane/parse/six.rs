//! IPv6 packets (RFC 8200). Nearly all have no extension headers; what is behind some is found by a walk with a bound.
//!
//! An atomic fragment (RFC 6946), which is the whole packet, is taken as one that is not fragmented.

use std::net::Ipv6Addr;

use super::{ARP, Icmp, Kind, L3, Parsed, SCTP, TCP, UDP, parse_sctp, parse_tcp, parse_udp};
use crate::dataplane::address::Address;
use crate::dataplane::stats::Outcome;
use crate::dataplane::wire::checksum::Sum;
use crate::dataplane::wire::{Error, icmpv6, ip, ipv6};

const ICMPV6: u8 = ip::Protocol::Icmpv6.number();

/// Parses the IPv6 packet in `octets`, a frame.
#[inline]
pub(super) fn parse(octets: &[u8], to_group: bool) -> Result<Parsed, Outcome> {
    let header = ipv6::Packet::new_checked(&octets[L3..]).map_err(|error| match error {
        Error::Version => Outcome::DropIpVersion,
        Error::Length => Outcome::DropIpTotalLength,
        _ => Outcome::DropTruncated,
    })?;
    let total = header.total_octets();
    let ip_octets = u16::try_from(total).map_err(|_| Outcome::DropIpTotalLength)?;
    let (source, destination) = (header.source(), header.destination());
    let parsed = Parsed {
        src: Address::v6(source),
        dst: Address::v6(destination),
        l4_offset: (L3 + ipv6::HEADER_OCTETS) as u16,
        ip_octets,
        tos: header.traffic_class(),
        ttl: header.hop_limit(),
        dont_fragment: true,
        ..ARP
    };
    if to_group || !ipv6::is_host(destination) || !ipv6::is_host(source) {
        return unusual(octets, to_group, parsed);
    }
    let data = &octets[L3 + ipv6::HEADER_OCTETS..L3 + total];
    match header.next_header().number() {
        TCP => parse_tcp(data, parsed),
        UDP => parse_udp(data, parsed),
        _ => behind(octets, parsed),
    }
}

/// Parses what is neither TCP nor UDP right behind the fixed header.
#[inline(never)]
fn behind(octets: &[u8], parsed: Parsed) -> Result<Parsed, Outcome> {
    let packet = &octets[L3..parsed.frame_octets()];
    let upper = ipv6::Packet::new_unchecked(packet).upper().map_err(|error| match error {
        Error::Type => Outcome::DropProtocol,
        _ => Outcome::DropIpHeaderLength,
    })?;
    if upper.fragment.is_some_and(|fragment| fragment.offset != 0 || fragment.more) {
        return Err(Outcome::DropFragment);
    }
    let parsed = Parsed { l4_offset: (L3 + upper.offset) as u16, ..parsed };
    let data = &packet[upper.offset..];
    match upper.protocol.number() {
        TCP => parse_tcp(data, parsed),
        UDP => parse_udp(data, parsed),
        ICMPV6 => {
            let Icmp { message_type, icmp_code, asker, asked } =
                parse_icmp(data, parsed).ok_or(Outcome::DropIcmpMalformed)?;
            Ok(Parsed { kind: Kind::Icmpv6, message_type, icmp_code, src_port: asker, dst_port: asked, ..parsed })
        }
        SCTP => {
            let (src_port, dst_port, message_type) = parse_sctp(data)?;
            Ok(Parsed { kind: Kind::Sctp, src_port, dst_port, message_type, ..parsed })
        }
        _ => Err(Outcome::DropProtocol),
    }
}

/// Parses a packet that is not from one host to another. Of those only neighbour discovery concerns the director (RFC 4861 §7):
/// it goes to groups, and where an address is looked for that may be taken it comes from nobody.
#[cold]
fn unusual(octets: &[u8], to_group: bool, parsed: Parsed) -> Result<Parsed, Outcome> {
    let (source, destination) = (parsed.src.to_bits(), parsed.dst.to_v6());
    let group = destination.is_multicast();
    let from_somebody = ipv6::is_host(Ipv6Addr::from_bits(source));
    if !from_somebody && source != 0 {
        return Err(Outcome::DropIpSource);
    }
    if !group && (to_group || !ipv6::is_host(destination)) {
        return Err(Outcome::DropIpGroup);
    }
    let refused = if from_somebody { Outcome::DropIpGroup } else { Outcome::DropIpSource };
    let found = behind(octets, parsed).map_err(|_| refused)?;
    let discovery = icmpv6::Type::from(found.message_type).is_neighbor_discovery();
    if found.kind == Kind::Icmpv6 && discovery { Ok(found) } else { Err(refused) }
}

/// Parses the ICMPv6 message that is `data`, having added it up: what is answered here nobody else checks.
fn parse_icmp(data: &[u8], packet: Parsed) -> Option<Icmp> {
    let message = icmpv6::Packet::new_checked(data).ok()?;
    let [source, destination] = [packet.src, packet.dst].map(|address| address.to_v6());
    let pseudo = Sum::pseudo_v6(source, destination, ICMPV6, data.len() as u32);
    let of = |kind| if message.kind() == kind { message.identifier() } else { 0 };
    message.verify_checksum(pseudo).then(|| Icmp {
        message_type: message.kind().into(),
        icmp_code: message.code(),
        asker: of(icmpv6::Type::EchoRequest),
        asked: of(icmpv6::Type::EchoReply),
    })
}
