//! The tap driver's signal.
//!
//! net_tap reads a tap only after a real-time signal has told it that the host has sent something (fcntl(2), F_SETSIG). When as many
//! wait as the user of this process may have waiting (RLIMIT_SIGPENDING; other processes' count too), the kernel sends SIGIO in its place, of
//! which the driver knows nothing: what the host has sent would lie there until it sends something more.
#![allow(unsafe_code)]

use std::{fs, io};

use rustix::process::{Signal, getpid, kill_process};

/// The first real-time signal that the C library leaves to programs (signal(7)).
const FIRST: u32 = 34;
const LAST: u32 = 64;

/// Sends this process the real-time signals that it catches: the driver's. Sent like this they are not counted, and always arrive.
///
/// # Errors
/// If it cannot be told which they are, or they are not sent.
pub fn wake_taps() -> io::Result<()> {
    let caught = caught(&fs::read_to_string("/proc/self/status")?).unwrap_or_default();
    for number in (FIRST..=LAST).filter(|number| caught >> (number - 1) & 1 == 1) {
        // SAFETY: a real-time signal's number, and none of those that the C library keeps to itself.
        let signal = unsafe { Signal::from_raw_unchecked(number as i32) };
        kill_process(getpid(), signal)?;
    }
    Ok(())
}

/// Finds the set of signals that a process has handlers for in its status (proc_pid_status(5)): bit n - 1 is signal n.
fn caught(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_found_in_a_status() {
        assert_eq!(caught("Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t0000000400004003\n"), Some(0x4_0000_4003));
        assert_eq!(caught("Name:\tx\n"), None);
    }

    #[test]
    fn without_a_handler_nothing_is_sent() {
        // It would end this process.
        wake_taps().unwrap();
    }
}
