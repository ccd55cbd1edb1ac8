//! Frames for tests, put together octet by octet, and checks of what came of them.
//!
//! Nothing here uses the views or the checksum module: what they get wrong must not be right here in the same way.

mod six;

use std::net::SocketAddrV4;

pub use self::six::Ip6;
use super::port::memory::{Arrival, MemoryFrame, MemoryLimits, MemoryPort};
use super::port::{Burst, Port, RxChecksum};

/// The director's port.
pub const PORT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Whoever sends to it.
pub const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x0c, 0x02];

/// Sums 16-bit words one by one, folding after each.
pub fn naive_sum(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// CRC32c bit by bit (RFC 9260 Appendix A).
pub fn naive_crc(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// A frame to [`PORT_MAC`] with `payload`.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&PORT_MAC[..], &PEER_MAC, &ethertype.to_be_bytes(), payload].concat()
}

/// An IPv4 packet in the making.
#[derive(Clone, Debug)]
pub struct Ip {
    /// DSCP and ECN.
    pub tos: u8,
    /// The identification.
    pub identification: u16,
    /// The word of flags and fragment offset; DF unless told.
    pub flags_offset: u16,
    /// The time to live.
    pub ttl: u8,
    /// The protocol.
    pub protocol: u8,
    /// The source address.
    pub source: [u8; 4],
    /// The destination address.
    pub destination: [u8; 4],
    /// The options: whole words.
    pub options: Vec<u8>,
}

impl Default for Ip {
    fn default() -> Self {
        Self {
            tos: 0,
            identification: 0x1c46,
            flags_offset: 0x4000,
            ttl: 64,
            protocol: 6,
            source: [198, 51, 100, 7],
            destination: [203, 0, 113, 10],
            options: Vec::new(),
        }
    }
}

impl Ip {
    /// Returns the packet that carries `data`.
    pub fn packet(&self, data: &[u8]) -> Vec<u8> {
        assert_eq!(self.options.len() % 4, 0);
        let header_octets = 20 + self.options.len();
        let total = (header_octets + data.len()) as u16;
        let mut header = vec![0x40 | (header_octets / 4) as u8, self.tos];
        header.extend(total.to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.flags_offset.to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.source);
        header.extend(self.destination);
        header.extend(&self.options);
        fix_header_checksum(&mut header);
        header.extend(data);
        header
    }

    /// Returns the frame that carries `data`.
    pub fn frame(&self, data: &[u8]) -> Vec<u8> {
        ethernet(0x0800, &self.packet(data))
    }

    fn pseudo(&self, octets: usize) -> Vec<u8> {
        let mut pseudo = [self.source, self.destination].concat();
        pseudo.extend([0, self.protocol]);
        pseudo.extend((octets as u16).to_be_bytes());
        pseudo
    }

    fn with_addresses(mut self, protocol: u8, from: SocketAddrV4, to: SocketAddrV4) -> Self {
        self.protocol = protocol;
        self.source = from.ip().octets();
        self.destination = to.ip().octets();
        self
    }

    /// Returns the frame of a TCP segment, its checksum right.
    pub fn tcp(self, from: SocketAddrV4, to: SocketAddrV4, flags: u8, data: &[u8]) -> Vec<u8> {
        let ip = self.with_addresses(6, from, to);
        ip.frame(&tcp(|octets| ip.pseudo(octets), (from.port(), to.port()), flags, data))
    }

    /// Returns the frame of a UDP datagram, its checksum right.
    pub fn udp(self, from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Vec<u8> {
        let ip = self.with_addresses(17, from, to);
        ip.frame(&udp(|octets| ip.pseudo(octets), (from.port(), to.port()), data))
    }

    /// Returns the frame of an SCTP packet, its checksum right; `chunks` are all that follows the common header.
    pub fn sctp(self, from: SocketAddrV4, to: SocketAddrV4, chunks: &[u8]) -> Vec<u8> {
        self.with_addresses(132, from, to).frame(&sctp((from.port(), to.port()), chunks))
    }

    /// Returns the frame of an ICMP message, its checksum right.
    pub fn icmp(mut self, kind: u8, code: u8, rest: u32, data: &[u8]) -> Vec<u8> {
        self.protocol = 1;
        self.frame(&icmp(|_| Vec::new(), kind, code, rest, data))
    }
}

fn ports((from, to): (u16, u16)) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

/// A TCP segment, its checksum right over the pseudo header for its length.
fn tcp(pseudo: impl Fn(usize) -> Vec<u8>, between: (u16, u16), flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = ports(between);
    segment.extend([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    segment.extend(data);
    let sum = !naive_sum(&[pseudo(segment.len()), segment.clone()].concat());
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// A UDP datagram, its checksum right over the pseudo header for its length.
fn udp(pseudo: impl Fn(usize) -> Vec<u8>, between: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut datagram = ports(between);
    datagram.extend((8 + data.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    let sum = !naive_sum(&[pseudo(datagram.len()), datagram.clone()].concat());
    datagram[6..8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    datagram
}

/// An SCTP packet, its checksum right.
fn sctp(between: (u16, u16), chunks: &[u8]) -> Vec<u8> {
    let mut packet = ports(between);
    packet.extend([0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0]);
    packet.extend(chunks);
    let sum = naive_crc(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

/// An ICMP message, its checksum right over the pseudo header for its length; IPv4's is empty.
fn icmp(pseudo: impl Fn(usize) -> Vec<u8>, kind: u8, code: u8, rest: u32, data: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(data);
    let sum = !naive_sum(&[pseudo(message.len()), message.clone()].concat());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Computes anew the header checksum of the IPv4 packet that `packet` begins with, however long it says its header is.
pub fn fix_header_checksum(packet: &mut [u8]) {
    let header_octets = packet.len().min(usize::from(packet[0] & 0xf) * 4);
    packet[10..12].fill(0);
    let sum = !naive_sum(&packet[..header_octets]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Asserts that every checksum in a frame's IP packet is right, and those of the packet inside it too.
pub fn assert_sound(frame: &[u8]) {
    match be16(frame, 12) {
        0x0800 => assert_packet_sound(&frame[14..]),
        0x86dd => six::assert_packet_sound(&frame[14..]),
        other => panic!("not an IP frame: {other:#06x}"),
    }
}

fn assert_packet_sound(packet: &[u8]) {
    assert_eq!(packet[0] >> 4, 4);
    let (header_octets, total) = (usize::from(packet[0] & 0xf) * 4, usize::from(be16(packet, 2)));
    assert_eq!(naive_sum(&packet[..header_octets]), 0xffff, "IPv4 header checksum of {packet:02x?}");
    assert_eq!(packet.len(), total, "nothing behind the packet");
    let data = &packet[header_octets..];
    let pseudo = [&packet[12..20], &[0, packet[9]], &(data.len() as u16).to_be_bytes()].concat();
    match packet[9] {
        1 => assert_eq!(naive_sum(data), 0xffff, "ICMP checksum of {data:02x?}"),
        17 if be16(data, 6) == 0 => {}
        protocol => assert_data_sound(protocol, &pseudo, data),
    }
}

/// What both families have in common.
fn assert_data_sound(protocol: u8, pseudo: &[u8], data: &[u8]) {
    match protocol {
        4 => assert_packet_sound(data),
        41 => six::assert_packet_sound(data),
        6 | 17 => assert_eq!(naive_sum(&[pseudo, data].concat()), 0xffff, "transport checksum of {data:02x?}"),
        132 => {
            let blank = [&data[..8], &[0; 4], &data[12..]].concat();
            assert_eq!(data[8..12], naive_crc(&blank).to_le_bytes(), "CRC32c of {data:02x?}");
        }
        other => panic!("protocol {other} is not checked"),
    }
}

/// Reads a big-endian word.
pub fn be16(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// Returns `octets` as a frame that a port received.
pub fn received(octets: &[u8]) -> MemoryFrame {
    received_as(octets, Arrival::default())
}

/// Returns `octets` as a frame about whose header checksum the port had an opinion.
pub fn received_with(octets: &[u8], checksum: RxChecksum) -> MemoryFrame {
    received_as(octets, Arrival { checksum, ..Arrival::default() })
}

/// Returns `octets` as a frame that arrived in a particular manner.
pub fn received_as(octets: &[u8], manner: Arrival) -> MemoryFrame {
    let limits = MemoryLimits { frames: 1, room: 66_000, departures: 1 };
    let (mut port, wire) = MemoryPort::with_limits(limits);
    wire.inject_as(octets, manner).unwrap();
    let mut burst = Burst::new();
    port.receive(&mut burst);
    burst.pop().unwrap()
}
