//! A connection that starts over: an opening packet that comes to a connection which is over, or whose real server is gone,
//! gets a real server anew, and the entry moves there, in place. [`super::rules`] says when.

use super::classify::Way;
use super::conn::{Gone, Slot, Unlinked, Updated, Value};
use super::connect::{Connector, Request, TRIES, content};
use super::persist;
use super::service::RealServer;
use super::shared::Kept;
use super::stats::Outcome;

impl<'a> Connector<'a> {
    /// A packet lets its connection start over: it gets a server anew, in place.
    #[cold]
    pub(super) fn again<K: Kept>(
        &mut self,
        request: &Request<'_, K>,
        slot: Slot,
        value: Value,
    ) -> Result<&'a RealServer, Outcome> {
        let Request { service, way, packet } = *request;
        let service = self.snapshot.service(service).ok_or(Outcome::DropNoService)?;
        if self.snapshot.socket(value.real()).is_some_and(|outlet| outlet.local) {
            return self.anew(request, slot, value);
        }
        self.admit(service)?;
        let (mut refused, mut why) = (None, Outcome::DropAmbiguous);
        for _ in 0..TRIES {
            let picked = self.pick(service, packet, refused);
            let (real, template) = picked.map_err(|outcome| if refused.is_some() { why } else { outcome })?;
            // Where a slot's address and port are noted nobody but its claimant may write.
            if real.shared.is_some_and(|socket| socket.local) {
                return self.anew(request, slot, value);
            }
            let linked = if self.is_mistakable(packet, real, way.key) {
                Err(Unlinked::Ambiguous)
            } else {
                self.relink(slot, way, value, real)
            };
            match linked {
                Ok(()) => {}
                // Another worker has the same packet, and moves the connection.
                Err(Unlinked::Busy) => return Ok(real),
                Err(no @ (Unlinked::Ambiguous | Unlinked::Full | Unlinked::NoPort)) => {
                    why = if no == Unlinked::Full { Outcome::DropTableFull } else { Outcome::DropAmbiguous };
                    refused = Some(real.id);
                    continue;
                }
            }
            let fresh = self.controlled(service, template, content(real, packet, self.tick()));
            let renew = |value: Value| {
                if !self.snapshot.rules.starts_over(packet, value, self.snapshot.real(value.real())) {
                    // Another worker had the same SYN, and was quicker.
                    return value;
                }
                let value = value.with_real(real.id).with_no_output(fresh.no_output());
                let value = value.with_unanswered(fresh.unanswered()).uncounted();
                let value = value.with_controlled(fresh.controlled()).with_era(fresh.era());
                value.in_state(fresh.state(), fresh.seen()).with_seen(fresh.seen())
            };
            return match self.table::<K>().update(slot, value, renew) {
                Ok(Updated { old, new }) if old == new => {
                    self.moved_on::<K>(slot, new, self.snapshot.real(new.real()), packet)
                }
                Ok(updated) => {
                    self.counts.changed(updated.old, updated.new);
                    persist::ended(self.shared, self.snapshot, way.key, updated.old);
                    self.persisted(template, way.key, updated.new);
                    self.count_connection(service, real);
                    Ok(real)
                }
                Err(Gone) => self.newcomer(request),
            };
        }
        Err(why)
    }

    /// Links a connection to the real server that it is to move to, in the place of one that never came to life if need be.
    fn relink<K: Kept>(&self, slot: Slot, way: &Way<K>, value: Value, real: &RealServer) -> Result<(), Unlinked> {
        let (Some(socket), table) = (real.shared, self.table::<K>()) else { return Ok(()) };
        let hash = table.hash(way.key.link(socket.outlet()));
        for _ in 0..TRIES {
            let linked = table.relink(slot, way.key, value, socket, self.tick(), self.sockets());
            if linked != Err(Unlinked::Full) || !self.make_room_at::<K>(&[hash]) {
                return linked;
            }
        }
        Err(Unlinked::Full)
    }
}
