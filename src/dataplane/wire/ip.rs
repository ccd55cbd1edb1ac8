//! What IPv4's Protocol and IPv6's Next Header fields name (IANA "Assigned Internet Protocol Numbers").

/// An IP protocol or IPv6 extension header, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IPv6 hop-by-hop options, 0 (RFC 8200 §4.3).
    HopByHop,
    /// ICMP for IPv4, 1 (RFC 792).
    Icmp,
    /// IPv4 inside IP, 4 (RFC 2003).
    Ipv4,
    /// TCP, 6 (RFC 9293).
    Tcp,
    /// UDP, 17 (RFC 768).
    Udp,
    /// IPv6 inside IP, 41 (RFC 2473).
    Ipv6,
    /// IPv6 routing header, 43 (RFC 8200 §4.4).
    Routing,
    /// IPv6 fragment header, 44 (RFC 8200 §4.5).
    Fragment,
    /// Encapsulating security payload, 50 (RFC 4303).
    Esp,
    /// Authentication header, 51 (RFC 4302).
    Authentication,
    /// ICMP for IPv6, 58 (RFC 4443).
    Icmpv6,
    /// Nothing follows, 59 (RFC 8200 §4.7).
    NoNextHeader,
    /// IPv6 destination options, 60 (RFC 8200 §4.6).
    DestinationOptions,
    /// SCTP, 132 (RFC 9260).
    Sctp,
    /// Any other number.
    Unknown(u8),
}

impl From<u8> for Protocol {
    #[inline]
    fn from(number: u8) -> Self {
        match number {
            0 => Self::HopByHop,
            1 => Self::Icmp,
            4 => Self::Ipv4,
            6 => Self::Tcp,
            17 => Self::Udp,
            41 => Self::Ipv6,
            43 => Self::Routing,
            44 => Self::Fragment,
            50 => Self::Esp,
            51 => Self::Authentication,
            58 => Self::Icmpv6,
            59 => Self::NoNextHeader,
            60 => Self::DestinationOptions,
            132 => Self::Sctp,
            other => Self::Unknown(other),
        }
    }
}

impl From<Protocol> for u8 {
    #[inline]
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::HopByHop => 0,
            Protocol::Icmp => 1,
            Protocol::Ipv4 => 4,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Ipv6 => 41,
            Protocol::Routing => 43,
            Protocol::Fragment => 44,
            Protocol::Esp => 50,
            Protocol::Authentication => 51,
            Protocol::Icmpv6 => 58,
            Protocol::NoNextHeader => 59,
            Protocol::DestinationOptions => 60,
            Protocol::Sctp => 132,
            Protocol::Unknown(other) => other,
        }
    }
}
