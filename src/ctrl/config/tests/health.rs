//! Checks: defaults, what a real server takes over from its service, and mistakes.

use std::time::Duration;

use super::*;
use crate::ctrl::health::check::{Http, Path, Probe};
use crate::ctrl::health::observe::Observe;

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
fn clients_connections_are_observed_where_that_is_asked_for() {
    let text = "check = { type = 'tcp', observe = { window = '30s', reset = 50 } }\n\
                real = [{ address = '10.0.0.2' }, { address = '10.0.0.3', check = { observe = {} } }, \
                { address = '10.0.0.4', check = { rise = 1 } }, { address = '10.0.0.5', check = { type = 'tcp' } }]";
    let config = accept(&service(text));
    let rules: Vec<_> = config.services[0].reals.iter().map(|real| real.check.as_ref().unwrap().observe).collect();
    let own = Observe { window: 30, reset: Some(50), ..Observe::default() };
    assert_eq!(rules, [Some(own), Some(Observe::default()), Some(own), None]);
    let written = write::check(config.services[0].health.check.as_ref().unwrap());
    assert_eq!(written, r#"{"type":"tcp","observe":{"window":"30s","reset":50}}"#);
    assert_eq!(accept(&write::config(&config).to_toml()), config);
}

#[test]
fn what_is_observed_are_tcp_connections_with_answers_that_pass() {
    let text = |keys: &str, real: &str| {
        let check = "check = { type = 'tcp', observe = {} }";
        format!("[[service]]\naddress = '203.0.113.1:80'\n{check}\n{keys}\nreal = [{{ {real} }}]\n{PORTS}")
    };
    accept(&text("", "address = '10.0.0.2'"));
    accept(&text("forwarding = 'direct'", "address = '10.0.0.2', forwarding = 'nat'"));
    accept(&text("forwarding = 'direct'", "address = '10.0.0.2', check = { type = 'tcp' }"));
    let passing = "\"observe\" takes answers that pass the director, as by nat: by ";
    for (keys, real, expected) in [
        ("forwarding = 'direct'", "address = '10.0.0.2'", format!("address: {passing}direct they do not")),
        (
            "",
            "address = '10.0.0.2', forwarding = 'tunnel', check = { rise = 1 }",
            format!("check: {passing}tunnel they do not"),
        ),
        (
            "protocol = 'udp'",
            "address = '10.0.0.2'",
            "address: \"observe\" is for TCP connections, and the service's protocol is UDP".to_owned(),
        ),
    ] {
        let said = refusal(&text(keys, real));
        assert!(said.ends_with(&format!("service[0].real[0].{expected}")), "{said}");
    }
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
        ("type = 'none', observe = {}", ".observe: a check of type \"none\" has no such key"),
        ("type = 'tcp', observe = true", ".observe: write it as a table, check.observe"),
        ("type = 'tcp', observe = { window = '61s' }", ".observe.window: \"61s\" is not in the range 1s to 1m"),
        ("type = 'tcp', observe = { window = '500ms' }", ".observe.window: \"500ms\" is not a whole number of seconds"),
        ("type = 'tcp', observe = { failed = 0 }", ".observe.failed: 0 is not in the range 1 to 100"),
        (
            "type = 'tcp', observe = { most = 1 }",
            ".observe.most: unknown key in check.observe; known are window, least, failed, reset",
        ),
        ("type = 'http', intervall = '2s'", ".intervall: unknown key; did you mean \"interval\"?"),
        ("type = 'tcp', interval = '1ms'", ".interval: 1ms is not in the range 50ms to 1day"),
        (
            "type = 'tcp', interval = '1s', timeout = '2s'",
            ".timeout: is longer than the interval: a check ends before the next one begins",
        ),
        ("type = 'tcp', rise = 0", ".rise: 0 is not in the range 1 to 1000"),
        (
            "type = 'tcp', through = 'vip', address = '10.0.0.9'",
            ".address: through the VIP, it is the VIP that is asked",
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

const TWIN: &str = "[[port]]\nname = 'twinned'\ndevice = 'net_ring9'\naddresses = ['10.9.0.1/24']\ntwin = 'twin0'\n";

/// A service some of whose real servers are checked through its VIP, which is the first line of what is returned.
fn through(selector: &str, more: &str) -> String {
    let real = |last, check| format!("{{ address = '10.9.0.{last}:80', check = {{ type = 'tcp'{check} }} }}");
    let reals = [real(2, ""), real(3, ", through = 'vip'"), real(4, ", through = 'vip', port = 81")].join(", ");
    format!("[[service]]\n{selector}\nforwarding = 'direct'\nreal = [{reals}]\n{more}")
}

#[test]
fn real_servers_are_checked_through_a_vip() {
    let text = format!("{}{TWIN}", through("address = '203.0.113.1:80'", ""));
    let config = accept(&text);
    let asked: Vec<_> = config.services[0].checked_through_vip().map(|(place, real)| (place, real.address)).collect();
    assert_eq!(asked, [(1, "10.9.0.3:80".parse().unwrap()), (2, "10.9.0.4:80".parse().unwrap())]);
    assert_eq!((config.checks.stand_ins.to_string(), config.checks.places()), ("198.18.0.0/15".to_owned(), 131_069));
    let config = accept(&format!("[health]\nstand_ins = '10.64.0.0/29'\n{text}"));
    assert_eq!((config.checks.stand_ins.to_string(), config.checks.places()), ("10.64.0.0/29".to_owned(), 5));
}

#[test]
fn a_check_through_a_vip_needs_a_twin_a_vip_and_a_stand_in() {
    let socket = "address = '203.0.113.1:80'";
    for (selector, twin, expected) in [
        (
            socket,
            "",
            "4: service[0].real[1].check: through the VIP the host asks by a port's twin, and no port has one",
        ),
        (
            "address = '203.0.113.0/28:80'",
            TWIN,
            "4: service[0].real[1].check: the service has no VIP to ask through: name one in its \"vips\"",
        ),
    ] {
        let port = if twin.is_empty() { TWIN.replace("twin = 'twin0'\n", "") } else { twin.to_owned() };
        assert_eq!(refusal(&format!("{}{port}", through(selector, ""))), expected);
    }
    let local = through(socket, "").replace("10.9.0.3", "10.9.0.1");
    let expected =
        "4: service[0].real[1].check: this real server is the host itself, which is not asked through the VIP";
    assert_eq!(refusal(&format!("{local}{TWIN}")), expected);
    let many: Vec<_> = (1..=3).map(|vip| through(&format!("address = '203.0.113.{vip}:80'"), "")).collect();
    let said = refusal(&format!("[health]\nstand_ins = '10.64.0.0/29'\n{}{TWIN}", many.concat()));
    let expected = "14: service[2].real[2].check: 5 real servers can be checked through their VIPs, as many as \
                    health.stand_ins has addresses for";
    assert_eq!(said, expected);
}

#[test]
fn stand_ins_are_nobody_elses_addresses() {
    let text =
        |prefix: &str| format!("[health]\nstand_ins = '{prefix}'\n{}{TWIN}", through("address = '203.0.113.1:80'", ""));
    for (prefix, expected) in [
        ("10.9.0.128/25", "the network 10.9.0.0/24"),
        ("10.8.0.0/15", "the network 10.9.0.0/24"),
        ("203.0.113.0/29", "the VIP 203.0.113.1"),
    ] {
        let said = refusal(&text(prefix));
        let start = format!("2: health.stand_ins: {expected} is in {prefix}, which stand-ins are taken from, in line ");
        assert!(said.starts_with(&start), "{said}");
        accept(&text(prefix).replace("through = 'vip'", "rise = 2"));
    }
    for (prefix, expected) in [
        ("10.0.0.0/7", "a prefix of 8 to 29 bits is needed, and \"10.0.0.0/7\" has 7"),
        ("10.64.0.0/30", "a prefix of 8 to 29 bits is needed, and \"10.64.0.0/30\" has 30"),
        ("224.0.0.0/16", "\"224.0.0.0/16\" has no addresses that a host may have"),
        ("2001:db8::/64", "\"2001:db8::/64\" is IPv6: stand-ins are IPv4"),
    ] {
        assert_eq!(refusal(&text(prefix)), format!("2: health.stand_ins: {expected}"));
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
