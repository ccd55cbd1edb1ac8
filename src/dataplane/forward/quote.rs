//! The packet that an ICMP error is about: read as far as the error quotes it, and translated there (RFC 5508 §4.2).
//!
//! ```text
//!   +----------+-----------+------+===========+===================+--------------
//!   | Ethernet | IP header | ICMP ‖ IP header | first octets of   | extensions,
//!   |          |           |      ‖ quoted    | what it carried   | RFC 4884
//!   +----------+-----------+------+===========+===================+--------------
//! ```
//! | an error | on its way to | quotes what went | quoted there is replaced | of the error itself |
//! |---|---|---|---|---|
//! | [`inbound`] | the real server | from the VIP to the client | the source | the destination |
//! | [`outbound`] | the client | from the client to the real server | the destination | the source |
//!
//! Of a quote there are eight octets behind the IP header at the least (RFC 792): TCP's, UDP's and SCTP's ports, an echo's identifier. The
//! quoted checksums are updated as far as they are quoted (RFC 1624): IPv4's header, UDP's, ICMPv6's, and TCP's where the quote goes
//! that far. SCTP's CRC32c is left as it is, since what it covers is not there; nobody looks at it. ICMP's own is updated by all that
//! changes under it, so an error that was damaged stays so.

use super::Error;
use super::header::{End, Header, Ipv4Window, Ipv6Window, split};
use crate::dataplane::address::{Address, Family, TransportAddress};
use crate::dataplane::parse::{Kind, Parsed};
use crate::dataplane::wire::checksum::{Delta, Sum};
use crate::dataplane::wire::{icmp, icmpv6, ip, ipv4, ipv6, tcp, udp};

/// A quoted packet. Offsets are from the start of the frame, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where its IP header begins.
    l3: usize,
    /// Where what that carries begins.
    l4: usize,
    /// Where the quote ends.
    end: usize,
    /// What it carries; of IPv6, behind the extension headers.
    pub protocol: ip::Protocol,
    /// Whose it was.
    pub source: Address,
    /// Whom it was for.
    pub destination: Address,
}

impl Quote {
    /// Reads what the ICMP error that begins at `l4` in `frame` quotes: a packet of the error's own family. `None` if it is no
    /// packet from one host to another, or the middle of one (a later fragment), or ends within its headers.
    pub fn of(frame: &[u8], l4: usize, family: Family) -> Option<Self> {
        let start = l4 + icmp::HEADER_OCTETS;
        let message = icmp::Packet::new_unchecked(frame.get(l4..start)?);
        let end = match length_attribute(message.kind().into(), message.rest(), family) {
            0 => frame.len(),
            octets => frame.len().min(start + octets),
        };
        Self::at(frame, start, end, family)
    }

    /// Reads the packet that this one carries, where it is a tunnel's.
    pub fn inner(&self, frame: &[u8]) -> Option<Self> {
        let family = match self.protocol {
            ip::Protocol::Ipv4 => Family::V4,
            ip::Protocol::Ipv6 => Family::V6,
            _ => return None,
        };
        Self::at(frame, self.l4, self.end, family)
    }

    fn at(frame: &[u8], l3: usize, end: usize, family: Family) -> Option<Self> {
        let packet = frame.get(l3..end)?;
        match family {
            Family::V4 => {
                let header = ipv4::Packet::new_unchecked(packet);
                header.check_header().ok()?;
                let (source, destination) = (header.source(), header.destination());
                let between_hosts = ipv4::is_host(source.to_bits()) && ipv4::is_host(destination.to_bits());
                let usable = header.version() == 4 && header.fragment_offset() == 0 && between_hosts;
                usable.then(|| Self {
                    l3,
                    l4: l3 + header.header_octets(),
                    end,
                    protocol: header.protocol(),
                    source: source.into(),
                    destination: destination.into(),
                })
            }
            Family::V6 => {
                let header = ipv6::Packet::new_unchecked(packet);
                header.check_header().ok()?;
                let upper = header.upper().ok()?;
                let later = upper.fragment.is_some_and(|fragment| fragment.offset != 0);
                let (source, destination) = (header.source(), header.destination());
                (!later && ipv6::is_host(source) && ipv6::is_host(destination)).then(|| Self {
                    l3,
                    l4: l3 + upper.offset,
                    end,
                    protocol: upper.protocol,
                    source: source.into(),
                    destination: destination.into(),
                })
            }
        }
    }

    /// Where it lies in the frame.
    pub fn octets(&self) -> std::ops::Range<usize> {
        self.l3..self.end
    }

