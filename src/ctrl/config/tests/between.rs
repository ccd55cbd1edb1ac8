//! What must hold between several tables of a file, and between a file and its machine.

use std::net::IpAddr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::*;

#[test]
fn ports_that_get_in_each_others_way() {
    for (text, expected) in [
        (
            "name = 'lan'\ndevice = 'net_ring2'",
            "10: port[2].name: the port name \"lan\" is already in line 6 (port[1].name)",
        ),
        (
            "name = 'b'\ndevice = 'net_ring1'",
            "11: port[2].device: the device net_ring1 is already in line 7 (port[1].device)",
        ),
        (
            "name = 'b'\ndevice = 'net_ring2'\naddresses = ['10.0.0.1/30']",
            "12: port[2].addresses[0]: the address 10.0.0.1 is already in line 8 (port[1].addresses[0])",
        ),
        (
            "name = 'b'\ndevice = 'net_ring2'\naddresses = ['10.0.0.9/24']",
            "12: port[2].addresses[0]: port \"lan\" is already on the network 10.0.0.0/24 (line 8)",
        ),
        (
            "name = 'b'\ndevice = 'net_af_packet0,iface=v'\n[[port]]\nname = 'c'\ndevice = 'net_af_packet1,iface=v'",
            "14: port[3].device: the interface v is already in line 11 (port[2].device)",
        ),
        (
            "name = 'b'\ndevice = '3:00.0'",
            "11: port[2].device: \"3:00.0\" is neither a PCI address (\"0000:03:00.0\") nor a DPDK vdev (\"net_af_packet0,iface=eth1\")",
        ),
        (
            "name = 'b'\ndevice = '03:00.0'\n[[port]]\nname = 'c'\ndevice = '0000:03:00.0'",
            "14: port[3].device: the device 0000:03:00.0 is already in line 11 (port[2].device)",
        ),
        (
            "name = 'b'\ndevice = 'net_ring2'\nmac = '02:00:00:00:00:01'\n[[port]]\nname = 'c'\ndevice = 'net_ring3'\nmac = '02-00-00-00-00-01'",
            "16: port[3].mac: the Ethernet address is already in line 12 (port[2].mac)",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[port]]\n{text}\n")), expected, "{text}");
    }
    accept("[[port]]\nname = 'a'\ndevice = 'net_pcap0,rx_iface=v,tx_iface=v'\n");
}

#[test]
fn routes_and_neighbors() {
    for (text, expected) in [
        (
            "[[route]]\nto = '10.1.0.1/16'\nvia = '10.0.0.2'",
            "10: route[0].to: \"10.1.0.1/16\" has host bits set; the network is 10.1.0.0/16",
        ),
        (
            "[[route]]\nto = 'default'\nvia = '10.0.0.2'",
            "10: route[0].to: \"default\" is not an IP prefix; write \"0.0.0.0/0\"",
        ),
        ("[[route]]\nto = '0.0.0.0/0'", "9: route[0]: the key \"via\" is missing"),
        ("[[route]]\nto = '0.0.0.0/0'\nvia = []", "11: route[0].via: a route needs a gateway"),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = ['10.0.0.2', '172.16.0.1']",
            "11: route[0].via[1]: the gateway 172.16.0.1 is on no port's network",
        ),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = ['10.0.0.2',\n'192.0.2.1', '10.0.0.2']",
            "12: route[0].via[2]: the gateway 10.0.0.2 is already in line 11 (route[0].via[0])",
        ),
        ("[[route]]\nto = '0.0.0.0/0'\nvia = 'lan'", "11: route[0].via: \"lan\" is not an IP address"),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = '172.16.0.1'",
            "11: route[0].via: the gateway 172.16.0.1 is on no port's network",
        ),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.1'",
            "11: route[0].via: the gateway 10.0.0.1 is the director's own address on port \"lan\"",
        ),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.255'",
            "11: route[0].via: the gateway 10.0.0.255 is the address of a port's network or its broadcast address",
        ),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.2'\n[[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.3'",
            "13: route[1].to: a route to 0.0.0.0/0 is already in line 10 (route[0].to)",
        ),
        (
            "[[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.2'\n[[service]]\naddress = '10.0.0.2:80'",
            "11: route[0].via: the gateway 10.0.0.2 is a service's VIP",
        ),
        (
            "[[neighbor]]\naddress = '10.0.0.2'\nmac = 'ff:ff:ff:ff:ff:ff'",
            "11: neighbor[0].mac: \"ff:ff:ff:ff:ff:ff\" is a group address: a station's has an even first octet",
        ),
        (
            "[[neighbor]]\naddress = '10.0.1.2'\nmac = '02:00:00:00:00:02'",
            "10: neighbor[0].address: the neighbour 10.0.1.2 is on no port's network",
        ),
        (
            "[[neighbor]]\naddress = '10.0.0.2'\nmac = '02:00:00:00:00:02'\n[[neighbor]]\naddress = '10.0.0.2'\nmac = '02:00:00:00:00:03'",
            "13: neighbor[1].address: the neighbour 10.0.0.2 is already in line 10 (neighbor[0].address)",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}{text}\n")), expected, "{text}");
    }
}

