//! The sweep: what share of a worker it takes, and how late it is.
//!
//! Time is passed in, so that minutes of a table's life pass in seconds.

use std::time::{Duration, Instant};

use anyhow::ensure;
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Identity, Insert, Key, Slot, State, Sweeper, Table, Tick, Timeouts, Value};
use millrace::dataplane::service::RealId;

use super::own::{self, Own, key, no_sockets};
use super::population::{number, word};
use super::store::NOW;

/// How much time passes between two looks at what is due: a burst of 64 packets at 13 million a second.
const BURST: Duration = Duration::from_micros(5);

/// How much time passes in a sample.
const SAMPLE: Duration = Duration::from_millis(20);

/// The shares of a worker's time that the sweep of a full table takes, of each of so many workers.
pub fn shares(own: &Own, workers: usize, samples: usize) -> Vec<f64> {
    let timeouts = Timeouts::default();
    let start = Now::from_millis(u64::from(NOW.number()) * 250);
    let mut sweeper = Sweeper::new(own.table.lines(), 0, workers, start);
    let mut now = start.nanos();
    let mut share = || {
        let started = Instant::now();
        for _ in 0..SAMPLE.as_nanos() / BURST.as_nanos() {
            now += BURST.as_nanos() as u64;
            let now = Now::from_nanos(now);
            if let Some(slice) = sweeper.due(now) {
                own.table.sweep(&slice, Tick::at(now), &timeouts, no_sockets, |_, _| {});
            }
        }
        started.elapsed().as_secs_f64() / SAMPLE.as_secs_f64()
    };
    (0..samples).map(|_| share()).collect()
}

/// How late connections were removed.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// The least, in seconds after the timeout.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// How long a datagram's connection lives here.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Over how long connections begin.
const SPAN: Duration = Duration::from_secs(20);

/// Each other connection has a second packet so long after its first: too soon to be written down.
const SECOND_PACKET: Duration = Duration::from_millis(499);

/// Between two looks of the worker.
const STEP: Duration = Duration::from_millis(1);

/// Lets `flows` connections begin at their moments, one after the other, and expire; returns how late they did.
pub fn lateness(flows: u32) -> anyhow::Result<Lateness> {
    let mut life = Life {
        table: own::table(flows)?,
        timeouts: Timeouts::default().with(State::UDP, TIMEOUT.as_secs() as u32),
        flows: u64::from(flows),
        lateness: Lateness { least: f64::INFINITY, most: f64::NEG_INFINITY },
        removed: 0,
    };
    let origin = Duration::from_secs(1000);
    let mut sweeper = Sweeper::new(life.table.lines(), 0, 1, at(origin));
    let (mut begun, mut again) = (0, 0);
    let mut time = Duration::ZERO;
    while life.removed < life.flows {
        ensure!(time < SPAN + TIMEOUT + Duration::from_secs(60), "connections are left long after their time");
        time += STEP;
        life.begin(&mut begun, time, origin)?;
        life.touch(&mut again, time, origin);
        while let Some(slice) = sweeper.due(at(origin + time)) {
            let Life { table, timeouts, flows, lateness, removed } = &mut life;
            table.sweep(&slice, Tick::at(at(origin + time)), timeouts, no_sockets, |key, _| {
                let late = time.as_secs_f64() - (last_packet(of(key), *flows) + TIMEOUT).as_secs_f64();
                lateness.least = lateness.least.min(late);
                lateness.most = lateness.most.max(late);
                *removed += 1;
            });
        }
    }
    Ok(life.lateness)
}

struct Life {
    table: Table,
    timeouts: Timeouts,
    flows: u64,
    lateness: Lateness,
    removed: u64,
}

impl Life {
    /// Begins the connections whose time has come.
    fn begin(&self, next: &mut u64, time: Duration, origin: Duration) -> anyhow::Result<()> {
        while *next < self.flows && first_packet(*next, self.flows) <= time {
            let (key, seen) = (key(word(*next)), Tick::at(at(origin + first_packet(*next, self.flows))));
            let inserted = self.table.insert(key, self.table.hash(key), Value::new(State::UDP, seen, RealId(1)));
            ensure!(matches!(inserted, Insert::Inserted(..)), "connection {next} of {} found no place", self.flows);
            *next += 1;
        }
        Ok(())
    }

    /// Gives each other connection its second packet.
    fn touch(&self, next: &mut u64, time: Duration, origin: Duration) {
        while *next < self.flows && last_packet(*next, self.flows) <= time {
            let key = key(word(*next));
            if *next % 2 == 1
                && let Some((slot, value)) = self.table.lookup(key, self.table.hash(key))
            {
                self.packet(slot, value, Tick::at(at(origin + last_packet(*next, self.flows))));
            }
            *next += 1;
        }
    }

    fn packet(&self, slot: Slot, value: Value, now: Tick) {
        // Gone: its time was over.
        let _ = self.table.update(slot, value, |value| value.touched(now));
    }
}

fn at(time: Duration) -> Now {
    Now::from_nanos(time.as_nanos() as u64)
}

fn of(key: Key) -> u64 {
    number(u64::from(key.client().address.low()) << 32 | u64::from(key.client_port()) << 16)
}

/// When a connection of `flows` has its first packet.
fn first_packet(number: u64, flows: u64) -> Duration {
    Duration::from_nanos((SPAN.as_nanos() as u64 / 1000 * number) / flows * 1000)
}

/// When it has its last.
fn last_packet(number: u64, flows: u64) -> Duration {
    first_packet(number, flows) + if number % 2 == 1 { SECOND_PACKET } else { Duration::ZERO }
}
