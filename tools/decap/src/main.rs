//! `millrace-decap`: the receiving end of a tunnel on a real server whose kernel has no ipip module.
//!
//! ```text
//!   director ==IP-in-IP==> eth0 ──raw socket──► millrace-decap ──► TUN device ──► the kernel's stack, VIP, server
//! ```
//!
//! It reads IP-in-IP packets (protocol 4, RFC 2003) from a raw socket, takes the outer header off and hands the inner
//! packet to the kernel through a TUN device. Answers go out by the server's own routes; nothing comes back through
//! here. The inner packets arrive on a device that no route to their senders leads to, so strict reverse-path
//! filtering would drop them: `rp_filter` of the TUN device, or of `all`, must come out as 0, or as 2 (loose) with an
//! address on the device. `scripts/real-server-setup tunnel VIP` sees to that, and to the VIP.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod ipip;

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use socket2::{Domain, Protocol, Socket, Type};
use tun_rs::{DeviceBuilder, SyncDevice};

/// Octets of receive buffer asked for: some 40 ms of a 1 Gb/s upload, while this process waits for a core.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Packets taken in a row before signals are looked at again.
const ROUND: u32 = 256;

/// Takes IP-in-IP packets out of their tunnel and hands them to the kernel through a TUN device.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TUN device to write to; made if it is not there yet, and gone with this process unless it was.
    #[arg(long, default_value = "mr0")]
    device: String,
    /// Take only packets whose outer destination is this address of the server.
    #[arg(long)]
    local: Option<Ipv4Addr>,
    /// Take only packets whose outer source is this director; may be given more than once.
    #[arg(long = "director", value_name = "ADDRESS")]
    directors: Vec<Ipv4Addr>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(tally) => {
            eprintln!("millrace-decap: {} packets taken out, {} refused", tally.taken, tally.refused);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("millrace-decap: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What came of the packets.
#[derive(Default)]
struct Tally {
    taken: u64,
    refused: u64,
}

/// Forwards until SIGTERM or SIGINT.
fn run(arguments: &Arguments) -> io::Result<Tally> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.add(Signal::SIGINT);
    stop.thread_block()?;
    let signals = SignalFd::with_flags(&stop, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;

    let tunnel = open_tunnel(arguments.local).map_err(|e| naming("raw socket for protocol 4", e))?;
    let device = DeviceBuilder::new()
        .name(&arguments.device)
        .build_sync()
        .map_err(|e| naming(&format!("TUN device {}", arguments.device), e))?;
    eprintln!("millrace-decap: IP-in-IP to {}, ready", arguments.device);

    let mut tally = Tally::default();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let mut wanted =
            [PollFd::new(tunnel.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if signals.read_signal()?.is_some() {
            return Ok(tally);
        }
        drain(&tunnel, &device, &arguments.directors, &mut buffer, &mut tally)?;
    }
}

/// Opens the raw socket, non-blocking, with as much buffer as the kernel grants.
fn open_tunnel(local: Option<Ipv4Addr>) -> io::Result<Socket> {
    let tunnel = Socket::new(Domain::IPV4, Type::RAW.nonblocking(), Some(Protocol::from(4)))?;
    if let Some(local) = local {
        tunnel.bind(&SocketAddrV4::new(local, 0).into())?;
    }
    // Beyond net.core.rmem_max needs CAP_NET_ADMIN over the initial user namespace: without it, the limit will do.
    if setsockopt(&tunnel, RcvBufForce, &RECEIVE_BUFFER).is_err() {
        tunnel.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    Ok(tunnel)
}

/// Takes what is waiting, one round at most.
fn drain(
    mut tunnel: &Socket,
    device: &SyncDevice,
    directors: &[Ipv4Addr],
    buffer: &mut [u8],
    tally: &mut Tally,
) -> io::Result<()> {
    for _ in 0..ROUND {
        let length = match tunnel.read(buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(error),
        };
        match ipip::decapsulate(&mut buffer[..length], directors) {
            // A device that is down, or that has just lost its queue, loses packets as any link would.
            Ok(inner) => match device.send(inner) {
                Ok(_) => tally.taken += 1,
                Err(_) => tally.refused += 1,
            },
            Err(_) => tally.refused += 1,
        }
    }
    Ok(())
}

/// Says in an error what it was about.
fn naming(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
