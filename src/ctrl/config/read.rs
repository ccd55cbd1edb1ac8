//! From the parsed file to the model, one table at a time. What concerns several tables is `check`'s.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::announce;
use super::api;
use super::device::Device;
use super::document::Table;
use super::health;
use super::keys::{
    ANNOUNCE, API, DIRECTOR, HEALTH, IPVS, LOCAL_POOL, MARK, MIRROR, NEIGHBOR, NOTIFY, PERSISTENCE, PORT, REAL, ROOT,
    ROUTE, SERVICE, SORRY, TIMEOUTS,
};
use super::local_pool;
use super::mirror;
use super::model::*;
use super::notify;
use super::scheduler;
use super::section::{Item, Section};
use super::selector;
use super::source::{ConfigError, Source};
use super::value;
use crate::dataplane::address::Family;
use crate::dataplane::new_flows;

/// Default of `director.max_connections`.
pub const DEFAULT_MAX_CONNECTIONS: usize = 1_000_000;
/// Default of `api.socket`, and of the command line's `--socket`.
pub const DEFAULT_SOCKET: &str = "/run/millrace/api.sock";
/// Default of `service.persistence.timeout`, in seconds: ipvsadm's.
pub const DEFAULT_PERSISTENCE: u32 = 300;
/// Default of a port's `mtu`, in octets: Ethernet's.
pub const DEFAULT_MTU: u16 = 1500;

/// A line or two of any table.
pub(super) const MIN_CONNECTIONS: u64 = 64;
/// The table addresses its lines by 32 bits and has two connections to a line; 32 octets each make 128 GB here.
pub(super) const MAX_CONNECTIONS: u64 = 4_000_000_000;
/// The same lines hold two of these at 0.4: 128 GB.
pub(super) const MAX_WIDE_CONNECTIONS: u64 = 1_600_000_000;
/// By default there is room for one wide connection, and for one template, to so many other connections.
pub(super) const WIDE_SHARE: usize = 10;
/// DPDK's largest CPU number, RTE_MAX_LCORE, is below this everywhere.
pub(super) const MAX_CORE: u64 = 1023;
/// RFC 791: every link carries 68 octets.
pub(super) const MIN_MTU: u64 = 68;
/// What jumbo-frame switches carry, without the Ethernet header.
pub(super) const MAX_MTU: u64 = 9216;

pub(super) const POLLS: &[(&str, Poll)] = &[("busy", Poll::Busy), ("adaptive", Poll::Adaptive)];
pub(super) const TRANSITS: &[(&str, Transit)] =
    &[("kernel", Transit::Kernel), ("route", Transit::Route), ("drop", Transit::Drop)];
pub(super) const QUEUES: &[(&str, Queues)] = &[("per-worker", Queues::PerWorker)];
pub(super) const MSS_CLAMPS: &[(&str, MssClamp)] = &[("auto", MssClamp::Auto), ("off", MssClamp::Off)];
/// Maximum segment sizes that may be set, in octets: Linux sends no smaller ones than the first (TCP_MIN_MSS).
pub(super) const MSS: std::ops::RangeInclusive<u64> = 88..=65_495;
pub(super) const NO_SERVERS: &[(&str, NoServer)] =
    &[("unreachable", NoServer::Unreachable), ("reset", NoServer::Reset), ("drop", NoServer::Drop)];
pub(super) const FORWARDINGS: &[(&str, Forwarding)] = &[
    ("nat", Forwarding::Nat),
    ("tunnel", Forwarding::Tunnel),
    ("direct", Forwarding::Direct),
    ("local", Forwarding::Local),
    ("fullnat", Forwarding::FullNat),
];

/// Reads the whole file.
pub(super) fn file(source: &Source, root: &Table) -> Result<Config, ConfigError> {
    let root = Section::open(source, String::new(), root, &ROOT)?;
    let ports = each(root.tables("port", &PORT)?, port)?;
    let director = director(root.table("director", &DIRECTOR)?, &ports)?;
    let api = api::api(root.table("api", &API)?)?;
    let announce = announce::announce(root.table("announce", &ANNOUNCE)?)?;
    let checks = health::checks(root.table("health", &HEALTH)?)?;
    let mirror = mirror::mirror(root.table("mirror", &MIRROR)?)?;
    let timeouts = timeouts(root.table("timeouts", &TIMEOUTS)?)?;
    let rules = rules(root.table("ipvs", &IPVS)?)?;
    Ok(Config {
        director,
        api,
        announce,
        checks,
        mirror,
        timeouts,
        rules,
        routes: each(root.tables("route", &ROUTE)?, route)?,
        neighbors: each(root.tables("neighbor", &NEIGHBOR)?, neighbor)?,
        local_pools: each(root.tables("local_pool", &LOCAL_POOL)?, local_pool::pool)?,
        marks: each(root.tables("mark", &MARK)?, |section| selector::rule(section, &ports))?,
        notify: each(root.tables("notify", &NOTIFY)?, |section| notify::notify(section, &ports))?,
        services: each(root.tables("service", &SERVICE)?, |section| service(section, &ports).map(Arc::new))?,
        ports,
    })
}

