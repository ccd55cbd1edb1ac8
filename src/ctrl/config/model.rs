//! The checked configuration: plain values, no positions, nothing left to doubt.
//!
//! Whoever holds a [`Config`] may rely on this, since reading the file refuses everything else:
//! - names, devices and own addresses of ports are unique, and there is at least one port and one worker;
//! - services are unique by what they are for, and no two ranges of the same addresses have a port in common; real servers
//!   are unique in their service and of its address family, but by tunnel; no VIP is a real server's address;
//! - a sorry server is none of its service's real servers;
//! - answers by NAT and of the host can be told apart: what answers for a service of several ports or addresses does not for
//!   one of one;
//! - a real server is local if, and only if, it is the host, which a twin leads to;
//! - local addresses are nobody else's, and where full NAT is used its family has some;
//! - every gateway, static neighbour and direct-routing real server is on-link of a port, and every other real
//!   server is on-link or has a route;
//! - every default is filled in: a real server's port, forwarding method and weight are what applies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

pub use crate::ctrl::health::check::{self, Check};
pub use crate::ctrl::health::notice::Event;
pub use crate::dataplane::address::Family;
pub use crate::dataplane::punt::Transit;
pub use crate::dataplane::rules::Rules;
pub use crate::dataplane::sched::Scheduler;
pub use crate::dataplane::selector::{Addresses, Pattern, Selector};
pub use crate::dataplane::service::{Forwarding, MssClamp, NoServer, Persistence, Protocol, Thresholds};

/// The largest MTU of a twin that is a tap (DPDK's net_tap).
const LARGEST_TAP: u16 = 1500;

/// A whole configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The program itself.
    pub director: Director,
    /// Where the program is asked and told.
    pub api: Api,
    /// How VIPs are announced to the host. Default not at all.
    pub announce: Option<Announce>,
    /// `[health]`: what all health checks have in common.
    pub checks: Checks,
    /// Which of the host's routes are the director's too. Default none.
    pub mirror: Option<Mirror>,
    /// How long idle connections are kept.
    pub timeouts: Timeouts,
    /// `[ipvs]`: what the kernel's sysctls of these names switch. Defaults are the kernel's.
    pub rules: Rules,
    /// Ports in the order of the file, which is the order of their ids.
    pub ports: Vec<Port>,
    /// Static routes.
    pub routes: Vec<Route>,
    /// Static neighbours.
    pub neighbors: Vec<Neighbor>,
    /// Full NAT's source addresses. Default none.
    pub local_pools: Vec<LocalPool>,
    /// Rules that give marks; the first that fits a packet does.
    pub marks: Vec<Mark>,
    /// Who is told of changes.
    pub notify: Vec<Notify>,
    /// Virtual services in the order of the file. A configuration that is made of another shares with it what did not change.
    pub services: Vec<Arc<Service>>,
}

impl Config {
    /// The ports that have a twin, each with its place and the twin's name, in the order of the ports. So come their queues,
    /// behind those of the ports.
    pub fn twins(&self) -> impl Iterator<Item = (usize, &Port, &str)> {
        self.ports.iter().enumerate().filter_map(|(place, port)| Some((place, port, port.twin.as_deref()?)))
    }

    /// How many queue pairs each worker has: one of each port and of each twin.
    pub fn lanes(&self) -> usize {
        self.ports.len() + self.twins().count()
    }

    /// Tells whether an address is the host's: 127.0.0.1, ::1, or an own one of a port that has a twin.
    pub(super) fn is_host(ports: &[Port], address: IpAddr) -> bool {
        let own = |port: &Port| port.twin.is_some() && port.addresses.iter().any(|own| own.addr() == address);
        address == localhost(Family::of(address)) || ports.iter().any(own)
    }

    /// What becomes of packets in transit if the file does not say.
    pub(super) fn default_transit(ports: &[Port]) -> Transit {
        if ports.iter().any(|port| port.twin.is_some()) { Transit::Kernel } else { Transit::Drop }
    }
}

/// The host, as it calls itself.
pub(super) const fn localhost(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// `[director]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Director {
    /// CPU cores that poll, one worker each; at least one, no core twice. Default `[1]`.
    pub workers: Vec<usize>,
    /// Connections the table is sized for. Default 1,000,000.
    pub max_connections: usize,
    /// Connections to services of several ports or addresses that their table is sized for. Default a tenth of `max_connections`.
    pub max_wide_connections: usize,
    /// Persistence templates that their table is sized for. Default a tenth of `max_connections`.
    pub max_templates: usize,
    /// What a worker does when there is nothing to do. Default busy.
    pub poll: Poll,
    /// Arguments passed to the EAL as they are. Default none.
    pub dpdk_args: Vec<String>,
    /// What becomes of packets for neither the director nor a service, such as NAT real servers send on their own. Default the
    /// kernel's where a port has a twin, else drop.
    pub transit: Transit,
    /// Whether the configuration file is applied again whenever it changes. Default false.
    pub watch: bool,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Asks again at once: least delay, a whole core.
    Busy,
    /// Sleeps for a short time that grows while nothing arrives: for labs and small machines.
    Adaptive,
}

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket that answers HTTP. Default `/run/millrace/api.sock`.
    pub socket: PathBuf,
    /// Where it is offered on TCP. Default nowhere.
    pub listen: Option<Listen>,
}

