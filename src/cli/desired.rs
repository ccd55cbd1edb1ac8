//! `reload`, `save` and `diff`: the running state and the file; `apply`: changes from a file.

use std::path::PathBuf;

use clap::Args;

use super::{ChangeArgs, SocketPath};

/// Arguments of `reload`.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `save`.
#[derive(Clone, Debug, Args)]
pub struct SaveArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// File to write instead of standard output; one that is there is replaced, and its comments are lost
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print JSON: the same keys, with the version of the running state
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

/// Arguments of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `apply`.
#[derive(Clone, Debug, Args)]
pub struct ApplyArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// The changes, as JSON: {"changes": [{"op": "add-service", "service": {...}}, ...]}; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
}
