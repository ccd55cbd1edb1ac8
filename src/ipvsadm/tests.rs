//! Command lines, read as a whole: what they ask for, and every complaint to the letter.

use std::net::{Ipv4Addr, SocketAddr};

use super::arguments::read;
use super::changes;
use super::command::*;
use super::mistake::Mistake;
use super::names::Few;
use crate::ctrl::change::Change;
use crate::ctrl::config::parts;
use crate::dataplane::service::{Forwarding, Protocol};

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn command(line: &str) -> Command {
    read("ipvsadm", &words(line), &Few).unwrap_or_else(|mistake| panic!("{line}: {}", mistake.text))
}

fn refused(line: &str) -> Mistake {
    match read("ipvsadm", &words(line), &Few) {
        Ok(command) => panic!("{line}: {command:?}"),
        Err(mistake) => mistake,
    }
}

fn socket(protocol: Protocol, address: &str) -> Key {
    Key::Socket(protocol, address.parse().unwrap())
}

fn web() -> Key {
    socket(Protocol::Tcp, "192.0.2.10:80")
}

fn service(key: Key) -> Service {
    Service {
        key,
        scheduler: "wlc".to_owned(),
        flags: Flags::default(),
        persistent: None,
        mask: Mask::V4(Ipv4Addr::BROADCAST),
        engine: None,
        one_packet: false,
    }
}

fn server(address: &str) -> Server {
    Server {
        address: address.parse().unwrap(),
        forwarding: Forwarding::Direct,
        tunnel: Tunnel::Ipip,
        weight: 1,
        upper: 0,
        lower: 0,
    }
}

const PLAIN: Listing =
    Listing { what: Listed::All, layout: Layout::Plain, numeric: false, exact: false, sorted: true, engines: false };

#[test]
fn services() {
    assert_eq!(command("-A -t 192.0.2.10:80"), Command::AddService(service(web())));
    assert_eq!(command("--add-service --tcp-service=192.0.2.10:80"), Command::AddService(service(web())));
    for (line, expected) in [
        ("-u 192.0.2.10:53", socket(Protocol::Udp, "192.0.2.10:53")),
        ("--sctp-service 192.0.2.10:38412", socket(Protocol::Sctp, "192.0.2.10:38412")),
        ("-t [2001:db8::10]:80", socket(Protocol::Tcp, "[2001:db8::10]:80")),
        ("-t 192.0.2.10:http", web()),
        ("-t director.example:http", web()),
        ("-u 192.0.2.10:domain", socket(Protocol::Udp, "192.0.2.10:53")),
        ("-f 7", Key::Mark { mark: 7, ipv6: false }),
        ("-f 4294967295 -6", Key::Mark { mark: u32::MAX, ipv6: true }),
    ] {
        assert_eq!(command(&format!("-D {line}")), Command::DeleteService(expected), "{line}");
        assert_eq!(command(&format!("-Z {line}")), Command::Zero(Some(expected)), "{line}");
    }
    assert_eq!((command("-C"), command("-Z"), command("-R")), (Command::Clear, Command::Zero(None), Command::Restore));
}

#[test]
fn services_with_everything() {
    let base = service(web());
    for (line, expected) in [
        ("-s rr", Service { scheduler: "rr".to_owned(), ..base.clone() }),
        ("-s sixteen-letters-", Service { scheduler: "sixteen-letters".to_owned(), ..base.clone() }),
        ("-p", Service { persistent: Some(360), ..base.clone() }),
        ("-p 2678400", Service { persistent: Some(2_678_400), ..base.clone() }),
        (
            "-p -M 255.255.255.0",
            Service { persistent: Some(360), mask: Mask::V4([255, 255, 255, 0].into()), ..base.clone() },
        ),
        ("--pe sip -p 60", Service { engine: Some("sip".to_owned()), persistent: Some(60), ..base.clone() }),
        (
            "-b sh-port,sh-fallback -s sh",
            Service { scheduler: "sh".to_owned(), flags: Flags([true, true, false]), ..base.clone() },
        ),
        ("-b flag-3,flag-1", Service { flags: Flags([true, false, true]), ..base.clone() }),
    ] {
        assert_eq!(command(&format!("-A -t 192.0.2.10:80 {line}")), Command::AddService(expected.clone()), "{line}");
        assert_eq!(command(&format!("-E -t 192.0.2.10:80 {line}")), Command::EditService(expected), "{line}");
    }
    let dns = Service { one_packet: true, ..service(socket(Protocol::Udp, "192.0.2.10:53")) };
    assert_eq!(command("-A -u 192.0.2.10:53 -o"), Command::AddService(dns));
    let every = Service { persistent: Some(360), ..service(socket(Protocol::Tcp, "192.0.2.10:0")) };
    assert_eq!(command("-A -t 192.0.2.10 -p"), Command::AddService(every));
    let v6 =
        Service { mask: Mask::V6(64), persistent: Some(360), ..service(socket(Protocol::Tcp, "[2001:db8::10]:80")) };
    assert_eq!(command("-A -t [2001:db8::10]:80 -M 64 -p"), Command::AddService(v6));
}

