//! Many short samples, of all cases in turn: how fast a core runs here changes from one second to the next.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// What one sample saw.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Packets that went through.
    pub packets: u64,
    /// How long that took.
    pub time: Duration,
}

/// All samples of one case, in nanoseconds a packet.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

/// Runs `poll`, which returns how many packets it handled, for about `length`.
///
/// `poll` is told how long the sample has run: the clock is read before each call, as a worker reads it.
pub fn sample(length: Duration, mut poll: impl FnMut(Duration) -> usize) -> Sample {
    let start = Instant::now();
    let mut packets = 0;
    loop {
        let time = start.elapsed();
        if time >= length {
            return Sample { packets, time };
        }
        packets += poll(time) as u64;
    }
}

impl From<Vec<f64>> for Samples {
    fn from(samples: Vec<f64>) -> Self {
        Self(samples)
    }
}

impl Samples {
    /// Adds a sample that saw a packet at least.
    pub fn push(&mut self, sample: Sample) {
        self.0.push(sample.time.as_nanos() as f64 / sample.packets as f64);
    }

    /// What each took over what each of `other`, which were taken in turn, took.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    /// The quickest sample: what disturbs a core only ever adds time.
    pub fn best(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The slowest sample.
    pub fn worst(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// The sample in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The last CPU core that this process may use.
pub fn last_core() -> anyhow::Result<usize> {
    let allowed = sched_getaffinity(None).context("which cores this process may use")?;
    (0..CpuSet::MAX_CPU).rev().find(|&core| allowed.is_set(core)).context("no core at all")
}

/// A core that this process had before the EAL put the calling thread on one.
pub fn other_core(own: usize) -> anyhow::Result<Option<usize>> {
    let main = Pid::from_raw(std::process::id() as i32);
    let allowed = sched_getaffinity(main).context("which cores this process may use")?;
    Ok((0..CpuSet::MAX_CPU).find(|&core| core != own && allowed.is_set(core)))
}

/// Puts the calling thread on a core.
pub fn on_core(core: usize) -> anyhow::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).context("a core of its own")
}
