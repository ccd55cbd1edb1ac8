//! `run`, `check` and `replay`: what takes a configuration file.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::ConfigFile;

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

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The configuration.
    #[command(flatten)]
    pub file: ConfigFile,

    /// Capture whose frames the port receives; once for each port that receives any. The host's end of a port with a twin is
    /// PORT:twin
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
