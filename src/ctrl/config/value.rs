//! The meaning of single values: addresses, prefixes, names. Each reader's error says what is wrong with the text.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::model::localhost;
use crate::dataplane::address::Family;
use crate::dataplane::selector::{Addresses, Ports};

/// IPVS's longest: that of a persistence template.
pub(super) const LONGEST_TIMEOUT: u32 = crate::dataplane::conn::timeouts::LONGEST;

/// The longest path that the address of a Unix socket holds, in octets.
const SOCKET_PATH: usize = 107;

/// A VIP or RIP with its port: `192.0.2.1:80`.
pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    match address_and_port(text)? {
        (address, Some(port)) => Ok(SocketAddr::new(address, port)),
        (IpAddr::V4(v4), None) => Err(format!("\"{text}\" has no port; write \"{v4}:80\"")),
        (IpAddr::V6(v6), None) => Err(format!("\"{text}\" has no port; write \"[{v6}]:80\"")),
    }
}

/// A VIP without a port, or with port 0, which is the same.
pub(super) fn portless(text: &str) -> Result<SocketAddr, String> {
    match address_and_port(text)? {
        (address, None | Some(0)) => Ok(SocketAddr::new(address, 0)),
        (address, Some(port)) => Err(format!("ICMP has no ports: write \"{address}\" without {port}")),
    }
}

/// The name of a kernel interface: IFNAMSIZ leaves it 15 octets; of what it may be made of, what no program has to quote.
pub(super) fn interface_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 15
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no name for an interface: 1 to 15 letters, digits, '-', '_' or '.', no sign first"))
    }
}

/// An address with or without a port: `10.0.0.11:8080`, `10.0.0.11`, `[2001:db8::1]:80`, `2001:db8::1`.
pub(super) fn address_and_port(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let (address, port) = parts(text)?;
    station(address)?;
    Ok((address, port))
}

/// The same of a real server, which may be the host: 127.0.0.1, ::1.
pub(super) fn real_server(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let (address, port) = parts(text)?;
    if address != localhost(Family::of(address)) {
        station(address)?;
    }
    Ok((address, port))
}

fn parts(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    zoneless(text)?;
    let (address, port) = match text.parse::<SocketAddr>() {
        Ok(socket) => (socket.ip(), Some(socket.port())),
        Err(_) => match text.parse::<IpAddr>() {
            Ok(address) => (address, None),
            Err(_) => return Err(format!("\"{text}\" is not an IP address and port (names are not resolved)")),
        },
    };
    unmapped(address)?;
    Ok((address, port))
}

/// Reads any address but those that are written in two ways.
fn address(text: &str) -> Result<IpAddr, String> {
    zoneless(text)?;
    let address = text.parse().map_err(|_| format!("\"{text}\" is not an IP address"))?;
    unmapped(address)?;
    Ok(address)
}

/// Refuses the name of an interface behind an address (RFC 4007 §11).
fn zoneless(text: &str) -> Result<(), String> {
    if text.contains('%') { Err(format!("\"{text}\" has a zone, and zones mean nothing here")) } else { Ok(()) }
}

/// Refuses an IPv4 address that is written as an IPv6 one (RFC 4291 §2.5.5.2): no packet has it.
fn unmapped(address: IpAddr) -> Result<(), String> {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Err(format!("{v6} is an IPv4 address mapped into IPv6: write \"{v4}\"")),
            None => Ok(()),
        },
        IpAddr::V4(_) => Ok(()),
    }
}

/// Several VIPs, or one, and their ports: `203.0.113.0/28:80`, `203.0.113.1-203.0.113.9:0`, `203.0.113.1:8000-8999`,
/// `[2001:db8::/64]:80`.
pub(super) fn range(text: &str) -> Result<(Addresses, Ports), String> {
    let portless =
        |vips: &str| Err(format!("\"{text}\" has no port; write \"{vips}:80\", or \"{vips}:0\" for every port"));
    let (vips, range) = match text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((vips, behind)) => match behind.strip_prefix(':') {
            Some(range) => (vips, range),
            None => return portless(&format!("[{vips}]")),
        },
        None => match text.rsplit_once(':') {
            Some((vips, _)) if vips.contains(':') => {
                let shown = if addresses(text).is_ok() { text } else { vips };
                return Err(format!(
                    "\"{text}\" does not say where IPv6 ends and the port begins; write \"[{shown}]:80\""
                ));
            }
            Some(parts) => parts,
            None => return portless(text),
        },
    };
    Ok((hosts(vips)?, ports(range)?))
}

