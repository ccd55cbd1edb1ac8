//! `millrace real`: real servers.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use millrace::cli::status::NOT_DONE;
use millrace::cli::{RealArgs, RealCommand, RealDrainArgs, RealListArgs, RealName};
use millrace::ctrl::api::{Client, RealStats};
use millrace::ctrl::change::{Change, Transaction};
use millrace::ctrl::config::document::Table;
use millrace::ctrl::config::parts;
use millrace::ctrl::listing;
use serde::Serialize;

use crate::change::{keys, make, show};
use crate::output::{fail, fail_to_ask, print, print_json, print_json_line};
use crate::service::find;

/// How often a draining real server is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Does what `millrace real` was told.
pub fn run(args: &RealArgs) -> ExitCode {
    match &args.command {
        RealCommand::List(args) => list(args),
        RealCommand::Add(args) => {
            let mut real = Table::from_iter([("address", &*args.name.real)]);
            for (key, value) in args.options.table().iter() {
                real.set(key, value.clone());
            }
            make(&args.change, Change::AddReal { service: args.name.service.0.clone(), real })
        }
        RealCommand::Set(args) => match keys(args.options.table(), &args.unset) {
            Ok(set) => make(&args.change, set_real(&args.name, set)),
            Err(ended) => ended,
        },
        RealCommand::Drain(args) => drain(args),
        RealCommand::Remove(args) => {
            let (service, real) = (args.name.service.0.clone(), args.name.real.clone());
            make(&args.change, Change::RemoveReal { service, real })
        }
    }
}

fn set_real(name: &RealName, set: Table) -> Change {
    Change::SetReal { service: name.service.0.clone(), real: name.real.clone(), set }
}

fn list(args: &RealListArgs) -> ExitCode {
    let client = Client::new(&args.director.socket);
    let services = match &args.service {
        Some(key) => find(&client, key).map(|state| vec![state]),
        None => client.services(None).map(|all| all.services).map_err(|error| fail_to_ask(&error)),
    };
    match services {
        Ok(services) if args.json => print_json(&services),
        Ok(services) => match listing::reals(&services) {
            Ok(text) => print(&text),
            Err(error) => fail(NOT_DONE, error),
        },
        Err(ended) => ended,
    }
}

fn drain(args: &RealDrainArgs) -> ExitCode {
    let client = Client::new(&args.director.socket);
    let set = Table::from_iter([("weight", 0u32)]);
    match client.change(&Transaction::new([set_real(&args.name, set)])) {
        Ok(changed) if args.json => drop(print_json_line(&changed)),
        Ok(changed) => drop(show(&changed, false)),
        Err(error) => return fail_to_ask(&error),
    }
    let started = Instant::now();
    let mut told = None;
    loop {
        let left = match left(&client, &args.name) {
            Ok((weight, _)) if weight != 0 && told.is_some() => {
                return fail(NOT_DONE, format_args!("{} was given weight {weight}", args.name.real));
            }
            Ok((_, left)) => left,
            Err(ended) => return ended,
        };
        if told != Some(left) {
            let _ = if args.json { print_json_line(&left) } else { print(&format!("{left}\n")) };
            told = Some(left);
        }
        if left == Left::default() || !args.wait {
            return ExitCode::SUCCESS;
        }
        let rest = args.timeout.map_or(PAUSE, |timeout| timeout.saturating_sub(started.elapsed()));
        if rest.is_zero() {
            return fail(NOT_DONE, format_args!("{} is not drained: {left}", args.name.real));
        }
        sleep(rest.min(PAUSE));
    }
}

/// What a real server has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Left {
    active: u64,
    inactive: u64,
    /// Clients that come back to it while their persistence lasts.
    persistent: u64,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { active, inactive, persistent } = *self;
        match active + inactive {
            0 => f.write_str("no connections left")?,
            1 => write!(f, "1 connection left ({active} active, {inactive} inactive)")?,
            all => write!(f, "{all} connections left ({active} active, {inactive} inactive)")?,
        }
        match persistent {
            0 => Ok(()),
            1 => f.write_str(", 1 persistence template"),
            several => write!(f, ", {several} persistence templates"),
        }
    }
}

impl From<RealStats> for Left {
    fn from(stats: RealStats) -> Self {
        Self { active: stats.active, inactive: stats.inactive, persistent: stats.persistent }
    }
}

/// Looks at a real server's weight and at what it has left.
fn left(client: &Client, name: &RealName) -> Result<(u16, Left), ExitCode> {
    let state = find(client, &name.service)?;
    let service = state.service().map_err(|error| fail(NOT_DONE, error))?;
    let place = parts::find_real(&service, &name.real, "real").map_err(|error| fail(NOT_DONE, error))?;
    match place {
        Some(place) => Ok((service.reals[place].weight, state.real[place].stats.into())),
        None => Err(fail(NOT_DONE, format_args!("{} was removed", name.real))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_words() {
        for (active, inactive, persistent, text) in [
            (0, 0, 0, "no connections left"),
            (1, 0, 0, "1 connection left (1 active, 0 inactive)"),
            (2, 3, 1, "5 connections left (2 active, 3 inactive), 1 persistence template"),
            (0, 0, 7, "no connections left, 7 persistence templates"),
        ] {
            assert_eq!(Left { active, inactive, persistent }.to_string(), text);
        }
    }
}
