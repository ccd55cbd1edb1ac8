//! One worker: its queues, its memory, and what it does each time round.
//!
//! ```text
//! poll: look at the snapshot ─► each port: receive, stage, handle, send; each twin: receive, send ─► fragments and packets that waited
//!       ─► a slice of the table's sweep ─► each 250 ms: neighbours, announcements (first worker only)
//! ```
//! Nothing in here allocates once [`Worker::new`] returned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::address::Address;
use super::clock::Now;
use super::conn::{Key, Sweeper, Tick, WideKey, WorkerCounts};
use super::error_limit::ErrorLimit;
use super::forward::ip_ids::IpIds;
use super::forward::link;
use super::fragments::{self, Held};
use super::from_host::Leaving;
use super::local::write_request;
use super::nd;
use super::neigh::{self, Resolution};
use super::new_flows::Bucket;
use super::outbox::Outbox;
use super::persist;
use super::pipeline::{Fate, Memory, Stage, Stages};
use super::port::{Burst, Frame, Port};
use super::punt::Limits;
use super::route::NextHop;
use super::sched::{Cursor, Share};
use super::service::{PortId, PortSettings};
use super::shared::{Announcement, Kept, Shared};
use super::snapshot::{Reader, Snapshot};
use super::stats::{Outcome, WorkerStats};
use super::waiting::{Release, WaitQueue};

/// Announcements sent in one tick: 1,000 a second at most, so that a thousand VIPs do not arrive as one burst.
const ANNOUNCEMENTS_A_TICK: usize = 250;

/// One endpoint id more than there can be.
pub const ENDPOINT_IDS: usize = 1 << 16;

/// What a worker does while nothing arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Asks again at once: least delay, a whole core.
    Busy,
    /// Sleeps for a time that doubles from 50 µs to 1 ms.
    Nap,
}

const EMPTY_POLLS_BEFORE_A_NAP: u32 = 200;
const FIRST_NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// A worker. Moves to its thread once and stays there.
pub struct Worker<P: Port> {
    ports: Vec<P>,
    reader: Reader,
    shared: Arc<Shared>,
    memory: Memory,
    burst: Burst<P::Frame>,
    finished: Burst<P::Frame>,
    stage: Box<Stage>,
    outbox: Outbox<P::Frame>,
    waiting: WaitQueue<P::Frame>,
    held: Held<P::Frame>,
    sweeper: Sweeper,
    wide_sweeper: Sweeper,
    template_sweeper: Sweeper,
    tick: u64,
}

impl<P: Port> Worker<P> {
    /// Makes the worker of this share, with its queue of each port and then of each twin, in the order of their ids.
    pub fn new(share: Share, ports: Vec<P>, reader: Reader, shared: Arc<Shared>, now: Now) -> Self {
        let lanes = ports.len();
        let sweeper = |lines| Sweeper::new(lines, share.worker as usize, share.workers as usize, now);
        Self {
            ports,
            reader,
            memory: Memory {
                cursors: vec![Cursor::default(); ENDPOINT_IDS].into_boxed_slice(),
                new_flows: vec![Bucket::default(); ENDPOINT_IDS].into_boxed_slice(),
                ids: IpIds::new(share.worker as u16, share.workers as u16),
                errors: ErrorLimit::default(),
                punts: vec![Limits::default(); lanes].into_boxed_slice(),
                share,
            },
            burst: ArrayVec::new(),
            finished: ArrayVec::new(),
            stage: Box::default(),
            outbox: Outbox::new(lanes),
            waiting: WaitQueue::default(),
            held: Held::default(),
            sweeper: sweeper(shared.table.lines()),
            wide_sweeper: sweeper(shared.wide.lines()),
            template_sweeper: sweeper(shared.templates.lines()),
            tick: u64::MAX,
            shared,
        }
    }

    /// The worker's queues.
    pub fn ports_mut(&mut self) -> &mut [P] {
        &mut self.ports
    }

