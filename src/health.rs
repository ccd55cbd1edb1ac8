//! `millrace health`: how real servers are.

use std::process::ExitCode;

use millrace::cli::{HealthArgs, HealthCommand, HealthListArgs, HealthShowArgs, MaintenanceArgs, Turn};
use millrace::ctrl::api::{Client, Maintenance};
use millrace::ctrl::listing;

use crate::output::{fail_to_ask, print, print_json};

/// Does what `millrace health` was told.
pub fn run(args: &HealthArgs) -> ExitCode {
    match &args.command {
        HealthCommand::List(args) => list(args),
        HealthCommand::Show(args) => show(args),
        HealthCommand::Maintenance(args) => maintenance(args),
    }
}

fn list(args: &HealthListArgs) -> ExitCode {
    match Client::new(&args.director.socket).health(args.service.as_ref().map(|key| &key.0), None) {
        Ok(report) if args.json => print_json(&report),
        Ok(report) => print(&listing::health(&report)),
        Err(error) => fail_to_ask(&error),
    }
}

fn show(args: &HealthShowArgs) -> ExitCode {
    match Client::new(&args.director.socket).health(args.service.as_ref().map(|key| &key.0), Some(&args.real)) {
        Ok(report) if args.json => print_json(&report.servers),
        Ok(report) => print(&report.servers.iter().map(listing::server).collect::<Vec<_>>().join("\n")),
        Err(error) => fail_to_ask(&error),
    }
}

fn maintenance(args: &MaintenanceArgs) -> ExitCode {
    let on = args.turn == Turn::On;
    let service = args.service.as_ref().map(|key| key.0.clone());
    let asked = Maintenance { real: args.real.clone(), service, on };
    match Client::new(&args.director.socket).maintain(&asked) {
        Ok(done) if args.json => print_json(&done),
        Ok(done) if done.services.is_empty() => print("nothing changed\n"),
        Ok(done) => {
            let what = if on { "in maintenance" } else { "out of maintenance" };
            let line = |service: &String| format!("{service}: real server {} is {what}\n", args.real);
            print(&done.services.iter().map(line).collect::<String>())
        }
        Err(error) => fail_to_ask(&error),
    }
}
