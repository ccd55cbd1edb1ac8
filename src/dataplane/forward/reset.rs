//! The director's answer to a TCP segment that nobody takes: a reset, in place (RFC 9293 §3.10.7.1, "CLOSED").
//!
//! | the segment | the reset's sequence number | its acknowledgement |
//! |---|---|---|
//! | has ACK | what the segment acknowledges | none |
//! | has none | 0 | of all that the segment has: data, SYN, FIN |
//!
//! It comes from where the segment was sent to. IPv4's options, IPv6's extension headers and TCP's options do not come back.

use super::Error;
use super::echo::TTL;
use crate::dataplane::address::Family;
use crate::dataplane::parse::Parsed;
use crate::dataplane::port::Frame;
use crate::dataplane::wire::checksum::Sum;
use crate::dataplane::wire::ip::Protocol;
use crate::dataplane::wire::tcp::{self, Flags, SeqNumber};
use crate::dataplane::wire::{ethernet, ipv4, ipv6};

/// Turns the TCP segment in the untagged `frame`, which is not a reset itself, into the reset that answers it. The Ethernet addresses
/// are swapped. `identification` is for IPv4.
///
/// # Errors
/// [`Error::Truncated`] if the frame is not as `packet` says, or has no room.
pub fn answer<F: Frame>(frame: &mut F, packet: &Parsed, identification: u16) -> Result<(), Error> {
    let (l3, l4) = (usize::from(packet.l3_offset), usize::from(packet.l4_offset));
    if l3 != ethernet::HEADER_OCTETS {
        return Err(Error::Truncated);
    }
    let reset = Reset::of(frame.bytes().get(l4..packet.frame_octets()).ok_or(Error::Truncated)?)?;
    let header = match packet.family() {
        Family::V4 => ipv4::HEADER_OCTETS,
        Family::V6 => ipv6::HEADER_OCTETS,
    };
    let octets = frame.set_len(l3 + header + tcp::HEADER_OCTETS).ok_or(Error::Truncated)?;
    let (link, octets) = octets.split_at_mut(l3);
    let mut link = ethernet::Frame::new_unchecked(link);
    let (to, from) = (link.source(), link.destination());
    link.set_destination(to);
    link.set_source(from);
    let (ip, segment) = octets.split_at_mut(header);
    let pseudo = match packet.family() {
        Family::V4 => {
            let [source, destination] = [packet.dst, packet.src].map(|address| address.low().into());
            let repr = ipv4::Repr {
                tos: 0,
                identification,
                dont_fragment: true,
                ttl: TTL,
                protocol: Protocol::Tcp,
                source,
                destination,
                payload_octets: tcp::HEADER_OCTETS as u16,
            };
            repr.emit(&mut ipv4::Packet::new_unchecked(ip));
            Sum::pseudo_v4(source, destination, Protocol::Tcp.into(), tcp::HEADER_OCTETS as u16)
        }
        Family::V6 => {
            let [source, destination] = [packet.dst, packet.src].map(|address| address.to_v6());
            let repr = ipv6::Repr {
                traffic_class: 0,
                flow_label: 0,
                hop_limit: TTL,
                next_header: Protocol::Tcp,
                source,
                destination,
                payload_octets: tcp::HEADER_OCTETS as u16,
            };
            repr.emit(&mut ipv6::Packet::new_unchecked(ip));
            Sum::pseudo_v6(source, destination, Protocol::Tcp.into(), tcp::HEADER_OCTETS as u32)
        }
    };
    reset.emit(segment, (packet.dst_port, packet.src_port), pseudo);
    Ok(())
}

/// What a reset says.
#[derive(Clone, Copy)]
struct Reset {
    sequence: SeqNumber,
    acknowledgment: Option<SeqNumber>,
}

impl Reset {
    /// Of what answers a segment.
    fn of(segment: &[u8]) -> Result<Self, Error> {
        let segment = tcp::Packet::new_checked(segment).map_err(|_| Error::Truncated)?;
        let flags = segment.flags();
        if flags.contains(Flags::ACK) {
            return Ok(Self { sequence: segment.acknowledgment(), acknowledgment: None });
        }
        let controls = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        let end = segment.sequence() + (segment.payload().len() as u32 + controls);
        Ok(Self { sequence: SeqNumber(0), acknowledgment: Some(end) })
    }

    /// Writes all of the segment.
    fn emit(self, buffer: &mut [u8], (from, to): (u16, u16), pseudo: Sum) {
        let mut segment = tcp::Packet::new_unchecked(buffer);
        segment.set_source_port(from);
        segment.set_destination_port(to);
        segment.set_sequence(self.sequence);
        segment.set_acknowledgment(self.acknowledgment.unwrap_or(SeqNumber(0)));
        segment.set_header_octets(tcp::HEADER_OCTETS);
        segment.set_flags(if self.acknowledgment.is_some() { Flags::RST | Flags::ACK } else { Flags::RST });
        segment.set_window(0);
        segment.set_urgent(0);
        segment.fill_checksum(pseudo);
    }
}
