//! Which packets a service is for (`address`, `match` or `mark`), which ones a rule marks, and the addresses to answer for.

use std::net::IpAddr;

use arrayvec::ArrayString;

use super::keys::{MATCH, nearest};
use super::model::{Mark, Port, Protocol};
use super::section::{Item, Section};
use super::source::ConfigError;
use super::value;
use crate::dataplane::address::Family;
use crate::dataplane::selector::{Addresses, Ingress, Pattern, Ports, Selector};
use crate::dataplane::service::PortId;

/// The most addresses that one service is answered for.
const MAX_VIPS: u64 = 4096;

pub(super) const PROTOCOLS: &[(&str, Protocol)] =
    &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp), ("icmp", Protocol::Icmp)];
pub(super) const FAMILIES: &[(&str, Family)] = &[("ipv4", Family::V4), ("ipv6", Family::V6)];
pub(super) const TRANSPORTS: &[(&str, Protocol)] =
    &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];

/// Reads what a service is for: one of the three.
pub(super) fn service(section: &Section<'_>, ports: &[Port]) -> Result<Selector, ConfigError> {
    let mut written = ["address", "match", "mark"].into_iter().filter_map(|key| Some((key, section.get(key)?)));
    let first = written.next();
    if let (Some((first, _)), Some((_, second))) = (&first, written.next()) {
        return Err(second.error(format!("the service has \"{first}\" already: it is for one or the other")));
    }
    let (protocol, family) = (section.get("protocol"), section.get("family"));
    if !matches!(first, Some(("mark", _))) {
        refuse(family.as_ref(), "the addresses say it: it is for a mark's service, which has none")?;
    }
    match first {
        Some(("mark", item)) => {
            refuse(
                protocol.as_ref(),
                "a mark's service has packets of every protocol: leave it out, or name it in the rule",
            )?;
            let family = family.map(|item| item.word(FAMILIES, &[])).transpose()?.unwrap_or(Family::V4);
            Ok(Selector::Mark(mark(&item)?, family))
        }
        Some(("match", _)) => {
            refuse(protocol.as_ref(), "write it in \"match\"")?;
            pattern(section, ports).map(Selector::Match)
        }
        _ => {
            let protocol = protocol.map(|item| item.word(PROTOCOLS, &[])).transpose()?.unwrap_or(Protocol::Tcp);
            section.required("address")?.parse(|text| address(text, protocol))
        }
    }
}

/// Reads a rule that gives a mark.
pub(super) fn rule(section: &Section<'_>, ports: &[Port]) -> Result<Mark, ConfigError> {
    Ok(Mark { mark: mark(&section.required("mark")?)?, pattern: pattern(section, ports)? })
}

/// A packet without a mark has mark 0.
fn mark(item: &Item<'_>) -> Result<u32, ConfigError> {
    Ok(item.integer(1..=u32::MAX.into())? as u32)
}

fn refuse(item: Option<&Item<'_>>, why: &str) -> Result<(), ConfigError> {
    item.map_or(Ok(()), |item| Err(item.error(why)))
}

/// A VIP and a port, or a range of either. One address and every port but 0 is one address and port 0.
fn address(text: &str, protocol: Protocol) -> Result<Selector, String> {
    if protocol == Protocol::Icmp {
        return Ok(Selector::Socket(value::portless(text)?, protocol));
    }
    if !text.contains(['/', '-']) {
        return Ok(Selector::Socket(value::socket(text)?, protocol));
    }
    let (to, ports) = value::range(text)?;
    Ok(match (to.one(), ports) {
        (Some(address), Ports::EVERY) => Selector::Socket((address, 0).into(), protocol),
        (Some(address), Ports { first, last }) if first == last => Selector::Socket((address, first).into(), protocol),
        _ => Selector::Range(Pattern { protocol: Some(protocol), to, ports, ..Pattern::every(to.family()) }),
    })
}

/// Reads the `match` of a service or a rule. What it does not name may be anything; without addresses it is IPv4's.
fn pattern(section: &Section<'_>, known: &[Port]) -> Result<Pattern, ConfigError> {
    let written = section.required("match")?;
    let Some(section) = section.table("match", &MATCH)? else {
        return Ok(Pattern::every(Family::V4));
    };
    let addresses = |key: &str| section.get(key).map(|item| item.parse(value::addresses)).transpose();
    let (from, to) = (addresses("from")?, addresses("to")?);
    let family = to.or(from).map_or(Family::V4, Addresses::family);
    if let (Some(from), Some(item)) = (from, section.get("from"))
        && from.family() != family
    {
        return Err(item.error(format!("{from} is {}, and \"to\" is {family}: no packet has both", from.family())));
    }
    let every = Addresses::every(family);
    let pattern = Pattern {
        protocol: section.get("protocol").map(|item| item.word(TRANSPORTS, &[])).transpose()?,
        from: from.unwrap_or(every),
        to: to.unwrap_or(every),
        ports: section.get("port").map(|item| ports(&item)).transpose()?.unwrap_or(Ports::EVERY),
        ingress: section.get("ingress").map(|item| ingress(&item, known)).transpose()?,
    };
    if MATCH.known.iter().all(|key| section.get(key).is_none()) {
        return Err(written
            .error("an empty match is every packet there is: write to = \"0.0.0.0/0\" or \"::/0\" if that is meant"));
    }
    Ok(pattern)
}

fn ports(item: &Item<'_>) -> Result<Ports, ConfigError> {
    if item.is_string() {
        return item.parse(value::ports);
    }
    let port = item.integer(0..=u16::MAX.into())? as u16;
    Ok(if port == 0 { Ports::EVERY } else { Ports::single(port) })
}

fn ingress(item: &Item<'_>, known: &[Port]) -> Result<Ingress, ConfigError> {
    let written = item.string()?;
    let names = || known.iter().map(|port| port.name.as_str());
    let place = names().position(|name| name == written);
    // Names are at most 32 letters, and ports at most 32.
    match place.and_then(|place| Some((u8::try_from(place).ok()?, ArrayString::from(written).ok()?))) {
        Some((place, name)) => Ok(Ingress { port: PortId(place), name }),
        None => Err(item.error(match nearest(written, names()) {
            Some(near) => format!("there is no port \"{written}\"; did you mean \"{near}\"?"),
            None => format!("there is no port \"{written}\"; there are {}", names().collect::<Vec<_>>().join(", ")),
        })),
    }
}

/// Reads which of a service's addresses the director answers ARP, neighbour solicitations and echo requests for. Of one address it is that
/// one.
pub(super) fn vips(section: &Section<'_>, selector: &Selector) -> Result<Vec<IpAddr>, ConfigError> {
    let own = selector.addresses();
    let item = section.get("vips");
    if let Some(vip) = own.one().filter(|_| !matches!(selector, Selector::Match(_))) {
        refuse(item.as_ref(), "the service has one address, and that is answered for")?;
        return Ok(vec![vip]);
    }
    let mut vips = Vec::new();
    for item in item.map(|item| item.list()).transpose()?.unwrap_or_default() {
        let some = item.parse(value::hosts)?;
        let all = some.count().saturating_add(vips.len() as u64);
        if all > MAX_VIPS {
            return Err(item.error(format!("{all} addresses are too many to answer for: {MAX_VIPS} are possible")));
        }
        if !(own.contains(some.first) && own.contains(some.last)) {
            return Err(item.error(format!("{some} is not one of the service's addresses, {own}")));
        }
        vips.extend(some.iter());
    }
    Ok(vips)
}
