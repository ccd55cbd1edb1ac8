//! `millrace replay`: the data plane over captures. The EAL, the devices (net_pcap) and the worker are those of a
//! running director; only the clock is the captures'.
//!
//! Workers take turns on one thread, so that a run can be repeated frame by frame. Frames of one time stamp come as one
//! burst; between two frames the clock goes in ticks, so that everything that is due in the meantime happens in time, control's
//! part included.

mod capture;
mod control;
mod tape;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::{fs, io};

use fastrand::Rng;
use log::warn;

use super::accounts::Accounts;
use super::apply::Applier;
use super::config::{self, Config, ConfigError, Machine};
use super::connections::{Filter, Scan};
use super::diff::NeedsRestart;
use super::health::book::Book;
use super::ports::{Devices, Equipment};
use super::start::{Start, StartError};
use super::survey::Survey;
use crate::cli::{PortFile, ReplayArgs};
use crate::dataplane::clock::{Now, TICK_NANOS};
use crate::dataplane::sched::Share;
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::Viewer;
use crate::dataplane::worker::Worker;
use capture::CaptureError;
use control::{Control, Reloads};
use tape::{Reel, Tape};

/// A longer silence in a capture is taken for a damaged time stamp: a day costs a second to wait for.
const LONGEST_SILENCE: u64 = 30 * 86_400 * 1_000_000_000;

/// How often a running director's control thread sees to what is due.
const SECOND: u64 = 1_000_000_000;

/// The table's secret: a run can be repeated.
const SECRET: [u64; 4] = [1, 2, 3, 4];

/// Why a replay did not start, or is not to be trusted; displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration has a mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An argument names a port that the configuration does not have.
    #[error("{argument} {port}: the configuration has no such port; it has {known}")]
    UnknownPort {
        /// `--in` or `--out`.
        argument: &'static str,
        /// The name.
        port: String,
        /// The names there are.
        known: String,
    },
    /// A port is named twice.
    #[error("{0} {1}: given twice")]
    Twice(&'static str, String),
    /// A capture cannot be read, or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A port does not start, there is no memory, or the configuration is too large.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A capture is damaged in the middle.
    #[error("{0}: damaged, or cut short: {1} frames could not be read")]
    Damaged(PathBuf, u64),
    /// A time stamp cannot be right.
    #[error("{0}: a frame {1} days after the one before: is its time stamp damaged?")]
    Silence(PathBuf, u64),
    /// A configuration that cannot follow the one before without a restart.
    #[error("{0}: {1}")]
    Reload(PathBuf, NeedsRestart),
    /// The captures end before a configuration's time.
    #[error("{0}: the captures end before its time")]
    Unreached(PathBuf),
    /// What was asked for cannot be written.
    #[error("{0}: {1}")]
    Output(PathBuf, io::Error),
    /// It ran, and did not end well.
    #[error("{0}")]
    End(String),
}

impl ReplayError {
    /// Tells whether the arguments or the configuration are at fault.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::UnknownPort { .. }
                | Self::Twice(..)
                | Self::Capture(_)
                | Self::Reload(..)
                | Self::Unreached(_)
        )
    }
}

