//! `health`: how real servers are.

use clap::{Args, Subcommand, ValueEnum};

use super::SocketPath;
use super::service::ServiceKey;

/// Arguments of `health`.
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HealthCommand,
}

/// The subcommands of `health`.
#[derive(Clone, Debug, Subcommand)]
pub enum HealthCommand {
    /// List real servers that are checked or in maintenance: their states, since when, and why
    List(HealthListArgs),
    /// Show one real server: its last check, how many there were, and how its state changed
    Show(HealthShowArgs),
    /// Take a real server out for maintenance, or put it back
    ///
    /// It has weight 0 whatever its checks say: its connections go on, and it gets no new ones. That lasts until it is put back, or
    /// the director ends: reloading the configuration file does not change it.
    Maintenance(MaintenanceArgs),
}

/// Arguments of `health list`.
#[derive(Clone, Debug, Args)]
pub struct HealthListArgs {
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

/// Arguments of `health show`.
#[derive(Clone, Debug, Args)]
pub struct HealthShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The real server; without a port, all with this address
    #[arg(value_name = "RIP[:PORT]")]
    pub real: String,

    /// The virtual service; without it, all that have the real server
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<ServiceKey>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `health maintenance`.
#[derive(Clone, Debug, Args)]
pub struct MaintenanceArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Whether it is taken out, or put back
    #[arg(value_name = "on|off", hide_possible_values = true)]
    pub turn: Turn,

    /// The real server; without a port, all with this address
    #[arg(value_name = "RIP[:PORT]")]
    pub real: String,

    /// The virtual service; without it, all that have the real server
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<ServiceKey>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What becomes of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Turn {
    /// It is on.
    On,
    /// It is off.
    Off,
}
