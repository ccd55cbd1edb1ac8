//! Asks a real server one question, and tells whether the answer was right.
//!
//! A [`Prober`] is a [`Probe`] made ready once, for any number of checks at a time, of any number of servers. A check ends within
//! its limit whatever the server does, and reads at most so much of an answer: 1 MiB of an HTTP body, and little more of all
//! else. It knows nothing about intervals, or about what becomes of a server that failed.
//!
//! A check runs in the task that awaits it. Two rare things do not: a killed script is waited for, and a long body is searched,
//! elsewhere. Connections are closed by a reset, so that none of them keeps a local port in TIME-WAIT.

mod body;
mod datagram;
mod dial;
mod dns;
mod failure;
mod grpc;
mod http;
mod ping;
mod script;
mod shared;
mod smtp;
mod tls;
mod udp;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::timeout;

pub use self::body::pattern;
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
    Udp(udp::Question),
    Dns(dns::Question),
    Smtp(smtp::Question),
    Ping,
    Grpc(grpc::Question),
    Script(script::Question),
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
    /// Something that DNS cannot be asked.
    #[error("{what}: nobody can ask for {value:?}")]
    Dns {
        /// Which part of the question.
        what: &'static str,
        /// What it was to be.
        value: String,
    },
    /// A name that nobody can greet with.
    #[error("helo: {0:?} is not one word")]
    Helo(String),
    /// A script without a command.
    #[error("command: it is empty")]
    NoCommand,
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
            Probe::Udp(udp) => Ready::Udp(udp::Question::new(udp)),
            Probe::Dns(dns) => Ready::Dns(dns::Question::new(dns)?),
            Probe::Smtp(smtp) => Ready::Smtp(smtp::Question::new(smtp)?),
            Probe::Ping => Ready::Ping,
            Probe::Grpc(grpc) => Ready::Grpc(grpc::Question::new(grpc)?),
            Probe::Script(script) => Ready::Script(script::Question::new(script)?),
        }))
    }

    /// Asks `target` and returns how long the right answer took. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// Everything but the right answer within `limit`.
    pub async fn check(&self, target: &Target, limit: Duration) -> Result<Duration, Failure> {
        let (step, begin) = (Step::first(), Instant::now());
        match timeout(limit, self.ask(target, limit, &step)).await {
            Ok(answer) => answer.map(|()| begin.elapsed()),
            Err(_) => Err(Failure::late(limit, &step)),
        }
    }

    async fn ask(&self, target: &Target, limit: Duration, step: &Step) -> Result<(), Failure> {
        match &self.0 {
            Ready::Tcp => dial::tcp(target).await.map(drop),
            // The others are kept apart, so that a TCP check's future is small.
            Ready::Tls(client) => Box::pin(shake_hands(client, target, step)).await,
            Ready::Http(question) => Box::pin(question.ask(target, step)).await,
            Ready::Udp(question) => Box::pin(question.ask(target, limit, step)).await,
            Ready::Dns(question) => Box::pin(question.ask(target, step)).await,
            Ready::Smtp(question) => Box::pin(question.ask(target, step)).await,
            Ready::Ping => Box::pin(ping::ask(target, step)).await,
            Ready::Grpc(question) => Box::pin(question.ask(target, step)).await,
            Ready::Script(question) => Box::pin(question.ask(target, step)).await,
        }
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Ready::Tcp => "Prober(tcp)",
            Ready::Tls(_) => "Prober(tls)",
            Ready::Http(_) => "Prober(http)",
            Ready::Udp(_) => "Prober(udp)",
            Ready::Dns(_) => "Prober(dns)",
            Ready::Smtp(_) => "Prober(smtp)",
            Ready::Ping => "Prober(ping)",
            Ready::Grpc(_) => "Prober(grpc)",
            Ready::Script(_) => "Prober(script)",
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
