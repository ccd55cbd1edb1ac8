//! The frames of many flows: one template, into which each flow's addresses and checksums are stamped.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::PacketBuilder;

/// A frame of 64 octets on the wire, without the four of its check sequence: a TCP segment without data, padded.
pub const FRAME: usize = 60;

/// A datagram's data: what fills the shortest frame.
const PAYLOAD: usize = FRAME - 14 - 20 - 8;

/// Real servers of a service.
pub const REALS: u32 = 16;

pub const DIRECTOR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const VIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 80);

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

/// Frames of one kind, one for each flow.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// With zeros where flows differ.
    template: [u8; FRAME],
    reply: bool,
    /// Where the transport's checksum lies.
    checksum_at: usize,
    /// The sums of all but what differs, as RFC 1071 adds them up.
    ip_sum: u32,
    transport_sum: u32,
}

mod at {
    pub const IP_CHECKSUM: usize = 24;
    pub const SOURCE: usize = 26;
    pub const DESTINATION: usize = 30;
    pub const SOURCE_PORT: usize = 34;
    pub const DESTINATION_PORT: usize = 36;
    pub const UDP_CHECKSUM: usize = 40;
    pub const TCP_CHECKSUM: usize = 50;
}

impl Traffic {
    /// Frames of `segment`.
    pub fn new(segment: Segment) -> Self {
        let reply = segment.is_reply();
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let service = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, VIP.port());
        let (mac, from, to) = if reply { (real_mac(0), service, nowhere) } else { (GATEWAY_MAC, nowhere, VIP) };
        let ip = PacketBuilder::ethernet2(mac, DIRECTOR_MAC).ipv4(from.ip().octets(), to.ip().octets(), 64);
        let mut frame = Vec::new();
        let written = if segment == Segment::Datagram {
            ip.udp(from.port(), to.port()).write(&mut frame, &[0; PAYLOAD])
        } else {
            let tcp = ip.tcp(from.port(), to.port(), 1000, 4096);
            let tcp = match segment {
                Segment::Syn | Segment::Datagram => tcp.syn(),
                Segment::Ack | Segment::Reply => tcp.ack(2000),
                Segment::Fin => tcp.fin().ack(2000),
                Segment::ReplySyn => tcp.syn().ack(2000),
            };
            tcp.write(&mut frame, &[])
        };
        written.expect("a vector takes every octet");
        frame.resize(FRAME, 0);
        let template: [u8; FRAME] =
            frame.try_into().expect("a segment without data is shorter than the shortest frame");
        let checksum_at = if segment == Segment::Datagram { at::UDP_CHECKSUM } else { at::TCP_CHECKSUM };
        let sum = |at: usize| u32::from(!u16::from_be_bytes([template[at], template[at + 1]]));
        Self { template, reply, checksum_at, ip_sum: sum(at::IP_CHECKSUM), transport_sum: sum(checksum_at) }
    }

    /// Writes the frame of `flow` into `octets`, which are [`FRAME`] long.
    #[inline]
    pub fn stamp(&self, octets: &mut [u8], flow: u32) {
        let Some(octets) = octets.first_chunk_mut::<FRAME>() else { return };
        *octets = self.template;
        let (address, port) = client(flow);
        let mut addresses = (address >> 16) + (address & 0xffff);
        if self.reply {
            let real = real_address(real(flow)).to_bits();
            addresses += (real >> 16) + (real & 0xffff);
            set(octets, at::SOURCE, real.to_be_bytes());
            set(octets, at::DESTINATION, address.to_be_bytes());
            set(octets, at::DESTINATION_PORT, port.to_be_bytes());
        } else {
            set(octets, at::SOURCE, address.to_be_bytes());
            set(octets, at::SOURCE_PORT, port.to_be_bytes());
        }
        set(octets, at::IP_CHECKSUM, checksum(self.ip_sum + addresses).to_be_bytes());
        // A UDP checksum that comes out as 0 says that there is none (RFC 768), which is as right.
        let transport = checksum(self.transport_sum + addresses + u32::from(port));
        set(octets, self.checksum_at, transport.to_be_bytes());
    }
}

#[inline]
fn set<const N: usize>(octets: &mut [u8; FRAME], at: usize, field: [u8; N]) {
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
        for segment in all {
            let traffic = Traffic::new(segment);
            for flow in (0..10_000_000).step_by(9_973) {
                let mut octets = [0xa5; FRAME];
                traffic.stamp(&mut octets, flow);
                super::super::verify::checksums(&octets).unwrap();
            }
        }
    }
}
