//! What the host sends: frames that come in on a port's twin.
//!
//! They leave by the port as they are, but for
//! - those to stand-in addresses, which go to a real server ([`super::through_vip`]);
//! - those to VIPs, where the host is a client ([`super::own_vips`]);
//! - what answers a service's clients where the host is a real server ([`super::host`]).

use super::pipeline::{Fate, Stages};
use super::port::Frame;
use super::stats::Outcome;

impl Stages<'_> {
    /// Says what becomes of a frame that the host sent, where these are the surroundings of the port whose twin it came by.
    #[inline]
    pub fn leave<F: Frame>(&mut self, frame: &mut F) -> Fate {
        if !self.snapshot.stand_ins.is_empty()
            && let Some(fate) = self.ask(frame)
        {
            return fate;
        }
        if let Some(fate) = self.asked_by_host(frame) {
            return fate;
        }
        if self.snapshot.host_serves
            && let Some(fate) = self.answered_by_host(frame)
        {
            return fate;
        }
        Fate::Send(self.ingress, Outcome::FromHost)
    }
}
