//! A command whose exit status is the answer.
//!
//! It runs in a process group of its own, which is killed as a whole when the command has ended, and when its time is over.
//! It finds `PATH` in its environment and what the [`Target`] says, an empty standard input, and `/` as its directory. Of what it
//! writes the first line is told when it fails. [`PLACES`] commands run at once, others wait; who waits until its time is
//! over says nothing about a server.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failure::{Failure, Kind, Stage, Step, excerpt};
use super::{PrepareError, Target};
use crate::ctrl::health::check::Script;

/// How many commands run at the same time.
pub(super) const PLACES: usize = 32;
/// How much a command may write, in octets.
const OUTPUT_OCTETS: usize = 64 << 10;
/// How much of it is kept, in octets.
const KEPT_OCTETS: usize = 512;
/// Where programs are found if the director itself was not told.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static FREE: Semaphore = Semaphore::const_new(PLACES);

/// A command.
pub(super) struct Question {
    command: Vec<String>,
    path: OsString,
}

impl Question {
    pub(super) fn new(script: &Script) -> Result<Self, PrepareError> {
        if script.command.is_empty() {
            return Err(PrepareError::NoCommand);
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        Ok(Self { command: script.command.clone(), path })
    }

    pub(super) async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        step.enter(Stage::Place);
        let place = FREE.acquire().await.map_err(|cause| Failure::local("no place", &cause))?;
        step.enter(Stage::Exit);
        let (mut running, output) = self.start(target, place).map_err(|cause| {
            Failure::local(&format!("cannot run {}", self.command.first().map_or("", String::as_str)), &cause)
        })?;
        let mut output = Output { pipe: Some(output), octets: 0, kept: Vec::new() };
        loop {
            tokio::select! {
                read = output.read(), if output.pipe.is_some() => read?,
                () = running.end() => break,
            }
        }
        output.drain()?;
        let status = running.reap().map_err(|cause| Failure::local("no exit status", &cause))?;
        if status.success() { Ok(()) } else { Err(Failure::new(Kind::Script, output.told(status))) }
    }

    fn start(&self, target: &Target, place: SemaphorePermit<'static>) -> io::Result<(Running, Receiver)> {
        let (output, input) = io::pipe()?;
        let output = Receiver::from_owned_fd(output.into())?;
        let mut command = Command::new(self.command.first().map_or("", String::as_str));
        command.args(self.command.iter().skip(1)).current_dir("/").process_group(0);
        command.env_clear().env("PATH", &self.path).envs(target.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        let signals = unix::signal(SignalKind::child())?;
        Ok((Running { started: Some(Started { child: command.spawn()?, signals, place }) }, output))
    }
}

/// A command that was started and not yet reaped: its process id is its own, and its group's.
struct Started {
    child: Child,
    /// Tells whenever a child of the director has ended.
    signals: unix::Signal,
    /// Kept until it is reaped.
    place: SemaphorePermit<'static>,
}

impl Started {
    /// Waits until it has ended. It is not reaped: its group cannot be another's.
    async fn end(&mut self) {
        let process = Pid::from_child(&self.child);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while let Ok(None) = waitid(WaitId::Pid(process), options) {
            self.signals.recv().await;
        }
    }

    fn kill(&self) {
        // Whoever is in the group; nobody may be.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

/// A command that does not outlive this.
struct Running {
    started: Option<Started>,
}

impl Running {
    async fn end(&mut self) {
        if let Some(started) = &mut self.started {
            started.end().await;
        }
    }

    /// Ends what is left of the group of a command that has ended, and returns how it ended.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let Some(mut started) = self.started.take() else { return Err(io::ErrorKind::NotFound.into()) };
        started.kill();
        started.child.wait()
    }
}

impl Drop for Running {
    /// Kills a command whose time is over. A killed one ends soon, but not at once: a task waits for it.
    fn drop(&mut self) {
        let Some(mut started) = self.started.take() else { return };
        started.kill();
        let reap = async move {
            started.end().await;
            let _ = started.child.wait();
            drop(started.place);
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(reap);
        }
    }
}

/// What a command writes.
struct Output {
    /// Until nobody is left who could write.
    pipe: Option<Receiver>,
    octets: usize,
    kept: Vec<u8>,
}

impl Output {
    async fn read(&mut self) -> Result<(), Failure> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let mut piece = [0; 4096];
        let octets = pipe.read(&mut piece).await.map_err(|cause| Failure::local("no output", &cause))?;
        self.take(&piece[..octets])
    }

    /// Reads what a command has left that has ended, whether or not the reactor has heard of it.
    fn drain(&mut self) -> Result<(), Failure> {
        let mut piece = [0; 4096];
        while let Some(Ok(octets)) = self.pipe.as_ref().map(|pipe| rustix::io::read(pipe, &mut piece)) {
            self.take(&piece[..octets])?;
        }
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if piece.is_empty() {
            self.pipe = None;
        }
        self.octets += piece.len();
        if self.octets > OUTPUT_OCTETS {
            return Err(Failure::new(Kind::Script, format!("it wrote more than {OUTPUT_OCTETS} octets")));
        }
        let room = KEPT_OCTETS - self.kept.len();
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        Ok(())
    }

    fn told(&self, status: ExitStatus) -> String {
        let ended = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended somehow".to_owned(),
        };
        let said = self.kept.split(|&octet| octet == b'\n').map(excerpt).find(|line| !line.is_empty());
        match said {
            Some(line) => format!("{ended}: {line}"),
            None => ended,
        }
    }
}
