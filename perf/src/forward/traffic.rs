//! The frames of many flows: one template, into which each flow's addresses and checksums are stamped.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use etherparse::PacketBuilder;

/// A frame of 64 octets on the wire, without the four of its check sequence: a TCP segment without data, padded.
pub const FRAME: usize = 60;

/// The same over IPv6, which needs no padding.
const SIX_FRAME: usize = 14 + 40 + 20;

/// How long frames are that come in, without their check sequence.
pub const fn frame_octets(six: bool) -> usize {
    if six { SIX_FRAME } else { FRAME }
}

/// A datagram's data: what fills the shortest frame.
const PAYLOAD: usize = FRAME - 14 - 20 - 8;

/// Real servers of a service.
pub const REALS: u32 = 16;

pub const DIRECTOR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const VIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 80);

/// Clients and real servers have the same addresses over IPv6, each behind a prefix.
const CLIENTS_SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0);
pub const LAN_SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0);
pub const DIRECTOR_SIX: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub const VIP_SIX: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x10), 80, 0, 0);

/// An address behind a prefix.
pub const fn in_six(prefix: Ipv6Addr, address: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(prefix.to_bits() | address as u128)
}

/// The address that lies behind a prefix of 96 bits.
pub const fn out_of_six(address: Ipv6Addr) -> u32 {
    address.to_bits() as u32
}

/// The first and the last of full NAT's local addresses: ten times as many ports as ten million flows take.
pub const LOCALS: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 0, 0, 64), Ipv4Addr::new(10, 0, 0, 191));

const FIRST_REAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 16);
const FIRST_CLIENT: u32 = Ipv4Addr::new(16, 0, 0, 0).to_bits();
const FLOWS_A_CLIENT: u32 = 16;
const FIRST_PORT: u32 = 1024;
const PORT_STEP: u32 = 4001;

/// Returns the client's side of a flow: its address, in host order, and its port.
#[inline]
pub const fn client(flow: u32) -> (u32, u16) {
    (FIRST_CLIENT + flow / FLOWS_A_CLIENT, (FIRST_PORT + flow % FLOWS_A_CLIENT * PORT_STEP) as u16)
}

/// Returns the flow of a client's address and port.
pub const fn flow(address: u32, port: u16) -> u32 {
    (address - FIRST_CLIENT) * FLOWS_A_CLIENT + (port as u32 - FIRST_PORT) / PORT_STEP
}

/// The real server of a flow, by round robin: flows connect in the order of their numbers.
#[inline]
pub const fn real(flow: u32) -> u32 {
    flow % REALS
}

/// The address of a real server, counted from 0.
pub const fn real_address(real: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST_REAL.to_bits() + real)
}

/// Its Ethernet address.
pub const fn real_mac(real: u32) -> [u8; 6] {
    [2, 0, 0, 0, 2, real as u8]
}

/// What kind of segment, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A client's SYN.
    Syn,
    /// A client's ACK.
    Ack,
    /// A real server's SYN and ACK.
    ReplySyn,
    /// A real server's ACK.
    Reply,
    /// A client's FIN.
    Fin,
    /// A client's datagram, by UDP.
    Datagram,
}

impl Segment {
    const fn is_reply(self) -> bool {
        matches!(self, Self::ReplySyn | Self::Reply)
    }
}

/// The local address, in host order, and port that a connection by full NAT has towards its real server, counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    address: u32,
    port: u16,
    real: u8,
}

impl Answered {
    /// Reads them from a frame that is on its way to the real server; nothing of other frames.
    pub fn of(octets: &[u8]) -> Option<Self> {
        let address = |at| octets.get(at..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets));
        let at = Places::new(false, false);
        let real = address(at.destination)?.checked_sub(FIRST_REAL.to_bits()).filter(|real| *real < REALS)?;
        let port = u16::from_be_bytes(*octets.get(at.source_port..)?.first_chunk()?);
        Some(Self { address: address(at.source)?, port, real: real as u8 })
    }
}

/// Frames of one kind, one for each flow.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// With zeros where flows differ; of this family's length.
    template: [u8; SIX_FRAME],
    /// How long the frames are.
    pub octets: usize,
    reply: bool,
    at: Places,
    /// The sums of all but what differs, as RFC 1071 adds them up.
    ip_sum: u32,
    transport_sum: u32,
}

/// Where in a frame what differs lies.
#[derive(Clone, Copy, Debug)]
struct Places {
    /// IPv6 has none.
    ip_checksum: Option<usize>,
    /// The last four octets of the addresses.
    source: usize,
    destination: usize,
    source_port: usize,
    destination_port: usize,
    checksum: usize,
}

impl Places {
    const fn new(six: bool, udp: bool) -> Self {
        let (source, destination, transport) = if six { (34, 50, 54) } else { (26, 30, 34) };
        Self {
            ip_checksum: if six { None } else { Some(24) },
            source,
            destination,
            source_port: transport,
            destination_port: transport + 2,
            checksum: transport + if udp { 6 } else { 16 },
        }
    }
}

impl Traffic {
    /// Frames of `segment`, over IPv4.
    pub fn new(segment: Segment) -> Self {
        Self::of(segment, false)
    }

