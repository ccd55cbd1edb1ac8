//! The sorry server: what takes a service's new connections while no real server does, be they of weight 0, over their
//! thresholds, or none at all. It says so to people, as a rule.
//!
//! Once a real server takes connections again it gets all new ones; those that the sorry server has go on until they end. No
//! persistence template ever names it, so that nobody is kept away from the service for longer than need be. dh, sh and mh
//! without their fallback refuse the clients of a real server that takes none: they are refused as long as another one
//! takes connections, for the service is not down. (keepalived, which puts its sorry server into IPVS's list in place of
//! all others, does the same to them.)

use super::connect::Connector;
use super::service::{RealId, RealServer, Service};
use super::stats::Outcome;

impl<'a> Connector<'a> {
    /// Returns the sorry server if it is its turn, now that the scheduler has found nobody; `refused` is as in
    /// [`Connector::choose`].
    ///
    /// # Errors
    /// The outcome of a packet that gets none.
    #[cold]
    pub(super) fn sorry(&self, service: &Service, refused: Option<RealId>) -> Result<&'a RealServer, Outcome> {
        let sorry = service.sorry.ok_or(Outcome::DropNoRealServer)?;
        if refused == Some(sorry) {
            return Err(Outcome::DropAmbiguous);
        }
        let up = || service.reals.iter().any(|candidate| candidate.weight_now(self.loads()) > 0);
        if refused.is_some() || service.plan.is_hashed() && up() {
            return Err(Outcome::DropNoRealServer);
        }
        self.snapshot.real(sorry).ok_or(Outcome::DropNoRealServer)
    }
}
