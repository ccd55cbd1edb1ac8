//! The `[mirror]` table: which of the host's routes are the director's too.

use super::announce::MAIN_TABLE;
use super::document::Value;
use super::model::Mirror;
use super::section::{Item, Section};
use super::source::ConfigError;

/// Routing protocols by the names that iproute2 has for them (/etc/iproute2/rt_protos).
pub(super) const PROTOCOLS: &[(&str, u8)] = &[
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("mrouted", 17),
    ("keepalived", 18),
    ("babel", 42),
    ("openr", 99),
    ("bgp", 186),
    ("isis", 187),
    ("ospf", 188),
    ("rip", 189),
    ("eigrp", 192),
];

/// Writes a routing protocol: by its name, if it has one.
pub(super) fn protocol(protocol: u8) -> Value {
    name(protocol).map_or_else(|| u32::from(protocol).into(), Value::from)
}

fn name(protocol: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, number)| *number == protocol).map(|(name, _)| *name)
}

/// Returns the name of a routing protocol; of one that has none, its number.
pub fn protocol_name(protocol: u8) -> String {
    name(protocol).map_or_else(|| protocol.to_string(), str::to_owned)
}

/// Reads the table.
pub(super) fn mirror(section: Option<Section<'_>>) -> Result<Option<Mirror>, ConfigError> {
    let Some(section) = section else { return Ok(None) };
    let mut mirror = Mirror { table: MAIN_TABLE, protocols: Vec::new(), neighbors: true };
    if let Some(item) = section.get("table") {
        mirror.table = item.integer(1..=u32::MAX.into())? as u32;
    }
    if let Some(item) = section.get("protocols") {
        mirror.protocols = item.list()?.iter().map(read_protocol).collect::<Result<_, _>>()?;
        if mirror.protocols.is_empty() {
            return Err(item.error("no protocol: leave it out for all"));
        }
    }
    if let Some(item) = section.get("neighbors") {
        mirror.neighbors = item.boolean()?;
    }
    Ok(Some(mirror))
}

fn read_protocol(item: &Item<'_>) -> Result<u8, ConfigError> {
    if item.is_string() { item.word(PROTOCOLS, &[]) } else { Ok(item.integer(1..=u8::MAX.into())? as u8) }
}
