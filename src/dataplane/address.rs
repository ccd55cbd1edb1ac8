//! Addresses of both families in one shape, so that what handles packets is written once.
//!
//! ```text
//!            words[0]      words[1]      words[2]      words[3]        each in host order, the first is the most significant
//! IPv6   |   16 octets of the address                          |
//! IPv4   |      0      |      0      | 0x0000_ffff |  address  |        as mapped (RFC 4291 §2.5.5.2)
//! ```
//! No IPv6 packet bears a mapped address: the parser drops it (RFC 4038 §4.2 warns of those on the wire), so that the two families
//! never meet in one value.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// The word before an IPv4 address.
const MAPPED: u32 = 0xffff;

/// Which IP a packet or an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

impl Family {
    /// That of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// How many bits its addresses have.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An IPv4 or IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Address([u32; 4]);

impl Address {
    /// 0.0.0.0.
    pub const UNSPECIFIED_V4: Self = Self::v4(0);

    /// 127.0.0.1 or ::1.
    pub const fn localhost(family: Family) -> Self {
        match family {
            Family::V4 => Self::v4(0x7f00_0001),
            Family::V6 => Self::v6(Ipv6Addr::LOCALHOST),
        }
    }

    /// An IPv4 address, in host order.
    #[inline(always)]
    pub const fn v4(bits: u32) -> Self {
        Self([0, 0, MAPPED, bits])
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        Self([(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32])
    }

    /// Its family.
    #[inline(always)]
    pub const fn family(self) -> Family {
        if self.is_v4() { Family::V4 } else { Family::V6 }
    }

    /// Tells whether it is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(self) -> bool {
        self.0[0] | self.0[1] | (self.0[2] ^ MAPPED) == 0
    }

    /// The most significant 32 bits: 0 of every IPv4 address, and of no IPv6 one that a packet bears.
    #[inline(always)]
    pub(super) const fn top(self) -> u32 {
        self.0[0]
    }

    /// The IPv4 address, in host order; of an IPv6 one the last four octets.
    #[inline(always)]
    pub const fn low(self) -> u32 {
        self.0[3]
    }

    /// The IPv4 address that it is, in host order.
    #[inline(always)]
    pub const fn as_v4(self) -> Option<u32> {
        if self.is_v4() { Some(self.low()) } else { None }
    }

    /// All 128 bits, in host order; an IPv4 address is mapped.
    #[inline]
    pub const fn to_bits(self) -> u128 {
        let [a, b, c, d] = self.0;
        (a as u128) << 96 | (b as u128) << 64 | (c as u128) << 32 | d as u128
    }

    /// The address of these bits.
    #[inline]
    pub const fn from_bits(bits: u128) -> Self {
        Self::v6(Ipv6Addr::from_bits(bits))
    }

    /// The upper and the lower 64 bits, in host order.
    #[inline(always)]
    pub const fn halves(self) -> (u64, u64) {
        let [a, b, c, d] = self.0;
        ((a as u64) << 32 | b as u64, (c as u64) << 32 | d as u64)
    }

    /// The address of these halves.
    #[inline(always)]
    pub const fn from_halves(upper: u64, lower: u64) -> Self {
        Self([(upper >> 32) as u32, upper as u32, (lower >> 32) as u32, lower as u32])
    }

    /// The IPv4 address, or the words of an IPv6 one xored: what the kernel's hashes (`ip_vs_sh.c`, `ip_vs_mh.c`, `ip_vs_dh.c`) make of
    /// an address.
    #[inline]
    pub const fn folded(self) -> u32 {
        let [a, b, c, d] = self.0;
        if self.is_v4() { d } else { a ^ b ^ c ^ d }
    }

    /// The address of its network of `prefix` bits: 32 at most of IPv4, 128 of IPv6.
    pub const fn network(self, prefix: u8) -> Self {
        let kept = match self.family() {
            Family::V4 => 96 + prefix as u32,
            Family::V6 => prefix as u32,
        };
        let mask = if kept == 0 { 0 } else { u128::MAX << 128_u32.saturating_sub(kept) };
        Self::from_bits(self.to_bits() & mask)
    }

