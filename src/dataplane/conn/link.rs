//! Links: how a reply from a real server that several services share finds its connection.
//!
//! ```text
//!   request: (client, port, service)  -----------------------> forward entry
//!   reply:   (client, port, socket of the real server) -> link ----^
//! ```
//! A reply does not say which service its connection belongs to. So each connection to a shared socket inserts,
//! besides its own entry, a link under the socket's endpoint, which names the entry's slot and generation. Whoever
//! follows it checks that the entry is that client's and that its real server has this socket.
//!
//! That a key has one entry makes the link the test for ambiguity too: if the link belongs to another service's
//! connection, the replies of the two could not be told apart, and the new one needs another real server.
//!
//! The order is: forward entry pending, link, forward entry live. The check accepts a pending entry, so a link that
//! is just being made is not taken for a stale one. A stale link is taken over where it stands, by one
//! compare-and-swap; since it names a generation, a slot's next life never makes an old link right again.

use super::entry::{Link, Value};
use super::hash::Hash;
use super::identity::Identity;
use super::insert::{Claim, Insert, Refused};
use super::table::{Slot, Table};
use super::tick::Tick;
use crate::dataplane::service::{EndpointId, RealId};
use crate::dataplane::sync::{Fault, Ordering, commits, fence};

/// What links to a real server's socket are keyed by, besides the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// The socket's endpoint.
    pub endpoint: EndpointId,
    /// For wide connections, the port that answers come from; 0 for the one that the client talks to.
    pub port: u16,
    /// Whether it is reached by full NAT: then links are keyed by the local address and port in the client's stead.
    pub local: bool,
}

/// The socket of a real server that several services share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its endpoint, which links are keyed by.
    pub endpoint: EndpointId,
    /// As [`Outlet::port`].
    pub port: u16,
    /// As [`Outlet::local`].
    pub local: bool,
    /// The service that named it first. Connections from the time when it was that service's alone have no link. `None`
    /// where every connection ever had one.
    pub first: Option<EndpointId>,
}

impl Socket {
    /// The same for whoever shares it, whatever the method.
    #[must_use]
    pub const fn of_all(self) -> Self {
        Self { local: false, ..self }
    }

    /// What its links are keyed by.
    #[inline]
    pub const fn outlet(self) -> Outlet {
        Outlet { endpoint: self.endpoint, port: self.port, local: self.local }
    }
}

/// What became of an insert with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedInsert {
    /// As [`Insert::Inserted`]; the link is there too.
    Inserted(Slot, Value),
    /// As [`Insert::Exists`].
    Exists(Slot, Value),
    /// As [`Insert::Busy`].
    Busy(Value),
    /// The same client and port have a connection of another service to this socket: choose another real server.
    Ambiguous,
    /// No free place for the entry or for its link.
    Full,
    /// By full NAT: of the local addresses' ports that were tried none is free.
    NoPort,
}

impl From<Insert> for LinkedInsert {
    fn from(insert: Insert) -> Self {
        match insert {
            Insert::Inserted(slot, value) => Self::Inserted(slot, value),
            Insert::Exists(slot, value) => Self::Exists(slot, value),
            Insert::Busy(value) => Self::Busy(value),
            Insert::Full => Self::Full,
        }
    }
}

impl From<Refused> for LinkedInsert {
    fn from(refused: Refused) -> Self {
        Insert::from(refused).into()
    }
}

/// Why an entry has no link to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// The link is another service's.
    Ambiguous,
    /// Another worker is about to link the same tuple; the next packet may try again.
    Busy,
    /// No free place.
    Full,
    /// As [`LinkedInsert::NoPort`].
    NoPort,
}

