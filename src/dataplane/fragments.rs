//! Fragments: each goes where the first of its datagram goes, on whichever worker it comes, and nothing is put together.
//!
//! ```text
//!  first, with the ports ──► as a whole packet: classified, its connection found or made, rewritten ──► sent
//!                                 │ noted: what became of it
//!                                 ▼
//!                                map      (source, destination, protocol, identification) ► kind, ports, what became of it
//!                                 ▲ asked
//!  a further one ─────────────────┴─ known ──► the same is done to it: its addresses and its TTL, no ports, no state ──► sent
//!                                    not yet ► held, looked at again, and ended if the first has not come after a second
//! ```
//! Where the first is dropped the others are, by the same outcome; where it is the host's or in transit, so are they.
//!
//! | | what is done |
//! |---|---|
//! | NAT, full NAT | an address in each, or two; port and transport checksum in the first, for it has the checksum over all of them |
//! | tunnel | each is encapsulated as it is |
//! | direct routing | each goes as it is |
//! | IPv6 | the same; extension headers stay where they are, an atomic fragment (RFC 6946) is a whole packet |
//! | overlapping ones | all go to the real server, whose affair it is (RFC 791 §3.2 has it take either, RFC 5722 none) |
//! | a first without the whole transport header; a further one that reaches into it | dropped (RFC 1858 §3, RFC 3128, RFC 7112 §5) |
//! | SCTP by NAT to another port | dropped: its checksum cannot be brought up to date without the rest of the packet |
//! | an echo request or reply of a balanced one | as UDP, with its identifier for a port; its checksum is not verified here |
//! | other ICMP, echo requests to the director itself | dropped, or the host's: they would have to be put together |
//! | other protocols | as if they were not fragmented |
//!
//! Each fragment counts as one packet in the figures of its service and real server. A further fragment changes no connection, nor keeps it.
//!
//! **Bounded.** The map has room for [`map::CAPACITY`] datagrams, and forgets one [`map::LIFE`] after its last fragment, or when others
//! need its place, the one that was quiet for longest first: so a flood costs fragmented datagrams and nothing else. Each worker
//! holds [`held::IN_ALL`] fragments at most, [`held::PER_DATAGRAM`] of a datagram, and looks at [`held::LOOKS`] of them each time round,
//! [`held::LOOKS_A_MILLISECOND`] in a millisecond.
//! Linux, and so IPVS, puts datagrams together for 30 s; what belongs together comes within milliseconds, and IPv4's
//! identifications come again soon at high rates (RFC 4963), so that a short memory is the safer one.

use super::classify::{Step, answer_key, request_key, six_reply_key, unanswered};
use super::connect::Answered;
use super::parse::{Kind, Parsed};
use super::pipeline::{Fate, Staged, Stages};
use super::port::Frame;
use super::service::{Forwarding, RealServer};
use super::stats::Outcome;

pub mod held;
pub mod map;
mod piece;

pub use held::Held;
use map::{Entry, Way};
pub use map::{Key, Map};
use piece::Piece;

/// What is to be done with a datagram.
#[derive(Clone, Copy)]
enum Decision<'a> {
    /// It is a client's, and goes to this real server.
    To(&'a RealServer),
    /// It is a real server's answer.
    Back(Answered),
}

/// Which datagram a fragment is of, as far as it can be told.
pub fn key<F: Frame>(frame: &F) -> Option<Key> {
    Piece::of(frame.bytes()).ok().map(|piece| piece.key)
}

impl<'a> Stages<'a> {
    /// Does with a fragment what is done with the first of its datagram.
    #[cold]
    #[inline(never)]
    pub(super) fn fragment<F: Frame>(&mut self, frame: &mut F) -> Result<Fate, Outcome> {
        let piece = Piece::of(frame.bytes())?;
        // Of what the parser refused the padding is still there.
        frame.truncate(piece.packet.frame_octets());
        if piece.offset == 0 { self.first(frame, &piece) } else { self.further(frame, &piece) }
    }

    /// Does with a fragment that was held what there is to do now: if its first is still not known, it goes no further.
    #[cold]
    pub fn again<F: Frame>(&mut self, frame: &mut F) -> Fate {
        let done = match self.fragment(frame) {
            Ok(Fate::Hold(_)) => Err(Outcome::DropFragmentNoFirst),
            done => done,
        };
        match done {
            Ok(fate) => fate,
            Err(outcome) if self.goes_on => {
                let staged = Staged { packet: Parsed::NOTHING, step: Step::End(Outcome::DropFragment) };
                self.punt(frame, &staged, outcome)
            }
            Err(outcome) => Fate::End(outcome),
        }
    }

