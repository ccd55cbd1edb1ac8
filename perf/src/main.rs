//! Measures the data plane: see the README beside this folder's `run`.

#![deny(unsafe_code)]

mod forward;
mod report;
mod sampling;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// One worker's forwarding rate by each method, beside two references.
    Forward,
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
    /// Of `forward`, only these numbers of flows.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    flows: Vec<u32>,
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
    if arguments.only.is_empty() || arguments.only.contains(&Name::Forward) {
        let plan = forward::Plan::new(arguments.quick, &arguments.cases, &arguments.flows);
        let memory = if arguments.no_huge { "--no-huge" } else { "--in-memory" };
        report.results.extend(forward::measure(&plan, core, memory)?);
    }
    print!("{report}");
    match &arguments.json {
        Some(file) => report.write(file),
        None => Ok(()),
    }
}
