//! What a client is answered while none of a service's real servers takes new connections, nor a sorry server: what the service's
//! `no_server` says.
//!
//! | | a TCP segment | all else |
//! |---|---|---|
//! | [`Unreachable`](NoServer::Unreachable), as IPVS | ICMP port unreachable | the same |
//! | [`Reset`](NoServer::Reset) | a reset from the VIP | ICMP port unreachable |
//! | [`Drop`](NoServer::Drop) | nothing | nothing |
//!
//! Either answer ends a client's attempt at once; after a while of silence it may find a real server that has come back. A reset
//! is counted against the limit of the director's ICMP errors too. What is not answered is [`Outcome::DropNoRealServer`].

use super::classify::{Step, unanswered};
use super::forward::icmp_error::{Problem, Unreachable};
use super::forward::reset;
use super::parse::{Kind, Parsed};
use super::pipeline::{Fate, Stages};
use super::port::Frame;
use super::service::NoServer;
use super::stats::Outcome;

const UNREACHABLE: Problem = Problem::Unreachable { what: Unreachable::Port, dropped: Outcome::DropNoRealServer };

impl Stages<'_> {
    /// Answers a packet that would open a connection, in its own frame.
    #[cold]
    #[inline(never)]
    pub(super) fn no_server<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, step: &Step) -> Fate {
        let service = match step {
            Step::Inbound { service, .. } | Step::WideInbound { service, .. } => Some(*service),
            _ => unanswered(self.snapshot, self.shared, packet, self.ingress).map(|(service, _)| service),
        };
        let Some(service) = service.and_then(|service| self.snapshot.service(service)) else {
            return Fate::End(Outcome::DropNoRealServer);
        };
        match service.no_server {
            NoServer::Drop => Fate::End(Outcome::DropNoRealServer),
            NoServer::Reset if packet.kind == Kind::Tcp => {
                if self.errors.allow(self.now) && reset::answer(frame, packet, self.ids.draw()).is_ok() {
                    Fate::Send(self.back, Outcome::AnsweredReset)
                } else {
                    Fate::End(Outcome::DropNoRealServer)
                }
            }
            NoServer::Unreachable | NoServer::Reset => self.answer_problem(frame, packet, UNREACHABLE),
        }
    }
}