fn each<'a, T>(
    sections: Vec<Section<'a>>,
    read: impl Fn(&Section<'a>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    sections.iter().map(read).collect()
}

fn director(section: Option<Section<'_>>, ports: &[Port]) -> Result<Director, ConfigError> {
    let mut director = Director {
        workers: vec![1],
        max_connections: DEFAULT_MAX_CONNECTIONS,
        max_wide_connections: DEFAULT_MAX_CONNECTIONS / WIDE_SHARE,
        max_templates: DEFAULT_MAX_CONNECTIONS / WIDE_SHARE,
        poll: Poll::Busy,
        dpdk_args: Vec::new(),
        transit: Config::default_transit(ports),
        watch: false,
    };
    let Some(section) = section else { return Ok(director) };
    if let Some(item) = section.get("workers") {
        let cores: Result<_, _> = item.list()?.iter().map(|core| Ok(core.integer(0..=MAX_CORE)? as usize)).collect();
        director.workers = cores?;
    }
    if let Some(item) = section.get("max_connections") {
        director.max_connections = item.integer(MIN_CONNECTIONS..=MAX_CONNECTIONS)? as usize;
        director.max_wide_connections = director.max_connections / WIDE_SHARE;
        director.max_templates = director.max_connections / WIDE_SHARE;
    }
    if let Some(item) = section.get("max_templates") {
        director.max_templates = item.integer(MIN_CONNECTIONS..=MAX_WIDE_CONNECTIONS)? as usize;
    }
    if let Some(item) = section.get("max_wide_connections") {
        director.max_wide_connections = item.integer(MIN_CONNECTIONS..=MAX_WIDE_CONNECTIONS)? as usize;
    }
    if let Some(item) = section.get("poll") {
        director.poll = item.word(POLLS, &[])?;
    }
    if let Some(item) = section.get("dpdk_args") {
        let arguments: Result<_, _> = item.list()?.iter().map(|argument| argument.parse(value::eal_argument)).collect();
        director.dpdk_args = arguments?;
    }
    if let Some(item) = section.get("transit") {
        director.transit = item.word(TRANSITS, &[])?;
        if director.transit == Transit::Kernel && !ports.iter().any(|port| port.twin.is_some()) {
            return Err(item.error("no port has a twin, by which the kernel could get it"));
        }
    }
    if let Some(item) = section.get("watch") {
        director.watch = item.boolean()?;
    }
    Ok(director)
}

pub(super) fn timeouts(section: Option<Section<'_>>) -> Result<Timeouts, ConfigError> {
    let mut timeouts = Timeouts::default();
    let Some(section) = section else { return Ok(timeouts) };
    for (key, timeout) in [("tcp", &mut timeouts.tcp), ("tcp_fin", &mut timeouts.tcp_fin), ("udp", &mut timeouts.udp)] {
        if let Some(item) = section.get(key) {
            *timeout = item.parse(value::timeout)?;
        }
    }
    Ok(timeouts)
}

/// The values are those of the sysctls: 0 and 1, or a set of bits.
fn rules(section: Option<Section<'_>>) -> Result<Rules, ConfigError> {
    let defaults = Rules::default();
    let Some(section) = section else { return Ok(defaults) };
    let read = |key: &str, most: u64| section.get(key).map(|item| item.integer(0..=most)).transpose();
    let switch = |key: &str, default: bool| Ok(read(key, 1)?.map_or(default, |value| value == 1));
    Ok(Rules {
        sloppy_tcp: switch("sloppy_tcp", defaults.sloppy_tcp)?,
        sloppy_sctp: switch("sloppy_sctp", defaults.sloppy_sctp)?,
        conn_reuse_mode: read("conn_reuse_mode", 3)?.map_or(defaults.conn_reuse_mode, |mode| mode as u8),
        expire_nodest_conn: switch("expire_nodest_conn", defaults.expire_nodest_conn)?,
        expire_quiescent_template: switch("expire_quiescent_template", defaults.expire_quiescent_template)?,
        schedule_icmp: switch("schedule_icmp", defaults.schedule_icmp)?,
    })
}

