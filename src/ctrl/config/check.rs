//! What must hold between the tables of a configuration: nothing twice, everything reachable.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::answers::{answers, one_packet};
use super::device::Device;
use super::families::families;
use super::known::{Known, Vips};
use super::local_pool::local_pools;
use super::model::*;
use super::source::{ConfigError, Source};
use super::through::through_vips;
use crate::dataplane::selector::Ports;

/// Ports that DPDK is built for (RTE_MAX_ETHPORTS).
const MAX_PORTS: usize = 32;
/// RFC 8200 §5: every link of IPv6 carries so many octets.
const MIN_IPV6_MTU: u16 = 1280;
/// The most letters of an interface's name (IFNAMSIZ, and an octet for its end).
const INTERFACE_NAME: usize = 15;
/// The most services, and NAT real servers that several of them share: ids are 16 bits and 0 is none.
pub const MAX_ENDPOINTS: usize = 65_535;
/// The most real servers, counted once for each service that has them: ids have 20 bits, but each costs every worker
/// 40 octets for its counters, used or not. Ten thousand services with 25 each fit.
pub const MAX_REALS: usize = (1 << 18) - 1;

pub(super) type Checked = Result<(), ConfigError>;

/// Checks all that a single value does not show.
pub(super) fn whole(config: &Config, source: &Source) -> Checked {
    families(config, source)?;
    between(config, source)
}

/// The same, whatever the data plane can do.
pub(super) fn between(config: &Config, source: &Source) -> Checked {
    workers(config, source)?;
    ports(config, source)?;
    twins(config, source)?;
    networks(config, source)?;
    let vips = Vips::new(config);
    let known = Known::new(config, &vips);
    routes(&known, source)?;
    neighbors(&known, source)?;
    marks(config, source)?;
    services(&known, source)?;
    local_pools(&known, source)?;
    answers(config, source)?;
    one_packet(config, source)?;
    through_vips(config, source)?;
    sizes(config, source)
}

/// What was seen so far, and where: refuses the second of a kind.
struct Unique<'a, T> {
    source: &'a Source,
    seen: HashMap<T, String>,
}

impl<'a, T: Hash + Eq> Unique<'a, T> {
    fn new(source: &'a Source) -> Self {
        Self { source, seen: HashMap::new() }
    }

    /// Takes note of `value`, written at `path`; `what` names it in the message.
    fn add(&mut self, path: String, value: T, what: impl FnOnce() -> String) -> Checked {
        match self.seen.get(&value) {
            Some(first) => {
                let line = self.source.line(first);
                let there = line.map_or_else(|| "there".to_owned(), |line| format!("in line {line} ({first})"));
                Err(self.source.error(path, format!("{} is already {there}", what())))
            }
            None => {
                self.seen.insert(value, path);
                Ok(())
            }
        }
    }
}

fn workers(config: &Config, source: &Source) -> Checked {
    if config.director.workers.is_empty() {
        return Err(source.error("director.workers", "at least one core must poll"));
    }
    let mut cores = Unique::new(source);
    for (place, core) in config.director.workers.iter().enumerate() {
        cores.add(format!("director.workers[{place}]"), *core, || format!("core {core}"))?;
    }
    Ok(())
}

fn ports(config: &Config, source: &Source) -> Checked {
    if config.ports.is_empty() {
        return Err(source.error("", "there is no [[port]]: at least one is needed"));
    }
    if config.ports.len() > MAX_PORTS {
        return Err(source.error(format!("port[{MAX_PORTS}]"), format!("more than {MAX_PORTS} ports")));
    }
    let (mut names, mut devices, mut interfaces) = (Unique::new(source), Unique::new(source), Unique::new(source));
    let (mut addresses, mut macs) = (Unique::new(source), Unique::new(source));
    for (place, port) in config.ports.iter().enumerate() {
        let at = |key: &str| format!("port[{place}].{key}");
        names.add(at("name"), &port.name, || format!("the port name \"{}\"", port.name))?;
        let device = Device::parse(&port.device).map_err(|message| source.error(at("device"), message))?;
        // AF_XDP takes one queue of an interface: two ports on it are possible, if seldom meant.
        if device.driver() != "net_af_xdp" {
            for interface in device.interfaces() {
                // A pcap port names its interface once for each direction.
                let own = interfaces.seen.get(interface).is_some_and(|first| *first == at("device"));
                if !own {
                    interfaces.add(at("device"), interface, || format!("the interface {interface}"))?;
                }
            }
        }
        devices.add(at("device"), device.name.clone(), || format!("the device {}", device.name))?;
        for (number, own) in port.addresses.iter().enumerate() {
            let what = || format!("the address {}", own.addr());
            addresses.add(format!("port[{place}].addresses[{number}]"), own.addr(), what)?;
        }
        if let Some(own) = port.addresses.iter().find(|own| own.addr().is_ipv6() && port.mtu < MIN_IPV6_MTU) {
            let message = format!("{} is too little for IPv6: {} needs {MIN_IPV6_MTU} octets", port.mtu, own.addr());
            return Err(source.error(at("mtu"), message));
        }
        if let Some(mac) = port.mac {
            macs.add(at("mac"), mac, || "the Ethernet address".to_owned())?;
        }
    }
    Ok(())
}