#[test]
fn real_servers() {
    let add = |line: &str| command(&format!("-a -t 192.0.2.10:80 {line}"));
    let base = server("10.0.0.1:80");
    for (line, expected) in [
        ("-r 10.0.0.1", base.clone()),
        ("-r 10.0.0.1:8080", base.clone()),
        ("-r 10.0.0.1:8080 -m", Server { forwarding: Forwarding::Nat, ..server("10.0.0.1:8080") }),
        ("-r 10.0.0.1 -m", Server { forwarding: Forwarding::Nat, ..base.clone() }),
        ("-r 10.0.0.1 --fullnat", Server { forwarding: Forwarding::FullNat, ..base.clone() }),
        ("-r 10.0.0.1 -i -w 0", Server { forwarding: Forwarding::Tunnel, weight: 0, ..base.clone() }),
        (
            "-r 10.0.0.1 -g -w 65535 -x 2147483647 -y 10",
            Server { weight: 65_535, upper: 2_147_483_647, lower: 10, ..base.clone() },
        ),
        (
            "-r 10.0.0.1 -i --tun-type gue --tun-port 6080 --tun-remcsum",
            Server {
                forwarding: Forwarding::Tunnel,
                tunnel: Tunnel::Gue { port: 6080, checksum: Checksum::Remote },
                ..base.clone()
            },
        ),
        (
            "-r 10.0.0.1 -i --tun-type gre --tun-csum",
            Server { forwarding: Forwarding::Tunnel, tunnel: Tunnel::Gre(Checksum::Whole), ..base.clone() },
        ),
        ("-r [2001:db8::1]:80 -i", Server { forwarding: Forwarding::Tunnel, ..server("[2001:db8::1]:80") }),
    ] {
        assert_eq!(add(line), Command::AddServer(web(), expected.clone()), "{line}");
        let edit = command(&format!("-e -t 192.0.2.10:80 {line}"));
        assert_eq!(edit, Command::EditServer(web(), expected), "{line}");
    }
    let address: SocketAddr = "10.0.0.1:8080".parse().unwrap();
    assert_eq!(command("-d -t 192.0.2.10:80 -r 10.0.0.1:8080"), Command::DeleteServer(web(), address));
}

#[test]
fn the_order_of_options_counts() {
    // Without a port a server has that of the service that was named before it; direct routing has it anyway.
    let nat = |address| Server { forwarding: Forwarding::Nat, ..server(address) };
    assert_eq!(command("-a -r 10.0.0.1 -t 192.0.2.10:80 -m"), Command::AddServer(web(), nat("10.0.0.1:0")));
    assert_eq!(command("-a -r 10.0.0.1 -t 192.0.2.10:80"), Command::AddServer(web(), server("10.0.0.1:80")));
    // A mark's servers keep the port that was given.
    let mark = Key::Mark { mark: 7, ipv6: false };
    assert_eq!(command("-a -f 7 -r 10.0.0.1:81"), Command::AddServer(mark, server("10.0.0.1:81")));
    // A service's name is looked up by its own protocol.
    assert_eq!(refused("-a -r 10.0.0.1:http -t 192.0.2.10:80").text, "illegal real server address[:port] specified");
    assert_eq!(refused("-A -6 -f 7").text, "-6 used before -f\n");
    let Command::AddService(service) = command("-A -M 255.255.0.0 -p -t [2001:db8::10]:80") else { panic!() };
    assert_eq!(service.mask, Mask::V6(128), "a mask before an IPv6 service is forgotten");
}

