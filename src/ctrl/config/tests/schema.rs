//! The schemas of the file's tables against the readers.

use std::collections::BTreeSet;

use document::{Table, Value};

use super::*;
use crate::ctrl::config::schema::{
    Api, Check, Director, File, Health, Ipvs, Key, Kind, LocalPool, Mark, Match, Mirror, Neighbor, Notify, Observe,
    Persistence, Port, Real, Route, Service, Shape, Sorry, Timeouts,
};

/// A file in which every table stands where a key of its own can be put.
const FILE: &str = r#"{
    "director": {}, "health": {}, "mirror": {}, "timeouts": {}, "ipvs": {},
    "api": {"listen": "127.0.0.1:1", "certificate": "a", "key": "b", "client_ca": "c", "token_file": "d"},
    "port": [{"name": "lan", "device": "net_ring0", "addresses": ["10.0.0.1/24"]}],
    "route": [{"to": "0.0.0.0/0", "via": "10.0.0.2"}],
    "neighbor": [{"address": "10.0.0.2", "mac": "02:00:00:00:00:01"}],
    "local_pool": [{"addresses": ["10.0.0.9"]}],
    "notify": [{"command": ["/bin/true"]}, {"url": "https://192.0.2.9/"}],
    "mark": [{"mark": 7, "match": {"port": 80}}],
    "service": [
        {"address": "203.0.113.0/28:80", "protocol": "udp", "scheduler": "mh", "persistence": {}, "real": [{"address": "10.0.0.2"}],
         "check": {"type": "https"}, "sorry_server": {"address": "10.0.0.3"}},
        {"match": {"port": 80}}, {"mark": 7},
        {"mark": 11, "check": {"type": "udp"}}, {"mark": 12, "check": {"type": "dns"}}, {"mark": 13, "check": {"type": "smtp"}},
        {"mark": 14, "check": {"type": "grpc", "tls": true}}, {"mark": 15, "check": {"type": "script", "command": ["/x"]}},
        {"mark": 16, "check": {"type": "tcp", "observe": {}}}
    ]
}"#;

/// A value of each kind.
fn samples() -> [(&'static str, Value); 6] {
    [
        ("null", Value::Null),
        ("boolean", true.into()),
        ("integer", 80u32.into()),
        ("string", "x".into()),
        ("array", Value::List(Vec::new())),
        ("object", Table::new().into()),
    ]
}

/// The kinds of values that a schema takes.
fn kinds(kind: &Kind) -> BTreeSet<&'static str> {
    match kind {
        Kind::Text | Kind::Time | Kind::Word(_) => ["string"].into(),
        Kind::Boolean => ["boolean"].into(),
        Kind::Integer(..) | Kind::Number(_) => ["integer"].into(),
        Kind::List(_) => ["array"].into(),
        Kind::Table(_) => ["object"].into(),
        Kind::Either(one, other) => kinds(one).union(&kinds(other)).copied().collect(),
    }
}

/// Puts `value` at `path`, like `service[0].real[0].weight`.
fn put(table: &mut Table, path: &str, value: Value) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let Some(rest) = rest else { return table.set(step, value) };
    let (key, place) = step
        .split_once('[')
        .map_or((step, None), |(key, place)| (key, Some(place.trim_end_matches(']').parse::<usize>().unwrap())));
    let mut inside = table.get(key).unwrap().clone();
    match (&mut inside, place) {
        (Value::Table(inner), None) => put(inner, rest, value),
        (Value::List(all), Some(place)) => match &mut all[place] {
            Value::Table(inner) => put(inner, rest, value),
            other => panic!("{path}: {other:?}"),
        },
        (other, _) => panic!("{path}: {other:?}"),
    }
    table.set(key, inside);
}

/// What the readers say of `value` at `path`: the key that is wrong and why.
fn said(path: &str, value: Value) -> Option<(String, String)> {
    let mut file: Table = serde_json::from_str(FILE).unwrap();
    put(&mut file, path, value);
    parts::config(&file).err().map(|error| (error.key, error.message))
}

