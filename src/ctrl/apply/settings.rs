//! The parts of a snapshot that a configuration says as they are.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net};

use super::super::config::{self, Config};
use super::part::Part;
use crate::dataplane::conn::{State, Timeouts};
use crate::dataplane::selector::Selector;
use crate::dataplane::selectors::Selectors;
use crate::dataplane::service::{Local, PortId, PortSettings};
use crate::dataplane::snapshot::Locals;

pub(super) fn v4(address: SocketAddr) -> Option<SocketAddrV4> {
    match address {
        SocketAddr::V4(v4) => Some(v4),
        SocketAddr::V6(_) => None,
    }
}

pub(super) fn timeouts(config: &Config) -> Timeouts {
    let config::Timeouts { tcp, tcp_fin, udp } = config.timeouts;
    let timeouts = Timeouts::default().with(State::TCP_ESTABLISHED, tcp).with(State::TCP_FIN_WAIT, tcp_fin);
    timeouts.with(State::UDP, udp).with(State::UDP_ONE_WAY, udp)
}

pub(super) fn settings(config: &Config, macs: &[[u8; 6]]) -> Arc<[PortSettings]> {
    let mut lanes = (config.ports.len()..).map(|lane| PortId(lane as u8));
    let ports = config.ports.iter().zip(macs).map(|(port, mac)| {
        let addresses: Vec<Ipv4Net> = port.addresses.iter().filter_map(v4_net).collect();
        let source = addresses.first().map(Ipv4Net::addr);
        let twin = port.twin.as_ref().and_then(|_| lanes.next());
        PortSettings { name: port.name.clone(), mac: *mac, mtu: port.mtu, source, addresses, twin }
    });
    ports.collect()
}

fn v4_net(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(v4) => Some(*v4),
        IpNet::V6(_) => None,
    }
}

pub(super) fn locals(config: &Config) -> Locals {
    let mut locals = Locals::default();
    for vip in config.services.iter().flat_map(|service| &service.vips) {
        locals.insert(vip.to_bits(), Local::Virtual);
    }
    for (place, port) in config.ports.iter().enumerate() {
        for own in port.addresses.iter().filter_map(v4_net) {
            locals.insert(own.addr().to_bits(), Local::Own(PortId(place as u8)));
        }
    }
    locals
}

/// Services that an endpoint does not lead to, in the order of the file.
pub(super) fn selectors(config: &Config, parts: &HashMap<Selector, Part>) -> Selectors {
    let id = |selector| parts.get(&selector).map(|part| part.id);
    let marks = config.marks.iter().map(|rule| (rule.pattern, id(Selector::Mark(rule.mark))));
    let (mut matches, mut ranges) = (Vec::new(), Vec::new());
    for service in &config.services {
        match service.selector {
            Selector::Match(pattern) => matches.extend(id(service.selector).map(|id| (pattern, id))),
            Selector::Range(pattern) => ranges.extend(id(service.selector).map(|id| (pattern, id))),
            Selector::Socket(..) | Selector::Mark(_) => {}
        }
    }
    Selectors::new(marks, matches, ranges)
}
