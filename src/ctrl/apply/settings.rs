//! The parts of a snapshot that a configuration says as they are.

use std::sync::Arc;

use hashbrown::HashMap;

use super::super::config::{self, Config};
use super::part::Part;
use crate::dataplane::address::{Address, Family};
use crate::dataplane::conn::{State, Timeouts};
use crate::dataplane::selector::Selector;
use crate::dataplane::selectors::Selectors;
use crate::dataplane::service::{Local, PortId, PortSettings};
use crate::dataplane::snapshot::Locals;

pub(super) fn timeouts(config: &Config) -> Timeouts {
    let config::Timeouts { tcp, tcp_fin, udp } = config.timeouts;
    let timeouts = Timeouts::default().with(State::TCP_ESTABLISHED, tcp).with(State::TCP_FIN_WAIT, tcp_fin);
    timeouts.with(State::UDP, udp).with(State::UDP_ONE_WAY, udp)
}

pub(super) fn settings(config: &Config, macs: &[[u8; 6]]) -> Arc<[PortSettings]> {
    let mut lanes = (config.ports.len()..).map(|lane| PortId(lane as u8));
    let ports = config.ports.iter().zip(macs).map(|(port, mac)| {
        let own = || port.addresses.iter().map(|net| Address::from(net.addr()));
        let sources = [Family::V4, Family::V6].map(|family| own().find(|address| address.family() == family));
        let twin = port.twin.as_ref().and_then(|_| lanes.next());
        PortSettings {
            name: port.name.clone(),
            mac: *mac,
            mtu: port.mtu,
            sources,
            addresses: port.addresses.clone(),
            twin,
        }
    });
    ports.collect()
}

pub(super) fn locals(config: &Config) -> Locals {
    let mut locals = Locals::default();
    for vip in config.services.iter().flat_map(|service| &service.vips) {
        locals.insert((*vip).into(), Local::Virtual);
    }
    for local in config.local_addresses() {
        locals.insert(local.into(), Local::Virtual);
    }
    for (place, port) in config.ports.iter().enumerate() {
        for own in &port.addresses {
            locals.insert(own.addr().into(), Local::Own(PortId(place as u8)));
        }
    }
    locals
}

/// Services that an endpoint does not lead to, in the order of the file.
pub(super) fn selectors(config: &Config, parts: &HashMap<Selector, Part>) -> Selectors {
    let id = |selector| parts.get(&selector).map(|part| part.id);
    let marks = config.marks.iter().map(|rule| (rule.pattern, id(rule.selector())));
    let (mut matches, mut ranges) = (Vec::new(), Vec::new());
    for service in &config.services {
        match service.selector {
            Selector::Match(pattern) => matches.extend(id(service.selector).map(|id| (pattern, id))),
            Selector::Range(pattern) => ranges.extend(id(service.selector).map(|id| (pattern, id))),
            Selector::Socket(..) | Selector::Mark(..) => {}
        }
    }
    Selectors::new(marks, matches, ranges)
}
