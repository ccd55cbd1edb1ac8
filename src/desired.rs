//! `millrace reload`, `save` and `diff`: the running state and the file; `apply`: changes from a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::status::{MISTAKE, NOT_DONE};
use millrace::cli::{ApplyArgs, DiffArgs, ReloadArgs, SaveArgs};
use millrace::ctrl::api::{Client, ClientError};
use millrace::ctrl::change::Transaction;

use crate::change::show;
use crate::output::{fail, fail_to_ask, print, print_json, status};

/// Has the director apply its file again, or say what that would change.
pub fn reload(args: &ReloadArgs) -> ExitCode {
    match Client::new(&args.director.socket).reload(args.dry_run) {
        Ok(changed) => show(&changed, args.json),
        Err(error) => fail_to_ask(&error),
    }
}

/// Says what the file has that does not run: as with diff(1), the status is 1 if there is anything.
pub fn diff(args: &DiffArgs) -> ExitCode {
    match Client::new(&args.director.socket).difference() {
        Ok(difference) => {
            let same = difference.changed.is_empty() && difference.restart.is_empty();
            let restart = difference.restart.iter().map(|line| format!("{line} (needs a restart)\n"));
            let changed = difference.changed.iter().map(|line| format!("{line}\n"));
            let text: String = restart.chain(changed).collect();
            let printed = if args.json { print_json(&difference) } else { print(&text) };
            if same { printed } else { ExitCode::from(NOT_DONE) }
        }
        Err(error) => fail_to_ask(&error),
    }
}

/// Writes the running state as a configuration file.
pub fn save(args: &SaveArgs) -> ExitCode {
    let configuration = match Client::new(&args.director.socket).config() {
        Ok(configuration) => configuration,
        Err(error) => return fail_to_ask(&error),
    };
    if args.json {
        return print_json(&configuration);
    }
    let text = configuration.config.to_toml();
    match &args.output {
        None => print(&text),
        Some(file) => match replace(file, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => fail(NOT_DONE, format_args!("{}: cannot be written: {cause}", file.display())),
        },
    }
}

/// Writes a file whole: whoever reads it meanwhile sees the old one or the new one. A link goes on leading to it.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut aside = file.clone().into_os_string();
    aside.push(format!(".{}", std::process::id()));
    let written = File::create(&aside).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        if let Ok(old) = fs::metadata(&file) {
            fs::set_permissions(&aside, old.permissions())?;
        }
        fs::rename(&aside, &file)
    });
    if written.is_err() {
        // It may not have come to be.
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Makes the changes that a file lists.
pub fn apply(args: &ApplyArgs) -> ExitCode {
    let json = match read(&args.file) {
        Ok(json) => json,
        Err(cause) => return fail(NOT_DONE, format_args!("{}: cannot be read: {cause}", args.file.display())),
    };
    let mut transaction = match Transaction::read(&json) {
        Ok(transaction) => transaction,
        Err(refused) => return fail(MISTAKE, blame(refused.change, &refused)),
    };
    transaction.dry_run |= args.change.dry_run;
    match Client::new(&args.change.director.socket).change(&transaction) {
        Ok(changed) => show(&changed, args.change.json),
        Err(error) => {
            let place = match &error {
                ClientError::Refused(refusal) => refusal.change,
                _ => None,
            };
            fail(status(&error), blame(place, &error))
        }
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return fs::read(file);
    }
    let mut json = Vec::new();
    io::stdin().read_to_end(&mut json)?;
    Ok(json)
}

/// Says which change of several is to blame, counted from 0 as in the file.
fn blame(change: Option<usize>, error: &dyn std::fmt::Display) -> String {
    match change {
        Some(place) => format!("changes[{place}]: {error}"),
        None => error.to_string(),
    }
}
