//! The kernel's interfaces for the director's ports.
//!
//! ```text
//!   ssh, BGP, health checks ── wan0, a persistent tap: the port's Ethernet address, its addresses, its MTU
//!                               │ a queue for each worker (net_tap)
//!                  worker ──────┘◄── what is the host's (dataplane::punt)
//!                     └── port "wan" ── the link
//! ```
//! A twin stays when the director ends or is killed, with all that the host has set on it, and the next start takes it over:
//! addresses, routes and TCP sessions live on, and while nobody holds it, it shows no carrier; nor does it while the port has
//! none. The addresses that the
//! configuration gives the port are set at each start; they bear a mark of ours, by which those that it gives no more are found.
//! Others are left alone. The carrier below a port is muted ([`Mutes`]), so that the kernel hears each frame once.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, new_connection};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::config::{Config, Port};
use super::diff;
use super::mute::{MuteError, Mutes};
use crate::dataplane::service::PortId;
use crate::dataplane::shared::Shared;

/// What addresses that the director has set bear as their origin (IFA_PROTO, as `ip -d address` shows it).
const OURS: AddressProtocol = AddressProtocol::Other(0x6d);

/// How often the ports' carriers are looked at, to give the twins the same.
const LOOK: Duration = Duration::from_millis(100);

/// The kernel's word for an interface that is not there.
const NO_SUCH_DEVICE: i32 = -19;

/// Why a twin is not set up.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// No socket to the kernel, or no signal handler.
    #[error("twins: {0}")]
    Kernel(#[from] io::Error),
    /// The name is another interface's.
    #[error("twin {0}: there is an interface of this name, and it is no tap")]
    NotATap(String),
    /// Another process has it.
    #[error("twin {0}: another program holds it; is another director running?")]
    Held(String),
    /// It was removed while the director started.
    #[error("twin {0}: is gone")]
    Gone(String),
    /// The kernel refuses.
    #[error("twin {twin}: cannot {action}: {cause}")]
    Refused {
        /// The twin's name.
        twin: String,
        /// What it was asked to do.
        action: String,
        /// Its word.
        cause: io::Error,
    },
    /// The kernel would hear everything twice.
    #[error(transparent)]
    Mute(#[from] MuteError),
}

/// The twins of a running director's ports. Dropped, their carriers are heard by the kernel again; the twins stay.
#[derive(Debug)]
pub struct Twins {
    kernel: Option<Kernel>,
    _mutes: Mutes,
}

/// Returns what the EAL is told of the twins, in the order of [`Config::twins`].
pub fn devices(config: &Config) -> Vec<String> {
    let device = |(place, port, twin): (usize, &Port, &str)| {
        let mac = port.mac.map(|mac| format!(",mac={}", diff::mac(&mac))).unwrap_or_default();
        format!("net_tap_twin{place},iface={twin},persist{mac}")
    };
    config.twins().map(device).collect()
}

impl Twins {
    /// Sees, before the EAL starts, that the names are free or taps of nobody's, and mutes the carriers.
    ///
    /// # Errors
    /// The first name that is taken, or carrier that is not muted.
    pub async fn prepare(config: &Config) -> Result<Self, TwinError> {
        if config.twins().next().is_none() {
            return Ok(Self { kernel: None, _mutes: Mutes::default() });
        }
        // The tap driver is told by real-time signals that the host has sent something. When too many wait, the kernel sends
        // SIGIO in their place, which ends a program that does not catch it.
        drop(signal(SignalKind::io())?);
        let kernel = Kernel::open()?;
        for (_, _, twin) in config.twins() {
            if let Some(link) = kernel.link(twin).await? {
                free(twin, &link)?;
            }
        }
        Ok(Self { kernel: Some(kernel), _mutes: Mutes::set(config)? })
    }

    /// Sets the twins up, once their devices have started.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn set_up(&self, config: &Config) -> Result<(), TwinError> {
        let Some(kernel) = &self.kernel else { return Ok(()) };
        for (_, port, twin) in config.twins() {
            let link = kernel.link(twin).await?.ok_or_else(|| TwinError::Gone(twin.to_owned()))?;
            let index = link.header.index;
            let up = LinkUnspec::new_with_index(index).up().build();
            kernel.handle.link().set(up).execute().await.map_err(refusal(twin, "set it up"))?;
            kernel.address(twin, index, &port.addresses).await?;
            log::info!("port {}: the host has it as {twin}", port.name);
        }
        Ok(())
    }
}