/// Addresses of hosts: one, a prefix or a range.
pub(super) fn hosts(text: &str) -> Result<Addresses, String> {
    let addresses = addresses(text)?;
    station(addresses.first)?;
    station(addresses.last)?;
    Ok(addresses)
}

/// Any addresses: `203.0.113.1`, `203.0.113.0/28`, `203.0.113.1-203.0.113.9`, `2001:db8::/64`.
pub(super) fn addresses(text: &str) -> Result<Addresses, String> {
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (address(first)?, address(last)?);
        if Family::of(first) != Family::of(last) {
            return Err(format!("the range {text} begins in {} and ends in {}", Family::of(first), Family::of(last)));
        }
        if first > last {
            return Err(format!("the range {text} is empty: its last address is below its first"));
        }
        return Ok(Addresses { first, last });
    }
    if text.contains('/') { prefix(text).map(Addresses::from) } else { address(text).map(Addresses::single) }
}

/// A port, several that follow each other, or every one: `80`, `8000-8999`, `0`.
pub(super) fn ports(text: &str) -> Result<Ports, String> {
    let one = |text: &str| {
        let digits = text.bytes().all(|digit| digit.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|_| digits);
        port.ok_or_else(|| format!("\"{text}\" is not a port: a number from 1 to 65535, or 0 for every port"))
    };
    let Some((first, last)) = text.split_once('-') else {
        let port = one(text)?;
        return Ok(if port == 0 { Ports::EVERY } else { Ports::single(port) });
    };
    let (first, last) = (one(first)?, one(last)?);
    match (first, last) {
        (first, last) if first > last => Err(format!("the range {text} is empty: its last port is below its first")),
        (0 | 1, u16::MAX) => Ok(Ports::EVERY),
        (0, _) => Err(format!("the range {text} begins with 0, which is no port: write 1-{last}")),
        _ => Ok(Ports { first, last }),
    }
}

/// An address of one host.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    let address = address(text)?;
    station(address)?;
    Ok(address)
}

/// A host's address with the prefix length of its network: `192.0.2.2/24`, `2001:db8::2/64`.
pub(super) fn interface(text: &str) -> Result<IpNet, String> {
    zoneless(text)?;
    let network: IpNet = text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(address) => {
            let length = if address.is_ipv4() { 24 } else { 64 };
            format!("\"{text}\" has no prefix length; write \"{address}/{length}\"")
        }
        Err(_) => format!("\"{text}\" is not an IP address and prefix length"),
    })?;
    unmapped(network.addr())?;
    station(network.addr())?;
    if names_all(&network, network.addr()) {
        return Err(format!(
            "{} is the address of the network {} or its broadcast address",
            network.addr(),
            network.trunc()
        ));
    }
    Ok(network)
}

/// The destinations of a route: `0.0.0.0/0`, `::/0`.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    zoneless(text)?;
    let network: IpNet = text.parse().map_err(|_| format!("\"{text}\" is not an IP prefix; write \"0.0.0.0/0\""))?;
    unmapped(network.addr())?;
    if network != network.trunc() {
        return Err(format!("\"{text}\" has host bits set; the network is {}", network.trunc()));
    }
    Ok(network)
}

/// The Ethernet address of one station: `02:00:00:00:00:01`.
pub(super) fn mac(text: &str) -> Result<[u8; 6], String> {
    let malformed = || format!("\"{text}\" is not an Ethernet address; write \"02:00:00:00:00:01\"");
    let mut octets = [0; 6];
    let mut fields = text.split([':', '-']);
    for octet in &mut octets {
        let field = fields.next().filter(|field| field.len() == 2 && !field.starts_with('+')).ok_or_else(malformed)?;
        *octet = u8::from_str_radix(field, 16).map_err(|_| malformed())?;
    }
    if fields.next().is_some() {
        return Err(malformed());
    }
    if octets[0] & 1 != 0 {
        return Err(format!("\"{text}\" is a group address: a station's has an even first octet"));
    }
    if octets == [0; 6] {
        return Err("the Ethernet address is zero".to_owned());
    }
    Ok(octets)
}

