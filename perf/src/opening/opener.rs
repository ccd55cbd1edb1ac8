//! A director whose clients do nothing but open connections, at whatever rate it manages.

use std::time::Duration;

use anyhow::ensure;
use millrace::dataplane::stats::Outcome;
use rustix::time::{ClockId, clock_gettime};

use crate::forward::director::Director;
use crate::forward::port::{Opening, Order};
use crate::forward::traffic::Segment;
use crate::sampling::Sample;

/// How many connections open between two packets of one: 10 ms at three million a second.
pub const APART: u32 = 30_000;

/// What the worker had counted at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Connections opened.
    pub opened: u64,
    /// Connections expired.
    pub expired: u64,
}

/// A director under such traffic.
pub struct Opener {
    director: Director,
    outcome: Outcome,
    passed: u64,
    last: Counted,
}

impl Opener {
    /// Lets clients open connections of these packets, each of which ends in `outcome`.
    pub fn new(mut director: Director, packets: &[Segment], outcome: Outcome) -> Self {
        director.port().order = Order::Opening(Opening::new(packets, APART));
        Self { director, outcome, passed: 0, last: Counted::default() }
    }

    /// Goes on for about `length`, and returns the connections opened and the time that the worker had its core.
    pub fn sample(&mut self, length: Duration) -> Sample {
        let (began, opened) = (core_time(), self.last.opened);
        self.passed += self.director.run(length).packets;
        let time = core_time() - began;
        self.last = counted(&self.director);
        Sample { packets: self.last.opened - opened, time }
    }

    /// What was counted up to the end of the last sample.
    pub fn counted(&self) -> Counted {
        self.last
    }

    /// Checks that all packets were forwarded, and all connections kept until their time.
    pub fn check(&self) -> anyhow::Result<()> {
        let (stats, passed) = (&self.director.shared().workers[0], self.passed);
        let forwarded = stats.outcome(self.outcome);
        ensure!(forwarded == passed, "{forwarded} of {passed} packets were forwarded: {:?}", self.director.outcomes());
        let (evicted, stateless) = (stats.evicted.get(), stats.stateless.get());
        ensure!(evicted + stateless == 0, "expiry does not keep pace: {evicted} evicted, {stateless} not stored");
        Ok(())
    }
}

fn counted(director: &Director) -> Counted {
    let stats = &director.shared().workers[0];
    let opened = stats.services.iter().map(|service| service.connections.get()).sum();
    Counted { opened, expired: stats.expired.get() }
}

/// How long the calling thread has had a core for itself: what others took of it in between is not the worker's.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
