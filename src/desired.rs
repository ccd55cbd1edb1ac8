//! `millrace reload`, `save` and `diff`: the running state and the file.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::{DiffArgs, ReloadArgs, SaveArgs};
use millrace::ctrl::api::Client;

use crate::change::show;
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
    let written = fs::write(&aside, text).and_then(|()| {
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
