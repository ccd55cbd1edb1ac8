//! Checks: defaults, what a real server takes over from its service, and mistakes.

use std::time::Duration;

use super::*;
use crate::ctrl::health::check::{Http, Path, Probe};

fn service(text: &str) -> String {
    format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\n{text}\n")
}

fn wrong(check: &str) -> String {
    let text = format!("[[service]]\naddress = '203.0.113.1:80'\ncheck = {{ {check} }}\n");
    let said = refusal(&text);
    said.split_once("service[0].check").map_or(said.clone(), |(_, said)| said.to_owned())
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = accept(&service("check = { type = 'http' }\nreal = [{ address = '10.0.0.2' }]"));
    let Check { probe, interval, timeout, rise, fall, starts_up, path, .. } =
        config.services[0].reals[0].check.as_deref().unwrap().clone();
    let Probe::Http(Http { method, status, tls: None, .. }) = probe else { panic!("{probe:?}") };
    assert_eq!((&*method, status), ("GET", vec![200..=399]));
    assert_eq!((interval, timeout), (Duration::from_secs(2), Duration::from_secs(1)));
    assert_eq!((rise, fall, starts_up, path), (2, 3, true, Path::Real));
    let short = accept(&service("check = { type = 'tcp', interval = '300ms' }"));
    assert_eq!(short.services[0].health.check.as_ref().unwrap().timeout, Duration::from_millis(300));
}

#[test]
fn a_real_server_has_its_services_check_with_its_own_keys_or_none() {
    let text = "check = { type = 'https', path = '/health', sni = 'a' }\n\
                real = [{ address = '10.0.0.2' }, { address = '10.0.0.3', check = { path = '/other' } }, \
                { address = '10.0.0.4', check = { type = 'none' } }, { address = '10.0.0.5', check = { type = 'tcp' } }]";
    let config = accept(&service(text));
    let paths = config.services[0].reals.iter().map(|real| match real.check.as_deref().map(|check| &check.probe) {
        Some(Probe::Http(Http { path, tls: Some(tls), .. })) => format!("{path} {}", tls.sni.as_deref().unwrap_or("")),
        Some(other) => format!("{other:?}"),
        None => "none".to_owned(),
    });
    assert_eq!(paths.collect::<Vec<_>>(), ["/health a", "/other a", "none", "Tcp"]);
}

#[test]
fn a_check_asks_a_port_that_is_known() {
    let every = |check: &str| {
        format!("[[service]]\naddress = '203.0.113.1:0'\ncheck = {{ {check} }}\nreal = [{{ address = '10.0.0.2' }}]\n")
    };
    assert!(
        refusal(&every("type = 'tcp'"))
            .ends_with("real[0].address: the service has no one port: say in its check which \"port\" is asked")
    );
    for check in ["type = 'tcp', port = 80", "type = 'ping'", "type = 'script', command = ['/x']"] {
        accept(&format!("{PORTS}{}", every(check)));
    }
}

#[test]
fn mistakes_are_named() {
    for (check, expected) in [
        ("type = 'htp'", ".type: \"htp\" is unknown; did you mean \"http\"?"),
        ("interval = '2s'", ": the key \"type\" is missing"),
        ("type = 'tcp', path = '/'", ".path: a check of type \"tcp\" has no such key"),
        ("type = 'http', sni = 'a'", ".sni: a check of type \"http\" has no such key"),
        ("type = 'http', intervall = '2s'", ".intervall: unknown key; did you mean \"interval\"?"),
        ("type = 'tcp', interval = '1ms'", ".interval: 1ms is not in the range 50ms to 1day"),
        (
            "type = 'tcp', interval = '1s', timeout = '2s'",
            ".timeout: is longer than the interval: a check ends before the next one begins",
        ),
        ("type = 'tcp', rise = 0", ".rise: 0 is not in the range 1 to 1000"),
        (
            "type = 'tcp', through = 'vip', port = 81",
            ".port: through the VIP, it is the VIP and its port that are asked",
        ),
        ("type = 'http', path = 'x'", ".path: \"x\" is no path: it begins with / and has no spaces"),
        ("type = 'http', path = '/ HTTP/1.1'", ".path: \"/ HTTP/1.1\" is no path: it begins with / and has no spaces"),
        ("type = 'http', body = '('", ".body: no regular expression: unclosed group"),
        (
            "type = 'http', status = ['9-700']",
            ".status[0]: \"9-700\" is no status code, 100 to 599, and no range of them: \"200-299\"",
        ),
        ("type = 'http', md5 = 'abc'", ".md5: \"abc\" is not 16 octets of two hexadecimal digits each"),
        ("type = 'http', body = 'a', method = 'HEAD'", ".method: an answer to HEAD has no body to look at"),
        ("type = 'https', insecure = true, ca = '/a'", ".ca: with insecure = true any certificate will do"),
        ("type = 'udp', send = 'a', send_hex = '00'", ".send_hex: there is \"send\" too: write one of them"),
        ("type = 'dns', name = 'a..b'", ".name: \"a..b\" is no domain name"),
        ("type = 'grpc', sni = 'a'", ".sni: is for TLS, and \"tls\" is not true"),
        ("type = 'script', command = ['x']", ".command: \"x\" is no whole path of a program: it begins with /"),
        (
            "type = 'script', command = []",
            ".command: the list is empty: write the program, by its whole path, and its arguments",
        ),
    ] {
        assert_eq!(wrong(check), expected, "{check}");
    }
}

#[test]
fn what_failures_do_is_read() {
    let text = "on_failure = 'inhibit'\nquorum = 3\nhysteresis = 1\nquorum_down = ['/bin/page', 'me']";
    let health = accept(&service(text)).services[0].health.clone();
    assert_eq!((health.on_failure, health.quorum.weight, health.quorum.hysteresis), (OnFailure::Inhibit, 3, 1));
    assert_eq!((health.quorum.up.len(), health.quorum.down), (0, vec!["/bin/page".to_owned(), "me".to_owned()]));
}

#[test]
fn a_quorum_can_be_lost() {
    let said = refusal("[[service]]\naddress = '203.0.113.1:80'\nquorum = 2\nhysteresis = 2\n");
    assert!(said.ends_with("service[0].hysteresis: 2 is not below the quorum, 2: it could not be lost"), "{said}");
}

#[test]
fn a_check_that_finds_no_way_is_noted() {
    let real = "real = [{ address = '10.0.0.2' }]";
    let notes = |text: &str| -> Vec<_> {
        let loaded = parse("x.toml".as_ref(), text).unwrap();
        loaded.notes().iter().map(ConfigError::to_string).filter(|note| note.contains("check")).collect()
    };
    let text = service(&format!("check = {{ type = 'tcp' }}\n{real}"));
    let said = "service[0].check: note: no port has a twin: the host, which asks, has no way there by the ports";
    assert!(notes(&text)[0].ends_with(said), "{:?}", notes(&text));
    let twin = text.replacen("device = ", "twin = 'lan0'\ndevice = ", 1);
    assert_eq!(notes(&twin), [""; 0]);
    assert_eq!(notes(&service(&format!("check = {{ type = 'tcp', address = '127.0.0.1' }}\n{real}"))), [""; 0]);
}
