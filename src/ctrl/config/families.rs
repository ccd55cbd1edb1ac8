//! What the data plane does not do yet: IPv6, in each place where a configuration may have it.
//!
//! All else that reads, checks, writes and shows a configuration takes both families.

use super::check::{Checked, key_of, station};
use super::keys::LATER;
use super::model::{Config, Service};
use super::source::Source;
use crate::dataplane::address::Family;

/// Refuses IPv6 where packets of it would be needed.
pub(super) fn families(config: &Config, source: &Source) -> Checked {
    ports(config, source)?;
    routes(config, source)?;
    neighbors(config, source)?;
    marks(config, source)?;
    services(config, source)?;
    reals(config, source)
}

/// Tells whether a service has nothing of that.
pub(super) fn accepts(service: &Service) -> bool {
    service.selector.family() == Family::V4 && service.stations().all(|(_, real)| real.address.is_ipv4())
}

fn refuse(source: &Source, path: String, written: impl std::fmt::Display) -> Checked {
    Err(source.error(path, format!("\"{written}\": IPv6 is {LATER}")))
}

/// Ports have no IPv6 addresses.
fn ports(config: &Config, source: &Source) -> Checked {
    for (place, port) in config.ports.iter().enumerate() {
        if let Some(number) = port.addresses.iter().position(|own| own.addr().is_ipv6()) {
            return refuse(source, format!("port[{place}].addresses[{number}]"), port.addresses[number]);
        }
    }
    Ok(())
}

/// Packets of IPv6 are not routed.
fn routes(config: &Config, source: &Source) -> Checked {
    match config.routes.iter().position(|route| route.to.addr().is_ipv6()) {
        Some(place) => refuse(source, format!("route[{place}].to"), config.routes[place].to),
        None => Ok(()),
    }
}

/// There is no neighbour discovery.
fn neighbors(config: &Config, source: &Source) -> Checked {
    match config.neighbors.iter().position(|neighbor| neighbor.address.is_ipv6()) {
        Some(place) => refuse(source, format!("neighbor[{place}].address"), config.neighbors[place].address),
        None => Ok(()),
    }
}

/// Rules do not look at packets of IPv6.
fn marks(config: &Config, source: &Source) -> Checked {
    match config.marks.iter().position(|rule| rule.pattern.family() == Family::V6) {
        Some(place) => refuse(source, format!("mark[{place}].match"), config.marks[place].pattern),
        None => Ok(()),
    }
}

/// Packets of IPv6 have no connections.
fn services(config: &Config, source: &Source) -> Checked {
    match config.services.iter().position(|service| service.selector.family() == Family::V6) {
        Some(place) => {
            let service = &config.services[place];
            refuse(source, format!("service[{place}].{}", key_of(service)), service.selector)
        }
        None => Ok(()),
    }
}

/// Tunnels are of IPv4 alone.
fn reals(config: &Config, source: &Source) -> Checked {
    for (place, service) in config.services.iter().enumerate() {
        if let Some((number, real)) = service.stations().find(|(_, real)| real.address.is_ipv6()) {
            return refuse(source, station(place, number), real.address.ip());
        }
    }
    Ok(())
}
