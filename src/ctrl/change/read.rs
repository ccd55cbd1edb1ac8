//! Reads a request for changes from JSON. Keys of services and real servers are read when the change is made.

use super::{Change, Kind, MOST, Refused, Transaction};
use crate::ctrl::config::document::Table;
use crate::ctrl::config::{ConfigError, Keys, Section, Source};

const REQUEST: Keys =
    Keys { header: "the request", known: &["version", "dry_run", "skip_refused", "changes"], later: &[] };
const CHANGE: Keys = Keys { header: "a change", known: &["op", "service", "real", "set"], later: &[] };

#[derive(Clone, Copy)]
enum Op {
    AddService,
    SetService,
    RemoveService,
    Clear,
    AddReal,
    SetReal,
    RemoveReal,
    SetTimeouts,
}

/// The changes by name, and the keys that each takes: all of them, and no others.
const OPS: &[(&str, (Op, &[&str]))] = &[
    ("add-service", (Op::AddService, &["service"])),
    ("set-service", (Op::SetService, &["service", "set"])),
    ("remove-service", (Op::RemoveService, &["service"])),
    ("clear", (Op::Clear, &[])),
    ("add-real", (Op::AddReal, &["service", "real"])),
    ("set-real", (Op::SetReal, &["service", "real", "set"])),
    ("remove-real", (Op::RemoveReal, &["service", "real"])),
    ("set-timeouts", (Op::SetTimeouts, &["set"])),
];

impl Transaction {
    /// Reads a request.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn read(json: &[u8]) -> Result<Self, Refused> {
        let root: Table = serde_json::from_slice(json)
            .map_err(|cause| Refused::new(Kind::Invalid, format!("the request makes no sense: {cause}")))?;
        let source = Source::none();
        let request = Section::open(&source, String::new(), &root, &REQUEST)?;
        let flag =
            |key| Ok::<_, ConfigError>(request.get(key).map(|item| item.boolean()).transpose()?.unwrap_or(false));
        let (items, mut changes) = (request.required("changes")?.list()?, Vec::new());
        if items.len() > MOST {
            let message = format!("there are {}; at most {MOST} are made at once", items.len());
            return Err(source.error("changes", message).into());
        }
        for (place, item) in items.into_iter().enumerate() {
            changes.push(change(&source, item.entries()?).map_err(|error| Refused::from(error).at(place))?);
        }
        Ok(Self {
            version: request.get("version").map(|item| item.integer(0..=u64::MAX)).transpose()?,
            dry_run: flag("dry_run")?,
            skip_refused: flag("skip_refused")?,
            changes,
        })
    }
}

fn change(source: &Source, table: &Table) -> Result<Change, ConfigError> {
    let change = Section::open(source, String::new(), table, &CHANGE)?;
    let (op, takes) = change.required("op")?.word(OPS, &[])?;
    if let Some((key, _)) = table.iter().find(|(key, _)| *key != "op" && !takes.contains(key)) {
        return Err(source.error(key, "this change does not take it"));
    }
    let table = |key: &str| change.required(key)?.entries().cloned();
    let text = |key: &str| Ok(change.required(key)?.string()?.to_owned());
    Ok(match op {
        Op::AddService => Change::AddService { service: table("service")? },
        Op::SetService => Change::SetService { service: table("service")?, set: table("set")? },
        Op::RemoveService => Change::RemoveService { service: table("service")? },
        Op::Clear => Change::Clear,
        Op::AddReal => Change::AddReal { service: table("service")?, real: table("real")? },
        Op::SetReal => Change::SetReal { service: table("service")?, real: text("real")?, set: table("set")? },
        Op::RemoveReal => Change::RemoveReal { service: table("service")?, real: text("real")? },
        Op::SetTimeouts => Change::SetTimeouts { set: table("set")? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let key = || Table::from_iter([("mark", 7u32)]);
        let real = || "10.0.0.2:80".to_owned();
        let set = || Table::from_iter([("weight", 3u32)]);
        let all = [
            Change::AddService { service: key() },
            Change::SetService { service: key(), set: set() },
            Change::RemoveService { service: key() },
            Change::Clear,
            Change::AddReal { service: key(), real: set() },
            Change::SetReal { service: key(), real: real(), set: set() },
            Change::RemoveReal { service: key(), real: real() },
            Change::SetTimeouts { set: set() },
        ];
        let transaction = Transaction { version: Some(17), dry_run: true, skip_refused: true, ..Transaction::new(all) };
        let json = serde_json::to_vec(&transaction).unwrap();
        assert_eq!(Transaction::read(&json), Ok(transaction));
        assert_eq!(Transaction::read(br#"{"changes":[]}"#), Ok(Transaction::default()));
    }

    #[test]
    fn there_is_a_most_of_changes() {
        let request = |count: usize| format!(r#"{{"changes":[{}]}}"#, vec![r#"{"op":"clear"}"#; count].join(","));
        assert_eq!(Transaction::read(request(MOST).as_bytes()).unwrap().changes.len(), MOST);
        let refused = Transaction::read(request(MOST + 1).as_bytes()).unwrap_err();
        assert_eq!(refused.error, "changes: there are 100001; at most 100000 are made at once");
    }

    #[test]
    fn mistakes_name_their_place() {
        for (json, change, expected) in [
            ("{", None, "the request makes no sense: EOF while parsing an object at line 1 column 1"),
            ("{}", None, "the key \"changes\" is missing"),
            (r#"{"changes":{}}"#, None, "changes: expected a list, in brackets, found a table"),
            (r#"{"changes":[7]}"#, None, "changes[0]: expected a table, found an integer"),
            (r#"{"changes":[],"dryrun":true}"#, None, "dryrun: unknown key; did you mean \"dry_run\"?"),
            (r#"{"changes":[],"version":-1}"#, None, "version: -1 is not in the range 0 to 18446744073709551615"),
            (r#"{"changes":[{"op":"clear"},{}]}"#, Some(1), "the key \"op\" is missing"),
            (
                r#"{"changes":[{"op":"add-servce"}]}"#,
                Some(0),
                "op: \"add-servce\" is unknown; did you mean \"add-service\"?",
            ),
            (r#"{"changes":[{"op":"clear","set":{}}]}"#, Some(0), "set: this change does not take it"),
            (r#"{"changes":[{"op":"set-timeouts"}]}"#, Some(0), "the key \"set\" is missing"),
            (
                r#"{"changes":[{"op":"remove-real","service":{},"real":{}}]}"#,
                Some(0),
                "real: expected a string in quotes, found a table",
            ),
        ] {
            let refused = Transaction::read(json.as_bytes()).unwrap_err();
            assert_eq!((refused.error.as_str(), refused.change), (expected, change), "{json}");
            assert_eq!(refused.kind, Kind::Invalid);
        }
    }
}
