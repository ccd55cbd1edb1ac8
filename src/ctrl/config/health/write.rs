//! The inverse: what is written of checks, and of what failures do.

use super::super::document::{Table, Value};
pub(in crate::ctrl::config) use super::super::write::Detail;
use super::super::write::Writer;
use super::*;

/// Writes what a service says of the health of its real servers.
pub(in crate::ctrl::config) fn write(table: &mut Writer, health: &Health) {
    let Health { check, on_failure, quorum } = health;
    let Quorum { weight, hysteresis, up, down } = quorum;
    table.put_some("check", check.as_ref().map(|check| self::check(check, Detail::Short)));
    table.put("on_failure", on_failure_word(*on_failure), *on_failure == OnFailure::Remove);
    table.put("quorum", *weight, *weight == 1);
    table.put("hysteresis", *hysteresis, *hysteresis == 0);
    table.put_some("quorum_up", (!up.is_empty()).then(|| up.clone()));
    table.put_some("quorum_down", (!down.is_empty()).then(|| down.clone()));
}

/// Writes a real server's check, unless it is its service's.
pub(in crate::ctrl::config) fn write_of_real(table: &mut Writer, real: &Real, service: &Service) {
    if real.check != service.health.check {
        let none = || Table::from_iter([("type", "none")]);
        let check = real.check.as_ref().map_or_else(none, |check| self::check(check, Detail::Short));
        table.put("check", check, false);
    }
}

/// Returns the word for what becomes of a real server that has failed.
fn on_failure_word(on_failure: OnFailure) -> &'static str {
    ON_FAILURE.iter().find(|(_, meaning)| *meaning == on_failure).map_or("", |(word, _)| word)
}

/// Returns the word for what a check asks.
pub fn check_type(check: &Check) -> &'static str {
    match &check.probe {
        Probe::Tcp => "tcp",
        Probe::Tls(_) => "tls",
        Probe::Http(Http { tls: None, .. }) => "http",
        Probe::Http(_) => "https",
        Probe::Udp(_) => "udp",
        Probe::Dns(_) => "dns",
        Probe::Smtp(_) => "smtp",
        Probe::Ping => "ping",
        Probe::Grpc(_) => "grpc",
        Probe::Script(_) => "script",
    }
}

/// Writes a check.
pub(in crate::ctrl::config) fn check(check: &Check, detail: Detail) -> Table {
    let mut table = Writer::new(detail);
    table.put("type", check_type(check), false);
    let time = |table: &mut Writer, key, time, default| table.put(key, value::written(time), time == default);
    time(&mut table, "interval", check.interval, INTERVAL);
    time(&mut table, "timeout", check.timeout, TIMEOUT.min(check.interval));
    table.put("rise", check.rise, check.rise == RISE);
    table.put("fall", check.fall, check.fall == FALL);
    table.put("jitter", u32::from(check.jitter), check.jitter == JITTER);
    time(&mut table, "delay", check.delay, Duration::ZERO);
    time(&mut table, "damping", check.damping, DAMPING);
    let start = STARTS.iter().find(|(_, up)| *up == check.starts_up).map_or("", |(word, _)| word);
    table.put("start", start, check.starts_up);
    table.put_some("address", check.address.map(|address| address.to_string()));
    table.put_some("port", check.port.map(u32::from));
    table.put_some("through", (check.path == Path::Vip).then_some("vip"));
    table.put_some("observe", check.observe.map(|rule| observe::written(&rule, detail)));
    probe(&mut table, &check.probe);
    table.table
}

fn probe(table: &mut Writer, probe: &Probe) {
    match probe {
        Probe::Tcp | Probe::Ping => {}
        Probe::Tls(known) => tls(table, known),
        Probe::Http(asked) => http(table, asked),
        Probe::Udp(Udp { send, expect }) => {
            octets(table, ("send", "send_hex"), Some(send).filter(|send| !send.is_empty()));
            octets(table, ("expect", "expect_hex"), expect.as_ref());
        }
        Probe::Dns(Dns { name, record }) => {
            table.put("name", &**name, name == ".");
            table.put("record", &**record, record == "SOA");
        }
        Probe::Smtp(Smtp { helo }) => table.put("helo", &**helo, helo == "localhost"),
        Probe::Grpc(Grpc { service, tls: known }) => {
            table.put("service", &**service, service.is_empty());
            table.put("tls", known.is_some(), known.is_none());
            if let Some(known) = known {
                tls(table, known);
            }
        }
        Probe::Script(Script { command }) => table.put("command", command.clone(), false),
    }
}

fn http(table: &mut Writer, asked: &Http) {
    let Http { method, path, host, status, body, tls: known } = asked;
    table.put("method", &**method, method == "GET");
    table.put("path", &**path, path == "/");
    table.put_some("host", host.as_deref());
    let codes = |codes: &RangeInclusive<u16>| match (codes.start(), codes.end()) {
        (first, last) if first == last => Value::from(u32::from(*first)),
        (first, last) => format!("{first}-{last}").into(),
    };
    table.put("status", Value::List(status.iter().map(codes).collect()), *status == [200..=399]);
    match body {
        Some(Body::Matches(expression)) => table.put("body", &**expression, false),
        Some(Body::Md5(digest)) => table.put("md5", hex(digest), false),
        Some(Body::Sha256(digest)) => table.put("sha256", hex(digest), false),
        None => {}
    }
    if let Some(known) = known {
        tls(table, known);
    }
}

fn tls(table: &mut Writer, Tls { sni, insecure, ca }: &Tls) {
    table.put_some("sni", sni.as_deref());
    table.put("insecure", *insecure, !insecure);
    table.put_some("ca", ca.as_ref().map(|path| path.to_string_lossy().into_owned()));
}

/// Writes octets as a text where they are one.
fn octets(table: &mut Writer, (text, digits): (&str, &str), octets: Option<&Vec<u8>>) {
    let Some(octets) = octets else { return };
    match std::str::from_utf8(octets) {
        Ok(words) => table.put(text, words, false),
        Err(_) => table.put(digits, hex(octets), false),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
