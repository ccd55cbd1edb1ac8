//! A director on memory ports: the whole data plane, with packets made and read by an independent library.

#![allow(dead_code)] // Each test file is a program of its own and uses its own part of this.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use etherparse::{IpNumber, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use millrace::ctrl::apply::{Applier, MAX_REALS};
use millrace::ctrl::config::{self, Config};
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Table, Templates};
use millrace::dataplane::port::memory::{MemoryPort, MemoryWire};
use millrace::dataplane::sched::Share;
use millrace::dataplane::shared::Shared;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::worker::{ENDPOINT_IDS, Worker};

pub const WAN: usize = 0;
pub const LAN: usize = 1;
pub const WAN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const LAN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];

pub struct Director {
    pub shared: Arc<Shared>,
    pub applier: Applier,
    pub workers: Vec<Worker<MemoryPort>>,
    /// By worker, then port, then twin.
    pub wires: Vec<Vec<MemoryWire>>,
    pub now: Now,
}

pub fn config(services: &str) -> Config {
    parse(&text(services))
}

pub fn parse(text: &str) -> Config {
    config::parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}")).config
}

/// The two ports, their ways and these services.
pub fn text(services: &str) -> String {
    format!(
        r#"
[[port]]
name = "wan"
device = "net_null0"
addresses = ["192.0.2.2/24"]
mac = "02:00:00:00:00:01"
[[port]]
name = "lan"
device = "net_null1"
addresses = ["10.0.0.1/24"]
mac = "02:00:00:00:00:02"
[[route]]
to = "0.0.0.0/0"
via = "192.0.2.1"
[[neighbor]]
address = "192.0.2.1"
mac = "02:00:00:00:01:01"
[[neighbor]]
address = "10.0.0.11"
mac = "02:00:00:00:01:0b"
[[neighbor]]
address = "10.0.0.12"
mac = "02:00:00:00:01:0c"
{services}"#
    )
}

impl Director {
    pub fn new(services: &str, workers: usize) -> Self {
        Self::with_table(services, workers, Table::new(65_536, [3, 5, 7, 9]).unwrap())
    }

    pub fn with_table(services: &str, workers: usize, table: Table) -> Self {
        Self::with_config(&config(services), workers, table)
    }

    pub fn with_config(config: &Config, workers: usize, table: Table) -> Self {
        let wide = Table::new(0, [3, 5, 7, 9]).unwrap();
        let templates = Templates::new(0, [3, 5, 7, 9]).unwrap();
        let shared = Arc::new(
            Shared::new((table, wide, templates), workers, config.lanes(), ENDPOINT_IDS, MAX_REALS as usize + 1)
                .unwrap(),
        );
        let now = Now::from_millis(1000);
        let applier = Applier::start(Arc::clone(&shared), config, vec![WAN_MAC, LAN_MAC], now).unwrap();
        let mut wires = Vec::new();
        let made = (0..workers).map(|worker| {
            let (ports, ends): (Vec<_>, Vec<_>) = (0..config.lanes()).map(|_| MemoryPort::new()).unzip();
            wires.push(ends);
            let share = Share { worker: worker as u32, workers: workers as u32 };
            Worker::new(share, ports, applier.reader(), Arc::clone(&shared), now)
        });
        let workers = made.collect();
        let mut director = Self { shared, applier, workers, wires, now };
        director.pass(0);
        director.quiet();
        director
    }

    pub fn reload(&mut self, services: &str) {
        self.applier.apply(&config(services), self.now).unwrap();
    }

    /// Lets time pass, in the ticks that real workers would see.
    pub fn pass(&mut self, millis: u64) {
        let end = self.now.millis() + millis;
        loop {
            self.poll();
            if self.now.millis() >= end {
                return;
            }
            self.now = Now::from_millis((self.now.millis() + 250).min(end));
        }
    }

    pub fn poll(&mut self) {
        for worker in &mut self.workers {
            worker.poll(self.now);
        }
    }

    /// Throws away what was sent.
    pub fn quiet(&mut self) {
        for wire in self.wires.iter().flatten() {
            wire.collect();
        }
    }

    /// Gives one frame to a worker's port, and returns what all workers sent then, with the port.
    pub fn give(&mut self, worker: usize, port: usize, frame: &[u8]) -> Vec<(usize, Vec<u8>)> {
        self.wires[worker][port].inject(frame).unwrap();
        self.poll();
        self.sent()
    }

    pub fn sent(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut sent = Vec::new();
        for wires in &self.wires {
            for (port, wire) in wires.iter().enumerate() {
                sent.extend(wire.collect().into_iter().map(|frame| (port, frame)));
            }
        }
        sent
    }

