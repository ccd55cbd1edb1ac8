//! `drain`: the director's VIPs are kept from the routers, while it goes on forwarding.

use std::time::Duration;

use clap::Args;

use super::SocketPath;

/// Arguments of `drain`.
#[derive(Clone, Debug, Args)]
pub struct DrainArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Announce the VIPs again
    #[arg(long, conflicts_with = "wait")]
    pub off: bool,

    /// Wait until the routers have turned away, and tell how many connections are left whenever that changes
    #[arg(long)]
    pub wait: bool,

    /// Wait no longer than this, like 10m; if packets still come then, the exit status is 1
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait", alias = "limit")]
    pub timeout: Option<Duration>,

    /// How long no packet has to come until the routers have turned away, whatever connections are left
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait", default_value = "5s")]
    pub quiet: Duration,

    /// Print JSON, an object each line
    #[arg(long)]
    pub json: bool,
}
