//! A port over plain memory: what tests put on its wire, a worker receives, and the other way round.
//!
//! ```text
//!   test:  MemoryWire::inject ──► arrivals ──► receive  :worker
//!          MemoryWire::collect ◄── departures ◄── send
//! ```
//!
//! The pool and the departures are bounded, so that exhaustion and a full transmit queue can be tested; the wire
//! is a handle of its own, so that a test can feed and drain the port while a worker owns it, on another thread
//! too. Buffers are filled with 0xa5 before each use: an octet that nobody wrote shows.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::{Burst, Frame, HEADROOM, Port, RxChecksum};

/// What a buffer holds before it is written.
const FILL: u8 = 0xa5;

/// How much a [`MemoryPort`] has of what can run out.
#[derive(Clone, Copy, Debug)]
pub struct MemoryLimits {
    /// Frames in the pool; at least 1. Those that wait on the wire, in either direction, count.
    pub frames: usize,
    /// The largest fresh frame in octets, beside [`HEADROOM`]. 2,048 unless told: DPDK's default data room.
    pub room: usize,
    /// Frames that the transmit queue takes before the test collects them; at least 1.
    pub departures: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { frames: 256, room: 2048, departures: 256 }
    }
}

#[derive(Debug)]
struct Shared {
    pool: Arc<Pool>,
    arrivals: ArrayQueue<MemoryFrame>,
    departures: ArrayQueue<MemoryFrame>,
}

#[derive(Debug)]
struct Pool {
    free: ArrayQueue<Vec<u8>>,
}

impl Pool {
    fn take(self: &Arc<Self>) -> Option<MemoryFrame> {
        let mut buffer = self.free.pop()?;
        buffer.fill(FILL);
        Some(MemoryFrame {
            buffer,
            start: HEADROOM,
            len: 0,
            contiguous: true,
            checksum: RxChecksum::Unknown,
            pool: Arc::clone(self),
        })
    }
}

/// A frame in a plain buffer, which goes back to its pool when the frame is dropped.
#[derive(Debug)]
pub struct MemoryFrame {
    buffer: Vec<u8>,
    start: usize,
    len: usize,
    contiguous: bool,
    checksum: RxChecksum,
    pool: Arc<Pool>,
}

impl Drop for MemoryFrame {
    fn drop(&mut self) {
        // The pool has a place for each of its buffers, so this one always fits.
        let _ = self.pool.free.push(std::mem::take(&mut self.buffer));
    }
}

impl Frame for MemoryFrame {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.len]
    }

    fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    fn prepend(&mut self, octets: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(octets)?;
        self.len += octets;
        Some(self.bytes_mut())
    }

    fn trim_front(&mut self, octets: usize) -> Option<&mut [u8]> {
        self.len = self.len.checked_sub(octets)?;
        self.start += octets;
        Some(self.bytes_mut())
    }

    fn set_len(&mut self, octets: usize) -> Option<&mut [u8]> {
        if octets > self.buffer.len() - self.start {
            return None;
        }
        self.len = octets;
        Some(self.bytes_mut())
    }

    fn truncate(&mut self, octets: usize) {
        self.len = self.len.min(octets);
    }

    fn rx_checksum(&self) -> RxChecksum {
        self.checksum
    }
}

/// A port whose wire is a [`MemoryWire`].
#[derive(Debug)]
pub struct MemoryPort {
    shared: Arc<Shared>,
}

impl MemoryPort {
    /// Makes a port with the default limits, and its wire.
    pub fn new() -> (MemoryPort, MemoryWire) {
        Self::with_limits(MemoryLimits::default())
    }

    /// Makes a port and its wire.
    ///
    /// # Panics
    /// If `limits` has no frame or no place for a departure.
    pub fn with_limits(limits: MemoryLimits) -> (MemoryPort, MemoryWire) {
        let free = ArrayQueue::new(limits.frames);
        while free.push(vec![FILL; HEADROOM + limits.room]).is_ok() {}
        let shared = Arc::new(Shared {
            pool: Arc::new(Pool { free }),
            arrivals: ArrayQueue::new(limits.frames),
            departures: ArrayQueue::new(limits.departures),
        });
        (MemoryPort { shared: Arc::clone(&shared) }, MemoryWire { shared })
    }
}

impl Port for MemoryPort {
    type Frame = MemoryFrame;

