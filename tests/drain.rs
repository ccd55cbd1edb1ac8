//! `millrace real drain --wait` with connections that end, and with what may come between.
#![cfg(feature = "dpdk")]

mod process;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use etherparse::PacketBuilder;
use process::{Desk, Director, capture};

const REAL: &str = "10.0.0.2";
const SERVICE: &str = "udp/192.0.2.1:80";
const DRAINED: &str = "service UDP 192.0.2.1:80: real server 10.0.0.2:80: weight 1 -> 0";
const TWO_LEFT: &str = "2 connections left (0 active, 2 inactive)";

/// A desk whose director gets one datagram each of two clients, and keeps their connections for so long.
fn desk(name: &str, timeout: &str) -> Desk {
    let desk = Desk::new(name);
    let datagrams = [4711, 4712].map(|port| {
        let mut frame = Vec::new();
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
        ethernet.ipv4([10, 0, 0, 77], [192, 0, 2, 1], 64).udp(port, 80).write(&mut frame, b"?").unwrap();
        frame
    });
    capture(&desk.path("in.pcap"), &datagrams.each_ref().map(Vec::as_slice), 0);
    let device =
        format!("net_pcap0,rx_pcap={},tx_pcap=/dev/null', mac = '02:00:00:00:00:01", desk.path("in.pcap").display());
    let config = desk.config(REAL).replace("net_null0,no-rx=1", &device).replace("80'\n", "80'\nprotocol = 'udp'\n");
    desk.write(&format!("timeouts.udp = '{timeout}'\n{config}"));
    desk
}

fn start(desk: &Desk) -> Director<'_> {
    let director = Director::start(desk);
    director.until("there are two connections", |director| director.stats().unwrap().connections.inactive == 2);
    director
}

fn millrace(desk: &Desk, arguments: &[&str]) -> Output {
    let socket = desk.path("api.sock");
    desk.millrace(&[arguments, &["--service", SERVICE, "--socket", socket.to_str().unwrap()]].concat())
}

fn drain(desk: &Desk, more: &[&str]) -> Output {
    millrace(desk, &[&["real", "drain", REAL], more].concat())
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// A drain that waits.
struct Waiting {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Waiting {
    /// Starts it, and reads what it says before it waits.
    fn start(desk: &Desk) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let command = command.args(["real", "drain", REAL, "--wait", "--service", SERVICE, "--socket"]);
        let command = command.arg(desk.path("api.sock")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), TWO_LEFT);
        Self { child, lines }
    }

    fn ends(self, status: i32, complaint: &str) {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!((text(&output.stderr), output.status.code()), (complaint, Some(status)));
        assert_eq!(self.lines.count(), 0);
    }
}

#[test]
fn it_tells_how_many_are_left_until_none_is() {
    let desk = desk("drain", "8s");
    let _director = start(&desk);
    let output = drain(&desk, &["--wait", "--timeout", "20s"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines[..2], [DRAINED, TWO_LEFT]);
    assert_eq!(*lines.last().unwrap(), "no connections left");
    assert!(lines.len() <= 4, "nothing is said twice: {lines:?}");
    let again = drain(&desk, &["--wait", "--json"]);
    let expected = "{\"version\":2,\"changed\":[]}\n{\"active\":0,\"inactive\":0,\"persistent\":0}\n";
    assert_eq!((text(&again.stdout), again.status.code()), (expected, Some(0)));
}

#[test]
fn what_comes_between_ends_it_and_is_told() {
    let desk = desk("drain-between", "1h");
    let mut director = start(&desk);
    let late = drain(&desk, &["--wait", "--timeout", "1s"]);
    assert_eq!(text(&late.stdout), format!("{DRAINED}\n{TWO_LEFT}\n"));
    let complaint = format!("10.0.0.2 is not drained: {TWO_LEFT}\n");
    assert_eq!((text(&late.stderr), late.status.code()), (complaint.as_str(), Some(1)));

    let mut waiting = Waiting::start(&desk);
    let interrupt = format!("kill -s INT {}", waiting.child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(waiting.child.wait().unwrap().code(), None, "ended by the signal");
    assert_eq!(director.stats().unwrap().services[0].reals[0].weight, 0, "and the weight stays");

    let waiting = Waiting::start(&desk);
    assert!(millrace(&desk, &["real", "set", REAL, "--weight", "3"]).status.success());
    waiting.ends(1, "10.0.0.2 was given weight 3\n");

    let waiting = Waiting::start(&desk);
    assert!(millrace(&desk, &["real", "remove", REAL]).status.success());
    waiting.ends(1, "10.0.0.2 was removed\n");

    assert!(millrace(&desk, &["real", "add", REAL]).status.success());
    let waiting = Waiting::start(&desk);
    director.signal("TERM");
    assert_eq!(director.child.wait().unwrap().code(), Some(0));
    let output = waiting.child.wait_with_output().unwrap();
    let complaint = format!("no director answers at {}: ", desk.path("api.sock").display());
    assert!(text(&output.stderr).starts_with(&complaint), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(3));
}