/// A port's name, which is also written as `NAME=FILE` on the command line.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > 32 || !text.bytes().all(fits) {
        return Err(format!("\"{text}\" is not a name: 1 to 32 letters, digits, '-', '_' or '.'"));
    }
    Ok(text.to_owned())
}

/// The path of a Unix socket.
pub(super) fn socket_path(text: &str) -> Result<std::path::PathBuf, String> {
    match text.len() {
        0 => Err("the path is empty".to_owned()),
        1..=SOCKET_PATH => Ok(text.into()),
        length => Err(format!("a Unix socket's path has at most {SOCKET_PATH} octets; this one has {length}")),
    }
}

/// One argument for the EAL.
pub(super) fn eal_argument(text: &str) -> Result<String, String> {
    let option = text.split('=').next().unwrap_or_default();
    let long = ["--lcores", "--main-lcore", "--master-lcore"].contains(&option);
    let short = ["-l", "-c", "-s", "-S"].iter().any(|short| text.starts_with(short)) && !text.starts_with("--");
    if long || short {
        return Err(format!("\"{option}\" chooses cores; that is what \"workers\" does"));
    }
    if text.is_empty() { Err("an argument is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A connection's timeout in whole seconds: `15m`, `1h 30m`, `90s`.
pub(super) fn timeout(text: &str) -> Result<u32, String> {
    let seconds = seconds(text)?;
    if seconds == 0 { Err(format!("\"{text}\" is not in the range 1s to 31days")) } else { Ok(seconds) }
}

/// A time in whole seconds, which may be none: `0s`.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| format!("\"{text}\" is not a time; write a number with a unit, \"90s\", \"15m\" or \"1h 30m\""))?;
    if time.subsec_nanos() != 0 {
        return Err(format!("\"{text}\" is not a whole number of seconds"));
    }
    u32::try_from(time.as_secs())
        .ok()
        .filter(|seconds| *seconds <= LONGEST_TIMEOUT)
        .ok_or_else(|| format!("\"{text}\" is not in the range 1s to 31days"))
}

/// A time of a health check: `2s`, `500ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| format!("\"{text}\" is not a time; write a number with a unit, \"2s\" or \"500ms\""))?;
    if time.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("\"{text}\" is not a whole number of milliseconds"));
    }
    Ok(time)
}

/// Writes a time as [`duration`] reads it.
pub(super) fn written(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// A network mask in dots, `255.255.255.0`: its length.
pub(super) fn netmask(text: &str) -> Result<u8, String> {
    let malformed = || format!("\"{text}\" is not a network mask; write 24 or \"255.255.255.0\"");
    let mask: std::net::Ipv4Addr = text.parse().map_err(|_| malformed())?;
    ipnet::ipv4_mask_to_prefix(mask).map_err(|_| malformed())
}

/// Tells whether `address` is the network's own name or its broadcast address (RFC 919); /31 has neither (RFC 3021). Of IPv6 it is
/// the Subnet-Router anycast address (RFC 4291 §2.6.1), and /127 has none (RFC 6164).
pub(super) fn names_all(network: &IpNet, address: IpAddr) -> bool {
    let few = network.max_prefix_len() - network.prefix_len() < 2;
    !few && (address == network.network() || (network.addr().is_ipv4() && address == network.broadcast()))
}

/// Refuses what cannot be one host's address on a network.
fn station(address: IpAddr) -> Result<(), String> {
    let kind = match address {
        address if address.is_unspecified() => "the unspecified address",
        address if address.is_loopback() => "a loopback address",
        address if address.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => "a reserved address",
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "a reserved address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            return Err(format!("{address} is a link-local address, which does not say on which link"));
        }
        _ => return Ok(()),
    };
    Err(format!("{address} is {kind}, not a host's"))
}
