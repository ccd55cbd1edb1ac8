//! The command line's grammar, a file for each group of commands. What they do is in `main` and in [`crate::ctrl`].

mod conn;
mod desired;
mod drain;
mod health;
mod install;
mod manual;
mod network;
mod real;
mod run;
mod service;
mod stats;
pub mod status;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::ctrl::config::DEFAULT_SOCKET;
pub use conn::{ConnArgs, ConnCommand, ConnFlushArgs, ConnListArgs, ConnShowArgs};
pub use desired::{ApplyArgs, DiffArgs, ReloadArgs, SaveArgs};
pub use drain::DrainArgs;
pub use health::{HealthArgs, HealthCommand, HealthListArgs, HealthShowArgs, MaintenanceArgs, Turn};
pub use install::{CompletionsArgs, ManArgs};
pub use manual::{Page, completions, pages};
pub use network::{
    Destination, NeighborArgs, NeighborCommand, NeighborShowArgs, NetworkListArgs, PortArgs, PortCommand, PortShowArgs,
    RouteArgs, RouteCommand, RouteShowArgs,
};
pub use real::{
    RealAddArgs, RealArgs, RealCommand, RealDrainArgs, RealListArgs, RealName, RealOptions, RealRemoveArgs, RealSetArgs,
};
pub use run::{CheckArgs, PortFile, ReplayArgs, RunArgs, TimedFile};
pub use service::{
    ChangeArgs, ServiceAddArgs, ServiceArgs, ServiceCommand, ServiceKey, ServiceListArgs, ServiceOptions,
    ServiceRemoveArgs, ServiceSetArgs, ServiceShowArgs,
};
pub use stats::StatsArgs;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let dpdk = if crate::DPDK.is_empty() { "no DPDK".to_owned() } else { format!("DPDK {}", crate::DPDK) };
    format!("{} (commit {}, {dpdk})", crate::VERSION, crate::COMMIT)
});

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "millrace", version = VERSION.as_str(), propagate_version = true, arg_required_else_help = true)]
#[command(about = "A layer-4 load balancer in the manner of the Linux Virtual Server, on DPDK")]
#[command(
    after_help = "Exit status: 0 if it is done, 1 if not, 2 for a mistake in the arguments or the configuration, 3 if no director answers."
)]
#[command(subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the director: in the foreground, until SIGTERM or SIGINT; logs on standard error
    ///
    /// SIGHUP applies the configuration file again. RUST_LOG sets what is logged: error, warn, info, debug or trace.
    #[cfg(feature = "dpdk")]
    Run(RunArgs),
    /// Validate a configuration file: a summary, or the first mistake with file, line and key
    Check(CheckArgs),
    /// Run the data plane over captures instead of ports, and write what it sends
    ///
    /// The captures' time stamps are the clock; devices, cores and dpdk_args of the configuration are not used. With
    /// one worker the same input gives the same frames in the same order.
    #[cfg(feature = "dpdk")]
    Replay(ReplayArgs),
    /// Show what a running director counts: services, ports, workers, outcomes, neighbours
    Stats(StatsArgs),
    /// Have a running director apply its configuration file again, as SIGHUP does, and show what changed
    ///
    /// A file with a mistake, or with a change that needs a restart, is refused: the director goes on as before.
    Reload(ReloadArgs),
    /// Say what a running director's configuration file has that does not run: what reload would change
    ///
    /// Exit status 0 if there is no difference, and 1 if there is one.
    Diff(DiffArgs),
    /// Print what runs as a configuration file, or write it to one
    ///
    /// What is at its default is left out.
    Save(SaveArgs),
    /// Make changes that a file lists in a running director, all of them or none
    ///
    /// The changes are those of POST /v1/changes: add-service, set-service, remove-service, clear, add-real, set-real, remove-real and
    /// set-timeouts, with the keys of the configuration file. With a "version" they are refused if another one runs.
    Apply(ApplyArgs),
    /// Withdraw a running director's VIPs from the routers, while it goes on forwarding
    ///
    /// It needs announce in the configuration. Routers that learned of the VIPs turn to other directors, and packets that still come
    /// are forwarded as before. It goes on through reloads, until --off or until the director ends. Waiting ends well once no packet
    /// has come for the time that --quiet says, or no connection is left; badly if somebody has the VIPs announced again, or the
    /// director is gone. Ctrl-C ends the waiting only.
    Drain(DrainArgs),
    /// List, add, change and remove virtual services of a running director
    ///
    /// The configuration file stays as it is: save writes what runs.
    Service(ServiceArgs),
    /// List, add, change, drain and remove real servers of a running director's virtual services
    ///
    /// The configuration file stays as it is: save writes what runs.
    Real(RealArgs),
    /// Look at the health of a running director's real servers; take them out for maintenance, and put them back
    Health(HealthArgs),
    /// Look at the connections of a running director, or remove some
    Conn(ConnArgs),
    /// Look at the ports of a running director
    Port(PortArgs),
    /// Look at the stations on the links of a running director
    Neighbor(NeighborArgs),
    /// Look at where a running director sends packets
    Route(RouteArgs),
    /// Be ipvsadm: its command line, unchanged, for a running director; also by a link of that name
    ///
    /// Links named ipvsadm-save and ipvsadm-restore are those programs. The director is the one at MILLRACE_SOCKET.
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Ipvsadm(IpvsadmArgs),
    /// Print what a shell reads to complete these commands and their options
    ///
    /// For bash, as root: millrace completions bash > /usr/share/bash-completion/completions/millrace
    Completions(CompletionsArgs),
    /// Write the manual into a folder, a page for each command
    ///
    /// Where man(1) looks for them, as root: millrace man /usr/local/share/man/man8
    Man(ManArgs),
}

/// Arguments of `ipvsadm`, none of which is read here: see [`crate::ipvsadm`].
#[derive(Clone, Debug, Args)]
pub struct IpvsadmArgs {
    /// ipvsadm's options; -h shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    pub words: Vec<OsString>,
}

/// The file that says what to balance.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// Configuration file (TOML)
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: PathBuf,
}

/// Where the director is asked.
#[derive(Clone, Debug, Args)]
pub struct SocketPath {
    /// Socket of the director, `api.socket` in its configuration
    #[arg(long, value_name = "PATH", env = "MILLRACE_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

impl Cli {
    /// Reads the program's own arguments. Ends the program for `--help`, `--version` and mistakes.
    pub fn read() -> Self {
        Self::parse()
    }

    /// Reads `arguments`, the program's name first.
    ///
    /// # Errors
    /// What is wrong with them, or the text that was asked for.
    pub fn read_from<T: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments)
    }
}