/// Holds what a key may be against what its reader takes.
fn check(path: &str, kind: &Kind) {
    let taken = kinds(kind);
    for (name, sample) in samples() {
        let said = said(path, sample);
        let wrong_kind = |message: &str| message.starts_with("expected ") || message.starts_with("write ");
        let refused = said.as_ref().is_some_and(|(key, message)| key == path && wrong_kind(message));
        assert_eq!(refused, !taken.contains(name), "{path} = {name}: {said:?}");
    }
    match kind {
        Kind::Integer(least, most) => {
            let outside = |number: i128| {
                said(path, Value::Integer(number)).is_some_and(|(_, message)| message.contains(" is not in the range "))
            };
            let (least, most) = (i128::from(*least), i128::from(*most));
            let found = [least - 1, least, most, most + 1].map(outside);
            assert_eq!(found, [true, false, false, true], "{path}");
        }
        Kind::Number(numbers) => {
            let wrong = |number: u32| said(path, number.into()).is_some_and(|(key, _)| key == path);
            assert!(numbers.iter().all(|number| !wrong(*number)) && wrong(0), "{path}");
        }
        Kind::Word(words) => {
            let unknown = |word: &str| said(path, word.into()).is_some_and(|(_, said)| said.contains(" is unknown"));
            assert!(words().iter().all(|word| !unknown(word)) && unknown("qqq"), "{path}");
        }
        Kind::Either(one, other) => {
            for kind in [one, other].into_iter().filter(|kind| matches!(kind, Kind::Integer(..))) {
                let Kind::Integer(_, most) = kind else { continue };
                let said = said(path, Value::Integer(i128::from(*most) + 1));
                assert!(said.is_some_and(|(_, message)| message.contains(" is not in the range ")), "{path}");
            }
        }
        Kind::List(kind) => {
            let taken = kinds(kind);
            for (name, sample) in samples() {
                let said = said(path, Value::List(vec![sample]));
                let wrong = |message: &str| message.starts_with("expected ") || message.starts_with("write ");
                let refused =
                    said.as_ref().is_some_and(|(key, message)| *key == format!("{path}[0]") && wrong(message));
                assert_eq!(refused, !taken.contains(name), "{path} = [{name}]: {said:?}");
            }
        }
        Kind::Text | Kind::Time | Kind::Boolean | Kind::Table(_) => {}
    }
}

