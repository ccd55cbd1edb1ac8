//! The tables of the file: what each of their keys may hold, and what it is. `etc/millrace.toml` says more of each.

use schemars::SchemaGenerator;

use super::super::announce::LOWEST_PROTOCOL;
use super::super::mirror::PROTOCOLS as ROUTING_PROTOCOLS;
use super::super::model::Event;
use super::super::read::{
    FORWARDINGS, MAX_CONNECTIONS, MAX_CORE, MAX_MTU, MAX_WIDE_CONNECTIONS, MIN_CONNECTIONS, MIN_MTU, MSS, MSS_CLAMPS,
    NO_SERVERS, POLLS, QUEUES, TRANSITS,
};
use super::super::scheduler::FLAGS;
use super::super::selector::{FAMILIES, PROTOCOLS, TRANSPORTS};
use super::super::value::LONGEST_TIMEOUT;
use super::super::{health, keys, model};
use super::{Keys, Kind, Shape, Written};
use crate::dataplane::new_flows;
use crate::dataplane::sched::MH_SIZES;

/// The whole file.
pub enum File {}
/// `[director]`.
pub enum Director {}
/// `[api]`.
pub enum Api {}
/// `[announce]`.
pub enum Announce {}
/// `[health]`.
pub enum Health {}
/// `[mirror]`.
pub enum Mirror {}
/// `[timeouts]`.
pub enum Timeouts {}
/// `[ipvs]`.
pub enum Ipvs {}
/// `[[port]]`.
pub enum Port {}
/// `[[route]]`.
pub enum Route {}
/// `[[neighbor]]`.
pub enum Neighbor {}
/// `[[local_pool]]`.
pub enum LocalPool {}
/// `[[mark]]`.
pub enum Mark {}
/// `match`.
pub enum Match {}
/// `[[notify]]`.
pub enum Notify {}
/// `[[service]]`.
pub enum Service {}
/// What tells a service from every other.
pub enum Key {}
/// `service.persistence`.
pub enum Persistence {}
/// `service.sorry_server`.
pub enum Sorry {}
/// `[[service.real]]`.
pub enum Real {}
/// `check`.
pub enum Check {}
/// `check.observe`.
pub enum Observe {}

type Values = &'static [(&'static str, Kind, &'static str)];

const FORWARDING: Kind = Kind::Word(|| words(FORWARDINGS));
const MARK: Kind = Kind::Integer(1, u32::MAX as u64);
const MATCH: Kind = Kind::Table(SchemaGenerator::subschema_for::<Written<Match>>);
const COUNT: Kind = Kind::Integer(0, u32::MAX as u64);
const CHECK: Kind = Kind::Table(SchemaGenerator::subschema_for::<Written<Check>>);
const IN_A_ROW: Kind = Kind::Integer(1, health::MOST_IN_A_ROW);
const PERCENT: Kind = Kind::Integer(1, 100);
const SWITCH: Kind = Kind::Integer(0, 1);
const SERVICE_HAS: &[&str] = &["address", "match", "mark"];

fn words<T>(known: &[(&'static str, T)]) -> Vec<&'static str> {
    known.iter().map(|(word, _)| *word).collect()
}

impl Shape for File {
    const NAME: &'static str = "File";
    const KEYS: &'static Keys = &keys::ROOT;
    const VALUES: Values = &[
        ("director", Kind::Table(SchemaGenerator::subschema_for::<Written<Director>>), "The program itself."),
        ("api", Kind::Table(SchemaGenerator::subschema_for::<Written<Api>>), "Where the program is asked and told."),
        (
            "announce",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Announce>>),
            "VIPs are announced to the host. Default they are not.",
        ),
        (
            "health",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Health>>),
            "What all health checks have in common.",
        ),
        (
            "mirror",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Mirror>>),
            "The host's routes by twins are the director's too. Default they are not.",
        ),
        (
            "timeouts",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Timeouts>>),
            "How long idle connections are kept.",
        ),
        (
            "ipvs",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Ipvs>>),
            "By the names and values of the kernel's sysctls, net.ipv4.vs.*.",
        ),
        ("port", Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Port>>)), "Ports."),
        (
            "route",
            Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Route>>)),
            "Static routes; a port's own network comes before a route of the same length.",
        ),
        (
            "neighbor",
            Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Neighbor>>)),
            "Static neighbours; all others are found by ARP.",
        ),
        (
            "local_pool",
            Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<LocalPool>>)),
            "Full NAT's source addresses.",
        ),
        (
            "mark",
            Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Mark>>)),
            "Rules that give marks; the first that fits a packet does.",
        ),
        (
            "notify",
            Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Notify>>)),
            "Who is told of changes.",
        ),
        ("service", Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Service>>)), "Virtual services."),
    ];
}

