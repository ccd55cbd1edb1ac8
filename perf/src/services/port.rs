//! The memory port of [`crate::forward::port`], whose clients talk to many VIPs.

use millrace::dataplane::port::dpdk::{Mbuf, Pool};
use millrace::dataplane::port::{Burst, Frame, Port};

use crate::forward::port::{LoopPort, Order};
use crate::forward::traffic::{Segment, Traffic, VIP, flow};

/// Where the IPv4 header and its fields, and TCP's checksum, lie in a frame.
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const DESTINATION: usize = 30;
const SOURCE_PORT: usize = 34;
const TCP_CHECKSUM: usize = 50;

/// A port whose flows are spread over VIPs.
pub struct SpreadPort {
    inner: LoopPort,
    vips: u32,
    /// VIPs lie so far apart.
    apart: u32,
}

impl SpreadPort {
    /// A port with a ring from `pool`, silent at first; so many VIPs, so far apart.
    pub fn new(pool: &Pool, vips: u32, apart: u32) -> anyhow::Result<Self> {
        Ok(Self { inner: LoopPort::new(pool, Traffic::new(Segment::Syn))?, vips, apart })
    }

    /// What comes in from now on.
    pub fn arm(&mut self, segment: Segment, order: Order) {
        self.inner.traffic = Traffic::new(segment);
        self.inner.order = order;
    }

    /// The VIP of a flow, in host order.
    fn vip(&self, flow: u32) -> u32 {
        first_vip() + flow % self.vips * self.apart
    }
}

/// The first VIP, in host order.
pub fn first_vip() -> u32 {
    VIP.ip().to_bits() & 0xff00_0000
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from(u16::from_be_bytes([octets[at], octets[at + 1]]))
}

/// Gives a frame's flow its VIP, with right checksums (RFC 1624).
fn readdress(octets: &mut [u8], vip: u32) {
    let halves = |address: u32| (address >> 16) + (address & 0xffff);
    let change = halves(!VIP.ip().to_bits()) + halves(vip);
    octets[DESTINATION..DESTINATION + 4].copy_from_slice(&vip.to_be_bytes());
    for at in [IP_CHECKSUM, TCP_CHECKSUM] {
        let sum = (!word(octets, at) & 0xffff) + change;
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
        octets[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

impl Port for SpreadPort {
    type Frame = Mbuf;

    #[inline]
    fn receive(&mut self, into: &mut Burst<Mbuf>) -> usize {
        let before = into.len();
        let count = self.inner.receive(into);
        for frame in into.iter_mut().skip(before) {
            let octets = frame.bytes_mut();
            let client = word(octets, SOURCE) << 16 | word(octets, SOURCE + 2);
            let vip = self.vip(flow(client, word(octets, SOURCE_PORT) as u16));
            readdress(octets, vip);
        }
        count
    }

    #[inline]
    fn send(&mut self, frames: &mut Burst<Mbuf>) -> usize {
        self.inner.send(frames)
    }

    fn allocate(&mut self) -> Option<Mbuf> {
        self.inner.allocate()
    }

    fn free(&mut self, frames: &mut Burst<Mbuf>) {
        self.inner.free(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::traffic::FRAME;

    #[test]
    fn readdressed_checksums_are_right() {
        let traffic = Traffic::new(Segment::Ack);
        for flow in (0..1_000_000).step_by(9_973) {
            let mut octets = [0; FRAME];
            traffic.stamp(&mut octets, flow);
            readdress(&mut octets, first_vip() + flow * 16);
            let packet = etherparse::SlicedPacket::from_ethernet(&octets).unwrap();
            let (Some(etherparse::NetSlice::Ipv4(ip)), Some(etherparse::TransportSlice::Tcp(tcp))) =
                (&packet.net, &packet.transport)
            else {
                panic!("no TCP")
            };
            let header = ip.header().to_header();
            assert_eq!(u32::from_be_bytes(header.destination), first_vip() + flow * 16);
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(tcp.checksum(), tcp.calc_checksum_ipv4(header.source, header.destination).unwrap());
        }
    }
}
