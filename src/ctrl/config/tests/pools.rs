//! What a service says of its pool as a whole: slow start, a sorry server, one-packet scheduling.

use super::*;

fn service(keys: &str) -> String {
    format!("{PORTS}[[service]]\naddress = '203.0.113.1:53'\nprotocol = 'udp'\n{keys}\n")
}

#[test]
fn a_real_server_starts_as_slowly_as_its_service_unless_it_says_otherwise() {
    let slow = |keys: &str| -> Vec<u32> {
        accept(&service(keys)).services[0].reals.iter().map(|real| real.slow_start).collect()
    };
    let reals = "real = [{ address = '10.0.0.2' }, { address = '10.0.0.3', slow_start = '0s' }, \
                 { address = '10.0.0.4', slow_start = '2m' }]";
    assert_eq!(slow(&format!("slow_start = '30s'\n{reals}")), [30, 0, 120]);
    assert_eq!(slow(reals), [0, 0, 120]);
    for (value, expected) in [
        ("30", "expected a string in quotes, found an integer"),
        ("'30'", "\"30\" is not a time; write a number with a unit, \"90s\", \"15m\" or \"1h 30m\""),
        ("'500ms'", "\"500ms\" is not a whole number of seconds"),
    ] {
        assert_eq!(
            refusal(&service(&format!("slow_start = {value}"))),
            format!("12: service[0].slow_start: {expected}")
        );
    }
}

#[test]
fn a_sorry_server_is_a_real_server_of_its_own() {
    let config = accept(&service("forwarding = 'direct'\nsorry_server = { address = '10.0.0.9:80' }"));
    let sorry = config.services[0].sorry_server.clone().unwrap();
    assert_eq!(
        (sorry.address, sorry.weight, sorry.forwarding),
        ("10.0.0.9:53".parse().unwrap(), 1, Forwarding::Direct)
    );
    let config = accept(&service("sorry_server = { address = '10.0.0.9:80', forwarding = 'nat' }"));
    assert_eq!(config.services[0].sorry_server.clone().unwrap().address, "10.0.0.9:80".parse().unwrap());
    for (keys, expected) in [
        ("sorry_server = '10.0.0.9'", "12: service[0].sorry_server: write it as a table, service.sorry_server"),
        ("sorry_server = {}", "12: service[0].sorry_server: the key \"address\" is missing"),
        (
            "sorry_server = { address = '10.0.0.9', weight = 1 }",
            "12: service[0].sorry_server.weight: unknown key in service.sorry_server; it belongs in [[service.real]]",
        ),
        (
            "real = [{ address = '10.0.0.2' }]\nsorry_server = { address = '10.0.0.2' }",
            "13: service[0].sorry_server.address: the real server 10.0.0.2:53 is already in line 12 (service[0].real[0].address)",
        ),
        (
            "sorry_server = { address = '10.9.0.2' }",
            "12: service[0].sorry_server.address: the real server 10.9.0.2 is on no port's network and no route leads to it",
        ),
    ] {
        assert_eq!(refusal(&service(keys)), expected, "{keys}");
    }
}

#[test]
fn one_packet_scheduling_is_for_datagrams_whose_answers_can_be_told_apart() {
    let real = "real = [{ address = '10.0.0.2' }]";
    assert!(accept(&service(&format!("ops = true\n{real}"))).services[0].one_packet);
    assert!(!accept(&service(&format!("ops = false\n{real}"))).services[0].one_packet);
    assert_eq!(refusal(&service("ops = 1")), "12: service[0].ops: expected true or false, found an integer");
    assert_eq!(
        refusal(&service("ops = true").replace("udp", "tcp")),
        "12: service[0].ops: one-packet scheduling is only for UDP; the service's protocol is TCP"
    );
    let other = "[[service]]\naddress = '203.0.113.2:53'\nprotocol = 'udp'\n";
    let ops = service(&format!("ops = true\n{real}"));
    accept(&format!("{ops}{other}{real}\n"));
    accept(&format!("{ops}{other}ops = true\n{real}\n").replace("ops = true", "ops = true\nforwarding = 'direct'"));
    assert_eq!(
        refusal(&format!("{ops}{other}ops = true\n{real}\n")),
        "18: service[1].real[0].address: with one-packet scheduling an answer of 10.0.0.2:53 would not say which service \
         it is from: 203.0.113.1:53 has it too (line 13)"
    );
    let every_port = ops.replace("203.0.113.1:53", "203.0.113.1:0");
    assert_eq!(
        refusal(&every_port),
        "13: service[0].real[0].address: with one-packet scheduling an answer of 10.0.0.2 would not say which of the \
         service's ports or addresses it is from: give the service one of each, or use tunnel or direct"
    );
    accept(&every_port.replace("ops = true", "ops = true\nforwarding = 'tunnel'"));
}