impl Shape for Director {
    const NAME: &'static str = "Director";
    const KEYS: &'static Keys = &keys::DIRECTOR;
    const VALUES: Values = &[
        ("workers", Kind::List(&Kind::Integer(0, MAX_CORE)), "CPU cores that poll, one worker each. Default [1]."),
        (
            "max_connections",
            Kind::Integer(MIN_CONNECTIONS, MAX_CONNECTIONS),
            "Connections that the table is sized for. Default 1000000.",
        ),
        (
            "max_wide_connections",
            Kind::Integer(MIN_CONNECTIONS, MAX_WIDE_CONNECTIONS),
            "Connections to services of several ports or addresses that their table is sized for. Default a tenth of \
             max_connections.",
        ),
        (
            "max_templates",
            Kind::Integer(MIN_CONNECTIONS, MAX_WIDE_CONNECTIONS),
            "Persistence templates that their table is sized for. Default a tenth of max_connections.",
        ),
        ("poll", Kind::Word(|| words(POLLS)), "What a worker does when there is nothing to do. Default busy."),
        ("dpdk_args", Kind::List(&Kind::Text), "Arguments passed to the EAL as they are. Default none."),
        (
            "transit",
            Kind::Word(|| words(TRANSITS)),
            "What becomes of packets for others, such as NAT real servers send on their own: the host gets them, they are routed as they \
             are, or dropped. Default kernel if a port has a twin, else drop.",
        ),
        ("watch", Kind::Boolean, "Whether the configuration file is applied again whenever it changes. Default false."),
    ];
}

impl Shape for Api {
    const NAME: &'static str = "Api";
    const KEYS: &'static Keys = &keys::API;
    const VALUES: Values = &[
        ("socket", Kind::Text, "The Unix socket that answers HTTP. Default /run/millrace/api.sock."),
        ("listen", Kind::Text, "The address and port where it is offered on TCP. Default nowhere."),
        ("token_file", Kind::Text, "The file with the token that requests must bear. Default none."),
        ("certificate", Kind::Text, "For TLS: the file with the certificate, in PEM. Default none."),
        ("key", Kind::Text, "For TLS: the file with its key, in PEM."),
        ("client_ca", Kind::Text, "The file with the authority that clients' certificates must be of. Default none."),
        (
            "public_reads",
            Kind::Boolean,
            "Whether others than this host may read without a token or a certificate. Default false.",
        ),
    ];
}

impl Shape for Announce {
    const NAME: &'static str = "Announce";
    const KEYS: &'static Keys = &keys::ANNOUNCE;
    const VALUES: Values = &[
        (
            "protocol",
            Kind::Integer(LOWEST_PROTOCOL, u8::MAX as u64),
            "The routing protocol by which the routes are known. Default 109.",
        ),
        (
            "table",
            Kind::Integer(1, u32::MAX as u64),
            "The kernel's routing table that they are in, not 255. Default 254, the main one.",
        ),
    ];
}

impl Shape for Health {
    const NAME: &'static str = "Health";
    const KEYS: &'static Keys = &keys::HEALTH;
    const VALUES: Values = &[(
        "stand_ins",
        Kind::Text,
        "The prefix that stand-in addresses are taken from, for checks through VIPs. Default 198.18.0.0/15.",
    )];
}

