//! The `millrace` program: reads the command line and hands over.

mod change;
mod conn;
mod desired;
mod drain;
mod health;
mod install;
mod network;
mod output;
mod real;
mod service;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::status::MISTAKE;
#[cfg(feature = "dpdk")]
use millrace::cli::status::NOT_DONE;
use millrace::cli::{CheckArgs, Cli, Command, StatsArgs};
#[cfg(feature = "dpdk")]
use millrace::cli::{ReplayArgs, RunArgs};
use millrace::ctrl::api::Client;
use millrace::ctrl::config::{self, DEFAULT_SOCKET, Machine};
use millrace::ctrl::listing;
#[cfg(feature = "dpdk")]
use millrace::ctrl::{
    replay,
    run::{self, RunError},
};

use millrace::ipvsadm::Program;
use serde::Serialize;

use output::{fail, fail_to_ask, print, print_json};

fn main() -> ExitCode {
    let mut words = env::args_os();
    if let Some(program) = words.next().and_then(|link| Program::of(&link)) {
        return ipvsadm(program, words);
    }
    let cli = Cli::read();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format_timestamp_millis()
        .init();
    match cli.command {
        #[cfg(feature = "dpdk")]
        Command::Run(args) => run(&args),
        Command::Check(args) => check(&args),
        #[cfg(feature = "dpdk")]
        Command::Replay(args) => replay(&args),
        Command::Stats(args) => stats(&args),
        Command::Reload(args) => desired::reload(&args),
        Command::Diff(args) => desired::diff(&args),
        Command::Save(args) => desired::save(&args),
        Command::Apply(args) => desired::apply(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Service(args) => service::run(&args),
        Command::Real(args) => real::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Conn(args) => conn::run(&args),
        Command::Port(args) => network::port(&args),
        Command::Neighbor(args) => network::neighbor(&args),
        Command::Route(args) => network::route(&args),
        Command::Completions(args) => install::completions(&args),
        Command::Man(args) => install::man(&args),
        Command::Ipvsadm(args) => ipvsadm(Program::Ipvsadm, args.words.into_iter()),
    }
}

#[cfg(feature = "dpdk")]
fn run(args: &RunArgs) -> ExitCode {
    match run::run(&args.file.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ (RunError::Config(_) | RunError::Listen(_))) => fail(MISTAKE, error),
        Err(error) => fail(NOT_DONE, error),
    }
}

#[cfg(feature = "dpdk")]
fn replay(args: &ReplayArgs) -> ExitCode {
    match replay::replay(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(if error.is_usage() { MISTAKE } else { NOT_DONE }, error),
    }
}

/// Takes all its arguments for ipvsadm's: that has no option to name a director.
fn ipvsadm(program: Program, words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let socket = env::var_os("MILLRACE_SOCKET").unwrap_or_else(|| DEFAULT_SOCKET.into());
    ExitCode::from(program.run(&words, Path::new(&socket)))
}

fn check(args: &CheckArgs) -> ExitCode {
    let loaded = match config::load(&args.file.config) {
        Ok(loaded) => loaded,
        Err(error) => return fail(MISTAKE, error),
    };
    if args.machine
        && let Err(error) = Machine::here().check(&loaded)
    {
        return fail(MISTAKE, error);
    }
    let checked = Checked {
        file: args.file.config.display().to_string(),
        summary: loaded.config.summary(),
        notes: loaded.notes().iter().map(ToString::to_string).collect(),
    };
    if args.json {
        return print_json(&checked);
    }
    let notes: String = checked.notes.iter().map(|note| format!("{note}\n")).collect();
    print(&format!("{notes}{}: good: {}\n", checked.file, checked.summary))
}

/// What is said of a good file.
#[derive(Serialize)]
struct Checked {
    file: String,
    summary: String,
    notes: Vec<String>,
}

fn stats(args: &StatsArgs) -> ExitCode {
    match Client::new(&args.director.socket).stats() {
        Ok(report) if args.json => print_json(&report),
        Ok(report) => print(&listing::stats(&report, args.all)),
        Err(error) => fail_to_ask(&error),
    }
}
