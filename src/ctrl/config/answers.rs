//! Whether the answers of NAT real servers, and those of the host, can be told apart.

use std::collections::HashMap;
use std::net::IpAddr;

use super::check::{key_of, station};
use super::model::{Config, Protocol, Real, Service};
use super::source::{ConfigError, Source};
use crate::dataplane::selector::Ports;
use crate::dataplane::service::Forwarding;

/// A real server by NAT, or the host, of a service of several ports or addresses.
struct Wide<'a> {
    place: usize,
    service: &'a Service,
    real: &'a Real,
}

impl Wide<'_> {
    /// The ports that it answers from: its own, or those that clients talk to.
    fn ports(&self) -> Ports {
        match self.real.address.port() {
            0 => self.service.selector.ports(),
            port => Ports::single(port),
        }
    }

    /// Tells whether a client's packets to a service of one address and port, with this real server on the same port, could
    /// never be this service's.
    /// Not so by full NAT: the two look for free local ports in tables of their own.
    fn leaves_alone(&self, single: &Service, real: &Real) -> bool {
        let full = [self.real, real].iter().any(|real| real.forwarding == Forwarding::FullNat);
        !full
            && self.service.selector.addresses() == single.selector.addresses()
            && self.real.address.port() == 0
            && single.selector.ports() == Ports::single(real.address.port())
    }
}

/// A NAT real server's answer from a port of its own must not be one that a service of several ports or addresses may wait
/// for too, but for a service of the same VIP that keeps the port: a client's packets to that port are all its.
pub(super) fn answers(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let mut wides: HashMap<(IpAddr, Protocol), Vec<Wide<'_>>> = HashMap::new();
    for (place, service) in config.services.iter().enumerate().filter(|(_, service)| service.selector.is_wide()) {
        for (_, real) in service.answering() {
            for protocol in service.selector.protocols() {
                let others = wides.entry((real.answers_from().ip(), *protocol)).or_default();
                others.push(Wide { place, service, real });
            }
        }
    }
    if wides.is_empty() {
        return Ok(());
    }
    for (place, service) in config.services.iter().enumerate().filter(|(_, service)| !service.selector.is_wide()) {
        for (number, real) in service.answering() {
            let known = service
                .selector
                .protocols()
                .iter()
                .find_map(|protocol| wides.get(&(real.answers_from().ip(), *protocol)));
            let rival = known
                .into_iter()
                .flatten()
                .find(|wide| wide.ports().contains(real.address.port()) && !wide.leaves_alone(service, real));
            if let Some(wide) = rival {
                let path = format!("service[{}].{}", wide.place, key_of(wide.service));
                let line = source.in_line(&path, |line| format!(" (line {line})"));
                let (name, ports) = (wide.service.selector, wide.ports());
                let on = match ports {
                    Ports::EVERY => "every port".to_owned(),
                    _ if ports.one().is_some() => format!("port {ports}"),
                    _ => format!("ports {ports}"),
                };
                let message = format!(
                    "answers from {} could be this service's or those of {name}{line}, which has the real \
                     server on {on}: give one of the two another real server address",
                    real.address
                );
                return Err(source.error(station(place, number), message));
            }
        }
    }
    Ok(())
}

/// With one-packet scheduling there is no connection by which a NAT real server's answer finds its way: its socket alone
/// must say which of such services it is from.
pub(super) fn one_packet(config: &Config, source: &Source) -> Result<(), ConfigError> {
    let mut owners = HashMap::new();
    for (place, service) in config.services.iter().enumerate().filter(|(_, service)| service.one_packet) {
        for (number, real) in service.answering() {
            let at = station(place, number);
            if service.selector.is_wide() {
                let message = format!(
                    "with one-packet scheduling an answer of {} would not say which of the service's ports or addresses it \
                     is from: give the service one of each, or use tunnel or direct",
                    real.address.ip()
                );
                return Err(source.error(at, message));
            }
            if let Some((other, its)) = owners.insert(real.answers_from(), (service.selector, at.clone())) {
                let line = source.in_line(&its, |line| format!(" (line {line})"));
                let message = format!(
                    "with one-packet scheduling an answer of {} would not say which service it is from: {other} has it too{line}",
                    real.address
                );
                return Err(source.error(at, message));
            }
        }
    }
    Ok(())
}
