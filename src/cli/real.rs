//! `real`: real servers of a virtual service, one by one.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::SocketPath;
use super::service::{ChangeArgs, ServiceKey};
use crate::ctrl::config::document::{Table, Value};

/// Arguments of `real`.
#[derive(Clone, Debug, Args)]
pub struct RealArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RealCommand,
}

/// The subcommands of `real`.
#[derive(Clone, Debug, Subcommand)]
pub enum RealCommand {
    /// List real servers with their weights and connections
    List(RealListArgs),
    /// Add a real server
    Add(RealAddArgs),
    /// Change a real server: what is not named stays as it is
    Set(RealSetArgs),
    /// Give a real server no new connections (weight 0), and tell how many it has left
    ///
    /// Waiting ends early, and badly, if the real server is removed or gets a weight again, or the director is gone. Ctrl-C ends the
    /// waiting only: the weight stays 0.
    Drain(RealDrainArgs),
    /// Remove a real server: its connections end, unless it comes back within two minutes
    Remove(RealRemoveArgs),
}

/// Arguments of `real list`.
#[derive(Clone, Debug, Args)]
pub struct RealListArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The virtual service; without it, the real servers of all
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<ServiceKey>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which real server.
#[derive(Clone, Debug, Args)]
pub struct RealName {
    /// The real server; without a port, the virtual service's
    #[arg(value_name = "RIP[:PORT]")]
    pub real: String,

    /// The virtual service: VIP:PORT, udp/VIP:PORT, mark/7, match/to=203.0.113.0/28,port=443
    #[arg(long, value_name = "SERVICE")]
    pub service: ServiceKey,
}

/// Arguments of `real add`.
#[derive(Clone, Debug, Args)]
pub struct RealAddArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// Which one.
    #[command(flatten)]
    pub name: RealName,

    /// What it is like.
    #[command(flatten)]
    pub options: RealOptions,
}

/// Arguments of `real set`.
#[derive(Clone, Debug, Args)]
pub struct RealSetArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// Which one.
    #[command(flatten)]
    pub name: RealName,

    /// What changes.
    #[command(flatten)]
    pub options: RealOptions,

    /// Keys of the configuration file that go back to their defaults, like upper,lower
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub unset: Vec<String>,
}

/// Arguments of `real drain`.
#[derive(Clone, Debug, Args)]
pub struct RealDrainArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Which one.
    #[command(flatten)]
    pub name: RealName,

    /// Wait until no connection is left, and tell how many are whenever that changes
    #[arg(long)]
    pub wait: bool,

    /// Wait no longer than this, like 10m; if connections are left then, the exit status is 1
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    pub timeout: Option<Duration>,

    /// Print JSON, an object each line: what changed, then what is left
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `real remove`.
#[derive(Clone, Debug, Args)]
pub struct RealRemoveArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// Which one.
    #[command(flatten)]
    pub name: RealName,
}

/// What a real server is like: the keys of `[[service.real]]`, with ipvsadm's letters where it has them.
#[derive(Clone, Debug, Default, Args)]
pub struct RealOptions {
    /// Share of new connections, 0 to 65535; 0 takes none and keeps what it has
    #[arg(short, long, value_name = "N")]
    pub weight: Option<u32>,

    /// How packets reach it: nat, fullnat, tunnel or direct
    #[arg(long, value_name = "METHOD")]
    pub forwarding: Option<String>,

    /// With this many connections it takes no new ones; 0 for no limit
    #[arg(short = 'x', long, alias = "u-threshold", value_name = "N")]
    pub upper: Option<u32>,

    /// With fewer connections than this it takes new ones again
    #[arg(short = 'y', long, alias = "l-threshold", value_name = "N")]
    pub lower: Option<u32>,

    /// In what time it grows to its weight after it returns, like 30s
    #[arg(long, value_name = "TIME")]
    pub slow_start: Option<String>,
}

impl RealOptions {
    /// The options as keys of the configuration.
    pub fn table(&self) -> Table {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let keys = [
            ("weight", self.weight.map(Value::from)),
            ("forwarding", text(&self.forwarding)),
            ("upper", self.upper.map(Value::from)),
            ("lower", self.lower.map(Value::from)),
            ("slow_start", text(&self.slow_start)),
        ];
        keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}
