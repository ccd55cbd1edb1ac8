//! The command line's grammar. What the commands do is in `main` and in [`crate::ctrl`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::ctrl::config::DEFAULT_SOCKET;
use crate::ctrl::connections::Filter;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let dpdk = if crate::DPDK.is_empty() { "no DPDK".to_owned() } else { format!("DPDK {}", crate::DPDK) };
    format!("{} (commit {}, {dpdk})", crate::VERSION, crate::COMMIT)
});

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "millrace", version = VERSION.as_str(), propagate_version = true, arg_required_else_help = true)]
#[command(about = "A layer-4 load balancer in the manner of the Linux Virtual Server, on DPDK")]
#[command(
    after_help = "Exit status: 0 if all went well, 2 for a mistake in the arguments or the configuration, 1 otherwise."
)]
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
    /// Look at the connections of a running director, or remove some
    Conn(ConnArgs),
}

/// The file that says what to balance.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// Configuration file (TOML)
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: PathBuf,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The configuration.
    #[command(flatten)]
    pub file: ConfigFile,
}

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub file: ConfigFile,

    /// Also look whether this machine has the CPU cores and devices that the file names
    #[arg(long)]
    pub machine: bool,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The configuration.
    #[command(flatten)]
    pub file: ConfigFile,

    /// Capture whose frames the port receives; once for each port that receives any
    #[arg(long = "in", value_name = "PORT=FILE", required = true, value_parser = PortFile::parse)]
    pub inputs: Vec<PortFile>,

    /// Capture to write with what the port sends; once for each port of interest
    #[arg(long = "out", value_name = "PORT=FILE", value_parser = PortFile::parse)]
    pub outputs: Vec<PortFile>,

    /// Configuration file to go over to, as reload does, so many seconds after the first frame; may be given several times
    #[arg(long = "reload", value_name = "SECONDS=FILE", value_parser = TimedFile::parse)]
    pub reloads: Vec<TimedFile>,

    /// File to write with everything that was counted, as JSON
    #[arg(long, value_name = "FILE")]
    pub stats: Option<PathBuf>,

    /// File to write with the connections there are at the end, as `conn list --json` prints them
    #[arg(long, value_name = "FILE")]
    pub connections: Option<PathBuf>,

    /// Workers; with more than one, frames are dealt to their queues by the seed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,

    /// Where the dealing of frames to several workers starts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// A port of the configuration and a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFile {
    /// The port's name.
    pub port: String,
    /// The capture.
    pub file: PathBuf,
}

impl PortFile {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((port, file)) if !port.is_empty() && !file.is_empty() => {
                Ok(Self { port: port.to_owned(), file: file.into() })
            }
            _ => Err("write it as PORT=FILE, with a port's name from the configuration".to_owned()),
        }
    }
}

/// A moment and a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFile {
    /// How long after the first frame.
    pub after: Duration,
    /// The file.
    pub file: PathBuf,
}

impl TimedFile {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(_, file)| !file.is_empty());
        let seconds = parts.and_then(|(seconds, _)| Duration::try_from_secs_f64(seconds.parse().ok()?).ok());
        match (seconds, parts) {
            (Some(after), Some((_, file))) => Ok(Self { after, file: file.into() }),
            _ => Err("write it as SECONDS=FILE, like 1.5=later.toml".to_owned()),
        }
    }
}

/// Where the director is asked.
#[derive(Clone, Debug, Args)]
pub struct SocketPath {
    /// Socket of the director, `api.socket` in its configuration
    #[arg(long, value_name = "PATH", env = "MILLRACE_SOCKET", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

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

/// Arguments of `reload`.
#[derive(Clone, Debug, Args)]
pub struct ReloadArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// One command's arguments alone.
    #[derive(Parser)]
    struct Only<A: Args> {
        #[command(flatten)]
        args: A,
    }

    fn read<A: Args>(arguments: &[&str]) -> Result<A, String> {
        let all = ["millrace"].iter().chain(arguments);
        Only::<A>::try_parse_from(all).map(|only| only.args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
        Only::<RunArgs>::command().debug_assert();
        Only::<ReplayArgs>::command().debug_assert();
    }

    #[test]
    fn replay_takes_captures_by_port() {
        let args: ReplayArgs = read(&[
            "-c",
            "x.toml",
            "--in",
            "wan=a.pcap",
            "--in",
            "lan=b=c.pcap",
            "--out",
            "wan=o.pcap",
            "--stats",
            "s.json",
        ])
        .unwrap();
        let pair = |port: &str, file: &str| PortFile { port: port.into(), file: file.into() };
        assert_eq!(args.inputs, [pair("wan", "a.pcap"), pair("lan", "b=c.pcap")]);
        assert_eq!(args.outputs, [pair("wan", "o.pcap")]);
        assert_eq!((args.workers, args.seed, args.stats), (1, 1, Some("s.json".into())));
    }

    #[test]
    fn mistakes_name_the_argument() {
        for (arguments, part) in [
            (&["--in", "wan=a.pcap"][..], "--config <FILE>"),
            (&["-c", "x.toml"], "--in <PORT=FILE>"),
            (&["-c", "x.toml", "--in", "wan"], "'wan' for '--in <PORT=FILE>': write it as PORT=FILE"),
            (&["-c", "x.toml", "--in", "wan=a", "--workers", "0"], "'0' for '--workers <N>'"),
        ] {
            let error = read::<ReplayArgs>(arguments).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = Cli::read_from(["millrace", "chekc"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("similar subcommand exists: 'check'"), "{error}");
    }

    #[test]
    fn every_command_has_help() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
        assert!(read::<RunArgs>(&["-c", "x.toml"]).is_ok());
    }
}
