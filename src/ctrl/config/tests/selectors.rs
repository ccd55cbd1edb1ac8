//! Ranges, matches and marks.

use super::*;

fn services(text: &str) -> Vec<String> {
    accept(&format!("{PORTS}{text}\n"))
        .services
        .iter()
        .map(|service| format!("{} {}", service.selector.protocol(), service.selector))
        .collect()
}

#[test]
fn a_service_is_named_as_short_as_can_be() {
    for (written, name) in [
        ("203.0.113.1:80", "203.0.113.1:80"),
        ("203.0.113.1:80-80", "203.0.113.1:80"),
        ("203.0.113.1/32:80", "203.0.113.1:80"),
        ("203.0.113.1-203.0.113.1:1-65535", "203.0.113.1:0"),
        ("203.0.113.1:8000-8999", "203.0.113.1:8000-8999"),
        ("203.0.113.0-203.0.113.15:0", "203.0.113.0/28:0"),
        ("203.0.113.1-203.0.113.9:80", "203.0.113.1-203.0.113.9:80"),
    ] {
        assert_eq!(services(&format!("[[service]]\naddress = '{written}'")), [format!("TCP {name}")], "{written}");
    }
    assert_eq!(
        services(
            "[[service]]\nmatch = { from = '198.51.100.0/24', port = 80, ingress = 'wan' }\n[[service]]\nmark = 0xff"
        ),
        ["IP from 198.51.100.0/24 to 0.0.0.0/0:80 in wan", "FWM 255"]
    );
}

#[test]
fn mistakes_in_ranges() {
    for (address, expected) in [
        ("203.0.113.1:9000-8000", "the range 9000-8000 is empty: its last port is below its first"),
        (
            "203.0.113.9-203.0.113.1:80",
            "the range 203.0.113.9-203.0.113.1 is empty: its last address is below its first",
        ),
        ("203.0.113.1/28:80", "\"203.0.113.1/28\" has host bits set; the network is 203.0.113.0/28"),
        (
            "203.0.113.0/28",
            "\"203.0.113.0/28\" has no port; write \"203.0.113.0/28:80\", or \"203.0.113.0/28:0\" for every port",
        ),
        ("203.0.113.0/28:http", "\"http\" is not a port: a number from 1 to 65535, or 0 for every port"),
        ("203.0.113.0/28:80-65536", "\"65536\" is not a port: a number from 1 to 65535, or 0 for every port"),
        ("203.0.113.1:0-80", "the range 0-80 begins with 0, which is no port: write 1-80"),
        ("224.0.0.0/24:80", "224.0.0.0 is a multicast address, not a host's"),
        ("my-host:80", "\"my\" is not an IP address"),
    ] {
        let text = format!("{PORTS}[[service]]\naddress = '{address}'\n");
        assert_eq!(refusal(&text), format!("10: service[0].address: {expected}"), "{address}");
    }
}

#[test]
fn mistakes_in_what_a_service_is_for() {
    for (text, expected) in [
        ("mark = 0", "10: service[0].mark: 0 is not in the range 1 to 4294967295"),
        (
            "mark = 1\nprotocol = 'tcp'",
            "11: service[0].protocol: a mark's service has packets of every protocol: \
          leave it out, or name it in the rule",
        ),
        ("match = { to = '203.0.113.1' }\nprotocol = 'tcp'", "11: service[0].protocol: write it in \"match\""),
        (
            "address = '203.0.113.1:80'\nmark = 1",
            "11: service[0].mark: the service has \"address\" already: it is for one or the other",
        ),
        ("match = 7", "10: service[0].match: write it as a table, match"),
        (
            "match = {}",
            "10: service[0].match: an empty match is every packet there is: write to = \"0.0.0.0/0\" or \"::/0\" if that is meant",
        ),
        (
            "match = { ingress = 'wam' }",
            "10: service[0].match.ingress: there is no port \"wam\"; did you mean \"wan\"?",
        ),
        (
            "match = { ingress = 'uplink' }",
            "10: service[0].match.ingress: there is no port \"uplink\"; there are wan, lan",
        ),
        (
            "match = { port = 'http' }",
            "10: service[0].match.port: \"http\" is not a port: a number from 1 to 65535, or 0 for every port",
        ),
        (
            "match = { protocol = 'icmp' }",
            "10: service[0].match.protocol: \"icmp\" is unknown; known are tcp, udp, sctp",
        ),
        ("match = { dport = 80 }", "10: service[0].match.dport: unknown key; did you mean \"port\"?"),
        (
            "match = { to = '10.0.0.0/8' }\n[[service]]\nmatch = { to = '10.0.0.0/8' }",
            "12: service[1].match: the IP service to 10.0.0.0/8:0 is already in line 10 (service[0].match)",
        ),
        (
            "mark = 7\n[[service]]\nmark = 7",
            "12: service[1].mark: the FWM service 7 is already in line 10 (service[0].mark)",
        ),
        (
            "address = '203.0.113.0/28:80-90'\n[[service]]\naddress = '203.0.113.0-203.0.113.15:80-90'",
            "12: service[1].address: the TCP service 203.0.113.0/28:80-90 is already in line 10 (service[0].address)",
        ),
        (
            "address = '203.0.113.0/28:80-90'\n[[service]]\naddress = '203.0.113.0/28:90-99'",
            "12: service[1].address: some of these ports are those of 203.0.113.0/28:80-90 already, in line 10 \
             (service[0].address)",
        ),
        (
            "address = '203.0.113.1:80'\nvips = ['203.0.113.1']",
            "11: service[0].vips: the service has one address, and that is answered for",
        ),
        (
            "address = '203.0.113.0/28:80'\nvips = ['203.0.113.15', '203.0.113.16']",
            "11: service[0].vips[1]: 203.0.113.16 is not one of the service's addresses, 203.0.113.0/28",
        ),
        (
            "mark = 1\nvips = ['100.64.0.0/16']",
            "11: service[0].vips[0]: 65536 addresses are too many to answer for: 4096 are possible",
        ),
        (
            "address = '203.0.113.0/28:80'\nreal = [{ address = '203.0.113.3' }]",
            "11: service[0].real[0].address: the real server 203.0.113.3 is a service's VIP",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[service]]\n{text}\n")), expected, "{text}");
    }
    for (text, expected) in [
        ("match = { port = 80 }", "9: mark[0]: the key \"mark\" is missing"),
        ("mark = 7", "9: mark[0]: the key \"match\" is missing"),
        ("mark = 0\nmatch = { port = 80 }", "10: mark[0].mark: 0 is not in the range 1 to 4294967295"),
        (
            "mark = 7\nmatch = { port = '9-8' }",
            "11: mark[0].match.port: the range 9-8 is empty: its last port is below its first",
        ),
        (
            "mark = 7\nmatch = { port = 80 }\n[[mark]]\nmark = 8\nmatch = { port = '80' }",
            "14: mark[1].match: a rule to 0.0.0.0/0:80 is already in line 11 (mark[0].match)",
        ),
        ("mark = 7\naddress = '1.1.1.1:1'", "11: mark[0].address: unknown key in [[mark]]; it belongs in [[neighbor]]"),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[mark]]\n{text}\n")), expected, "{text}");
    }
}