/// `[api] listen` and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// `token_file`: the token that requests must bear. Default none.
    pub token_file: Option<PathBuf>,
    /// Default none.
    pub tls: Option<Tls>,
    /// Whether others than this host may read without a token or a certificate. Default false.
    pub public_reads: bool,
}

/// What TLS needs; files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that clients' certificates must be of. Default none: clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// `[mirror]`: the host's routes by twins are the director's too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The kernel's routing table that they are in. Default 254, the main one.
    pub table: u32,
    /// Those of these routing protocols (rtm_protocol, rtnetlink(7)); of all if there are none. Default all.
    pub protocols: Vec<u8>,
    /// Whether twins' permanent neighbours are static neighbours. Default true.
    pub neighbors: bool,
}

/// `[announce]`: what the host's routes to VIPs bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The protocol by which ours are known (rtm_protocol, rtnetlink(7)), 19 to 255. Default 109.
    pub protocol: u8,
    /// The kernel's routing table that they are in. Default 254, the main one.
    pub table: u32,
}

/// `[health]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// The prefix that stand-in addresses are taken from, for checks through VIPs. Default 198.18.0.0/15, which is for tests
    /// within a network (RFC 2544).
    pub stand_ins: Ipv4Net,
}

impl Checks {
    /// How many real servers may be checked through VIPs: the prefix's first two addresses and its last are nobody's.
    pub fn places(&self) -> usize {
        (1 << (32 - self.stand_ins.prefix_len())) - 3
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self { stand_ins: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15) }
    }
}

/// `[timeouts]`: those that `ipvsadm --set` sets, in seconds, 1 to 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Of an open TCP connection. Default 900.
    pub tcp: u32,
    /// Of a TCP connection that one side closed. Default 120.
    pub tcp_fin: u32,
    /// Of UDP. Default 300.
    pub udp: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

/// `[[port]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// The name in listings and on the command line.
    pub name: String,
    /// A PCI address or a DPDK vdev with its arguments.
    pub device: String,
    /// Own addresses, each with the prefix that is on-link here (host bits kept: `addr()` is the address).
    pub addresses: Vec<IpNet>,
    /// The Ethernet address to use instead of the device's own.
    pub mac: Option<[u8; 6]>,
    /// The largest IP packet sent from the port, in octets. Default 1500.
    pub mtu: u16,
    /// How many queue pairs are set up. Default one per worker.
    pub queues: Queues,
    /// The kernel's interface for this port. Default none.
    pub twin: Option<String>,
}

impl Port {
    /// The other end of the port's twin, where the twin is a pair of interfaces: the tap driver takes no packets above 1,500 octets.
    pub fn inner_twin(&self) -> Option<String> {
        let twin = self.twin.as_ref().filter(|_| self.mtu > LARGEST_TAP)?;
        Some(format!("{twin}.in"))
    }
}

/// How many queue pairs a port has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// One for each worker.
    #[default]
    PerWorker,
}

/// `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// Destinations, host bits zero.
    pub to: IpNet,
    /// The gateways, at least one and none twice: on-link of a port, of the same family. Of several each flow has one.
    pub via: Vec<IpAddr>,
}

impl Route {
    /// The gateways in words.
    pub fn gateways(&self) -> String {
        let gateways: Vec<_> = self.via.iter().map(ToString::to_string).collect();
        gateways.join(", ")
    }
}

/// `[[neighbor]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Neighbor {
    /// On-link of a port.
    pub address: IpAddr,
    /// A unicast Ethernet address.
    pub mac: [u8; 6],
}

/// `[[local_pool]]`: addresses of the director's own that real servers see full NAT's connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPool {
    /// The addresses, at least one, of either family; no two pools share one.
    pub addresses: Vec<Addresses>,
}

/// `[[service]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which packets it is for: `address` and `protocol`, `match` or `mark`.
    pub selector: Selector,
    /// The addresses that ARP, neighbour solicitations and echo requests are answered for: the VIP, or those of several that the file names.
    pub vips: Vec<IpAddr>,
    /// Chooses the real server of a new connection. Default wlc.
    pub scheduler: Scheduler,
    /// The forwarding method of its real servers that name none. Default nat.
    pub forwarding: Forwarding,
    /// How long its open connections may be idle, in seconds, 1 to 31 days. Default `[timeouts]`.
    pub timeout: Option<u32>,
    /// Whether and how a client's connections keep to one real server. Default they do not.
    pub persistence: Option<Persistence>,
    /// How many new connections a second it takes, over all workers; 0, the default, for any number.
    pub max_new_per_second: u32,
    /// For how long the weight of its real servers that say nothing of it grows after they return, in seconds. Default 0, not
    /// at all.
    pub slow_start: u32,
    /// `ops`: UDP's one-packet scheduling, each packet for itself and no connection kept. Default false.
    pub one_packet: bool,
    /// Whether and how the maximum segment size of its TCP connections is lowered. Default auto, by tunnel.
    pub mss_clamp: MssClamp,
    /// Takes new connections while no real server does. Default none.
    pub sorry_server: Option<Real>,
    /// What clients are answered while neither does. Default unreachable.
    pub no_server: NoServer,
    /// How failures of its real servers are noticed, and what they do.
    pub health: Health,
    /// Real servers in the order of the file; may be none.
    pub reals: Vec<Real>,
}