    fn first<F: Frame>(&mut self, frame: &mut F, piece: &Piece) -> Result<Fate, Outcome> {
        let begun = piece.beginning(frame.bytes());
        let step = begun.map_or_else(Step::End, |packet| self.step(&packet));
        let decided = begun.and_then(|packet| self.decide(&packet, &step));
        let packet = begun.unwrap_or(piece.packet);
        let way = match decided {
            Ok(Decision::To(real)) => Way::To(real.id),
            Ok(Decision::Back(answered)) => Way::Back(answered),
            Err(outcome) => Way::Ends(outcome),
        };
        let Parsed { kind, src_port, dst_port, .. } = packet;
        self.shared.fragments.note(&piece.key, Entry { kind, src_port, dst_port, way }, self.now);
        match decided {
            Ok(Decision::To(real)) => self.inbound(frame, &packet, real),
            Ok(Decision::Back(answered)) => self.back(frame, &packet, answered),
            Err(Outcome::DropNoRealServer) => Ok(self.no_server(frame, &packet, &step)),
            Err(outcome) => Err(outcome),
        }
    }

    fn further<F: Frame>(&mut self, frame: &mut F, piece: &Piece) -> Result<Fate, Outcome> {
        let Some(entry) = self.shared.fragments.find(&piece.key, self.now) else { return Ok(Fate::Hold(self.back)) };
        let Entry { kind, src_port, dst_port, way } = entry;
        let packet = Parsed { kind, src_port, dst_port, ..piece.packet };
        match way {
            Way::To(real) => {
                let real = self.snapshot.real(real).ok_or(Outcome::DropRealServerRemoved)?;
                self.inbound(frame, &packet, real)
            }
            Way::Back(answered) => self.back(frame, &packet, answered),
            // Its sender has been told by the first.
            Way::Ends(Outcome::DropNoRealServer) => Ok(Fate::End(Outcome::DropNoRealServer)),
            Way::Ends(outcome) => Err(outcome),
        }
    }

    fn back<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, answered: Answered) -> Result<Fate, Outcome> {
        let Answered { reply, client } = answered;
        match client {
            None => self.outbound(frame, packet, reply),
            Some(client) => self.outbound_full(frame, packet, reply, client),
        }
    }

    /// What is to be done with a first fragment, as with a whole packet.
    fn step(&self, packet: &Parsed) -> Step {
        let mut staged = [Staged { packet: *packet, step: Step::Arp }];
        self.classify(&mut staged);
        self.spot(&mut staged);
        staged[0].step
    }

    /// Finds or makes the connection of a first fragment.
    fn decide(&mut self, packet: &Parsed, step: &Step) -> Result<Decision<'a>, Outcome> {
        let alone = |reply| Answered { reply, client: None };
        let decision = match step {
            Step::Inbound { service, way } => Decision::To(self.connector.inbound(*service, way, packet)?),
            Step::WideInbound { service, lead } => {
                let way = lead.way(request_key(packet, *service));
                Decision::To(self.connector.inbound_wide(*service, &way, packet)?)
            }
            Step::Reply { real, way } => self.answer(packet, self.connector.reply(*real, way, packet).map(alone))?,
            Step::SixReply { service, real, lead } => {
                let way = lead.way(six_reply_key(packet, *service));
                self.answer(packet, self.connector.reply(*real, &way, packet).map(alone))?
            }
            Step::SharedReply { socket, way } => {
                self.answer(packet, self.connector.shared_reply(*socket, way, packet))?
            }
            Step::WideReply { socket, lead } => {
                let way = lead.way(answer_key(packet, *socket));
                self.answer(packet, self.connector.shared_reply(*socket, &way, packet))?
            }
            Step::Arp | Step::Icmp => return Err(Outcome::DropFragment),
            Step::End(outcome) => return Err(*outcome),
        };
        if packet.kind == Kind::Sctp && changes_port(packet, decision) {
            return Err(Outcome::DropFragmentSctp);
        }
        Ok(decision)
    }

    /// A packet from a NAT real server that answers nothing of its own kind may answer something else, or be a client's.
    fn answer(&mut self, packet: &Parsed, found: Result<Answered, Outcome>) -> Result<Decision<'a>, Outcome> {
        let outcome = match found {
            Ok(answered) => return Ok(Decision::Back(answered)),
            Err(outcome) => outcome,
        };
        if let Ok(answered) = self.connector.other_reply(packet) {
            return Ok(Decision::Back(answered));
        }
        let (service, lead) = unanswered(self.snapshot, self.shared, packet, self.ingress).ok_or(outcome)?;
        let way = lead.way(request_key(packet, service));
        Ok(Decision::To(self.connector.inbound_wide(service, &way, packet)?))
    }
}

/// Tells whether a packet goes on with another port than it came with.
fn changes_port(packet: &Parsed, decision: Decision<'_>) -> bool {
    match decision {
        Decision::To(real) => {
            let port = real.address.port;
            let other = port != 0 && port != packet.dst_port;
            real.forwarding == Forwarding::FullNat || (real.forwarding.answers_here() && other)
        }
        Decision::Back(Answered { reply, client }) => client.is_some() || reply.from.port != packet.src_port,
    }
}
