//! Random checks.

use std::time::Duration;

use super::*;
use crate::ctrl::health::check::{Body, Check, Dns, Grpc, Http, Path, Probe, Script, Smtp, Tls, Udp};
use crate::ctrl::health::observe::Observe;

fn word(rng: &mut Rng) -> String {
    text(rng, "aZ09-_.", 20)
}

fn command(rng: &mut Rng) -> Vec<String> {
    let arguments = several(rng, 3, |rng| text(rng, "x=\"'\\ é\t", 9));
    [format!("/{}", text(rng, "ab/ é", 9))].into_iter().chain(arguments).collect()
}

fn tls(rng: &mut Rng) -> Tls {
    let insecure = rng.bool();
    let ca = some(rng, |rng| format!("/{}", word(rng)).into()).filter(|_| !insecure);
    Tls { sni: some(rng, word), insecure, ca }
}

fn http(rng: &mut Rng) -> Http {
    let body = match rng.u8(..4) {
        0 => Some(Body::Matches(text(rng, "a.*é\"", 9).trim_start_matches('*').to_owned())),
        1 => Some(Body::Md5([rng.u8(..); 16])),
        2 => Some(Body::Sha256([rng.u8(..); 32])),
        _ => None,
    };
    let body = body.filter(|body| {
        *body != Body::Matches(String::new()) && !matches!(body, Body::Matches(it) if it.contains("**"))
    });
    let code = |rng: &mut Rng| {
        let first = rng.u16(100..=599);
        first..=or(rng, first, |rng| rng.u16(first..=599))
    };
    Http {
        method: if body.is_some() { "GET" } else { *rng.choice(&["GET", "HEAD", "OPTIONS", "POST"]).unwrap() }
            .to_owned(),
        path: format!("/{}", word(rng)),
        host: some(rng, word),
        status: or(rng, vec![200..=399], |rng| several(rng, 3, code)),
        body,
        tls: some(rng, tls),
    }
}

fn probe(rng: &mut Rng) -> Probe {
    let octets = |rng: &mut Rng| if rng.bool() { vec![0xff, rng.u8(..)] } else { text(rng, "aé\n", 20).into_bytes() };
    match rng.u8(..9) {
        0 => Probe::Tcp,
        1 => Probe::Tls(tls(rng)),
        2 => Probe::Http(http(rng)),
        3 => Probe::Udp(Udp { send: or(rng, Vec::new(), octets), expect: some(rng, octets) }),
        4 => Probe::Dns(Dns { name: or(rng, ".".to_owned(), |_| "www.example".to_owned()), record: "MX".to_owned() }),
        5 => Probe::Smtp(Smtp { helo: word(rng) }),
        6 => Probe::Ping,
        7 => Probe::Grpc(Grpc { service: or(rng, String::new(), word), tls: some(rng, tls) }),
        _ => Probe::Script(Script { command: command(rng) }),
    }
}

fn observe(rng: &mut Rng) -> Observe {
    let Observe { window, least, failed, .. } = Observe::default();
    Observe {
        window: or(rng, window, |rng| rng.u32(1..=60)),
        least: or(rng, least, |rng| rng.u32(1..=1_000_000)),
        failed: or(rng, failed, |rng| rng.u8(1..=100)),
        reset: some(rng, |rng| rng.u8(1..=100)),
    }
}

/// A random check, of a server whose port is known, or not, and whose connections are seen, or not.
pub fn check(rng: &mut Rng, port_known: bool, seen: bool) -> Check {
    let probe = probe(rng);
    let time = |rng: &mut Rng, from: u64, to: u64| Duration::from_millis(rng.u64(from..=to));
    let interval = or(rng, Duration::from_secs(2), |rng| time(rng, 50, 86_400_000));
    let default = Duration::from_secs(1).min(interval);
    let network = !matches!(probe, Probe::Script(_));
    let asked_port = network && probe != Probe::Ping;
    let through = network && rng.bool();
    Check {
        timeout: or(rng, default, |rng| time(rng, 50, interval.as_millis() as u64)),
        interval,
        rise: or(rng, 2, |rng| rng.u32(1..=1000)),
        fall: or(rng, 3, |rng| rng.u32(1..=1000)),
        jitter: or(rng, 5, |rng| rng.u8(..=50)),
        delay: or(rng, Duration::ZERO, |rng| time(rng, 0, 86_400_000)),
        damping: or(rng, Duration::from_secs(300), |rng| time(rng, 0, 86_400_000)),
        starts_up: rng.bool(),
        address: some(rng, |rng| {
            let family = family(rng);
            host(rng, family)
        })
        .filter(|_| network && !through),
        port: (asked_port && (!port_known || rng.bool())).then(|| rng.u16(1..)),
        path: if through { Path::Vip } else { Path::Real },
        observe: some(rng, observe).filter(|_| seen),
        probe,
    }
}

/// Random, for a service all of whose real servers have a port that is known, or not.
pub fn health(rng: &mut Rng, port_known: bool) -> Health {
    let hook = |rng: &mut Rng| or(rng, Vec::new(), command);
    let weight = or(rng, 1, |rng| rng.u32(..));
    Health {
        check: some(rng, |rng| Arc::new(check(rng, port_known, false))),
        on_failure: or(rng, OnFailure::Remove, |_| OnFailure::Inhibit),
        quorum: Quorum {
            weight,
            hysteresis: or(rng, 0, |rng| rng.u32(..weight.max(1))),
            up: hook(rng),
            down: hook(rng),
        },
    }
}
