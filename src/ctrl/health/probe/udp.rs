//! One datagram, and what comes back.
//!
//! Where no answer is expected, silence is right after [`SILENCE`], or after half of the limit: by then an ICMP refusal would have come.

use std::time::Duration;

use tokio::time::timeout;

use super::Target;
use super::datagram::{self, Carrier};
use super::failure::{Failure, Kind, Stage, Step, excerpt};
use crate::ctrl::health::check::Udp;

/// How long a refusal is waited for. Servers are near: it takes one round trip.
const SILENCE: Duration = Duration::from_millis(200);
/// How much of an answer is read at least, so that a wrong one can be told.
const SHOWN: usize = 256;

/// A datagram, and its right answer.
pub(super) struct Question {
    send: Vec<u8>,
    expect: Option<Vec<u8>>,
}

impl Question {
    pub(super) fn new(udp: &Udp) -> Self {
        Self { send: udp.send.clone(), expect: udp.expect.clone() }
    }

    pub(super) async fn ask(&self, target: &Target, limit: Duration, step: &Step) -> Result<(), Failure> {
        let socket = datagram::open(Carrier::Udp, target)?;
        step.enter(Stage::Answer);
        datagram::send(&socket, &self.send).await?;
        let Some(expect) = &self.expect else {
            let mut any = [0; 1];
            return match timeout(SILENCE.min(limit / 2), datagram::receive(&socket, &mut any)).await {
                Ok(heard) => heard.map(|_| ()),
                Err(_) => Ok(()),
            };
        };
        let mut buffer = vec![0; expect.len().max(SHOWN)];
        match datagram::receive(&socket, &mut buffer).await? {
            answer if answer.starts_with(expect) => Ok(()),
            answer => Err(Failure::new(Kind::Body, format!("another answer: {}", excerpt(answer)))),
        }
    }
}
