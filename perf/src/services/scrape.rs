//! What a scrape of `GET /metrics` costs the worker, beside which it is written: ten thousand services of ten real servers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use millrace::ctrl::api::{DeviceReport, Director, HealthReport, exposition};
use millrace::ctrl::director::{Checked, Running};
use millrace::dataplane::port::dpdk::Pool;

use super::{Kind, Rig, configured};
use crate::record::Record;
use crate::sampling::{Samples, on_core, other_core};

/// How long, and beside how much.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    services: u32,
    rounds: u32,
}

impl Plan {
    /// As many turns with a scrape as without, so many each.
    pub fn new(quick: bool) -> Self {
        if quick { Self { services: 1000, rounds: 3 } } else { Self { services: 10_000, rounds: 40 } }
    }
}

const REALS: u32 = 10;
/// A turn: as often as this a scrape is asked for.
const TURN: Duration = Duration::from_secs(1);
/// Before each, untimed.
const WARM_UP: Duration = Duration::from_millis(10);

/// Forwards to all services, now with a scrape in each second and now without.
pub fn measure(plan: Plan, flows: u32, core: usize, pool: &Pool) -> anyhow::Result<Option<Record>> {
    let Some(other) = other_core(core)? else {
        eprintln!("perf/run: scrapes are left out: they need a core beside the worker's");
        return Ok(None);
    };
    let config = configured(Kind::Address, plan.services, REALS)?;
    let Rig { mut forwarder, applier } = Rig::of(Kind::Address, &config, plan.services, flows, pool)?;
    let (shared, counters) = (Arc::clone(&forwarder.shared), Box::new(|_| DeviceReport::default()));
    let checked = Checked::nobody(&config);
    let running = Running::new(shared, applier, config, PathBuf::new(), Instant::now(), counters, checked);
    let (mut alone, mut beside) = (Samples::default(), Samples::default());
    let scrapes = Scrapes::default();
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            on_core(other)?;
            scrapes.serve(&running);
            Ok::<_, anyhow::Error>(())
        });
        let measured = (0..plan.rounds).try_for_each(|round| {
            // Neither is always the first.
            for scraped in if round % 2 == 0 { [true, false] } else { [false, true] } {
                forwarder.pass(WARM_UP)?;
                if scraped {
                    scrapes.asked.fetch_add(1, Ordering::Release);
                }
                let sample = forwarder.pass(TURN)?;
                let (asked, done) = (scrapes.asked.load(Ordering::Relaxed), scrapes.done.load(Ordering::Acquire));
                ensure!(asked == done, "a scrape takes longer than {TURN:?}");
                if scraped { beside.push(sample) } else { alone.push(sample) }
            }
            Ok(())
        });
        scrapes.asked.store(END, Ordering::Release);
        scraper.join().map_err(|_| anyhow!("the scraper panicked"))??;
        measured
    })?;
    let done = u64::from(plan.rounds);
    Ok(Some(
        Record::new("scrape", flows)
            .count("services", plan.services.into())
            .count("reals", (plan.services * REALS).into())
            .number("scrape_ms", scrapes.nanos.load(Ordering::Relaxed) as f64 / done as f64 / 1e6)
            .number("scrape_mb", scrapes.octets.load(Ordering::Relaxed) as f64 / done as f64 / 1e6)
            .number("ns_per_packet", beside.best())
            .number("ns_per_packet_median", beside.median())
            .number("ns_alone", alone.best())
            .number("ns_alone_median", alone.median())
            .number("loss", 1.0 - alone.best() / beside.best())
            .number("loss_median", 1.0 - alone.over(&beside).median())
            .count("samples", beside.len() as u64),
    ))
}

/// No more are asked for.
const END: u32 = u32::MAX;

/// Scrapes that are made when they are asked for, and what they took.
#[derive(Default)]
struct Scrapes {
    asked: AtomicU32,
    done: AtomicU32,
    nanos: AtomicU64,
    octets: AtomicU64,
}

impl Scrapes {
    /// Makes them, as the control thread does.
    fn serve(&self, running: &Running) {
        loop {
            match self.asked.load(Ordering::Acquire) {
                END => return,
                asked if asked == self.done.load(Ordering::Relaxed) => thread::sleep(Duration::from_micros(500)),
                asked => {
                    let start = Instant::now();
                    let text = exposition(&running.report(), &HealthReport::default());
                    self.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    let octets: usize = text.iter().map(Vec::len).sum();
                    self.octets.fetch_add(octets as u64, Ordering::Relaxed);
                    self.done.store(asked, Ordering::Release);
                }
            }
        }
    }
}
