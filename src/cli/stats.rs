//! `stats`: what is counted.

use clap::Args;

use super::SocketPath;

/// Arguments of `stats`.
#[derive(Clone, Debug, Args)]
pub struct StatsArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Also show outcomes that never happened
    #[arg(long)]
    pub all: bool,
}