impl<K: Identity> Table<K> {
    /// Inserts an entry, and the link by which replies from `socket` find it, unless the key has an entry.
    ///
    /// `sockets` tells the shared socket of a real server; it must go on telling it for a real server that was
    /// removed as long as connections refer to it.
    pub fn insert_linked(
        &self,
        key: K,
        hash: Hash,
        content: Value,
        socket: Socket,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> LinkedInsert {
        let link_key = key.link(socket.outlet());
        self.prefetch_all(self.hash(link_key));
        if self.unlinked_rival(key, socket, &sockets) {
            return LinkedInsert::Ambiguous;
        }
        loop {
            let claim = match self.claim(key, hash, content) {
                Ok(claim) => claim,
                Err(refused) => return refused.into(),
            };
            match self.link(link_key, key, claim, content.seen(), &sockets) {
                Ok(()) => match self.publish(claim) {
                    Some(live) => return LinkedInsert::Inserted(claim.slot, live),
                    None => self.release(claim.slot, claim.word),
                },
                Err(refusal) => {
                    self.withdraw(claim);
                    match refusal {
                        Refusal::SameKey => {}
                        Refusal::Unlinked(Unlinked::Ambiguous) => return LinkedInsert::Ambiguous,
                        Refusal::Unlinked(Unlinked::Busy) => return LinkedInsert::Busy(content),
                        Refusal::Unlinked(Unlinked::Full | Unlinked::NoPort) => return LinkedInsert::Full,
                    }
                }
            }
            if let Some((slot, value)) = self.lookup(key, hash) {
                return LinkedInsert::Exists(slot, value);
            }
        }
    }

    /// Links a live entry to the socket of another real server, before an update moves it there. What linked it to
    /// the old one is stale from then on.
    ///
    /// # Errors
    /// [`Unlinked`]: the entry must not be moved there.
    pub fn relink(
        &self,
        slot: Slot,
        key: K,
        seen: Value,
        socket: Socket,
        now: Tick,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> Result<(), Unlinked> {
        if self.unlinked_rival(key, socket, &sockets) {
            return Err(Unlinked::Ambiguous);
        }
        let owner = Claim { slot, word: seen };
        self.link(key.link(socket.outlet()), key, owner, now, &sockets).map_err(|refusal| match refusal {
            Refusal::SameKey => Unlinked::Busy,
            Refusal::Unlinked(why) => why,
        })
    }

    /// Finds the connection that a reply from a shared socket belongs to. `key` is the client's towards the socket's
    /// endpoint, and `hash` its hash. The entry may be pending still: forward by it; an update leaves it as it is.
    #[inline]
    pub fn follow(
        &self,
        key: K,
        hash: Hash,
        first: Option<EndpointId>,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> Option<(Slot, K, Value)> {
        if let Some((_, link)) = self.lookup(key, hash)
            && let Some(found) = self.target(key, link, &sockets)
        {
            return Some(found);
        }
        self.follow_unlinked(key, first, sockets)
    }

    /// The last step of [`Table::follow`], for a burst that looks links up by levels and prefetches
    /// ([`Table::prefetch_slot`]) where they lead: the entry that `link`, found under `key`, leads to. `None` for a
    /// stale link.
    #[inline]
    pub fn target(&self, key: K, link: Value, sockets: impl Fn(RealId) -> Option<Outlet>) -> Option<(Slot, K, Value)> {
        let link = Link::of(link)?;
        self.forward(key, link, &sockets).map(|(forward, value)| (link.slot, forward, value))
    }

    /// The other way of [`Table::follow`]: a connection from before the socket was shared.
    #[cold]
    pub fn follow_unlinked(
        &self,
        key: K,
        first: Option<EndpointId>,
        sockets: impl Fn(RealId) -> Option<Outlet>,
    ) -> Option<(Slot, K, Value)> {
        let forward = key.unlinked(first?)?;
        let (slot, value) = self.lookup(forward, self.hash(forward))?;
        let outlet = sockets(value.real())?;
        // By full NAT every connection has a link.
        (outlet.endpoint == key.endpoint() && !outlet.local).then_some((slot, forward, value))
    }

    /// Tells whether a connection of the socket's first service, which may have no link, has the same tuple.
    fn unlinked_rival(&self, key: K, socket: Socket, sockets: &impl Fn(RealId) -> Option<Outlet>) -> bool {
        Some(key.endpoint()) != socket.first
            && self.follow_unlinked(key.link(socket.outlet()), socket.first, sockets).is_some()
    }

    /// Makes a link to `owner`'s slot, or takes a stale one over.
    pub(super) fn link(
        &self,
        link_key: K,
        key: K,
        owner: Claim,
        now: Tick,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
    ) -> Result<(), Refusal> {
        let hash = self.hash(link_key);
        let mine = Link::new(owner.slot, owner.word, now);
        loop {
            let (place, word) = match self.insert(link_key, hash, mine.content()) {
                Insert::Inserted(..) => return Ok(()),
                Insert::Full => return Err(Refusal::Unlinked(Unlinked::Full)),
                Insert::Exists(slot, word) => (Some(slot), word),
                Insert::Busy(word) => (None, word),
            };
            // No other entry than links has a socket's endpoint in its key.
            let Some(found) = Link::of(word) else { return Err(Refusal::Unlinked(Unlinked::Ambiguous)) };
            if !found.same_target(mine)
                && let Some((holder, _)) = self.forward(link_key, found, sockets)
            {
                return Err(if holder == key { Refusal::SameKey } else { Refusal::Unlinked(Unlinked::Ambiguous) });
            }
            let Some(place) = place else { return Err(Refusal::Unlinked(Unlinked::Busy)) };
            if self.exchange(place, word, word.leading_to(mine)).is_ok() {
                return Ok(());
            }
        }
    }

    /// The forward entry, live or pending, that a link found under `link_key` leads to, if it is the right one.
    #[inline]
    pub(super) fn forward(
        &self,
        link_key: K,
        link: Link,
        sockets: &impl Fn(RealId) -> Option<Outlet>,
    ) -> Option<(K, Value)> {
        // Where a link was taken over, the hit's last, relaxed read is the one that saw the new target.
        if !commits(Fault::NoLinkFence) {
            fence(Ordering::Acquire);
        }
        let (key, value) = self.read_held(link.slot)?;
        if commits(Fault::LinkRefusesPending) && !value.is_live() {
            return None;
        }
        let endpoint = link_key.endpoint();
        let outlet = || {
            if commits(Fault::LinkAnySocket) {
                return Some(Outlet { endpoint, port: 0, local: false });
            }
            sockets(value.real()).filter(|outlet| outlet.endpoint == endpoint)
        };
        let right = (value.generation() == link.generation || commits(Fault::LinkAnyLife))
            && outlet().is_some_and(|outlet| self.link_key(link.slot, value, key, outlet) == Some(link_key));
        right.then_some((key, value))
    }

    /// Removes the link under `link_key` if it leads to the life of `slot` that `forward` belongs to. A very young
    /// link is left to the sweep.
    pub(super) fn unlink(&self, link_key: K, slot: Slot, forward: Value, now: Tick) {
        let hash = self.hash(link_key);
        let Some((place, word)) = self.lookup(link_key, hash) else { return };
        let gone = Link::new(slot, forward, now);
        if Link::of(word).is_some_and(|link| link.same_target(gone) && !link.is_young(now)) {
            self.remove_word(place, word);
        }
    }
}

/// Why no link was made.
pub(super) enum Refusal {
    /// Another worker's insert of the same forward key has it: look the key up again.
    SameKey,
    Unlinked(Unlinked),
}
