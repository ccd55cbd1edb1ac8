//! The names of services, by which the command line and some keys of the file say which one is meant.

use super::document::{Table, Value};

/// Reads a service's name as the keys that say what it is for. `203.0.113.10:80` is TCP's; others name their protocol, as
/// listings do: `udp/203.0.113.10:53`, `udp 203.0.113.10:53`. `mark/7` is a mark, `mark/7/ipv6` one of IPv6's, and `match/to=203.0.113.0/28,port=443` a match.
///
/// # Errors
/// If the text is no name. Whether there is such an address is not looked at.
pub fn key(text: &str) -> Result<Table, String> {
    let (kind, rest) = text.split_once(['/', ' ']).unwrap_or(("", text));
    let kind = kind.to_ascii_lowercase();
    Ok(match kind.as_str() {
        "tcp" | "udp" | "sctp" | "icmp" => Table::from_iter([("address", rest), ("protocol", kind.as_str())]),
        "mark" | "fwm" => {
            let (number, family) = match rest.split_once(['/', ' ']) {
                Some((number, family)) => (number, Some(family)),
                None => (rest, None),
            };
            let mark: u32 = number.parse().map_err(|_| format!("\"{number}\" is not a mark, a number from 1"))?;
            let mut key = Table::from_iter([("mark", mark)]);
            if let Some(family) = family {
                key.set("family", family.to_ascii_lowercase());
            }
            key
        }
        "match" => Table::from_iter([("match", pattern(rest)?)]),
        _ => Table::from_iter([("address", text), ("protocol", "tcp")]),
    })
}

/// Returns the two parts of a service's name, of which the first is its protocol, `mark` or `match`.
pub fn parts(key: &Table) -> (String, String) {
    let text = |name: &str| match key.get(name) {
        Some(value) => word(value),
        None => String::new(),
    };
    match key.iter().next() {
        Some(("mark", mark)) => {
            let family = key.get("family").map(|family| format!("/{}", word(family)));
            ("mark".to_owned(), word(mark) + &family.unwrap_or_default())
        }
        Some(("match", Value::Table(pattern))) => {
            let pairs: Vec<_> = pattern.iter().map(|(key, value)| format!("{key}={}", word(value))).collect();
            ("match".to_owned(), pairs.join(","))
        }
        _ => (text("protocol"), text("address")),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        _ => String::new(),
    }
}

fn pattern(text: &str) -> Result<Table, String> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(format!("\"{pair}\" is not KEY=VALUE, like to=203.0.113.0/28")),
    };
    text.split(',').map(pair).collect()
}