    fn receive(&mut self, into: &mut Burst<MemoryFrame>) -> usize {
        let before = into.len();
        while !into.is_full() {
            match self.shared.arrivals.pop() {
                Some(frame) => into.push(frame),
                None => break,
            }
        }
        into.len() - before
    }

    fn send(&mut self, frames: &mut Burst<MemoryFrame>) -> usize {
        let before = frames.len();
        let mut refused = Burst::new();
        for frame in frames.drain(..) {
            // Once one is refused all later ones are, even if the test makes room meanwhile: order is kept.
            if !refused.is_empty() {
                refused.push(frame);
            } else if let Err(frame) = self.shared.departures.push(frame) {
                refused.push(frame);
            }
        }
        *frames = refused;
        before - frames.len()
    }

    fn allocate(&mut self) -> Option<MemoryFrame> {
        self.shared.pool.take()
    }
}

/// The far end of a [`MemoryPort`].
#[derive(Clone, Debug)]
pub struct MemoryWire {
    shared: Arc<Shared>,
}

/// How a frame arrives, beyond its octets.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// What the port says about the IPv4 header's checksum.
    pub checksum: RxChecksum,
    /// Whether the frame lies in one segment.
    pub contiguous: bool,
}

impl Default for Arrival {
    fn default() -> Self {
        Self { checksum: RxChecksum::Unknown, contiguous: true }
    }
}

impl MemoryWire {
    /// Lets a frame arrive at the port.
    ///
    /// # Errors
    /// As a card does, loses a frame that finds no free buffer or does not fit one.
    pub fn inject(&self, octets: &[u8]) -> Result<(), Lost> {
        self.inject_as(octets, Arrival::default())
    }

    /// Lets a frame arrive at the port in a particular manner.
    ///
    /// # Errors
    /// As [`MemoryWire::inject`].
    pub fn inject_as(&self, octets: &[u8], manner: Arrival) -> Result<(), Lost> {
        let mut frame = self.shared.pool.take().ok_or(Lost::NoBuffer)?;
        frame.set_len(octets.len()).ok_or(Lost::TooLong)?.copy_from_slice(octets);
        frame.checksum = manner.checksum;
        frame.contiguous = manner.contiguous;
        // Arrivals have room for every frame of the pool, and all of them come from it.
        self.shared.arrivals.push(frame).map_err(|_| Lost::NoBuffer)
    }

    /// Takes the next frame that the port sent.
    pub fn take(&self) -> Option<Vec<u8>> {
        self.shared.departures.pop().map(|frame| frame.bytes().to_vec())
    }

    /// Takes all frames that the port has sent so far, in order.
    pub fn collect(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// Returns how many injected frames the port has not received yet.
    pub fn waiting(&self) -> usize {
        self.shared.arrivals.len()
    }

    /// Returns how many frames of the pool are in use, on the wire or in a worker's hands. 0 at rest: no leak.
    pub fn in_use(&self) -> usize {
        self.shared.pool.free.capacity() - self.shared.pool.free.len()
    }
}

/// Why an injected frame did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The pool is exhausted.
    NoBuffer,
    /// The frame is larger than a buffer.
    TooLong,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBuffer => "the port has no free buffer",
            Self::TooLong => "the frame is larger than the port's buffers",
        })
    }
}

