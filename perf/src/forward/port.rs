//! The memory port: a ring of mbufs that come in, each as the next flow's frame, and go back when they are sent.

use std::collections::VecDeque;

use anyhow::ensure;
use millrace::dataplane::port::dpdk::{Mbuf, Pool};
use millrace::dataplane::port::{BURST, Burst, Frame, Port};

use super::traffic::{Answered, FRAME, Segment, Traffic};

/// As many as a receive queue has descriptors ([`millrace::dataplane::port::dpdk::DeviceConfig`]).
pub const RING: usize = 1024;

/// Which flow's frame comes next.
#[derive(Clone, Debug)]
pub enum Order {
    /// Each once, one after the other, from the first number to before the second.
    Sequence(u32, u32),
    /// Any of so many, all as likely.
    Random(u32),
    /// Any from the first number to before the second, all as likely.
    Between(u32, u32),
    /// Real servers' answers to all that [`LoopPort::answered`] has, from where the last of them stopped, over and over; so many at most.
    Answers(u64),
    /// Ever new ones.
    Opening(Opening),
}

/// Connections that open, one after the other, each with the same packets, which come as many connections later.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Each packet of a connection, and how many connections have opened since its first.
    packets: Vec<(Traffic, u32)>,
    turn: usize,
    /// The connection that opens next.
    next: u32,
}

impl Opening {
    /// Connections of these packets, of which each comes `apart` connections after the one before.
    pub fn new(packets: &[Segment], apart: u32) -> Self {
        let packets = packets.iter().zip((0..).step_by(apart.max(1) as usize));
        Self { packets: packets.map(|(segment, later)| (Traffic::new(*segment), later)).collect(), turn: 0, next: 0 }
    }

    #[inline]
    fn next(&mut self) -> (&Traffic, u32) {
        // At first nobody has a later packet to send yet.
        if self.turn == self.packets.len() || self.packets[self.turn].1 > self.next {
            self.turn = 0;
        }
        let (traffic, later) = &self.packets[self.turn];
        let flow = self.next - later;
        self.turn += 1;
        if self.turn == 1 {
            self.next += 1;
        }
        (traffic, flow)
    }
}

/// Looks at a sent frame.
pub type Inspector = Box<dyn FnMut(&[u8])>;

/// A port without a device.
pub struct LoopPort {
    ring: VecDeque<Mbuf>,
    /// What comes in.
    pub traffic: Traffic,
    /// In which order.
    pub order: Order,
    /// Frames that came in.
    pub given: u64,
    /// Frames that were sent.
    pub taken: u64,
    /// Where full NAT's answers go.
    pub answered: Vec<Answered>,
    /// Which of them comes next.
    next: usize,
    /// Whether frames that are sent are noted there.
    pub learns: bool,
    /// Sees the frames that are sent, if there is one.
    pub inspector: Option<Inspector>,
    random: u64,
}

impl LoopPort {
    /// A port with a ring from `pool`, silent at first.
    pub fn new(pool: &Pool, traffic: Traffic) -> anyhow::Result<Self> {
        let mut ring = VecDeque::with_capacity(RING);
        let mut burst = Burst::new();
        while ring.len() < RING {
            ensure!(pool.allocate_burst(BURST, &mut burst), "the mbuf pool is too small");
            for mut mbuf in burst.drain(..) {
                ensure!(mbuf.set_len(traffic.octets).is_some(), "an mbuf has no room for a frame");
                ring.push_back(mbuf);
            }
        }
        let order = Order::Sequence(0, 0);
        let (answered, random) = (Vec::new(), 0x2545_f491_4f6c_dd1d);
        Ok(Self { ring, traffic, order, given: 0, taken: 0, answered, next: 0, learns: false, inspector: None, random })
    }

    /// A number below `below`, all as likely (Marsaglia's xorshift64*).
    #[inline]
    fn draw(&mut self, below: u32) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let high = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * u64::from(below)) >> 32) as u32
    }

    /// Puts those that are answered in an order by chance, in which they are then gone through: to draw one at a time would cost the
    /// generator a cache line for each.
    pub fn shuffle(&mut self) {
        for place in (1..self.answered.len()).rev() {
            let other = self.draw(place as u32 + 1) as usize;
            self.answered.swap(place, other);
        }
    }

    #[inline]
    fn give(&mut self, into: &mut Burst<Mbuf>, flow: u32) {
        if let Some(mut frame) = self.ring.pop_front() {
            frame.set_len(self.traffic.octets);
            self.traffic.stamp(frame.bytes_mut(), flow);
            into.push(frame);
        }
    }

    #[inline]
    fn give_any(&mut self, into: &mut Burst<Mbuf>, count: usize, first: u32, end: u32) -> usize {
        for _ in 0..count {
            let flow = first + self.draw(end - first);
            self.give(into, flow);
        }
        count
    }

    /// Takes back a frame, whatever became of it, as a frame of the length it had.
    #[inline]
    fn take(&mut self, mut frame: Mbuf) {
        let len = frame.bytes().len();
        if len > self.traffic.octets {
            // What was put in front: an outer header of the same family and no more, since the padding went before it came.
            frame.trim_front(if self.traffic.octets == FRAME { 20 } else { 40 });
        }
        frame.set_len(self.traffic.octets);
        self.ring.push_back(frame);
    }
}

impl Port for LoopPort {
    type Frame = Mbuf;

    #[inline]
    fn receive(&mut self, into: &mut Burst<Mbuf>) -> usize {
        let room = into.remaining_capacity().min(self.ring.len());
        let count = match self.order {
            Order::Sequence(next, end) => {
                let count = room.min((end - next) as usize);
                for flow in next..next + count as u32 {
                    self.give(into, flow);
                }
                self.order = Order::Sequence(next + count as u32, end);
                count
            }
            Order::Random(flows) => self.give_any(into, room, 0, flows),
            Order::Between(first, end) => self.give_any(into, room, first, end),
            Order::Answers(left) => {
                let count = if self.answered.is_empty() { 0 } else { room.min(left as usize) };
                for mut frame in self.ring.drain(..count) {
                    self.next = if self.next < self.answered.len() { self.next } else { 0 };
                    frame.set_len(self.traffic.octets);
                    self.traffic.stamp_to(frame.bytes_mut(), self.answered[self.next]);
                    into.push(frame);
                    self.next += 1;
                }
                self.order = Order::Answers(left - count as u64);
                count
            }
            Order::Opening(ref mut opening) => {
                for mut frame in self.ring.drain(..room) {
                    let (traffic, flow) = opening.next();
                    traffic.stamp(frame.bytes_mut(), flow);
                    into.push(frame);
                }
                room
            }
        };
        self.given += count as u64;
        count
    }

    #[inline]
    fn send(&mut self, frames: &mut Burst<Mbuf>) -> usize {
        let count = frames.len();
        if let Some(inspector) = &mut self.inspector {
            frames.iter().for_each(|frame| inspector(frame.bytes()));
        }
        if self.learns {
            self.answered.extend(frames.iter().filter_map(|frame| Answered::of(frame.bytes())));
        }
        for frame in frames.drain(..) {
            self.take(frame);
        }
        self.taken += count as u64;
        count
    }

    /// Nothing: the director announces its addresses to nobody here.
    fn allocate(&mut self) -> Option<Mbuf> {
        None
    }

    fn free(&mut self, frames: &mut Burst<Mbuf>) {
        for frame in frames.drain(..) {
            self.take(frame);
        }
    }
}
