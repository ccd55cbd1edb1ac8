//! A director as an operator runs it: a process on ordinary memory, without root.

#![allow(dead_code)] // Each test file is a program of its own and uses its own part of this.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use millrace::ctrl::api::{Client, Report};
use millrace::ctrl::config::Machine;

/// One test's folder, with a configuration whose ports receive nothing.
pub struct Desk(PathBuf);

impl Desk {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("millrace-process-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let desk = Self(path);
        desk.write(&desk.config("10.0.0.2"));
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn config(&self, real: &str) -> String {
        format!(
            "director = {{ workers = {:?}, poll = 'adaptive', dpdk_args = ['--no-huge', '-m', '128', '--no-telemetry'] }}
            api.socket = '{}'
            port = [{{ name = 'lan', device = 'net_null0,no-rx=1', addresses = ['10.0.0.1/24'] }}]
            [[service]]
            address = '192.0.2.1:80'
            real = [{{ address = '{real}' }}]
            ",
            &Machine::here().cores[..1],
            self.path("api.sock").display()
        )
    }

    pub fn write(&self, config: &str) {
        fs::write(self.path("x.toml"), config).unwrap();
    }

    pub fn millrace(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).current_dir(&self.0).output().unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running director, ended with its test.
pub struct Director<'a> {
    desk: &'a Desk,
    pub child: Child,
}

impl<'a> Director<'a> {
    pub fn start(desk: &'a Desk) -> Self {
        Self::start_with(desk, [])
    }

    /// Starts it with these in its environment, too.
    pub fn start_with(desk: &'a Desk, variables: impl IntoIterator<Item = (&'static str, OsString)>) -> Self {
        let log = File::create(desk.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let command = command.args(["run", "-c", "x.toml"]).current_dir(&desk.0).stdout(Stdio::null()).stderr(log);
        let command = command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").envs(variables);
        let director = Self { desk, child: command.spawn().unwrap() };
        director.until("it answers", |director| director.stats().is_some());
        director
    }

    pub fn stats(&self) -> Option<Report> {
        Client::new(&self.desk.path("api.sock")).stats().ok()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.desk.path("log")).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let line = format!("kill -s {name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    pub fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(Instant::now() < deadline, "not within 20 s: {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Director<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a capture with a frame each second, without its last `cut` octets.
pub fn capture(path: &Path, frames: &[&[u8]], cut: usize) {
    let mut file: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for (second, frame) in frames.iter().enumerate() {
        file.extend([second as u32, 0, frame.len() as u32, frame.len() as u32].map(u32::to_le_bytes).concat());
        file.extend(*frame);
    }
    file.truncate(file.len() - cut);
    fs::write(path, file).unwrap();
}
