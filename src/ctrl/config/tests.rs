//! Files that must be refused, each with its exact message, and files that must not.

use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::ctrl::health::notice::Event;
use crate::dataplane::sched::HashFlags;

mod announce;
mod api;
mod between;
mod edits;
mod families;
mod health;
mod index;
mod local_pool;
mod mirror;
mod notify;
mod pools;
mod round_trip;
mod schema;
mod selectors;
mod twins;

/// Lines 1 to 8 of most cases.
const PORTS: &str = "\
[[port]]
name = 'wan'
device = 'net_ring0'
addresses = ['192.0.2.2/24']
[[port]]
name = 'lan'
device = 'net_ring1'
addresses = ['10.0.0.1/24']
";

fn refusal(text: &str) -> String {
    match parse(Path::new("x.toml"), text) {
        Ok(loaded) => panic!("accepted:\n{text}\n{:?}", loaded.config),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n'), "more than one line: {line:?}");
            line.strip_prefix("x.toml:").expect("the file comes first").to_owned()
        }
    }
}

fn accept(text: &str) -> Config {
    parse(Path::new("x.toml"), text).unwrap_or_else(|error| panic!("{error}\n{text}")).config
}

#[test]
fn mistakes_in_the_text() {
    for (text, expected) in [
        ("", "1: there is no [[port]]: at least one is needed"),
        ("[director\n", "1: unclosed table, expected `]`"),
        ("[director]\npoll = 'busy'\npoll = 'busy'\n", "3: duplicate key"),
        ("[director]\npoll = busy\n", "2: string values must be quoted, expected literal string"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn what_is_too_long_to_read_is_cut_and_no_word_is_like_it() {
    let long = "director".repeat(100_000);
    let said = refusal(&format!("{long} = 1\n"));
    assert!(said.starts_with("1: directordirector") && said.contains("…: unknown key in the file"), "{}", said.len());
    let said = refusal(&format!("[director]\npoll = '{}'\n", "ä".repeat(100_000)));
    assert!(said.starts_with("2: director.poll: \"ää") && said.ends_with('…') && said.len() < 5_000, "{}", said.len());
}

#[test]
fn keys_that_do_not_belong() {
    for (text, expected) in [
        ("[directer]\n", "1: directer: unknown key; did you mean \"director\"?"),
        ("[director]\nworker = [1]\n", "2: director.worker: unknown key; did you mean \"workers\"?"),
        (
            "[director]\nmax-connections = 1\n",
            "2: director.max-connections: unknown key; did you mean \"max_connections\"?",
        ),
        (
            "[director]\nzzz = 1\naaa = 1\n",
            "2: director.zzz: unknown key in [director]; known are workers, max_connections, max_wide_connections, max_templates, poll, dpdk_args, transit, watch",
        ),
        (
            "[[service]]\naddress = '1.1.1.1:1'\nweight = 1\n",
            "3: service[0].weight: unknown key in [[service]]; it belongs in [[service.real]]",
        ),
        (
            "[[service]]\naddress = '1.1.1.1:1'\n[[service.real]]\nscheduler = 'rr'\n",
            "4: service[0].real[0].scheduler: unknown key in [[service.real]]; it belongs in [[service]]",
        ),
        ("[[service]]\n\n\nschedular = 'rr'\n", "4: service[0].schedular: unknown key; did you mean \"scheduler\"?"),
        ("[port]\nname = 'a'\n", "1: port: write [[port]], with two brackets: there can be several"),
        ("[[director]]\n", "1: director: write [director], with one bracket: there is only one"),
        ("director = 1\n", "1: director: write it as a table, [director]"),
        ("port = ['a']\n", "1: port[0]: write it as a table, [[port]]"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn what_this_version_does_not_do() {
    let service = "[[service]]\naddress = '203.0.113.1:80'\n";
    for (head, text, expected) in [
        ("", "[[vrrp]]\nname = 'a'\n", "1: vrrp: "),
        ("", "[sync]\n", "1: sync: "),
        (
            "",
            "[[service]]\naddress = '[2001:db8::1]:0'\n",
            "2: service[0].address: \"[2001:db8::1]:0\": IPv6 for several addresses or ports is ",
        ),
        (
            "",
            "[[mark]]\nmark = 7\nmatch = { to = '2001:db8::/64' }\n",
            "3: mark[0].match: \"to [2001:db8::/64]:0\": IPv6 for several addresses or ports is ",
        ),
        (service, "[[service.real]]\ntunnel = { type = 'gue' }\n", "4: service[0].real[0].tunnel: "),
    ] {
        let text = format!("{head}{text}");
        assert_eq!(refusal(&text), format!("{expected}not supported yet by this version"), "{text}");
    }
}

#[test]
fn values_of_the_director() {
    for (text, expected) in [
        ("workers = []", "director.workers: at least one core must poll"),
        ("workers = 1", "director.workers: expected a list, in brackets, found an integer"),
        ("workers = [1, 2, 1]", "director.workers[2]: core 1 is already in line 2 (director.workers[0])"),
        ("workers = ['1']", "director.workers[0]: expected an integer, found a string"),
        ("workers = [-1]", "director.workers[0]: -1 is not in the range 0 to 1023"),
        ("max_connections = 0", "director.max_connections: 0 is not in the range 64 to 4000000000"),
        ("max_connections = 1e6", "director.max_connections: expected an integer, found a number with a fraction"),
        (
            "max_connections = 99999999999999999999999999999999999999999",
            "director.max_connections: 99999999999999999999999999999999999999999 is not in the range 64 to 4000000000",
        ),
        ("poll = 'adaptiv'", "director.poll: \"adaptiv\" is unknown; did you mean \"adaptive\"?"),
        ("poll = 'interrupt'", "director.poll: \"interrupt\" is unknown; known are busy, adaptive"),
        ("poll = true", "director.poll: expected a string in quotes, found true or false"),
        ("dpdk_args = ['-l', '1']", "director.dpdk_args[0]: \"-l\" chooses cores; that is what \"workers\" does"),
        (
            "dpdk_args = ['--lcores=1']",
            "director.dpdk_args[0]: \"--lcores\" chooses cores; that is what \"workers\" does",
        ),
        ("dpdk_args = ['']", "director.dpdk_args[0]: an argument is empty"),
    ] {
        assert_eq!(refusal(&format!("[director]\n{text}\n{PORTS}")), format!("2: {expected}"), "{text}");
    }
}

#[test]
fn values_of_ports() {
    let head = "[[port]]\nname = 'a'\ndevice = 'net_ring0'\n";
    for (text, expected) in [
        ("addresses = '192.0.2.2/24'", "port[0].addresses: expected a list, in brackets, found a string"),
        (
            "addresses = ['192.0.2.2']",
            "port[0].addresses[0]: \"192.0.2.2\" has no prefix length; write \"192.0.2.2/24\"",
        ),
        (
            "addresses = ['192.0.2.2/33']",
            "port[0].addresses[0]: \"192.0.2.2/33\" is not an IP address and prefix length",
        ),
        (
            "addresses = ['192.0.2.0/24']",
            "port[0].addresses[0]: 192.0.2.0 is the address of the network 192.0.2.0/24 or its broadcast address",
        ),
        (
            "addresses = ['192.0.2.255/24']",
            "port[0].addresses[0]: 192.0.2.255 is the address of the network 192.0.2.0/24 or its broadcast address",
        ),
        ("addresses = ['127.0.0.1/8']", "port[0].addresses[0]: 127.0.0.1 is a loopback address, not a host's"),
        (
            "addresses = ['192.0.2.2/24', '192.0.2.2/32']",
            "port[0].addresses[1]: the address 192.0.2.2 is already in line 4 (port[0].addresses[0])",
        ),
        (
            "mac = '02:00:00:00:00'",
            "port[0].mac: \"02:00:00:00:00\" is not an Ethernet address; write \"02:00:00:00:00:01\"",
        ),
        (
            "mac = '02:00:00:00:00:+1'",
            "port[0].mac: \"02:00:00:00:00:+1\" is not an Ethernet address; write \"02:00:00:00:00:01\"",
        ),
        (
            "mac = '03:00:00:00:00:01'",
            "port[0].mac: \"03:00:00:00:00:01\" is a group address: a station's has an even first octet",
        ),
        ("mac = '00:00:00:00:00:00'", "port[0].mac: the Ethernet address is zero"),
        ("mtu = 67", "port[0].mtu: 67 is not in the range 68 to 9216"),
        ("mtu = 9217", "port[0].mtu: 9217 is not in the range 68 to 9216"),
        ("queues = 2", "port[0].queues: expected a string in quotes, found an integer"),
        ("queues = 'one'", "port[0].queues: \"one\" is unknown; known are per-worker"),
    ] {
        assert_eq!(refusal(&format!("{head}{text}\n")), format!("4: {expected}"), "{text}");
    }
    for (text, expected) in [
        ("[[port]]\ndevice = 'net_ring0'\n", "1: port[0]: the key \"name\" is missing"),
        ("\n[[port]]\nname = 'a'\n", "2: port[0]: the key \"device\" is missing"),
        (
            "[[port]]\nname = 'a=b'\n",
            "2: port[0].name: \"a=b\" is not a name: 1 to 32 letters, digits, '-', '_' or '.'",
        ),
        (
            "[[port]]\nname = 'a'\ndevice = 'eth0'\n",
            "3: port[0].device: \"eth0\" is neither a PCI address (\"0000:03:00.0\") nor a DPDK vdev (\"net_af_packet0,iface=eth1\")",
        ),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn values_of_services() {
    for (text, expected) in [
        ("protocol = 'tcp'", "9: service[0]: the key \"address\" is missing"),
        ("address = '203.0.113.1'", "10: service[0].address: \"203.0.113.1\" has no port; write \"203.0.113.1:80\""),
        (
            "address = 'www:80'",
            "10: service[0].address: \"www:80\" is not an IP address and port (names are not resolved)",
        ),
        (
            "address = '203.0.113.1:65536'",
            "10: service[0].address: \"203.0.113.1:65536\" is not an IP address and port (names are not resolved)",
        ),
        ("address = '224.0.0.1:80'", "10: service[0].address: 224.0.0.1 is a multicast address, not a host's"),
        (
            "address = '10.0.0.255:80'",
            "10: service[0].address: the VIP 10.0.0.255 is the address of a port's network or its broadcast address",
        ),
        (
            "address = '203.0.113.1:80'\nscheduler = 'roundrobin'",
            "11: service[0].scheduler: \"roundrobin\" is unknown; known are rr, wrr, lc, wlc, sed, nq, fo, ovf, twos, dh, sh, mh, lblc, lblcr",
        ),
        (
            "address = '203.0.113.1:80'\nforwarding = 'directt'",
            "11: service[0].forwarding: \"directt\" is unknown; did you mean \"direct\"?",
        ),
        (
            "address = '203.0.113.1:80'\nmax_new_per_second = 1_000_000_001",
            "11: service[0].max_new_per_second: 1000000001 is not in the range 0 to 1000000000",
        ),
        (
            "address = '203.0.113.1:80'\nmax_new_per_second = '9'",
            "11: service[0].max_new_per_second: expected an integer, found a string",
        ),
        (
            "address = '203.0.113.1:80'\nreal = [{ address = '10.0.0.2', upper = 5, lower = 6 }]",
            "11: service[0].real[0].lower: 6 is above the upper threshold, 5",
        ),
        (
            "address = '203.0.113.1:80'\n[[service]]\naddress = '203.0.113.1:80'",
            "12: service[1].address: the TCP service 203.0.113.1:80 is already in line 10 (service[0].address)",
        ),
        (
            "address = '203.0.113.1:80'\nprotocol = 'icmp'",
            "10: service[0].address: ICMP has no ports: write \"203.0.113.1\" without 80",
        ),
        (
            "address = '203.0.113.1:80'\npersistence = 300",
            "11: service[0].persistence: write it as a table, service.persistence",
        ),
        (
            "address = '203.0.113.1:80'\npersistence = { timeout = 0 }",
            "11: service[0].persistence.timeout: 0 is not in the range 1 to 2678400",
        ),
        (
            "address = '203.0.113.1:80'\npersistence = { mask = 33 }",
            "11: service[0].persistence.mask: 33 is not in the range 0 to 32",
        ),
        (
            "address = '203.0.113.1:80'\npersistence = { mask = '255.0.255.0' }",
            "11: service[0].persistence.mask: \"255.0.255.0\" is not a network mask; write 24 or \"255.255.255.0\"",
        ),
        (
            "address = '203.0.113.1:80'\npersistence = { netmask = 24 }",
            "11: service[0].persistence.netmask: unknown key in service.persistence; known are timeout, mask",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[service]]\n{text}\n")), expected, "{text}");
    }
    for address in ["203.0.113.1", "203.0.113.1:0"] {
        accept(&format!(
            "{PORTS}[[service]]\naddress = '{address}'\nprotocol = 'icmp'\nreal = [{{ address = '10.0.0.2' }}]\n"
        ));
    }
    let persistence = |text: &str| {
        let config = accept(&format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\npersistence = {{ {text} }}\n"));
        config.services[0].persistence.map(|persistence| (persistence.timeout, persistence.prefix))
    };
    assert_eq!(persistence(""), Some((300, 32)));
    assert_eq!(persistence("timeout = 600, mask = 24"), Some((600, 24)));
    assert_eq!(persistence("timeout = '1h', mask = '255.255.0.0'"), Some((3600, 16)));
    accept(&format!(
        "{PORTS}[[service]]\naddress = '203.0.113.1:53'\n[[service]]\naddress = '203.0.113.1:53'\nprotocol = 'udp'\n"
    ));
}

#[test]
fn schedulers_and_their_flags() {
    let read = |text: &str| {
        let config = accept(&format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\n{text}\n"));
        config.services[0].scheduler
    };
    for scheduler in Scheduler::ALL {
        assert_eq!(read(&format!("scheduler = '{}'", scheduler.name())), *scheduler);
    }
    assert_eq!(read("scheduler_flags = []"), Scheduler::Wlc);
    let (fallback, port) = (true, true);
    for (text, scheduler, listed) in [
        ("scheduler = 'sh'", Scheduler::Sh(HashFlags::default()), "sh"),
        (
            "scheduler = 'sh'\nscheduler_flags = ['sh-port', 'sh-fallback']",
            Scheduler::Sh(HashFlags { fallback, port }),
            "sh (sh-fallback,sh-port)",
        ),
        (
            "scheduler = 'mh'\nscheduler_flags = ['mh-port']\nmh_table_size = 65537",
            Scheduler::Mh { flags: HashFlags { fallback: false, port }, size: 65_537 },
            "mh (mh-port)",
        ),
        ("scheduler = 'mh'", Scheduler::Mh { flags: HashFlags::default(), size: 4093 }, "mh"),
    ] {
        assert_eq!(read(text), scheduler, "{text}");
        assert_eq!(scheduler.to_string(), listed);
    }
    for (text, expected) in [
        (
            "scheduler = 'sh'\nscheduler_flags = ['mh-port']",
            "12: service[0].scheduler_flags[0]: this is a flag of mh; the service's scheduler is sh",
        ),
        (
            "scheduler_flags = ['sh-port']",
            "11: service[0].scheduler_flags[0]: this is a flag of sh; the service's scheduler is wlc",
        ),
        (
            "scheduler = 'sh'\nscheduler_flags = ['sh_port']",
            "12: service[0].scheduler_flags[0]: \"sh_port\" is unknown; did you mean \"sh-port\"?",
        ),
        (
            "scheduler = 'mh'\nscheduler_flags = 'mh-port'",
            "12: service[0].scheduler_flags: expected a list, in brackets, found a string",
        ),
        (
            "scheduler = 'mh'\nmh_table_size = 4096",
            "12: service[0].mh_table_size: 4096 is none of the sizes there are: \
             251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 65537, 131071, 655373",
        ),
        (
            "scheduler = 'sh'\nmh_table_size = 4093",
            "12: service[0].mh_table_size: only mh has such a table; the service's scheduler is sh",
        ),
    ] {
        assert_eq!(refusal(&format!("{PORTS}[[service]]\naddress = '203.0.113.1:80'\n{text}\n")), expected, "{text}");
    }
}

#[test]
fn timeouts_are_times_with_a_unit() {
    for (text, expected) in [
        ("tcp = 900", "timeouts.tcp: expected a string in quotes, found an integer"),
        (
            "tcp = '900'",
            "timeouts.tcp: \"900\" is not a time; write a number with a unit, \"90s\", \"15m\" or \"1h 30m\"",
        ),
        ("udp = '0s'", "timeouts.udp: \"0s\" is not in the range 1s to 31days"),
        ("udp = '32days'", "timeouts.udp: \"32days\" is not in the range 1s to 31days"),
        ("tcp_fin = '1500ms'", "timeouts.tcp_fin: \"1500ms\" is not a whole number of seconds"),
        ("tcpfin = '1s'", "timeouts.tcpfin: unknown key; did you mean \"tcp_fin\"?"),
    ] {
        assert_eq!(refusal(&format!("[timeouts]\n{text}\n{PORTS}")), format!("2: {expected}"), "{text}");
    }
    let config = accept(&format!(
        "[timeouts]\ntcp = '1h 30m'\n{PORTS}[[service]]\naddress = '203.0.113.1:80'\ntimeout = '31days'\n\
         max_new_per_second = 20_000\n"
    ));
    assert_eq!(config.services[0].max_new_per_second, 20_000);
    assert_eq!(config.timeouts, Timeouts { tcp: 5400, tcp_fin: 120, udp: 300 });
    assert_eq!(config.services[0].timeout, Some(31 * 86_400));
}

#[test]
fn switches_have_the_sysctls_names_and_values() {
    for (text, expected) in [
        ("sloppy_tcp = true", "ipvs.sloppy_tcp: expected an integer, found true or false"),
        ("sloppy_tcp = 2", "ipvs.sloppy_tcp: 2 is not in the range 0 to 1"),
        ("conn_reuse_mode = 4", "ipvs.conn_reuse_mode: 4 is not in the range 0 to 3"),
        ("expire_nodest = 1", "ipvs.expire_nodest: unknown key; did you mean \"expire_nodest_conn\"?"),
        ("secure_tcp = 1", "ipvs.secure_tcp: not supported yet by this version"),
    ] {
        assert_eq!(refusal(&format!("[ipvs]\n{text}\n{PORTS}")), format!("2: {expected}"), "{text}");
    }
    assert_eq!(accept(PORTS).rules, Rules::default());
    let switches = "sloppy_tcp = 1\nsloppy_sctp = 1\nconn_reuse_mode = 2\nexpire_nodest_conn = 1\nexpire_quiescent_template = 1\nschedule_icmp = 1";
    let rules = accept(&format!("[ipvs]\n{switches}\n{PORTS}")).rules;
    let all = Rules {
        sloppy_tcp: true,
        sloppy_sctp: true,
        conn_reuse_mode: 2,
        expire_nodest_conn: true,
        expire_quiescent_template: true,
        schedule_icmp: true,
    };
    assert_eq!(rules, all);
}

#[test]
fn defaults_are_filled_in() {
    let config = accept(&format!(
        "{PORTS}[[service]]\naddress = '203.0.113.1:80'\n[[service.real]]\naddress = '10.0.0.2'\n[[service.real]]\n\
         address = '10.0.0.3:8080'\nweight = 0\n[[service.real]]\naddress = '10.0.0.4:8080'\nforwarding = 'tunnel'\n"
    ));
    assert_eq!(config.director.workers, [1]);
    assert_eq!(config.director.max_connections, DEFAULT_MAX_CONNECTIONS);
    assert_eq!(config.director.poll, Poll::Busy);
    assert_eq!(config.api.socket, Path::new(DEFAULT_SOCKET));
    assert_eq!((config.ports[0].mtu, config.ports[0].mac), (1500, None));
    let service = &config.services[0];
    assert_eq!((config.timeouts, service.timeout), (Timeouts { tcp: 900, tcp_fin: 120, udp: 300 }, None));
    assert_eq!(service.max_new_per_second, 0);
    assert_eq!(
        (service.selector.protocols(), service.scheduler, service.forwarding),
        (&[Protocol::Tcp][..], Scheduler::Wlc, Forwarding::Nat)
    );
    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    let expected = [
        Real {
            address: socket("10.0.0.2:80"),
            weight: 1,
            forwarding: Forwarding::Nat,
            thresholds: Thresholds::default(),
            slow_start: 0,
            check: None,
        },
        Real {
            address: socket("10.0.0.3:8080"),
            weight: 0,
            forwarding: Forwarding::Nat,
            thresholds: Thresholds::default(),
            slow_start: 0,
            check: None,
        },
        Real {
            address: socket("10.0.0.4:80"),
            weight: 1,
            forwarding: Forwarding::Tunnel,
            thresholds: Thresholds::default(),
            slow_start: 0,
            check: None,
        },
    ];
    assert_eq!(service.reals, expected);
}

#[test]
fn the_examples_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            load(&path).unwrap_or_else(|error| panic!("{error}"));
            count += 1;
        }
    }
    assert!(count >= 4);
}

#[test]
fn half_a_file_is_refused_or_read_but_never_a_panic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/millrace.toml");
    let text = fs::read_to_string(path).unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(error) = parse(Path::new("x.toml"), &text[..end]) {
            let line = error.line.unwrap();
            assert!(line <= 1 + text[..end].matches('\n').count(), "{error}");
        }
    }
}
