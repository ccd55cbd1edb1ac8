//! A net_pcap port as a tape: it looks one frame ahead, gives out frames when their time has come, and deals them to
//! workers. What workers send goes to the port at once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::dataplane::port::dpdk::{DpdkQueue, Mbuf};
use crate::dataplane::port::{Burst, Port};

/// One port's queue pair, and the frames that were read and not yet received.
#[derive(Debug)]
pub struct Reel {
    queue: DpdkQueue,
    ahead: VecDeque<Mbuf>,
    /// Frames whose time has come, by worker.
    dealt: Vec<VecDeque<Mbuf>>,
}

impl Reel {
    /// A port whose frames are dealt to this many workers.
    pub fn new(queue: DpdkQueue, workers: usize) -> Self {
        Self { queue, ahead: VecDeque::new(), dealt: (0..workers).map(|_| VecDeque::new()).collect() }
    }

    /// Returns the next frame's time stamp, in nanoseconds; `None` if there is none left.
    pub fn next(&mut self) -> Option<u64> {
        if self.ahead.is_empty() {
            let mut burst = Burst::new();
            self.queue.receive(&mut burst);
            self.ahead.extend(burst);
        }
        self.ahead.front().map(|frame| frame.timestamp().unwrap_or_default())
    }

    /// Deals the frames up to this time stamp.
    pub fn release(&mut self, stamp: u64, mut worker: impl FnMut() -> usize) {
        while self.next().is_some_and(|next| next <= stamp) {
            self.dealt[worker()].extend(self.ahead.pop_front());
        }
    }
}

/// One worker's end of a [`Reel`].
#[derive(Debug)]
pub struct Tape {
    reel: Rc<RefCell<Reel>>,
    worker: usize,
}

impl Tape {
    /// The end of worker `worker`.
    pub fn new(reel: Rc<RefCell<Reel>>, worker: usize) -> Self {
        Self { reel, worker }
    }
}

impl Port for Tape {
    type Frame = Mbuf;

    fn receive(&mut self, into: &mut Burst<Mbuf>) -> usize {
        let dealt = &mut self.reel.borrow_mut().dealt[self.worker];
        let count = dealt.len().min(into.remaining_capacity());
        into.extend(dealt.drain(..count));
        count
    }

    fn send(&mut self, frames: &mut Burst<Mbuf>) -> usize {
        self.reel.borrow_mut().queue.send(frames)
    }

    fn allocate(&mut self) -> Option<Mbuf> {
        self.reel.borrow_mut().queue.allocate()
    }

    fn free(&mut self, frames: &mut Burst<Mbuf>) {
        self.reel.borrow_mut().queue.free(frames);
    }
}
