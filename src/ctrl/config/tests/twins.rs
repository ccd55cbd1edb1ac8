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
            "twin = 'b0'\nmtu = 1501",
            "a twin carries packets of up to 1500 octets, and the port's mtu is 1501".to_owned(),
        ),
    ] {
        let text = port("a", text) + &port("b", "");
        let text = if text.contains("mtu") { text } else { text.replacen("\n\n", "\n", 1) };
        assert_eq!(refusal(&text), format!("4: port[0].twin: {expected}"), "{text}");
    }
    let twice = port("a", "twin = 'wan0'") + &port("b", "twin = 'wan0'");
    assert_eq!(refusal(&twice), "8: port[1].twin: the interface wan0 is already in line 4 (port[0].twin)");
}

#[test]
fn the_kernel_gets_what_is_in_transit_where_it_can() {
    let transit = |text: &str| accept(text).director.transit;
    assert_eq!(transit(&port("a", "")), Transit::Drop);
    assert_eq!(transit(&(port("a", "") + &port("b", "twin = 'b0'"))), Transit::Kernel);
    assert_eq!(transit(&format!("{}[director]\ntransit = 'drop'\n", port("a", "twin = 'a0'"))), Transit::Drop);
    let without = format!("[director]\ntransit = 'kernel'\n{}", port("a", ""));
    assert_eq!(refusal(&without), "2: director.transit: no port has a twin, by which the kernel could get it");
}
