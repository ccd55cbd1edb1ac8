//! Where tunnels end: a raw socket for each outer family and each inner one.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::ipip::{self, Family, Outer, Refusal};

/// Octets of receive buffer asked for: some 40 ms of a 1 Gb/s upload, while this process waits for a core.
const RECEIVE_BUFFER: usize = 8 << 20;

/// The end of all tunnels of one outer and one inner family.
pub struct Tunnel {
    socket: Socket,
    outer: Family,
    /// The family of the packets inside.
    pub inner: Family,
}

/// Opens the ends of tunnels of all four kinds; with a `local` address only those that have its family outside.
///
/// A kernel without IPv6 has no tunnels over it, and that is no error.
///
/// # Errors
/// Those of the kernel: raw sockets need CAP_NET_RAW, and `local` must be an address of this machine.
pub fn open(local: Option<IpAddr>) -> io::Result<Vec<Tunnel>> {
    let mut tunnels = Vec::new();
    for outer in [Family::V4, Family::V6] {
        if local.is_some_and(|local| local.is_ipv4() != (outer == Family::V4)) {
            continue;
        }
        for inner in [Family::V4, Family::V6] {
            match Tunnel::open(outer, inner, local) {
                Ok(tunnel) => tunnels.push(tunnel),
                Err(error) if local.is_none() && error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) => {}
                Err(error) => {
                    let what = format!("raw socket for protocol {} over {outer}", inner.protocol());
                    return Err(io::Error::new(error.kind(), format!("{what}: {error}")));
                }
            }
        }
    }
    Ok(tunnels)
}

impl Tunnel {
    /// Opens the raw socket, non-blocking, with as much buffer as the kernel grants.
    fn open(outer: Family, inner: Family, local: Option<IpAddr>) -> io::Result<Self> {
        let domain = match outer {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(i32::from(inner.protocol()))))?;
        if outer == Family::V6 {
            socket.set_recv_tclass_v6(true)?;
        }
        if let Some(local) = local {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        // Beyond net.core.rmem_max needs CAP_NET_ADMIN over the initial user namespace: without it, the limit will do.
        if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        Ok(Self { socket, outer, inner })
    }

    /// Takes the next packet that waits; returns its outer header and where in `buffer` the inner packet is.
    ///
    /// # Errors
    /// Those of the kernel; [`io::ErrorKind::WouldBlock`] if none waits.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Result<(Outer, Range<usize>), Refusal>> {
        match self.outer {
            Family::V4 => {
                let length = (&self.socket).read(buffer)?;
                Ok(ipip::outer_ipv4(&buffer[..length], self.inner))
            }
            Family::V6 => self.receive_ipv6(buffer),
        }
    }

    /// The kernel keeps the outer header, and any extension headers; it tells the source and, when asked, the class.
    fn receive_ipv6(&self, buffer: &mut [u8]) -> io::Result<Result<(Outer, Range<usize>), Refusal>> {
        let mut space = cmsg_space!(i32);
        let mut parts = [io::IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrIn6>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
        let Some(source) = message.address else {
            return Ok(Err(Refusal::Outer));
        };
        let class = message.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::Ipv6TClass(class) => Some(class),
            _ => None,
        });
        let mark = class.map_or(0, |class| (class & 3) as u8);
        Ok(Ok((Outer { source: source.ip().into(), mark }, 0..message.bytes)))
    }
}

impl AsFd for Tunnel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
