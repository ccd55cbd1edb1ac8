//! Looking into the connection table, and removing from it, while packets go through it.

mod support;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millrace::ctrl::api::{self, DeviceReport, Socket};
use millrace::ctrl::director::{Checked, Running};
use millrace::dataplane::clock::Now;
use millrace::dataplane::port::memory::{MemoryPort, MemoryWire};
use millrace::dataplane::service::RealId;
use millrace::dataplane::shared::Shared;
use millrace::dataplane::worker::Worker;
use support::*;

const VIP: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 10), 80);
const SERVICES: &str = "
[[service]]
address = '203.0.113.10:80'
scheduler = 'rr'
real = [{ address = '10.0.0.11:8080' }, { address = '10.0.0.12:8080' }]
[[service]]
address = '203.0.113.20:80'
scheduler = 'rr'
real = [{ address = '10.0.0.11:8080' }]
[[service]]
address = '203.0.113.10:53'
protocol = 'udp'
forwarding = 'direct'
real = [{ address = '10.0.0.12' }]
";

fn client(number: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, 7), 40_000 + number)
}

/// A director that answers on a socket while the test lets its worker go round.
struct Stand {
    folder: PathBuf,
    worker: Worker<MemoryPort>,
    wires: Vec<MemoryWire>,
    shared: Arc<Shared>,
    origin: Instant,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Stand {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("millrace-connections-{name}-{}", std::process::id()));
        let Director { shared, applier, mut workers, mut wires, now } = Director::new(SERVICES, 1);
        let origin = Instant::now() - Duration::from_nanos(now.nanos());
        let device = Box::new(|_| DeviceReport::default());
        let config = config(SERVICES);
        let checked = Checked::nobody(&config);
        let running = Running::new(Arc::clone(&shared), applier, config, "x.toml".into(), origin, device, checked);
        let socket = Socket::bind(&folder.join("api.sock")).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(api::serve(socket, None, Arc::new(running), async { drop(stopped.await) })).unwrap();
        });
        let (worker, wires) = (workers.remove(0), wires.remove(0));
        Self { folder, worker, wires, shared, origin, stop: Some(stop), server: Some(server) }
    }

    /// Gives the worker frames from the clients' side, and throws away what it sends.
    fn give(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            self.wires[WAN].inject(frame).unwrap();
        }
        self.worker.poll(Now::from_nanos(self.origin.elapsed().as_nanos() as u64));
        self.wires.iter().for_each(|wire| drop(wire.collect()));
    }

    /// 30 connections that are open, 4 that are opening to another VIP on a shared real server, and 3 of UDP.
    fn populate(&mut self) {
        let opening = |flags: &str, vip, numbers: std::ops::Range<u16>| -> Vec<_> {
            numbers.map(|number| tcp(client(number), vip, WAN_MAC, flags, b"")).collect()
        };
        self.give(&opening("S", VIP, 0..30));
        self.give(&opening("A", VIP, 0..30));
        self.give(&opening("S", (Ipv4Addr::new(203, 0, 113, 20), 80), 100..104));
        self.give(&(0..3).map(|n| udp(client(200 + n), (VIP.0, 53), WAN_MAC, b"?")).collect::<Vec<_>>());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.arg("conn").args(arguments).env("MILLRACE_SOCKET", self.folder.join("api.sock"));
        command
    }

    fn conn(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.conn(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn in_all(&self) -> u32 {
        let counts = (0..100).map(|real| self.shared.counts.connections(RealId(real)));
        counts.map(|real| real.active + real.inactive).sum()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.server.take().map(JoinHandle::join);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn connections_are_listed_as_ipvsadm_does() {
    let mut stand = Stand::new("list");
    stand.populate();
    let list = stand.text(&["list"]);
    let mut lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        lines[..2],
        ["IPVS connection entries", "pro expire state       source             virtual            destination"]
    );
    lines.drain(..2);
    assert_eq!(lines.len(), 37, "each once, and no link: {list}");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 37);
    let first = lines.iter().find(|line| line.contains("198.51.100.7:40000 ")).unwrap();
    assert!(
        first.starts_with("TCP 1")
            && first.ends_with("ESTABLISHED 198.51.100.7:40000 203.0.113.10:80    10.0.0.11:8080"),
        "{first}"
    );

    for (filter, count) in [
        (&["--real", "10.0.0.11"][..], 15 + 4),
        (&["--service", "203.0.113.20"], 4),
        (&["--state", "syn_recv"], 4),
        (&["--protocol", "udp"], 3),
        (&["--client", "198.51.100.0/24", "--service", "203.0.113.10:80"], 30),
        (&["--client", "198.51.101.0/24"], 0),
    ] {
        let json = stand.text(&[&["list", "--json"], filter].concat());
        assert_eq!(json.lines().count(), count, "{filter:?}");
        let counted: serde_json::Value =
            serde_json::from_str(&stand.text(&[&["count", "--json"], filter].concat())).unwrap();
        assert_eq!(counted["connections"], count, "{filter:?}");
    }
    let counted = stand.text(&["count"]);
    assert_eq!(counted, "        30 TCP ESTABLISHED\n         4 TCP SYN_RECV\n         3 UDP UDP\n        37 in all\n");
}

#[test]
fn one_connection_is_shown_or_missed() {
    let mut stand = Stand::new("show");
    stand.populate();
    assert_eq!(stand.text(&["show", "198.51.100.7:40100"]).lines().count(), 3);
    assert_eq!(stand.text(&["show", "198.51.100.7:40100", "203.0.113.20:80", "--json"]).lines().count(), 1);
    let missed = stand.conn(&["show", "198.51.100.7:40100", "203.0.113.10:80"]);
    assert_eq!(String::from_utf8_lossy(&missed.stderr), "198.51.100.7:40100 has no such connection\n");
    assert_eq!(missed.status.code(), Some(1));
    let wrong = stand.conn(&["list", "--client", "nobody"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("\"nobody\" is no address"));
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn connections_are_flushed_while_their_packets_come() {
    let mut stand = Stand::new("flush");
    stand.populate();
    assert_eq!(stand.in_all(), 37);
    let all = stand.conn(&["flush"]);
    assert_eq!(all.status.code(), Some(2), "everything only by --all");
    assert_eq!(stand.text(&["flush", "--service", "203.0.113.20:80"]), "4 connections removed\n");
    assert_eq!(stand.in_all(), 33);

    let acks: Vec<_> = (0..30).map(|number| tcp(client(number), VIP, WAN_MAC, "A", b"")).collect();
    let mut flush = stand.command(&["flush", "--protocol", "tcp"]).stdout(Stdio::piped()).spawn().unwrap();
    while flush.try_wait().unwrap().is_none() {
        stand.give(&acks);
    }
    let output = flush.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "30 connections removed\n");
    assert_eq!(stand.in_all(), 3, "the counts are exact, whoever removed");
    stand.give(&acks);
    assert_eq!(stand.text(&["count"]), "         3 UDP UDP\n         3 in all\n", "an ACK opens nothing");
    assert_eq!(stand.text(&["flush", "--all"]), "3 connections removed\n");
    assert_eq!(stand.in_all(), 0);
    stand.populate();
    assert_eq!(stand.in_all(), 37, "the places are free again");
}
