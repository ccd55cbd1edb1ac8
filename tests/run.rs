//! The director as an operator runs it, and replays with mistakes in them: on ordinary memory, without root.
#![cfg(feature = "dpdk")]

mod process;

use std::fs;

use etherparse::PacketBuilder;
use millrace::ctrl::api::Report;
use millrace::ctrl::connections::ConnectionReport;
use process::{Desk, Director, capture};

#[test]
fn a_director_reloads_refuses_and_ends() {
    let desk = Desk::new("life");
    let mut director = Director::start(&desk);
    let report = director.stats().unwrap();
    assert_eq!((report.generation, report.ports[0].link_up, report.services[0].reals.len()), (1, true, 1));

    let second = desk.millrace(&["run", "-c", "x.toml"]);
    let refusal = format!("{}: another director answers there\n", desk.path("api.sock").display());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.ends_with(&refusal) && second.status.code() == Some(1), "{said}");

    desk.write(&desk.config("10.0.0.3"));
    director.signal("HUP");
    director.until("the new file is applied", |director| director.stats().is_some_and(|now| now.generation == 2));
    let report = director.stats().unwrap();
    assert_eq!(report.services[0].reals[0].address.to_string(), "10.0.0.3:80");

    desk.write("no such key = 1");
    director.signal("HUP");
    director.until("the wrong file is refused", |director| director.log().contains("reload refused, nothing changed"));
    assert_eq!(director.stats().unwrap().generation, 2);

    director.signal("TERM");
    let ended = director.child.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", director.log());
    assert!(director.log().contains("every one accounted for"), "{}", director.log());
    assert!(!desk.path("api.sock").exists(), "the socket is taken away");
}

#[test]
fn a_killed_director_is_no_obstacle() {
    let desk = Desk::new("killed");
    let mut director = Director::start(&desk);
    director.child.kill().unwrap();
    director.child.wait().unwrap();
    assert!(desk.path("api.sock").exists());
    let mut director = Director::start(&desk);
    director.signal("INT");
    assert_eq!(director.child.wait().unwrap().code(), Some(0), "{}", director.log());
}

#[test]
fn what_does_not_fit_this_machine_touches_nothing() {
    let desk = Desk::new("machine");
    desk.write(&desk.config("10.0.0.2").replace("net_null0,no-rx=1", "net_af_packet0,iface=millrace-none"));
    let output = desk.millrace(&["run", "-c", "x.toml"]);
    let line = "x.toml:3: port[0].device: there is no interface \"millrace-none\" here\n";
    assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), (line, Some(2)));
    assert!(!desk.path("api.sock").exists());
}

#[test]
fn a_port_that_does_not_start_takes_everything_back() {
    let desk = Desk::new("port");
    desk.write(&desk.config("10.0.0.2").replace("net_null0,no-rx=1", "net_nothing0"));
    let output = desk.millrace(&["run", "-c", "x.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!desk.path("api.sock").exists(), "{said}");
}

#[test]
fn replays_with_mistakes_are_refused() {
    let desk = Desk::new("replay");
    capture(&desk.path("a.pcap"), &[&[0; 60]], 0);
    capture(&desk.path("cut.pcap"), &[&[0; 60], &[0; 60]], 7);
    fs::write(desk.path("text"), "not a capture at all").unwrap();
    for (arguments, words, status) in [
        (&["--in", "wan=a.pcap"][..], "--in wan: the configuration has no such port; it has lan", 2),
        (&["--in", "lan=a.pcap", "--in", "lan=a.pcap"], "--in lan: given twice", 2),
        (&["--in", "lan=text"], "text: neither a pcap nor a pcapng file", 2),
        (&["--in", "lan=none.pcap"], "none.pcap: No such file or directory (os error 2)", 2),
        (&["--in", "lan=a.pcap", "--out", "lan=./a.pcap"], "a.pcap: given for input and output", 2),
        (&["--in", "lan=a.pcap", "--out", "lan=no/o.pcap"], "no/o.pcap: No such file or directory (os error 2)", 2),
        (&["--in", "lan=a.pcap", "--out", "lan=a,b.pcap"], "a,b.pcap: a path with a comma in it cannot be given", 2),
        (&["--in", "lan=cut.pcap"], "cut.pcap: damaged, or cut short: 1 frames could not be read", 1),
    ] {
        let output = desk.millrace(&[&["replay", "-c", "x.toml"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(status), "{said}");
    }
    assert!(fs::read(desk.path("a.pcap")).unwrap().len() > 60, "the input is whole");
}

#[test]
fn a_replay_counts_and_writes() {
    let desk = Desk::new("counts");
    capture(&desk.path("a.pcap"), &[&[0; 60], &[0xff; 60], &[0; 14]], 0);
    let arguments = ["--in", "lan=a.pcap", "--out", "lan=o.pcap", "--stats", "s.json", "--workers", "2"];
    let output = desk.millrace(&[&["replay", "-c", "x.toml"], &arguments[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_slice(&fs::read(desk.path("s.json")).unwrap()).unwrap();
    assert_eq!(report.workers.iter().map(|worker| worker.received).sum::<u64>(), 3);
    assert_eq!(report.outcomes.values().map(|outcome| outcome.count).sum::<u64>(), 3);
    assert_eq!(report.uptime_seconds, 2.0, "the captures' clock");
    // The port's own address is announced.
    assert_eq!(fs::read(desk.path("o.pcap")).unwrap().len(), 24 + 16 + 42);
}

#[test]
fn a_replay_writes_the_connections_there_are_at_the_end() {
    let desk = Desk::new("connections");
    desk.write(&desk.config("10.0.0.2").replace("device =", "mac = '02:00:00:00:00:01', device ="));
    let mut syn = Vec::new();
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
    ethernet.ipv4([10, 0, 0, 77], [192, 0, 2, 1], 64).tcp(4711, 80, 1, 1024).syn().write(&mut syn, &[]).unwrap();
    capture(&desk.path("a.pcap"), &[&syn, &[0; 60], &[0; 60]], 0);
    let output = desk.millrace(&["replay", "-c", "x.toml", "--in", "lan=a.pcap", "--connections", "c.json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let connection: ConnectionReport = serde_json::from_slice(&fs::read(desk.path("c.json")).unwrap()).unwrap();
    assert_eq!((connection.client, connection.state.as_str()), ("10.0.0.77:4711".parse().unwrap(), "SYN_RECV"));
    assert_eq!(connection.expires_seconds, 60 - 2, "by the captures' clock");
}
