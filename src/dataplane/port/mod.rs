//! What a port is to a worker: a queue pair that gives and takes bursts of frames.
//!
//! [`Port`] and [`Frame`] are all that the pipeline knows. `dpdk` implements them over real queues and mbufs,
//! `memory` over plain buffers, so that the whole data plane runs in ordinary tests.
//!
//! A frame has one owner at a time. Dropping a frame frees it; [`Port::free`] frees many at once and is what
//! the packet path uses.

use arrayvec::ArrayVec;

#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod memory;

/// The most frames a worker handles in one go.
pub const BURST: usize = 64;

/// Room in front of a fresh or received frame for headers that are put before it, in octets.
/// 40 for an outer IPv6 header and 88 to spare: DPDK's own default of 128.
pub const HEADROOM: usize = 128;

/// Up to [`BURST`] frames, owned.
pub type Burst<F> = ArrayVec<F, BURST>;

/// What the port itself found out about the IPv4 header's checksum on receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// The port did not look: the parser verifies in software.
    Unknown,
    /// The port verified it.
    Good,
    /// The port found it wrong.
    Bad,
}

/// One Ethernet frame, from its destination address on, without the frame check sequence.
pub trait Frame {
    /// Returns the frame's octets. A frame in several segments shows its first segment only: see
    /// [`Frame::is_contiguous`].
    fn bytes(&self) -> &[u8];

    /// Returns the frame's octets for rewriting.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Tells whether the whole frame lies in one segment.
    fn is_contiguous(&self) -> bool;

    /// Grows the frame by `octets` at its front and returns all of it; the new octets are unspecified.
    /// `None`, and no change, if the headroom does not suffice.
    fn prepend(&mut self, octets: usize) -> Option<&mut [u8]>;

    /// Removes `octets` from the frame's front. `None`, and no change, if it is shorter.
    fn trim_front(&mut self, octets: usize) -> Option<&mut [u8]>;

    /// Sets the frame's length, cutting it or growing it at its end; new octets are unspecified.
    /// `None`, and no change, if the tailroom does not suffice.
    fn set_len(&mut self, octets: usize) -> Option<&mut [u8]>;

    /// Cuts a frame that lies in one segment to at most this length.
    fn truncate(&mut self, octets: usize);

    /// What the port said about the IPv4 header checksum.
    fn rx_checksum(&self) -> RxChecksum {
        RxChecksum::Unknown
    }

    /// Asks the CPU to load the frame's first octets into its cache.
    fn prefetch(&self) {}
}

/// One receive and transmit queue pair of a port, owned by one worker.
pub trait Port {
    /// The port's frames.
    type Frame: Frame;

    /// Receives frames into the free places of `into`, and returns how many came.
    fn receive(&mut self, into: &mut Burst<Self::Frame>) -> usize;

    /// Sends frames from the front of `frames`, in order, and removes those that the queue took; returns how many.
    fn send(&mut self, frames: &mut Burst<Self::Frame>) -> usize;

    /// Takes an empty frame (length 0, [`HEADROOM`] in front); `None` if the pool is exhausted.
    fn allocate(&mut self) -> Option<Self::Frame>;

    /// Frees all of `frames`.
    fn free(&mut self, frames: &mut Burst<Self::Frame>) {
        frames.clear();
    }
}