/// A twin is an interface of its own.
fn twins(config: &Config, source: &Source) -> Checked {
    let mut names = Unique::new(source);
    for (place, port) in config.ports.iter().enumerate() {
        let device =
            Device::parse(&port.device).map_err(|message| source.error(format!("port[{place}].device"), message))?;
        for interface in device.interfaces() {
            // A pcap port names its interface once for each direction; others were found to be one port's only.
            names.seen.insert(interface.to_owned(), format!("port[{place}].device"));
        }
    }
    if config.mirror.is_some() && config.twins().next().is_none() {
        return Err(source.error("mirror", "no port has a twin, by which the host could have routes"));
    }
    for (place, port) in config.ports.iter().enumerate() {
        let Some(twin) = &port.twin else { continue };
        let path = format!("port[{place}].twin");
        names.add(path.clone(), twin.clone(), || format!("the interface {twin}"))?;
        if let Some(inner) = port.inner_twin() {
            if inner.len() > INTERFACE_NAME {
                let message =
                    format!("with an mtu above 1500 it has another end, and {inner} is too long for its name");
                return Err(source.error(path, message));
            }
            names.add(path, inner.clone(), || format!("the interface {inner}"))?;
        }
    }
    Ok(())
}

/// Two ports on one network could not be told apart by the destination; a port may have several addresses on it.
fn networks(config: &Config, source: &Source) -> Checked {
    let mut owners: HashMap<_, (usize, String)> = HashMap::new();
    for (place, port) in config.ports.iter().enumerate() {
        for (number, own) in port.addresses.iter().enumerate() {
            let path = format!("port[{place}].addresses[{number}]");
            let (first, line) = match owners.get(&own.trunc()) {
                Some((first, path)) => (*first, source.in_line(path, |line| format!(" (line {line})"))),
                None => {
                    owners.insert(own.trunc(), (place, path));
                    continue;
                }
            };
            if first != place {
                let name = &config.ports[first].name;
                let message = format!("port \"{name}\" is already on the network {}{line}", own.trunc());
                return Err(source.error(path, message));
            }
        }
    }
    Ok(())
}

fn routes(known: &Known<'_>, source: &Source) -> Checked {
    let mut destinations = Unique::new(source);
    for (place, route) in known.config.routes.iter().enumerate() {
        destinations.add(format!("route[{place}].to"), route.to, || format!("a route to {}", route.to))?;
        let mut gateways = Unique::new(source);
        for (number, gateway) in route.via.iter().enumerate() {
            let path = if route.via.len() == 1 {
                format!("route[{place}].via")
            } else {
                format!("route[{place}].via[{number}]")
            };
            known.on_link(*gateway, "gateway").map_err(|message| source.error(&*path, message))?;
            gateways.add(path, *gateway, || format!("the gateway {gateway}"))?;
        }
    }
    Ok(())
}

fn neighbors(known: &Known<'_>, source: &Source) -> Checked {
    let mut addresses = Unique::new(source);
    for (place, neighbor) in known.config.neighbors.iter().enumerate() {
        let path = format!("neighbor[{place}].address");
        known.on_link(neighbor.address, "neighbour").map_err(|message| source.error(&*path, message))?;
        addresses.add(path, neighbor.address, || format!("the neighbour {}", neighbor.address))?;
    }
    Ok(())
}

