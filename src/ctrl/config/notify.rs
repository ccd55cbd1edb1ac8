//! The `[[notify]]` tables.

use std::path::PathBuf;

use hyper::Uri;

use super::document::Table;
use super::health;
use super::keys::KEY;
use super::model::{Event, Notify, Port, Receiver, Selector};
use super::section::{Item, Section};
use super::selector;
use super::source::{ConfigError, Source};
use super::{name, value};

/// Default of `notify.timeout`, and what hooks have, in seconds.
pub const DEFAULT_NOTIFY_TIMEOUT: u32 = 10;
/// The longest `notify.timeout`, in seconds: the next notice waits.
const LONGEST: u32 = 600;

/// What says more of a webhook.
const OF_A_WEBHOOK: [&str; 2] = ["token_file", "ca"];

/// Reads one table.
pub(super) fn notify(section: &Section<'_>, ports: &[Port]) -> Result<Notify, ConfigError> {
    Ok(Notify {
        receiver: receiver(section)?,
        events: section.get("events").map(|item| events(&item)).transpose()?.unwrap_or_default(),
        services: section.get("services").map(|item| services(&item, ports)).transpose()?.unwrap_or_default(),
        timeout: section.get("timeout").map(|item| item.parse(timeout)).transpose()?.unwrap_or(DEFAULT_NOTIFY_TIMEOUT),
    })
}

fn receiver(section: &Section<'_>) -> Result<Receiver, ConfigError> {
    let Some(item) = section.get("url") else {
        if let Some(lost) = OF_A_WEBHOOK.iter().find_map(|key| section.get(key)) {
            return Err(lost.error("is for a webhook, and there is no \"url\""));
        }
        return health::command(&section.required("command")?).map(Receiver::Command);
    };
    if let Some(second) = section.get("command") {
        return Err(second.error("there is a \"url\" already: write a [[notify]] for each"));
    }
    let (url, encrypted) = item.parse(url)?;
    let file = |key| section.get(key).map(|item| item.parse(file)).transpose();
    let (token_file, ca) = (file("token_file")?, file("ca")?);
    match section.get("ca") {
        Some(item) if !encrypted => Err(item.error("is for TLS, and the webhook is not https")),
        _ => Ok(Receiver::Webhook { url, token_file, ca }),
    }
}

/// A URL, and whether it is one of TLS.
fn url(text: &str) -> Result<(String, bool), String> {
    let uri: Uri = text.parse().map_err(|cause| format!("\"{text}\" is not a URL: {cause}"))?;
    let encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(format!("\"{text}\" is not a URL that begins with https:// or http://")),
    };
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("write a secret into a token_file: this one would be in logs".to_owned())
        }
        Some(authority) if !authority.host().is_empty() => Ok((text.to_owned(), encrypted)),
        _ => Err(format!("\"{text}\" names no host")),
    }
}

fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(text.into()) }
}

fn events(item: &Item<'_>) -> Result<Vec<Event>, ConfigError> {
    let events: Vec<_> = item.list()?.iter().map(|event| event.word(Event::ALL, &[])).collect::<Result<_, _>>()?;
    if events.is_empty() { Err(item.error("is empty: leave it out if every event is meant")) } else { Ok(events) }
}

fn services(item: &Item<'_>, ports: &[Port]) -> Result<Vec<Selector>, ConfigError> {
    let named = |text: &str| selector(&name::key(text)?, ports).map_err(|error| error.message);
    let services: Vec<_> = item.list()?.iter().map(|service| service.parse(named)).collect::<Result<_, _>>()?;
    if services.is_empty() { Err(item.error("is empty: leave it out if every service is meant")) } else { Ok(services) }
}

fn selector(key: &Table, ports: &[Port]) -> Result<Selector, ConfigError> {
    selector::service(&Section::open(&Source::none(), String::new(), key, &KEY)?, ports)
}

fn timeout(text: &str) -> Result<u32, String> {
    match value::seconds(text)? {
        seconds @ 1..=LONGEST => Ok(seconds),
        _ => Err(format!("\"{text}\" is not in the range 1s to 10m")),
    }
}
