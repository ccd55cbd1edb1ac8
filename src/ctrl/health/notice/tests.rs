//! Real commands and a real web server, told by a real notifier.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::ctrl::config::{Notify, Receiver};
use crate::dataplane::service::Protocol;

mod commands;
mod webhooks;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of one test's own, with what its scripts write.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("millrace-notice-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a script, whose `$HERE` is this folder.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\nHERE='{}'\n{text}\n", self.0.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn on_runtime<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn web() -> Selector {
    Selector::Socket("203.0.113.10:80".parse().unwrap(), Protocol::Tcp)
}

fn notice(event: Event) -> Notice {
    Notice {
        at: SystemTime::now(),
        event,
        service: Some(web()),
        real: matches!(event, Event::ServerDown | Event::ServerUp).then(|| "10.0.0.11:8080".parse().unwrap()),
        reason: "because".to_owned(),
        pool: Some(Pool { up: 2, servers: 3, weight: 4, quorum: 1 }),
    }
}

fn entry(receiver: Receiver) -> Notify {
    Notify { receiver, events: vec![], services: vec![], timeout: 10 }
}

fn command(words: &[&str]) -> Notify {
    entry(Receiver::Command(words.iter().map(|word| (*word).to_owned()).collect()))
}

/// Waits until something is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
