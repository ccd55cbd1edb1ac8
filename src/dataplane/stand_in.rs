//! Stand-ins: addresses by which the host reaches one real server through the VIP, as clients' packets do, so that a real server
//! whose VIP is not set up right is found out.
//!
//! ```text
//!   host ── OWN:hport > STAND-IN:vport ──► twin ──► OWN:hport > VIP:vport, by the real server's method ──► real server
//!   host ◄── STAND-IN:vport > OWN:hport ── twin ◄── VIP:vport > OWN:hport (by NAT RIP:rport > OWN:hport) ◄── real server
//! ```
//! Several real servers answer from one VIP: an answer is told apart by the port of the host's that it is for. What the host last
//! sent to a stand-in from a port is noted ([`Askers`]), and whatever else it sends from there takes the note away. An
//! answer must come from where the note says that it would. No connection is kept, nothing is scheduled, and nothing
//! counts as the service's or the real server's traffic. `through_vip.rs` does it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipnet::Ipv4Net;

use super::conn::Memory;
use super::service::{Forwarding, PortId, Protocol};
use super::sync::AtomicU64;

/// The Ethernet address that the host sends to whom it sends by a stand-in: nobody's, locally administered.
pub const STATION: [u8; 6] = [0x02, b's', b't', b'a', b'n', b'd'];

/// What stands behind a stand-in address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// What packets to it are sent to.
    pub vip: Ipv4Addr,
    /// The service's port; 0 if it has several.
    pub port: u16,
    /// RIP and port of the real server; port 0 is the one that is asked.
    pub real: SocketAddrV4,
    /// How packets reach it.
    pub forwarding: Forwarding,
}

impl StandIn {
    /// Where a packet to `port` of the stand-in address ends, and the answer comes from. A NAT real server's own port stands for the
    /// service's; another is asked as it is.
    pub fn end(&self, port: u16) -> SocketAddrV4 {
        match self.forwarding {
            Forwarding::Tunnel | Forwarding::Direct => SocketAddrV4::new(self.vip, port),
            Forwarding::Nat | Forwarding::FullNat | Forwarding::Local
                if self.real.port() != 0 && (port == self.port || self.port == 0) =>
            {
                self.real
            }
            Forwarding::Nat | Forwarding::FullNat | Forwarding::Local => SocketAddrV4::new(*self.real.ip(), port),
        }
    }
}

/// All stand-ins, by their places in the prefix that they are taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandIns {
    prefix: Ipv4Net,
    /// Shorter than the prefix; empty while nobody is asked through a VIP, and then the prefix is like any other.
    places: Arc<[Option<StandIn>]>,
}

impl StandIns {
    /// Those of `prefix`, in order, from its first address on.
    pub fn new(prefix: Ipv4Net, places: Arc<[Option<StandIn>]>) -> Self {
        Self { prefix, places }
    }

    /// Tells whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Tells whether an address is a stand-in's, or would be.
    pub fn cover(&self, address: Ipv4Addr) -> bool {
        !self.is_empty() && self.prefix.contains(&address)
    }

    /// Finds who stands behind an address of the prefix, and its place.
    pub fn find(&self, address: Ipv4Addr) -> Option<(u32, &StandIn)> {
        let place = address.to_bits().checked_sub(self.prefix.network().to_bits())?;
        Some((place, self.at(place)?))
    }

    /// Finds who is at a place.
    pub fn at(&self, place: u32) -> Option<&StandIn> {
        self.places.get(place as usize)?.as_ref()
    }

    /// The address of a place.
    pub fn address(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.prefix.network().to_bits().wrapping_add(place))
    }
}

/// What a port of the host's was last used to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The stand-in's place.
    pub place: u32,
    /// Its port; 0 for ICMP.
    pub port: u16,
    /// The twin that the question came by, and the answer goes to.
    pub twin: PortId,
}

impl Asker {
    /// Never 0: that is nobody.
    const fn pack(self) -> u64 {
        (self.place as u64 + 1) << 32 | (self.twin.0 as u64) << 16 | self.port as u64
    }

    const fn unpack(word: u64) -> Option<Self> {
        match (word >> 32) as u32 {
            0 => None,
            place => Some(Self { place: place - 1, port: word as u16, twin: PortId((word >> 16) as u8) }),
        }
    }
}

/// By own address, protocol and port (ICMP: identifier) of the host's: what it asks from there. Written by whichever worker
/// sees the question, read by whichever sees the answer: a word each.
///
/// The kernel gives no two sockets of one own address and protocol the same port, so that a note is one check's, as long as each check has
/// bound its socket to the address without sharing it.
pub struct Askers {
    own: Box<[u32]>,
    notes: Memory<AtomicU64>,
}

const PROTOCOLS: usize = 3;
const PORTS: usize = 1 << 16;

