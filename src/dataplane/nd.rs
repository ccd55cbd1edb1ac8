//! Neighbour discovery's two messages that ARP has too (RFC 4861 §4.3, §4.4, §7.2): read, answered and made. Pure functions over
//! frames: whose address is asked for, and what is learned, the caller decides.
//!
//! ```text
//!  0          14        54     58             62      78
//! +----------+---------+------+--------------+-------+---------------------------+
//! | Ethernet | IPv6,   | 135, | -            |target | option 1: source's MAC    |   solicitation: who has it?
//! |          | hops 255| 136  | R S O flags  |target | option 2: target's MAC    |   advertisement
//! +----------+---------+------+--------------+-------+---------------------------+
//! ```
//! | sent | to | S | O |
//! |---|---|---|---|
//! | solicitation | the target's solicited-node group (RFC 4291 §2.7.1), by its Ethernet group (RFC 2464 §7) | | |
//! | answer | who asked | 1 | 1 |
//! | answer to who asked from no address, to find out whether the target is taken (RFC 4862 §5.4.3) | all nodes | 0 | 1 |
//! | unasked, when an address has come here (§7.2.6) | all nodes | 0 | 1 |
//!
//! Every answer has the R flag: the director is NAT real servers' gateway, and a host that heard otherwise would give it up as a
//! router (§7.2.5). All are for an own address or VIP, none by proxy, so O is set and what others know is overwritten (§7.2.4).
//! A station that is only trying its address out (RFC 4429 §3.3) leaves option 1 away, or clears O: so nothing of it is learned over what is
//! known.
//!
//! Fragments are refused (RFC 6980 §5).

use std::net::Ipv6Addr;

use super::port::Frame;
use super::wire::checksum::Sum;
use super::wire::ip::Protocol;
use super::wire::{ethernet, icmpv6, ipv6};

/// Octets of every frame that is written here, its Ethernet header included.
pub const FRAME: usize = ethernet::HEADER_OCTETS + ipv6::HEADER_OCTETS + MESSAGE;

/// Octets of a message up to its options.
const FIXED: usize = icmpv6::HEADER_OCTETS + 16;
/// Octets of the option with an Ethernet address (RFC 2464 §6).
const OPTION: usize = 8;
const MESSAGE: usize = FIXED + OPTION;

/// The hop limit that shows that a message has passed no router (RFC 4861 §7.1).
const HOPS: u8 = 255;
/// Options: the Ethernet address of the source of a solicitation, of the target of an advertisement (RFC 4861 §4.6.1).
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;

/// Flags of an advertisement, in its second word (RFC 4861 §4.4).
const ROUTER: u32 = 1 << 31;
const SOLICITED: u32 = 1 << 30;
const OVERRIDE: u32 = 1 << 29;

/// Every node on the link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Who has an address?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; `None` for whoever would like to have the target itself and asks whether it is taken.
    pub source: Option<Ipv6Addr>,
    /// Whose Ethernet address is asked for.
    pub target: Ipv6Addr,
    /// The Ethernet address that the source says it has.
    pub link: Option<ethernet::Address>,
    /// The one that the frame came from.
    pub sender: ethernet::Address,
}

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// Its Ethernet address.
    pub link: Option<ethernet::Address>,
    /// The one that the frame came from.
    pub sender: ethernet::Address,
    /// Whether it answers a solicitation, so that the target is known to be reachable.
    pub solicited: bool,
    /// Whether it counts for more than what was known before.
    pub overrides: bool,
}

/// Either message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks.
    Solicitation(Solicitation),
    /// Tells.
    Advertisement(Advertisement),
}

/// Returns the group that whoever has `address` listens to: ff02::1:ff and its last three octets (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | address.to_bits() & 0xff_ffff)
}

const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;

