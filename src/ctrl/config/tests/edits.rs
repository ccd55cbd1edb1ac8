//! Services and real servers, edited key by key.

use super::*;
use crate::dataplane::address::Family;
use document::Table;

const TEXT: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
[[service]]
address = '203.0.113.1:80'
scheduler = 'mh'
scheduler_flags = ['mh-port']
mh_table_size = 251
timeout = '1h'
[[service.real]]
address = '10.0.0.2'
weight = 3
upper = 10
[[service.real]]
address = '10.0.0.3'
forwarding = 'tunnel'
slow_start = '5s'
";

fn json(text: &str) -> Table {
    serde_json::from_str(text).unwrap()
}

fn edited(set: &str) -> Result<Service, String> {
    let config = accept(TEXT);
    parts::edit_service(&config.services[0], &json(set), "set", &config.ports).map_err(|error| error.to_string())
}

#[test]
fn keys_that_are_given_are_replaced_and_others_stay() {
    let before = accept(TEXT).services[0].clone();
    assert_eq!(edited("{}").unwrap(), *before);
    let after = edited(r#"{"max_new_per_second":7,"timeout":null}"#).unwrap();
    assert_eq!(after, Service { max_new_per_second: 7, timeout: None, ..(*before).clone() });
}

#[test]
fn another_scheduler_begins_without_flags() {
    assert_eq!(edited(r#"{"scheduler":"rr"}"#).unwrap().scheduler, Scheduler::Rr);
    assert_eq!(edited(r#"{"scheduler":null}"#).unwrap().scheduler, Scheduler::Wlc);
    let Scheduler::Mh { flags, size } = edited(r#"{"scheduler":"mh","mh_table_size":509}"#).unwrap().scheduler else {
        panic!()
    };
    assert_eq!((flags.port, size), (true, 509));
    let sh = edited(r#"{"scheduler":"sh","scheduler_flags":["sh-fallback"]}"#).unwrap().scheduler;
    assert_eq!(sh, Scheduler::Sh(HashFlags { fallback: true, port: false }));
}

#[test]
fn real_servers_that_have_what_the_service_has_follow_it() {
    let after = edited(r#"{"forwarding":"direct","slow_start":"9s"}"#).unwrap();
    let reals: Vec<_> = after.reals.iter().map(|real| (real.forwarding, real.slow_start)).collect();
    assert_eq!(reals, [(Forwarding::Direct, 9), (Forwarding::Tunnel, 5)]);
}

#[test]
fn what_cannot_be_set_is_refused() {
    for (set, expected) in [
        (
            r#"{"mark":7}"#,
            "set.mark: cannot be set, it says which service this is: remove the service, and add another",
        ),
        (r#"{"real":[]}"#, "set.real: cannot be set: real servers are added, set and removed one at a time"),
        (r#"{"schedular":null}"#, "set.schedular: unknown key; did you mean \"scheduler\"?"),
        (r#"{"scheduler":7}"#, "set.scheduler: expected a string in quotes, found an integer"),
        (r#"{"persistence":{"timeout":null}}"#, "set.persistence.timeout: expected an integer, found null"),
    ] {
        assert_eq!(edited(set).unwrap_err(), expected);
    }
}

#[test]
fn real_servers_are_edited_alike() {
    let service = accept(TEXT).services[0].clone();
    let edit = |set: &str| {
        parts::edit_real(&service.reals[0], &service, &json(set), "set", &[]).map_err(|error| error.to_string())
    };
    let before = service.reals[0].clone();
    assert_eq!(edit(r#"{"weight":0}"#), Ok(Real { weight: 0, ..before }));
    assert_eq!(edit(r#"{"weight":null,"lower":5}"#).unwrap().thresholds, Thresholds { upper: 10, lower: 5 });
    assert_eq!(edit(r#"{"upper":0,"lower":5}"#).unwrap_err(), "set.lower: 5 is above the upper threshold, 0");
    assert_eq!(
        edit(r#"{"address":"10.0.0.9"}"#).unwrap_err(),
        "set.address: cannot be set, it says which real server this is: remove the real server, and add another"
    );
}

#[test]
fn timeouts_are_edited_in_seconds_too() {
    let old = Timeouts { tcp: 1, tcp_fin: 2, udp: 3 };
    let edit = |set: &str| parts::edit_timeouts(&old, &json(set), "set").map_err(|error| error.to_string());
    assert_eq!(edit(r#"{"tcp":90,"udp":null}"#), Ok(Timeouts { tcp: 90, tcp_fin: 2, udp: 300 }));
    assert_eq!(edit(r#"{"tcp_fin":"1m"}"#), Ok(Timeouts { tcp_fin: 60, ..old }));
    assert_eq!(edit(r#"{"tcp":0}"#).unwrap_err(), "set.tcp: \"0s\" is not in the range 1s to 31days");
}

#[test]
fn real_servers_are_found_by_address_and_port() {
    let service = accept(TEXT).services[0].clone();
    for (text, place) in [
        ("10.0.0.2:80", Some(0)),
        ("10.0.0.2", Some(0)),
        ("10.0.0.2:8080", None),
        ("10.0.0.3", Some(1)),
        ("10.0.0.3:80", Some(1)),
        ("10.0.0.4", None),
    ] {
        assert_eq!(parts::find_real(&service, text, "real").unwrap(), place, "{text}");
    }
    let direct = Service {
        reals: vec![Real { forwarding: Forwarding::Direct, ..service.reals[0].clone() }],
        ..Service::clone(&service)
    };
    assert_eq!(parts::find_real(&direct, "10.0.0.2:8080", "real").unwrap(), None, "it is at another port");
    let marked = Service { selector: Selector::Mark(7, Family::V4), ..direct };
    assert_eq!(parts::find_real(&marked, "10.0.0.2:8080", "real").unwrap(), Some(0), "every port is its own");
    let error = parts::find_real(&service, "web", "real").unwrap_err().to_string();
    assert_eq!(error, "real: \"web\" is not an IP address and port (names are not resolved)");
}
