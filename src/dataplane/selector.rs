//! Which packets a service is for: those to an address and port, to a range of them, those that fit a description, or those
//! that bear a mark.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayString;
use ipnet::IpNet;

use super::address::{Address, Family};
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
    /// Packets of a family that bear a mark: ipvsadm's `-f`, and `-6` behind it for IPv6.
    Mark(u32, Family),
}

impl Selector {
    /// The address and port of a service that has one of each; none for ranges, matches and marks.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address, _) => Some(*address),
            Self::Range(_) | Self::Match(_) | Self::Mark(..) => None,
        }
    }

    /// The mark of a mark's service.
    pub fn mark(&self) -> Option<u32> {
        match self {
            Self::Mark(mark, _) => Some(*mark),
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
            Self::Mark(..) => &TRANSPORTS,
        }
    }

    /// The ports it is for: one, several or every one.
    pub fn ports(&self) -> Ports {
        match self {
            Self::Socket(address, _) if address.port() != 0 => Ports::single(address.port()),
            Self::Range(pattern) | Self::Match(pattern) => pattern.ports,
            Self::Socket(..) | Self::Mark(..) => Ports::EVERY,
        }
    }

    /// The addresses it is for, as far as is known; marks are given by rules.
    pub fn addresses(&self) -> Addresses {
        match self {
            Self::Socket(address, _) => Addresses::single(address.ip()),
            Self::Range(pattern) | Self::Match(pattern) => pattern.to,
            Self::Mark(_, family) => Addresses::every(*family),
        }
    }

    /// Whose packets it is for: no service is for both.
    pub fn family(&self) -> Family {
        self.addresses().family()
    }

    /// Its protocol in a word, as listings have it: `FWM` for a mark, as with ipvsadm, and `IP` for several.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Mark(..) => "FWM",
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
/// `[2001:db8::/64]:80`, `from 198.51.100.0/24 to 203.0.113.10:0 in wan`, `7`, `7 IPv6`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address, Protocol::Icmp) => address.ip().fmt(f),
            Self::Socket(address, _) => address.fmt(f),
            Self::Range(pattern) => pattern.fmt_target(f),
            Self::Match(pattern) => pattern.fmt(f),
            Self::Mark(mark, Family::V4) => mark.fmt(f),
            Self::Mark(mark, Family::V6) => write!(f, "{mark} {}", Family::V6),
        }
    }
}

/// What patterns and marks may be of.
const TRANSPORTS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// A description of packets: all of it must fit. Its addresses are of one family, and so are the packets.
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
    /// Fits every TCP, UDP and SCTP packet of a family.
    pub const fn every(family: Family) -> Self {
        let any = Addresses::every(family);
        Self { protocol: None, from: any, to: any, ports: Ports::EVERY, ingress: None }
    }

    /// The protocols that it fits.
    pub fn protocols(&self) -> &'static [Protocol] {
        self.protocol.map_or(&TRANSPORTS, Protocol::alone)
    }

    /// The family of its packets.
    pub const fn family(&self) -> Family {
        self.to.family()
    }

    /// Writes where its packets go to.
    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Family::V4 => write!(f, "{}:{}", self.to, self.ports),
            Family::V6 => write!(f, "[{}]:{}", self.to, self.ports),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.from.are_all() {
            write!(f, "from {} ", self.from)?;
        }
        f.write_str("to ")?;
        self.fmt_target(f)?;
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

/// Addresses of one family that follow each other, the first and the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addresses {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
}