/// Runs a replay.
///
/// # Errors
/// Why it did not start, or is not to be trusted.
pub fn replay(args: &ReplayArgs) -> Result<(), ReplayError> {
    let loaded = config::load(&args.file.config)?;
    for note in loaded.notes() {
        warn!("{note}");
    }
    let config = loaded.config;
    let inputs = by_port(&config, "--in", &args.inputs)?;
    let outputs = by_port(&config, "--out", &args.outputs)?;
    let reloads = Reloads::read(&config, &args.reloads)?;
    let mut devices = devices(&inputs, &outputs)?;
    let equipment = Equipment {
        twins: devices.split_off(config.ports.len()),
        devices,
        main_core: Machine::here().cores.first().copied().unwrap_or_default(),
        worker_cores: Vec::new(),
        queues: 1,
        // Ordinary memory and no files, so that replays run side by side, and without being root.
        dpdk_args: ["--no-huge", "--no-telemetry", "--log-level=error"].map(str::to_owned).to_vec(),
    };
    let Start { mut ports, shared, applier } = Start::new(&config, &equipment, args.workers.into(), SECRET)?;
    let dealer = Dealer { rng: Rng::with_seed(args.seed), workers: args.workers.into() };
    let queues = ports.take_queues().into_iter().flatten();
    let reels: Vec<Reel> = queues.map(|queue| Reel::new(queue, args.workers.into())).collect();
    let mut control = Control::new(applier, config, reloads);
    let begun = control.begin();
    let run = Run::new(args.workers.into(), &mut control, &shared, reels, dealer);
    let result = begun.and_then(|()| run.play(&inputs));
    let Control { applier, config, .. } = control;
    let devices = ports.devices();
    let intact = check_inputs(&inputs, &devices);
    if let (Ok(now), Some(file)) = (&result, &args.stats) {
        write_stats(file, &shared, &applier.viewer(), &config, *now, &devices)?;
    }
    if let (Ok(now), Some(file)) = (&result, &args.connections) {
        write_connections(file, &shared, &applier, *now)?;
    }
    drop(applier);
    let accounted = shared.account().map_err(|lost| ReplayError::End(lost.to_string()));
    let stopped = ports.stop().map_err(ReplayError::End);
    result.map(|_| ()).and(intact).and(accounted.map(|_| ())).and(stopped)
}

/// Finds the file of each port, and then of each twin, among the arguments.
fn by_port<'a>(
    config: &Config,
    argument: &'static str,
    files: &'a [PortFile],
) -> Result<Vec<Option<&'a Path>>, ReplayError> {
    let twins = config.twins().map(|(_, port, _)| format!("{}:twin", port.name));
    let names: Vec<String> = config.ports.iter().map(|port| port.name.clone()).chain(twins).collect();
    let mut found = vec![None; names.len()];
    for PortFile { port, file } in files {
        let Some(place) = names.iter().position(|name| name == port) else {
            return Err(ReplayError::UnknownPort { argument, port: port.clone(), known: names.join(", ") });
        };
        if found[place].replace(file.as_path()).is_some() {
            return Err(ReplayError::Twice(argument, port.clone()));
        }
    }
    Ok(found)
}

/// Composes the devices that take the place of the configured ones.
fn devices(inputs: &[Option<&Path>], outputs: &[Option<&Path>]) -> Result<Vec<String>, CaptureError> {
    for input in inputs.iter().flatten() {
        capture::check(input)?;
    }
    for output in outputs.iter().flatten() {
        if let Some(input) = inputs.iter().flatten().find(|input| capture::same_file(input, output)) {
            return Err(CaptureError::Overwritten(input.to_path_buf()));
        }
        capture::create(output)?;
    }
    let pairs = inputs.iter().zip(outputs).enumerate();
    pairs
        .map(|(place, (input, output))| {
            let mut device = match (input, output) {
                (None, None) => return Ok(format!("net_null{place},no-rx=1")),
                _ => format!("net_pcap{place}"),
            };
            for (key, file) in [("rx_pcap", input), ("tx_pcap", output)] {
                if let Some(file) = file {
                    device += &format!(",{key}={}", capture::argument(file)?);
                }
            }
            Ok(device)
        })
        .collect()
}

fn check_inputs(inputs: &[Option<&Path>], devices: &Devices) -> Result<(), ReplayError> {
    for (place, input) in inputs.iter().enumerate() {
        let counters = devices.counters(place);
        let lost = counters.rx_errors + counters.no_mbuf;
        if let (Some(input), 1..) = (input, lost) {
            return Err(ReplayError::Damaged(input.to_path_buf(), lost));
        }
    }
    Ok(())
}

fn write_stats(
    file: &Path,
    shared: &Shared,
    viewer: &Viewer,
    config: &Config,
    now: Now,
    devices: &Devices,
) -> Result<(), ReplayError> {
    let snapshot = viewer.current();
    let (accounts, health) = (&Accounts::default(), &Book::default());
    let survey = Survey { shared, snapshot: &snapshot, config, accounts, health, now };
    let report = survey.report(|place| devices.counters(place));
    let text = serde_json::to_string_pretty(&report).map_err(io::Error::from);
    let written = text.and_then(|text| fs::write(file, text + "\n"));
    written.map_err(|cause| ReplayError::Output(file.to_owned(), cause))
}