#[test]
fn a_real_server_keeps_the_port_or_has_its_own() {
    let port = |what: &str, real: &str| {
        accept(&format!("{PORTS}[[service]]\n{what}\nreal = [{real}]\n")).services[0].reals[0].address.port()
    };
    for (what, own, default) in [
        ("address = '203.0.113.0/28:80'", 8080, 80),
        ("address = '203.0.113.1:8000-8099'", 8080, 0),
        ("match = { to = '203.0.113.1', port = 443 }", 8080, 443),
        ("mark = 7", 8080, 0),
    ] {
        assert_eq!(port(what, "{ address = '10.0.0.2:8080' }"), own, "{what}");
        assert_eq!(port(what, "{ address = '10.0.0.2' }"), default, "{what}");
        assert_eq!(port(what, "{ address = '10.0.0.2:8080', forwarding = 'tunnel' }"), default, "{what}");
    }
}

#[test]
fn nat_answers_of_ranges_are_told_apart() {
    let with = |range: &str, vip: &str, real: &str| {
        format!(
            "{PORTS}[[service]]\n{range}\nreal = [{{ address = '10.0.0.2' }}]\n[[service]]\naddress = '{vip}'\n\
             real = [{{ address = '{real}' }}]\n"
        )
    };
    for (range, vip, real, on) in [
        ("address = '203.0.113.0/28:80'", "203.0.113.20:80", "10.0.0.2", "port 80"),
        ("address = '203.0.113.0/28:80'", "203.0.113.1:80", "10.0.0.2", "port 80"),
        ("address = '203.0.113.1:8000-8099'", "203.0.113.20:80", "10.0.0.2:8080", "ports 8000-8099"),
        ("mark = 7", "203.0.113.20:80", "10.0.0.2", "every port"),
    ] {
        let said = refusal(&with(range, vip, real));
        assert!(said.starts_with("14: service[1].real[0].address: answers from 10.0.0.2:"), "{said}");
        assert!(said.contains(&format!("(line 10), which has the real server on {on}:")), "{said}");
    }
    for (range, vip, real) in [
        ("address = '203.0.113.0/28:80'", "203.0.113.20:80", "10.0.0.2:8080"),
        ("address = '203.0.113.1:8000-8099'", "203.0.113.1:8080", "10.0.0.2"),
        ("address = '203.0.113.1:8000-8099'", "203.0.113.20:80", "10.0.0.2"),
        ("mark = 7\nforwarding = 'direct'", "203.0.113.20:80", "10.0.0.2"),
    ] {
        accept(&with(range, vip, real));
    }
}

#[test]
fn what_nobody_answers_for_or_marks() {
    let text = format!(
        "{PORTS}[[route]]\nto = '0.0.0.0/0'\nvia = '192.0.2.1'\n[[mark]]\nmark = 1\nmatch = {{ port = 80 }}\n\
         [[service]]\naddress = '192.0.2.16/28:80'\nreal = [{{ address = '10.0.0.2' }}]\n\
         [[service]]\nmark = 2\nreal = [{{ address = '10.0.0.3' }}]\n"
    );
    let loaded = parse(Path::new("x.toml"), &text).unwrap();
    let notes: Vec<_> = loaded.notes().iter().map(ConfigError::to_string).collect();
    assert_eq!(
        notes,
        [
            "x.toml:15: service[0]: note: on a port's network, and nobody answers ARP for it: name what is to be answered \
             for in \"vips\"",
            "x.toml:18: service[1]: note: no rule gives its mark: write a [[mark]]",
            "x.toml:12: mark[0]: note: no service has this mark: packets that bear it are looked up by their address",
        ]
    );
}