impl Addresses {
    /// All that a family has.
    pub const fn every(family: Family) -> Self {
        match family {
            Family::V4 => Self { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(Ipv4Addr::BROADCAST) },
            Family::V6 => {
                Self { first: IpAddr::V6(Ipv6Addr::UNSPECIFIED), last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)) }
            }
        }
    }

    /// One alone.
    pub const fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// Their family.
    pub const fn family(self) -> Family {
        Family::of(self.first)
    }

    /// Tells whether they are all that the family has.
    pub fn are_all(self) -> bool {
        self == Self::every(self.family())
    }

    /// How many there are; `u64::MAX` for more than that, too.
    pub fn count(self) -> u64 {
        let [first, last] = self.bounds();
        u64::try_from(last.saturating_sub(first)).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The first and the last as numbers, in host order.
    fn bounds(self) -> [u128; 2] {
        [self.first, self.last].map(|end| Address::from(end).to_bits())
    }

    /// The address, if it is only one.
    pub fn one(self) -> Option<IpAddr> {
        (self.first == self.last).then_some(self.first)
    }

    /// Tells whether an address is one of them.
    pub fn contains(self, address: IpAddr) -> bool {
        // In order IPv4 comes before IPv6.
        (self.first..=self.last).contains(&address)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        let [first, last] = self.bounds();
        (first..=last).map(|bits| Address::from_bits(bits).to_ip())
    }

    /// The fewest prefixes, each a first address and a length, that are together the same addresses: 62 at most, of IPv6 254.
    pub fn prefixes(self) -> impl Iterator<Item = (IpAddr, u8)> {
        let [first, last] = self.bounds();
        let longest = self.family().bits();
        let mut next = Some(first).filter(|first| *first <= last);
        std::iter::from_fn(move || {
            let first = next?;
            // As large as where it begins allows, and as what is left does.
            let aligned = first.trailing_zeros();
            let free = (last - first).checked_add(1).map_or(aligned, |left| aligned.min(left.ilog2()));
            let after = 1u128.checked_shl(free).and_then(|size| first.checked_add(size));
            next = after.filter(|next| *next <= last);
            Some((Address::from_bits(first).to_ip(), longest - free as u8))
        })
    }
}

