//! What the options say of a connection sync daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{cut, usage};
use crate::ipvsadm::command::{Daemon, Role};
use crate::ipvsadm::mistake::Mistake;
use crate::ipvsadm::numbers::number;
use crate::ipvsadm::options::Switch;
use crate::ipvsadm::words::Given;

/// Without `--mcast-interface`.
const DEFAULT_INTERFACE: &str = "eth0";
/// The longest name of an interface.
const LONGEST_INTERFACE: usize = 15;
/// A UDP datagram's payload without its IP and UDP headers, in octets.
const LONGEST_SYNC: i64 = 65_535 - 20 - 8;

/// Reads which daemon `--start-daemon` or `--stop-daemon` means; no option has said anything of it yet.
pub fn begin(command: &Given<'_>, complaint: &str) -> Result<Daemon, Mistake> {
    let role = match command.value {
        Some("master") => Role::Master,
        Some("backup") => Role::Backup,
        _ => return usage(complaint),
    };
    Ok(Daemon { role, ..none() })
}

/// A daemon that nothing was said of.
pub fn none() -> Daemon {
    let interface = DEFAULT_INTERFACE.to_owned();
    Daemon { role: Role::Master, interface, id: 0, longest: None, group: None, port: None, ttl: None }
}

/// Takes one of its options.
pub fn take(daemon: &mut Daemon, option: Switch, value: &str) -> Result<(), Mistake> {
    let read =
        |range, what: &str| number(value, range).ok_or_else(|| Mistake::usage(format!("illegal {what} specified")));
    match option {
        Switch::McastInterface if value.is_empty() => {}
        Switch::McastInterface => daemon.interface = cut(value, LONGEST_INTERFACE),
        Switch::SyncId => daemon.id = read(0..=255, "syncid")? as u8,
        Switch::SyncMaxlen => daemon.longest = Some(read(1..=LONGEST_SYNC, "sync-maxlen")? as u16),
        Switch::McastPort => daemon.port = Some(read(1..=65_535, "mcast-port")? as u16),
        Switch::McastTtl => daemon.ttl = Some(read(1..=255, "mcast-ttl")? as u8),
        _ => daemon.group = Some(group(value)?),
    }
    Ok(())
}

fn group(value: &str) -> Result<IpAddr, Mistake> {
    let (version, group) = if value.contains(':') {
        (6, value.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast).map(IpAddr::V6))
    } else {
        (4, value.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast).map(IpAddr::V4))
    };
    group.ok_or_else(|| Mistake::usage(format!("invalid IPv{version} mcast-group `{value}'")))
}
