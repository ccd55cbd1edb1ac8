//! `millrace reload`, `save` and `diff`: the running state and the file; `apply`: changes from a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::{ApplyArgs, DiffArgs, ReloadArgs, SaveArgs};
use millrace::ctrl::api::{Client, ClientError};
use millrace::ctrl::change::Transaction;

use crate::change::{show, status};
use crate::output::{USAGE, fail, print, print_json};

/// Has the director apply its file again, or say what that would change.
pub fn reload(args: &ReloadArgs) -> ExitCode {
    match Client::new(&args.director.socket).reload(args.dry_run) {
        Ok(changed) => show(&changed, args.json),
        Err(error) => fail(1, error),
    }
}

/// Says what the file has that does not run: as with diff(1), the status is 1 if there is anything, and 2 for trouble.
pub fn diff(args: &DiffArgs) -> ExitCode {
    match Client::new(&args.director.socket).reload(true) {
        Ok(changed) => {
            let same = changed.changed.is_empty();
            let text: String = changed.changed.iter().map(|line| format!("{line}\n")).collect();
            let printed = if args.json { print_json(&changed) } else { print(&text) };
            if same { printed } else { ExitCode::from(1) }
        }
        Err(error) => fail(USAGE, error),
    }
}

/// Writes the running state as a configuration file.
pub fn save(args: &SaveArgs) -> ExitCode {
    let configuration = match Client::new(&args.director.socket).config() {
        Ok(configuration) => configuration,
        Err(error) => return fail(1, error),
    };
    let text = configuration.config.to_toml();
    match &args.output {
        None => print(&text),
        Some(file) => match replace(file, &text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => fail(1, format_args!("{}: cannot be written: {cause}", file.display())),
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
        Err(cause) => return fail(1, format_args!("{}: cannot be read: {cause}", args.file.display())),
    };
    let mut transaction = match Transaction::read(&json) {
        Ok(transaction) => transaction,
        Err(refused) => return fail(USAGE, blame(refused.change, &refused)),
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