/// Returns the Ethernet address of a multicast group: 33:33 and its last four octets (RFC 2464 §7).
pub const fn group_mac(group: Ipv6Addr) -> ethernet::Address {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// Reads the message in an untagged frame; `None` if it holds none, or one that RFC 4861 §7.1 has us discard. Beyond that, no source,
/// target or Ethernet address may be one that no station has.
pub fn read(frame: &[u8]) -> Option<Message> {
    let (link, packet) = frame.split_first_chunk::<{ ethernet::HEADER_OCTETS }>()?;
    let link = ethernet::Frame::new_unchecked(link);
    let ip = ipv6::Packet::new_checked(packet).ok()?;
    let upper = ip.upper().ok()?;
    let sender = link.source();
    let sane = link.ethertype() == ethernet::EtherType::Ipv6
        && upper.protocol == Protocol::Icmpv6
        && upper.fragment.is_none()
        && ip.hop_limit() == HOPS
        && is_station(&sender);
    let octets = packet.get(upper.offset..ip.total_octets()).filter(|_| sane)?;
    let (source, destination) = (ip.source(), ip.destination());
    let message = icmpv6::Packet::new_checked(octets).ok()?;
    let pseudo = Sum::pseudo_v6(source, destination, Protocol::Icmpv6.into(), octets.len() as u32);
    let target = message.target().filter(|target| ipv6::is_host(*target))?;
    if message.code() != 0 || !message.verify_checksum(pseudo) {
        return None;
    }
    let from_host = ipv6::is_host(source);
    match message.kind() {
        icmpv6::Type::NeighborSolicitation => {
            let link = link_option(message.options(), SOURCE_LINK)?;
            let asks_for_itself =
                source.is_unspecified() && link.is_none() && solicited_node(destination) == destination;
            let source = from_host.then_some(source);
            (from_host || asks_for_itself).then_some(Message::Solicitation(Solicitation {
                source,
                target,
                link,
                sender,
            }))
        }
        icmpv6::Type::NeighborAdvertisement => {
            let link = link_option(message.options(), TARGET_LINK)?;
            let solicited = message.rest() & SOLICITED != 0;
            let overrides = message.rest() & OVERRIDE != 0;
            (from_host && !(solicited && destination.is_multicast())).then_some(Message::Advertisement(Advertisement {
                target,
                link,
                sender,
                solicited,
                overrides,
            }))
        }
        _ => None,
    }
}

/// Finds the option of `kind`, of which the first counts; `None` within if there is none, and without if the options are malformed.
fn link_option(mut options: &[u8], kind: u8) -> Option<Option<ethernet::Address>> {
    let mut found = None;
    while !options.is_empty() {
        let [option, length, ..] = *options else { return None };
        // In units of eight octets; 0 voids the message.
        let (body, rest) = options.split_at_checked(usize::from(length) * 8).filter(|_| length != 0)?;
        if option == kind && length == 1 && found.is_none() {
            let address = *body.last_chunk()?;
            found = Some(is_station(&address).then_some(address)?);
        }
        options = rest;
    }
    Some(found)
}

/// Tells whether an Ethernet address may be one station's.
fn is_station(address: &ethernet::Address) -> bool {
    !ethernet::is_group(address) && *address != [0; 6]
}

/// Turns the frame of a solicitation into its answer: `mac` has the target. `None` if the frame has no room.
pub fn answer<F: Frame>(frame: &mut F, asked: &Solicitation, mac: ethernet::Address) -> Option<()> {
    let (to, destination, solicited) = match asked.source {
        Some(source) => (asked.link.unwrap_or(asked.sender), source, SOLICITED),
        None => (group_mac(ALL_NODES), ALL_NODES, 0),
    };
    let addresses = (asked.target, destination);
    advertise(frame, (mac, to), addresses, ROUTER | solicited | OVERRIDE)
}

/// Writes into a fresh frame that `mac` has `target` now, for all who knew another. `None` if the frame has no room.
pub fn write_unsolicited<F: Frame>(frame: &mut F, mac: ethernet::Address, target: Ipv6Addr) -> Option<()> {
    advertise(frame, (mac, group_mac(ALL_NODES)), (target, ALL_NODES), ROUTER | OVERRIDE)
}

/// Writes a solicitation into a fresh frame: who has `target`, tell `source`. `None` if the frame has no room.
pub fn write_solicitation<F: Frame>(
    frame: &mut F,
    mac: ethernet::Address,
    source: Ipv6Addr,
    target: Ipv6Addr,
) -> Option<()> {
    let group = solicited_node(target);
    let what = What { kind: icmpv6::Type::NeighborSolicitation, flags: 0, target, option: SOURCE_LINK };
    write(frame, (mac, group_mac(group)), (source, group), what)
}

fn advertise<F: Frame>(
    frame: &mut F,
    stations: (ethernet::Address, ethernet::Address),
    (target, destination): (Ipv6Addr, Ipv6Addr),
    flags: u32,
) -> Option<()> {
    let what = What { kind: icmpv6::Type::NeighborAdvertisement, flags, target, option: TARGET_LINK };
    write(frame, stations, (target, destination), what)
}

struct What {
    kind: icmpv6::Type,
    flags: u32,
    target: Ipv6Addr,
    option: u8,
}

/// Writes all of a message from one station and address to another. Its option is the first station's address.
fn write<F: Frame>(
    frame: &mut F,
    (mac, to): (ethernet::Address, ethernet::Address),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    what: What,
) -> Option<()> {
    let mut link = ethernet::Frame::new_unchecked(frame.set_len(FRAME)?);
    link.set_destination(to);
    link.set_source(mac);
    link.set_ethertype(ethernet::EtherType::Ipv6);
    let (header, message) = link.payload_mut().split_at_mut_checked(ipv6::HEADER_OCTETS)?;
    let ip = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        hop_limit: HOPS,
        next_header: Protocol::Icmpv6,
        source,
        destination,
        payload_octets: MESSAGE as u16,
    };
    ip.emit(&mut ipv6::Packet::new_unchecked(header));
    let (_, option) = message.split_at_mut_checked(FIXED)?;
    let [a, b, c, d, e, f] = mac;
    option.copy_from_slice(&[what.option, 1, a, b, c, d, e, f]);
    let mut message = icmpv6::Packet::new_unchecked(message);
    message.set_kind(what.kind);
    message.set_code(0);
    message.set_rest(what.flags);
    message.set_target(what.target);
    message.fill_checksum(Sum::pseudo_v6(source, destination, Protocol::Icmpv6.into(), MESSAGE as u32));
    Some(())
}

#[cfg(test)]
mod tests;
