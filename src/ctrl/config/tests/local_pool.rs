//! `[[local_pool]]`, and what full NAT needs.

use super::*;

const SERVICE: &str =
    "[[service]]\naddress = '203.0.113.1:80'\nforwarding = 'fullnat'\nreal = [{ address = '10.0.0.2:8080' }]\n";

#[test]
fn pools_are_addresses_of_either_family() {
    let pools = "[[local_pool]]\naddresses = ['10.0.0.200-10.0.0.215', '10.0.0.220']\n[[local_pool]]\naddresses = ['2001:db8::/126']\n";
    let config = accept(&format!("{PORTS}{pools}{SERVICE}"));
    let all: Vec<_> = config.local_addresses().collect();
    assert_eq!(
        (all.len(), all[16].to_string(), all[20].to_string()),
        (21, "10.0.0.220".to_owned(), "2001:db8::3".to_owned())
    );
    let real = &config.services[0].reals[0];
    assert_eq!((real.forwarding, real.address), (Forwarding::FullNat, "10.0.0.2:8080".parse().unwrap()));
}

#[test]
fn a_local_address_is_nobody_elses() {
    for (pool, expected) in [
        ("", "9: local_pool[0]: the key \"addresses\" is missing"),
        ("addresses = []", "10: local_pool[0].addresses: a pool needs an address"),
        ("addresses = ['10.0.0.300']", "10: local_pool[0].addresses[0]: \"10.0.0.300\" is not an IP address"),
        (
            "addresses = ['10.0.0.1']",
            "10: local_pool[0].addresses[0]: the local address 10.0.0.1 is the director's own address on port \"lan\"",
        ),
        (
            "addresses = ['203.0.113.1']",
            "10: local_pool[0].addresses[0]: the local address 203.0.113.1 is a service's VIP",
        ),
        (
            "addresses = ['10.0.0.254-10.0.0.255']",
            "10: local_pool[0].addresses[0]: the local address 10.0.0.255 is the address of a port's network or its broadcast address",
        ),
        (
            "addresses = ['10.0.0.9', '10.0.0.8-10.0.0.10']",
            "10: local_pool[0].addresses[1]: the local address 10.0.0.9 is in a pool already (line 10)",
        ),
        (
            "addresses = ['10.8.0.0/19']",
            "10: local_pool[0].addresses[0]: 8192 local addresses are too many: 4096 are possible",
        ),
        (
            "addresses = ['10.0.0.2']",
            "14: service[0].real[0].address: the real server 10.0.0.2 is a local address, of a [[local_pool]]",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[local_pool]]\n{pool}\n{SERVICE}")), expected, "{pool}");
    }
    let gateway = "[[local_pool]]\naddresses = ['10.0.0.9']\n[[route]]\nto = '10.9.0.0/16'\nvia = '10.0.0.9'\n";
    assert_eq!(
        refusal(&format!("{PORTS}{gateway}")),
        "13: route[0].via: the gateway 10.0.0.9 is a local address, of a [[local_pool]]"
    );
}

#[test]
fn what_full_nat_cannot_do_is_refused() {
    let pool = "[[local_pool]]\naddresses = ['2001:db8::9']\n";
    let four = "[[local_pool]]\naddresses = ['10.0.0.9']\n";
    for (pool, service, expected) in [
        ("", SERVICE.to_owned(), "12: service[0].real[0].address: full NAT needs local addresses, and no [[local_pool]] has one of IPv4"),
        (pool, SERVICE.to_owned(), "14: service[0].real[0].address: full NAT needs local addresses, and no [[local_pool]] has one of IPv4"),
        (
            four,
            SERVICE.replace("[[service]]\n", "[[service]]\nprotocol = 'udp'\nops = true\n"),
            "16: service[0].real[0].address: by full NAT a datagram's answer finds its client by the connection, and one-packet \
             scheduling keeps none: leave \"ops\" out, or use nat, tunnel or direct",
        ),
        (
            four,
            "[[service]]\naddress = '203.0.113.1'\nprotocol = 'icmp'\nsorry_server = { address = '10.0.0.2', forwarding = 'fullnat' }\n".to_owned(),
            "14: service[0].sorry_server.address: full NAT needs ports, and ICMP has none: use nat, tunnel or direct",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}{pool}{service}")), expected, "{service}");
    }
}

#[test]
fn a_change_is_refused_as_a_file_is() {
    let pool = "[[local_pool]]\naddresses = ['10.0.0.9']\n";
    let from = accept(&format!("{PORTS}{pool}{SERVICE}"));
    let same = |text: &str| parse(Path::new("x.toml"), text).map(drop).map_err(|error| error.message);
    let with = |service: &str| {
        let text = format!("{PORTS}{pool}{service}");
        let mut to = from.clone();
        let root = toml::de::DeTable::parse(&text).unwrap();
        to.services = read::file(&Source::none(), &root.into_inner().into()).unwrap().services;
        (Index::new(&from).advance(&from, &to, &Source::none()).map_err(|error| error.message), same(&text))
    };
    for service in [
        SERVICE.to_owned(),
        SERVICE.replace("10.0.0.2", "10.0.0.3"),
        SERVICE.replace("10.0.0.2", "10.0.0.9"),
        SERVICE.replace("203.0.113.1", "10.0.0.9"),
        SERVICE.replace("[[service]]\n", "[[service]]\nprotocol = 'udp'\nops = true\n"),
    ] {
        let (index, whole) = with(&service);
        assert_eq!(index, whole, "{service}");
    }
}