    /// Goes round once and returns how many frames came.
    pub fn poll(&mut self, now: Now) -> usize {
        let round = Round {
            snapshot: self.reader.load(),
            shared: &self.shared,
            stats: &self.shared.workers[self.memory.share.worker as usize],
            counts: self.shared.counts.worker(self.memory.share.worker as usize),
            now,
        };
        let mut received = 0;
        for index in 0..self.ports.len() {
            let port = PortId(index as u8);
            let count = self.ports[index].receive(&mut self.burst);
            if count > 0 {
                received += count;
                let octets = self.burst.iter().map(|frame| frame.bytes().len() as u64).sum();
                round.stats.ports[index].rx_frames.add(count as u64);
                round.stats.ports[index].rx_octets.add(octets);
                let (ports, outbox, waiting) = (&mut self.ports[..], &mut self.outbox, &mut self.waiting);
                let exits = Exits { ports, outbox, waiting, held: &mut self.held, finished: &mut self.finished };
                if index < round.snapshot.ports.len() {
                    let stages = round.stages(&mut self.memory, port);
                    stages.stage(&mut self.burst, &mut self.stage);
                    round.handle(stages, &mut self.burst, &self.stage, exits);
                } else {
                    round.leave((&mut self.memory, &mut self.stage), port, &mut self.burst, exits);
                }
                self.ports[index].free(&mut self.finished);
                self.outbox.flush(&mut self.ports, round.stats, |port| round.shared.carrier(port));
            }
        }
        if !self.held.is_empty() {
            let (ports, outbox, waiting) = (&mut self.ports[..], &mut self.outbox, &mut self.waiting);
            let exits = Exits { ports, outbox, waiting, held: &mut self.held, finished: &mut self.finished };
            round.look_again(&mut self.memory, exits);
        }
        if !self.waiting.is_empty() {
            round.release(&mut self.ports, &mut self.outbox, &mut self.waiting);
        }
        round.sweep::<Key>(&mut self.sweeper);
        round.sweep::<WideKey>(&mut self.wide_sweeper);
        round.sweep_templates(&mut self.template_sweeper);
        if now.ticks() != self.tick {
            self.tick = now.ticks();
            if self.memory.share.worker == 0 {
                round.keep_house(&mut self.ports, &mut self.outbox);
            }
        }
        self.outbox.flush(&mut self.ports, round.stats, |port| round.shared.carrier(port));
        round.stats.waiting.set((self.waiting.len() + self.held.len()) as u64);
        let polls = if received > 0 { &round.stats.bursts } else { &round.stats.empty_polls };
        polls.add(1);
        received
    }

    /// Polls until `stop` is set, then gives up what still waits, so that every frame is accounted for.
    pub fn run(&mut self, stop: &AtomicBool, idle: Idle, clock: impl Fn() -> Now) {
        let mut empty = 0u32;
        let mut nap = FIRST_NAP;
        while !stop.load(Ordering::Relaxed) {
            if self.poll(clock()) > 0 {
                empty = 0;
                nap = FIRST_NAP;
                continue;
            }
            empty = empty.saturating_add(1);
            if idle == Idle::Nap && empty > EMPTY_POLLS_BEFORE_A_NAP {
                std::thread::sleep(nap);
                nap = (nap * 2).min(LONGEST_NAP);
            } else {
                std::hint::spin_loop();
            }
        }
        self.abandon();
    }

    /// Drops what still waits for a neighbour or a first fragment.
    pub fn abandon(&mut self) {
        let stats = &self.shared.workers[self.memory.share.worker as usize];
        for _ in 0..self.held.clear() {
            stats.count(Outcome::DropFragmentNoFirst);
        }
        while let Some(release) = self.waiting.pop(Now::from_nanos(u64::MAX), |_| None) {
            let (Release::Send(waiting, _) | Release::GiveUp(waiting)) = release;
            if let Some(outcome) = waiting.outcome {
                debug_assert!(Outcome::ALL.contains(&outcome));
                stats.count(Outcome::DropNeighborUnresolved);
            }
        }
        stats.waiting.set(0);
    }
}

/// Where a burst's frames go.
struct Exits<'a, P: Port> {
    ports: &'a mut [P],
    outbox: &'a mut Outbox<P::Frame>,
    waiting: &'a mut WaitQueue<P::Frame>,
    held: &'a mut Held<P::Frame>,
    /// Those that end here, to be freed together.
    finished: &'a mut Burst<P::Frame>,
}

/// What one time round sees.
struct Round<'a> {
    snapshot: &'a Snapshot,
    shared: &'a Shared,
    stats: &'a WorkerStats,
    counts: &'a WorkerCounts,
    now: Now,
}

