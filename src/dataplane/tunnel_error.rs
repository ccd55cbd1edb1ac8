//! ICMP errors from within a tunnel, about the packets that the director puts into it: each becomes one for the client whose packet was
//! inside, since it is to the client that the tunnel is one link among others (RFC 2003 §4, RFC 2473 §8, RFC 4459 §3.1).
//!
//! ```text
//!   client                 director                              router on the way to the tunnel's end
//!     ◄── about CIP > VIP ──    ◄── to the director's address, about ( director > RIP ( CIP > VIP ──
//! ```
//! | the router says | the client is told |
//! |---|---|
//! | too big, IPv4's DF set or IPv6 | too big for the tunnel: the MTU less the outer header |
//! | unreachable, but for a port; out of hops | host unreachable |
//! | all else | nothing: it is about the outer header, which the client knows nothing of |
//!
//! A router that is older than RFC 1191 tells no MTU: it is guessed by the table there. One that is no smaller than the packet was is not believed, and no
//! client is told to send less than its family's least. An IPv6 client whose packet had 1,280 octets or fewer cannot send less (RFC 8200 §5); nor
//! does an IPv4 client that lets its packets be fragmented hear of what only an IPv6 tunnel finds too big.
//!
//! The quoted packet must be of a connection that goes by that tunnel. An IPv4 router may quote no more than eight octets behind
//! its header (RFC 792), which do not say whose packet it was: [`Outcome::DropIcmpQuote`]. The host may have tunnels of its own, and where it
//! has the address it gets all that is not told a client. The limit of the director's own errors holds for these too.

use super::address::Family;
use super::forward::icmp_error::{self, Problem, Unreachable};
use super::forward::ipip;
use super::forward::link;
use super::forward::quote::Quote;
use super::parse::{Kind, Parsed};
use super::pipeline::{Fate, Stages, unforwarded};
use super::port::Frame;
use super::related::{Found, offsets, turned};
use super::service::{Forwarding, Local};
use super::stand_in::STATION;
use super::stats::Outcome;
use super::wire::{icmp, icmpv6, ipv4, ipv6};

/// MTUs in use (RFC 1191 §7.1), for routers that tell none.
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/// What no client ends by hearing of.
const DROPPED: Outcome = Outcome::DropTunnelError;

impl Stages<'_> {
    /// Tells the client of an error about a tunnel's packet; `None` if that is none of the director's.
    pub(super) fn tunnel_error<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        quote: &Quote,
    ) -> Option<Result<Fate, Outcome>> {
        if !matches!(self.snapshot.locals.find(packet.dst), Some(Local::Own(_))) {
            return None;
        }
        let Some(inner) = quote.inner(frame.bytes()) else { return Some(Err(Outcome::DropIcmpQuote)) };
        let Some(about) = inner.flow(frame.bytes()) else { return Some(Err(Outcome::DropIcmpQuote)) };
        match self.connector.standing(&about) {
            Found::Connection(Ok(real))
                if real.forwarding == Forwarding::Tunnel && real.address.address == quote.destination =>
            {
                Some(self.tell_client(frame, packet, (quote, &inner), &about))
            }
            Found::Connection(_) => Some(Err(DROPPED)),
            Found::Nothing => Some(Err(Outcome::DropIcmpNoConnection)),
            Found::Unserved => None,
        }
    }

    fn tell_client<F: Frame>(
        &mut self,
        frame: &mut F,
        packet: &Parsed,
        (outer, inner): (&Quote, &Quote),
        about: &Parsed,
    ) -> Result<Fate, Outcome> {
        let problem = problem(frame.bytes(), packet, outer, inner).ok_or(DROPPED)?;
        let answer = turned(about);
        let host = self.host_at(answer.dst);
        let hop = if host.is_some() { None } else { Some(self.hop(&answer)?) };
        if !self.errors.allow(self.now) {
            return Err(DROPPED);
        }
        // The host takes nothing that bears an address of its own.
        let own = hop.and_then(|hop| self.snapshot.ports[hop.port.index()].source(answer.family()));
        icmp_error::relay(frame, inner.octets(), problem, own.unwrap_or(answer.src), self.ids.draw())?;
        match (hop, host) {
            (Some(hop), _) => Ok(self.towards(frame, hop, Outcome::ForwardedTunnelError)),
            (None, Some((port, twin))) => {
                link::readdress(frame.bytes_mut(), port.mac, STATION).map_err(unforwarded)?;
                Ok(Fate::Send(twin, Outcome::ForwardedTunnelError))
            }
            (None, None) => Err(DROPPED),
        }
    }
}

/// What a client is told of an error about `outer`, in which its packet `inner` was.
fn problem(frame: &[u8], packet: &Parsed, outer: &Quote, inner: &Quote) -> Option<Problem> {
    let unreachable = Problem::Unreachable { what: Unreachable::Host, dropped: DROPPED };
    let message = frame.get(offsets(packet).1..)?.first_chunk::<{ icmp::HEADER_OCTETS }>()?;
    let told = if packet.kind == Kind::Icmp {
        let message = icmp::Packet::new_unchecked(message);
        match (message.kind(), message.code()) {
            (icmp::Type::DestinationUnreachable, icmp::CODE_FRAGMENTATION_NEEDED) => message.next_hop_mtu().into(),
            (icmp::Type::DestinationUnreachable, icmp::CODE_PORT_UNREACHABLE | icmp::CODE_SOURCE_ROUTE_FAILED) => {
                return None;
            }
            (icmp::Type::DestinationUnreachable | icmp::Type::TimeExceeded, _) => return Some(unreachable),
            _ => return None,
        }
    } else {
        let message = icmpv6::Packet::new_unchecked(message);
        match (message.kind(), message.code()) {
            (icmpv6::Type::PacketTooBig, _) => message.rest(),
            (icmpv6::Type::DestinationUnreachable, icmpv6::CODE_PORT_UNREACHABLE) => return None,
            (icmpv6::Type::DestinationUnreachable | icmpv6::Type::TimeExceeded, _) => return Some(unreachable),
            _ => return None,
        }
    };
    let length = outer.total_octets(frame)?;
    let mtu = match told {
        0 => *PLATEAUS.iter().find(|plateau| usize::from(**plateau) < length)?,
        told => u16::try_from(told).ok().filter(|told| usize::from(*told) < length)?,
    };
    let mtu = ipip::inner_mtu(mtu, outer.source.family());
    let (least, octets) = match inner.source.family() {
        Family::V4 => (ipv4::MIN_MTU, 0),
        Family::V6 => (ipv6::MIN_MTU, inner.total_octets(frame)?),
    };
    let helpless = octets != 0 && octets <= usize::from(least);
    (inner.dont_fragment(frame) && !helpless).then_some(Problem::TooBig { mtu: mtu.max(least) })
}
