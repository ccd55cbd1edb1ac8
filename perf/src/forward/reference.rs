//! What the machine could do at best: the same port, the same frames, and next to no work.

use std::time::Duration;

use anyhow::Context;
use memmap2::MmapMut;
use millrace::dataplane::conn::{Backing, prefetch};
use millrace::dataplane::outbox::Outbox;
use millrace::dataplane::port::dpdk::{Mbuf, Pool};
use millrace::dataplane::port::{BURST, Burst, Frame, Port};
use millrace::dataplane::service::PortId;
use millrace::dataplane::stats::{Outcome, WorkerStats};

use super::port::{LoopPort, Order};
use super::traffic::{DIRECTOR_MAC, GATEWAY_MAC, Segment, Traffic};
use super::{Case, Rig};
use crate::pages;
use crate::sampling::{Sample, sample};

fn port(flows: u32, pool: &Pool) -> anyhow::Result<LoopPort> {
    let mut port = LoopPort::new(pool, Traffic::new(Segment::Ack))?;
    port.order = Order::Random(flows);
    Ok(port)
}

/// The port alone: what stamping frames and turning the ring costs.
pub struct PortAlone {
    port: LoopPort,
    burst: Burst<Mbuf>,
}

impl PortAlone {
    pub fn new(flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        Ok(Self { port: port(flows, pool)?, burst: Burst::new() })
    }
}

impl Rig for PortAlone {
    fn sample(&mut self, _: Case, length: Duration) -> anyhow::Result<Sample> {
        Ok(sample(length, |_| {
            self.port.receive(&mut self.burst);
            self.port.send(&mut self.burst)
        }))
    }
}

/// A worker's loop that counts and sends as [`millrace::dataplane::worker::Worker`] does, and between only swaps the
/// Ethernet addresses.
pub struct MacSwap {
    ports: Vec<LoopPort>,
    burst: Burst<Mbuf>,
    outbox: Outbox<Mbuf>,
    stats: WorkerStats,
}

impl MacSwap {
    pub fn new(flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        let stats = WorkerStats::new(1, 0, 0)?;
        Ok(Self { ports: vec![port(flows, pool)?], burst: Burst::new(), outbox: Outbox::new(1), stats })
    }

    fn poll(&mut self) -> usize {
        let mut received = 0;
        for index in 0..self.ports.len() {
            let count = self.ports[index].receive(&mut self.burst);
            let octets = self.burst.iter().map(|frame| frame.bytes().len() as u64).sum();
            received += count;
            self.stats.ports[index].rx_frames.add(count as u64);
            self.stats.ports[index].rx_octets.add(octets);
            for mut frame in self.burst.drain(..) {
                if let Some((to, rest)) = frame.bytes_mut().split_first_chunk_mut::<6>()
                    && let Some(from) = rest.first_chunk_mut::<6>()
                {
                    std::mem::swap(to, from);
                }
                let to = PortId(index as u8);
                self.outbox.push(&mut self.ports, &self.stats, to, frame, Some(Outcome::ForwardedDirect));
            }
            self.outbox.flush(&mut self.ports, &self.stats, |_| true);
        }
        self.stats.bursts.add(1);
        received
    }
}

impl Rig for MacSwap {
    fn sample(&mut self, _: Case, length: Duration) -> anyhow::Result<Sample> {
        Ok(sample(length, |_| self.poll()))
    }
}

/// One random cache line read for each packet, asked for a burst ahead, and new Ethernet addresses.
pub struct MemoryLimit {
    port: LoopPort,
    burst: Burst<Mbuf>,
    memory: MmapMut,
    lines: u32,
    backing: Backing,
    /// What was read, so that it is.
    sum: u64,
}

const LINE: usize = 64;
/// The smallest connection table's.
const FEWEST_LINES: u32 = 16_384;

impl MemoryLimit {
    /// Over memory of the size of a connection table for `flows`, and in pages like its.
    pub fn new(flows: u32, pool: &Pool) -> anyhow::Result<Self> {
        let lines = (flows / 2).max(FEWEST_LINES);
        let (mut memory, backing) = pages::map(lines as usize * LINE).context("memory to read")?;
        memory.fill(1);
        Ok(Self { port: port(flows, pool)?, burst: Burst::new(), memory, lines, backing, sum: 0 })
    }

    fn poll(&mut self) -> usize {
        let Self { port, burst, memory, lines, sum, .. } = self;
        let mut places = [0; BURST];
        port.receive(burst);
        for (place, frame) in places.iter_mut().zip(burst.iter()) {
            *place = line_of(frame.bytes(), *lines) * LINE;
            if let Some(octet) = memory.get(*place) {
                prefetch(octet);
            }
        }
        for (place, frame) in places.iter().zip(burst.iter_mut()) {
            let word = memory.get(*place..).and_then(|memory| memory.first_chunk::<8>());
            *sum = sum.wrapping_add(word.map_or(0, |word| u64::from_ne_bytes(*word)));
            if let Some(addresses) = frame.bytes_mut().first_chunk_mut::<12>() {
                addresses[..6].copy_from_slice(&GATEWAY_MAC);
                addresses[6..].copy_from_slice(&DIRECTOR_MAC);
            }
        }
        port.send(burst)
    }
}

impl Rig for MemoryLimit {
    fn sample(&mut self, _: Case, length: Duration) -> anyhow::Result<Sample> {
        let sample = sample(length, |_| self.poll());
        std::hint::black_box(self.sum);
        Ok(sample)
    }

    fn backing(&self) -> Option<Backing> {
        Some(self.backing)
    }
}

/// The line that a frame's source address and ports lead to.
#[inline]
fn line_of(octets: &[u8], lines: u32) -> usize {
    let word =
        octets.get(28..).and_then(|octets| octets.first_chunk::<8>()).map_or(0, |word| u64::from_ne_bytes(*word));
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32;
    ((hash * u64::from(lines)) >> 32) as usize
}