impl<'a> Round<'a> {
    fn stages<'m>(&self, memory: &'m mut Memory, ingress: PortId) -> Stages<'m>
    where
        'a: 'm,
    {
        Stages::new(self.snapshot, self.shared, (self.stats, self.counts), memory, self.now, ingress)
    }

    /// The last of a burst's loops: does with each frame what its step says. A function of its own, as the others are.
    #[inline(never)]
    fn handle<P: Port>(
        &self,
        mut stages: Stages<'_>,
        burst: &mut Burst<P::Frame>,
        stage: &Stage,
        mut exits: Exits<'_, P>,
    ) {
        for (mut frame, staged) in burst.drain(..).zip(stage.iter()) {
            let fate = stages.handle(&mut frame, staged);
            self.carry_out(fate, frame, &mut exits);
        }
    }

    /// Does with each frame that the host sent on a twin what [`Stages::leave`] says.
    #[inline(never)]
    fn leave<P: Port>(
        &self,
        (memory, stage): (&mut Memory, &mut Stage),
        twin: PortId,
        burst: &mut Burst<P::Frame>,
        mut exits: Exits<'_, P>,
    ) {
        let Some(port) = self.snapshot.ports.iter().position(|port| port.twin == Some(twin)) else {
            burst.iter().for_each(|_| self.stats.count(Outcome::DropNoRoute));
            return exits.finished.extend(burst.drain(..));
        };
        let mut stages = self.stages(memory, PortId(port as u8)).of_host(twin);
        let mut clients = Burst::<P::Frame>::new();
        for mut frame in burst.drain(..) {
            match stages.leave(&mut frame) {
                Leaving::Now(fate) => self.carry_out(fate, frame, &mut exits),
                Leaving::AsAClient => clients.push(frame),
            }
        }
        if !clients.is_empty() {
            stages.stage(&mut clients, stage);
            self.handle(stages, &mut clients, stage, exits);
        }
    }

    #[inline(always)]
    fn carry_out<P: Port>(&self, fate: Fate, frame: P::Frame, exits: &mut Exits<'_, P>) {
        match fate {
            Fate::Send(to, outcome) => exits.outbox.push(exits.ports, self.stats, to, frame, Some(outcome)),
            Fate::End(outcome) => {
                self.stats.count(outcome);
                exits.finished.push(frame);
            }
            Fate::Resolve(hop, outcome) => self.resolve(exits, frame, hop, outcome),
            Fate::Hold(lane) => self.hold(exits, frame, lane),
        }
    }

    /// Holds a fragment that is before its datagram's first; ends it, counted, if it may not be.
    #[cold]
    fn hold<P: Port>(&self, exits: &mut Exits<'_, P>, frame: P::Frame, lane: PortId) {
        let refused = match fragments::key(&frame) {
            Some(key) => exits.held.push(frame, key, lane, self.now).err(),
            None => Some(frame),
        };
        if let Some(frame) = refused {
            self.stats.count(Outcome::DropFragmentQueueFull);
            exits.finished.push(frame);
        }
    }

    /// Sends on the fragments whose first has come, and ends those for which it is too late.
    #[cold]
    fn look_again<P: Port>(&self, memory: &mut Memory, mut exits: Exits<'_, P>) {
        let mut looks = exits.held.looks(self.now);
        let known = |key: &fragments::Key| self.shared.fragments.find(key, self.now).is_some();
        while let Some((mut frame, lane)) = exits.held.pop(self.now, &mut looks, known) {
            let twin = |port: &PortSettings| port.twin == Some(lane);
            let port = if lane.index() < self.snapshot.ports.len() {
                Some(lane.index())
            } else {
                self.snapshot.ports.iter().position(twin)
            };
            let fate = match port.map(|port| self.stages(memory, PortId(port as u8))) {
                Some(stages) if port != Some(lane.index()) => stages.of_host(lane).again(&mut frame),
                Some(mut stages) => stages.again(&mut frame),
                None => Fate::End(Outcome::DropNoRoute),
            };
            self.carry_out(fate, frame, &mut exits);
        }
        if let Some(port) = exits.ports.first_mut() {
            port.free(exits.finished);
        }
    }

    /// Lets a frame wait for its next hop, asking for it where nobody has; ends it, counted, if it may not.
    #[cold]
    fn resolve<P: Port>(&self, exits: &mut Exits<'_, P>, frame: P::Frame, hop: NextHop, outcome: Outcome) {
        match self.shared.neighbors.resolve(hop.neighbor, self.now) {
            Resolution::Unreachable => {
                self.stats.count(Outcome::DropNeighborUnresolved);
                return exits.finished.push(frame);
            }
            Resolution::Wait => {}
            Resolution::Ask => {
                if let Some(address) = self.shared.neighbors.address(hop.neighbor) {
                    self.ask(exits.ports, exits.outbox, hop.port, address);
                }
            }
        }
        if let Err(frame) = exits.waiting.push(frame, hop, Some(outcome), self.now) {
            self.stats.count(Outcome::DropNeighborQueueFull);
            exits.finished.push(frame);
        }
    }

    /// Sends on the packets whose next hop has answered, and gives up those it did not answer in time.
    #[cold]
    fn release<P: Port>(&self, ports: &mut [P], outbox: &mut Outbox<P::Frame>, waiting: &mut WaitQueue<P::Frame>) {
        while let Some(release) = waiting.pop(self.now, |id| self.shared.neighbors.mac(id, self.now)) {
            match release {
                Release::Send(mut waiting, mac) => {
                    let source = self.snapshot.ports[waiting.hop.port.index()].mac;
                    // The frame has an Ethernet header: it was received or made with one.
                    let _ = link::readdress(waiting.frame.bytes_mut(), mac, source);
                    outbox.push(ports, self.stats, waiting.hop.port, waiting.frame, waiting.outcome);
                }
                Release::GiveUp(waiting) => {
                    if waiting.outcome.is_some() {
                        self.stats.count(Outcome::DropNeighborUnresolved);
                    }
                }
            }
        }
    }

    fn sweep<K: Kept>(&self, sweeper: &mut Sweeper) {
        let mut expired = 0;
        if let Some(slice) = sweeper.due(self.now) {
            let sockets = |real| self.snapshot.socket(real);
            let tick = Tick::at(self.now);
            K::table(self.shared).sweep(&slice, tick, &self.snapshot.timeouts, sockets, |key, value| {
                self.counts.removed(value);
                self.stats.given_up(value);
                K::book(self.counts, -1);
                persist::ended(self.shared, self.snapshot, key, value);
                expired += 1;
            });
        }
        if expired > 0 {
            self.stats.expired.add(expired);
        }
    }

    fn sweep_templates(&self, sweeper: &mut Sweeper) {
        if let Some(slice) = sweeper.due(self.now) {
            let wanted = |key, real| persist::wanted(self.shared, self.snapshot, key, real);
            let removed = |value| self.counts.removed(value);
            self.shared.templates.sweep(&slice, Tick::at(self.now), &self.snapshot.timeouts, wanted, removed);
        }
    }

    /// The first worker's work of each tick.
    #[cold]
    fn keep_house<P: Port>(&self, ports: &mut [P], outbox: &mut Outbox<P::Frame>) {
        for _ in 0..ANNOUNCEMENTS_A_TICK {
            let Some(Announcement { port, address }) = self.shared.announcements.pop() else { break };
            self.request(ports, outbox, port, address, address);
        }
        self.shared.neighbors.maintain(0..neigh::CAPACITY, self.now, |port, address| {
            self.ask(ports, outbox, port, address);
        });
    }

    fn ask<P: Port>(&self, ports: &mut [P], outbox: &mut Outbox<P::Frame>, port: PortId, target: Address) {
        let settings = self.snapshot.ports.get(port.index());
        if let Some(source) = settings.and_then(|settings| settings.source_towards(target)) {
            self.request(ports, outbox, port, source, target);
        }
    }

    fn request<P: Port>(
        &self,
        ports: &mut [P],
        outbox: &mut Outbox<P::Frame>,
        port: PortId,
        source: Address,
        target: Address,
    ) {
        let mac = self.snapshot.ports[port.index()].mac;
        // Out of buffers: the next try comes with the next tick or packet.
        if let Some(mut frame) = ports[port.index()].allocate()
            && write_question(&mut frame, mac, source, target).is_some()
        {
            outbox.push(ports, self.stats, port, frame, None);
        }
    }
}

/// Writes a question for `target`'s Ethernet address into a fresh frame; if `source` is the same, the news that it is here.
fn write_question<F: Frame>(frame: &mut F, mac: [u8; 6], source: Address, target: Address) -> Option<()> {
    if let (Some(source), Some(target)) = (source.as_v4(), target.as_v4()) {
        return write_request(frame, mac, source.into(), target.into());
    }
    let [source, target] = [source, target].map(|address| address.to_v6());
    if source == target {
        nd::write_unsolicited(frame, mac, target)
    } else {
        nd::write_solicitation(frame, mac, source, target)
    }
}
