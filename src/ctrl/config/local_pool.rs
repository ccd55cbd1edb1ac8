//! `[[local_pool]]`: the addresses of the director's own from which real servers are reached by full NAT.

use std::collections::HashMap;
use std::net::IpAddr;

use super::check::{Checked, station};
use super::document::Table;
use super::known::Known;
use super::model::{Config, Family, Forwarding, LocalPool, Protocol, Service};
use super::section::Section;
use super::source::{ConfigError, Source};
use super::value;

/// The most addresses that all pools have together: so many times 64,512 connections to each real server.
pub(super) const MAX_LOCALS: u64 = 4096;

/// Reads one pool.
pub(super) fn pool(section: &Section<'_>) -> Result<LocalPool, ConfigError> {
    let item = section.required("addresses")?;
    let addresses = item.list()?.iter().map(|item| item.parse(value::hosts)).collect::<Result<Vec<_>, _>>()?;
    if addresses.is_empty() {
        return Err(item.error("a pool needs an address"));
    }
    Ok(LocalPool { addresses })
}

/// Writes one pool.
pub(super) fn write(pool: &LocalPool) -> Table {
    let addresses: Vec<_> = pool.addresses.iter().map(ToString::to_string).collect();
    Table::from_iter([("addresses", addresses)])
}

impl Config {
    /// The addresses of all pools, in the order of the file.
    pub fn local_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.local_pools.iter().flat_map(|pool| &pool.addresses).flat_map(|some| some.iter())
    }

    /// Tells whether an address is one of a pool's.
    pub(super) fn is_local(&self, address: IpAddr) -> bool {
        self.local_pools.iter().flat_map(|pool| &pool.addresses).any(|some| some.contains(address))
    }

    /// Tells whether a pool has addresses of a family.
    fn has_locals(&self, family: Family) -> bool {
        self.local_pools.iter().flat_map(|pool| &pool.addresses).any(|some| some.family() == family)
    }
}

/// Checks the pools, and what needs them.
pub(super) fn local_pools(known: &Known<'_>, source: &Source) -> Checked {
    let mut total = 0u64;
    let mut seen: HashMap<IpAddr, String> = HashMap::new();
    for (place, pool) in known.config.local_pools.iter().enumerate() {
        for (number, some) in pool.addresses.iter().enumerate() {
            let path = format!("local_pool[{place}].addresses[{number}]");
            total = total.saturating_add(some.count());
            if total > MAX_LOCALS {
                let message = format!("{total} local addresses are too many: {MAX_LOCALS} are possible");
                return Err(source.error(path, message));
            }
            for address in some.iter() {
                known.free(address, "local address").map_err(|message| source.error(&*path, message))?;
                if let Some(first) = seen.insert(address, path.clone()) {
                    let line = source.in_line(&first, |line| format!(" (line {line})"));
                    return Err(source.error(path, format!("the local address {address} is in a pool already{line}")));
                }
            }
        }
    }
    for (place, service) in known.config.services.iter().enumerate() {
        for (number, real) in service.stations().filter(|(_, real)| real.forwarding == Forwarding::FullNat) {
            if let Some(message) = complaint(known.config, service, Family::of(real.address.ip())) {
                return Err(source.error(station(place, number), message));
            }
        }
    }
    Ok(())
}

/// Tells whether a service has nothing that full NAT cannot do.
pub(super) fn accepts(config: &Config, service: &Service) -> bool {
    let mut full = service.stations().filter(|(_, real)| real.forwarding == Forwarding::FullNat);
    full.all(|(_, real)| complaint(config, service, Family::of(real.address.ip())).is_none())
}

/// Says why full NAT cannot reach a real server of a family for a service.
fn complaint(config: &Config, service: &Service, family: Family) -> Option<String> {
    if service.selector.protocols() == [Protocol::Icmp] {
        return Some("full NAT needs ports, and ICMP has none: use nat, tunnel or direct".to_owned());
    }
    if service.one_packet {
        let message = "by full NAT a datagram's answer finds its client by the connection, and one-packet scheduling keeps none: \
                       leave \"ops\" out, or use nat, tunnel or direct";
        return Some(message.to_owned());
    }
    let missing = || format!("full NAT needs local addresses, and no [[local_pool]] has one of {family}");
    (!config.has_locals(family)).then(missing)
}
