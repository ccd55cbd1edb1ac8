//! What a command line asks for.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use crate::dataplane::service::{Forwarding, Protocol};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `-A`
    AddService(Service),
    /// `-E`: what is not given goes back to its default.
    EditService(Service),
    /// `-D`
    DeleteService(Key),
    /// `-C`
    Clear,
    /// `-a`
    AddServer(Key, Server),
    /// `-e`: what is not given goes back to its default.
    EditServer(Key, Server),
    /// `-d`
    DeleteServer(Key, SocketAddr),
    /// `-L`
    List(Listing),
    /// `-Z`: of one service, or of all.
    Zero(Option<Key>),
    /// `--set`: seconds, 0 for what stays as it is.
    Set {
        /// Of open TCP connections.
        tcp: u32,
        /// Of TCP connections that one side closed.
        tcp_fin: u32,
        /// Of UDP.
        udp: u32,
    },
    /// `--start-daemon`
    StartDaemon(Daemon),
    /// `--stop-daemon`
    StopDaemon(Daemon),
    /// `-R`
    Restore,
    /// `-S`
    Save {
        /// `-n`
        numeric: bool,
    },
    /// `-h`
    Help,
    /// `-v`
    Version,
}

/// What a virtual service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `-t`, `-u`, `--sctp-service`
    Socket(Protocol, SocketAddr),
    /// `-f`, with or without `-6`
    Mark {
        /// The mark, not 0.
        mark: u32,
        /// Whether the packets are IPv6's.
        ipv6: bool,
    },
}

impl Key {
    /// The port, 0 for every port; none of a mark.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Socket(_, address) => Some(address.port()),
            Self::Mark { .. } => None,
        }
    }

    /// Whether the clients are IPv6's.
    pub fn is_ipv6(&self) -> bool {
        match self {
            Self::Socket(_, address) => address.is_ipv6(),
            Self::Mark { ipv6, .. } => *ipv6,
        }
    }
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it is for.
    pub key: Key,
    /// The scheduler's name, known or not.
    pub scheduler: String,
    /// The scheduler's flags.
    pub flags: Flags,
    /// For how many seconds a client keeps to its real server.
    pub persistent: Option<u32>,
    /// Which clients count as one.
    pub mask: Mask,
    /// `--pe`
    pub engine: Option<String>,
    /// `-o`
    pub one_packet: bool,
}

/// Which clients count as one to a persistent service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// IPv4's: any mask, in dots.
    V4(Ipv4Addr),
    /// IPv6's: a prefix length.
    V6(u8),
}

impl Mask {
    /// Whether each client is one of its own.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::V4(Ipv4Addr::BROADCAST) | Self::V6(128))
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(length) => length.fmt(f),
        }
    }
}

/// Three switches, which mean what the scheduler makes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub [bool; 3]);

/// What sh and mh call their first two, in the order of the switches.
const HASH_FLAGS: [&str; 2] = ["fallback", "port"];

impl Flags {
    /// Reads a list with commas; the error is the complaint.
    pub fn read(list: &str, scheduler: &str) -> Result<Self, String> {
        let mut flags = [false; 3];
        for word in list.split(',').filter(|word| !word.is_empty()) {
            flags[Self::place(word, scheduler)?] = true;
        }
        Ok(Self(flags))
    }

    fn place(word: &str, scheduler: &str) -> Result<usize, String> {
        if let Some(place) = ["flag-1", "flag-2", "flag-3"].iter().position(|name| *name == word) {
            return Ok(place);
        }
        let hash = word.split_once('-').filter(|(owner, _)| ["sh", "mh"].contains(owner));
        let place = hash.and_then(|(_, name)| HASH_FLAGS.iter().position(|known| *known == name));
        match (hash, place) {
            (Some((owner, _)), Some(place)) if owner == scheduler => Ok(place),
            (Some(_), Some(_)) => Err(format!("incompatible scheduler flag `{word}'")),
            _ => Err(format!("invalid scheduler flag `{word}'")),
        }
    }

    /// Their names under `scheduler`.
    pub fn names(self, scheduler: &str) -> Vec<String> {
        let hash = ["sh", "mh"].contains(&scheduler);
        let name = |place: usize| match HASH_FLAGS.get(place) {
            Some(name) if hash => format!("{scheduler}-{name}"),
            _ => format!("flag-{}", place + 1),
        };
        // The third means nothing to those two, and is not shown.
        let known = if hash { HASH_FLAGS.len() } else { self.0.len() };
        (0..known).filter(|place| self.0[*place]).map(name).collect()
    }
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// RIP and port.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// What they are put into, by tunnel.
    pub tunnel: Tunnel,
    /// Its share.
    pub weight: u32,
    /// `-x`, 0 for none.
    pub upper: u32,
    /// `-y`, 0 for none.
    pub lower: u32,
}

/// What a tunnel is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// GUE: UDP to this port.
    Gue {
        /// The port.
        port: u16,
        /// Its checksum.
        checksum: Checksum,
    },
    /// GRE.
    Gre(Checksum),
}

/// How a tunnel's outer header is summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// `--tun-nocsum`
    #[default]
    None,
    /// `--tun-csum`
    Whole,
    /// `--tun-remcsum`
    Remote,
}

/// What is listed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What.
    pub what: Listed,
    /// Which columns; several may have been asked for, and the layouts have an order of their own.
    pub layout: Layout,
    /// `-n`
    pub numeric: bool,
    /// `-X`
    pub exact: bool,
    /// Without `--nosort`
    pub sorted: bool,
    /// `--persistent-conn`, of connections: what a persistence engine knows of them.
    pub engines: bool,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// All services.
    All,
    /// One.
    Service(Key),
    /// `-c`
    Connections,
    /// `--timeout`
    Timeouts,
    /// `--daemon`
    Daemons,
}

/// A listing's columns, the one that wins over the others first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `--stats`
    Stats,
    /// `--rate`
    Rate,
    /// `--thresholds`
    Thresholds,
    /// `--persistent-conn`
    Persistent,
    /// `--tun-info`
    Tunnels,
    /// None of these.
    Plain,
}

/// A connection sync daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Whether it sends or receives.
    pub role: Role,
    /// `--mcast-interface`
    pub interface: String,
    /// `--syncid`
    pub id: u8,
    /// `--sync-maxlen`
    pub longest: Option<u16>,
    /// `--mcast-group`
    pub group: Option<std::net::IpAddr>,
    /// `--mcast-port`
    pub port: Option<u16>,
    /// `--mcast-ttl`
    pub ttl: Option<u8>,
}

/// What a sync daemon does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It tells the others.
    Master,
    /// It is told.
    Backup,
}
