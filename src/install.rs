//! `millrace completions` and `millrace man`: what is installed beside the program.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use millrace::cli::status::NOT_DONE;
use millrace::cli::{self, CompletionsArgs, ManArgs};

use crate::output::{fail, print};

/// Prints what a shell reads to complete the program's arguments.
pub fn completions(args: &CompletionsArgs) -> ExitCode {
    print(&cli::completions(args.shell))
}

/// Writes the pages of the manual.
pub fn man(args: &ManArgs) -> ExitCode {
    match write(&args.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => fail(NOT_DONE, format_args!("{}: cannot be written: {cause}", args.folder.display())),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let pages = cli::pages()?;
    fs::create_dir_all(folder)?;
    pages.iter().try_for_each(|page| fs::write(folder.join(&page.name), &page.text))
}