#[test]
fn real_servers() {
    let head = format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\n[[service.real]]\n");
    let default = "\n[[route]]\nto = '0.0.0.0/0'\nvia = '192.0.2.1'";
    for (text, expected) in [
        ("weight = 1", "11: service[0].real[0]: the key \"address\" is missing"),
        ("address = '10.0.0.2'\nweight = 65536", "13: service[0].real[0].weight: 65536 is not in the range 0 to 65535"),
        ("address = '10.0.0.2'\nweight = -1", "13: service[0].real[0].weight: -1 is not in the range 0 to 65535"),
        (
            "address = '[2001:db8::1]:80'",
            "12: service[0].real[0].address: 2001:db8::1 is IPv6, its service 203.0.113.1:80 is IPv4: only tunnels lead from one to the other",
        ),
        (
            "address = '2001:db8::1'",
            "12: service[0].real[0].address: 2001:db8::1 is IPv6, its service 203.0.113.1:80 is IPv4: only tunnels lead from one to the other",
        ),
        (
            "address = '10.9.0.2:80'",
            "12: service[0].real[0].address: the real server 10.9.0.2 is on no port's network and no route leads to it",
        ),
        (
            "address = '10.0.0.1'",
            "12: service[0].real[0].address: the real server 10.0.0.1 is the director's own address on port \"lan\", which has no twin",
        ),
        (
            "address = '127.0.0.1'",
            "12: service[0].real[0].address: the real server 127.0.0.1 is the host, and no port with an address has a twin, by which it could be reached",
        ),
        ("address = '127.0.0.2'", "12: service[0].real[0].address: 127.0.0.2 is a loopback address, not a host's"),
        (
            "address = '10.0.0.2'\nforwarding = 'local'",
            "12: service[0].real[0].address: the real server 10.0.0.2 is not the host: local are 127.0.0.1, and own addresses of ports with a twin",
        ),
        ("address = '203.0.113.1'", "12: service[0].real[0].address: the real server 203.0.113.1 is a service's VIP"),
        (
            "address = '10.0.0.0'",
            "12: service[0].real[0].address: the real server 10.0.0.0 is the address of a port's network or its broadcast address",
        ),
        (
            "address = '10.0.0.2'\n[[service.real]]\naddress = '10.0.0.2:80'",
            "14: service[0].real[1].address: the real server 10.0.0.2:80 is already in line 12 (service[0].real[0].address)",
        ),
    ] {
        assert_eq!(refusal(&format!("{head}{text}\n")), expected, "{text}");
    }
    let far = format!("{head}address = '10.9.0.2'\nforwarding = 'direct'{default}\n");
    assert_eq!(
        refusal(&far),
        "12: service[0].real[0].address: the real server 10.9.0.2 is behind the gateway 192.0.2.1: \
         direct routing reaches only a port's own network"
    );
    accept(&far.replace("direct", "tunnel"));
    // By direct routing and tunnels the port is the service's, so these two are one real server.
    let twice = "address = '10.0.0.2:1'\nforwarding = 'direct'\n[[service.real]]\naddress = '10.0.0.2:2'\nforwarding = 'direct'";
    assert!(
        refusal(&format!("{head}{twice}\n"))
            .starts_with("15: service[0].real[1].address: the real server 10.0.0.2:80 is already")
    );
}

#[test]
fn a_service_of_every_port() {
    let head = format!("{PORTS}[[service]]\naddress = '203.0.113.1:0'\n");
    let port = |text: &str| accept(&format!("{head}[[service.real]]\n{text}\n")).services[0].reals[0].address.port();
    assert_eq!(port("address = '10.0.0.2'"), 0);
    assert_eq!(port("address = '10.0.0.2:0'"), 0);
    assert_eq!(port("address = '10.0.0.2:80'\nforwarding = 'direct'"), 0);
    assert_eq!(
        refusal(&format!("{head}[[service.real]]\naddress = '10.0.0.2:80'\n")),
        "12: service[0].real[0].address: a service of every port keeps the port that the client chose: leave \":80\" out"
    );
    let both = |vip: &str, real: &str, more: &str| {
        format!(
            "{head}real = [{{ address = '10.0.0.2' }}]\n[[service]]\naddress = '{vip}:80'\n{more}\nreal = [{{ address = '{real}' }}]\n"
        )
    };
    let mixed = |text: &str| {
        let expected =
            "could be this service's or those of 203.0.113.1:0 (line 10), which has the real server on every port";
        assert!(refusal(text).starts_with("15: service[1].real[0].address: answers from 10.0.0.2:"), "{text}");
        assert!(refusal(text).contains(expected), "{text}");
    };
    mixed(&both("203.0.113.2", "10.0.0.2", ""));
    mixed(&both("203.0.113.1", "10.0.0.2:8080", ""));
    for (vip, real, more) in [
        ("203.0.113.1", "10.0.0.2", ""),
        ("203.0.113.2", "10.0.0.3", ""),
        ("203.0.113.2", "10.0.0.2", "protocol = 'udp'"),
        ("203.0.113.2", "10.0.0.2", "forwarding = 'direct'"),
    ] {
        accept(&both(vip, real, more));
    }
    let config = accept(&format!("[director]\nmax_connections = 1_000\n{PORTS}"));
    assert_eq!(config.director.max_wide_connections, 100);
}

