//! Forwarding without state: what a service scheduled by a hash (dh, sh, mh) does with a connection that cannot be stored,
//! because the table is full for it or the service has had as many new connections as its limit allows.
//!
//! The hash gives every packet of a connection the same real server for as long as the service's real servers stay the
//! same, so nothing need be remembered:
//!
//! | packet without an entry | becomes |
//! |---|---|
//! | one that opens a connection | stored if there is room and the limit allows it; else forwarded by the hash |
//! | one in the middle of a stream | forwarded by the hash while the service is in fallback mode; else dropped, as ever |
//!
//! A service is in **fallback mode** from the first packet that it forwards so until it has forwarded none for as long as an
//! open connection may be idle (`timeouts.tcp`, or the service's `timeout`): a connection that began without an entry
//! is forwarded for as long as it would have been with one. All workers share the mode, since any of them may get
//! the next packet. Packets in the middle of a stream are never stored (that is what `sloppy_tcp` is for): forged ones would
//! fill the table with open connections, which never give way.
//!
//! By NAT this cannot be done, since the answer finds its client by the entry: such packets are dropped and counted as full or
//! over the limit, as with every other scheduler. So are those of a persistent service, where the hash has not the last word. So is a packet that lets an old connection start over while the limit
//! is reached: its entry is there, and would lead the packets after it.
//!
//! Packets forwarded so are in each worker's `stateless` counter, and in the packets of service and real server; there is no
//! connection to count. What they open does not use up the limit, and thresholds do not feel it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::clock::Now;
use super::service::EndpointId;

/// When each service last forwarded a packet without state.
#[derive(Debug)]
pub struct Stateless(
    /// By endpoint id, the tick plus 1; 0 for never.
    Box<[AtomicU32]>,
);

impl Stateless {
    /// No service ever did, of those with ids below this.
    pub fn new(endpoint_ids: usize) -> Self {
        Self((0..endpoint_ids).map(|_| AtomicU32::new(0)).collect())
    }

    /// Notes that a service does so now. Writes once a tick at most, since all workers read it.
    #[inline]
    pub fn note(&self, service: EndpointId, now: Now) {
        let Some(last) = self.0.get(service.index()) else { return };
        let tick = stamp(now);
        if last.load(Relaxed) != tick {
            last.store(tick, Relaxed);
        }
    }

    /// How many ticks ago a service last did.
    #[inline]
    pub fn age(&self, service: EndpointId, now: Now) -> Option<u32> {
        let last = self.0.get(service.index())?.load(Relaxed);
        (last != 0).then(|| stamp(now).saturating_sub(last))
    }

    /// Forgets what a service did that had this id before.
    pub fn forget(&self, service: EndpointId) {
        if let Some(last) = self.0.get(service.index()) {
            last.store(0, Relaxed);
        }
    }
}

/// The tick plus 1: 34 years fit.
fn stamp(now: Now) -> u32 {
    u32::try_from(now.ticks()).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    #[test]
    fn a_service_remembers_when_it_last_did() {
        let stateless = Stateless::new(3);
        let [one, two, none] = [1, 2, 9].map(|id| EndpointId(NonZeroU16::new(id).unwrap()));
        stateless.note(one, Now::from_millis(0));
        stateless.note(none, Now::from_millis(0));
        let at = Now::from_millis(2500);
        assert_eq!([one, two, none].map(|id| stateless.age(id, at)), [Some(10), None, None]);
        stateless.note(one, at);
        assert_eq!(stateless.age(one, at), Some(0));
        assert_eq!(stateless.age(one, Now::from_millis(0)), Some(0), "another worker's clock is a little behind");
        stateless.forget(one);
        assert_eq!(stateless.age(one, at), None);
    }
}
