//! From the words of a command line to a [`Command`].
//!
//! Options take effect from left to right, as with ipvsadm: `-6` after the mark that it is for, a mask by the address family
//! seen so far, a real server's port from the service before it. What is wrong is said in ipvsadm's words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::{self, Written};
use super::command::{
    Checksum, Command, Daemon, Flags, Key, Layout, Listed, Listing, Mask, Role, Server, Service, Tunnel,
};
use super::legality;
use super::mistake::Mistake;
use super::names::Names;
use super::numbers::{LONGEST, leading, number};
use super::options::{Counted, Switch};
use super::words::{Given, Words};
use crate::dataplane::service::{Forwarding, Protocol};

/// `-p` without a timeout, in seconds.
const DEFAULT_PERSISTENCE: u32 = 360;
/// Without `-s`.
const DEFAULT_SCHEDULER: &str = "wlc";
/// Without `--mcast-interface`.
const DEFAULT_INTERFACE: &str = "eth0";
/// The longest names that the kernel has room for.
const LONGEST_SCHEDULER: usize = 15;
const LONGEST_ENGINE: usize = 16;
const LONGEST_INTERFACE: usize = 15;
/// A UDP datagram's payload without its IP and UDP headers, in octets.
const LONGEST_SYNC: i64 = 65_535 - 20 - 8;

/// Reads a command line: what follows the program's name. `program` is that name, for a complaint.
///
/// # Errors
/// The first mistake.
pub fn read(program: &str, words: &[String], names: &dyn Names) -> Result<Command, Mistake> {
    let mut words = Words::new(words);
    let Some(Ok(command)) = words.option() else { return Err(Mistake::try_help(program)) };
    let mut draft = Draft::new(names);
    if draft.begin(&command, program)? {
        while let Some(option) = words.option() {
            draft.take(&option.map_err(|word| Mistake::unreadable(&word))?)?;
        }
        draft.finish(command.option, &mut words.others())
    } else if command.option == Switch::Help {
        Ok(Command::Help)
    } else {
        Ok(Command::Version)
    }
}

fn usage<T>(text: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake::usage(text))
}

/// What the options so far have said.
struct Draft<'a> {
    names: &'a dyn Names,
    given: Vec<Counted>,
    role: Role,
    protocol: Option<Protocol>,
    address: Option<IpAddr>,
    port: u16,
    mark: u32,
    ipv6: bool,
    scheduler: String,
    flags: String,
    persistent: Option<u32>,
    mask: Mask,
    engine: Option<String>,
    one_packet: bool,
    server: Option<SocketAddr>,
    forwarding: Forwarding,
    tunnel: &'static str,
    tunnel_port: u16,
    checksum: Checksum,
    weight: u32,
    upper: u32,
    lower: u32,
    daemon: Daemon,
}

impl<'a> Draft<'a> {
    fn new(names: &'a dyn Names) -> Self {
        let daemon = Daemon {
            role: Role::Master,
            interface: String::new(),
            id: 0,
            longest: None,
            group: None,
            port: None,
            ttl: None,
        };
        Self {
            names,
            given: Vec::new(),
            role: Role::Master,
            protocol: None,
            address: None,
            port: 0,
            mark: 0,
            ipv6: false,
            scheduler: String::new(),
            flags: String::new(),
            persistent: None,
            mask: Mask::V4(Ipv4Addr::BROADCAST),
            engine: None,
            one_packet: false,
            server: None,
            forwarding: Forwarding::Direct,
            tunnel: "ipip",
            tunnel_port: 0,
            checksum: Checksum::None,
            weight: 1,
            upper: 0,
            lower: 0,
            daemon,
        }
    }

    /// Takes the first option; tells whether others are read after it.
    fn begin(&mut self, command: &Given<'_>, program: &str) -> Result<bool, Mistake> {
        use Switch::*;
        match command.option {
            Help | Version => return Ok(false),
            StartDaemon => self.role = role(command, "illegal start-daemon parameter specified")?,
            StopDaemon => self.role = role(command, "illegal start_daemon specified")?,
            AddService | EditService | DeleteService | Clear | List | Zero | AddServer | EditServer | DeleteServer
            | Set | Restore | Save => {}
            _ => return Err(Mistake::try_help(program)),
        }
        Ok(true)
    }

