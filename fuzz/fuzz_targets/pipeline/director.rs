//! The directors, and what holds of each at every moment.

use std::path::Path;
use std::sync::Arc;

use millrace::ctrl::apply::{Applier, MAX_REALS};
use millrace::ctrl::config;
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Table, Templates};
use millrace::dataplane::port::memory::{MemoryPort, MemoryWire};
use millrace::dataplane::sched::Share;
use millrace::dataplane::service::RealId;
use millrace::dataplane::shared::Shared;
use millrace::dataplane::stats::Outcome;
use millrace::dataplane::worker::{ENDPOINT_IDS, Worker};

use super::judge::judge;
use super::sums::{self, Packet, Verdict};

/// The configurations of the directors, by number; `tests/golden/seeds.py` knows them by their names.
pub const CONFIGURATIONS: [(&str, &str); 5] = [
    ("nat", include_str!("../../configurations/nat.toml")),
    ("direct", include_str!("../../configurations/direct.toml")),
    ("tunnel", include_str!("../../configurations/tunnel.toml")),
    ("fullnat", include_str!("../../configurations/fullnat.toml")),
    ("rules", include_str!("../../configurations/rules.toml")),
];

const NETWORK: &str = include_str!("../../configurations/network.toml");

/// A frame that all ports take.
pub const LONGEST_FRAME: usize = 1514;

const WORKERS: usize = 2;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// More ids than any of the configurations takes, of services and of real servers.
const IDS: usize = 64;

/// All timeouts are shorter.
const FOR_EVER: u64 = 1_000_000;
/// Passes of the sweepers in which everything goes: a template only after the last of its connections.
const PASSES: u32 = 3;
/// What one takes.
const PASS: u64 = 500;

/// A director with two workers, one after the other.
pub struct Director {
    name: &'static str,
    shared: Arc<Shared>,
    workers: Vec<Worker<MemoryPort>>,
    /// By worker, then port.
    wires: Vec<Vec<MemoryWire>>,
    /// What publishes the snapshot, which it must outlive.
    _applier: Applier,
    now: u64,
    /// Nothing unsound has come so far.
    sound: bool,
    heard: u64,
    /// Connections that had begun before this input.
    began: u64,
}

impl Director {
    pub fn new(number: usize) -> Self {
        let (name, services) = CONFIGURATIONS[number];
        let text = format!("{NETWORK}\n{services}");
        let config = config::parse(Path::new(name), &text).unwrap_or_else(|error| panic!("{name}: {error}")).config;
        let secret = [3, 5, 7, 9];
        let tables =
            (Table::new(0, secret).unwrap(), Table::new(0, secret).unwrap(), Templates::new(0, secret).unwrap());
        let shared = Shared::new(tables, WORKERS, config.lanes(), ENDPOINT_IDS, MAX_REALS as usize + 1).unwrap();
        let shared = Arc::new(shared);
        let now = 1000;
        let applier = Applier::start(Arc::clone(&shared), &config, MACS.to_vec(), Now::from_millis(now)).unwrap();
        let mut wires = Vec::new();
        let worker = |worker| {
            let (ports, ends): (Vec<_>, Vec<_>) = (0..config.lanes()).map(|_| MemoryPort::new()).unzip();
            wires.push(ends);
            let share = Share { worker: worker as u32, workers: WORKERS as u32 };
            Worker::new(share, ports, applier.reader(), Arc::clone(&shared), Now::from_millis(now))
        };
        let workers = (0..WORKERS).map(worker).collect();
        let mut director =
            Self { name, shared, workers, wires, _applier: applier, now, sound: true, heard: 0, began: 0 };
        director.pass(1000);
        director
    }

    /// Another input begins.
    pub fn begin(&mut self) {
        (self.sound, self.heard, self.began) = (true, 0, self.connections_begun());
    }

    /// A frame comes to a worker's queue of a port.
    pub fn hear(&mut self, worker: usize, port: usize, octets: &[u8], mend: bool) {
        let mut frame = octets.to_vec();
        if mend {
            sums::mend(&mut frame);
        }
        self.sound &= sound(&frame);
        self.heard += 1;
        self.wires[worker][port].inject(&frame).expect("a free buffer");
        self.poll();
    }

    /// Time passes, in one step.
    pub fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.poll();
    }

    fn poll(&mut self) {
        for worker in &mut self.workers {
            worker.poll(Now::from_millis(self.now));
        }
        for wire in self.wires.iter().flatten() {
            for frame in wire.collect() {
                if let Err(what) = judge(&frame, self.sound) {
                    panic!("{}: {what}, in a frame that was sent: {frame:02x?}; {:?}", self.name, self.outcomes());
                }
            }
        }
        for stats in &self.shared.workers {
            let (received, ended, waiting) = (stats.received(), stats.ended(), stats.waiting.get());
            assert_eq!(
                received,
                ended + waiting,
                "{}: received, ended + waiting ({waiting}): {:?}",
                self.name,
                self.outcomes()
            );
        }
        let begun = self.connections_begun() - self.began;
        assert!(begun <= self.heard, "{}: {begun} connections of {} packets", self.name, self.heard);
    }

    /// All that it remembers is over.
    pub fn end(&mut self) {
        if self.in_use() > 0 || self.connections_begun() > self.began {
            for _ in 0..PASSES {
                self.pass(FOR_EVER);
                self.pass(PASS);
                self.pass(PASS);
            }
        }
        assert_eq!(self.in_use(), 0, "{}: buffers in use at rest", self.name);
        assert_eq!(self.shared.counts.wide(), 0, "{}: wide connections at rest", self.name);
        for real in 0..IDS as u32 {
            let left = self.shared.counts.connections(RealId(real));
            let sum = left.active + left.inactive + left.persistent;
            assert_eq!(sum, 0, "{}: {left:?} of real server {real} at rest", self.name);
        }
    }

    /// Buffers that a port or a worker has.
    fn in_use(&self) -> usize {
        self.wires.iter().flatten().map(MemoryWire::in_use).sum()
    }

    fn connections_begun(&self) -> u64 {
        let services = self.shared.workers.iter().flat_map(|worker| &worker.services[..IDS]);
        services.map(|service| service.connections.get()).sum()
    }

    fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let count = |outcome: &Outcome| self.shared.workers.iter().map(|worker| worker.outcome(*outcome)).sum();
        let all = Outcome::ALL.iter().map(|outcome| (outcome.name(), count(outcome)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// Whether nothing is wrong with a frame's sums, as far as can be told.
fn sound(frame: &[u8]) -> bool {
    let Some((ethertype, packet)) = sums::split(frame) else { return true };
    match sums::read(packet, ethertype) {
        Packet::Ip { transport: Some(transport), .. } => transport.verdict(packet) == Verdict::Sound,
        // A fragment's sum, say, cannot be told.
        Packet::Ip { .. } => false,
        Packet::Wrong(_) | Packet::Unknown => true,
    }
}
