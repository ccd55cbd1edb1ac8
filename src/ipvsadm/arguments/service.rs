//! What the options say of a service.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{cut, timeout, usage};
use crate::dataplane::service::Protocol;
use crate::ipvsadm::address::{self, Written};
use crate::ipvsadm::command::{Flags, Key, Mask, Service};
use crate::ipvsadm::mistake::Mistake;
use crate::ipvsadm::names::Names;
use crate::ipvsadm::numbers::{leading, number};
use crate::ipvsadm::options::Switch;

/// `-p` without a timeout, in seconds.
const DEFAULT_PERSISTENCE: u32 = 360;
/// Without `-s`.
const DEFAULT_SCHEDULER: &str = "wlc";
/// The longest names that the kernel has room for.
const LONGEST_SCHEDULER: usize = 15;
const LONGEST_ENGINE: usize = 16;

/// What the options so far have said.
pub struct ServiceDraft {
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
}

impl Default for ServiceDraft {
    fn default() -> Self {
        Self {
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
        }
    }
}

impl ServiceDraft {
    /// Takes one of its options.
    pub fn take(&mut self, option: Switch, value: Option<&str>, names: &dyn Names) -> Result<(), Mistake> {
        let text = value.unwrap_or_default();
        match option {
            Switch::TcpService => self.socket(Protocol::Tcp, text, names)?,
            Switch::UdpService => self.socket(Protocol::Udp, text, names)?,
            Switch::SctpService => self.socket(Protocol::Sctp, text, names)?,
            Switch::FwmarkService => self.fwmark(text)?,
            Switch::Ipv6 => self.ipv6()?,
            Switch::Netmask => self.netmask(text, names)?,
            Switch::Persistent => {
                self.persistent = Some(value.map_or(Ok(DEFAULT_PERSISTENCE), |value| timeout(value, 1))?);
            }
            Switch::Scheduler => self.scheduler = cut(text, LONGEST_SCHEDULER),
            Switch::Engine => self.engine = Some(cut(text, LONGEST_ENGINE)),
            Switch::SchedFlags => self.flags = text.to_owned(),
            // The last one, `-o`.
            _ => self.one_packet = true,
        }
        Ok(())
    }

    fn socket(&mut self, protocol: Protocol, value: &str, names: &dyn Names) -> Result<(), Mistake> {
        self.protocol = Some(protocol);
        let Some(Written { address, port }) = address::read(value, self.protocol, names) else {
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
            // With ipvsadm's empty line behind it.
            return usage("-6 used before -f\n");
        }
        (self.ipv6, self.mask) = (true, Mask::V6(128));
        Ok(())
    }

    fn netmask(&mut self, value: &str, names: &dyn Names) -> Result<(), Mistake> {
        self.mask = if self.ipv6 {
            match u8::try_from(leading(value)) {
                Ok(length @ 1..=128) => Mask::V6(length),
                _ => return usage("illegal ipv6 netmask specified"),
            }
        } else {
            match address::host(value, names) {
                Some(mask) => Mask::V4(mask),
                None => return usage("illegal virtual server persistent mask specified"),
            }
        };
        Ok(())
    }

    /// The protocol and port so far: what a real server's are read by.
    pub fn endpoint(&self) -> (Option<Protocol>, u16) {
        (self.protocol, self.port)
    }

    /// The service that was named, if one was.
    pub fn key(&self) -> Option<Key> {
        match self.address {
            Some(address) => Some(Key::Socket(self.protocol?, SocketAddr::new(address, self.port))),
            None if self.mark != 0 => Some(Key::Mark { mark: self.mark, ipv6: self.ipv6 }),
            None => None,
        }
    }

    /// Reads the scheduler's flags, once the scheduler is known.
    pub fn flags(&self) -> Result<Flags, Mistake> {
        let scheduler = if self.scheduler.is_empty() { DEFAULT_SCHEDULER } else { &self.scheduler };
        Flags::read(&self.flags, scheduler).map_err(Mistake::usage)
    }

    /// Makes the service.
    pub fn finish(self, key: Key) -> Result<Service, Mistake> {
        if key.port() == Some(0) && self.persistent.is_none() {
            return usage("Zero port specified for non-persistent service");
        }
        if self.one_packet && matches!(key, Key::Socket(protocol, _) if protocol != Protocol::Udp) {
            return usage("One-Packet Scheduling is only for UDP virtual services");
        }
        let flags = self.flags()?;
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
}