    fn take(&mut self, given: &Given<'_>) -> Result<(), Mistake> {
        if let Some(counted) = given.option.counts_as() {
            if self.given.contains(&counted) {
                return usage(format!("multiple '{}' options specified", counted.name()));
            }
            self.given.push(counted);
        }
        let value = given.value.unwrap_or_default();
        match given.option {
            Switch::TcpService => self.service(Protocol::Tcp, value),
            Switch::UdpService => self.service(Protocol::Udp, value),
            Switch::SctpService => self.service(Protocol::Sctp, value),
            Switch::FwmarkService => self.fwmark(value),
            Switch::Ipv6 => self.ipv6(),
            Switch::Netmask => self.netmask(value),
            Switch::RealServer => self.real_server(value),
            Switch::Persistent => self.persistent(given.value),
            Switch::McastInterface
            | Switch::SyncId
            | Switch::SyncMaxlen
            | Switch::McastGroup
            | Switch::McastPort
            | Switch::McastTtl => self.sync(given.option, value),
            Switch::TunType
            | Switch::TunPort
            | Switch::TunNocsum
            | Switch::TunCsum
            | Switch::TunRemcsum
            | Switch::Gatewaying
            | Switch::Ipip
            | Switch::Masquerading
            | Switch::Weight
            | Switch::UpperThreshold
            | Switch::LowerThreshold => self.server_option(given.option, value),
            Switch::Scheduler => {
                self.scheduler = cut(value, LONGEST_SCHEDULER);
                Ok(())
            }
            Switch::Engine => {
                self.engine = Some(cut(value, LONGEST_ENGINE));
                Ok(())
            }
            Switch::SchedFlags => {
                self.flags = value.to_owned();
                Ok(())
            }
            Switch::Ops => {
                self.one_packet = true;
                Ok(())
            }
            option if option.counts_as().is_some() || option == Switch::Sort => Ok(()),
            // A second command.
            _ => usage(format!("invalid option `{}'", given.word)),
        }
    }

    fn service(&mut self, protocol: Protocol, value: &str) -> Result<(), Mistake> {
        self.protocol = Some(protocol);
        let Some(Written { address, port }) = address::read(value, self.protocol, self.names) else {
            return usage("illegal virtual server address[:port] specified");
        };
        if address.is_ipv6() {
            self.mask = Mask::V6(128);
        }
        self.ipv6 = address.is_ipv6();
        (self.address, self.port) = (Some(address), port.unwrap_or(self.port));
        Ok(())
    }

    fn fwmark(&mut self, value: &str) -> Result<(), Mistake> {
        let Some(mark) = number(value, 1..=u32::MAX.into()) else {
            return usage(format!("invalid fwmark value `{value}' specified"));
        };
        (self.ipv6, self.protocol, self.mark) = (false, Some(Protocol::Tcp), mark as u32);
        Ok(())
    }

    fn ipv6(&mut self) -> Result<(), Mistake> {
        if self.mark == 0 {
            return usage("-6 used before -f\n");
        }
        (self.ipv6, self.mask) = (true, Mask::V6(128));
        Ok(())
    }

    fn netmask(&mut self, value: &str) -> Result<(), Mistake> {
        self.mask = if self.ipv6 {
            match u8::try_from(leading(value)) {
                Ok(length @ 1..=128) => Mask::V6(length),
                _ => return usage("illegal ipv6 netmask specified"),
            }
        } else {
            match address::host(value, self.names) {
                Some(mask) => Mask::V4(mask),
                None => return usage("illegal virtual server persistent mask specified"),
            }
        };
        Ok(())
    }

    fn real_server(&mut self, value: &str) -> Result<(), Mistake> {
        let Some(Written { address, port }) = address::read(value, self.protocol, self.names) else {
            return usage("illegal real server address[:port] specified");
        };
        self.server = Some(SocketAddr::new(address, port.unwrap_or(self.port)));
        Ok(())
    }

    fn persistent(&mut self, value: Option<&str>) -> Result<(), Mistake> {
        self.persistent = Some(match value {
            Some(value) => timeout(value, 1)?,
            None => DEFAULT_PERSISTENCE,
        });
        Ok(())
    }

    fn server_option(&mut self, option: Switch, value: &str) -> Result<(), Mistake> {
        let illegal = |what| Mistake::usage(format!("illegal {what} specified"));
        let threshold =
            |what| number(value, 0..=i32::MAX.into()).map(|limit| limit as u32).ok_or_else(|| illegal(what));
        match option {
            Switch::Gatewaying => self.forwarding = Forwarding::Direct,
            Switch::Ipip => self.forwarding = Forwarding::Tunnel,
            Switch::Masquerading => self.forwarding = Forwarding::Nat,
            Switch::Weight => {
                self.weight = number(value, 0..=i32::MAX.into()).ok_or_else(|| illegal("weight"))? as u32;
            }
            Switch::UpperThreshold => self.upper = threshold("u_threshold")?,
            Switch::LowerThreshold => self.lower = threshold("l_threshold")?,
            Switch::TunType => {
                let known = ["ipip", "gue", "gre"].into_iter().find(|kind| *kind == value);
                self.tunnel = known.ok_or_else(|| illegal("tunnel type"))?;
            }
            Switch::TunPort => {
                self.tunnel_port = number(value, 1..=u16::MAX.into()).ok_or_else(|| illegal("tunnel port"))? as u16;
            }
            Switch::TunCsum => self.checksum = Checksum::Whole,
            Switch::TunRemcsum => self.checksum = Checksum::Remote,
            // `--tun-nocsum` is the default.
            _ => {}
        }
        Ok(())
    }

