//! Signals from the operator.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: apply the configuration file again.
    Reload,
    /// SIGTERM or SIGINT: stop cleanly.
    Stop,
}

/// The signals that arrive from now on.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Starts to listen, inside a tokio runtime. The EAL and its drivers may catch signals of their own (the tap
    /// driver does): they do not get in the way of these three.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. Dropping the future loses none.
    pub async fn next(&mut self) -> Signal {
        let Self { hangup, terminate, interrupt } = self;
        std::future::poll_fn(|context| {
            // Stop first: a reload that came with it would be for nothing.
            if terminate.poll_recv(context).is_ready() || interrupt.poll_recv(context).is_ready() {
                return Signal::Stop.into();
            }
            hangup.poll_recv(context).map(|_| Signal::Reload)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_director_hears_of_signals() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut signals = Signals::new().unwrap();
            for (name, expected) in [("HUP", Signal::Reload), ("TERM", Signal::Stop), ("INT", Signal::Stop)] {
                let line = format!("kill -s {name} {}", std::process::id());
                let kill = std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
                assert!(kill.success());
                assert_eq!(signals.next().await, expected, "{name}");
            }
        });
    }
}
