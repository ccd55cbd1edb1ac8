//! `check` of a service and of a real server, and what a service does when real servers fail.
//!
//! A real server without a `check` has its service's; one with the keys of a check, but for its `type`, has the service's with
//! these keys replaced.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::document::Table;
use super::keys::CHECK;
use super::model::{Checks, Health, OnFailure, Quorum, Real, Service};
use super::section::{Item, Section};
use super::source::ConfigError;
use super::value;
use crate::ctrl::health::check::{Body, Check, Dns, Grpc, Http, Path, Probe, Script, Smtp, Tls, Udp};
use crate::dataplane::wire::ipv4;

mod observe;
mod write;

pub(super) use observe::MOST_OPENED;
pub use write::check_type;
pub(super) use write::{check as written, write, write_of_real};

/// Default of `check.interval`: keepalived users set 2 to 10 s, and Katran's and GLB's checkers take 2 s.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// Default of `check.timeout`, unless the interval is shorter.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// Default of `check.rise`: HAProxy's.
pub(super) const RISE: u32 = 2;
/// Default of `check.fall`: HAProxy's.
pub(super) const FALL: u32 = 3;
/// Default of `check.jitter`, in percent.
pub(super) const JITTER: u8 = 5;
/// Default of `check.damping`.
pub(super) const DAMPING: Duration = Duration::from_secs(300);

pub(super) const LONGEST: Duration = Duration::from_secs(86_400);
const SHORTEST: Duration = Duration::from_millis(50);
pub(super) const MOST_IN_A_ROW: u64 = 1000;
pub(super) const MOST_JITTER: u64 = 50;
/// More than a datagram on Ethernet carries.
const MOST_SENT: usize = 1400;

/// The types of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    None,
    Tcp,
    Tls,
    Http,
    Https,
    Udp,
    Dns,
    Smtp,
    Ping,
    Grpc,
    Script,
}

