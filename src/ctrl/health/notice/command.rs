//! A command that is run on a change.
//!
//! It is a program and its arguments, no line for a shell. It gets the director's environment without what would change how
//! programs are loaded or what is the director's alone, nothing on standard input, no standard output; what it writes on standard
//! error is in the director's log. It has a process group of its own, by which it and whatever it has started are ended when
//! its time is over. What it leaves in the background when it ends in time goes on.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command as Process};
use tokio::time::{sleep, timeout};

use super::form::Told;

/// What a command does not inherit: keepalived's list, and what is between the director and its service manager.
const WITHHELD: [&str; 6] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// How long a command that is told to end (SIGTERM) has for it before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// A command, and how it is run.
#[derive(Debug)]
pub(super) struct Command {
    /// The program by its whole path, and its arguments: not empty.
    pub words: Vec<String>,
    /// Whether keepalived's words come behind them.
    pub appends: bool,
    /// How long it may take.
    pub limit: Duration,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot be run: {0}")]
    NotRun(#[from] io::Error),
    #[error("{0}")]
    Ended(ExitStatus),
    #[error("killed: it took longer than {0:?}")]
    TooLong(Duration),
}

impl Command {
    /// Runs it to its end.
    pub async fn run(&self, told: &Told, lost: u64) -> Result<(), Failure> {
        let [program, arguments @ ..] = &*self.words else { return Ok(()) };
        let mut process = Process::new(program);
        process.args(arguments).envs(told.variables(lost));
        if self.appends {
            process.args(told.arguments());
        }
        for name in WITHHELD {
            process.env_remove(name);
        }
        process.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
        let mut running = Running(process.spawn()?);
        match timeout(self.limit, running.0.wait()).await {
            Ok(ended) => Some(ended?).filter(|status| !status.success()).map_or(Ok(()), |end| Err(Failure::Ended(end))),
            Err(_) => {
                running.end(Signal::TERM);
                sleep(GRACE).await;
                running.end(Signal::KILL);
                running.0.wait().await?;
                Err(Failure::TooLong(self.limit))
            }
        }
    }
}

/// A command that runs. Its group is killed if nobody waits for it any more.
struct Running(Child);

impl Running {
    /// Sends a signal to its group, unless it has been waited for: its number may be another's then.
    fn end(&self, signal: Signal) {
        let leader = self.0.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(leader) = leader {
            // It fails if all have ended, and that is well.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}
