//! `millrace-decap`: the receiving end of a tunnel on a real server whose kernel has no module for it.
//!
//! ```text
//!   director ==IP-in-IP==> eth0 ──raw socket──► millrace-decap ──► TUN device ──► the kernel's stack, VIP, server
//! ```
//!
//! It reads packets that are inside others from raw sockets, one for each outer and inner family (RFC 2003, 2473, 4213:
//! protocol 4 and 41 over IPv4 and IPv6), takes the outer header off and hands the inner packet to the kernel through a
//! TUN device. Answers go out by the server's own routes; nothing comes back through here. Inner IPv4 packets arrive on
//! a device that no route to their senders leads to, so strict reverse-path filtering would drop them: `rp_filter` of
//! the TUN device, or of `all`, must come out as 0, or as 2 (loose) with an address on the device. Inner IPv6 packets
//! need IPv6 on the device. `scripts/real-server-setup tunnel VIP` sees to that, and to the VIP.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod ipip;
mod tunnel;

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tun_rs::{DeviceBuilder, SyncDevice};
use tunnel::Tunnel;

/// Packets taken in a row before signals are looked at again.
const ROUND: u32 = 256;

/// Takes IP-in-IP packets, either family in either, out of their tunnel and hands them to the kernel through a TUN device.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TUN device to write to; made if it is not there yet, and gone with this process unless it was.
    #[arg(long, default_value = "mr0")]
    device: String,
    /// Take only packets whose outer destination is this address of the server, IPv4 or IPv6.
    #[arg(long, value_name = "ADDRESS")]
    local: Option<IpAddr>,
    /// Take only packets whose outer source is this director, IPv4 or IPv6; may be given more than once.
    #[arg(long = "director", value_name = "ADDRESS")]
    directors: Vec<IpAddr>,
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

    let tunnels = tunnel::open(arguments.local)?;
    let device = DeviceBuilder::new()
        .name(&arguments.device)
        .build_sync()
        .map_err(|e| io::Error::new(e.kind(), format!("TUN device {}: {e}", arguments.device)))?;
    eprintln!("millrace-decap: IP-in-IP to {}, ready", arguments.device);

    let sources = tunnels.iter().map(AsFd::as_fd).chain([signals.as_fd()]);
    let mut wanted: Vec<_> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
    let mut tally = Tally::default();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        match poll(&mut wanted, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if signals.read_signal()?.is_some() {
            return Ok(tally);
        }
        for tunnel in &tunnels {
            drain(tunnel, &device, &arguments.directors, &mut buffer, &mut tally)?;
        }
    }
}

/// Takes what is waiting, one round at most.
fn drain(
    tunnel: &Tunnel,
    device: &SyncDevice,
    directors: &[IpAddr],
    buffer: &mut [u8],
    tally: &mut Tally,
) -> io::Result<()> {
    for _ in 0..ROUND {
        let received = match tunnel.receive(buffer) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(()),
            Err(error) => return Err(error),
        };
        let inner =
            received.and_then(|(outer, payload)| ipip::take_out(outer, tunnel.inner, &mut buffer[payload], directors));
        // A device that is down, or that has just lost its queue, loses packets as any link would.
        match inner.map(|packet| device.send(packet)) {
            Ok(Ok(_)) => tally.taken += 1,
            Ok(Err(_)) | Err(_) => tally.refused += 1,
        }
    }
    Ok(())
}
