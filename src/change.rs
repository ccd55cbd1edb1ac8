//! Makes one change in a running director, and says what it changed.

use std::process::ExitCode;

use millrace::cli::ChangeArgs;
use millrace::cli::status::MISTAKE;
use millrace::ctrl::api::{Changed, Client};
use millrace::ctrl::change::{Change, Transaction};
use millrace::ctrl::config::document::{Table, Value};

use crate::output::{fail, fail_to_ask, print, print_json};

/// Makes a change, or says what it would change.
pub fn make(args: &ChangeArgs, change: Change) -> ExitCode {
    let transaction = Transaction { dry_run: args.dry_run, ..Transaction::new([change]) };
    match Client::new(&args.director.socket).change(&transaction) {
        Ok(changed) => show(&changed, args.json),
        Err(error) => fail_to_ask(&error),
    }
}

/// Prints what changed.
pub fn show(changed: &Changed, json: bool) -> ExitCode {
    match changed {
        changed if json => print_json(changed),
        Changed { changed, .. } if changed.is_empty() => print("nothing changed\n"),
        Changed { changed, .. } => print(&(changed.join("\n") + "\n")),
    }
}

/// The keys to replace: those that were given, and null for those that go back to their defaults.
pub fn keys(mut given: Table, unset: &[String]) -> Result<Table, ExitCode> {
    for key in unset {
        given.set(key, Value::Null);
    }
    if given.is_empty() {
        return Err(fail(MISTAKE, "nothing to change: give an option, or --unset KEY"));
    }
    Ok(given)
}
