//! From the words of a command line to a [`Command`].
//!
//! Options take effect from left to right, as with ipvsadm: `-6` after the mark that it is for, a mask by the address family
//! seen so far, a real server's port from the service before it. What is wrong is said in ipvsadm's words.

mod daemon;
mod listing;
mod server;
mod service;

use super::command::{Command, Daemon, Key};
use super::legality;
use super::mistake::Mistake;
use super::names::Names;
use super::numbers::{LONGEST, number};
use super::options::{Counted, Switch};
use super::words::{Given, Words};
use server::ServerDraft;
use service::ServiceDraft;

/// Reads a command line: what follows the program's name. `program` is that name, for a complaint.
///
/// # Errors
/// The first mistake.
pub fn read(program: &str, words: &[String], names: &dyn Names) -> Result<Command, Mistake> {
    let mut words = Words::new(words);
    let Some(Ok(command)) = words.option() else { return Err(Mistake::try_help(program)) };
    let daemon = match command.option {
        Switch::Help => return Ok(Command::Help),
        Switch::Version => return Ok(Command::Version),
        Switch::StartDaemon => daemon::begin(&command, "illegal start-daemon parameter specified")?,
        Switch::StopDaemon => daemon::begin(&command, "illegal start_daemon specified")?,
        option if is_command(option) => daemon::none(),
        _ => return Err(Mistake::try_help(program)),
    };
    let (service, server) = (ServiceDraft::default(), ServerDraft::default());
    let mut draft = Draft { names, given: Vec::new(), service, server, daemon };
    while let Some(option) = words.option() {
        draft.take(&option.map_err(|word| Mistake::unreadable(&word))?)?;
    }
    draft.finish(command.option, &mut words.others())
}

/// Tells whether this is one of the commands that take options.
fn is_command(option: Switch) -> bool {
    use Switch::*;
    matches!(
        option,
        AddService
            | EditService
            | DeleteService
            | Clear
            | List
            | Zero
            | AddServer
            | EditServer
            | DeleteServer
            | Set
            | StartDaemon
            | StopDaemon
            | Restore
            | Save
    )
}

fn usage<T>(text: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake::usage(text))
}

/// What the options so far have said.
struct Draft<'a> {
    names: &'a dyn Names,
    given: Vec<Counted>,
    service: ServiceDraft,
    server: ServerDraft,
    daemon: Daemon,
}

impl Draft<'_> {
    fn take(&mut self, given: &Given<'_>) -> Result<(), Mistake> {
        use Switch::*;
        if let Some(counted) = given.option.counts_as() {
            if self.given.contains(&counted) {
                return usage(format!("multiple '{}' options specified", counted.name()));
            }
            self.given.push(counted);
        }
        let (option, value) = (given.option, given.value.unwrap_or_default());
        match option {
            TcpService | UdpService | SctpService | FwmarkService | Ipv6 | Netmask | Persistent | Scheduler
            | Engine | SchedFlags | Ops => self.service.take(option, given.value, self.names),
            RealServer => self.server.name(value, self.service.endpoint(), self.names),
            Gatewaying | Ipip | Masquerading | FullNat | Weight | UpperThreshold | LowerThreshold | TunType
            | TunPort | TunNocsum | TunCsum | TunRemcsum => self.server.take(option, value),
            McastInterface | SyncId | SyncMaxlen | McastGroup | McastPort | McastTtl => {
                daemon::take(&mut self.daemon, option, value)
            }
            Connection | Timeout | Daemon | Stats | Rate | Thresholds | PersistentConn | TunInfo | Nosort | Sort
            | Numeric | Exact => Ok(()),
            // A second command.
            _ => usage(format!("invalid option `{}'", given.word)),
        }
    }

    /// Makes the command of all that was said.
    fn finish(self, command: Switch, others: &mut dyn Iterator<Item = &str>) -> Result<Command, Mistake> {
        let timeouts = if command == Switch::Set { Some(timeouts(others)?) } else { None };
        if let Some(other) = others.next() {
            return usage(format!("unexpected argument {other}"));
        }
        self.service.flags()?;
        legality::command(command, &self.given)?;
        let key = self.service.key();
        Ok(match command {
            Switch::AddService => Command::AddService(self.service.finish(required(key)?)?),
            Switch::EditService => Command::EditService(self.service.finish(required(key)?)?),
            Switch::DeleteService => Command::DeleteService(required(key)?),
            Switch::AddServer => Command::AddServer(required(key)?, self.server.finish(required(key)?, &self.given)?),
            Switch::EditServer => Command::EditServer(required(key)?, self.server.finish(required(key)?, &self.given)?),
            Switch::DeleteServer => Command::DeleteServer(required(key)?, self.server.address()?),
            Switch::Clear => Command::Clear,
            Switch::List => Command::List(listing::listing(key, &self.given)?),
            Switch::Zero => Command::Zero(key),
            Switch::StartDaemon => Command::StartDaemon(self.daemon),
            Switch::StopDaemon => Command::StopDaemon(self.daemon),
            Switch::Save => Command::Save { numeric: self.given.contains(&Counted::Numeric) },
            Switch::Set => {
                let [tcp, tcp_fin, udp] = timeouts.unwrap_or_default();
                Command::Set { tcp, tcp_fin, udp }
            }
            _ => Command::Restore,
        })
    }
}

/// The rules of legality have made sure of it.
fn required(key: Option<Key>) -> Result<Key, Mistake> {
    key.ok_or_else(|| Mistake::usage("illegal virtual server address[:port] specified"))
}

fn timeout(value: &str, least: i64) -> Result<u32, Mistake> {
    let seconds = number(value, least..=LONGEST).map(|seconds| seconds as u32);
    seconds.ok_or_else(|| Mistake::usage(format!("invalid timeout value `{value}' specified")))
}

/// The three values of `--set`.
fn timeouts(others: &mut dyn Iterator<Item = &str>) -> Result<[u32; 3], Mistake> {
    let (Some(tcp), Some(tcp_fin), Some(udp)) = (others.next(), others.next(), others.next()) else {
        return usage("--set option requires 3 timeout values");
    };
    Ok([timeout(tcp, 0)?, timeout(tcp_fin, 0)?, timeout(udp, 0)?])
}

/// The first so many octets, and no half character.
fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}
