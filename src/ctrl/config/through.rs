//! Checks through VIPs: that there is a way for them, and that stand-ins are nobody else's addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::check::{key_of, station};
use super::model::*;
use super::source::{ConfigError, Source};
use crate::dataplane::address::Family;

/// Checks what checks through VIPs need, if there are any.
pub(super) fn through_vips(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let (mut total, room) = (0, config.checks.places());
    for (place, service) in config.services.iter().enumerate() {
        for (number, real) in service.checked_through_vip() {
            total += 1;
            let wrong = |message: String| Err(source.error(format!("service[{place}].real[{number}].check"), message));
            if config.twins().next().is_none() {
                return wrong("through the VIP the host asks by a port's twin, and no port has one".to_owned());
            }
            if real.forwarding == Forwarding::Local {
                return wrong("this real server is the host itself, which is not asked through the VIP".to_owned());
            }
            if service.vips.is_empty() {
                return wrong("the service has no VIP to ask through: name one in its \"vips\"".to_owned());
            }
            if !is_v4(service, real) {
                return wrong("stand-ins are IPv4: neither the service nor the real server may be IPv6".to_owned());
            }
            if total > room {
                return wrong(format!(
                    "{room} real servers can be checked through their VIPs, as many as health.stand_ins has addresses for"
                ));
            }
        }
    }
    if total == 0 { Ok(()) } else { apart(config, source) }
}

fn is_v4(service: &Service, real: &Real) -> bool {
    service.selector.family() == Family::V4 && real.address.is_ipv4()
}

/// Whoever has an address of the prefix could not be reached by the host any more.
fn apart(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let prefix = IpNet::V4(config.checks.stand_ins);
    let taken = |path: String, what: String| {
        let line = source.in_line(&path, |line| format!(", in line {line} ({path})"));
        let message = format!("{what} is in {prefix}, which stand-ins are taken from{line}: give them another prefix");
        Err(source.error("health.stand_ins", message))
    };
    for (place, port) in config.ports.iter().enumerate() {
        let overlaps = |own: &IpNet| prefix.contains(&own.addr()) || own.contains(&prefix.addr());
        if let Some(number) = port.addresses.iter().position(overlaps) {
            let what = format!("the network {}", port.addresses[number].trunc());
            return taken(format!("port[{place}].addresses[{number}]"), what);
        }
    }
    for (place, service) in config.services.iter().enumerate() {
        if let Some(vip) = service.vips.iter().find(|vip| prefix.contains(*vip)) {
            return taken(format!("service[{place}].{}", key_of(service)), format!("the VIP {vip}"));
        }
        if let Some((number, real)) = service.stations().find(|(_, real)| prefix.contains(&real.address.ip())) {
            return taken(station(place, number), format!("the real server {}", real.address.ip()));
        }
    }
    Ok(())
}

/// Tells whether nothing of that is wrong for sure, after services changed: where `total` real servers are checked through VIPs
/// now.
pub(super) fn accepts(config: &Config, total: usize, before: &[&Service], after: &[&Service]) -> bool {
    if total == 0 {
        return true;
    }
    let asked = |services: &[&Service]| -> usize { services.iter().map(|it| it.checked_through_vip().count()).sum() };
    // Before the first one nobody looked whose addresses these are.
    let any_before = total + asked(before) > asked(after);
    let prefix = config.checks.stand_ins;
    let free = |address: IpAddr| !IpNet::V4(prefix).contains(&address);
    any_before
        && total <= config.checks.places()
        && after.iter().all(|service| {
            service.checked_through_vip().all(|(_, real)| {
                !service.vips.is_empty() && real.forwarding != Forwarding::Local && is_v4(service, real)
            }) && service.vips.iter().all(|vip| free(*vip))
                && service.stations().all(|(_, real)| free(real.address.ip()))
        })
}
