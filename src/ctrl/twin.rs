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
//! configuration gives the port are set at each start; they bear a mark of ours, by which those that it gives no more are found,
//! and those that are on an interface which was the twin before. Others are left alone. The carrier below a port is muted ([`Mutes`]), so that the kernel hears each frame once.
//!
//! Of a port with an MTU above 1500 the twin is a pair of interfaces (`pair`), since the tap driver carries no more. It shows a
//! carrier also after its director was killed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::InfoKind;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;

use super::config::{Config, Port};
use super::diff;
use super::mute::{MuteError, Mutes};
use crate::dataplane::port::dpdk::wake_taps;
use crate::dataplane::service::PortId;
use crate::dataplane::shared::Shared;

mod hold;
mod kernel;
mod pair;

pub(crate) use hold::Hold;
use kernel::{Kernel, refusal};

/// How often the ports' carriers are looked at, to give the twins the same.
const LOOK: Duration = Duration::from_millis(100);

/// Why a twin is not set up.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// No socket to the kernel, or no signal handler.
    #[error("twins: {0}")]
    Kernel(#[from] io::Error),
    /// The name is another interface's.
    #[error("twin {0}: there is an interface of this name, and it is no {1}")]
    NotATwin(String, &'static str),
    /// Another process has it.
    #[error("twin {0}: another program holds it; is another director running?")]
    Held(String),
    /// It was removed while the director started.
    #[error("twin {0}: is gone")]
    Gone(String),
    /// The kernel would leave checksums to hardware that there is not.
    #[error("twin {twin}: cannot have the kernel finish its checksums: {reason}")]
    Checksums {
        /// The twin's name.
        twin: String,
        /// What there is against it.
        reason: String,
    },
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
#[derive(Debug, Default)]
pub struct Twins {
    kernel: Option<Kernel>,
    overflow: Option<Signal>,
    /// Of twins that are pairs, the name and the inner end.
    pairs: Vec<(String, String)>,
    mutes: Mutes,
    // After the mutes, which the next director may then set.
    _holds: Vec<Hold>,
}

/// Returns what the EAL is told of the twins, in the order of [`Config::twins`].
pub fn devices(config: &Config) -> Vec<String> {
    let device = |(place, port, twin): (usize, &Port, &str)| match port.inner_twin() {
        Some(inner) => format!("net_af_packet_twin{place},iface={inner}"),
        None => {
            let mac = port.mac.map(|mac| format!(",mac={}", diff::mac(&mac))).unwrap_or_default();
            format!("net_tap_twin{place},iface={twin},persist{mac}")
        }
    };
    config.twins().map(device).collect()
}

impl Twins {
    /// Sees, before the EAL starts, that the names are free or twins of nobody's, makes pairs, and mutes the carriers.
    ///
    /// # Errors
    /// The first name that is taken, or carrier that is not muted.
    pub async fn prepare(config: &Config) -> Result<Self, TwinError> {
        if config.twins().next().is_none() {
            return Ok(Self::default());
        }
        // The tap driver is told by real-time signals that the host has sent something. When too many wait, the kernel sends
        // SIGIO in their place, which ends a program that does not catch it.
        let overflow = signal(SignalKind::io())?;
        let kernel = Kernel::open()?;
        let (mut holds, mut pairs) = (Vec::new(), Vec::new());
        for (_, port, twin) in config.twins() {
            holds.push(Hold::take(twin)?.ok_or_else(|| TwinError::Held(twin.to_owned()))?);
            let link = kernel.link(twin).await?;
            if let Some(inner) = port.inner_twin() {
                kernel.pair(twin, &inner, port.mtu, link.as_ref()).await?;
                pairs.push((twin.to_owned(), inner));
            } else if let Some(link) = link {
                if !link.is(&InfoKind::Tun) {
                    return Err(TwinError::NotATwin(twin.to_owned(), "tap"));
                }
                // A tap has a carrier while a process has a queue of it.
                if link.has_carrier() {
                    return Err(TwinError::Held(twin.to_owned()));
                }
            }
        }
        Ok(Self { kernel: Some(kernel), overflow: Some(overflow), pairs, mutes: Mutes::set(config)?, _holds: holds })
    }

    /// Sets the twins up, once their devices have started; `macs` are the ports' Ethernet addresses.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub async fn set_up(&self, config: &Config, macs: &[[u8; 6]]) -> Result<(), TwinError> {
        let Some(kernel) = &self.kernel else { return Ok(()) };
        for (place, port, twin) in config.twins() {
            let link = kernel.link(twin).await?.ok_or_else(|| TwinError::Gone(twin.to_owned()))?;
            let mac = macs.get(place).map_or(&[][..], <[u8; 6]>::as_slice);
            // The tap driver has done it.
            if port.inner_twin().is_some() && link.mac() != Some(mac) {
                let change = LinkUnspec::new_with_index(link.index()).address(mac.to_vec());
                kernel.set(change, twin, "give it the port's Ethernet address").await?;
            }
            kernel.set(LinkUnspec::new_with_index(link.index()).up(), twin, "set it up").await?;
            kernel.address(twin, link.index(), &port.addresses).await?;
            log::info!("port {}: the host has it as {twin}", port.name);
        }
        Ok(())
    }

    /// For as long as this is polled: gives each twin the carrier that its port has, so that what the host runs sees a cable that is
    /// out; keeps the carriers below the ports muted; and sees that nothing the host sends is overlooked.
    pub fn follow(&mut self, config: &Config, shared: Arc<Shared>) -> impl Future<Output = ()> + Send + 'static {
        let handle = self.kernel.as_ref().map(|kernel| kernel.handle.clone());
        let (mutes, overflow) = (self.mutes.keep(), self.overflow.take());
        // A twin that has just been taken has a carrier.
        let followed = config.twins().map(|(place, port, twin)| {
            let (pair, name) = port.inner_twin().map_or((false, twin.to_owned()), |inner| (true, inner));
            (PortId(place as u8), twin.to_owned(), pair, name, true)
        });
        let mut followed: Vec<_> = followed.collect();
        let carriers = async move {
            let Some(handle) = handle else { return };
            let mut moments = interval(LOOK);
            loop {
                moments.tick().await;
                for (port, twin, pair, name, told) in &mut followed {
                    let up = shared.carrier(*port);
                    if *told == up {
                        continue;
                    }
                    *told = up;
                    let end = LinkUnspec::new_with_name(name);
                    let change = match (*pair, up) {
                        (false, up) => end.carrier(up),
                        (true, true) => end.up(),
                        (true, false) => end.down(),
                    };
                    if let Err(error) = handle.link().set(change.build()).execute().await {
                        log::warn!("{}", refusal(twin, "change its carrier")(error));
                    }
                }
            }
        };
        async move {
            tokio::join!(carriers, mutes, attend(overflow));
        }
    }

    /// Takes the carriers of twins that are pairs away, as taps lose theirs by themselves, once their devices have stopped.
    pub async fn close(self) {
        let Some(kernel) = &self.kernel else { return };
        for (twin, inner) in &self.pairs {
            if let Err(error) = kernel.set(LinkUnspec::new_with_name(inner).down(), twin, "take its carrier away").await
            {
                log::warn!("{error}");
            }
        }
    }
}

/// Has the taps read when the kernel could not tell the driver so in its usual way.
async fn attend(overflow: Option<Signal>) {
    let Some(mut overflow) = overflow else { return };
    while overflow.recv().await.is_some() {
        if let Err(error) = wake_taps() {
            log::warn!("twins: the tap driver is not told that the host has sent something: {error}");
        }
    }
}
