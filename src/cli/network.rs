//! `port`, `neighbor` and `route`: the director's links.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::SocketPath;

/// Arguments of `port`.
#[derive(Clone, Debug, Args)]
pub struct PortArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PortCommand,
}

/// The subcommands of `port`.
#[derive(Clone, Debug, Subcommand)]
pub enum PortCommand {
    /// List ports, in the order of the configuration
    List(NetworkListArgs),
    /// Show one port: its device, its addresses, and all that is counted of it
    Show(PortShowArgs),
}

/// Arguments of `neighbor`.
#[derive(Clone, Debug, Args)]
pub struct NeighborArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NeighborCommand,
}

/// The subcommands of `neighbor`.
#[derive(Clone, Debug, Subcommand)]
pub enum NeighborCommand {
    /// List neighbours, by port and address
    List(NetworkListArgs),
    /// Show the neighbour with this address
    Show(NeighborShowArgs),
}

/// Arguments of `route`.
#[derive(Clone, Debug, Args)]
pub struct RouteArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RouteCommand,
}

/// The subcommands of `route`.
#[derive(Clone, Debug, Subcommand)]
pub enum RouteCommand {
    /// List routes, by destination: configured ones, the networks of the ports, those of the host
    List(NetworkListArgs),
    /// Show the route to a prefix, or the one that packets to an address take
    Show(RouteShowArgs),
}

/// Arguments of `port list`, `neighbor list` and `route list`.
#[derive(Clone, Debug, Args)]
pub struct NetworkListArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `port show`.
#[derive(Clone, Debug, Args)]
pub struct PortShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The port's name
    #[arg(value_name = "PORT")]
    pub port: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `neighbor show`.
#[derive(Clone, Debug, Args)]
pub struct NeighborShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The neighbour's address
    #[arg(value_name = "ADDRESS")]
    pub address: IpAddr,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `route show`.
#[derive(Clone, Debug, Args)]
pub struct RouteShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// A destination: an address, or the prefix of a route
    #[arg(value_name = "ADDRESS[/LENGTH]")]
    pub to: Destination,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A packet's.
    Address(IpAddr),
    /// A route's.
    Prefix(IpNet),
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self::Address);
        let either = address.or_else(|_| text.parse().map(|net: IpNet| Self::Prefix(net.trunc())));
        either.map_err(|_| format!("\"{text}\" is neither an address nor a prefix, like 10.0.0.0/24"))
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(net) => net.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_an_address_or_a_prefix() {
        for (text, expected) in
            [("10.0.0.7", "10.0.0.7"), ("10.0.0.7/24", "10.0.0.0/24"), ("0.0.0.0/0", "0.0.0.0/0"), ("::/0", "::/0")]
        {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), expected);
        }
        let error = "10.0.0/24".parse::<Destination>().unwrap_err();
        assert_eq!(error, "\"10.0.0/24\" is neither an address nor a prefix, like 10.0.0.0/24");
    }
}
