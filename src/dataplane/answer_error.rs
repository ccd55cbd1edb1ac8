//! Telling the sender of a packet that it cannot go on: the director's ICMP errors, from which address and how many.

use super::forward::icmp_error::{self, Problem};
use super::parse::Parsed;
use super::pipeline::{Fate, Stages};
use super::port::Frame;
use super::stats::Outcome;

impl Stages<'_> {
    /// Answers a packet whose TTL ends here, or that is too big for `room`, in its own frame.
    #[cold]
    #[inline(never)]
    pub(super) fn answer_error<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, room: u16) -> Fate {
        let problem = if packet.ttl <= 1 {
            Problem::TimeExceeded
        } else if packet.dont_fragment {
            Problem::TooBig { mtu: room }
        } else {
            return Fate::End(Outcome::DropTooBig);
        };
        self.answer_problem(frame, packet, problem)
    }

    /// Answers a packet that has this problem, in its own frame, if an error about it may be sent.
    #[cold]
    pub(super) fn answer_problem<F: Frame>(&mut self, frame: &mut F, packet: &Parsed, problem: Problem) -> Fate {
        let family = packet.family();
        let own = || self.snapshot.ports[self.ingress.index()].source(family);
        let any = || self.snapshot.ports.iter().find_map(|port| port.source(family));
        // The host takes nothing that bears an address of its own: it hears of the trouble from whom it spoke to.
        let asked = self.connector.asked_by_host.then_some(packet.dst);
        let Some(source) = asked.or_else(own).or_else(any) else {
            return Fate::End(problem.dropped());
        };
        if !self.errors.allow(self.now) {
            return Fate::End(problem.dropped());
        }
        match icmp_error::answer(frame, problem, source, self.ids.draw()) {
            Ok(answered) => Fate::Send(self.back, answered),
            Err(dropped) => Fate::End(dropped),
        }
    }
}