/// The second rule for the same packets would never be reached.
fn marks(config: &Config, source: &Source) -> Checked {
    let mut rules = Unique::new(source);
    for (place, rule) in config.marks.iter().enumerate() {
        let what = || format!("a rule {}", Selector::Match(rule.pattern));
        rules.add(format!("mark[{place}].match"), rule.pattern, what)?;
    }
    Ok(())
}

fn services(known: &Known<'_>, source: &Source) -> Checked {
    let mut keys = Unique::new(source);
    for (place, service) in known.config.services.iter().enumerate() {
        let path = format!("service[{place}].{}", key_of(service));
        if let Some(vip) = service.vips.iter().find(|vip| known.config.names_network(**vip)) {
            let named = if service.vips.len() > 1 { format!("service[{place}].vips") } else { path };
            let message = format!("the VIP {vip} is the address of a port's network or its broadcast address");
            return Err(source.error(named, message));
        }
        let selector = service.selector;
        keys.add(path, selector, || format!("the {} service {selector}", selector.protocol()))?;
        reals(known, source, place, service)?;
    }
    overlaps(known.config, source)
}

/// The key by which a service says what it is for.
pub(super) fn key_of(service: &Service) -> &'static str {
    match service.selector {
        Selector::Socket(..) | Selector::Range(_) => "address",
        Selector::Match(_) => "match",
        Selector::Mark(..) => "mark",
    }
}

/// Ranges of the same addresses are one service's for each port: whose it was meant to be nobody could tell.
fn overlaps(config: &Config, source: &Source) -> Checked {
    let mut ranges: HashMap<_, Vec<(Ports, usize)>> = HashMap::new();
    for (place, service) in config.services.iter().enumerate() {
        if let Selector::Range(pattern) = service.selector
            && pattern.ports != Ports::EVERY
        {
            ranges.entry((pattern.to, pattern.protocol)).or_default().push((pattern.ports, place));
        }
    }
    let mut twice = None;
    for same in ranges.values_mut() {
        same.sort_unstable();
        for pair in same.windows(2) {
            let ((before, one), (ports, other)) = (pair[0], pair[1]);
            if before.overlaps(ports) {
                let pair = (one.max(other), one.min(other));
                twice = Some(twice.map_or(pair, |known: (usize, usize)| known.min(pair)));
            }
        }
    }
    let Some((place, first)) = twice else { return Ok(()) };
    let name = config.services[first].selector;
    let path = format!("service[{first}].address");
    let line = source.in_line(&path, |line| format!(", in line {line} ({path})"));
    let message = format!("some of these ports are those of {name} already{line}");
    Err(source.error(format!("service[{place}].address"), message))
}

fn reals(known: &Known<'_>, source: &Source, place: usize, service: &Service) -> Checked {
    let mut addresses = Unique::new(source);
    for (number, real) in service.stations() {
        let path = station(place, number);
        known.reachable(real).map_err(|message| source.error(&*path, message))?;
        addresses.add(path, real.address, || format!("the real server {}", real.address))?;
    }
    Ok(())
}

/// The place of the address of a real server, or of the sorry server, in the file.
pub(super) fn station(service: usize, number: Option<usize>) -> String {
    match number {
        Some(number) => format!("service[{service}].real[{number}].address"),
        None => format!("service[{service}].sorry_server.address"),
    }
}

fn sizes(config: &Config, source: &Source) -> Checked {
    let mut total = 0;
    let mut sockets: HashMap<_, usize> = HashMap::new();
    let mut stations = HashSet::new();
    for (place, service) in config.services.iter().enumerate() {
        total += service.stations().count();
        for (_, real) in service.answering() {
            if service.selector.is_wide() {
                // Always counts as shared, whatever its port.
                stations.insert(real.answers_from().ip());
            } else {
                *sockets.entry((real.answers_from(), service.selector.protocols())).or_default() += 1;
            }
        }
        if total > MAX_REALS {
            return Err(source.error(format!("service[{place}]"), format!("more than {MAX_REALS} real servers in all")));
        }
    }
    let shared = sockets.values().filter(|services| **services > 1).count() + stations.len();
    if config.services.len() + shared > MAX_ENDPOINTS {
        let message = format!(
            "{} services and {shared} NAT real servers that several of them share: {MAX_ENDPOINTS} are possible together",
            config.services.len()
        );
        return Err(source.error("service", message));
    }
    Ok(())
}