    /// How long the packet was, in octets: its header says so.
    pub fn total_octets(&self, frame: &[u8]) -> Option<usize> {
        let packet = frame.get(self.l3..)?;
        Some(match self.source.family() {
            Family::V4 => {
                ipv4::Packet::new_unchecked(packet.first_chunk::<{ ipv4::HEADER_OCTETS }>()?).total_octets().into()
            }
            Family::V6 => ipv6::Packet::new_unchecked(packet.first_chunk::<{ ipv6::HEADER_OCTETS }>()?).total_octets(),
        })
    }

    /// Whether routers might not fragment the packet.
    pub fn dont_fragment(&self, frame: &[u8]) -> bool {
        let v4 = || frame.get(self.l3..)?.first_chunk::<{ ipv4::HEADER_OCTETS }>();
        self.source.family() == Family::V6
            || v4().is_some_and(|header| ipv4::Packet::new_unchecked(header).dont_fragment())
    }

    /// Which connection it was of: its addresses, ports and kind, as the parser would tell them. `None` if it is of a protocol that
    /// is not balanced, an ICMP message but an echo, or quoted too briefly.
    pub fn flow(&self, frame: &[u8]) -> Option<Parsed> {
        let beginning = frame.get(self.l4..self.end)?.first_chunk::<8>()?;
        let of = Parsed { src: self.source, dst: self.destination, ..Parsed::NOTHING };
        let kind = match (self.protocol, self.source.family()) {
            (ip::Protocol::Tcp, _) => Kind::Tcp,
            (ip::Protocol::Udp, _) => Kind::Udp,
            (ip::Protocol::Sctp, _) => Kind::Sctp,
            (ip::Protocol::Icmp, Family::V4) => {
                let message = icmp::Packet::new_unchecked(beginning);
                let asks = echo(message.kind(), icmp::Type::EchoRequest, icmp::Type::EchoReply)?;
                return Some(of_echo(Kind::Icmp, message.kind().into(), asks, message.identifier(), of));
            }
            (ip::Protocol::Icmpv6, Family::V6) => {
                let message = icmpv6::Packet::new_unchecked(beginning);
                let asks = echo(message.kind(), icmpv6::Type::EchoRequest, icmpv6::Type::EchoReply)?;
                return Some(of_echo(Kind::Icmpv6, message.kind().into(), asks, message.identifier(), of));
            }
            _ => return None,
        };
        let ports = udp::Packet::new_unchecked(beginning);
        Some(Parsed { kind, src_port: ports.source_port(), dst_port: ports.destination_port(), ..of })
    }
}

/// Whether a message asks for an echo; `None` if it is neither that nor the answer.
fn echo<T: PartialEq>(kind: T, request: T, reply: T) -> Option<bool> {
    if kind == request { Some(true) } else { (kind == reply).then_some(false) }
}

fn of_echo(kind: Kind, message_type: u8, asks: bool, identifier: u16, of: Parsed) -> Parsed {
    let (src_port, dst_port) = if asks { (identifier, 0) } else { (0, identifier) };
    Parsed { kind, message_type, src_port, dst_port, ..of }
}

/// How long an error says that its quote is, in octets, where extensions follow (RFC 4884 §4); 0 where nothing does. `rest` is the
/// error's second word.
fn length_attribute(kind: u8, rest: u32, family: Family) -> usize {
    use icmp::Type;
    use icmpv6::Type as Type6;
    match family {
        Family::V4 => match Type::from(kind) {
            Type::DestinationUnreachable | Type::TimeExceeded | Type::ParameterProblem => {
                (rest >> 16 & 0xff) as usize * 4
            }
            _ => 0,
        },
        Family::V6 => match Type6::from(kind) {
            Type6::DestinationUnreachable | Type6::TimeExceeded => (rest >> 24) as usize * 8,
            _ => 0,
        },
    }
}

/// Sends an error on to the real server `to`, whose packet it quotes as the VIP's. With `HOP` a hop is taken off the TTL, which
/// must not be 0.
///
/// `l3` and `l4` are where the IP header and the ICMP message begin in `frame`, and `quote` was read there. All are of one family.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold what it held when the quote was read.
pub fn inbound<const HOP: bool>(
    frame: &mut [u8],
    offsets: (usize, usize),
    quote: &Quote,
    to: TransportAddress,
) -> Result<(), Error> {
    translate::<HOP>(frame, offsets, quote, (End::Source, to), Some((End::Destination, to.address)))
}

