//! Measures the data plane: see the README beside this folder's `run`.

#![deny(unsafe_code)]

mod control;
mod forward;
mod maglev;
mod opening;
mod pages;
mod record;
mod report;
mod sampling;
mod schedulers;
mod services;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, ValueEnum};
use millrace::dataplane::port::dpdk::{Eal, EalArgs, Pool, PoolConfig};

use report::{Entry, Report};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// One worker's forwarding rate by each method, beside two references.
    Forward,
    /// The connection table beside the memory limit and other tables.
    Table,
    /// New connections a second through one worker, for a while.
    Connections,
    /// New connections a second by every scheduler, with few and with many real servers.
    Schedulers,
    /// mh's table beside the Maglev paper's.
    Maglev,
    /// One worker's forwarding rate with few and with many services of each kind.
    Services,
    /// What the control thread needs to load ten thousand services, and to change a little of them.
    Control,
}

/// Measures the data plane and prints a table. README.md says how to read it.
#[derive(Debug, Parser)]
#[command(name = "perf/run")]
struct Arguments {
    /// Only these measurements, separated by commas; without it, all of them.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Name>,
    /// Fewer and shorter samples, for a first look.
    #[arg(long)]
    quick: bool,
    /// Writes the results to this file, too, as one JSON object.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The CPU core to measure on; by default the last that this process may use.
    #[arg(long)]
    core: Option<usize>,
    /// Takes ordinary memory for the mbufs whatever there is, as valgrind needs it.
    #[arg(long)]
    no_huge: bool,
    /// Of `forward`, only these cases.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CASE")]
    cases: Vec<forward::Case>,
    /// Of `forward` and `table`, only these numbers of flows.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    flows: Vec<u32>,
    /// Of `connections` and `schedulers`, only these schedulers; by default rr and mh, and all.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    schedulers: Vec<String>,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perf/run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let core = match arguments.core {
        Some(core) => core,
        None => sampling::last_core()?,
    };
    let mut report = Report::new(core);
    report.results = Plan::of(arguments)?.run(core, arguments.no_huge)?;
    print!("{report}");
    match &arguments.json {
        Some(file) => report.write(file),
        None => Ok(()),
    }
}

/// What is to be measured.
struct Plan {
    forward: Option<forward::Plan>,
    table: Option<table::Plan>,
    opening: Option<opening::Plan>,
    schedulers: Option<schedulers::Plan>,
    maglev: Option<maglev::Plan>,
    services: Option<services::Plan>,
    control: Option<control::Plan>,
}

impl Plan {
    fn of(arguments: &Arguments) -> anyhow::Result<Self> {
        let Arguments { only, quick, cases, flows, schedulers, .. } = arguments;
        let wanted = |name| only.is_empty() || only.contains(&name);
        Ok(Self {
            forward: wanted(Name::Forward).then(|| forward::Plan::new(*quick, cases, flows)),
            table: wanted(Name::Table).then(|| table::Plan::new(*quick, flows)).transpose()?,
            opening: wanted(Name::Connections).then(|| opening::Plan::new(*quick, schedulers)),
            schedulers: wanted(Name::Schedulers).then(|| schedulers::Plan::new(*quick, schedulers)).transpose()?,
            maglev: wanted(Name::Maglev).then(|| maglev::Plan::new(*quick)),
            services: wanted(Name::Services).then(|| services::Plan::new(*quick)),
            control: wanted(Name::Control).then(|| control::Plan::new(*quick)),
        })
    }

    /// Runs it on `core`, as a worker of the EAL.
    fn run(self, core: usize, no_huge: bool) -> anyhow::Result<Vec<Entry>> {
        let config = PoolConfig { frames: forward::FRAMES, ..PoolConfig::default() };
        let memory = if no_huge { "--no-huge" } else { "--in-memory" };
        let extra = [memory, "--no-telemetry", "--log-level=lib.eal:error"].map(str::to_owned).to_vec();
        let memory_mib = config.memory_mib() + self.table.as_ref().map_or(0, table::Plan::memory_mib);
        let eal = Eal::start(&EalArgs { worker_cores: vec![core], memory_mib, extra, ..EalArgs::default() })?;
        let ordinary = eal.arguments().iter().any(|argument| argument == "--no-huge");
        let pages = if ordinary { "4 KiB" } else { "2 MiB" };
        let pool = Pool::new(&eal, config)?;
        let job = eal.launch(0, move || self.measure(core, &pool, pages))?;
        job.join().map_err(|_| anyhow!("the worker panicked"))?
    }

    fn measure(&self, core: usize, pool: &Pool, pages: &'static str) -> anyhow::Result<Vec<Entry>> {
        let mut results = Vec::new();
        if let Some(plan) = &self.forward {
            results.extend(forward::measure(plan, pool)?.into_iter().map(Entry::Rate));
        }
        if let Some(plan) = &self.table {
            results.extend(table::measure(plan, core, pool, pages)?.into_iter().map(Entry::Record));
        }
        if let Some(plan) = &self.opening {
            results.extend(opening::measure(plan, pool)?.into_iter().map(Entry::Record));
        }
        if let Some(plan) = &self.schedulers {
            results.extend(schedulers::measure(plan, pool)?.into_iter().map(Entry::Record));
        }
        if let Some(plan) = self.maglev {
            results.extend(maglev::measure(plan)?.into_iter().map(Entry::Record));
        }
        if let Some(plan) = &self.services {
            results.extend(services::measure(plan, core, pool)?.into_iter().map(Entry::Record));
        }
        if let Some(plan) = self.control {
            results.extend(control::measure(plan)?.into_iter().map(Entry::Record));
        }
        Ok(results)
    }
}