    /// The IPv6 address that it is; an IPv4 one is mapped.
    #[inline]
    pub const fn to_v6(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.to_bits())
    }

    /// As the standard library has it.
    pub const fn to_ip(self) -> IpAddr {
        match self.as_v4() {
            Some(bits) => IpAddr::V4(Ipv4Addr::from_bits(bits)),
            None => IpAddr::V6(self.to_v6()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    #[inline(always)]
    fn from(address: Ipv4Addr) -> Self {
        Self::v4(address.to_bits())
    }
}

impl From<Ipv6Addr> for Address {
    #[inline(always)]
    fn from(address: Ipv6Addr) -> Self {
        Self::v6(address)
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// An address and a port: one end of a connection. 20 octets, where the standard library's has 32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportAddress {
    /// The address.
    pub address: Address,
    /// The port, in host order.
    pub port: u16,
}

impl TransportAddress {
    /// 0.0.0.0:0.
    pub const UNSPECIFIED_V4: Self = Self::new(Address::UNSPECIFIED_V4, 0);

    /// The two together.
    #[inline(always)]
    pub const fn new(address: Address, port: u16) -> Self {
        Self { address, port }
    }

    /// As the standard library has it.
    pub const fn to_socket(self) -> SocketAddr {
        SocketAddr::new(self.address.to_ip(), self.port)
    }
}

impl From<SocketAddrV4> for TransportAddress {
    #[inline(always)]
    fn from(socket: SocketAddrV4) -> Self {
        Self::new((*socket.ip()).into(), socket.port())
    }
}

impl From<SocketAddr> for TransportAddress {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip().into(), socket.port())
    }
}

impl From<SocketAddrV6> for TransportAddress {
    fn from(socket: SocketAddrV6) -> Self {
        Self::new((*socket.ip()).into(), socket.port())
    }
}

impl fmt::Display for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_socket().fmt(f)
    }
}

impl fmt::Debug for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_socket().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_back_what_it_was_made_of() {
        for text in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8:1:2:3:4:5:6", "ff02::1:ff00:1"] {
            let ip: IpAddr = text.parse().unwrap();
            let address = Address::from(ip);
            assert_eq!((address.to_ip(), address.to_string().as_str()), (ip, text));
            assert_eq!(address.is_v4(), ip.is_ipv4(), "{text}");
            let (upper, lower) = address.halves();
            assert_eq!(Address::from_halves(upper, lower), address);
            assert_eq!(Address::from_bits(address.to_bits()), address);
        }
    }

    #[test]
    fn a_network_is_what_its_addresses_have_in_common() {
        for (text, prefix, network) in [
            ("192.0.2.77", 32, "192.0.2.77"),
            ("192.0.2.77", 26, "192.0.2.64"),
            ("192.0.2.77", 0, "0.0.0.0"),
            ("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"),
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3:4:5:6", 0, "::"),
        ] {
            let [address, network] = [text, network].map(|text| Address::from(text.parse::<IpAddr>().unwrap()));
            assert_eq!(address.network(prefix), network, "{text}/{prefix}");
        }
    }

    #[test]
    fn low_and_folded_are_the_kernels_words() {
        let four = Address::from(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!((four.as_v4(), four.folded()), (Some(0xc000_0201), 0xc000_0201));
        let six = Address::from("2001:db8::1:2".parse::<Ipv6Addr>().unwrap());
        assert_eq!((six.as_v4(), six.low(), six.folded()), (None, 0x0001_0002, 0x2001_0db8 ^ 0x0001_0002));
    }

    #[test]
    fn an_end_of_a_connection_reads_as_ever() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443"] {
            let end: TransportAddress = text.parse::<SocketAddr>().unwrap().into();
            assert_eq!((end.to_string().as_str(), format!("{end:?}").as_str()), (text, text));
        }
        assert_eq!(size_of::<TransportAddress>(), 20);
    }
}
