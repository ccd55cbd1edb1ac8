//! Whether a frame that was sent is the one that should have been, by an independent decoder.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, bail, ensure};
use etherparse::{LinkSlice, NetSlice, SlicedPacket, TcpSlice, TransportSlice};

use super::Case;
use super::traffic::{self, DIRECTOR, DIRECTOR_MAC, DIRECTOR_SIX, GATEWAY_MAC, LOCALS, VIP, VIP_SIX};

/// Checks one frame that `case` sent.
pub fn frame(case: Case, octets: &[u8]) -> anyhow::Result<()> {
    checksums(octets).and_then(|()| content(case, octets)).with_context(|| format!("{}: {octets:02x?}", case.name()))
}

fn content(case: Case, octets: &[u8]) -> anyhow::Result<()> {
    let packet = SlicedPacket::from_ethernet(octets)?;
    let outer = net(&packet)?;
    let tunnelled = case.over_v4() == Case::Ipip;
    let inner = tunnelled.then(|| SlicedPacket::from_ip(payload(outer))).transpose()?;
    let packet_inside = inner.as_ref().unwrap_or(&packet);
    let (ip, tcp) = (net(packet_inside)?, tcp(packet_inside)?);
    let ends = addresses(ip);
    let source = SocketAddr::new(ends.0, tcp.source_port());
    let destination = SocketAddr::new(ends.1, tcp.destination_port());
    if case == Case::FullnatIn {
        return from_local(source, destination, link(&packet)?, hops(ip));
    }
    let client = if case.is_answer() { destination } else { source };
    let flow = traffic::flow(behind(client.ip()), client.port());
    let (address, port) = traffic::client(flow);
    ensure!((behind(client.ip()), client.port()) == (address, port), "no client has the address {client}");

    let real = traffic::real(flow);
    let lan = |address: Ipv4Addr| -> IpAddr {
        if case.is_six() { traffic::in_six(traffic::LAN_SIX, address.to_bits()).into() } else { address.into() }
    };
    let vip = if case.is_six() { SocketAddr::V6(VIP_SIX) } else { VIP.into() };
    let (mac, other) = match case.over_v4() {
        Case::Dr | Case::Ipip => (traffic::real_mac(real), vip),
        Case::NatIn => (traffic::real_mac(real), SocketAddr::new(lan(traffic::real_address(real)), VIP.port())),
        Case::NatOut | Case::FullnatOut => (GATEWAY_MAC, vip),
        _ => bail!("nothing is forwarded"),
    };
    let peer = if case.is_answer() { source } else { destination };
    ensure!(peer == other, "{peer} instead of {other}");
    ensure!(link(&packet)? == (DIRECTOR_MAC, mac), "wrong Ethernet addresses");
    ensure!(hops(ip) == 63, "TTL");
    if tunnelled {
        let director = if case.is_six() { DIRECTOR_SIX.into() } else { DIRECTOR.into() };
        let ends = addresses(outer);
        ensure!(ends == (director, lan(traffic::real_address(real))), "the tunnel's ends are {ends:?}");
    }
    Ok(())
}

/// What a real server gets by full NAT: from one of the local addresses, whose client nothing in it tells.
fn from_local(source: SocketAddr, destination: SocketAddr, link: ([u8; 6], [u8; 6]), hops: u8) -> anyhow::Result<()> {
    let IpAddr::V4(local) = source.ip() else { bail!("{source} is no local address") };
    ensure!((LOCALS.0..=LOCALS.1).contains(&local), "{local} is no local address");
    let mut reals = 0..traffic::REALS;
    let own = |real: &u32| destination == SocketAddr::new(traffic::real_address(*real).into(), VIP.port());
    let real = reals.find(own).with_context(|| format!("{destination} is no real server"))?;
    ensure!(link == (DIRECTOR_MAC, traffic::real_mac(real)), "wrong Ethernet addresses");
    ensure!(hops == 63, "TTL");
    Ok(())
}

/// What of an address tells hosts apart.
fn behind(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => traffic::out_of_six(address),
    }
}

/// Checks the checksums of a frame, those inside a tunnel too.
pub fn checksums(octets: &[u8]) -> anyhow::Result<()> {
    let packet = SlicedPacket::from_ethernet(octets)?;
    let outer = net(&packet)?;
    header_checksum(outer)?;
    if packet.transport.is_none() {
        let inner = SlicedPacket::from_ip(payload(outer))?;
        header_checksum(net(&inner)?)?;
        return transport_checksum(&inner);
    }
    transport_checksum(&packet)
}

fn header_checksum(ip: &NetSlice<'_>) -> anyhow::Result<()> {
    if let NetSlice::Ipv4(ip) = ip {
        let header = ip.header().to_header();
        ensure!(header.header_checksum == header.calc_header_checksum(), "IPv4 header checksum");
    }
    Ok(())
}

fn transport_checksum(packet: &SlicedPacket<'_>) -> anyhow::Result<()> {
    let ip = net(packet)?;
    if let (Some(TransportSlice::Udp(udp)), NetSlice::Ipv4(ip)) = (&packet.transport, ip) {
        let sum = udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), udp.payload())?;
        ensure!(udp.checksum() == sum || udp.checksum() == 0, "UDP checksum");
        return Ok(());
    }
    let tcp = tcp(packet)?;
    let sum = match addresses(ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => tcp.calc_checksum_ipv4(from.octets(), to.octets())?,
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            tcp.to_header().calc_checksum_ipv6_raw(from.octets(), to.octets(), tcp.payload())?
        }
        _ => bail!("addresses of two families"),
    };
    ensure!(tcp.checksum() == sum, "TCP checksum");
    Ok(())
}

fn addresses(ip: &NetSlice<'_>) -> (IpAddr, IpAddr) {
    match ip {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()),
    }
}

fn hops(ip: &NetSlice<'_>) -> u8 {
    match ip {
        NetSlice::Ipv4(ip) => ip.header().ttl(),
        NetSlice::Ipv6(ip) => ip.header().hop_limit(),
        NetSlice::Arp(_) => 0,
    }
}

fn payload<'p>(ip: &NetSlice<'p>) -> &'p [u8] {
    match ip {
        NetSlice::Ipv4(ip) => ip.payload().payload,
        NetSlice::Ipv6(ip) => ip.payload().payload,
        NetSlice::Arp(_) => &[],
    }
}

fn link(packet: &SlicedPacket<'_>) -> anyhow::Result<([u8; 6], [u8; 6])> {
    match &packet.link {
        Some(LinkSlice::Ethernet2(link)) => Ok((link.source(), link.destination())),
        _ => bail!("no Ethernet header"),
    }
}

fn net<'p, 's>(packet: &'p SlicedPacket<'s>) -> anyhow::Result<&'p NetSlice<'s>> {
    match &packet.net {
        Some(ip @ (NetSlice::Ipv4(_) | NetSlice::Ipv6(_))) => Ok(ip),
        _ => bail!("no IP packet"),
    }
}

fn tcp<'p>(packet: &'p SlicedPacket<'_>) -> anyhow::Result<&'p TcpSlice<'p>> {
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Ok(tcp),
        _ => bail!("no TCP segment"),
    }
}
