//! `millrace conn`: a running director's connections.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::status::{MISTAKE, NOT_DONE};
use millrace::cli::{ConnArgs, ConnCommand, ConnFlushArgs, ConnListArgs, ConnShowArgs};
use millrace::ctrl::api::Client;
use millrace::ctrl::connections::Filter;
use millrace::ipvsadm;

use crate::output::{fail, fail_to_ask, print, print_json};

/// Does what `millrace conn` was told.
pub fn run(args: &ConnArgs) -> ExitCode {
    match &args.command {
        ConnCommand::List(args) => match list(&args.director.socket, &args.filter, args.json) {
            Ok(_) => ExitCode::SUCCESS,
            Err(ended) => ended,
        },
        ConnCommand::Show(args) => show(args),
        ConnCommand::Count(args) => count(args),
        ConnCommand::Flush(args) => flush(args),
    }
}

/// Prints connections as they arrive, and returns how many there were; or how the program ends, if it does not end well.
fn list(socket: &Path, filter: &Filter, json: bool) -> Result<u64, ExitCode> {
    let head = ipvsadm::connections_head(false);
    let mut output = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut listed = 0;
    let asked = Client::new(socket).connections(filter, |connection| {
        if listed == 0 && !json {
            let _ = output.write_all(head.as_bytes());
        }
        listed += 1;
        let line = if json {
            serde_json::to_string(&connection).unwrap_or_default() + "\n"
        } else {
            ipvsadm::connection_line(&connection)
        };
        written = output.write_all(line.as_bytes());
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if listed == 0 && !json && asked.is_ok() {
        written = output.write_all(head.as_bytes());
    }
    match written.and_then(|()| output.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            Err(fail(NOT_DONE, format_args!("standard output: {cause}")))
        }
        _ => asked.map(|()| listed).map_err(|error| fail_to_ask(&error)),
    }
}

fn show(args: &ConnShowArgs) -> ExitCode {
    let filter =
        Filter { client: Some(args.client.into()), service: args.service.map(Into::into), ..Filter::default() };
    match list(&args.director.socket, &filter, args.json) {
        Ok(0) => fail(NOT_DONE, format_args!("{} has no such connection", args.client)),
        Ok(_) => ExitCode::SUCCESS,
        Err(ended) => ended,
    }
}

fn count(args: &ConnListArgs) -> ExitCode {
    match Client::new(&args.director.socket).count(&args.filter) {
        Ok(count) if args.json => print_json(&count),
        Ok(count) => {
            let states = count.states.iter().map(|(state, number)| format!("{number:>10} {state}\n"));
            print(&(states.collect::<String>() + &format!("{:>10} in all\n", count.connections)))
        }
        Err(error) => fail_to_ask(&error),
    }
}

fn flush(args: &ConnFlushArgs) -> ExitCode {
    if args.filter.is_everything() != args.all {
        return fail(
            MISTAKE,
            "say which connections (--client, --service, --mark, --real, --protocol, --state), or --all",
        );
    }
    match Client::new(&args.director.socket).flush(&args.filter) {
        Ok(flushed) if args.json => print_json(&flushed),
        Ok(flushed) if flushed.kept == 0 => print(&format!("{} connections removed\n", flushed.removed)),
        Ok(flushed) => {
            print(&format!("{} connections removed, {} came or changed and stay\n", flushed.removed, flushed.kept))
        }
        Err(error) => fail_to_ask(&error),
    }
}
