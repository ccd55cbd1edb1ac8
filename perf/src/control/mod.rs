//! What a change costs the control thread, at ten thousand services of ten real servers: reading the file, and changing a little of
//! it, one change after the other.
//!
//! No worker runs beside it: what is told is what the control thread itself does, from a configuration to the published snapshot.

mod ways;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use millrace::ctrl::apply::{Applier, MAX_REALS};
use millrace::ctrl::config::{self, Config, Index, Loaded, Selector, Service};
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Table, Templates};
use millrace::dataplane::shared::Shared;
use millrace::dataplane::snapshot::Viewer;
use millrace::dataplane::worker::ENDPOINT_IDS;

use crate::pages::resident;
use crate::record::Record;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    services: u32,
    changes: u32,
    loads: u32,
}

/// Of each service.
const REALS: u32 = 10;
/// Hosts that real servers run on: next hops, of which there cannot be as many as real servers.
const HOSTS: u32 = 1000;
/// As many changes pass in a second of the director's time.
const A_SECOND: u32 = 200;

impl Plan {
    /// Ten thousand services, or a tenth of that.
    pub fn new(quick: bool) -> Self {
        if quick {
            Self { services: 1000, changes: 200, loads: 2 }
        } else {
            Self { services: 10_000, changes: 1000, loads: 5 }
        }
    }
}

/// Runs the plan.
pub fn measure(plan: Plan) -> anyhow::Result<Vec<Record>> {
    let file = Temporary::new(&file(plan.services))?;
    let mut records = Vec::new();
    let (mut rig, mut load) = Rig::load(&file.0)?;
    for _ in 1..plan.loads {
        // The former one's memory is given back first, and taken again: only the first load tells how much it is.
        drop(rig);
        let again;
        (rig, again) = Rig::load(&file.0)?;
        if again.total() < load.total() {
            load = Load { memory_mib: load.memory_mib, ..again };
        }
    }
    records.push(load.record(plan));
    let weight = |rig: &Rig, n: u32| rig.with_weight(n);
    records.push(rig.changes("weight", plan, weight)?);
    records.push(rig.changes("add and remove a real server", plan, |rig, n| rig.with_real(n))?);
    records.push(rig.changes("add and remove a service", plan, |rig, n| rig.with_service(n))?);
    records.extend(ways::measure(&mut rig, plan)?);
    Ok(records)
}

/// A file that goes when it is done with.
struct Temporary(PathBuf);

impl Temporary {
    fn new(text: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("millrace-perf-{}.toml", process::id()));
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How long loading took, and what it left in memory.
#[derive(Clone, Copy, Debug)]
struct Load {
    read: Duration,
    check: Duration,
    apply: Duration,
    memory_mib: f64,
}

impl Load {
    fn total(&self) -> Duration {
        self.read + self.check + self.apply
    }