fn port(section: &Section<'_>) -> Result<Port, ConfigError> {
    let name = section.required("name")?.parse(value::name)?;
    let device = section.required("device")?.parse(|text| Device::parse(text).map(|_| text.to_owned()))?;
    let addresses = match section.get("addresses") {
        Some(item) => item.list()?.iter().map(|address| address.parse(value::interface)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let mac = section.get("mac").map(|item| item.parse(value::mac)).transpose()?;
    let mtu = section.get("mtu").map(|item| item.integer(MIN_MTU..=MAX_MTU)).transpose()?;
    let queues = section.get("queues").map(|item| item.word(QUEUES, &[])).transpose()?;
    Ok(Port {
        name,
        device,
        addresses,
        mac,
        mtu: mtu.map_or(DEFAULT_MTU, |mtu| mtu as u16),
        queues: queues.unwrap_or(Queues::PerWorker),
        twin: section.get("twin").map(|item| item.parse(value::interface_name)).transpose()?,
    })
}

fn route(section: &Section<'_>) -> Result<Route, ConfigError> {
    let to = section.required("to")?.parse(value::prefix)?;
    let via = section.required("via")?;
    let gateway = |text: &str| {
        let gateway = value::host(text)?;
        let (its, family) = (Family::of(gateway), Family::of(to.addr()));
        if its == family { Ok(gateway) } else { Err(format!("{gateway} is {its}, the destination {to} is {family}")) }
    };
    if via.is_string() {
        return Ok(Route { to, via: vec![via.parse(gateway)?] });
    }
    let gateways: Vec<_> = via.list()?.iter().map(|item| item.parse(gateway)).collect::<Result<_, _>>()?;
    if gateways.is_empty() {
        return Err(via.error("a route needs a gateway"));
    }
    Ok(Route { to, via: gateways })
}

fn neighbor(section: &Section<'_>) -> Result<Neighbor, ConfigError> {
    let address = section.required("address")?.parse(value::host)?;
    let mac = section.required("mac")?.parse(value::mac)?;
    Ok(Neighbor { address, mac })
}

/// Reads one service with its real servers.
pub(super) fn service(section: &Section<'_>, ports: &[Port]) -> Result<Service, ConfigError> {
    let selector = selector::service(section, ports)?;
    let scheduler = scheduler::scheduler(section)?;
    let forwarding = forwarding(section)?.unwrap_or(Forwarding::Nat);
    let timeout = section.get("timeout").map(|item| item.parse(value::timeout)).transpose()?;
    let limit =
        section.get("max_new_per_second").map(|item| item.integer(0..=u64::from(new_flows::HIGHEST))).transpose()?;
    let slow_start = slow_start(section)?.unwrap_or(0);
    let no_server = section.get("no_server").map(|item| item.word(NO_SERVERS, &[])).transpose()?;
    let sorry = section.table("sorry_server", &SORRY)?;
    let sorry = sorry.map(|section| station(&section, &selector, forwarding, ports)).transpose()?;
    let mut service = Service {
        selector,
        vips: selector::vips(section, &selector)?,
        scheduler,
        forwarding,
        timeout,
        persistence: persistence(section.table("persistence", &PERSISTENCE)?, selector.family())?,
        max_new_per_second: limit.unwrap_or(0) as u32,
        slow_start,
        one_packet: one_packet(section, &selector)?,
        mss_clamp: mss_clamp(section)?.unwrap_or_default(),
        sorry_server: sorry,
        no_server: no_server.unwrap_or_default(),
        health: health::health(section)?,
        reals: Vec::new(),
    };
    service.reals = each(section.tables("real", &REAL)?, |section| real(section, &service, ports))?;
    Ok(service)
}

fn mss_clamp(section: &Section<'_>) -> Result<Option<MssClamp>, ConfigError> {
    let read = |item: Item<'_>| match item.is_string() {
        true => item.word(MSS_CLAMPS, &[]),
        false => item.integer(MSS).map(|size| MssClamp::At(size as u16)),
    };
    section.get("mss_clamp").map(read).transpose()
}

/// Reads one of a service's real servers: what it does not say, the service does.
pub(super) fn real(section: &Section<'_>, service: &Service, ports: &[Port]) -> Result<Real, ConfigError> {
    let weight = section.get("weight").map(|item| item.integer(0..=u64::from(u16::MAX))).transpose()?;
    let mut real = Real {
        weight: weight.map_or(1, |weight| weight as u16),
        thresholds: thresholds(section)?,
        slow_start: slow_start(section)?.unwrap_or(service.slow_start),
        ..station(section, &service.selector, service.forwarding, ports)?
    };
    real.check = health::of_real(section, service, &real)?;
    Ok(real)
}

/// What packets can be sent to: a real server with all defaults.
fn station(
    section: &Section<'_>,
    service: &Selector,
    default: Forwarding,
    ports: &[Port],
) -> Result<Real, ConfigError> {
    let written = forwarding(section)?.unwrap_or(default);
    let (address, forwarding) = section.required("address")?.parse(|text| {
        let (address, port) = value::real_server(text)?;
        // Whatever is written, as IPVS has it.
        let forwarding = if Config::is_host(ports, address) { Forwarding::Local } else { written };
        if forwarding != Forwarding::Tunnel {
            same_family(address, service)?;
        }
        Ok((SocketAddr::new(address, real_port(port, service, forwarding)?), forwarding))
    })?;
    Ok(Real { address, weight: 1, forwarding, thresholds: Thresholds::default(), slow_start: 0, check: None })
}

fn slow_start(section: &Section<'_>) -> Result<Option<u32>, ConfigError> {
    section.get("slow_start").map(|item| item.parse(value::seconds)).transpose()
}

fn one_packet(section: &Section<'_>, service: &Selector) -> Result<bool, ConfigError> {
    let Some(item) = section.get("ops") else { return Ok(false) };
    match (item.boolean()?, service.protocols()) {
        (true, [Protocol::Udp]) => Ok(true),
        // Of what bears the mark, datagrams are; as with ipvsadm.
        (true, _) if service.mark().is_some() => Ok(true),
        (true, _) => {
            let protocol = service.protocol();
            Err(item.error(format!("one-packet scheduling is only for UDP; the service's protocol is {protocol}")))
        }
        (false, _) => Ok(false),
    }
}

/// Seconds, as with ipvsadm, or a time with a unit; and the length of the clients' network, or IPv4's mask in dots.
fn persistence(section: Option<Section<'_>>, family: Family) -> Result<Option<Persistence>, ConfigError> {
    let Some(section) = section else { return Ok(None) };
    let timeout = match section.get("timeout") {
        Some(item) if item.is_string() => item.parse(value::timeout)?,
        Some(item) => item.integer(1..=value::LONGEST_TIMEOUT.into())? as u32,
        None => DEFAULT_PERSISTENCE,
    };
    let prefix = match (section.get("mask"), family) {
        (Some(item), Family::V4) if item.is_string() => item.parse(value::netmask)?,
        (Some(item), Family::V6) if item.is_string() => {
            return Err(item.error("of IPv6 a mask is a prefix length; write 64"));
        }
        (Some(item), Family::V4) => item.integer(0..=family.bits().into())? as u8,
        // As with ipvsadm.
        (Some(item), Family::V6) => item.integer(1..=family.bits().into())? as u8,
        (None, _) => family.bits(),
    };
    Ok(Some(Persistence { timeout, prefix }))
}

/// The port of a real server: by default the service's; 0 for the one that the client chose.
fn real_port(written: Option<u16>, service: &Selector, forwarding: Forwarding) -> Result<u16, String> {
    match (forwarding, written) {
        (Forwarding::Nat | Forwarding::FullNat | Forwarding::Local, Some(port))
            if port != 0 && service.socket().is_some_and(|socket| socket.port() == 0) =>
        {
            Err(format!("a service of every port keeps the port that the client chose: leave \":{port}\" out"))
        }
        (Forwarding::Nat | Forwarding::FullNat | Forwarding::Local, Some(port)) if port != 0 => Ok(port),
        // The packet arrives with the port the client chose, whatever is written: ipvsadm does the same.
        _ => Ok(service.ports().one().unwrap_or(0)),
    }
}

fn thresholds(section: &Section<'_>) -> Result<Thresholds, ConfigError> {
    let read = |key: &str| section.get(key).map(|item| item.integer(0..=u64::from(u32::MAX))).transpose();
    let (upper, lower) = (read("upper")?.unwrap_or(0), read("lower")?.unwrap_or(0));
    match section.get("lower") {
        Some(item) if lower > upper => Err(item.error(format!("{lower} is above the upper threshold, {upper}"))),
        _ => Ok(Thresholds { upper: upper as u32, lower: lower as u32 }),
    }
}

fn forwarding(section: &Section<'_>) -> Result<Option<Forwarding>, ConfigError> {
    section.get("forwarding").map(|item| item.word(FORWARDINGS, &[])).transpose()
}

fn same_family(real: IpAddr, service: &Selector) -> Result<(), String> {
    let (its, family) = (Family::of(real), service.family());
    if its == family {
        return Ok(());
    }
    Err(format!("{real} is {its}, its service {service} is {family}: only tunnels lead from one to the other"))
}