#[test]
fn the_vip_may_be_a_ports_own_address() {
    accept(&format!("{PORTS}[[service]]\naddress = '192.0.2.2:80'\n[[service.real]]\naddress = '10.0.0.2'\n"));
}

#[test]
fn the_longest_prefix_leads_the_way() {
    let config = accept(&format!("{PORTS}[[route]]\nto = '10.0.0.128/25'\nvia = '192.0.2.1'\n"));
    let reach = |text: &str| config.reach(text.parse::<IpAddr>().unwrap());
    assert_eq!(reach("10.0.0.2"), Some(Reach::OnLink(1)));
    assert_eq!(reach("10.0.0.129"), Some(Reach::Gateway(&config.routes[0])));
    assert_eq!(reach("10.1.0.2"), None);
}

#[test]
fn the_machine_is_compared_with_the_file() {
    let pci = std::env::temp_dir().join(format!("millrace-pci-{}", std::process::id()));
    fs::create_dir_all(pci.join("0000:03:00.0/net")).unwrap();
    fs::create_dir_all(pci.join("0000:04:00.0")).unwrap();
    std::os::unix::fs::symlink("../../drivers/e1000e", pci.join("0000:03:00.0/driver")).unwrap();
    let machine = Machine { cores: vec![0, 1], interfaces: vec!["veth0".into()], pci: pci.clone() };
    let check = |workers: &str, device: &str| {
        let text = format!("[director]\nworkers = [{workers}]\n[[port]]\nname = 'a'\ndevice = '{device}'\n");
        machine.check(&parse(Path::new("x.toml"), &text).unwrap()).map_err(|error| error.to_string())
    };
    for (workers, device) in
        [("0, 1", "net_ring0"), ("1", "net_af_packet0,iface=veth0"), ("1", "04:00.0"), ("1", "net_tap0,iface=new")]
    {
        assert_eq!(check(workers, device), Ok(()), "{device}");
    }
    for (workers, device, expected) in [
        ("1, 2", "net_ring0", "x.toml:2: director.workers[1]: core 2 is not one this process may use: [0, 1]"),
        ("1", "net_af_packet0,iface=veth1", "x.toml:5: port[0].device: there is no interface \"veth1\" here"),
        ("1", "net_pcap0,rx_pcap=/nowhere.pcap", "x.toml:5: port[0].device: there is no file \"/nowhere.pcap\""),
        ("1", "0000:05:00.0", "x.toml:5: port[0].device: there is no PCI device 0000:05:00.0"),
        (
            "1",
            "0000:03:00.0",
            "x.toml:5: port[0].device: 0000:03:00.0 is the kernel's (driver e1000e): give it to DPDK with scripts/bind-nic",
        ),
    ] {
        assert_eq!(check(workers, device), Err(expected.to_owned()), "{device}");
    }
    fs::remove_dir_all(pci).unwrap();
    assert!(Machine::here().interfaces.contains(&"lo".to_owned()));
}

#[test]
fn a_narrow_affinity_hides_no_core() {
    let all = Machine::here().cores;
    let mut narrow = CpuSet::new();
    narrow.set(*all.last().unwrap());
    sched_setaffinity(None, &narrow).unwrap();
    assert_eq!(Machine::here().cores, all);
    assert_eq!(sched_getaffinity(None).unwrap(), narrow);
}

#[test]
fn what_is_allowed_but_seldom_meant() {
    let text = format!(
        "{PORTS}[[route]]\nto = '10.9.0.0/16'\nvia = '192.0.2.1'\n[[service]]\naddress = '203.0.113.1:80'\n[[service.real]]\n\
         address = '10.0.0.2'\nweight = 0\n[[service]]\naddress = '203.0.113.1:81'\n[[service.real]]\naddress = '10.9.0.2'\n"
    );
    let loaded = parse(Path::new("x.toml"), &text).unwrap();
    let notes: Vec<_> = loaded.notes().iter().map(ConfigError::to_string).collect();
    assert_eq!(
        notes,
        [
            "x.toml:12: service[0]: note: no real server with a weight: every new connection is dropped",
            "x.toml:17: service[1]: note: no route to 0.0.0.0/0: by NAT, answers reach only clients on known networks",
            "x.toml:20: service[1].real[0].address: note: behind a gateway: by NAT, its answers must be routed back \
             through this director",
        ]
    );
    let listen = "[api]\nlisten = '192.0.2.2:9180'\ntoken_file = '/etc/token'\n";
    let notes = parse(Path::new("x.toml"), &format!("{listen}{PORTS}")).unwrap().notes();
    let said = "x.toml:2: api.listen: note: without TLS (certificate, key), the token can be read on the way";
    assert_eq!(notes.iter().map(ConfigError::to_string).collect::<Vec<_>>(), [said]);
    assert_eq!(
        loaded.config.summary(),
        "1 worker, 2 ports, 1 route, 0 static neighbours, 2 services with 2 real servers"
    );
}