pub(super) const TYPES: &[(&str, Type)] = &[
    ("none", Type::None),
    ("tcp", Type::Tcp),
    ("tls", Type::Tls),
    ("http", Type::Http),
    ("https", Type::Https),
    ("udp", Type::Udp),
    ("dns", Type::Dns),
    ("smtp", Type::Smtp),
    ("ping", Type::Ping),
    ("grpc", Type::Grpc),
    ("script", Type::Script),
];
pub(super) const STARTS: &[(&str, bool)] = &[("up", true), ("down", false)];
pub(super) const PATHS: &[(&str, Path)] = &[("real", Path::Real), ("vip", Path::Vip)];
pub(super) const METHODS: &[(&str, &str)] =
    &[("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("POST", "POST")];
pub(super) const ON_FAILURE: &[(&str, OnFailure)] = &[("remove", OnFailure::Remove), ("inhibit", OnFailure::Inhibit)];
pub(super) const RECORDS: &[&str] =
    &["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "ANY", "DNSKEY", "DS", "HTTPS", "CAA"];

/// The keys of every check.
const OF_ALL: &[&str] = &["type", "interval", "timeout", "rise", "fall", "jitter", "delay", "damping", "start"];
/// What makes sense where something is asked.
const OF_ANY: &[&str] = &["observe"];
/// Those of one that goes over the network.
const OF_SOCKETS: &[&str] = &["address", "port", "through"];
const OF_HTTP: &[&str] = &["method", "path", "host", "status", "body", "md5", "sha256"];
const OF_TLS: &[&str] = &["sni", "insecure", "ca"];

impl Type {
    /// The keys of this type of check, apart from those of every check.
    fn keys(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::None => &[],
            Self::Tcp => &[OF_SOCKETS],
            Self::Tls => &[OF_SOCKETS, OF_TLS],
            Self::Http => &[OF_SOCKETS, OF_HTTP],
            Self::Https => &[OF_SOCKETS, OF_HTTP, OF_TLS],
            Self::Udp => &[OF_SOCKETS, &["send", "send_hex", "expect", "expect_hex"]],
            Self::Dns => &[OF_SOCKETS, &["name", "record"]],
            Self::Smtp => &[OF_SOCKETS, &["helo"]],
            Self::Ping => &[&["address", "through"]],
            Self::Grpc => &[OF_SOCKETS, &["service", "tls"], OF_TLS],
            Self::Script => &[&["command"]],
        }
    }
}

/// The longest and the shortest prefix of stand-ins.
const STAND_IN_PREFIXES: RangeInclusive<u8> = 8..=29;

/// Reads `[health]`.
pub(super) fn checks(section: Option<Section<'_>>) -> Result<Checks, ConfigError> {
    let mut checks = Checks::default();
    if let Some(item) = section.and_then(|section| section.get("stand_ins")) {
        checks.stand_ins = item.parse(|text| match value::prefix(text)? {
            IpNet::V4(prefix) if !STAND_IN_PREFIXES.contains(&prefix.prefix_len()) => {
                Err(format!("a prefix of 8 to 29 bits is needed, and \"{text}\" has {}", prefix.prefix_len()))
            }
            IpNet::V4(prefix) if !ipv4::is_host(prefix.addr().to_bits()) => {
                Err(format!("\"{text}\" has no addresses that a host may have"))
            }
            IpNet::V4(prefix) => Ok(prefix),
            IpNet::V6(_) => Err(format!("\"{text}\" is IPv6: stand-ins are IPv4")),
        })?;
    }
    Ok(checks)
}

/// Reads what a service says of the health of its real servers.
pub(super) fn health(section: &Section<'_>) -> Result<Health, ConfigError> {
    let number = |key| section.get(key).map(|item| item.integer(0..=u64::from(u32::MAX))).transpose();
    let hook = |key| section.get(key).map(|item| command(&item)).transpose().map(Option::unwrap_or_default);
    let on_failure = section.get("on_failure").map(|item| item.word(ON_FAILURE, &[])).transpose()?;
    let (quorum, hysteresis) = (number("quorum")?.unwrap_or(1), number("hysteresis")?.unwrap_or(0));
    if let Some(item) = section.get("hysteresis").filter(|_| hysteresis > 0 && hysteresis >= quorum) {
        return Err(item.error(format!("{hysteresis} is not below the quorum, {quorum}: it could not be lost")));
    }
    let check = section.get("check").map(|item| item.entries().and_then(|table| check(&item, table))).transpose()?;
    Ok(Health {
        check: check.flatten().map(Arc::new),
        on_failure: on_failure.unwrap_or_default(),
        quorum: Quorum {
            weight: quorum as u32,
            hysteresis: hysteresis as u32,
            up: hook("quorum_up")?,
            down: hook("quorum_down")?,
        },
    })
}

/// Reads what a real server says of its check, and sees that the check has somebody to ask.
pub(super) fn of_real(
    section: &Section<'_>,
    service: &Service,
    real: &Real,
) -> Result<Option<Arc<Check>>, ConfigError> {
    let own = section.get("check");
    let check = match &own {
        None => service.health.check.clone(),
        Some(item) => {
            let mut table = item.entries()?.clone();
            if table.get("type").is_none()
                && let Some(of_service) = &service.health.check
            {
                let mut written = write::check(of_service, write::Detail::Short);
                table.iter().for_each(|(key, value)| written.set(key, value.clone()));
                table = written;
            }
            self::check(item, &table)?.map(Arc::new)
        }
    };
    let asks_a_port = |check: &&Arc<Check>| !matches!(check.probe, Probe::Ping | Probe::Script(_));
    let portless = real.address.port() == 0 && check.as_ref().filter(asks_a_port).is_some_and(|it| it.port.is_none());
    if portless {
        let item = own.map_or_else(|| section.required("address"), Ok)?;
        return Err(item.error("the service has no one port: say in its check which \"port\" is asked"));
    }
    if check.as_ref().is_some_and(|check| check.observe.is_some())
        && let Some(obstacle) = observe::obstacle(service, real)
    {
        let item = section.get("check").map_or_else(|| section.required("address"), Ok)?;
        return Err(item.error(obstacle));
    }
    Ok(check)
}

/// Reads a check that is written as `table` where `item` stands; `None` for `type = "none"`.
fn check(item: &Item<'_>, table: &Table) -> Result<Option<Check>, ConfigError> {
    let section = item.open(table, &CHECK)?;
    let kind: Type = section.required("type")?.word(TYPES, &[])?;
    let any = if kind == Type::None { &[][..] } else { OF_ANY };
    let fits = |key: &str| [OF_ALL, any].iter().chain(kind.keys()).any(|some| some.contains(&key));
    if let Some((key, _)) = table.iter().find(|(key, _)| !fits(key)) {
        let kind = TYPES.iter().find(|(_, meaning)| *meaning == kind).map_or("", |(word, _)| word);
        return Err(section.required(key)?.error(format!("a check of type \"{kind}\" has no such key")));
    }
    let Some(probe) = probe(kind, &section)? else { return Ok(None) };
    let time = |key: &str| section.get(key).map(|item| item.parse(value::duration).map(|it| (it, item))).transpose();
    let within = |key: &str, default: Duration, shortest: Duration| match time(key)? {
        Some((time, item)) if !(shortest..=LONGEST).contains(&time) => {
            let range = format!("{} to {}", value::written(shortest), value::written(LONGEST));
            Err(item.error(format!("{} is not in the range {range}", value::written(time))))
        }
        Some((time, _)) => Ok(time),
        None => Ok(default),
    };
    let count = |key: &str, range: RangeInclusive<u64>, default: u32| {
        section.get(key).map_or(Ok(default), |item| Ok(item.integer(range)? as u32))
    };
    let interval = within("interval", INTERVAL, SHORTEST)?;
    let timeout = within("timeout", TIMEOUT.min(interval), SHORTEST)?;
    if timeout > interval {
        let error = "is longer than the interval: a check ends before the next one begins";
        return Err(section.required("timeout")?.error(error));
    }
    let check = Check {
        probe,
        interval,
        timeout,
        rise: count("rise", 1..=MOST_IN_A_ROW, RISE)?,
        fall: count("fall", 1..=MOST_IN_A_ROW, FALL)?,
        jitter: count("jitter", 0..=MOST_JITTER, JITTER.into())? as u8,
        delay: within("delay", Duration::ZERO, Duration::ZERO)?,
        damping: within("damping", DAMPING, Duration::ZERO)?,
        starts_up: section.get("start").map_or(Ok(true), |item| item.word(STARTS, &[]))?,
        address: section.get("address").map(|item| item.parse(asked)).transpose()?,
        port: section.get("port").map(|item| Ok(item.integer(1..=u16::MAX.into())? as u16)).transpose()?,
        path: section.get("through").map_or(Ok(Path::Real), |item| item.word(PATHS, &[]))?,
        observe: section.get("observe").map(observe::read).transpose()?,
    };
    if check.path == Path::Vip
        && let Some(item) = section.get("address")
    {
        return Err(item.error("through the VIP, it is the VIP that is asked"));
    }
    Ok(Some(check))
}

fn probe(kind: Type, section: &Section<'_>) -> Result<Option<Probe>, ConfigError> {
    Ok(Some(match kind {
        Type::None => return Ok(None),
        Type::Tcp => Probe::Tcp,
        Type::Tls => Probe::Tls(tls(section)?),
        Type::Http => Probe::Http(http(section, None)?),
        Type::Https => Probe::Http(http(section, Some(tls(section)?))?),
        Type::Udp => Probe::Udp(Udp {
            send: octets(section, "send", "send_hex")?.unwrap_or_default(),
            expect: octets(section, "expect", "expect_hex")?,
        }),
        Type::Dns => Probe::Dns(Dns {
            name: section.get("name").map_or(Ok(".".to_owned()), |item| item.parse(domain))?,
            record: section.get("record").map_or(Ok("SOA".to_owned()), |item| item.parse(record))?,
        }),
        Type::Smtp => {
            Probe::Smtp(Smtp { helo: section.get("helo").map_or(Ok("localhost".to_owned()), |item| item.parse(word))? })
        }
        Type::Ping => Probe::Ping,
        Type::Grpc => {
            let encrypted = section.get("tls").map_or(Ok(false), |item| item.boolean())?;
            if !encrypted && let Some(item) = OF_TLS.iter().find_map(|key| section.get(key)) {
                return Err(item.error("is for TLS, and \"tls\" is not true"));
            }
            let service = section.get("service").map_or(Ok(""), |item| item.string())?.to_owned();
            Probe::Grpc(Grpc { service, tls: encrypted.then(|| tls(section)).transpose()? })
        }
        Type::Script => Probe::Script(Script { command: command(&section.required("command")?)? }),
    }))
}

fn http(section: &Section<'_>, tls: Option<Tls>) -> Result<Http, ConfigError> {
    let status = match section.get("status") {
        Some(item) => item.list()?.iter().map(status).collect::<Result<_, _>>()?,
        None => vec![200..=399],
    };
    let digest =
        |key: &str, octets: usize| section.get(key).map(|item| item.parse(|text| hex(text, octets))).transpose();
    let bodies = [
        section.get("body").map(|item| item.parse(expression)).transpose()?.map(Body::Matches),
        digest("md5", 16)?.and_then(|octets| octets.try_into().ok()).map(Body::Md5),
        digest("sha256", 32)?.and_then(|octets| octets.try_into().ok()).map(Body::Sha256),
    ];
    let mut bodies = bodies.into_iter().flatten();
    let body = bodies.next();
    if bodies.next().is_some() {
        let item = section.required(if section.get("sha256").is_some() { "sha256" } else { "md5" })?;
        return Err(item.error("the body has one rule: \"body\", \"md5\" or \"sha256\""));
    }
    let method = section.get("method").map_or(Ok("GET"), |item| item.word(METHODS, &[]))?;
    if method == "HEAD" && body.is_some() {
        return Err(section.required("method")?.error("an answer to HEAD has no body to look at"));
    }
    Ok(Http {
        method: method.to_owned(),
        path: section.get("path").map_or(Ok("/".to_owned()), |item| item.parse(path))?,
        host: section.get("host").map(|item| item.parse(word)).transpose()?,
        status,
        body,
        tls,
    })
}

fn tls(section: &Section<'_>) -> Result<Tls, ConfigError> {
    let insecure = section.get("insecure").map_or(Ok(false), |item| item.boolean())?;
    let ca = section.get("ca").map(|item| item.parse(whole_path)).transpose()?;
    if insecure && ca.is_some() {
        return Err(section.required("ca")?.error("with insecure = true any certificate will do"));
    }
    Ok(Tls { sni: section.get("sni").map(|item| item.parse(word)).transpose()?, insecure, ca: ca.map(Into::into) })
}

/// A status code or several: `200`, `"300-399"`.
fn status(item: &Item<'_>) -> Result<RangeInclusive<u16>, ConfigError> {
    if !item.is_string() {
        let code = item.integer(100..=599)? as u16;
        return Ok(code..=code);
    }
    item.parse(|text| {
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => Ok(first..=last),
            _ => Err(format!("\"{text}\" is no status code, 100 to 599, and no range of them: \"200-299\"")),
        }
    })
}

/// A text, or its octets in hexadecimal digits.
fn octets(section: &Section<'_>, text: &str, digits: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    let (octets, item) = match (section.get(text), section.get(digits)) {
        (Some(_), Some(item)) => return Err(item.error(format!("there is \"{text}\" too: write one of them"))),
        (Some(item), None) => (item.string()?.as_bytes().to_vec(), item),
        (None, Some(item)) => (item.parse(|text| hex(text, text.len() / 2))?, item),
        (None, None) => return Ok(None),
    };
    match octets.len() {
        0..=MOST_SENT => Ok(Some(octets)),
        more => Err(item.error(format!("{more} octets are more than {MOST_SENT}"))),
    }
}