impl From<IpNet> for Addresses {
    fn from(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        let mut prefixes = self.prefixes();
        match (prefixes.next(), prefixes.next()) {
            (Some((_, length)), None) if length == self.family().bits() => write!(f, "{first}"),
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
        let [first, last] = [first, last].map(|text| text.parse().unwrap());
        Addresses { first, last }
    }

    #[test]
    fn addresses_are_written_as_short_as_can_be() {
        for (range, text) in [
            ("203.0.113.10-203.0.113.10", "203.0.113.10"),
            ("203.0.113.0-203.0.113.15", "203.0.113.0/28"),
            ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
            ("203.0.113.1-203.0.113.14", "203.0.113.1-203.0.113.14"),
            ("2001:db8::a-2001:db8::a", "2001:db8::a"),
            ("2001:db8::-2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("2001:db8::1-2001:db8::e", "2001:db8::1-2001:db8::e"),
        ] {
            assert_eq!(addresses(range).to_string(), text);
        }
        assert_eq!([Ports::EVERY, Ports::single(80)].map(|ports| ports.to_string()), ["0", "80"]);
        assert_eq!(Ports { first: 8000, last: 8999 }.to_string(), "8000-8999");
    }

    #[test]
    fn a_range_is_made_of_few_prefixes() {
        let prefixes = |range: &str| {
            let each = addresses(range).prefixes().map(|(first, length)| format!("{first}/{length}"));
            each.collect::<Vec<_>>()
        };
        assert_eq!(prefixes("0.0.0.0-255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(prefixes("0.0.0.1-0.0.0.6"), ["0.0.0.1/32", "0.0.0.2/31", "0.0.0.4/31", "0.0.0.6/32"]);
        assert_eq!(prefixes("0.0.0.1-255.255.255.254").len(), 62);
        assert_eq!(prefixes("255.255.255.255-255.255.255.255"), ["255.255.255.255/32"]);
        assert_eq!(prefixes("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["::/0"]);
        assert_eq!(prefixes("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").len(), 254);
        assert_eq!(prefixes("2001:db8::fffe-2001:db8::1:0"), ["2001:db8::fffe/127", "2001:db8::1:0/128"]);
        assert_eq!(prefixes("0.0.0.2-0.0.0.1"), [""; 0]);
    }

    #[test]
    fn addresses_are_counted_and_found_by_family() {
        for (range, count) in [
            ("0.0.0.0-255.255.255.255", 1 << 32),
            ("2001:db8::-2001:db8::ff", 256),
            ("2001:db8::-2001:db8::ffff:ffff:ffff:ffff", u64::MAX),
            ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", u64::MAX),
        ] {
            assert_eq!(addresses(range).count(), count, "{range}");
        }
        let every = [Family::V4, Family::V6].map(Addresses::every);
        for (address, of) in
            [("192.0.2.1", [true, false]), ("2001:db8::1", [false, true]), ("::c000:201", [false, true])]
        {
            assert_eq!(every.map(|every| every.contains(address.parse().unwrap())), of, "{address}");
        }
        assert_eq!(every.map(Addresses::are_all), [true; 2]);
        assert!(!addresses("::-::ffff:ffff").are_all());
    }

    proptest! {
        #[test]
        fn its_prefixes_are_the_range(six: [u128; 2], four: [u32; 2], is_v6: bool) {
            let [one, other] = if is_v6 {
                six.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)))
            } else {
                four.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
            };
            let range = Addresses { first: one.min(other), last: one.max(other) };
            let [first, last] = range.bounds();
            let mut next = Some(first);
            for (start, length) in range.prefixes() {
                let start = Address::from(start).to_bits();
                prop_assert_eq!(Some(start), next);
                let size = 1u128 << (range.family().bits() - length);
                prop_assert_eq!(start % size, 0);
                next = start.checked_add(size);
            }
            prop_assert_eq!(next, last.checked_add(1));
        }
    }

    #[test]
    fn services_are_named_as_they_are_written() {
        let net = |text: &str| Addresses::from(text.parse::<IpNet>().unwrap());
        let ports = Ports { first: 80, last: 81 };
        let pattern = Pattern { to: net("203.0.113.0/28"), ports, ..Pattern::every(Family::V4) };
        let wan = Ingress { port: PortId(0), name: ArrayString::from("wan").unwrap() };
        let all =
            Pattern { protocol: Some(Protocol::Udp), from: net("198.51.100.0/24"), ingress: Some(wan), ..pattern };
        let six =
            Pattern { protocol: Some(Protocol::Tcp), to: net("2001:db8::/64"), ports, ..Pattern::every(Family::V6) };
        let from = Pattern { from: net("2001:db8:1::/48"), ..six };
        for (selector, protocol, text) in [
            (Selector::Socket("203.0.113.1:0".parse().unwrap(), Protocol::Tcp), "TCP", "203.0.113.1:0"),
            (Selector::Socket("[2001:db8::1]:80".parse().unwrap(), Protocol::Tcp), "TCP", "[2001:db8::1]:80"),
            (Selector::Socket("203.0.113.1:0".parse().unwrap(), Protocol::Icmp), "ICMP", "203.0.113.1"),
            (Selector::Socket("[2001:db8::1]:0".parse().unwrap(), Protocol::Icmp), "ICMP", "2001:db8::1"),
            (Selector::Range(Pattern { protocol: Some(Protocol::Sctp), ..pattern }), "SCTP", "203.0.113.0/28:80-81"),
            (Selector::Range(six), "TCP", "[2001:db8::/64]:80-81"),
            (Selector::Match(pattern), "IP", "to 203.0.113.0/28:80-81"),
            (Selector::Match(all), "UDP", "from 198.51.100.0/24 to 203.0.113.0/28:80-81 in wan"),
            (Selector::Match(from), "TCP", "from 2001:db8:1::/48 to [2001:db8::/64]:80-81"),
            (Selector::Mark(7, Family::V4), "FWM", "7"),
            (Selector::Mark(7, Family::V6), "FWM", "7 IPv6"),
        ] {
            assert_eq!((selector.protocol(), selector.to_string()), (protocol, text.to_owned()));
        }
    }
}
