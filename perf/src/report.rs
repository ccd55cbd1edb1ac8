//! What a run found: a table for people, one JSON object for programs.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use millrace::dataplane::port::dpdk::Eal;
use serde::Serialize;

use crate::record::Record;

/// One run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// What it found.
    pub results: Vec<Entry>,
}

/// One result.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// A forwarding rate.
    Rate(Measurement),
    /// Anything else.
    Record(Record),
}

/// Where and when a run was.
#[derive(Debug, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    core: usize,
    kernel: String,
    dpdk: String,
    commit: &'static str,
    date: String,
}

/// One case. Rates are of packets through the worker, in millions a second.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub case: &'static str,
    /// Established flows that packets were drawn from, all as likely.
    pub flows: u32,
    /// Workers.
    pub workers: u32,
    /// Length on the wire, frame check sequence included.
    pub frame_bytes: u32,
    /// The median sample.
    pub mpps: f64,
    /// The slowest sample.
    pub mpps_min: f64,
    /// The quickest sample.
    pub mpps_max: f64,
    /// Of the quickest sample.
    pub ns_per_packet: f64,
    /// Of the median sample.
    pub ns_per_packet_median: f64,
    /// Rate over mac-swap's, quickest sample with quickest. `None` for mac-swap itself, or if it did not run.
    pub vs_mac_swap: Option<f64>,
    /// Rate over memory-limit's, quickest sample with quickest.
    pub vs_memory_limit: Option<f64>,
    /// The same, median with median.
    pub vs_mac_swap_median: Option<f64>,
    /// The same, median with median.
    pub vs_memory_limit_median: Option<f64>,
    /// Time for a packet over that of the same case over IPv4, quickest sample with quickest. Of IPv6's cases.
    pub vs_ipv4: Option<f64>,
    /// The same, median with median.
    pub vs_ipv4_median: Option<f64>,
    /// How many samples.
    pub samples: usize,
    /// What pages the connection table (or the memory read in its place) lies in.
    pub pages: &'static str,
}

impl Report {
    /// A report without results, of a run on `core`.
    pub fn new(core: usize) -> Self {
        let machine = Machine {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            core,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            dpdk: Eal::version(),
            commit: millrace::COMMIT,
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
        Self { machine, results: Vec::new() }
    }

    /// Writes the JSON object.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| file.display().to_string())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, core, kernel, dpdk, commit, date, .. } = &self.machine;
        writeln!(f, "{cpu}, core {core}; Linux {kernel}; {dpdk}; commit {commit}; {date}\n")?;
        let (mut rates, mut records) = (Vec::new(), Vec::new());
        for entry in &self.results {
            match entry {
                Entry::Rate(rate) => rates.push(rate),
                Entry::Record(record) => records.push(record),
            }
        }
        if !rates.is_empty() {
            write_rates(f, &rates)?;
        }
        // Together what has the same columns.
        while let Some(first) = records.first().copied() {
            let (alike, others): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.is_like(first));
            write_records(f, &alike)?;
            records = others;
        }
        Ok(())
    }
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn write_records(f: &mut fmt::Formatter<'_>, records: &[&Record]) -> fmt::Result {
    let mut table = empty_table();
    if let Some(first) = records.first() {
        table.set_header(first.shown().map(|(name, _)| name.replace('_', " ")));
    }
    for record in records {
        table.add_row(record.shown().map(|(_, value)| value.to_string()));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(f, "{table}\n")
}

fn write_rates(f: &mut fmt::Formatter<'_>, rates: &[&Measurement]) -> fmt::Result {
    let mut table = empty_table();
    table.set_header([
        "case",
        "flows",
        "Mpps",
        "min",
        "max",
        "ns best",
        "ns median",
        "vs mac-swap",
        "vs memory-limit",
        "time vs IPv4",
        "pages",
    ]);
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    for result in rates {
        table.add_row([
            result.case.to_owned(),
            result.flows.to_string(),
            format!("{:.1}", result.mpps),
            format!("{:.1}", result.mpps_min),
            format!("{:.1}", result.mpps_max),
            format!("{:.1}", result.ns_per_packet),
            format!("{:.1}", result.ns_per_packet_median),
            ratio(result.vs_mac_swap),
            ratio(result.vs_memory_limit),
            ratio(result.vs_ipv4),
            result.pages.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(9) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(
        f,
        "{table}\n\nMpps is the median sample; ratios are of the quickest samples, rate over rate, and time over time for IPv4.\n"
    )
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown CPU", |name| name.trim_start_matches(['\t', ' ', ':'])).to_owned()
}
