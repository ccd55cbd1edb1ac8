//! Which packets a service is for: those to an address and port, to a range of them, those that fit a description, or those
//! that bear a mark.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use arrayvec::ArrayString;
use ipnet::Ipv4Net;

use super::service::{PortId, Protocol};

/// What tells a service from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// Packets to one address and port; to every port that no other service has, if it is 0 (but for ICMP).
    Socket(SocketAddr, Protocol),
    /// Packets to several addresses or ports; of one protocol, and nothing said of where they come from.
    Range(Pattern),
    /// Packets that a `match` describes.
    Match(Pattern),
    /// Packets that bear a mark: ipvsadm's `-f`.
    Mark(u32),
}

impl Selector {
    /// The address and port of a service that has one of each; none for ranges, matches and marks.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address, _) => Some(*address),
            Self::Range(_) | Self::Match(_) | Self::Mark(_) => None,
        }
    }

    /// The mark of a mark's service.
    pub fn mark(&self) -> Option<u32> {
        match self {
            Self::Mark(mark) => Some(*mark),
            Self::Socket(..) | Self::Range(_) | Self::Match(_) => None,
        }
    }

    /// Tells whether a client's connections to it differ by more than the client's address and port.
    pub fn is_wide(&self) -> bool {
        !matches!(self, Self::Socket(address, protocol) if address.port() != 0 || *protocol == Protocol::Icmp)
    }

    /// The protocols of its connections.
    pub fn protocols(&self) -> &'static [Protocol] {
        match self {
            Self::Socket(_, protocol) => protocol.alone(),
            Self::Range(pattern) | Self::Match(pattern) => pattern.protocols(),
            Self::Mark(_) => &TRANSPORTS,
        }
    }

    /// The ports it is for: one, several or every one.
    pub fn ports(&self) -> Ports {
        match self {
            Self::Socket(address, _) if address.port() != 0 => Ports::single(address.port()),
            Self::Range(pattern) | Self::Match(pattern) => pattern.ports,
            Self::Socket(..) | Self::Mark(_) => Ports::EVERY,
        }
    }

    /// The addresses it is for, as far as is known; marks are given by rules.
    pub fn addresses(&self) -> Addresses {
        match self {
            Self::Socket(address, _) => match address.ip() {
                IpAddr::V4(address) => Addresses::single(address),
                IpAddr::V6(_) => Addresses::NONE,
            },
            Self::Range(pattern) | Self::Match(pattern) => pattern.to,
            Self::Mark(_) => Addresses::EVERY,
        }
    }

    /// Its protocol in a word, as listings have it: `FWM` for a mark, as with ipvsadm, and `IP` for several.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Mark(_) => "FWM",
            _ => match self.protocols() {
                [Protocol::Tcp] => "TCP",
                [Protocol::Udp] => "UDP",
                [Protocol::Sctp] => "SCTP",
                [Protocol::Icmp] => "ICMP",
                _ => "IP",
            },
        }
    }
}

/// As it is written in the configuration, without the protocol: `203.0.113.10:80`, `203.0.113.0/28:8000-8999`,
/// `from 198.51.100.0/24 to 203.0.113.10:0 in wan`, `7`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address, Protocol::Icmp) => address.ip().fmt(f),
            Self::Socket(address, _) => address.fmt(f),
            Self::Range(pattern) => write!(f, "{}:{}", pattern.to, pattern.ports),
            Self::Match(pattern) => pattern.fmt(f),
            Self::Mark(mark) => mark.fmt(f),
        }
    }
}

/// What patterns and marks may be of.
const TRANSPORTS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// A description of packets: all of it must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    /// TCP, UDP or SCTP; any of these if it is left open.
    pub protocol: Option<Protocol>,
    /// Where they come from.
    pub from: Addresses,
    /// Where they go to.
    pub to: Addresses,
    /// To which port.
    pub ports: Ports,
    /// By which of the director's ports they arrive.
    pub ingress: Option<Ingress>,
}

impl Pattern {
    /// Fits every TCP, UDP and SCTP packet.
    pub const EVERY: Self =
        Self { protocol: None, from: Addresses::EVERY, to: Addresses::EVERY, ports: Ports::EVERY, ingress: None };

    /// The protocols that it fits.
    pub fn protocols(&self) -> &'static [Protocol] {
        self.protocol.map_or(&TRANSPORTS, Protocol::alone)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from != Addresses::EVERY {
            write!(f, "from {} ", self.from)?;
        }
        write!(f, "to {}:{}", self.to, self.ports)?;
        match self.ingress {
            Some(ingress) => write!(f, " in {}", ingress.name),
            None => Ok(()),
        }
    }
}

/// One of the director's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ingress {
    /// Its id.
    pub port: PortId,
    /// Its name.
    pub name: ArrayString<32>,
}

