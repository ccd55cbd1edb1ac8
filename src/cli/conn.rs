//! `conn`: connections.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::SocketPath;
use crate::ctrl::connections::Filter;

/// Arguments of `conn`.
#[derive(Clone, Debug, Args)]
pub struct ConnArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConnCommand,
}

/// The subcommands of `conn`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConnCommand {
    /// List connections, in the layout of ipvsadm -Lnc
    List(ConnListArgs),
    /// Show the connection of one client's address and port to one service
    Show(ConnShowArgs),
    /// Count connections, by state
    Count(ConnListArgs),
    /// Remove connections: a client that goes on is a stranger, and must open a new one
    Flush(ConnFlushArgs),
}

/// Arguments of `conn list` and `conn count`.
#[derive(Clone, Debug, Args)]
pub struct ConnListArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Which connections.
    #[command(flatten)]
    pub filter: Filter,

    /// Print JSON; a list prints an object each line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `conn show`.
#[derive(Clone, Debug, Args)]
pub struct ConnShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The client
    #[arg(value_name = "CLIENT:PORT")]
    pub client: SocketAddr,

    /// The virtual service; without it, the client's connections to all services
    #[arg(value_name = "VIP:PORT")]
    pub service: Option<SocketAddr>,

    /// Print JSON, an object each line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `conn flush`.
#[derive(Clone, Debug, Args)]
pub struct ConnFlushArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Which connections.
    #[command(flatten)]
    pub filter: Filter,

    /// Every connection there is
    #[arg(long)]
    pub all: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