/// Sends an error on to the client, about a packet that it sent to `to` and that was sent on from there; with `source`, as coming
/// from there. `HOP`, offsets and errors are as [`inbound`]'s.
///
/// # Errors
/// [`Error::Truncated`] if the frame does not hold what it held when the quote was read.
pub fn outbound<const HOP: bool>(
    frame: &mut [u8],
    offsets: (usize, usize),
    quote: &Quote,
    source: Option<Address>,
    to: TransportAddress,
) -> Result<(), Error> {
    translate::<HOP>(frame, offsets, quote, (End::Destination, to), source.map(|source| (End::Source, source)))
}

fn translate<const HOP: bool>(
    frame: &mut [u8],
    (l3, l4): (usize, usize),
    quote: &Quote,
    quoted: (End, TransportAddress),
    outer: Option<(End, Address)>,
) -> Result<(), Error> {
    if quote.l3 < l4 + icmp::HEADER_OCTETS || l4 < l3 || frame.len() < quote.end {
        return Err(Error::Truncated);
    }
    // All that may change: it lies at an even place of the message, and is of an even length unless the message ends with it.
    let changing = quote.l3..quote.end.min(quote.l4 + tcp::HEADER_OCTETS);
    let before = Sum::of(&frame[changing.clone()]);
    let change = |frame: &[u8]| Delta::u16(before.fold(), Sum::of(&frame[changing]).fold());
    match quote.source.family() {
        Family::V4 => {
            requote::<Ipv4Window<'_>>(frame, quote, quoted)?;
            let change = change(frame);
            readdress::<Ipv4Window<'_>, HOP>(frame, (l3, l4), outer, change)
        }
        Family::V6 => {
            requote::<Ipv6Window<'_>>(frame, quote, quoted)?;
            let change = change(frame);
            readdress::<Ipv6Window<'_>, HOP>(frame, (l3, l4), outer, change)
        }
    }
}

/// Replaces one end of a quoted packet.
fn requote<'a, H: Header<'a>>(
    frame: &'a mut [u8],
    quote: &Quote,
    (end, new): (End, TransportAddress),
) -> Result<(), Error> {
    let (mut ip, transport) = split::<H>(&mut frame[..quote.end], quote.l3, quote.l4)?;
    let address = ip.change(end, new.address);
    let beginning = transport.first_chunk_mut::<8>().ok_or(Error::Truncated)?;
    match quote.protocol {
        ip::Protocol::Icmp => {}
        ip::Protocol::Icmpv6 => {
            let mut message = icmpv6::Packet::new_unchecked(beginning);
            message.set_checksum(address.adjust(message.checksum()));
        }
        protocol => {
            // TCP and SCTP have their ports where UDP has them.
            let mut ports = udp::Packet::new_unchecked(beginning);
            let old = if end == End::Source { ports.source_port() } else { ports.destination_port() };
            match end {
                End::Source => ports.set_source_port(new.port),
                End::Destination => ports.set_destination_port(new.port),
            }
            let change = address.and(Delta::u16(old, new.port));
            if protocol == ip::Protocol::Udp {
                ports.set_checksum(change.adjust_udp(ports.checksum()));
            } else if protocol == ip::Protocol::Tcp
                && let Some(window) = transport.first_chunk_mut::<{ tcp::OCTETS_WITH_CHECKSUM }>()
            {
                let mut segment = tcp::Packet::new_unchecked(window);
                segment.set_checksum(change.adjust(segment.checksum()));
            }
        }
    }
    ip.readdress::<false>(end, new.address, address);
    Ok(())
}

/// Replaces an address of an error in which so much has changed, and takes a hop off it.
fn readdress<'a, H: Header<'a>, const HOP: bool>(
    frame: &'a mut [u8],
    (l3, l4): (usize, usize),
    outer: Option<(End, Address)>,
    change: Delta,
) -> Result<(), Error> {
    let (mut ip, message) = split::<H>(frame, l3, l4)?;
    let window = message.first_chunk_mut::<{ icmp::HEADER_OCTETS }>().ok_or(Error::Truncated)?;
    // ICMPv6 has its checksum where ICMP has it.
    let mut message = icmp::Packet::new_unchecked(window);
    let mut under = change;
    if let Some((end, new)) = outer {
        let address = ip.change(end, new);
        if H::ICMP_COVERS_ADDRESSES {
            under = under.and(address);
        }
        ip.readdress::<HOP>(end, new, address);
    } else if HOP {
        ip.hop();
    }
    message.set_checksum(under.adjust(message.checksum()));
    Ok(())
}
