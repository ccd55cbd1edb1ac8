//! Addresses and ports, as ipvsadm's users write them: numbers or names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::names::Names;
use super::numbers::number;
use crate::dataplane::service::Protocol;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The address.
    pub address: IpAddr,
    /// The port, if one was.
    pub port: Option<u16>,
}

/// Reads `host`, `host:port`, `[v6]:port` or an IPv6 address alone; `None` if it is none of these, or all digits.
pub fn read(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<Written> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let (inside, behind) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, behind) = rest.split_once(']')?;
            (inside, Some(behind.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (address, port) = match inside.parse::<Ipv6Addr>() {
        Ok(v6) => (IpAddr::V6(v6), behind),
        Err(_) => {
            let (name, port) = inside.rsplit_once(':').map_or((inside, None), |(name, port)| (name, Some(port)));
            (IpAddr::V4(host(name, names)?), port)
        }
    };
    let port = match port {
        Some(port) => Some(self::port(port, protocol, names)?),
        None => None,
    };
    Some(Written { address, port })
}

/// Reads an IPv4 address or a host's name.
pub fn host(text: &str, names: &dyn Names) -> Option<Ipv4Addr> {
    text.parse().ok().or_else(|| names.address_of(text))
}

fn port(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    match number(text, 0..=u16::MAX.into()) {
        Some(port) => Some(port as u16),
        None => names.port_of(text, protocol?),
    }
}