    fn record(&self, plan: Plan) -> Record {
        head("load", plan)
            .number("read_ms", millis(self.read))
            .number("check_ms", millis(self.check))
            .number("apply_ms", millis(self.apply))
            .number("total_ms", millis(self.total()))
            .number("memory_mib", self.memory_mib)
    }
}

fn head(change: &str, plan: Plan) -> Record {
    let record = Record::new("control", 0).text("change", change);
    record.count("services", plan.services.into()).count("reals", (plan.services * REALS).into())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A director without workers, and the configuration that it runs.
struct Rig {
    shared: Arc<Shared>,
    applier: Applier,
    viewer: Viewer,
    loaded: Loaded,
    index: Index,
    clock: Duration,
}

impl Rig {
    fn load(path: &std::path::Path) -> anyhow::Result<(Self, Load)> {
        let secret = [3, 5, 7, 9];
        let table = Table::new(0, secret).context("the connection table")?;
        let wide = Table::new(0, secret).context("the table of wide connections")?;
        let templates = Templates::new(0, secret).context("the table of templates")?;
        let shared = Arc::new(Shared::new((table, wide, templates), 1, 2, ENDPOINT_IDS, MAX_REALS as usize + 1)?);
        let (before, clock) = (resident()?, Duration::from_secs(1));
        let start = Instant::now();
        let loaded = config::load(path).map_err(|error| anyhow!("{error}"))?;
        let read = start.elapsed();
        let start = Instant::now();
        config::check(&loaded.config).map_err(|error| anyhow!("{error}"))?;
        let check = start.elapsed();
        let start = Instant::now();
        let macs = vec![[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        let applier = Applier::start(Arc::clone(&shared), &loaded.config, macs, at(clock))?;
        let apply = start.elapsed();
        let memory_mib = resident()? - before;
        let index = Index::new(&loaded.config);
        let load = Load { read: read.saturating_sub(check), check, apply, memory_mib };
        Ok((Self { shared, viewer: applier.viewer(), applier, loaded, index, clock }, load))
    }

    /// Makes changes one after the other, and tells how long each took: until the next configuration is there, until it is
    /// checked, and until it is published.
    fn changes(&mut self, name: &str, plan: Plan, next: impl Fn(&Self, u32) -> Config) -> anyhow::Result<Record> {
        let [mut edits, mut checks, mut applies, mut totals] = [const { Vec::new() }; 4];
        let mut tends = Vec::new();
        for n in 0..plan.changes {
            let generation = self.viewer.current().generation;
            let start = Instant::now();
            let config = next(self, n);
            let edited = start.elapsed();
            self.index
                .advance(&self.loaded.config, &config, &self.loaded.source)
                .map_err(|error| anyhow!("{error}"))?;
            let checked = start.elapsed();
            self.applier.apply(&config, at(self.clock))?;
            self.loaded.config = config;
            let applied = start.elapsed();
            ensure!(self.viewer.current().generation == generation + 1, "one change is one snapshot");
            edits.push(millis(edited));
            checks.push(millis(checked - edited));
            applies.push(millis(applied - checked));
            totals.push(millis(applied));
            self.clock += Duration::from_secs(1) / A_SECOND;
            if n % A_SECOND == A_SECOND - 1 {
                let start = Instant::now();
                self.applier.tend(at(self.clock));
                tends.push(millis(start.elapsed()));
            }
        }
        let most = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        Ok(head(name, plan)
            .count("changes", plan.changes.into())
            .number("edit_ms", median(&mut edits))
            .number("check_ms", median(&mut checks))
            .number("apply_ms", median(&mut applies))
            .number("total_ms", median(&mut totals))
            .number("total_max_ms", most(&totals))
            .number("tend_max_ms", most(&tends)))
    }

    /// The configuration with one service changed, somewhere.
    fn changed(&self, n: u32, change: impl FnOnce(&mut Service)) -> Config {
        let mut config = self.loaded.config.clone();
        let place = somewhere(n) as usize % config.services.len();
        change(Arc::make_mut(&mut config.services[place]));
        config
    }

    /// Another weight for a real server.
    fn with_weight(&self, n: u32) -> Config {
        self.changed(n, |service| {
            let place = n as usize % service.reals.len();
            service.reals[place].weight = service.reals[place].weight % 100 + 1;
        })
    }

    /// By turns a real server more, and that one less.
    fn with_real(&self, n: u32) -> Config {
        self.changed(n & !1, |service| {
            if n.is_multiple_of(2) {
                let mut real = service.reals[0].clone();
                real.address.set_port(9999);
                service.reals.push(real);
            } else {
                service.reals.pop();
            }
        })
    }

    /// By turns a service more, with real servers that others have too, and that one less.
    fn with_service(&self, n: u32) -> Config {
        let mut config = self.loaded.config.clone();
        if n.is_multiple_of(2) {
            let mut service = Service::clone(&config.services[somewhere(n) as usize % config.services.len()]);
            if let Selector::Socket(address, _) = &mut service.selector {
                address.set_port(81);
            }
            config.services.push(Arc::new(service));
        } else {
            config.services.pop();
        }
        config
    }
}

/// Numbers all over the place.
fn somewhere(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1) >> 8
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn at(clock: Duration) -> Now {
    Now::from_nanos(clock.as_nanos() as u64)
}

/// Services on VIPs of their own, each real server a socket of its own.
fn file(services: u32) -> String {
    let mut text = "[[port]]\nname = \"lan\"\ndevice = \"net_null0\"\naddresses = [\"10.1.255.254/16\"]\n\
                    [[port]]\nname = \"wan\"\ndevice = \"net_null1\"\naddresses = [\"192.0.2.1/24\"]\n\
                    [[route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.2\"\n"
        .to_owned();
    for service in 0..services {
        let vip = Ipv4Addr::from_bits(0x6440_0000 + service);
        text += &format!("\n[[service]]\naddress = \"{vip}:80\"\nscheduler = \"wlc\"\n");
        for real in service * REALS..(service + 1) * REALS {
            let (host, port) = (Ipv4Addr::from_bits(0x0a01_0100 + real % HOSTS), 10_000 + real / HOSTS);
            text += &format!("[[service.real]]\naddress = \"{host}:{port}\"\n");
        }
    }
    text
}
