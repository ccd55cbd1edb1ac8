//! `check.observe`: that clients' own connections take a real server out too, and whether they can.

use super::super::document::Table;
use super::super::keys::OBSERVE;
use super::super::model::{Forwarding, Protocol, Real, Service};
use super::super::section::Item;
use super::super::source::ConfigError;
use super::super::value;
use super::super::write::{self, Detail, Writer};
use crate::ctrl::health::observe::Observe;

/// The longest window, in seconds: each second of it is remembered, for each real server.
const LONGEST_WINDOW: u32 = 60;
pub(in crate::ctrl::config) const MOST_OPENED: u64 = 1_000_000;

/// Reads what is written as the value of the key.
pub(super) fn read(item: Item<'_>) -> Result<Observe, ConfigError> {
    let (section, defaults) = (item.table(&OBSERVE)?, Observe::default());
    let window = section.get("window").map(|item| item.parse(window)).transpose()?;
    let least = section.get("least").map(|item| item.integer(1..=MOST_OPENED)).transpose()?;
    let share = |key| section.get(key).map(|item| item.integer(1..=100).map(|share| share as u8)).transpose();
    Ok(Observe {
        window: window.unwrap_or(defaults.window),
        least: least.map_or(defaults.least, |least| least as u32),
        failed: share("failed")?.unwrap_or(defaults.failed),
        reset: share("reset")?,
    })
}

fn window(text: &str) -> Result<u32, String> {
    let range = || format!("\"{text}\" is not in the range 1s to {}", write::time(LONGEST_WINDOW));
    value::seconds(text)
        .and_then(|window| Some(window).filter(|it| (1..=LONGEST_WINDOW).contains(it)).ok_or_else(range))
}

/// Says why connections to a real server are not seen as they would have to be; `None` if they are.
pub(super) fn obstacle(service: &Service, real: &Real) -> Option<String> {
    if !service.selector.protocols().contains(&Protocol::Tcp) {
        let protocol = service.selector.protocol();
        return Some(format!("\"observe\" is for TCP connections, and the service's protocol is {protocol}"));
    }
    match real.forwarding {
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Local => None,
        Forwarding::Tunnel | Forwarding::Direct => Some(format!(
            "\"observe\" takes answers that pass the director, as by nat: by {} they do not",
            real.forwarding
        )),
    }
}

/// Writes a rule.
pub(super) fn written(observe: &Observe, detail: Detail) -> Table {
    let (Observe { window, least, failed, reset }, defaults) = (*observe, Observe::default());
    let mut table = Writer::new(detail);
    table.put("window", write::time(window), window == defaults.window);
    table.put("least", least, least == defaults.least);
    table.put("failed", u32::from(failed), failed == defaults.failed);
    table.put_some("reset", reset.map(u32::from));
    table.table
}
