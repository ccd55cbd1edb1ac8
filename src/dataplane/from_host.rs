//! What the host sends: frames that come in on a port's twin.
//!
//! They leave by the port as they are, but for
//! - those to stand-in addresses, which go to a real server ([`super::through_vip`]);
//! - those to VIPs, where the host is a client ([`super::own_vips`]);
//! - what answers a service's clients where the host is a real server ([`super::host`]).

use super::pipeline::{Fate, Stages};
use super::port::Frame;
use super::stats::Outcome;

/// Where a frame that the host sent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// This becomes of it.
    Now(Fate),
    /// It goes through the stages, as a client's does.
    AsAClient,
}

impl Stages<'_> {
    /// Says where a frame goes that the host sent, where these are the surroundings of the port whose twin it came by. The stages are
    /// left to the caller: the fast path has one place in the program.
    #[inline]
    pub fn leave<F: Frame>(&mut self, frame: &mut F) -> Leaving {
        if !self.snapshot.stand_ins.is_empty()
            && let Some(fate) = self.ask(frame)
        {
            return Leaving::Now(fate);
        }
        if let Some(leaving) = self.asked_by_host(frame) {
            return leaving;
        }
        if self.snapshot.host_serves
            && let Some(fate) = self.answered_by_host(frame)
        {
            return Leaving::Now(fate);
        }
        Leaving::Now(Fate::Send(self.ingress, Outcome::FromHost))
    }
}
