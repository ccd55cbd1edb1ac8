//! What the data plane does not do yet over IPv6: services of several addresses or ports, by `match` and by mark.
//!
//! All else that reads, checks, writes and shows a configuration takes both families.

use super::check::{Checked, key_of};
use super::keys::LATER;
use super::model::{Config, Service};
use super::source::Source;
use crate::dataplane::address::Family;

/// Refuses IPv6 where packets of it would be needed.
pub(super) fn families(config: &Config, source: &Source) -> Checked {
    marks(config, source)?;
    services(config, source)
}

/// Tells whether a service has nothing of that.
pub(super) fn accepts(service: &Service) -> bool {
    service.selector.family() == Family::V4 || !service.selector.is_wide()
}

fn refuse(source: &Source, path: String, written: impl std::fmt::Display) -> Checked {
    let message = format!("\"{written}\": IPv6 for several addresses or ports is {LATER}");
    Err(source.error(path, message))
}

/// Rules do not look at packets of IPv6.
fn marks(config: &Config, source: &Source) -> Checked {
    match config.marks.iter().position(|rule| rule.pattern.family() == Family::V6) {
        Some(place) => refuse(source, format!("mark[{place}].match"), config.marks[place].pattern),
        None => Ok(()),
    }
}

/// A connection's key has no room for two IPv6 addresses.
fn services(config: &Config, source: &Source) -> Checked {
    match config.services.iter().position(|service| !accepts(service)) {
        Some(place) => {
            let service = &config.services[place];
            refuse(source, format!("service[{place}].{}", key_of(service)), service.selector)
        }
        None => Ok(()),
    }
}