#[test]
fn listings() {
    for (line, expected) in [
        ("-L", PLAIN),
        ("-l", PLAIN),
        ("-Ln", Listing { numeric: true, ..PLAIN }),
        ("-L -n --sort --sort", Listing { numeric: true, ..PLAIN }),
        ("-ln --nosort -X", Listing { numeric: true, sorted: false, exact: true, ..PLAIN }),
        ("-L -t 192.0.2.10:80", Listing { what: Listed::Service(web()), ..PLAIN }),
        ("-Lnc", Listing { what: Listed::Connections, numeric: true, ..PLAIN }),
        (
            "-Lc --persistent-conn",
            Listing { what: Listed::Connections, layout: Layout::Persistent, engines: true, ..PLAIN },
        ),
        ("-L --timeout", Listing { what: Listed::Timeouts, ..PLAIN }),
        ("-L --daemon --syncid 3", Listing { what: Listed::Daemons, ..PLAIN }),
        ("-L --stats --exact", Listing { layout: Layout::Stats, exact: true, ..PLAIN }),
        ("-L --rate --stats", Listing { layout: Layout::Stats, ..PLAIN }),
        ("-L --tun-info --thresholds --rate", Listing { layout: Layout::Rate, ..PLAIN }),
        ("-L --tun-info --thresholds", Listing { layout: Layout::Thresholds, ..PLAIN }),
        ("-L --tun-info", Listing { layout: Layout::Tunnels, ..PLAIN }),
    ] {
        assert_eq!(command(line), Command::List(expected), "{line}");
    }
    assert_eq!(command("-S"), Command::Save { numeric: false });
    assert_eq!(command("-Sn"), Command::Save { numeric: true });
}

#[test]
fn timeouts_and_daemons() {
    assert_eq!(command("--set 900 120 300"), Command::Set { tcp: 900, tcp_fin: 120, udp: 300 });
    assert_eq!(command("--set 0 0 2678400"), Command::Set { tcp: 0, tcp_fin: 0, udp: 2_678_400 });
    let daemon = Daemon {
        role: Role::Master,
        interface: "eth0".to_owned(),
        id: 0,
        longest: None,
        group: None,
        port: None,
        ttl: None,
    };
    assert_eq!(command("--start-daemon master"), Command::StartDaemon(daemon.clone()));
    let line = "--start-daemon=backup --mcast-interface wan --syncid 255 --sync-maxlen 65507 --mcast-group ff02::81 \
                --mcast-port 8849 --mcast-ttl 255";
    let all = Daemon {
        role: Role::Backup,
        interface: "wan".to_owned(),
        id: 255,
        longest: Some(65_507),
        group: Some("ff02::81".parse().unwrap()),
        port: Some(8849),
        ttl: Some(255),
    };
    assert_eq!(command(line), Command::StartDaemon(all));
    let stop = Daemon { role: Role::Backup, ..daemon };
    assert_eq!(command("--stop-daemon backup"), Command::StopDaemon(stop));
    assert_eq!(
        (command("-h"), command("--version"), command("-v -A")),
        (Command::Help, Command::Version, Command::Version)
    );
}

