//! What is checked, how, and how often: one real server's health check, as it is configured.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::observe::Observe;

/// A health check of a real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked, and what the right answer is.
    pub probe: Probe,
    /// From one check to the next.
    pub interval: Duration,
    /// How long a check may take, from its start to the whole of its answer.
    pub timeout: Duration,
    /// So many right answers, one after the other, bring a server back.
    pub rise: u32,
    /// So many failures, one after the other, take it out.
    pub fall: u32,
    /// By how much an interval may be shorter or longer, in percent, so that checks of many directors do not come together.
    pub jitter: u8,
    /// How long after the director's start, or after the server was added, the first check may come at the earliest.
    pub delay: Duration,
    /// The longest time that a server which fails again and again is kept out, though it answers; zero for no such thing.
    pub damping: Duration,
    /// Whether a server that nothing is known of takes connections until its first check; that one decides alone.
    pub starts_up: bool,
    /// The address to ask in place of the real server's.
    pub address: Option<IpAddr>,
    /// The port to ask in place of the real server's.
    pub port: Option<u16>,
    /// Which way the question takes.
    pub path: Path,
    /// Clients' own connections take the server out too, by this rule; none for checks alone. Where answers pass the director.
    pub observe: Option<Observe>,
}

/// Which way a check's packets take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// To the real server's own address.
    #[default]
    Real,
    /// To the VIP, by the real server's forwarding method: as clients' packets go. So a real server whose VIP is not set up is
    /// found out.
    Vip,
}

/// What is asked, and what the right answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A connection is made.
    Tcp,
    /// A connection is made, and TLS agreed on.
    Tls(Tls),
    /// HTTP/1.1, with `tls` HTTPS.
    Http(Http),
    /// A datagram, and an answer to it; without one, none but an ICMP refusal is a failure.
    Udp(Udp),
    /// A question to a name server.
    Dns(Dns),
    /// A greeting, EHLO or HELO, and good-bye (RFC 5321).
    Smtp(Smtp),
    /// An ICMP echo request.
    Ping,
    /// grpc.health.v1.Health/Check, over HTTP/2.
    Grpc(Grpc),
    /// A command; its exit status 0 is the right answer.
    Script(Script),
}

/// How a TLS server is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The name that it is asked for (SNI), and that its certificate must be for. Without one: its address, no SNI.
    pub sni: Option<String>,
    /// Any certificate will do.
    pub insecure: bool,
    /// The authorities its certificate must be of, in PEM; without, those of the system.
    pub ca: Option<PathBuf>,
}

/// An HTTP request and its right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `GET`, `HEAD`, `OPTIONS`, `POST`.
    pub method: String,
    /// What is asked for, `/` at least.
    pub path: String,
    /// The Host header; without, the address.
    pub host: Option<String>,
    /// The status codes that are right.
    pub status: Vec<RangeInclusive<u16>>,
    /// What must be in the body.
    pub body: Option<Body>,
    /// For HTTPS.
    pub tls: Option<Tls>,
}

/// What an answer's body must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A regular expression is found in it, which was compiled once without complaint.
    Matches(String),
    /// Its MD5, as keepalived's genhash tells it.
    Md5([u8; 16]),
    /// Its SHA-256.
    Sha256([u8; 32]),
}

/// A datagram and its right answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Udp {
    /// What is sent; may be nothing.
    pub send: Vec<u8>,
    /// What the answer begins with. Without it, silence is right too.
    pub expect: Option<Vec<u8>>,
}

/// A question to a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// The name asked for.
    pub name: String,
    /// The type of record asked for: `A`, `SOA`, ...
    pub record: String,
}

/// What a mail server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Who greets.
    pub helo: String,
}

/// A gRPC health check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grpc {
    /// The service asked for; empty for the server as a whole.
    pub service: String,
    /// With TLS.
    pub tls: Option<Tls>,
}

/// A command and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The program, by its whole path, then its arguments.
    pub command: Vec<String>,
}
