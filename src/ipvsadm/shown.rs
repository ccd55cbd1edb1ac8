//! From the director's answer to what a listing shows.

use super::command::{Key, Mask};
use super::layout::{Shown, ShownServer, ShownService, What};
use crate::ctrl::api::{RealState, ServiceState, Services};
use crate::ctrl::config::{ConfigError, Protocol, Real, Selector, Service};
use crate::dataplane::address::Family;

/// What is shown of real servers that have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// What runs, as in a director whose keepalived has taken them out or inhibited them.
    TheyRun,
    /// What is desired, to be restored.
    Desired,
}

/// Reads all services.
///
/// # Errors
/// If the answer is not what a director writes.
pub fn all(services: &Services, how: As) -> Result<Shown, ConfigError> {
    let shown: Result<_, _> = services.services.iter().map(|state| service(state, how)).collect();
    Ok(Shown { size: services.max_connections, services: shown? })
}

fn service(state: &ServiceState, how: As) -> Result<ShownService, ConfigError> {
    let service = state.service()?;
    let runs = |(real, state): (&Real, &RealState)| match how {
        As::TheyRun => state.running_weight,
        As::Desired => Some(real.weight),
    };
    let servers = service.reals.iter().zip(&state.real).filter_map(|pair| Some((pair, runs(pair)?)));
    let servers = servers.map(|((real, state), weight)| ShownServer {
        address: real.address,
        forwarding: real.forwarding,
        weight,
        upper: real.thresholds.upper,
        lower: real.thresholds.lower,
        active: state.stats.active,
        inactive: state.stats.inactive,
        persistent: state.stats.persistent,
        traffic: state.stats.traffic,
        rates: state.stats.rates,
    });
    let persistent = service.persistence.map(|it| (it.timeout, mask(it.prefix, service.selector.family())));
    Ok(ShownService {
        what: what(&service),
        scheduler: service.scheduler.name().to_owned(),
        flags: service.scheduler.flags().map(str::to_owned).collect(),
        persistent,
        one_packet: service.one_packet,
        traffic: state.stats,
        rates: state.rates,
        servers: servers.collect(),
    })
}

fn what(service: &Service) -> What {
    let selector = service.selector;
    let key = match selector {
        Selector::Socket(address, protocol) if protocol != Protocol::Icmp => Some(Key::Socket(protocol, address)),
        Selector::Mark(mark, family) => Some(Key::Mark { mark, ipv6: family == Family::V6 }),
        _ => None,
    };
    key.map_or_else(|| What::Other { protocol: selector.protocol().to_owned(), text: selector.to_string() }, What::Key)
}

/// The mask of so many leading ones.
fn mask(prefix: u8, family: Family) -> Mask {
    match family {
        Family::V4 => Mask::V4(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0).into()),
        Family::V6 => Mask::V6(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_leading_ones() {
        for (prefix, text) in [(32, "255.255.255.255"), (24, "255.255.255.0"), (1, "128.0.0.0"), (0, "0.0.0.0")] {
            assert_eq!(mask(prefix, Family::V4).to_string(), text);
        }
        assert_eq!(mask(64, Family::V6).to_string(), "64");
        assert!(mask(128, Family::V6).is_whole());
    }
}