#[test]
fn what_is_no_number_in_range_is_said_to_be_illegal() {
    let add = "-A -t 192.0.2.10:80";
    let server = "-a -t 192.0.2.10:80 -r 10.0.0.1";
    for (line, complaint) in [
        ("-A -t 80", "illegal virtual server address[:port] specified"),
        ("-A -t nowhere.example:80", "illegal virtual server address[:port] specified"),
        ("-A -t 192.0.2.10:65536", "illegal virtual server address[:port] specified"),
        ("-A -t 192.0.2.10:", "illegal virtual server address[:port] specified"),
        ("-A -t [2001:db8::10]", "illegal virtual server address[:port] specified"),
        ("-A -t [2001:db8::10", "illegal virtual server address[:port] specified"),
        ("-a -t 192.0.2.10:80 -r 80", "illegal real server address[:port] specified"),
        ("-A -f 0", "invalid fwmark value `0' specified"),
        ("-A -f 4294967296", "invalid fwmark value `4294967296' specified"),
        ("-A -f x", "invalid fwmark value `x' specified"),
        (&format!("{add} -p 0"), "invalid timeout value `0' specified"),
        (&format!("{add} -p 2678401"), "invalid timeout value `2678401' specified"),
        (&format!("{add} -p 5m"), "invalid timeout value `5m' specified"),
        ("--set 900 120 2678401", "invalid timeout value `2678401' specified"),
        ("--set 900 120", "--set option requires 3 timeout values"),
        ("--set", "--set option requires 3 timeout values"),
        (&format!("{add} -M nowhere.example"), "illegal virtual server persistent mask specified"),
        ("-A -t [2001:db8::10]:80 -M 129", "illegal ipv6 netmask specified"),
        ("-A -t [2001:db8::10]:80 -M x", "illegal ipv6 netmask specified"),
        (&format!("{server} -w 2147483648"), "illegal weight specified"),
        (&format!("{server} -w -1"), "illegal weight specified"),
        (&format!("{server} -x 2147483648"), "illegal u_threshold specified"),
        (&format!("{server} -y x"), "illegal l_threshold specified"),
        (&format!("{server} -i --tun-type vxlan"), "illegal tunnel type specified"),
        (&format!("{server} -i --tun-type gue --tun-port 0"), "illegal tunnel port specified"),
        ("--start-daemon both", "illegal start-daemon parameter specified"),
        ("--stop-daemon both", "illegal start_daemon specified"),
        ("--start-daemon master --syncid 256", "illegal syncid specified"),
        ("--start-daemon master --sync-maxlen 65508", "illegal sync-maxlen specified"),
        ("--start-daemon master --mcast-port 0", "illegal mcast-port specified"),
        ("--start-daemon master --mcast-ttl 256", "illegal mcast-ttl specified"),
        ("--start-daemon master --mcast-group 10.0.0.1", "invalid IPv4 mcast-group `10.0.0.1'"),
        ("--start-daemon master --mcast-group 2001:db8::1", "invalid IPv6 mcast-group `2001:db8::1'"),
        (&format!("{add} -b sh-port"), "incompatible scheduler flag `sh-port'"),
        (&format!("{add} -s mh -b mh-port,sh-port"), "incompatible scheduler flag `sh-port'"),
        (&format!("{add} -b flag-4"), "invalid scheduler flag `flag-4'"),
    ] {
        assert_eq!(refused(line), Mistake { text: complaint.to_owned(), status: 2, ends: true }, "{line}");
    }
}