    fn sync(&mut self, option: Switch, value: &str) -> Result<(), Mistake> {
        let read =
            |range, what: &str| number(value, range).ok_or_else(|| Mistake::usage(format!("illegal {what} specified")));
        match option {
            Switch::McastInterface => self.daemon.interface = cut(value, LONGEST_INTERFACE),
            Switch::SyncId => self.daemon.id = read(0..=255, "syncid")? as u8,
            Switch::SyncMaxlen => self.daemon.longest = Some(read(1..=LONGEST_SYNC, "sync-maxlen")? as u16),
            Switch::McastPort => self.daemon.port = Some(read(1..=65_535, "mcast-port")? as u16),
            Switch::McastTtl => self.daemon.ttl = Some(read(1..=255, "mcast-ttl")? as u8),
            _ => self.daemon.group = Some(group(value)?),
        }
        Ok(())
    }

    /// Makes the command of all that was said.
    fn finish(self, command: Switch, others: &mut dyn Iterator<Item = &str>) -> Result<Command, Mistake> {
        let timeouts = if command == Switch::Set { Some(timeouts(others)?) } else { None };
        if let Some(other) = others.next() {
            return usage(format!("unexpected argument {other}"));
        }
        let flags = self.sched_flags()?;
        legality::command(command, &self.given)?;
        Ok(match command {
            Switch::AddService => Command::AddService(self.whole_service(flags)?),
            Switch::EditService => Command::EditService(self.whole_service(flags)?),
            Switch::DeleteService => Command::DeleteService(self.required_key()?),
            Switch::AddServer => Command::AddServer(self.required_key()?, self.whole_server()?),
            Switch::EditServer => Command::EditServer(self.required_key()?, self.whole_server()?),
            Switch::DeleteServer => Command::DeleteServer(self.required_key()?, self.required_server()?),
            Switch::Clear => Command::Clear,
            Switch::List => Command::List(self.listing()?),
            Switch::Zero => Command::Zero(self.key()),
            Switch::StartDaemon => Command::StartDaemon(self.whole_daemon()),
            Switch::StopDaemon => Command::StopDaemon(self.whole_daemon()),
            Switch::Save => Command::Save { numeric: self.has(Counted::Numeric) },
            Switch::Set => {
                let [tcp, tcp_fin, udp] = timeouts.unwrap_or_default();
                Command::Set { tcp, tcp_fin, udp }
            }
            _ => Command::Restore,
        })
    }

    fn has(&self, option: Counted) -> bool {
        self.given.contains(&option)
    }

    fn sched_flags(&self) -> Result<Flags, Mistake> {
        let scheduler = if self.scheduler.is_empty() { DEFAULT_SCHEDULER } else { &self.scheduler };
        Flags::read(&self.flags, scheduler).map_err(Mistake::usage)
    }

    fn key(&self) -> Option<Key> {
        match self.address {
            Some(address) => Some(Key::Socket(self.protocol?, SocketAddr::new(address, self.port))),
            None if self.mark != 0 => Some(Key::Mark { mark: self.mark, ipv6: self.ipv6 }),
            None => None,
        }
    }

    /// The rules have made sure of it.
    fn required_key(&self) -> Result<Key, Mistake> {
        self.key().ok_or_else(|| Mistake::usage("illegal virtual server address[:port] specified"))
    }

    fn required_server(&self) -> Result<SocketAddr, Mistake> {
        self.server.ok_or_else(|| Mistake::usage("illegal real server address[:port] specified"))
    }

    fn whole_service(self, flags: Flags) -> Result<Service, Mistake> {
        let key = self.required_key()?;
        if key.port() == Some(0) && self.persistent.is_none() {
            return usage("Zero port specified for non-persistent service");
        }
        if self.one_packet && matches!(key, Key::Socket(protocol, _) if protocol != Protocol::Udp) {
            return usage("One-Packet Scheduling is only for UDP virtual services");
        }
        let scheduler = if self.scheduler.is_empty() { DEFAULT_SCHEDULER.to_owned() } else { self.scheduler };
        Ok(Service {
            key,
            scheduler,
            flags,
            persistent: self.persistent,
            mask: self.mask,
            engine: self.engine.filter(|name| !name.is_empty()),
            one_packet: self.one_packet,
        })
    }

