//! A notice in the forms in which it is told: arguments, variables, JSON.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Notice, Pool};
use crate::dataplane::selector::Selector;

/// How much of a reason is told, in octets: part of it may be what a server has said.
const LONGEST_REASON: usize = 512;

/// A notice, and what its receivers are told besides.
#[derive(Debug)]
pub(super) struct Told {
    notice: Notice,
    /// Its number, from 1, among all of this run of the director.
    sequence: u64,
    /// The host's name.
    director: String,
}

/// What a webhook gets.
#[derive(Debug, Serialize)]
struct Message<'a> {
    event: &'static str,
    time: String,
    director: &'a str,
    sequence: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    real: Option<String>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<u64>,
}

impl Told {
    /// Makes a reason fit to be told: one line, not too long.
    pub fn new(mut notice: Notice, sequence: u64, director: String) -> Self {
        notice.reason = line(&notice.reason);
        Self { notice, sequence, director }
    }

    /// keepalived's words: what it writes into its `lvs_notify_fifo`, one argument each.
    pub fn arguments(&self) -> Vec<String> {
        let Notice { event, service, real, .. } = &self.notice;
        let mut words = match (service, real) {
            (Some(service), Some(real)) => vec!["RS".to_owned(), keepalived_real(service, real), keepalived(service)],
            (Some(service), None) => vec!["VS".to_owned(), keepalived(service)],
            (None, _) => vec!["DIRECTOR".to_owned(), self.director.clone()],
        };
        words.push(event.state().to_owned());
        words
    }

    /// The variables of a command's environment; `lost` notices before this one did not reach the command.
    pub fn variables(&self, lost: u64) -> Vec<(&'static str, String)> {
        let message = self.message(lost);
        let mut variables = vec![
            ("MILLRACE_EVENT", message.event.to_owned()),
            ("MILLRACE_TIME", message.time),
            ("MILLRACE_DIRECTOR", message.director.to_owned()),
            ("MILLRACE_SEQUENCE", message.sequence.to_string()),
            ("MILLRACE_LOST", message.lost.to_string()),
            ("MILLRACE_REASON", message.reason.to_owned()),
        ];
        let more = [
            ("MILLRACE_SERVICE", message.service),
            ("MILLRACE_PROTOCOL", message.protocol),
            ("MILLRACE_REAL", message.real),
            ("MILLRACE_UP", message.up.map(|up| up.to_string())),
            ("MILLRACE_SERVERS", message.servers.map(|servers| servers.to_string())),
            ("MILLRACE_WEIGHT", message.weight.map(|weight| weight.to_string())),
            ("MILLRACE_QUORUM", message.quorum.map(|quorum| quorum.to_string())),
        ];
        variables.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
        variables
    }

    /// What a webhook gets; `lost` notices before this one did not reach it.
    pub fn json(&self, lost: u64) -> Vec<u8> {
        // Plain numbers and texts: they are always written.
        serde_json::to_vec(&self.message(lost)).unwrap_or_default()
    }

    fn message(&self, lost: u64) -> Message<'_> {
        let Notice { at, event, service, real, reason, pool } = &self.notice;
        Message {
            event: event.name(),
            time: humantime::format_rfc3339_millis(*at).to_string(),
            director: &self.director,
            sequence: self.sequence,
            lost,
            service: service.map(|service| service.to_string()),
            protocol: service.map(|service| service.protocol().to_lowercase()),
            real: real.map(written),
            reason,
            up: pool.map(|Pool { up, .. }| up),
            servers: pool.map(|Pool { servers, .. }| servers),
            weight: pool.map(|Pool { weight, .. }| weight),
            quorum: pool.map(|Pool { quorum, .. }| quorum),
        }
    }
}

/// A real server as it is written in the configuration: without a port where it has the client's.
fn written(real: SocketAddr) -> String {
    match real.port() {
        0 => real.ip().to_string(),
        _ => real.to_string(),
    }
}

fn keepalived(service: &Selector) -> String {
    match service {
        Selector::Mark(mark, _) => format!("FWM {mark}"),
        Selector::Socket(address, _) => format!("[{}]:{}:{}", address.ip(), protocol(service), address.port()),
        Selector::Range(_) | Selector::Match(_) => {
            format!("[{}]:{}:{}", service.addresses(), protocol(service), service.ports())
        }
    }
}

