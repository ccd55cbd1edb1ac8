//! Services that one address and port do not name, in the order in which a packet is looked up among them:
//!
//! | | services | order among themselves |
//! |---|---|---|
//! | 1 | by mark: the first `[[mark]]` rule that fits gives the mark, whose service has the packet | there is one |
//! | 2 | by `match` | the file's |
//! | 3 | **of one address and port**: not looked up here | there is one |
//! | 4 | ranges that name ports | the file's |
//! | 5 | of every port (0) of one address | there is one |
//! | 6 | ranges of every port | the file's |
//!
//! IPVS too looks for a mark's service first and for port 0 last. A mark that no service has decides nothing, as there.

use std::iter;

use super::parse::Parsed;
use super::patterns::Patterns;
use super::selector::{Pattern, Ports};
use super::service::{Endpoint, EndpointId, PortId, Protocol};
use super::snapshot::Snapshot;

/// The selectors that are patterns.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    marks: Patterns<Option<EndpointId>>,
    matches: Patterns<EndpointId>,
    ranges: Patterns<EndpointId>,
    every_port: Patterns<EndpointId>,
    /// There are marks or matches. All that packets to one address and port ask of this.
    come_first: bool,
}

impl Selectors {
    /// Rules that give marks, with the service of the mark; services by `match`; and ranges.
    pub fn new(
        marks: impl IntoIterator<Item = (Pattern, Option<EndpointId>)>,
        matches: impl IntoIterator<Item = (Pattern, EndpointId)>,
        ranges: impl IntoIterator<Item = (Pattern, EndpointId)>,
    ) -> Self {
        let (every_port, ranges): (Vec<_>, Vec<_>) =
            ranges.into_iter().partition(|(pattern, _)| pattern.ports == Ports::EVERY);
        let (marks, matches) = (Patterns::new(marks), Patterns::new(matches));
        let come_first = !marks.is_empty() || !matches.is_empty();
        Self { marks, matches, ranges: Patterns::new(ranges), every_port: Patterns::new(every_port), come_first }
    }

    /// Tells whether some services come before those of one address and port.
    #[inline]
    pub fn come_first(&self) -> bool {
        self.come_first
    }

    /// The first service that matches a packet.
    pub fn matching(&self, packet: &Parsed, ingress: PortId) -> Option<EndpointId> {
        self.matches.find(packet, ingress)
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        !self.come_first() && self.ranges.is_empty() && self.every_port.is_empty()
    }

    /// The service of a packet's mark, or the first that matches it.
    pub fn first(&self, packet: &Parsed, ingress: PortId) -> Option<EndpointId> {
        self.marks.find(packet, ingress).flatten().or_else(|| self.matching(packet, ingress))
    }
}

impl Snapshot {
    /// The services that have a packet to no endpoint of its own, the first of them first.
    pub fn wide_services(&self, packet: &Parsed, protocol: Protocol) -> impl Iterator<Item = EndpointId> {
        // Ranges do not say where packets come in.
        let ingress = PortId(0);
        let every_port = move || match self.wildcards.find(packet.dst, 0, protocol) {
            Some(Endpoint::Service(service)) => Some(service),
            _ => None,
        };
        let Selectors { ranges, every_port: rest, .. } = &self.selectors;
        let last = move || rest.find(packet, ingress);
        iter::once_with(move || ranges.find(packet, ingress))
            .chain(iter::once_with(every_port))
            .chain(iter::once_with(last))
            .flatten()
    }
}
