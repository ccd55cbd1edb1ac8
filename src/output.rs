//! What the program prints, and how it ends.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Exit status for a mistake in the arguments or the configuration.
pub const USAGE: u8 = 2;

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => fail(1, error),
    }
}

/// Writes `text` on standard output; a reader that has seen enough is no mistake.
pub fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => fail(1, format_args!("standard output: {cause}")),
        _ => ExitCode::SUCCESS,
    }
}

/// Says what went wrong, in one line.
pub fn fail(status: u8, error: impl Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(status)
}