impl Shape for Mirror {
    const NAME: &'static str = "Mirror";
    const KEYS: &'static Keys = &keys::MIRROR;
    const VALUES: Values = &[
        (
            "table",
            Kind::Integer(1, u32::MAX as u64),
            "The kernel's routing table that they are in. Default 254, the main one.",
        ),
        (
            "protocols",
            Kind::List(&Kind::Either(&Kind::Word(|| words(ROUTING_PROTOCOLS)), &Kind::Integer(1, u8::MAX as u64))),
            "Only those of these routing protocols, by iproute2's names or by number. Default all.",
        ),
        ("neighbors", Kind::Boolean, "Whether twins' permanent neighbours are static neighbours. Default true."),
    ];
}

impl Shape for Timeouts {
    const NAME: &'static str = "Timeouts";
    const KEYS: &'static Keys = &keys::TIMEOUTS;
    const SECONDS: bool = true;
    const VALUES: Values = &[
        ("tcp", Kind::Time, "Of an open TCP connection. Default 15m."),
        ("tcp_fin", Kind::Time, "Of a TCP connection that one side closed. Default 2m."),
        ("udp", Kind::Time, "Of UDP. Default 5m."),
    ];
}

impl Shape for Ipvs {
    const NAME: &'static str = "Ipvs";
    const KEYS: &'static Keys = &keys::IPVS;
    const VALUES: Values = &[
        ("sloppy_tcp", SWITCH, "Whether a TCP packet in the middle of a stream opens a connection. Default 0."),
        ("sloppy_sctp", SWITCH, "Whether an SCTP packet in the middle of an association does. Default 0."),
        ("conn_reuse_mode", Kind::Integer(0, 3), "Which connections a SYN lets start over. Default 1."),
        ("expire_nodest_conn", SWITCH, "Whether connections of removed real servers end at once. Default 0."),
        (
            "expire_quiescent_template",
            SWITCH,
            "Whether a real server of weight 0 gets no new connections by persistence either. Default 0.",
        ),
        ("schedule_icmp", SWITCH, "Whether an ICMP error about no connection of a service's opens one. Default 0."),
    ];
}

impl Shape for Port {
    const NAME: &'static str = "Port";
    const KEYS: &'static Keys = &keys::PORT;
    const REQUIRED: &'static [&'static str] = &["name", "device"];
    const VALUES: Values = &[
        ("name", Kind::Text, "The name in listings: 1 to 32 letters, digits, '-', '_' or '.'."),
        ("device", Kind::Text, "A PCI address, or a DPDK vdev with its arguments."),
        (
            "addresses",
            Kind::List(&Kind::Text),
            "Its own addresses, each with the length of the prefix of this link's network. Default none.",
        ),
        ("mac", Kind::Text, "The Ethernet address to use. Default the device's own."),
        ("queues", Kind::Word(|| words(QUEUES)), "How many queue pairs it has. Default per-worker."),
        ("mtu", Kind::Integer(MIN_MTU, MAX_MTU), "The largest IP packet, in octets. Default 1500."),
        ("twin", Kind::Text, "The host's interface for this port; above an mtu of 1500 a pair of them. Default none."),
    ];
}

impl Shape for Route {
    const NAME: &'static str = "Route";
    const KEYS: &'static Keys = &keys::ROUTE;
    const REQUIRED: &'static [&'static str] = keys::ROUTE.known;
    const VALUES: Values = &[
        ("to", Kind::Text, "The prefix of the destinations: 0.0.0.0/0."),
        (
            "via",
            Kind::Either(&Kind::Text, &Kind::List(&Kind::Text)),
            "The gateway, on a port's own network; of several each flow has one.",
        ),
    ];
}

impl Shape for Neighbor {
    const NAME: &'static str = "Neighbor";
    const KEYS: &'static Keys = &keys::NEIGHBOR;
    const REQUIRED: &'static [&'static str] = keys::NEIGHBOR.known;
    const VALUES: Values = &[
        ("address", Kind::Text, "Its address, on a port's own network."),
        ("mac", Kind::Text, "Its Ethernet address."),
    ];
}

impl Shape for LocalPool {
    const NAME: &'static str = "LocalPool";
    const KEYS: &'static Keys = &keys::LOCAL_POOL;
    const REQUIRED: &'static [&'static str] = keys::LOCAL_POOL.known;
    const VALUES: Values = &[(
        "addresses",
        Kind::List(&Kind::Text),
        "Addresses of the director's own that real servers see full NAT's connections come from: single ones, prefixes and ranges.",
    )];
}