impl Error for Lost {}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> (MemoryPort, MemoryWire) {
        MemoryPort::with_limits(MemoryLimits { frames: 4, room: 64, departures: 2 })
    }

    #[test]
    fn frames_cross_in_order_and_return_to_the_pool() {
        let (mut port, wire) = MemoryPort::new();
        for n in 0..3u8 {
            wire.inject(&[n; 14]).unwrap();
        }
        assert_eq!((wire.waiting(), wire.in_use()), (3, 3));
        let mut burst = Burst::new();
        assert_eq!(port.receive(&mut burst), 3);
        assert_eq!(port.receive(&mut burst), 0);
        assert_eq!(port.send(&mut burst), 3);
        assert!(burst.is_empty());
        assert_eq!(wire.collect(), [[0; 14], [1; 14], [2; 14]]);
        assert_eq!(wire.in_use(), 0);
    }

    #[test]
    fn receive_fills_only_the_free_places() {
        let (mut port, wire) = MemoryPort::new();
        for _ in 0..super::super::BURST + 2 {
            wire.inject(&[7; 60]).unwrap();
        }
        let mut burst = Burst::new();
        burst.push(port.allocate().unwrap());
        assert_eq!(port.receive(&mut burst), super::super::BURST - 1);
        assert_eq!(wire.waiting(), 3);
        port.free(&mut burst);
        assert_eq!(wire.in_use(), 3);
    }

    #[test]
    fn a_full_transmit_queue_leaves_the_rest_in_place() {
        let (mut port, wire) = small();
        let mut burst = Burst::new();
        for n in 0..4u8 {
            wire.inject(&[n; 14]).unwrap();
        }
        port.receive(&mut burst);
        assert_eq!(port.send(&mut burst), 2);
        assert_eq!(burst.iter().map(|f| f.bytes()[0]).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(wire.collect(), [[0; 14], [1; 14]]);
        assert_eq!(port.send(&mut burst), 2);
        assert_eq!(wire.collect(), [[2; 14], [3; 14]]);
        assert_eq!(wire.in_use(), 0);
    }

    #[test]
    fn an_exhausted_pool_refuses() {
        let (mut port, wire) = small();
        let held: Vec<_> = std::iter::from_fn(|| port.allocate()).collect();
        assert_eq!(held.len(), 4);
        assert_eq!(wire.inject(&[0; 14]), Err(Lost::NoBuffer));
        drop(held);
        assert_eq!(wire.inject(&[0; 65]), Err(Lost::TooLong));
        assert_eq!(wire.inject(&[0; 64]), Ok(()));
        assert_eq!(wire.in_use(), 1);
    }

    #[test]
    fn a_fresh_frame_is_empty_with_headroom_and_grows_at_its_end() {
        let (mut port, _wire) = small();
        let mut frame = port.allocate().unwrap();
        assert!(frame.bytes().is_empty());
        assert!(frame.set_len(65).is_none());
        assert_eq!(frame.set_len(64).unwrap(), [FILL; 64]);
        assert_eq!(frame.set_len(10).unwrap().len(), 10);
        assert!(frame.prepend(HEADROOM + 1).is_none());
        assert_eq!(frame.prepend(HEADROOM).unwrap().len(), HEADROOM + 10);
        assert!(frame.prepend(1).is_none());
    }

    #[test]
    fn front_moves_both_ways_and_refusal_changes_nothing() {
        let (mut port, wire) = small();
        wire.inject(b"abcdefgh").unwrap();
        let mut burst = Burst::new();
        port.receive(&mut burst);
        let frame = &mut burst[0];
        assert_eq!(frame.trim_front(3).unwrap(), b"defgh");
        assert!(frame.trim_front(6).is_none());
        assert_eq!(frame.bytes(), b"defgh");
        frame.prepend(2).unwrap()[..2].copy_from_slice(b"XY");
        assert_eq!(frame.bytes(), b"XYdefgh");
        assert_eq!(frame.trim_front(7).unwrap(), b"");
    }

    #[test]
    fn the_manner_of_arrival_is_told() {
        let (mut port, wire) = small();
        wire.inject(&[1; 20]).unwrap();
        wire.inject_as(&[2; 20], Arrival { checksum: RxChecksum::Bad, contiguous: false }).unwrap();
        let mut burst = Burst::new();
        port.receive(&mut burst);
        assert_eq!((burst[0].rx_checksum(), burst[0].is_contiguous()), (RxChecksum::Unknown, true));
        assert_eq!((burst[1].rx_checksum(), burst[1].is_contiguous()), (RxChecksum::Bad, false));
    }

    #[test]
    fn the_wire_works_from_another_thread() {
        let (mut port, wire) = MemoryPort::new();
        let worker = std::thread::spawn(move || {
            let mut burst = Burst::new();
            let mut sent = 0;
            while sent < 1000 {
                port.receive(&mut burst);
                sent += port.send(&mut burst);
                std::thread::yield_now();
            }
        });
        let mut seen: Vec<u16> = Vec::new();
        let mut next = 0u16;
        while seen.len() < 1000 {
            if next < 1000 && wire.inject(&next.to_be_bytes()).is_ok() {
                next += 1;
            }
            seen.extend(wire.collect().iter().map(|f| u16::from_be_bytes([f[0], f[1]])));
            std::thread::yield_now();
        }
        worker.join().unwrap();
        assert!(seen.iter().copied().eq(0..1000));
        assert_eq!(wire.in_use(), 0);
    }
}