fn keepalived_real(service: &Selector, real: &SocketAddr) -> String {
    format!("[{}]:{}:{}", real.ip(), protocol(service), real.port())
}

/// keepalived has `none` where a mark's service has no protocol of its own.
fn protocol(service: &Selector) -> String {
    match service {
        Selector::Mark(..) => "none".to_owned(),
        service => service.protocol().to_lowercase(),
    }
}

/// A text on one line, not too long.
fn line(text: &str) -> String {
    let mut end = text.len().min(LONGEST_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::Event;
    use super::*;
    use crate::dataplane::address::Family;
    use crate::dataplane::selector::{Pattern, Ports};
    use crate::dataplane::service::Protocol;

    fn told(service: Option<Selector>, real: Option<&str>, event: Event, reason: &str) -> Told {
        let notice = Notice {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            event,
            service,
            real: real.map(|real| real.parse().unwrap()),
            reason: reason.to_owned(),
            pool: service.map(|_| Pool { up: 2, servers: 3, weight: 4, quorum: 1 }),
        };
        Told::new(notice, 17, "lb1".to_owned())
    }

    fn web() -> Selector {
        Selector::Socket("203.0.113.10:80".parse().unwrap(), Protocol::Tcp)
    }

    #[test]
    fn arguments_are_what_keepalived_writes_into_its_fifo() {
        let range = Pattern {
            ports: Ports { first: 80, last: 81 },
            protocol: Some(Protocol::Udp),
            ..Pattern::every(Family::V4)
        };
        for (service, real, event, words) in [
            (web(), Some("10.0.0.11:8080"), Event::ServerDown, "RS|[10.0.0.11]:tcp:8080|[203.0.113.10]:tcp:80|DOWN"),
            (web(), None, Event::QuorumUp, "VS|[203.0.113.10]:tcp:80|UP"),
            (
                Selector::Mark(7, Family::V4),
                Some("10.0.0.11:0"),
                Event::MaintenanceOn,
                "RS|[10.0.0.11]:none:0|FWM 7|MAINTENANCE",
            ),
            (Selector::Range(range), None, Event::QuorumDown, "VS|[0.0.0.0/0]:udp:80-81|DOWN"),
            (
                Selector::Socket("[2001:db8::10]:80".parse().unwrap(), Protocol::Tcp),
                Some("[2001:db8:1::b]:8080"),
                Event::ServerDown,
                "RS|[2001:db8:1::b]:tcp:8080|[2001:db8::10]:tcp:80|DOWN",
            ),
        ] {
            assert_eq!(told(Some(service), real, event, "").arguments().join("|"), words);
        }
        assert_eq!(told(None, None, Event::DirectorDraining, "").arguments(), ["DIRECTOR", "lb1", "DRAINING"]);
    }

    #[test]
    fn json_and_variables_say_the_same() {
        let told = told(Some(web()), Some("10.0.0.11:8080"), Event::ServerDown, "no answer within 1s");
        let json: serde_json::Value = serde_json::from_slice(&told.json(3)).unwrap();
        let expected = serde_json::json!({
            "event": "server_down", "time": "1970-01-01T00:00:01.500Z", "director": "lb1", "sequence": 17, "lost": 3,
            "service": "203.0.113.10:80", "protocol": "tcp", "real": "10.0.0.11:8080", "reason": "no answer within 1s",
            "up": 2, "servers": 3, "weight": 4, "quorum": 1,
        });
        assert_eq!(json, expected);
        let variables = told.variables(3);
        assert_eq!(variables.len(), expected.as_object().unwrap().len());
        for (name, value) in variables {
            let key = name.strip_prefix("MILLRACE_").unwrap().to_lowercase();
            let text = expected[&key].as_str().map_or_else(|| expected[&key].to_string(), str::to_owned);
            assert_eq!(value, text, "{name}");
        }
    }

    #[test]
    fn what_there_is_nothing_to_say_of_is_left_out() {
        let told = told(None, None, Event::DirectorActive, "");
        let json: serde_json::Value = serde_json::from_slice(&told.json(0)).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["director", "event", "lost", "reason", "sequence", "time"]);
        assert_eq!(told.variables(0).len(), keys.len());
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        assert_eq!(line("a\r\nb\0c"), "a  b c");
        let long = line(&"é".repeat(400));
        assert!(long.len() <= LONGEST_REASON && long.chars().all(|letter| letter == 'é'), "{long}");
    }
}