impl Shape for Mark {
    const NAME: &'static str = "Mark";
    const KEYS: &'static Keys = &keys::MARK;
    const REQUIRED: &'static [&'static str] = keys::MARK.known;
    const VALUES: Values =
        &[("mark", MARK, "The mark that it gives."), ("match", MATCH, "The packets that it gives it to.")];
}

impl Shape for Match {
    const NAME: &'static str = "Match";
    const KEYS: &'static Keys = &keys::MATCH;
    const VALUES: Values = &[
        ("protocol", Kind::Word(|| words(TRANSPORTS)), "Default any of these."),
        ("from", Kind::Text, "The client's address, a prefix or a range. Default any."),
        ("to", Kind::Text, "The address that the client talks to, a prefix or a range. Default any."),
        (
            "port",
            Kind::Either(&Kind::Integer(0, u16::MAX as u64), &Kind::Text),
            "The port that the client talks to, or several: 8000-8999. Default any.",
        ),
        ("ingress", Kind::Text, "The name of the director's port that it comes by. Default any."),
    ];
}

impl Shape for Notify {
    const NAME: &'static str = "Notify";
    const KEYS: &'static Keys = &keys::NOTIFY;
    const ONE_OF: &'static [&'static str] = &["command", "url"];
    const VALUES: Values = &[
        (
            "command",
            Kind::List(&Kind::Text),
            "A program by its whole path, and its arguments: it is run on every change.",
        ),
        ("url", Kind::Text, "In place of a command: where every change is posted as JSON."),
        ("token_file", Kind::Text, "The file with the token that the webhook is shown. Default none."),
        (
            "ca",
            Kind::Text,
            "The file with the authorities that the webhook's certificate must be of, in PEM. Default those of the system.",
        ),
        ("events", Kind::List(&Kind::Word(|| words(Event::ALL))), "The changes that are told. Default all."),
        (
            "services",
            Kind::List(&Kind::Text),
            "The services they are about: 203.0.113.10:80, udp/203.0.113.10:53, mark/7. Default all.",
        ),
        ("timeout", Kind::Time, "How long a command may run, and a webhook take to answer. Default 10s."),
    ];
}