    /// Gives one frame and expects exactly one to be sent, from `out`.
    pub fn through(&mut self, worker: usize, port: usize, frame: &[u8], out: usize) -> Vec<u8> {
        let mut sent = self.give(worker, port, frame);
        assert_eq!(sent.len(), 1, "sent: {sent:02x?}; outcomes: {:?}", self.outcomes());
        let (port, bytes) = sent.remove(0);
        assert_eq!(port, out, "sent from the wrong port");
        verify(&bytes);
        bytes
    }

    pub fn count(&self, outcome: Outcome) -> u64 {
        self.shared.workers.iter().map(|worker| worker.outcome(outcome)).sum()
    }

    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let all = Outcome::ALL.iter().map(|outcome| (outcome.name(), self.count(*outcome)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Every frame that came has ended in one outcome, or waits.
    pub fn balanced(&self) {
        for worker in &self.shared.workers {
            assert_eq!(worker.received(), worker.ended() + worker.waiting.get(), "{:?}", self.outcomes());
        }
    }
}

pub fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), to_mac: [u8; 6], flags: &str, payload: &[u8]) -> Vec<u8> {
    let mut builder = PacketBuilder::ethernet2(CLIENT_MAC, to_mac)
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .tcp(from.1, to.1, 1000, 4096);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(2000),
            'F' => builder.fin(),
            'R' => builder.rst(),
            'P' => builder.psh(),
            other => panic!("flag {other}"),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

pub fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), to_mac: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv4(from.0.octets(), to.0.octets(), 64).udp(from.1, to.1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

/// An SCTP packet of these chunks: the number of each type, and a value of `octets` octets, padded.
pub fn sctp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), to_mac: [u8; 6], chunks: &[(u8, u16)]) -> Vec<u8> {
    let mut packet = [&from.1.to_be_bytes()[..], &to.1.to_be_bytes(), &[0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0]].concat();
    for &(kind, octets) in chunks {
        packet.extend([&[kind, 0][..], &(4 + octets).to_be_bytes()].concat());
        packet.resize((packet.len() + usize::from(octets)).next_multiple_of(4), 0);
    }
    let sum = crc32c(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv4(from.0.octets(), to.0.octets(), 64);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, IpNumber::SCTP, &packet).unwrap();
    bytes
}

/// CRC32c bit by bit (RFC 9260 Appendix A).
fn crc32c(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

pub fn echo(from: Ipv4Addr, to: Ipv4Addr, to_mac: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv4(from.octets(), to.octets(), 64).icmpv4_echo_request(77, 1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

/// A packet of a protocol without ports.
pub fn packet(from: Ipv4Addr, to: Ipv4Addr, to_mac: [u8; 6], protocol: u8) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, to_mac).ipv4(from.octets(), to.octets(), 1);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, IpNumber(protocol), b"hello").unwrap();
    bytes
}

/// The same frame as a fragment: `word` is that of flags and offset.
pub fn fragment(mut frame: Vec<u8>, word: u16) -> Vec<u8> {
    let old = u16::from_be_bytes([frame[20], frame[21]]);
    frame[20..22].copy_from_slice(&word.to_be_bytes());
    let sum = u32::from(!u16::from_be_bytes([frame[24], frame[25]])) + u32::from(!old) + u32::from(word);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Checks the checksums of a frame, those inside a tunnel too.
pub fn verify(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    if let Some(NetSlice::Ipv4(ip)) = &packet.net {
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum(), "outer header sum");
        if header.protocol.0 == 4 {
            let inner = SlicedPacket::from_ip(ip.payload().payload).unwrap();
            transport(&inner);
        }
    }
    transport(&packet);
}

fn transport(packet: &SlicedPacket<'_>) {
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { return };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "header sum");
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let sum = tcp.calc_checksum_ipv4(header.source, header.destination).unwrap();
            assert_eq!(tcp.checksum(), sum, "TCP sum");
        }
        Some(TransportSlice::Udp(udp)) if udp.checksum() != 0 => {
            let header_of = udp.to_header();
            let sum = header_of.calc_checksum_ipv4(&header, udp.payload()).unwrap();
            assert_eq!(udp.checksum(), sum, "UDP sum");
        }
        None if header.protocol == IpNumber::SCTP => {
            let data = ip.payload().payload;
            let blank = [&data[..8], &[0; 4], &data[12..]].concat();
            assert_eq!(data[8..12], crc32c(&blank).to_le_bytes(), "SCTP sum");
        }
        _ => {}
    }
}

/// Source and destination of a TCP or UDP frame.
pub fn sockets(frame: &[u8]) -> ((Ipv4Addr, u16), (Ipv4Addr, u16)) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("no IPv4: {frame:02x?}") };
    let (source, destination) = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
        Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
        other => panic!("no transport: {other:?}"),
    };
    ((ip.header().source_addr(), source), (ip.header().destination_addr(), destination))
}

pub fn ttl(frame: &[u8]) -> u8 {
    frame[22]
}