/// Writes the connections there are, as `millrace conn list --json` prints them.
fn write_connections(file: &Path, shared: &Arc<Shared>, applier: &Applier, now: Now) -> Result<(), ReplayError> {
    let scan = Scan::new(Arc::clone(shared), applier.viewer(), applier.names(), Filter::default(), now);
    let lines = scan.flatten().map(|connection| Ok(serde_json::to_string(&connection)? + "\n"));
    let written = lines.collect::<io::Result<String>>().and_then(|text| fs::write(file, text));
    written.map_err(|cause| ReplayError::Output(file.to_owned(), cause))
}

/// Deals frames to workers, as a card's hash would.
#[derive(Debug)]
struct Dealer {
    rng: Rng,
    workers: usize,
}

impl Dealer {
    fn worker(&mut self) -> usize {
        if self.workers == 1 { 0 } else { self.rng.usize(..self.workers) }
    }
}

/// The workers and their ports' tapes.
struct Run<'a> {
    control: &'a mut Control,
    workers: Vec<Worker<Tape>>,
    reels: Vec<Rc<RefCell<Reel>>>,
    dealer: Dealer,
    now: Now,
}

impl<'a> Run<'a> {
    fn new(workers: usize, control: &'a mut Control, shared: &Arc<Shared>, reels: Vec<Reel>, dealer: Dealer) -> Self {
        let reels: Vec<_> = reels.into_iter().map(|reel| Rc::new(RefCell::new(reel))).collect();
        let now = Now::default();
        let worker = |number: usize| {
            let share = Share { worker: number as u32, workers: workers as u32 };
            let tapes = reels.iter().map(|reel| Tape::new(Rc::clone(reel), number)).collect();
            Worker::new(share, tapes, control.applier.reader(), Arc::clone(shared), now)
        };
        Self { workers: (0..workers).map(worker).collect(), control, reels, dealer, now }
    }

    /// Plays all tapes to their ends and returns the time at which that was.
    fn play(mut self, inputs: &[Option<&Path>]) -> Result<Now, ReplayError> {
        self.settle();
        let mut origin = None;
        while let Some((place, stamp)) = self.next() {
            // A time stamp before the last one's is no reason to go back in time.
            let at = stamp.saturating_sub(*origin.get_or_insert(stamp)).max(self.now.nanos());
            let silence = at - self.now.nanos();
            if silence > LONGEST_SILENCE {
                let input = inputs[place].map(Path::to_owned).unwrap_or_default();
                return Err(ReplayError::Silence(input, silence / (86_400 * 1_000_000_000)));
            }
            self.wait_until(at)?;
            for reel in &self.reels {
                reel.borrow_mut().release(stamp, || self.dealer.worker());
            }
            self.settle();
        }
        self.workers.iter_mut().for_each(Worker::abandon);
        self.control.finished()?;
        Ok(self.now)
    }

    /// The port whose next frame is the oldest, and its time stamp.
    fn next(&self) -> Option<(usize, u64)> {
        let stamps = self.reels.iter().enumerate().filter_map(|(place, reel)| Some((place, reel.borrow_mut().next()?)));
        stamps.min_by_key(|(_, stamp)| *stamp)
    }

    /// Lets time pass up to a frame's, with everything that is due meanwhile.
    fn wait_until(&mut self, at: u64) -> Result<(), ReplayError> {
        while let Some(due) = self.control.next().filter(|due| due.nanos() <= at) {
            self.pass(due.nanos());
            self.control.reload(self.now)?;
            self.settle();
        }
        self.pass(at);
        Ok(())
    }

    fn pass(&mut self, at: u64) {
        while self.now.ticks() < at / TICK_NANOS {
            self.now = Now::from_nanos((self.now.ticks() + 1) * TICK_NANOS);
            if self.now.nanos().is_multiple_of(SECOND) {
                self.control.applier.tend(self.now);
            }
            self.settle();
        }
        self.now = Now::from_nanos(at);
    }

    /// Lets every worker poll until none receives anything.
    fn settle(&mut self) {
        while self.workers.iter_mut().map(|worker| worker.poll(self.now)).sum::<usize>() > 0 {}
    }
}