impl Shape for Service {
    const NAME: &'static str = "Service";
    const KEYS: &'static Keys = &keys::SERVICE;
    const ONE_OF: &'static [&'static str] = SERVICE_HAS;
    const FIXED: &'static [&'static str] = &["address", "protocol", "match", "mark", "family", "real"];
    const APART: &'static [&'static str] = &["real"];
    const VALUES: Values = &[
        (
            "address",
            Kind::Text,
            "VIP and port, 203.0.113.10:80, or several of either: 203.0.113.0/28:8000-8999, [2001:db8::/64]:80. Port 0 is every \
             port.",
        ),
        ("match", MATCH, "In place of an address: the packets that it is for."),
        ("mark", MARK, "In place of an address: the mark of the packets that it is for."),
        ("family", Kind::Word(|| words(FAMILIES)), "Whose packets with the mark. Default ipv4."),
        ("protocol", Kind::Word(|| words(PROTOCOLS)), "The protocol, with an address. Default tcp."),
        (
            "vips",
            Kind::List(&Kind::Text),
            "Of several addresses, those that ARP and neighbour solicitations are answered for: addresses, ranges or prefixes. Default none.",
        ),
        (
            "scheduler",
            Kind::Word(|| model::Scheduler::ALL.iter().map(|scheduler| scheduler.name()).collect()),
            "Chooses the real server of a new connection. Default wlc.",
        ),
        ("scheduler_flags", Kind::List(&Kind::Word(flags)), "Flags of sh and of mh. Default none."),
        ("mh_table_size", Kind::Number(&MH_SIZES), "How many slots the table of mh has. Default 4093."),
        ("forwarding", FORWARDING, "The forwarding method of its real servers that name none. Default nat."),
        ("timeout", Kind::Time, "How long its open connections may be idle. Default that of timeouts."),
        (
            "persistence",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Persistence>>),
            "Whether and how a client keeps its real server. Default it does not.",
        ),
        (
            "max_new_per_second",
            Kind::Integer(0, new_flows::HIGHEST as u64),
            "How many new connections a second it takes; 0, the default, for any number.",
        ),
        ("ops", Kind::Boolean, "One-packet scheduling: each datagram gets a real server for itself. Default false."),
        (
            "mss_clamp",
            Kind::Either(&Kind::Word(|| words(MSS_CLAMPS)), &Kind::Integer(*MSS.start(), *MSS.end())),
            "To what the maximum segment size of its TCP connections is lowered: what fits, by tunnel; nothing; so many octets. Default auto.",
        ),
        ("slow_start", Kind::Time, "In what time a real server that returns grows to its weight. Default 0s, at once."),
        (
            "sorry_server",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Sorry>>),
            "Takes new connections while no real server does. Default none.",
        ),
        (
            "no_server",
            Kind::Word(|| words(NO_SERVERS)),
            "What clients are answered while neither takes any: ICMP port unreachable; to TCP a reset; nothing. Default unreachable.",
        ),
        ("check", CHECK, "How it is seen whether real servers work that say nothing of it. Default it is not."),
        (
            "on_failure",
            Kind::Word(|| words(health::ON_FAILURE)),
            "What becomes of a real server that has failed: it is taken out, or inhibited: weight 0. Default remove.",
        ),
        (
            "quorum",
            COUNT,
            "The weights of real servers that live, added up, that the service takes at least. Default 1.",
        ),
        ("hysteresis", COUNT, "How much more the quorum takes to be reached again, and less to be lost. Default 0."),
        ("quorum_up", Kind::List(&Kind::Text), "A program and its arguments: run when the quorum is reached again."),
        ("quorum_down", Kind::List(&Kind::Text), "A program and its arguments: run when the quorum is lost."),
        ("real", Kind::List(&Kind::Table(SchemaGenerator::subschema_for::<Written<Real>>)), "Its real servers."),
    ];
}

fn flags() -> Vec<&'static str> {
    FLAGS.iter().map(|(word, ..)| *word).collect()
}

impl Shape for Key {
    const NAME: &'static str = "ServiceKey";
    const KEYS: &'static Keys = &keys::KEY;
    const ONE_OF: &'static [&'static str] = SERVICE_HAS;
    const VALUES: Values = Service::VALUES;
}

impl Shape for Persistence {
    const NAME: &'static str = "Persistence";
    const KEYS: &'static Keys = &keys::PERSISTENCE;
    const VALUES: Values = &[
        (
            "timeout",
            Kind::Either(&Kind::Integer(1, LONGEST_TIMEOUT as u64), &Kind::Time),
            "How long a client keeps its real server after its last connection, in seconds. Default 300.",
        ),
        (
            "mask",
            Kind::Either(&Kind::Integer(0, 128), &Kind::Text),
            "Clients of one network count as one: its prefix length, or IPv4's mask in dots. Default 32, of IPv6 128.",
        ),
    ];
}

impl Shape for Sorry {
    const NAME: &'static str = "SorryServer";
    const KEYS: &'static Keys = &keys::SORRY;
    const REQUIRED: &'static [&'static str] = &["address"];
    const VALUES: Values = Real::VALUES;
}

impl Shape for Real {
    const NAME: &'static str = "RealServer";
    const KEYS: &'static Keys = &keys::REAL;
    const REQUIRED: &'static [&'static str] = &["address"];
    const FIXED: &'static [&'static str] = &["address"];
    const VALUES: Values = &[
        ("address", Kind::Text, "RIP and port; without a port, the service's."),
        ("weight", Kind::Integer(0, u16::MAX as u64), "Share of new connections; 0 takes none. Default 1."),
        ("forwarding", FORWARDING, "How packets reach it. Default the service's."),
        ("upper", COUNT, "With this many connections it takes no new ones. Default 0, no limit."),
        ("lower", COUNT, "With fewer than this it does again. Default 0, three quarters of upper."),
        ("slow_start", Kind::Time, "In what time it grows to its weight when it returns. Default the service's."),
        (
            "check",
            CHECK,
            "How it is seen whether it works: keys without a type replace those of the service's. Default the service's.",
        ),
    ];
}

