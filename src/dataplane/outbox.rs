//! What a worker is about to send: one burst per port, with what each frame will count as once it is gone.

use arrayvec::ArrayVec;

use super::port::{BURST, Burst, Frame, Port};
use super::service::PortId;
use super::stats::{Outcome, WorkerStats};

/// How often a full transmit queue is tried again before the rest of a burst is dropped.
const RETRIES: u32 = 4;

#[derive(Debug)]
struct Lane<F> {
    frames: Burst<F>,
    /// What each frame counts as; `None` for one of our own making, which nobody sent us.
    outcomes: ArrayVec<Option<Outcome>, BURST>,
}

impl<F> Lane<F> {
    fn new() -> Self {
        Self { frames: ArrayVec::new(), outcomes: ArrayVec::new() }
    }
}

/// The frames to send, by port.
#[derive(Debug)]
pub struct Outbox<F> {
    lanes: Vec<Lane<F>>,
}

impl<F: Frame> Outbox<F> {
    /// An empty outbox for this many ports.
    pub fn new(ports: usize) -> Self {
        Self { lanes: (0..ports).map(|_| Lane::new()).collect() }
    }

    /// Adds a frame; a lane that is full is sent first. `outcome` is `None` for a frame of the director's own.
    #[inline]
    pub fn push<P: Port<Frame = F>>(
        &mut self,
        ports: &mut [P],
        stats: &WorkerStats,
        to: PortId,
        frame: F,
        outcome: Option<Outcome>,
    ) {
        let lane = &mut self.lanes[to.index()];
        if lane.frames.is_full() {
            flush(lane, &mut ports[to.index()], stats, to, true);
        }
        lane.frames.push(frame);
        lane.outcomes.push(outcome);
    }

    /// Sends everything. Frames for a port without carrier (`up` says which have it) are dropped and counted.
    pub fn flush<P: Port<Frame = F>>(&mut self, ports: &mut [P], stats: &WorkerStats, up: impl Fn(PortId) -> bool) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if !lane.frames.is_empty() {
                let to = PortId(index as u8);
                flush(lane, &mut ports[index], stats, to, up(to));
            }
        }
    }
}

fn flush<P: Port>(lane: &mut Lane<P::Frame>, port: &mut P, stats: &WorkerStats, to: PortId, up: bool) {
    let octets: u64 = lane.frames.iter().map(|frame| frame.bytes().len() as u64).sum();
    let mut sent = 0;
    if up {
        for _ in 0..=RETRIES {
            sent += port.send(&mut lane.frames);
            if lane.frames.is_empty() {
                break;
            }
        }
    }
    let lost: u64 = lane.frames.iter().map(|frame| frame.bytes().len() as u64).sum();
    for (index, outcome) in lane.outcomes.drain(..).enumerate() {
        if let Some(outcome) = outcome {
            stats.count(if index < sent { outcome } else { unsent(outcome, up) });
        }
    }
    let port_stats = &stats.ports[to.index()];
    port_stats.tx_frames.add(sent as u64);
    port_stats.tx_octets.add(octets - lost);
    if !lane.frames.is_empty() {
        port.free(&mut lane.frames);
    }
}

/// How a frame ends that could not be sent.
#[cold]
fn unsent(meant: Outcome, up: bool) -> Outcome {
    match meant {
        Outcome::Punted | Outcome::CheckAnswered | Outcome::ForwardedLocalIn => Outcome::DropTwinFull,
        _ if up => Outcome::DropTxFull,
        _ => Outcome::DropLinkDown,
    }
}
