//! Whether a frame that was sent is the one that should have been, by an independent decoder.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, bail, ensure};
use etherparse::{Ipv4Slice, LinkSlice, NetSlice, SlicedPacket, TcpSlice, TransportSlice};

use super::Case;
use super::traffic::{self, DIRECTOR, DIRECTOR_MAC, GATEWAY_MAC, VIP};

/// Checks one frame that `case` sent.
pub fn frame(case: Case, octets: &[u8]) -> anyhow::Result<()> {
    checksums(octets).and_then(|()| content(case, octets)).with_context(|| format!("{}: {octets:02x?}", case.name()))
}

fn content(case: Case, octets: &[u8]) -> anyhow::Result<()> {
    let packet = SlicedPacket::from_ethernet(octets)?;
    let outer = ipv4(&packet)?;
    let inner = (case == Case::Ipip).then(|| SlicedPacket::from_ip(outer.payload().payload)).transpose()?;
    let packet_inside = inner.as_ref().unwrap_or(&packet);
    let (ip, tcp) = (ipv4(packet_inside)?, tcp(packet_inside)?);
    let source = SocketAddrV4::new(ip.header().source_addr(), tcp.source_port());
    let destination = SocketAddrV4::new(ip.header().destination_addr(), tcp.destination_port());
    let client = if case == Case::NatOut { destination } else { source };
    let flow = traffic::flow(client.ip().to_bits(), client.port());
    let (address, port) = traffic::client(flow);
    ensure!(client == SocketAddrV4::new(Ipv4Addr::from_bits(address), port), "no client has the address {client}");

    let real = traffic::real(flow);
    let (mac, other) = match case {
        Case::Dr | Case::Ipip => (traffic::real_mac(real), VIP),
        Case::NatIn => (traffic::real_mac(real), SocketAddrV4::new(traffic::real_address(real), VIP.port())),
        Case::NatOut => (GATEWAY_MAC, VIP),
        Case::MacSwap | Case::MemoryLimit | Case::Port => bail!("nothing is forwarded"),
    };
    let peer = if case == Case::NatOut { source } else { destination };
    ensure!(peer == other, "{peer} instead of {other}");
    ensure!(link(&packet)? == (DIRECTOR_MAC, mac), "wrong Ethernet addresses");
    ensure!(ip.header().ttl() == 63, "TTL");
    if case == Case::Ipip {
        let header = outer.header();
        let ends = (header.source_addr(), header.destination_addr());
        ensure!(ends == (DIRECTOR, traffic::real_address(real)), "the tunnel's ends are {ends:?}");
    }
    Ok(())
}

/// Checks the checksums of a frame, those inside a tunnel too.
pub fn checksums(octets: &[u8]) -> anyhow::Result<()> {
    let packet = SlicedPacket::from_ethernet(octets)?;
    let outer = ipv4(&packet)?;
    header_checksum(outer)?;
    if outer.payload_ip_number() == etherparse::IpNumber::IPV4 {
        let inner = SlicedPacket::from_ip(outer.payload().payload)?;
        header_checksum(ipv4(&inner)?)?;
        return transport_checksum(&inner);
    }
    transport_checksum(&packet)
}

fn header_checksum(ip: &Ipv4Slice<'_>) -> anyhow::Result<()> {
    let header = ip.header().to_header();
    ensure!(header.header_checksum == header.calc_header_checksum(), "IPv4 header checksum");
    Ok(())
}

fn transport_checksum(packet: &SlicedPacket<'_>) -> anyhow::Result<()> {
    let ip = ipv4(packet)?;
    if let Some(TransportSlice::Udp(udp)) = &packet.transport {
        let sum = udp.to_header().calc_checksum_ipv4(&ip.header().to_header(), udp.payload())?;
        ensure!(udp.checksum() == sum || udp.checksum() == 0, "UDP checksum");
        return Ok(());
    }
    let tcp = tcp(packet)?;
    let sum = tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination())?;
    ensure!(tcp.checksum() == sum, "TCP checksum");
    Ok(())
}

fn link(packet: &SlicedPacket<'_>) -> anyhow::Result<([u8; 6], [u8; 6])> {
    match &packet.link {
        Some(LinkSlice::Ethernet2(link)) => Ok((link.source(), link.destination())),
        _ => bail!("no Ethernet header"),
    }
}

fn ipv4<'p>(packet: &'p SlicedPacket<'_>) -> anyhow::Result<&'p Ipv4Slice<'p>> {
    match &packet.net {
        Some(NetSlice::Ipv4(ip)) => Ok(ip),
        _ => bail!("no IPv4 packet"),
    }
}

fn tcp<'p>(packet: &'p SlicedPacket<'_>) -> anyhow::Result<&'p TcpSlice<'p>> {
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Ok(tcp),
        _ => bail!("no TCP segment"),
    }
}