impl Shape for Check {
    const NAME: &'static str = "Check";
    const KEYS: &'static Keys = &keys::CHECK;
    const VALUES: Values = &[
        ("type", Kind::Word(|| words(health::TYPES)), "What is asked; none for no check."),
        ("interval", Kind::Time, "From one check to the next, 50ms to a day. Default 2s."),
        ("timeout", Kind::Time, "How long a check may take, no longer than the interval. Default 1s."),
        ("rise", IN_A_ROW, "So many right answers, one after the other, bring it back. Default 2."),
        ("fall", IN_A_ROW, "So many failures, one after the other, take it out. Default 3."),
        ("jitter", Kind::Integer(0, health::MOST_JITTER), "By how many percent an interval may differ. Default 5."),
        ("delay", Kind::Time, "How long the first check waits. Default 0s."),
        (
            "damping",
            Kind::Time,
            "The longest time that one which fails again and again is kept out. Default 5m; 0s for none.",
        ),
        ("start", Kind::Word(|| words(health::STARTS)), "What it is until its first check. Default up."),
        (
            "observe",
            Kind::Table(SchemaGenerator::subschema_for::<Written<Observe>>),
            "Clients' own TCP connections take it out too, by NAT. Default they do not.",
        ),
        ("address", Kind::Text, "The address to ask. Default the real server's."),
        ("port", Kind::Integer(1, u16::MAX as u64), "The port to ask. Default the real server's."),
        (
            "through",
            Kind::Word(|| words(health::PATHS)),
            "Whether its own address is asked, or the VIP by its forwarding method. Default real.",
        ),
        ("method", Kind::Word(|| words(health::METHODS)), "Of an HTTP request. Default GET."),
        ("path", Kind::Text, "Of an HTTP request. Default /."),
        ("host", Kind::Text, "The Host header. Default the address that is asked."),
        (
            "status",
            Kind::List(&Kind::Either(&Kind::Integer(100, 599), &Kind::Text)),
            "The status codes that are right: 200, or \"200-299\". Default 200-399.",
        ),
        ("body", Kind::Text, "A regular expression that the body must match. Default any body."),
        ("md5", Kind::Text, "The MD5 of the body, in hexadecimal digits."),
        ("sha256", Kind::Text, "The SHA-256 of the body, in hexadecimal digits."),
        ("tls", Kind::Boolean, "Whether gRPC goes over TLS. Default false."),
        ("sni", Kind::Text, "The name asked for by TLS, which its certificate must be for. Default its address."),
        ("insecure", Kind::Boolean, "Whether any certificate will do. Default false."),
        (
            "ca",
            Kind::Text,
            "The file with the authorities that its certificate must be of, in PEM. Default the system's.",
        ),
        ("send", Kind::Text, "What a UDP datagram holds. Default nothing."),
        ("send_hex", Kind::Text, "The same in hexadecimal digits."),
        ("expect", Kind::Text, "What the answer begins with. Default: no answer is right too."),
        ("expect_hex", Kind::Text, "The same in hexadecimal digits."),
        ("name", Kind::Text, "The domain name that a name server is asked for. Default the root."),
        ("record", Kind::Text, "The type of record it is asked for. Default SOA."),
        ("helo", Kind::Text, "The name that a mail server is greeted with. Default localhost."),
        ("service", Kind::Text, "The gRPC service that is asked for. Default the whole server."),
        (
            "command",
            Kind::List(&Kind::Text),
            "A program, by its whole path, and its arguments; exit status 0 is right.",
        ),
    ];
}

impl Shape for Observe {
    const NAME: &'static str = "Observe";
    const KEYS: &'static Keys = &keys::OBSERVE;
    const VALUES: Values = &[
        ("window", Kind::Time, "How far back is looked, 1s to 1m. Default 5s."),
        ("least", Kind::Integer(1, health::MOST_OPENED), "So many connections must have been opened. Default 10."),
        ("failed", PERCENT, "The share of them, in percent, that was refused or not answered. Default 80."),
        ("reset", PERCENT, "The share of open ones, in percent, that it reset. Default: resets are not looked at."),
    ];
}