impl Askers {
    /// Notes for these own addresses: 1.5 MiB each.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn new(own: impl IntoIterator<Item = Ipv4Addr>) -> io::Result<Self> {
        let own: Box<[u32]> = own.into_iter().map(Ipv4Addr::to_bits).collect();
        Ok(Self { notes: Memory::touched(own.len() * PROTOCOLS * PORTS)?, own })
    }

    fn note_of(&self, own: u32, protocol: Protocol, port: u16) -> Option<&AtomicU64> {
        let own = self.own.iter().position(|address| *address == own)?;
        let protocol = match protocol {
            Protocol::Tcp => 0,
            Protocol::Udp => 1,
            Protocol::Icmp => 2,
            Protocol::Sctp => return None,
        };
        self.notes.get((own * PROTOCOLS + protocol) * PORTS + usize::from(port))
    }

    /// Notes what is asked from a port of an own address, in host order; `None` for something that is no stand-in's. Returns whether there is a place for the note.
    pub fn note(&self, own: u32, protocol: Protocol, port: u16, asker: Option<Asker>) -> bool {
        let Some(note) = self.note_of(own, protocol, port) else { return false };
        let word = asker.map_or(0, Asker::pack);
        // Nearly always it is so already, and the line may stay with all who read it.
        if note.load(Ordering::Relaxed) != word {
            note.store(word, Ordering::Relaxed);
        }
        true
    }

    /// Finds what was asked last from a port of an own address, in host order.
    pub fn find(&self, own: u32, protocol: Protocol, port: u16) -> Option<Asker> {
        Asker::unpack(self.note_of(own, protocol, port)?.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 0x0a00_0001;
    const OTHER: u32 = 0xc000_0202;

    fn askers() -> Askers {
        Askers::new([OWN, OTHER].map(Ipv4Addr::from_bits)).unwrap()
    }

    fn nobody() -> StandIn {
        let real = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 11), 8080);
        StandIn { vip: Ipv4Addr::new(203, 0, 113, 10), port: 80, real, forwarding: Forwarding::Nat }
    }

    #[test]
    fn a_note_is_one_addresss_protocols_and_ports() {
        let askers = askers();
        let asker = Asker { place: u32::MAX - 1, port: 65_535, twin: PortId(31) };
        let least = Asker { place: 0, port: 0, twin: PortId(0) };
        assert!(askers.note(OTHER, Protocol::Icmp, 65_535, Some(asker)));
        assert!(askers.note(OWN, Protocol::Tcp, 0, Some(least)));
        assert_eq!(askers.find(OTHER, Protocol::Icmp, 65_535), Some(asker));
        assert_eq!(askers.find(OWN, Protocol::Tcp, 0), Some(least));
        for (own, protocol, port) in [
            (OWN, Protocol::Icmp, 65_535),
            (OTHER, Protocol::Udp, 65_535),
            (OTHER, Protocol::Icmp, 65_534),
            (OTHER, Protocol::Tcp, 0),
            (7, Protocol::Tcp, 0),
        ] {
            assert_eq!(askers.find(own, protocol, port), None);
        }
        assert!(askers.note(OWN, Protocol::Tcp, 0, None));
        assert_eq!(askers.find(OWN, Protocol::Tcp, 0), None);
        assert!(!askers.note(7, Protocol::Tcp, 1, Some(asker)), "nobody's address");
        assert!(!askers.note(OWN, Protocol::Sctp, 1, Some(asker)));
    }

    #[test]
    fn stand_ins_are_found_by_their_places_in_the_prefix() {
        let prefix = "198.18.0.0/15".parse().unwrap();
        let list = StandIns::new(prefix, [None, None, Some(nobody())].into());
        let address = Ipv4Addr::new(198, 18, 0, 2);
        assert_eq!(list.find(address), Some((2, &nobody())));
        assert_eq!(list.address(2), address);
        for other in ["198.17.255.255", "198.18.0.0", "198.18.0.1", "198.18.0.3", "198.19.255.255", "198.20.0.0"] {
            let other: Ipv4Addr = other.parse().unwrap();
            assert_eq!(list.find(other), None, "{other}");
            assert_eq!(list.cover(other), (other.octets()[1] & 0xfe) == 18, "{other}");
        }
        assert!(!StandIns::new(prefix, [].into()).cover(address), "nobody is asked by them");
    }

    #[test]
    fn where_a_question_ends_depends_on_the_method() {
        let nat = nobody();
        let end = |stand_in: StandIn, port| stand_in.end(port).to_string();
        assert_eq!(end(nat, 80), "10.0.0.11:8080");
        assert_eq!(end(nat, 8081), "10.0.0.11:8081", "a port that is no service's");
        assert_eq!(end(StandIn { port: 0, ..nat }, 81), "10.0.0.11:8080", "of whatever port");
        let kept = SocketAddrV4::new(*nat.real.ip(), 0);
        assert_eq!(end(StandIn { port: 0, real: kept, ..nat }, 81), "10.0.0.11:81");
        for forwarding in [Forwarding::Tunnel, Forwarding::Direct] {
            assert_eq!(end(StandIn { forwarding, ..nat }, 81), "203.0.113.10:81");
        }
    }
}
