//! Virtual services and real servers as workers see them: plain, immutable, found by id.
//!
//! Control builds these; a worker only reads them, through the snapshot. An id stays meaningful after its owner
//! was removed: a slot whose owner is gone reads `None`, and the connections that still name it are dropped and
//! counted until it comes back or they expire.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::address::{Address, Family, TransportAddress};
use super::conn::Socket;
use super::route::NextHop;
use super::sched::{Candidate, Plan, Scheduler};
use super::selector::Selector;

/// A transport protocol that can be balanced, by its IANA number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
    /// RFC 9260.
    Sctp = 132,
    /// RFC 792: echo requests and their replies. Its endpoints have port 0.
    Icmp = 1,
}

impl Protocol {
    /// A list of it alone.
    pub const fn alone(self) -> &'static [Self] {
        match self {
            Self::Tcp => &[Self::Tcp],
            Self::Udp => &[Self::Udp],
            Self::Sctp => &[Self::Sctp],
            Self::Icmp => &[Self::Icmp],
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
        })
    }
}

/// Names one (address, port, protocol) that connections are keyed by: a virtual service, or the socket of a real
/// server that several NAT services share. Never 0, so that no connection key is 0; 65,535 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub NonZeroU16);

impl EndpointId {
    /// The id as an index.
    pub fn index(self) -> usize {
        usize::from(self.0.get())
    }
}

/// Names one (service, real server address, port). 20 bits; 0 is "none" and never given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RealId(pub u32);

impl RealId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One port of the director, by its place in the configuration. Behind them come the ports' twins, in the same order: queues
/// of a worker too, that only [`PortSettings::twin`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(pub u8);

impl PortId {
    /// The id as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a packet reaches its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// Both directions are rewritten; the director is the servers' gateway. ipvsadm's Masq.
    Nat,
    /// The packet travels inside another IP packet (RFC 2003); the server answers the client itself. ipvsadm's Tunnel.
    Tunnel,
    /// Only the link-layer address changes; same segment; the server answers the client itself. ipvsadm's Route.
    Direct,
    /// The server is the host: its packets go to a port's twin, rewritten as by NAT, and so are its answers
    /// (`host.rs`). ipvsadm's Local.
    Local,
    /// As by NAT, and the packet's source becomes an address of the director's own, so that the server's answer comes back here
    /// whatever its gateway (`full_nat.rs`). Our ipvsadm's FullNat.
    FullNat,
}

impl Forwarding {
    /// Tells whether answers come back here, to get the VIP for their source.
    #[inline]
    pub const fn answers_here(self) -> bool {
        matches!(self, Self::Nat | Self::Local | Self::FullNat)
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Tunnel => "tunnel",
            Self::Direct => "direct",
            Self::Local => "local",
            Self::FullNat => "fullnat",
        })
    }
}

/// A virtual service: what clients talk to.
#[derive(Clone, Debug)]
pub struct Service {
    /// The endpoint its connections are keyed by.
    pub id: EndpointId,
    /// Which packets it is for.
    pub selector: Selector,
    /// VIP and port; 0.0.0.0:0 for a service that has not one of each. Then connections know what their clients talk to.
    pub address: TransportAddress,
    /// Chooses the real server of a new connection.
    pub scheduler: Scheduler,
    /// What it chooses by.
    pub plan: Plan,
    /// Changes with the real servers, their weights and their thresholds; never 0.
    pub version: u32,
    /// Whether and how a client's connections keep to one real server.
    pub persistence: Option<Persistence>,
    /// How many new connections a second all workers together admit; 0 for any number.
    pub max_new_per_second: u32,
    /// UDP's one-packet scheduling: each packet is scheduled for itself, and no connection is kept.
    pub one_packet: bool,
    /// What clients are answered while no real server takes new connections.
    pub no_server: NoServer,
    /// Whether and how the maximum segment size of its TCP connections is lowered.
    pub mss_clamp: MssClamp,
    /// Takes new connections while no real server does; not one of `reals`.
    pub sorry: Option<RealId>,
    /// What the weights in `reals` are multiplied by while one of them starts slowly; else 1.
    pub weight_factor: u16,
    /// The service's real servers, in canonical order (address, port), weight 0 included, with their weights as of now.
    pub reals: Box<[Candidate]>,
}