/// A program, by its whole path, and its arguments.
pub(super) fn command(item: &Item<'_>) -> Result<Vec<String>, ConfigError> {
    let words: Vec<_> = item.list()?.iter().map(|word| word.string().map(str::to_owned)).collect::<Result<_, _>>()?;
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        Some(program) => Err(item.error(format!("\"{program}\" is no whole path of a program: it begins with /"))),
        None => Err(item.error("the list is empty: write the program, by its whole path, and its arguments")),
    }
}

fn hex(text: &str, octets: usize) -> Result<Vec<u8>, String> {
    let pair = |place: usize| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).unwrap_or_default();
    if text.len() == octets * 2 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok((0..octets).map(pair).collect())
    } else {
        Err(format!("\"{text}\" is not {octets} octets of two hexadecimal digits each"))
    }
}

fn expression(text: &str) -> Result<String, String> {
    crate::ctrl::health::probe::pattern(text).map(|_| text.to_owned()).map_err(|error| {
        let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        format!("no regular expression: {}", last.trim_start_matches("error: "))
    })
}

fn path(text: &str) -> Result<String, String> {
    let clean = text.bytes().all(|octet| octet.is_ascii_graphic());
    if text.starts_with('/') && clean {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no path: it begins with / and has no spaces"))
    }
}

fn whole_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no whole path: it begins with /"))
    }
}

/// Whom a check asks in place of the real server: this host too.
fn asked(text: &str) -> Result<IpAddr, String> {
    match text.parse() {
        Ok(IpAddr::V4(address)) if address.is_loopback() => Ok(address.into()),
        _ => value::host(text),
    }
}

/// A name without spaces and signs that would end a line.
fn word(text: &str) -> Result<String, String> {
    let clean = !text.is_empty() && text.len() <= 255 && text.bytes().all(|octet| octet.is_ascii_graphic());
    if clean { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no name: up to 255 letters, digits and signs")) }
}

/// RFC 1035 §2.3.4: labels of up to 63 octets, 253 in all.
fn domain(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|octet| octet.is_ascii_graphic());
    if name.is_empty() && text == "." || name.len() <= 253 && name.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no domain name"))
    }
}

fn record(text: &str) -> Result<String, String> {
    let known = RECORDS.iter().find(|known| known.eq_ignore_ascii_case(text));
    known
        .map(|known| (*known).to_owned())
        .ok_or_else(|| format!("\"{text}\" is unknown; known are {}", RECORDS.join(", ")))
}
