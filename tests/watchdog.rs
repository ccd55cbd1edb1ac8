//! What the service manager's watchdog hears of a director: that it is alive, and nothing while a worker hangs.
//!
//! The worker hangs in its driver: its port is a pipe, from which the driver reads without giving up.
#![cfg(feature = "dpdk")]

mod process;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use process::{Desk, Director};

const INTERVAL: Duration = Duration::from_secs(2);
/// More than a worker asks a port for at a time.
const FRAMES: usize = 64;

/// A service manager's end of the line.
struct Manager(UnixDatagram);

impl Manager {
    fn new(desk: &Desk) -> Self {
        Self(UnixDatagram::bind(desk.path("notify")).unwrap())
    }

    fn variables(desk: &Desk, pid: Option<&str>) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("NOTIFY_SOCKET", desk.path("notify").into_os_string()),
            ("WATCHDOG_USEC", INTERVAL.as_micros().to_string().into()),
        ];
        variables.extend(pid.map(|pid| ("WATCHDOG_PID", pid.into())));
        variables
    }

    /// What is said next, if something is within this time.
    fn hears(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut octets = [0; 256];
        let length = self.0.recv(&mut octets).ok()?;
        Some(String::from_utf8(octets[..length].to_vec()).unwrap())
    }

    fn hears_only(&self, word: &str) {
        assert_eq!(self.hears(Duration::from_secs(20)).as_deref(), Some(word));
    }

    /// Forgets what was said so far.
    fn forgets(&self) {
        while self.hears(Duration::from_millis(1)).is_some() {}
    }
}

/// A port whose frames come by a pipe, as a capture that never ends.
struct Pipe {
    end: File,
    flows: Arc<AtomicBool>,
}

impl Pipe {
    fn new(desk: &Desk) -> Self {
        let path = desk.path("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        // Opened for both, so that neither side waits for the other.
        let mut end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let header = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
        end.write_all(&header).unwrap();
        Self { end, flows: Arc::default() }
    }

    /// Lets frames come, or dries up.
    fn flow(&self, flows: bool) {
        if self.flows.swap(flows, Ordering::Relaxed) || !flows {
            return;
        }
        let (mut end, flows) = (self.end.try_clone().unwrap(), Arc::clone(&self.flows));
        let frame = [[0, 0, 60, 60].map(u32::to_le_bytes).concat(), vec![0; 60]].concat();
        thread::spawn(move || {
            while flows.load(Ordering::Relaxed) {
                end.write_all(&frame.repeat(FRAMES)).unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
    }
}

#[test]
fn a_director_says_that_it_is_alive_unless_a_worker_hangs() {
    let desk = Desk::new("watchdog");
    let manager = Manager::new(&desk);
    let pipe = Pipe::new(&desk);
    pipe.flow(true);
    let device = format!("net_pcap0,rx_pcap={},tx_pcap=/dev/null", desk.path("pipe").display());
    desk.write(&desk.config("10.0.0.2").replace("net_null0,no-rx=1", &device));
    let mut director = Director::start_with(&desk, Manager::variables(&desk, None));
    manager.hears_only("READY=1\n");
    manager.hears_only("WATCHDOG=1\n");
    let first = Instant::now();
    manager.hears_only("WATCHDOG=1\n");
    assert!(first.elapsed() < INTERVAL, "in time: {:?}", first.elapsed());

    pipe.flow(false);
    let log = "watchdog: worker 0 does not go round: no word to the service manager";
    director.until("it is seen that the worker hangs", |director| director.log().contains(log));
    assert!(director.stats().is_some(), "control runs");
    manager.forgets();
    assert_eq!(manager.hears(2 * INTERVAL), None, "the service manager would have ended it by now");

    pipe.flow(true);
    manager.hears_only("WATCHDOG=1\n");
    assert!(director.log().contains("watchdog: every worker goes round again"), "{}", director.log());
    director.signal("TERM");
    assert_eq!(director.child.wait().unwrap().code(), Some(0), "{}", director.log());
    pipe.flow(false);
    let last = std::iter::from_fn(|| manager.hears(Duration::from_millis(1))).last();
    assert_eq!(last.as_deref(), Some("STOPPING=1\n"));
}

#[test]
fn a_worker_that_naps_is_alive() {
    let desk = Desk::new("watchdog-nap");
    let manager = Manager::new(&desk);
    let director = Director::start_with(&desk, Manager::variables(&desk, None));
    manager.hears_only("READY=1\n");
    for _ in 0..2 {
        manager.hears_only("WATCHDOG=1\n");
    }
    assert!(!director.log().contains("watchdog"), "{}", director.log());
}

#[test]
fn a_watchdog_that_is_for_another_process_hears_nothing() {
    let desk = Desk::new("watchdog-other");
    let manager = Manager::new(&desk);
    let _director = Director::start_with(&desk, Manager::variables(&desk, Some("1")));
    manager.hears_only("READY=1\n");
    assert_eq!(manager.hears(INTERVAL), None);
}