    fn whole_server(self) -> Result<Server, Mistake> {
        let (key, mut address) = (self.required_key()?, self.required_server()?);
        let tunnelled = self.forwarding == Forwarding::Tunnel;
        // Its packets keep the port that the client chose.
        if let (Forwarding::Direct | Forwarding::Tunnel, Some(port)) = (self.forwarding, key.port()) {
            address.set_port(port);
        }
        if address.is_ipv6() != key.is_ipv6() && !tunnelled {
            return usage("Different address family is allowed only for tunneling servers");
        }
        let options = [Counted::TunType, Counted::TunPort, Counted::TunNocsum, Counted::TunCsum, Counted::TunRemcsum];
        if !tunnelled && options.iter().any(|option| self.has(*option)) {
            return usage("Tunnel options conflict with forward method");
        }
        legality::tunnel(self.tunnel, &self.given)?;
        let tunnel = match self.tunnel {
            "gue" => Tunnel::Gue { port: self.tunnel_port, checksum: self.checksum },
            "gre" => Tunnel::Gre(self.checksum),
            _ => Tunnel::Ipip,
        };
        let Self { forwarding, weight, upper, lower, .. } = self;
        Ok(Server { address, forwarding, tunnel, weight, upper, lower })
    }

    fn whole_daemon(self) -> Daemon {
        let interface = match self.daemon.interface.as_str() {
            "" => DEFAULT_INTERFACE.to_owned(),
            _ => self.daemon.interface,
        };
        Daemon { role: self.role, interface, ..self.daemon }
    }

    fn listing(&self) -> Result<Listing, Mistake> {
        let has = |options: &[Counted]| options.iter().any(|option| self.has(*option));
        let other = has(&[Counted::Connection, Counted::Timeout, Counted::Daemon]);
        if other && has(&[Counted::Stats, Counted::Rate, Counted::Thresholds])
            || has(&[Counted::Timeout, Counted::Daemon]) && has(&[Counted::PersistentConn])
        {
            return usage("options conflicts in the list command");
        }
        let what = match self.key() {
            _ if has(&[Counted::Connection]) => Listed::Connections,
            Some(key) => Listed::Service(key),
            None if has(&[Counted::Timeout]) => Listed::Timeouts,
            None if has(&[Counted::Daemon]) => Listed::Daemons,
            None => Listed::All,
        };
        let layouts = [
            (Counted::Stats, Layout::Stats),
            (Counted::Rate, Layout::Rate),
            (Counted::Thresholds, Layout::Thresholds),
            (Counted::PersistentConn, Layout::Persistent),
            (Counted::TunInfo, Layout::Tunnels),
        ];
        let layout = layouts.into_iter().find(|(option, _)| has(&[*option]));
        Ok(Listing {
            what,
            layout: layout.map_or(Layout::Plain, |(_, layout)| layout),
            numeric: has(&[Counted::Numeric]),
            exact: has(&[Counted::Exact]),
            sorted: !has(&[Counted::Nosort]),
            engines: has(&[Counted::PersistentConn]),
        })
    }
}

fn role(command: &Given<'_>, complaint: &str) -> Result<Role, Mistake> {
    match command.value {
        Some("master") => Ok(Role::Master),
        Some("backup") => Ok(Role::Backup),
        _ => usage(complaint),
    }
}

fn timeout(value: &str, least: i64) -> Result<u32, Mistake> {
    let seconds = number(value, least..=LONGEST);
    seconds
        .map(|seconds| seconds as u32)
        .ok_or_else(|| Mistake::usage(format!("invalid timeout value `{value}' specified")))
}

/// The three values of `--set`.
fn timeouts(others: &mut dyn Iterator<Item = &str>) -> Result<[u32; 3], Mistake> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (others.next(), others.next(), others.next()) else {
        return usage("--set option requires 3 timeout values");
    };
    Ok([timeout(tcp, 0)?, timeout(tcp_fin, 0)?, timeout(udp, 0)?])
}

fn group(value: &str) -> Result<IpAddr, Mistake> {
    let (version, group) = if value.contains(':') {
        (6, value.parse::<Ipv6Addr>().ok().filter(Ipv6Addr::is_multicast).map(IpAddr::V6))
    } else {
        (4, value.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_multicast).map(IpAddr::V4))
    };
    group.ok_or_else(|| Mistake::usage(format!("invalid IPv{version} mcast-group `{value}'")))
}

/// The first so many octets, and no half character.
fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}