    /// Frames of `segment`; datagrams are of IPv4 only.
    pub fn of(segment: Segment, six: bool) -> Self {
        let reply = segment.is_reply();
        let (mac, from_port, to_port) = if reply { (real_mac(0), VIP.port(), 0) } else { (GATEWAY_MAC, 0, VIP.port()) };
        let ethernet = PacketBuilder::ethernet2(mac, DIRECTOR_MAC);
        let ip = if six {
            let (from, to) = if reply { (LAN_SIX, CLIENTS_SIX) } else { (CLIENTS_SIX, *VIP_SIX.ip()) };
            ethernet.ipv6(from.octets(), to.octets(), 64)
        } else {
            let to = if reply { Ipv4Addr::UNSPECIFIED } else { *VIP.ip() };
            ethernet.ipv4([0; 4], to.octets(), 64)
        };
        let mut frame = Vec::new();
        let udp = segment == Segment::Datagram;
        let written = if udp {
            ip.udp(from_port, to_port).write(&mut frame, &[0; PAYLOAD])
        } else {
            let tcp = ip.tcp(from_port, to_port, 1000, 4096);
            let tcp = match segment {
                Segment::Syn | Segment::Datagram => tcp.syn(),
                Segment::Ack | Segment::Reply => tcp.ack(2000),
                Segment::Fin => tcp.fin().ack(2000),
                Segment::ReplySyn => tcp.syn().ack(2000),
            };
            tcp.write(&mut frame, &[])
        };
        written.expect("a vector takes every octet");
        frame.resize(SIX_FRAME, 0);
        let template: [u8; SIX_FRAME] = frame.try_into().expect("resized to it");
        let at = Places::new(six, udp);
        let sum = |at: usize| u32::from(!u16::from_be_bytes([template[at], template[at + 1]]));
        let (ip_sum, transport_sum) = (at.ip_checksum.map_or(0, sum), sum(at.checksum));
        Self { template, octets: frame_octets(six), reply, at, ip_sum, transport_sum }
    }

    /// Writes the frame of `flow` into `octets`, which are as long as these frames.
    #[inline]
    pub fn stamp(&self, octets: &mut [u8], flow: u32) {
        // With a length that is known here the copy is a few instructions.
        if self.octets == FRAME {
            self.stamp_as::<FRAME>(octets, flow);
        } else {
            self.stamp_as::<SIX_FRAME>(octets, flow);
        }
    }

    #[inline]
    fn stamp_as<const N: usize>(&self, octets: &mut [u8], flow: u32) {
        let Some(octets) = octets.first_chunk_mut::<N>() else { return };
        octets.copy_from_slice(&self.template[..N]);
        self.differ(octets, client(flow), real(flow));
    }

    /// Writes the frame of a real server's answer by full NAT, which goes to a local address.
    #[inline]
    pub fn stamp_to(&self, octets: &mut [u8], to: Answered) {
        let Some(octets) = octets.first_chunk_mut::<FRAME>() else { return };
        octets.copy_from_slice(&self.template[..FRAME]);
        self.differ(octets, (to.address, to.port), u32::from(to.real));
    }

    /// Writes what differs: the client's side, and for answers the real server.
    #[inline]
    fn differ<const N: usize>(&self, octets: &mut [u8; N], (address, port): (u32, u16), real: u32) {
        let at = self.at;
        let mut addresses = (address >> 16) + (address & 0xffff);
        if self.reply {
            let real = real_address(real).to_bits();
            addresses += (real >> 16) + (real & 0xffff);
            set(octets, at.source, real.to_be_bytes());
            set(octets, at.destination, address.to_be_bytes());
            set(octets, at.destination_port, port.to_be_bytes());
        } else {
            set(octets, at.source, address.to_be_bytes());
            set(octets, at.source_port, port.to_be_bytes());
        }
        if let Some(place) = at.ip_checksum {
            set(octets, place, checksum(self.ip_sum + addresses).to_be_bytes());
        }
        // A UDP checksum that comes out as 0 says that there is none (RFC 768), which is as right.
        let transport = checksum(self.transport_sum + addresses + u32::from(port));
        set(octets, at.checksum, transport.to_be_bytes());
    }
}

#[inline]
fn set<const N: usize>(octets: &mut [u8], at: usize, field: [u8; N]) {
    octets[at..at + N].copy_from_slice(&field);
}

#[inline]
const fn checksum(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    !((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_has_a_client_of_its_own() {
        for number in [0, 1, 15, 16, 17, 999_999, 9_999_999] {
            let (address, port) = client(number);
            assert_eq!(flow(address, port), number);
        }
    }

    #[test]
    fn stamped_checksums_are_right() {
        let all = [Segment::Syn, Segment::Ack, Segment::ReplySyn, Segment::Reply, Segment::Fin, Segment::Datagram];
        for (segment, six) in all.into_iter().flat_map(|segment| [(segment, false), (segment, true)]) {
            if six && segment == Segment::Datagram {
                continue;
            }
            let traffic = Traffic::of(segment, six);
            for flow in (0..10_000_000).step_by(9_973) {
                let mut octets = vec![0xa5; frame_octets(six)];
                traffic.stamp(&mut octets, flow);
                super::super::verify::checksums(&octets).unwrap();
            }
        }
    }
}
