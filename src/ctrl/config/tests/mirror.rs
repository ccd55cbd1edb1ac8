//! The `[mirror]` table.

use super::*;

const TWINS: &str = "\
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24']
twin = 'wan0'
";

#[test]
fn the_hosts_routes_are_mirrored_where_that_is_asked_for() {
    let mirror = |text: &str| accept(&format!("{text}\n{TWINS}")).mirror;
    assert_eq!(mirror(""), None);
    assert_eq!(mirror("[mirror]"), Some(Mirror { table: 254, protocols: Vec::new(), neighbors: true }));
    let some = "[mirror]\ntable = 1000\nprotocols = ['bird', 186, 200]\nneighbors = false";
    assert_eq!(mirror(some), Some(Mirror { table: 1000, protocols: vec![12, 186, 200], neighbors: false }));
    assert_eq!((protocol_name(186), protocol_name(200)), ("bgp".to_owned(), "200".to_owned()));
}

#[test]
fn mistakes_in_what_is_mirrored() {
    for (text, expected) in [
        ("table = 0", "2: mirror.table: 0 is not in the range 1 to 4294967295"),
        ("protocols = []", "2: mirror.protocols: no protocol: leave it out for all"),
        ("protocols = ['brid']", "2: mirror.protocols[0]: \"brid\" is unknown; did you mean \"bird\"?"),
        ("protocols = ['bgp', 256]", "2: mirror.protocols[1]: 256 is not in the range 1 to 255"),
        ("protocols = 'bird'", "2: mirror.protocols: expected a list, in brackets, found a string"),
    ] {
        assert_eq!(refusal(&format!("[mirror]\n{text}\n{TWINS}")), expected, "{text}");
    }
    assert_eq!(
        refusal(&format!("[mirror]\n{PORTS}")),
        "1: mirror: no port has a twin, by which the host could have routes"
    );
}

#[test]
fn a_real_server_may_be_where_only_the_host_knows_the_way() {
    let service = |forwarding: &str| {
        let real = "real = [{ address = '10.9.0.2' }]";
        format!("[[service]]\naddress = '203.0.113.1:80'\nforwarding = '{forwarding}'\n{real}\n")
    };
    for forwarding in ["nat", "tunnel", "direct"] {
        assert!(refusal(&format!("{TWINS}{}", service(forwarding))).contains("no route leads to it"));
    }
    for forwarding in ["nat", "tunnel"] {
        let text = format!("[mirror]\n{TWINS}{}", service(forwarding));
        let notes = parse(Path::new("x.toml"), &text).unwrap().notes();
        assert!(notes.iter().all(|note| !note.message.contains("no route")), "{notes:?}");
    }
    assert!(refusal(&format!("[mirror]\n{TWINS}{}", service("direct"))).contains("no route leads to it"));
}