/// What a client is answered while no real server takes new connections (`no_server.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoServer {
    /// ICMP port unreachable, as IPVS does.
    #[default]
    Unreachable,
    /// A reset, of TCP; ICMP port unreachable of all else.
    Reset,
    /// Nothing.
    Drop,
}

/// How the maximum segment size that a SYN tells is lowered (`forward/mss.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MssClamp {
    /// To what fits into the tunnel, by tunnel; not at all by other methods.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// To so many octets, by every method.
    At(u16),
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Drop => "drop",
        })
    }
}

impl fmt::Display for MssClamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::At(size) => size.fmt(f),
        }
    }
}

/// A client's connections go to one real server: ipvsadm's `--persistent` and `--netmask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// For so long after the last new one, in seconds.
    pub timeout: u32,
    /// Clients whose addresses have so many bits in common count as one.
    pub prefix: u8,
}

/// How many connections a real server may have: ipvsadm's `--u-threshold` and `--l-threshold`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// With this many it takes no new ones; 0 for no limit.
    pub upper: u32,
    /// With fewer than this it takes new ones again; 0 for three quarters of `upper`.
    pub lower: u32,
}

/// A real server of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Its id.
    pub id: RealId,
    /// The service it belongs to.
    pub service: EndpointId,
    /// Its place among the service's real servers; `None` for the sorry server, and for one that is only kept for
    /// connections that began by another forwarding method.
    pub place: Option<u32>,
    /// RIP and port. By tunnel and direct routing the port is the service's and is not used. By tunnel it may be of the
    /// other family than the service.
    pub address: TransportAddress,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Its share of new connections, as it is configured; 0 takes none and keeps what it has (quiesced).
    pub weight: u16,
    /// How many connections it may have.
    pub thresholds: Thresholds,
    /// Of one whose answers come here: its socket, where several services share it; `None` where the socket is this service's alone.
    pub shared: Option<Socket>,
    /// The next station on the way to it; `None` if no route leads there, and for the host.
    pub hop: Option<NextHop>,
}

impl RealServer {
    /// The address that its answers are looked up by: its own; of the host, which has several, 127.0.0.1 or ::1.
    pub fn answers_from(&self) -> Address {
        let address = self.address.address;
        if self.forwarding == Forwarding::Local { Address::localhost(address.family()) } else { address }
    }
}

/// What an (address, port, protocol) of a packet is to the director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A virtual service: packets *to* it are a client's.
    Service(EndpointId),
    /// A NAT real server of one service alone: packets *from* it are replies of that service.
    Private {
        /// The service.
        service: EndpointId,
        /// The real server.
        real: RealId,
    },
    /// Packets *from* it are replies that a link leads to their service.
    Shared(Socket),
}

/// An address the director answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// One of its own, on this port.
    Own(PortId),
    /// A service's VIP.
    Virtual,
}

/// A port's settings that packets need.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// The name in the configuration.
    pub name: String,
    /// The port's Ethernet address.
    pub mac: [u8; 6],
    /// The largest IP packet sent from it, in octets.
    pub mtu: u16,
    /// Its own addresses by family, the first if it has several: what ICMP messages and outer headers carry.
    pub sources: [Option<Address>; 2],
    /// Its own addresses with their on-link prefixes.
    pub addresses: Vec<IpNet>,
    /// The queues of the kernel's interface for this port, if it has one: the host's end ([`super::punt`]).
    pub twin: Option<PortId>,
}

impl PortSettings {
    /// Returns its own address of a family, the first if it has several.
    #[inline(always)]
    pub fn source(&self, family: Family) -> Option<Address> {
        self.sources[family as usize]
    }

    /// Returns the own address to ask for `target` with: the one in whose prefix it lies.
    pub fn source_towards(&self, target: Address) -> Option<Address> {
        let ip: IpAddr = target.to_ip();
        let around = self.addresses.iter().find(|net| net.contains(&ip)).map(|net| net.addr().into());
        around.or(self.source(target.family()))
    }

    /// Tells whether an address is for all on one of the port's own IPv4 networks (RFC 922; RFC 3021 for /31).
    pub fn has_broadcast(&self, address: Address) -> bool {
        let is = |net: &IpNet| matches!(net, IpNet::V4(net) if net.prefix_len() < 31 && Address::from(net.broadcast()) == address);
        self.addresses.iter().any(is)
    }
}
