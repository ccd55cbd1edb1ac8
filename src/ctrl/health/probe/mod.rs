//! Asks a real server one question, and tells whether the answer was right.
//!
//! A [`Prober`] is a [`Probe`] made ready once, for any number of checks at a time, of any number of servers. A check ends within
//! its limit whatever the server does, and reads at most so much of an answer: 1 MiB of an HTTP body, and little more of all
//! else. It knows nothing about intervals, or about what becomes of a server that failed.
//!
//! A check runs in the task that awaits it: no threads, no task of its own. Connections are closed by a reset, so that none of
//! them keeps a local port in TIME-WAIT.

mod body;
mod dial;
mod failure;
mod http;
mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use self::dial::Meter;
pub use self::failure::{Failure, Kind};
use self::failure::{Stage, Step};
use super::check::Probe;

/// A [`Probe`] made ready.
pub struct Prober(Ready);

/// Each kind of question with what was prepared for it.
enum Ready {
    Tcp,
    Tls(tls::Client),
    Http(Box<http::Question>),
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to ask.
    pub address: SocketAddr,
    /// What `address` stands for, where it is a stand-in: the Host header and certificates are of this one.
    pub stands_for: Option<SocketAddr>,
    /// The local address to ask from; without, the kernel chooses.
    pub bind: Option<IpAddr>,
    /// What a script finds in its environment.
    pub environment: Vec<(String, String)>,
}

impl Target {
    /// The address by which the server is known.
    fn name(&self) -> SocketAddr {
        self.stands_for.unwrap_or(self.address)
    }
}

/// Why a probe cannot be made ready; displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file cannot be used.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The system has no certificates of authorities.
    #[error("the system has no certificates of authorities (Debian's package ca-certificates): {0}")]
    SystemRoots(String),
    /// A name that no certificate can be for.
    #[error("sni: {0:?} is not a name that a certificate can be for")]
    Name(String),
    /// Something that HTTP cannot say.
    #[error("{what}: HTTP cannot say {value:?}")]
    Http {
        /// Which part of the request.
        what: &'static str,
        /// What it was to be.
        value: String,
    },
    /// A regular expression that does not compile, or is too large.
    #[error("body: {0}")]
    Pattern(#[from] regex::Error),
    /// A kind of check that this version cannot make.
    #[error("{0}: this version cannot check so")]
    NotYet(&'static str),
    /// TLS does not offer what is needed.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Prober {
    /// Makes `probe` ready: reads its files, compiles its patterns.
    ///
    /// # Errors
    /// A file that cannot be read or used, and what [`Probe`] can express but nobody can ask.
    pub fn new(probe: &Probe) -> Result<Self, PrepareError> {
        Ok(Self(match probe {
            Probe::Tcp => Ready::Tcp,
            Probe::Tls(tls) => Ready::Tls(tls::Client::new(tls, None)?),
            Probe::Http(http) => Ready::Http(Box::new(http::Question::new(http)?)),
            Probe::Udp(_) => return Err(PrepareError::NotYet("udp")),
            Probe::Dns(_) => return Err(PrepareError::NotYet("dns")),
            Probe::Smtp(_) => return Err(PrepareError::NotYet("smtp")),
            Probe::Ping => return Err(PrepareError::NotYet("ping")),
            Probe::Grpc(_) => return Err(PrepareError::NotYet("grpc")),
            Probe::Script(_) => return Err(PrepareError::NotYet("script")),
        }))
    }

    /// Asks `target` and returns how long the right answer took. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// Everything but the right answer within `limit`.
    pub async fn check(&self, target: &Target, limit: Duration) -> Result<Duration, Failure> {
        let (step, begin) = (Step::first(), Instant::now());
        match timeout(limit, self.ask(target, &step)).await {
            Ok(answer) => answer.map(|()| begin.elapsed()),
            Err(_) => Err(Failure::late(limit, &step)),
        }
    }

    async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        match &self.0 {
            Ready::Tcp => dial::tcp(target).await.map(drop),
            // Kept apart, so that a TCP check's future is small.
            Ready::Tls(client) => Box::pin(shake_hands(client, target, step)).await,
            Ready::Http(question) => Box::pin(question.ask(target, step)).await,
        }
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Ready::Tcp => "Prober(tcp)",
            Ready::Tls(_) => "Prober(tls)",
            Ready::Http(_) => "Prober(http)",
        })
    }
}

async fn shake_hands(client: &tls::Client, target: &Target, step: &Step) -> Result<(), Failure> {
    let stream = Meter::new(dial::tcp(target).await?, 0);
    step.enter(Stage::Tls);
    client.connect(stream, target).await.map(drop)
}

#[cfg(test)]
mod tests;
