//! The kernel's interfaces for ports.

use super::*;

fn port(name: &str, more: &str) -> String {
    let number = name.as_bytes()[0] - b'a';
    format!("[[port]]\nname = '{name}'\ndevice = 'net_af_packet{number},iface=eth-{name}'\n{more}\n")
}

#[test]
fn twins_are_named_and_counted() {
    let config = accept(&(port("a", "") + &port("b", "twin = 'b0'") + &port("c", "twin = 'c'")));
    let twins: Vec<_> = config.twins().map(|(place, port, twin)| (place, &*port.name, twin)).collect();
    assert_eq!(twins, [(1, "b", "b0"), (2, "c", "c")]);
    assert_eq!(config.lanes(), 5);
    let config = accept(&port("a", ""));
    assert_eq!((config.twins().count(), config.lanes()), (0, 1));
}

#[test]
fn names_that_no_interface_may_have_or_another_has() {
    let signs = "1 to 15 letters, digits, '-', '_' or '.', no sign first";
    for (text, expected) in [
        ("twin = ''", format!("\"\" is no name for an interface: {signs}")),
        ("twin = 'a b'", format!("\"a b\" is no name for an interface: {signs}")),
        ("twin = '..'", format!("\"..\" is no name for an interface: {signs}")),
        ("twin = 'a,b'", format!("\"a,b\" is no name for an interface: {signs}")),
        ("twin = 'a23456789012345x'", format!("\"a23456789012345x\" is no name for an interface: {signs}")),
        ("twin = 'eth-a'", "the interface eth-a is already in line 3 (port[0].device)".to_owned()),
        ("twin = 'eth-b'", "the interface eth-b is already in line 7 (port[1].device)".to_owned()),
        (
            "twin = 'a234567890123'\nmtu = 1501",
            "with an mtu above 1500 it has another end, and a234567890123.in is too long for its name".to_owned(),
        ),
    ] {
        let text = port("a", text) + &port("b", "");
        let text = if text.contains("mtu") { text } else { text.replacen("\n\n", "\n", 1) };
        assert_eq!(refusal(&text), format!("4: port[0].twin: {expected}"), "{text}");
    }
    accept(&port("a", "twin = 'a234567890123'\nmtu = 1500"));
    let ends = port("a", "twin = 'wan0'\nmtu = 9000") + &port("b", "twin = 'wan0.in'");
    assert_eq!(refusal(&ends), "9: port[1].twin: the interface wan0.in is already in line 4 (port[0].twin)");
    let twice = port("a", "twin = 'wan0'") + &port("b", "twin = 'wan0'");
    assert_eq!(refusal(&twice), "8: port[1].twin: the interface wan0 is already in line 4 (port[0].twin)");
}

#[test]
fn the_host_is_a_real_server_by_whatever_method_is_written() {
    let real = |written: &str| {
        let ports = port("a", "twin = 'a0'\naddresses = ['192.0.2.2/24']") + &port("b", "addresses = ['10.0.0.1/24']");
        let services = format!("[[service]]\naddress = '203.0.113.1:80'\nreal = [{{ {written} }}]\n");
        let real = accept(&(ports + &services)).services[0].reals[0].clone();
        (real.forwarding, real.address.to_string(), real.answers_from().to_string())
    };
    for method in ["nat", "tunnel", "direct", "local"] {
        let written = |address: &str| format!("address = '{address}', forwarding = '{method}'");
        for (address, whole, answers) in
            [("127.0.0.1", "127.0.0.1:80", "127.0.0.1:80"), ("192.0.2.2:8080", "192.0.2.2:8080", "127.0.0.1:8080")]
        {
            let expected = (Forwarding::Local, whole.to_owned(), answers.to_owned());
            assert_eq!(real(&written(address)), expected, "{method}");
        }
    }
    let other = "10.0.0.2:80".to_owned();
    assert_eq!(real("address = '10.0.0.2'"), (Forwarding::Nat, other.clone(), other));
}

#[test]
fn the_hosts_answers_are_told_apart_like_those_of_any_real_server() {
    let ports = port("a", "twin = 'a0'\naddresses = ['192.0.2.2/24']");
    let several = "[[service]]\naddress = '203.0.113.1:0'\nreal = [{ address = '127.0.0.1' }]\n";
    let one =
        "[[service]]\naddress = '203.0.113.2:80'\nsorry_server = { address = '192.0.2.2:80', forwarding = 'direct' }\n";
    assert_eq!(
        refusal(&format!("{ports}{several}{one}")),
        "11: service[1].sorry_server.address: answers from 192.0.2.2:80 could be this service's or those of \
         203.0.113.1:0 (line 7), which has the real server on every port: give one of the two another real server address"
    );
}

#[test]
fn the_kernel_gets_what_is_in_transit_where_it_can_if_nothing_else_is_said() {
    let transit = |text: &str| accept(text).director.transit;
    assert_eq!(transit(&port("a", "")), Transit::Drop);
    assert_eq!(transit(&(port("a", "") + &port("b", "twin = 'b0'"))), Transit::Kernel);
    assert_eq!(transit(&format!("{}[director]\ntransit = 'drop'\n", port("a", "twin = 'a0'"))), Transit::Drop);
    for twin in ["", "twin = 'a0'"] {
        assert_eq!(transit(&format!("[director]\ntransit = 'route'\n{}", port("a", twin))), Transit::Route);
    }
    let without = format!("[director]\ntransit = 'kernel'\n{}", port("a", ""));
    assert_eq!(refusal(&without), "2: director.transit: no port has a twin, by which the kernel could get it");
}
