//! What the options say of a real server.

use std::net::SocketAddr;

use super::usage;
use crate::dataplane::service::{Forwarding, Protocol};
use crate::ipvsadm::address::{self, Written};
use crate::ipvsadm::command::{Checksum, Key, Server, Tunnel};
use crate::ipvsadm::legality;
use crate::ipvsadm::mistake::Mistake;
use crate::ipvsadm::names::Names;
use crate::ipvsadm::numbers::number;
use crate::ipvsadm::options::{Counted, Switch};

/// The options that a tunnel alone may have.
const TUNNEL: [Counted; 5] =
    [Counted::TunType, Counted::TunPort, Counted::TunNocsum, Counted::TunCsum, Counted::TunRemcsum];

/// What the options so far have said.
pub struct ServerDraft {
    address: Option<SocketAddr>,
    forwarding: Forwarding,
    tunnel: &'static str,
    tunnel_port: u16,
    checksum: Checksum,
    weight: u32,
    upper: u32,
    lower: u32,
}

impl Default for ServerDraft {
    fn default() -> Self {
        Self {
            address: None,
            forwarding: Forwarding::Direct,
            tunnel: "ipip",
            tunnel_port: 0,
            checksum: Checksum::None,
            weight: 1,
            upper: 0,
            lower: 0,
        }
    }
}

impl ServerDraft {
    /// Takes `-r`, with the protocol and port of the service that was named before it.
    pub fn name(
        &mut self,
        value: &str,
        (protocol, default): (Option<Protocol>, u16),
        names: &dyn Names,
    ) -> Result<(), Mistake> {
        let Some(Written { address, port }) = address::read(value, protocol, names) else {
            return usage("illegal real server address[:port] specified");
        };
        self.address = Some(SocketAddr::new(address, port.unwrap_or(default)));
        Ok(())
    }

    /// Takes one of its other options.
    pub fn take(&mut self, option: Switch, value: &str) -> Result<(), Mistake> {
        let illegal = |what| Mistake::usage(format!("illegal {what} specified"));
        let signed = |what| number(value, 0..=i32::MAX.into()).map(|number| number as u32).ok_or_else(|| illegal(what));
        match option {
            Switch::Gatewaying => self.forwarding = Forwarding::Direct,
            Switch::Ipip => self.forwarding = Forwarding::Tunnel,
            Switch::Masquerading => self.forwarding = Forwarding::Nat,
            Switch::FullNat => self.forwarding = Forwarding::FullNat,
            Switch::Weight => self.weight = signed("weight")?,
            Switch::UpperThreshold => self.upper = signed("u_threshold")?,
            Switch::LowerThreshold => self.lower = signed("l_threshold")?,
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

    /// The address and port that `-r` has named.
    pub fn address(&self) -> Result<SocketAddr, Mistake> {
        self.address.ok_or_else(|| Mistake::usage("illegal real server address[:port] specified"))
    }

    /// Makes the real server of a service, of all options that were `given`.
    pub fn finish(self, key: Key, given: &[Counted]) -> Result<Server, Mistake> {
        let mut address = self.address()?;
        let tunnelled = self.forwarding == Forwarding::Tunnel;
        // Its packets keep the port that the client chose.
        if let (Forwarding::Direct | Forwarding::Tunnel, Some(port)) = (self.forwarding, key.port()) {
            address.set_port(port);
        }
        if address.is_ipv6() != key.is_ipv6() && !tunnelled {
            return usage("Different address family is allowed only for tunneling servers");
        }
        if !tunnelled && TUNNEL.iter().any(|option| given.contains(option)) {
            return usage("Tunnel options conflict with forward method");
        }
        legality::tunnel(self.tunnel, given)?;
        let tunnel = match self.tunnel {
            "gue" => Tunnel::Gue { port: self.tunnel_port, checksum: self.checksum },
            "gre" => Tunnel::Gre(self.checksum),
            _ => Tunnel::Ipip,
        };
        let Self { forwarding, weight, upper, lower, .. } = self;
        Ok(Server { address, forwarding, tunnel, weight, upper, lower })
    }
}
