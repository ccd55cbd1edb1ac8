//! Sockets for datagrams: connected to one server, so that they hear from it alone, and of ICMP errors about it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::ipproto::{ICMP, ICMPV6, UDP};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, connect, socket_with};
use tokio::net::UdpSocket;

use super::Target;
use super::failure::{Failure, Kind};

/// What datagrams of a socket are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// UDP.
    Udp,
    /// ICMP echo, which the kernel gives to the socket that asked (see icmp(7), ping_group_range).
    Echo,
    /// All ICMP, with the IP header if it is IPv4's. Needs CAP_NET_RAW.
    Raw,
}

/// Opens a socket to `target`.
pub(super) fn open(carrier: Carrier, target: &Target) -> Result<UdpSocket, Failure> {
    let (family, icmp) = match target.address {
        SocketAddr::V4(_) => (AddressFamily::INET, ICMP),
        SocketAddr::V6(_) => (AddressFamily::INET6, ICMPV6),
    };
    let (kind, protocol) = match carrier {
        Carrier::Udp => (SocketType::DGRAM, UDP),
        Carrier::Echo => (SocketType::DGRAM, icmp),
        Carrier::Raw => (SocketType::RAW, icmp),
    };
    let what = match carrier {
        Carrier::Udp => "no socket",
        Carrier::Echo | Carrier::Raw => "no socket for ICMP (net.ipv4.ping_group_range, CAP_NET_RAW)",
    };
    let socket = made(family, kind, protocol).map_err(|cause| Failure::local(what, &cause))?;
    // Errors that pass, such as "host unreachable", are told too.
    let told = match target.address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    told.map_err(|cause| Failure::local("no ICMP errors", &cause))?;
    if let Some(local) = target.bind {
        let bound = bind(&socket, &SocketAddr::new(local, 0));
        bound.map_err(|cause| Failure::new(Kind::Local, format!("cannot ask from {local}: {cause}")))?;
    }
    let port = if carrier == Carrier::Udp { target.address.port() } else { 0 };
    connect(&socket, &SocketAddr::new(target.address.ip(), port)).map_err(|cause| complaint(&cause.into()))?;
    // What tokio calls a UDP socket sends and receives on any socket for datagrams.
    UdpSocket::from_std(socket.into()).map_err(|cause| Failure::local("no socket", &cause))
}

fn made(family: AddressFamily, kind: SocketType, protocol: Protocol) -> rustix::io::Result<OwnedFd> {
    socket_with(family, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, Some(protocol))
}

/// Receives one datagram; what is longer than `buffer` is cut.
pub(super) async fn receive<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> Result<&'a [u8], Failure> {
    let octets = socket.recv(buffer).await.map_err(|cause| complaint(&cause))?;
    Ok(&buffer[..octets])
}

/// Sends one datagram.
pub(super) async fn send(socket: &UdpSocket, octets: &[u8]) -> Result<(), Failure> {
    match socket.send(octets).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(complaint(&cause)),
    }
}

fn complaint(cause: &io::Error) -> Failure {
    match Failure::of(cause) {
        refused if refused.kind() == Kind::Refused => Failure::new(Kind::Refused, "port unreachable"),
        failure => failure,
    }
}
