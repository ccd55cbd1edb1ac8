//! A test in a network namespace of its own.
//!
//! ```text
//!   test: unshare --net (with a user namespace where it is not root) ──► test --inside
//! ```
#![allow(dead_code)] // Each test file is a program of its own and uses its own part of this.

use std::process::{Command, exit};

const INSIDE: &str = "--inside";

/// Runs the one test of a program, in a namespace; as the usual harness has it, words are filters.
pub fn run<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{name}: test");
        return;
    }
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if filters.peek().is_some() && !filters.any(|filter| name.contains(filter.as_str())) {
        return;
    }
    if arguments.iter().any(|argument| argument == INSIDE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test());
        println!("test {name} ... ok");
        return;
    }
    let this = std::env::current_exe().expect("this program has a path");
    // Root in a user namespace of its own: also where the caller is nobody.
    let status = Command::new("unshare").args(["--map-root-user", "--net"]).arg(this).arg(INSIDE).status();
    match status {
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(cause) => panic!("unshare does not run: {cause}"),
    }
}

/// Has `ip` do something, and returns what it prints.
pub fn ip(command: &str) -> String {
    let done = Command::new("ip").args(command.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {command}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("what ip prints is text")
}

/// Tells whether the kernel here has IPv6.
pub fn has_ipv6() -> bool {
    std::path::Path::new("/proc/net/if_inet6").exists()
}
