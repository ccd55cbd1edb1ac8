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
    #[inline(always)]
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

impl Protocol {
    /// Returns the number.
    #[inline(always)]
    pub const fn number(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Icmp => 1,
            Self::Ipv4 => 4,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Ipv6 => 41,
            Self::Routing => 43,
            Self::Fragment => 44,
            Self::Esp => 50,
            Self::Authentication => 51,
            Self::Icmpv6 => 58,
            Self::NoNextHeader => 59,
            Self::DestinationOptions => 60,
            Self::Sctp => 132,
            Self::Unknown(other) => other,
        }
    }
}

impl From<Protocol> for u8 {
    #[inline(always)]
    fn from(protocol: Protocol) -> Self {
        protocol.number()
    }
}

#[cfg(test)]
mod tests;
