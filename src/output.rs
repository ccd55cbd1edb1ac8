//! What the program prints, and how it ends.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use millrace::cli::status::{MISTAKE, NO_DIRECTOR, NOT_DONE};
use millrace::ctrl::api::ClientError;
use millrace::ctrl::change::Kind;

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => fail(NOT_DONE, error),
    }
}

/// Prints a value as JSON in one line, of several that follow each other.
pub fn print_json_line(value: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => fail(NOT_DONE, error),
    }
}

/// Writes `text` on standard output; a reader that has seen enough is no mistake.
pub fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => fail(NOT_DONE, format_args!("standard output: {cause}")),
        _ => ExitCode::SUCCESS,
    }
}

/// Says what went wrong, in one line.
pub fn fail(status: u8, error: impl Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(status)
}

/// Says why a director did not do what it was asked for.
pub fn fail_to_ask(error: &ClientError) -> ExitCode {
    fail(status(error), error)
}

/// What the program ends with when a director did not do what it was asked for.
pub fn status(error: &ClientError) -> u8 {
    match error {
        ClientError::NoDirector(..) => NO_DIRECTOR,
        ClientError::Refused(refusal) if refusal.kind == Some(Kind::Invalid) => MISTAKE,
        ClientError::Refused(_) | ClientError::Garbled(..) => NOT_DONE,
    }
}
