//! `millrace service`: virtual services.

use std::process::ExitCode;

use millrace::cli::status::NOT_DONE;
use millrace::cli::{ServiceArgs, ServiceCommand, ServiceKey, ServiceListArgs, ServiceShowArgs};
use millrace::ctrl::api::{Client, ServiceState};
use millrace::ctrl::change::Change;
use millrace::ctrl::config::document::Table;
use millrace::ctrl::config::write::{self, Detail};
use millrace::ctrl::listing;

use crate::change::{keys, make};
use crate::output::{fail, fail_to_ask, print, print_json};

/// Does what `millrace service` was told.
pub fn run(args: &ServiceArgs) -> ExitCode {
    match &args.command {
        ServiceCommand::List(args) => list(args),
        ServiceCommand::Show(args) => show(args),
        ServiceCommand::Add(args) => {
            let mut service = args.service.0.clone();
            for (key, value) in args.options.table().iter() {
                service.set(key, value.clone());
            }
            make(&args.change, Change::AddService { service })
        }
        ServiceCommand::Set(args) => match keys(args.options.table(), &args.unset) {
            Ok(set) => make(&args.change, Change::SetService { service: args.service.0.clone(), set }),
            Err(ended) => ended,
        },
        ServiceCommand::Remove(args) => make(&args.change, Change::RemoveService { service: args.service.0.clone() }),
    }
}

fn list(args: &ServiceListArgs) -> ExitCode {
    match Client::new(&args.director.socket).services(None) {
        Ok(services) if args.json => print_json(&services),
        Ok(services) => match listing::services(&services.services) {
            Ok(text) => print(&text),
            Err(error) => fail(NOT_DONE, error),
        },
        Err(error) => fail_to_ask(&error),
    }
}

fn show(args: &ServiceShowArgs) -> ExitCode {
    match find(&Client::new(&args.director.socket), &args.service) {
        Ok(state) if args.json => print_json(&state),
        Ok(state) => match text(&state) {
            Ok(text) => print(&text),
            Err(error) => fail(NOT_DONE, error),
        },
        Err(ended) => ended,
    }
}

/// A service as it would be written in a file, and what is counted of its real servers.
fn text(state: &ServiceState) -> Result<String, millrace::ctrl::config::ConfigError> {
    let service = write::service_with_reals(&state.service()?, Detail::Short);
    let file = Table::from_iter([("service", vec![service])]);
    Ok(format!("{}\n{}", file.to_toml(), listing::reals(std::slice::from_ref(state))?))
}

/// Asks for one service; if there is none, says so.
pub fn find(client: &Client, key: &ServiceKey) -> Result<ServiceState, ExitCode> {
    let services = client.services(Some(&key.0)).map_err(|error| fail_to_ask(&error))?;
    services.services.into_iter().next().ok_or_else(|| fail(NOT_DONE, format_args!("there is no service {key}")))
}