/// Holds a table, which stands at `path`, against its readers; `apart` are keys that can only stand elsewhere.
fn check_table<S: Shape>(path: &str, elsewhere: &[(&str, &str)]) {
    for key in S::KEYS.known {
        let found = S::VALUES.iter().find(|(name, ..)| name == key);
        let (_, kind, description) = found.unwrap_or_else(|| panic!("{}: nothing is said of {key}", S::NAME));
        assert!(description.ends_with('.'), "{} {key}: {description}", S::NAME);
        let path = elsewhere.iter().find(|(other, _)| other == key).map_or(path, |(_, path)| path);
        check(&if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") }, kind);
    }
    let known = |key: &&str| S::KEYS.known.contains(key);
    let all = [S::REQUIRED, S::ONE_OF, S::FIXED, S::APART].concat();
    assert!(all.iter().all(known), "{}: {all:?}", S::NAME);
}

#[test]
fn a_key_may_hold_what_its_reader_takes() {
    check_table::<File>("", &[]);
    check_table::<Director>("director", &[]);
    check_table::<Api>("api", &[]);
    check_table::<Health>("health", &[]);
    check_table::<Mirror>("mirror", &[]);
    check_table::<Timeouts>("timeouts", &[]);
    check_table::<Ipvs>("ipvs", &[]);
    check_table::<Port>("port[0]", &[]);
    check_table::<Route>("route[0]", &[]);
    check_table::<Neighbor>("neighbor[0]", &[]);
    check_table::<LocalPool>("local_pool[0]", &[]);
    check_table::<Mark>("mark[0]", &[]);
    check_table::<Match>("mark[0].match", &[]);
    check_table::<Notify>("notify[0]", &["url", "token_file", "ca"].map(|key| (key, "notify[1]")));
    check_table::<Service>("service[0]", &[("match", "service[1]"), ("mark", "service[2]"), ("family", "service[2]")]);
    check_table::<Key>("service[0]", &[("match", "service[1]"), ("mark", "service[2]"), ("family", "service[2]")]);
    check_table::<Persistence>("service[0].persistence", &[]);
    check_table::<Sorry>("service[0].sorry_server", &[]);
    check_table::<Real>("service[0].real[0]", &[]);
    let elsewhere = |place, keys: &[&'static str]| -> Vec<_> { keys.iter().map(|key| (*key, place)).collect() };
    let elsewhere = [
        elsewhere("service[3].check", &["send", "send_hex", "expect", "expect_hex"]),
        elsewhere("service[4].check", &["name", "record"]),
        elsewhere("service[5].check", &["helo"]),
        elsewhere("service[6].check", &["service", "tls"]),
        elsewhere("service[7].check", &["command"]),
    ];
    check_table::<Check>("service[0].check", &elsewhere.concat());
    check_table::<Observe>("service[8].check.observe", &[]);
}

#[test]
fn what_is_required_is_missed_and_nothing_else() {
    for (path, required, whole) in [
        ("port", Port::REQUIRED, r#"{"name":"lan","device":"net_ring0"}"#),
        ("route", Route::REQUIRED, r#"{"to":"0.0.0.0/0","via":"10.0.0.2"}"#),
        ("neighbor", Neighbor::REQUIRED, r#"{"address":"10.0.0.2","mac":"02:00:00:00:00:01"}"#),
        ("local_pool", LocalPool::REQUIRED, r#"{"addresses":["10.0.0.9"]}"#),
        ("mark", Mark::REQUIRED, r#"{"mark":7,"match":{"port":80}}"#),
        ("service[0].real", Real::REQUIRED, r#"{"address":"10.0.0.2"}"#),
    ] {
        let whole: Table = serde_json::from_str(whole).unwrap();
        assert_eq!(whole.iter().map(|(key, _)| key).collect::<Vec<_>>(), required);
        assert_eq!(said(path, vec![whole.clone()].into()), None);
        for key in required {
            let mut part = whole.clone();
            part.remove(key);
            let expected = (format!("{path}[0]"), format!("the key \"{key}\" is missing"));
            assert_eq!(said(path, vec![part].into()), Some(expected));
        }
    }
    let expected = ("service[0].sorry_server".to_owned(), "the key \"address\" is missing".to_owned());
    assert_eq!(said("service[0].sorry_server", Table::new().into()), Some(expected));
    assert_eq!(Sorry::REQUIRED, ["address"]);
}

#[test]
fn what_is_fixed_cannot_be_set_and_what_is_not_can() {
    let config =
        accept(&format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\nreal = [{{ address = '10.0.0.2' }}]\n"));
    let service = &config.services[0];
    let fixed = |key: &str, edited: Result<(), ConfigError>| match edited {
        Err(error) => error.message.starts_with("cannot be set") && error.key == format!("set.{key}"),
        Ok(()) => false,
    };
    for key in Service::KEYS.known {
        let set = Table::from_iter([(*key, Value::Null)]);
        let edited = parts::edit_service(service, &set, "set", &config.ports).map(drop);
        assert_eq!(fixed(key, edited), Service::FIXED.contains(key), "{key}");
    }
    for key in Real::KEYS.known {
        let set = Table::from_iter([(*key, Value::Null)]);
        let edited = parts::edit_real(&service.reals[0], service, &set, "set", &config.ports).map(drop);
        assert_eq!(fixed(key, edited), Real::FIXED.contains(key), "{key}");
    }
}