impl Twins {
    /// Gives each twin the carrier that its port has, for as long as this is polled: what the host runs sees a cable that is out.
    pub fn follow(&self, config: &Config, shared: Arc<Shared>) -> impl Future<Output = ()> + Send + 'static {
        let handle = self.kernel.as_ref().map(|kernel| kernel.handle.clone());
        // While a process has a queue of it, a tap has a carrier unless told otherwise.
        let followed = config.twins().map(|(place, _, twin)| (PortId(place as u8), twin.to_owned(), true));
        let mut followed: Vec<_> = followed.collect();
        async move {
            let Some(handle) = handle else { return };
            let mut moments = interval(LOOK);
            loop {
                moments.tick().await;
                for (port, twin, told) in &mut followed {
                    let up = shared.carrier(*port);
                    if *told != up {
                        *told = up;
                        let message = LinkUnspec::new_with_name(twin).carrier(up).build();
                        if let Err(error) = handle.link().set(message).execute().await {
                            log::warn!("{}", refusal(twin, "change its carrier")(error));
                        }
                    }
                }
            }
        }
    }
}

/// Sees that nobody holds an interface, and that it can be a twin.
fn free(twin: &str, link: &LinkMessage) -> Result<(), TwinError> {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    if !infos.flatten().any(|info| *info == LinkInfo::Kind(InfoKind::Tun)) {
        return Err(TwinError::NotATap(twin.to_owned()));
    }
    // A tap has a carrier while a process has a queue of it.
    if link.header.flags.contains(LinkFlags::LowerUp) {
        return Err(TwinError::Held(twin.to_owned()));
    }
    Ok(())
}

fn refusal(twin: &str, action: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> TwinError {
    let (twin, action) = (twin.to_owned(), action.into());
    move |error| {
        let cause = match error {
            rtnetlink::Error::NetlinkError(code) => code.to_io(),
            other => io::Error::other(other.to_string()),
        };
        TwinError::Refused { twin, action, cause }
    }
}

/// A netlink socket. Needs a tokio runtime.
#[derive(Debug)]
struct Kernel {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Kernel {
    fn open() -> io::Result<Self> {
        let (connection, handle, _) = new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Finds an interface.
    async fn link(&self, name: &str) -> Result<Option<LinkMessage>, TwinError> {
        let mut found = pin!(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(link) => Ok(link),
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_DEVICE => Ok(None),
            Err(cause) => Err(refusal(name, "look at it")(cause)),
        }
    }

    /// Gives an interface the addresses that it lacks, and takes those away that a configuration of former times gave it.
    async fn address(&self, twin: &str, index: u32, wanted: &[IpNet]) -> Result<(), TwinError> {
        let listed: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .set_link_index_filter(index)
            .execute()
            .try_collect()
            .await
            .map_err(refusal(twin, "list its addresses"))?;
        for old in &listed {
            if is_ours(old) && !net(old).is_some_and(|net| wanted.contains(&net)) {
                let action = format!("take {} away", net(old).map_or_else(String::new, |net| net.to_string()));
                self.handle.address().del(old.clone()).execute().await.map_err(refusal(twin, action))?;
            }
        }
        for new in wanted.iter().filter(|wanted| !listed.iter().any(|old| net(old) == Some(**wanted))) {
            let mut request = self.handle.address().add(index, new.addr(), new.prefix_len());
            request.message_mut().attributes.push(AddressAttribute::Protocol(OURS));
            request.execute().await.map_err(refusal(twin, format!("give it {new}")))?;
        }
        Ok(())
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn is_ours(address: &AddressMessage) -> bool {
    address.attributes.contains(&AddressAttribute::Protocol(OURS))
}

/// The address that a message tells, with its prefix; a point-to-point address is told as IFA_LOCAL.
fn net(message: &AddressMessage) -> Option<IpNet> {
    let told = |local: bool| {
        message.attributes.iter().find_map(move |attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address: IpAddr = told(true).or_else(|| told(false))?;
    IpNet::new(address, message.header.prefix_len).ok()
}
