//! What the host sends: frames that come in on a port's twin.
//!
//! They leave by the port as they are, and pass by the services; but for those to stand-in addresses, which go to a real server
//! ([`super::through_vip`]).

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
        Fate::Send(self.ingress, Outcome::FromHost)
    }
}
