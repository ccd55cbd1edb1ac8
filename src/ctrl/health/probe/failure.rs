//! What went wrong with a check: one short line for a log, and a kind for counting.

use std::borrow::Cow;
use std::error::Error;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use std::{fmt, io};

use rustix::io::Errno;
use rustls::CertificateError;

use super::dial::TooMuch;

/// How much of what a server said is repeated, in characters.
const EXCERPT: usize = 100;

/// Why a check failed; displays as one short line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    text: Cow<'static, str>,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The server refuses connections or datagrams.
    Refused,
    /// There is no way to the server.
    Unreachable,
    /// The server ended the connection too early.
    Closed,
    /// The time was over.
    Timeout,
    /// A status that is not right.
    Status,
    /// A body, a datagram or a record that is not right.
    Body,
    /// TLS was not agreed on, or the certificate is not right.
    Tls,
    /// The answer is not what the protocol says.
    Protocol,
    /// The script says no.
    Script,
    /// The check could not be made, which is not the server's fault: it says nothing about the server.
    Local,
}

impl Kind {
    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Body => "body",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
            Self::Script => "script",
            Self::Local => "local",
        }
    }
}

impl Failure {
    /// Makes a failure out of what is to be said about it.
    pub(super) fn new(kind: Kind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Not the server's fault: `what` could not be done here.
    pub(super) fn local(what: &str, cause: &dyn fmt::Display) -> Self {
        Self::new(Kind::Local, format!("{what}: {cause}"))
    }

    /// The time was over while `step` was waited for.
    pub(super) fn late(limit: Duration, step: &Step) -> Self {
        let stage = step.0.load(Ordering::Relaxed);
        let ours = [Stage::Matcher as u8, Stage::Place as u8].contains(&stage);
        let kind = if ours { Kind::Local } else { Kind::Timeout };
        Self::new(kind, format!("timed out after {limit:?}: {}", MISSING[usize::from(stage)]))
    }

    /// Finds in an error, or in what caused it, the reason that matters.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let (mut next, mut ended) = (Some(error), false);
        while let Some(cause) = next {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return tls(error);
            }
            if let Some(TooMuch(octets)) = cause.downcast_ref::<TooMuch>() {
                return Self::new(Kind::Protocol, format!("more than {octets} octets"));
            }
            next = match cause.downcast_ref::<io::Error>() {
                Some(error) => {
                    ended = ended || error.kind() == io::ErrorKind::UnexpectedEof;
                    match error.get_ref() {
                        Some(inner) => Some(inner as &(dyn Error + 'static)),
                        None => return io(error),
                    }
                }
                None => cause.source(),
            };
        }
        if ended {
            return closed();
        }
        Self::new(Kind::Protocol, excerpt(error.to_string().as_bytes()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

/// What the kernel says about a connection or a datagram.
fn io(error: &io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => Failure::new(Kind::Refused, "connection refused"),
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => Failure::new(Kind::Closed, "connection reset"),
        Some(Errno::HOSTUNREACH | Errno::HOSTDOWN) => Failure::new(Kind::Unreachable, "host unreachable"),
        Some(Errno::NETUNREACH | Errno::NETDOWN) => Failure::new(Kind::Unreachable, "network unreachable"),
        Some(Errno::TIMEDOUT) => Failure::new(Kind::Timeout, "timed out in the kernel"),
        Some(Errno::ADDRNOTAVAIL) => Failure::new(Kind::Local, "no local address and port to ask from"),
        Some(Errno::ACCESS | Errno::PERM) => Failure::new(Kind::Local, "not permitted here (a local firewall?)"),
        Some(
            Errno::ADDRINUSE
            | Errno::AFNOSUPPORT
            | Errno::AGAIN
            | Errno::INVAL
            | Errno::MFILE
            | Errno::NFILE
            | Errno::NOBUFS
            | Errno::NOMEM,
        ) => Failure::local("not possible here", error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => closed(),
        _ => Failure::new(Kind::Closed, error.to_string()),
    }
}

/// The server ended the connection before its answer was complete.
pub(super) fn closed() -> Failure {
    Failure::new(Kind::Closed, "the server closed the connection")
}

fn tls(error: &rustls::Error) -> Failure {
    use CertificateError as Bad;
    let text = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "certificate expired".into(),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "certificate not valid yet".into(),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => "certificate for another name".into(),
            Bad::BadSignature => "certificate with a wrong signature".into(),
            Bad::UnknownIssuer => "certificate of an unknown authority".into(),
            // A self-signed certificate that `openssl req -x509` makes, for one.
            Bad::Other(reason) if reason.to_string() == "CaUsedAsEndEntity" => {
                "certificate of an authority itself".into()
            }
            Bad::Other(reason) => excerpt(format!("certificate refused: {reason}").as_bytes()).into(),
            bad => excerpt(format!("certificate refused: {bad}").as_bytes()).into(),
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS".into(),
        rustls::Error::AlertReceived(alert) => format!("the server refuses TLS: {alert:?}").into(),
        error => Cow::Owned(excerpt(format!("TLS: {error}").as_bytes())),
    };
    Failure::new(Kind::Tls, text)
}

/// Returns the beginning of what a server said, in one line that can do a log no harm.
pub(super) fn excerpt(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(4 * EXCERPT)]);
    let mut shown: String =
        text.trim().chars().take(EXCERPT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.trim().chars().nth(EXCERPT).is_some() {
        shown.push('…');
    }
    shown
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Connection,
    Tls,
    Answer,
    Body,
    Matcher,
    Match,
    Greeting,
    Place,
    Exit,
}

/// What is missing while one waits, in the order of [`Stage`].
const MISSING: [&str; 9] = [
    "no connection",
    "no TLS handshake",
    "no answer to the request",
    "the answer's body did not end",
    "too many long bodies are matched already",
    "the body was not matched to its end",
    "no greeting",
    "too many scripts run already",
    "the script did not end",
];

/// How far a check has come.
#[derive(Debug)]
pub(super) struct Step(AtomicU8);

impl Step {
    /// At the beginning of a check.
    pub(super) fn first() -> Self {
        Self(AtomicU8::new(Stage::Connection as u8))
    }

    /// Says what is waited for from now on.
    pub(super) fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }
}