/// Addresses that follow each other, in host order, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addresses {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl Addresses {
    /// All there are.
    pub const EVERY: Self = Self { first: 0, last: u32::MAX };

    /// None.
    const NONE: Self = Self { first: 1, last: 0 };

    /// One alone.
    pub const fn single(address: Ipv4Addr) -> Self {
        Self { first: address.to_bits(), last: address.to_bits() }
    }

    /// How many there are.
    pub fn count(self) -> u64 {
        (u64::from(self.last) + 1).saturating_sub(self.first.into())
    }

    /// Tells whether an address is one of them.
    pub fn contains(self, address: u32) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// The fewest prefixes, each a first address and a length, that are together the same addresses: 62 at most.
    pub fn prefixes(self) -> impl Iterator<Item = (u32, u8)> {
        let mut next = u64::from(self.first);
        std::iter::from_fn(move || {
            let left = (u64::from(self.last) + 1).checked_sub(next).filter(|left| *left > 0)?;
            // As large as where it begins allows, and as what is left does.
            let aligned = if next == 0 { 32 } else { next.trailing_zeros() };
            let bits = aligned.min(left.ilog2()).min(32);
            let prefix = (next as u32, 32 - bits as u8);
            next += 1 << bits;
            Some(prefix)
        })
    }
}

impl From<Ipv4Net> for Addresses {
    fn from(net: Ipv4Net) -> Self {
        Self { first: net.network().to_bits(), last: net.broadcast().to_bits() }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = [self.first, self.last].map(Ipv4Addr::from_bits);
        let mut prefixes = self.prefixes();
        match (prefixes.next(), prefixes.next()) {
            (Some((_, 32)), None) => write!(f, "{first}"),
            (Some((_, length)), None) => write!(f, "{first}/{length}"),
            _ => write!(f, "{first}-{last}"),
        }
    }
}

/// Ports that follow each other, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// All there are; no packet that is looked at has port 0.
    pub const EVERY: Self = Self { first: 0, last: u16::MAX };

    /// One alone.
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// Tells whether a port is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Tells whether some port is one of these and of those.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The port, if it is only one.
    pub fn one(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }
}

/// As in the configuration: `80`, `8000-8999`, and `0` for every port.
impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EVERY => f.write_str("0"),
            Self { first, last } if first == last => first.fmt(f),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(text: &str) -> Addresses {
        let (first, last) = text.split_once('-').unwrap();
        let [first, last] = [first, last].map(|text| text.parse::<Ipv4Addr>().unwrap().to_bits());
        Addresses { first, last }
    }

    #[test]
    fn addresses_are_written_as_short_as_can_be() {
        for (range, text) in [
            ("203.0.113.10-203.0.113.10", "203.0.113.10"),
            ("203.0.113.0-203.0.113.15", "203.0.113.0/28"),
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("203.0.113.1-203.0.113.14", "203.0.113.1-203.0.113.14"),
        ] {
            assert_eq!(addresses(range).to_string(), text);
        }
        assert_eq!([Ports::EVERY, Ports::single(80)].map(|ports| ports.to_string()), ["0", "80"]);
        assert_eq!(Ports { first: 8000, last: 8999 }.to_string(), "8000-8999");
    }

    #[test]
    fn a_range_is_made_of_few_prefixes() {
        let prefixes = |range: &str| addresses(range).prefixes().collect::<Vec<_>>();
        assert_eq!(prefixes("0.0.0.0-255.255.255.255"), [(0, 0)]);
        assert_eq!(prefixes("0.0.0.1-0.0.0.6"), [(1, 32), (2, 31), (4, 31), (6, 32)]);
        assert_eq!(prefixes("0.0.0.1-255.255.255.254").len(), 62);
        assert_eq!(Addresses::NONE.prefixes().count(), 0);
        assert_eq!(prefixes("255.255.255.255-255.255.255.255"), [(u32::MAX, 32)]);
    }

    proptest! {
        #[test]
        fn its_prefixes_are_the_range(bounds: [u32; 2]) {
            let [first, last] = if bounds[0] <= bounds[1] { bounds } else { [bounds[1], bounds[0]] };
            let mut next = u64::from(first);
            for (start, length) in (Addresses { first, last }).prefixes() {
                prop_assert_eq!(u64::from(start), next);
                let size = 1u64 << (32 - length);
                prop_assert_eq!(next % size, 0);
                next += size;
            }
            prop_assert_eq!(next, u64::from(last) + 1);
        }
    }

    #[test]
    fn services_are_named_as_they_are_written() {
        let net = |text: &str| Addresses::from(text.parse::<Ipv4Net>().unwrap());
        let pattern = Pattern { to: net("203.0.113.0/28"), ports: Ports { first: 80, last: 81 }, ..Pattern::EVERY };
        let wan = Ingress { port: PortId(0), name: ArrayString::from("wan").unwrap() };
        let all =
            Pattern { protocol: Some(Protocol::Udp), from: net("198.51.100.0/24"), ingress: Some(wan), ..pattern };
        for (selector, protocol, text) in [
            (Selector::Socket("203.0.113.1:0".parse().unwrap(), Protocol::Tcp), "TCP", "203.0.113.1:0"),
            (Selector::Socket("203.0.113.1:0".parse().unwrap(), Protocol::Icmp), "ICMP", "203.0.113.1"),
            (Selector::Range(Pattern { protocol: Some(Protocol::Sctp), ..pattern }), "SCTP", "203.0.113.0/28:80-81"),
            (Selector::Match(pattern), "IP", "to 203.0.113.0/28:80-81"),
            (Selector::Match(all), "UDP", "from 198.51.100.0/24 to 203.0.113.0/28:80-81 in wan"),
            (Selector::Mark(7), "FWM", "7"),
        ] {
            assert_eq!((selector.protocol(), selector.to_string()), (protocol, text.to_owned()));
        }
    }
}
