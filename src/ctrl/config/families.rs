//! What the data plane does not do yet: IPv6, in each place where a configuration may have it. There is a function for each kind, to be
//! deleted once that is done.
//!
//! All else that reads, checks, writes and shows a configuration takes both families.

use super::check::{Checked, key_of, station};
use super::keys::LATER;
use super::model::{Config, Forwarding, Real, Selector, Service};
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
    !is_service(&service.selector) && !service.stations().any(|(_, real)| is_real(service, real))
}

/// Services that are not done, by what they are for.
fn is_service(selector: &Selector) -> bool {
    of_one_address(selector) || of_several(selector)
}

/// Real servers that are not done, by how they are reached.
fn is_real(service: &Service, real: &Real) -> bool {
    by_translation(real) || by_direct_routing(real) || by_tunnel(service, real) || as_host(real)
}

/// Packets of IPv6 have no connections.
fn of_one_address(selector: &Selector) -> bool {
    matches!(selector, Selector::Socket(address, _) if address.is_ipv6())
}

/// Neither ranges nor matches nor marks are looked up for packets of IPv6.
fn of_several(selector: &Selector) -> bool {
    !matches!(selector, Selector::Socket(..)) && selector.family() == Family::V6
}

/// Packets of IPv6 are not rewritten.
fn by_translation(real: &Real) -> bool {
    real.forwarding == Forwarding::Nat && real.address.is_ipv6()
}

/// Nor sent to other stations.
fn by_direct_routing(real: &Real) -> bool {
    real.forwarding == Forwarding::Direct && real.address.is_ipv6()
}

/// Tunnels are 4in4 alone.
fn by_tunnel(service: &Service, real: &Real) -> bool {
    real.forwarding == Forwarding::Tunnel && (real.address.is_ipv6() || service.selector.family() == Family::V6)
}

/// The host does not get packets of IPv6.
fn as_host(real: &Real) -> bool {
    real.forwarding == Forwarding::Local && real.address.is_ipv6()
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

fn services(config: &Config, source: &Source) -> Checked {
    for (place, service) in config.services.iter().enumerate() {
        if is_service(&service.selector) {
            return refuse(source, format!("service[{place}].{}", key_of(service)), service.selector);
        }
    }
    Ok(())
}

fn reals(config: &Config, source: &Source) -> Checked {
    for (place, service) in config.services.iter().enumerate() {
        if let Some((number, real)) = service.stations().find(|(_, real)| is_real(service, real)) {
            return refuse(source, station(place, number), real.address.ip());
        }
    }
    Ok(())
}