#[test]
fn what_a_command_does_not_take_is_illegal() {
    for (line, complaint) in [
        ("-A", "You need to supply the 'service-address' option for the 'add-service' command"),
        ("-E", "You need to supply the 'service-address' option for the 'edit-service' command"),
        ("-D", "You need to supply the 'service-address' option for the 'delete-service' command"),
        ("-a -t 192.0.2.10:80", "You need to supply the 'real-server' option for the 'add-server' command"),
        ("-e -r 10.0.0.1", "You need to supply the 'service-address' option for the 'edit-server' command"),
        ("-d -t 192.0.2.10:80", "You need to supply the 'real-server' option for the 'delete-server' command"),
        ("-A -t 192.0.2.10:80 -w 1", "Illegal 'weight' option with the 'add-service' command"),
        ("-A -t 192.0.2.10:80 -n", "Illegal 'numeric' option with the 'add-service' command"),
        ("-a -t 192.0.2.10:80 -r 10.0.0.1 -s rr", "Illegal 'scheduler' option with the 'add-server' command"),
        ("-d -t 192.0.2.10:80 -r 10.0.0.1 -m", "Illegal 'forwarding-method' option with the 'delete-server' command"),
        ("-C -n", "Illegal 'numeric' option with the 'flush' command"),
        ("-Z -n", "Illegal 'numeric' option with the 'zero' command"),
        ("-R -n", "Illegal 'numeric' option with the 'restore' command"),
        ("-S -X", "Illegal 'exact' option with the 'save' command"),
        ("--set 1 2 3 -n", "Illegal 'numeric' option with the 'set' command"),
        ("-L -r 10.0.0.1", "Illegal 'real-server' option with the 'list' command"),
        ("--start-daemon master -n", "Illegal 'numeric' option with the 'start-daemon' command"),
        ("--stop-daemon master --mcast-ttl 1", "Illegal 'mcast-ttl' option with the 'stop-daemon' command"),
        (
            "-L -c -t 192.0.2.10:80",
            "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
        ),
        ("-L --daemon --timeout", "The option 'daemon' conflicts with the 'timeout' option in the 'list' command"),
        ("-L -c --stats", "options conflicts in the list command"),
        ("-L --timeout --rate", "options conflicts in the list command"),
        ("-L --daemon --persistent-conn", "options conflicts in the list command"),
        ("-A -t 192.0.2.10:80 -u 192.0.2.10:80", "multiple 'service-address' options specified"),
        ("-A -t 192.0.2.10:80 -f 7", "multiple 'service-address' options specified"),
        ("-a -t 192.0.2.10:80 -r 10.0.0.1 -g -m", "multiple 'forwarding-method' options specified"),
        ("-L -n -n", "multiple 'numeric' options specified"),
        ("-A -D", "invalid option `-D'"),
        ("-LA", "invalid option `-LA'"),
        ("-L now", "unexpected argument now"),
        ("--set 1 2 3 4", "unexpected argument 4"),
        ("-A -t 192.0.2.10", "Zero port specified for non-persistent service"),
        ("-E -t 192.0.2.10:0", "Zero port specified for non-persistent service"),
        ("-A -t 192.0.2.10:80 -o", "One-Packet Scheduling is only for UDP virtual services"),
        (
            "-a -t 192.0.2.10:80 -r [2001:db8::1]:80 -m",
            "Different address family is allowed only for tunneling servers",
        ),
        ("-a -t 192.0.2.10:80 -r 10.0.0.1 --tun-nocsum", "Tunnel options conflict with forward method"),
        (
            "-a -t 192.0.2.10:80 -r 10.0.0.1 -i --tun-type gue",
            "You need to supply the 'tun-port' option for the 'gue' tunnel type",
        ),
        (
            "-a -t 192.0.2.10:80 -r 10.0.0.1 -i --tun-type gre --tun-remcsum",
            "Illegal 'tun-remcsum' option with the 'gre' tunnel type",
        ),
        ("-a -t 192.0.2.10:80 -r 10.0.0.1 -i --tun-csum", "Illegal 'tun-csum' option with the 'ipip' tunnel type"),
        (
            "-a -t 192.0.2.10:80 -r 10.0.0.1 -i --tun-type gue --tun-port 1 --tun-csum --tun-nocsum",
            "The option 'tun-csum' conflicts with the 'tun-nocsum' option in the 'gue' tunnel type",
        ),
    ] {
        assert_eq!(refused(line), Mistake { text: complaint.to_owned(), status: 2, ends: true }, "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_the_option_parsers() {
    let help = "Try `ipvsadm -h' or 'ipvsadm --help' for more information.";
    for line in ["-t 192.0.2.10:80", "-n", "-z", "--lst", "now", "--start-daemon", "-6"] {
        assert_eq!(refused(line), Mistake { text: help.to_owned(), status: 255, ends: true }, "{line}");
    }
    for (line, complaint) in [
        ("-L -z", "-z: unknown option"),
        ("-L --stat", "--stat: unknown option"),
        ("-A -t", "-t: missing argument"),
        ("-L --stats=1", "--stats=1: option does not take an argument"),
    ] {
        assert_eq!(refused(line), Mistake { text: complaint.to_owned(), status: 255, ends: false }, "{line}");
    }
}

#[test]
fn what_is_asked_of_the_director() {
    for (line, asked) in [
        (
            "-A -t [2001:db8::10]:80 -s rr -p 600 -M 64",
            r#"{"op":"add-service","service":{"address":"[2001:db8::10]:80","protocol":"tcp","scheduler":"rr","persistence":{"timeout":600,"mask":64}}}"#,
        ),
        (
            "-A -t 192.0.2.10:80 -s rr -p 600 -M 255.255.255.0",
            r#"{"op":"add-service","service":{"address":"192.0.2.10:80","protocol":"tcp","scheduler":"rr","persistence":{"timeout":600,"mask":"255.255.255.0"}}}"#,
        ),
        ("-A -f 7 -6", r#"{"op":"add-service","service":{"mark":7,"family":"ipv6","scheduler":"wlc"}}"#),
        ("-D -f 7", r#"{"op":"remove-service","service":{"mark":7}}"#),
        (
            "-a -t [2001:db8::10]:80 -r 10.0.0.1 -i",
            r#"{"op":"add-real","service":{"address":"[2001:db8::10]:80","protocol":"tcp"},"real":{"address":"10.0.0.1:80","forwarding":"tunnel","weight":1,"upper":0,"lower":0}}"#,
        ),
        (
            "-d -f 7 -6 -r 2001:db8:1::5",
            r#"{"op":"remove-real","service":{"mark":7,"family":"ipv6"},"real":"2001:db8:1::5"}"#,
        ),
    ] {
        let change = changes::change(&command(line)).unwrap().unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), asked, "{line}");
        if let Change::AddService { service } = change {
            parts::foreign_service(&service).unwrap();
        }
    }
}
