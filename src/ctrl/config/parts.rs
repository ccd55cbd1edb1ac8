//! Parts of a configuration that come alone, in a request: read as those of a file are, and edited key by key.
//!
//! To edit is to write a part as a document, replace keys, and read it again: what holds for a file holds for every edit, and
//! `null` puts a key's default back. `path` is where a part stands in its request, for messages.

use std::net::{IpAddr, SocketAddr};

use super::document::{Table, Value};
use super::keys::{KEY, Keys, REAL, SERVICE, TIMEOUTS};
use super::model::{Config, Port, Real, Selector, Service, Timeouts};
use super::section::Section;
use super::source::{ConfigError, Source, join};
use super::write::{self, Detail};
use super::{read, selector, value};

/// Reads a whole configuration from a document, as far as single values show whether it is right.
///
/// # Errors
/// The first mistake in it.
pub fn config(root: &Table) -> Result<Config, ConfigError> {
    read::file(&Source::none(), root)
}

/// Reads what tells a service from every other: `address` and `protocol`, `match`, or `mark` and `family`, and no other keys.
///
/// # Errors
/// The first mistake in it.
pub fn key(table: &Table, path: &str, ports: &[Port]) -> Result<Selector, ConfigError> {
    selector::service(&Section::open(&Source::none(), path.to_owned(), table, &KEY)?, ports)
}

/// Reads a service with its real servers.
///
/// # Errors
/// The first mistake in it.
pub fn service(table: &Table, path: &str, ports: &[Port]) -> Result<Service, ConfigError> {
    read::service(&Section::open(&Source::none(), path.to_owned(), table, &SERVICE)?, ports)
}

/// Reads a service of a director whose ports are not known here: the one that it may name is taken to exist.
///
/// # Errors
/// The first mistake in it.
pub fn foreign_service(table: &Table) -> Result<Service, ConfigError> {
    let ingress = match table.get("match") {
        Some(Value::Table(pattern)) => pattern.get("ingress"),
        _ => None,
    };
    let port = |name: &Value| match name {
        Value::String(name) => Some(Port { name: name.clone(), ..Port::default() }),
        _ => None,
    };
    service(table, "", ingress.and_then(port).as_slice())
}

/// Reads a real server of `service`.
///
/// # Errors
/// The first mistake in it.
pub fn real(table: &Table, path: &str, service: &Service, ports: &[Port]) -> Result<Real, ConfigError> {
    read::real(&Section::open(&Source::none(), path.to_owned(), table, &REAL)?, service, ports)
}

/// Returns the place of the real server of `service` that `text` names by address and port. Without a port it is the service's.
/// Where the service has none of its own, packets keep theirs by tunnel and direct routing, and the address is enough.
///
/// # Errors
/// If `text` is no address.
pub fn find_real(service: &Service, text: &str, path: &str) -> Result<Option<usize>, ConfigError> {
    let (address, port) = real_name(text, path)?;
    let usual = service.selector.ports().one();
    let socket = SocketAddr::new(address, port.or(usual).unwrap_or(0));
    let exact = service.reals.iter().position(|real| real.address == socket);
    let by_address = |real: &Real| !real.forwarding.answers_here() && real.address.ip() == address;
    let any = || service.reals.iter().position(by_address).filter(|_| usual.is_none());
    Ok(exact.or_else(any))
}

/// Reads the name of a real server: an address, with its port or without.
///
/// # Errors
/// If `text` is no address.
pub fn real_name(text: &str, path: &str) -> Result<(IpAddr, Option<u16>), ConfigError> {
    value::real_server(text).map_err(|message| Source::none().error(path, message))
}

/// Returns `old` with the keys in `set` replaced. A real server that has what the service has takes what the service gets. A
/// scheduler's flags and table size are its own: another begins without.
///
/// # Errors
/// The first mistake in it; a key that says which service it is, or `real`.
pub fn edit_service(old: &Service, set: &Table, path: &str, ports: &[Port]) -> Result<Service, ConfigError> {
    let which = "cannot be set, it says which service this is: remove the service, and add another";
    refuse(set, path, KEY.known, which)?;
    refuse(set, path, &["real"], "cannot be set: real servers are added, set and removed one at a time")?;
    let mut written = write::service_with_reals(old, Detail::Short);
    if set.get("scheduler").is_some_and(|named| *named != old.scheduler.name().into()) {
        written.remove("scheduler_flags");
        written.remove("mh_table_size");
    }
    service(&edited(written, set, path, &SERVICE)?, path, ports)
}

/// Returns `old`, a real server of `service`, with the keys in `set` replaced.
///
/// # Errors
/// The first mistake in it, or `address`, which says which real server it is.
pub fn edit_real(old: &Real, service: &Service, set: &Table, path: &str, ports: &[Port]) -> Result<Real, ConfigError> {
    let which = "cannot be set, it says which real server this is: remove the real server, and add another";
    refuse(set, path, &["address"], which)?;
    real(&edited(write::real(old, service, Detail::Short), set, path, &REAL)?, path, service, ports)
}

/// Returns `old` with the keys in `set` replaced; they may be given in seconds too.
///
/// # Errors
/// The first mistake in it.
pub fn edit_timeouts(old: &Timeouts, set: &Table, path: &str) -> Result<Timeouts, ConfigError> {
    let time = |(key, value): (&str, &Value)| match value {
        Value::Integer(seconds) => (key.to_owned(), format!("{seconds}s").into()),
        other => (key.to_owned(), other.clone()),
    };
    let set = set.iter().map(time).collect();
    let table = edited(write::timeouts(old), &set, path, &TIMEOUTS)?;
    read::timeouts(Some(Section::open(&Source::none(), path.to_owned(), &table, &TIMEOUTS)?))
}

fn refuse(set: &Table, path: &str, fixed: &[&str], why: &str) -> Result<(), ConfigError> {
    let wrong = fixed.iter().find(|key| set.get(key).is_some());
    wrong.map_or(Ok(()), |key| Err(Source::none().error(join(path, key), why)))
}

fn edited(mut written: Table, set: &Table, path: &str, keys: &Keys) -> Result<Table, ConfigError> {
    // What is taken out is not read any more: its key must be right all the same.
    Section::open(&Source::none(), path.to_owned(), set, keys)?;
    for (key, value) in set.iter() {
        match value {
            Value::Null => drop(written.remove(key)),
            value => written.set(key, value.clone()),
        }
    }
    Ok(written)
}