impl Service {
    /// All that its packets may be sent to: the real servers by their places in the file, then the sorry server.
    pub fn stations(&self) -> impl Iterator<Item = (Option<usize>, &Real)> {
        let reals = self.reals.iter().enumerate().map(|(place, real)| (Some(place), real));
        reals.chain(self.sorry_server.iter().map(|sorry| (None, sorry)))
    }

    /// Those of them whose answers come back through the director.
    pub fn answering(&self) -> impl Iterator<Item = (Option<usize>, &Real)> {
        self.stations().filter(|(_, real)| real.forwarding.answers_here())
    }

    /// The real servers that are checked through the VIP, by their places.
    pub fn checked_through_vip(&self) -> impl Iterator<Item = (usize, &Real)> {
        let through = |real: &Real| real.check.as_ref().is_some_and(|check| check.path == check::Path::Vip);
        self.reals.iter().enumerate().filter(move |(_, real)| through(real))
    }
}

/// How failures of a service's real servers are noticed, and what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How real servers are checked that say nothing of it. Default not at all.
    pub check: Option<Arc<Check>>,
    /// What becomes of a real server that has failed.
    pub on_failure: OnFailure,
    /// How many must be left.
    pub quorum: Quorum,
}

/// What becomes of a real server that has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It is taken out: packets of its connections are dropped until it is back. keepalived's way.
    #[default]
    Remove,
    /// It has weight 0: no new connections, and those that there are go on. keepalived's `inhibit_on_failure`.
    Inhibit,
}

/// How much must be left for a service to go on: keepalived's `quorum` and `hysteresis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The sum of the weights of its real servers that live, at least. Default 1.
    pub weight: u32,
    /// It takes so much more to be reached again, and so much less to be lost. Default 0.
    pub hysteresis: u32,
    /// What is run when it is reached again: a program and its arguments. Default nothing.
    pub up: Vec<String>,
    /// What is run when it is lost. Default nothing.
    pub down: Vec<String>,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { weight: 1, hysteresis: 0, up: Vec::new(), down: Vec::new() }
    }
}

/// `[[mark]]`: packets that fit bear the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The mark, not 0.
    pub mark: u32,
    /// Which packets fit.
    pub pattern: Pattern,
}

impl Mark {
    /// What a service of these packets is for.
    pub fn selector(&self) -> Selector {
        Selector::Mark(self.mark, self.pattern.family())
    }
}

/// `[[notify]]`: who is told of which changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Who is told.
    pub receiver: Receiver,
    /// Of which events; none for every one.
    pub events: Vec<Event>,
    /// Of which services, which need not be there; none for every one.
    pub services: Vec<Selector>,
    /// How long a command may run, and a webhook take to answer, in seconds, 1 to 600. Default 10.
    pub timeout: u32,
}

/// Who is told of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A command: a program by its whole path, and its arguments.
    Command(Vec<String>),
    /// What answers HTTP requests.
    Webhook {
        /// Where, with http or https.
        url: String,
        /// The file with the token that it is shown. Default none.
        token_file: Option<PathBuf>,
        /// The file with the authorities that its certificate must be of, in PEM. Default those of the system.
        ca: Option<PathBuf>,
    },
}

/// `[[service.real]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Real {
    /// RIP and port. By tunnel and direct routing the port is always the service's; 0 where it is the one that the client
    /// chose, in a service of several ports.
    pub address: SocketAddr,
    /// Share of new connections, 0 to 65,535; 0 takes none and keeps what it has. Default 1.
    pub weight: u16,
    /// How packets reach it. Default the service's; the host is always local.
    pub forwarding: Forwarding,
    /// How many connections it may have. Default any number.
    pub thresholds: Thresholds,
    /// For how long its weight grows after it returns, in seconds; 0 for not at all. Default the service's, whose default
    /// is 0.
    pub slow_start: u32,
    /// How it is seen whether it works. Default the service's.
    pub check: Option<Arc<Check>>,
}

impl Real {
    /// The address and port that its answers are looked up by: its own, and of the host, which has several addresses,
    /// 127.0.0.1 or ::1.
    pub fn answers_from(&self) -> SocketAddr {
        match self.forwarding {
            Forwarding::Local => SocketAddr::new(localhost(Family::of(self.address.ip())), self.address.port()),
            _ => self.address,
        }
    }
}
