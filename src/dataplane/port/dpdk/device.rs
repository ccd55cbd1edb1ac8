//! A port's device: found, set up, started, counted, stopped.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CString;
use std::marker::PhantomData;
use std::sync::Arc;

use super::args::port_name;
use super::eal::Runtime;
use super::pool::frame_octets;
use super::queue::DpdkQueue;
use super::setup::{self, Capabilities};
use super::{Eal, Errno, Pool};

/// How a device is set up.
#[derive(Clone, Copy, Debug)]
pub struct DeviceConfig {
    /// Queue pairs: one for each worker.
    pub queues: u16,
    /// Receive descriptors of each queue; adjusted to what the device can.
    pub rx_descriptors: u16,
    /// Transmit descriptors of each queue; adjusted to what the device can.
    pub tx_descriptors: u16,
    /// The largest IP packet, in octets. A virtual device that cannot be told carries what its kernel interface does.
    pub mtu: u16,
    /// The Ethernet address to use instead of the device's own.
    pub mac: Option<[u8; 6]>,
    /// Whether frames to other stations are received too.
    pub promiscuous: bool,
    /// Whether all multicast is received.
    pub all_multicast: bool,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: 1500,
            mac: None,
            promiscuous: false,
            all_multicast: false,
        }
    }
}

/// What went wrong with a device; every message names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The EAL has no such device.
    #[error("{device}: not found; the EAL said why on standard error")]
    NotFound {
        /// The device's name.
        device: String,
    },
    /// It is already open.
    #[error("{device}: already in use by this program")]
    Taken {
        /// The device's name.
        device: String,
    },
    /// It was started before: some drivers fail at it.
    #[error("{device}: a device starts once")]
    StartedBefore {
        /// The device's name.
        device: String,
    },
    /// It has fewer queues than there are workers.
    #[error(
        "{device}: {wanted} workers need as many queue pairs, and it has {receive} to receive and {transmit} to send"
    )]
    TooFewQueues {
        /// The device's name.
        device: String,
        /// How many were asked for.
        wanted: u16,
        /// How many receive queues it has.
        receive: u16,
        /// How many transmit queues it has.
        transmit: u16,
    },
    /// Its frames do not fit one mbuf.
    #[error("{device}: packets of {mtu} octets do not fit the pool's mbufs, which have room for frames of {room}")]
    SmallMbufs {
        /// The device's name.
        device: String,
        /// The MTU asked for.
        mtu: u16,
        /// The pool's room.
        room: u16,
    },
    /// Some of its queues are still at work.
    #[error("{device}: {queues} of its queues are still in use")]
    QueuesInUse {
        /// The device's name.
        device: String,
        /// How many.
        queues: usize,
    },
    /// The driver refuses.
    #[error("{device}: cannot {action}: {cause}")]
    Refused {
        /// The device's name.
        device: String,
        /// What it was asked to do.
        action: String,
        /// The driver's word.
        cause: Errno,
    },
}

/// What the device says about its wire. Virtual devices always say up: ask the kernel (`ctrl::link`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether there is a carrier.
    pub up: bool,
    /// In Mb/s; `None` if unknown.
    pub speed: Option<u32>,
}

/// What a device counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames received.
    pub rx_frames: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames lost because a receive queue was full.
    pub rx_missed: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames not sent.
    pub tx_errors: u64,
    /// Times a receive queue found the pool exhausted.
    pub rx_no_mbuf: u64,
}

/// One device. Dropped, it is stopped and closed; with a queue still in use it stays as it is until the process ends.
///
/// It moves between threads but has one user at a time: DPDK's control calls on one port do not run side by side.
#[derive(Debug)]
pub struct Device {
    port: u16,
    name: String,
    capabilities: Capabilities,
    state: State,
    runtime: Arc<Runtime>,
    _one_thread_at_a_time: PhantomData<Cell<()>>,
}

#[derive(Debug)]
enum State {
    Found,
    Running(Arc<Started>),
    Stopped,
}

/// What the queues of a started device hold on to.
#[derive(Debug)]
pub(super) struct Started {
    _runtime: Arc<Runtime>,
}

impl Device {
    /// Finds the device of a configuration's device string among those that the EAL was started with.
    ///
    /// # Errors
    /// If there is none, or this program has it open.
    pub fn open(eal: &Eal, device: &str) -> Result<Device, DeviceError> {
        let name = port_name(device);
        let port = find(&name).ok_or_else(|| DeviceError::NotFound { device: name.clone() })?;
        let mut books = eal.runtime.books();
        if books.ports.contains(&port) {
            return Err(DeviceError::Taken { device: name });
        }
        let capabilities = setup::capabilities(port).map_err(|cause| refused(&name, "tell what it can", cause))?;
        books.ports.push(port);
        drop(books);
        let runtime = Arc::clone(&eal.runtime);
        Ok(Device { port, name, capabilities, state: State::Found, runtime, _one_thread_at_a_time: PhantomData })
    }

    /// Returns the name that the EAL knows the device by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the driver's name, such as `net_af_packet`.
    pub fn driver(&self) -> &str {
        &self.capabilities.driver
    }

    /// Returns the NUMA node it is on, if it is on one.
    pub fn socket(&self) -> Option<u32> {
        // SAFETY: the port exists while we own it.
        u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.port) }).ok()
    }

    /// Returns the most queue pairs it can have.
    pub fn max_queues(&self) -> u16 {
        self.capabilities.rx_queues.min(self.capabilities.tx_queues)
    }

    /// Sets the device up and starts it, with mbufs of `pool`; returns its queue pairs, for one worker each.
    ///
    /// What is only a help is used where the device can: RSS over IPv4 addresses and ports, IPv4 checksums verified on
    /// receive. Where a virtual device refuses an address, it is made promiscuous instead.
    ///
    /// # Errors
    /// If it has too few queues, refuses something that the director cannot do without, or was started before.
    pub fn start(&mut self, config: &DeviceConfig, pool: &Pool) -> Result<Vec<DpdkQueue>, DeviceError> {
        if !matches!(self.state, State::Found) {
            return Err(DeviceError::StartedBefore { device: self.name.clone() });
        }
        let Capabilities { rx_queues, tx_queues, .. } = self.capabilities;
        if config.queues > rx_queues.min(tx_queues) || config.queues == 0 {
            return Err(DeviceError::TooFewQueues {
                device: self.name.clone(),
                wanted: config.queues,
                receive: rx_queues,
                transmit: tx_queues,
            });
        }
        let (mtu, room) = (config.mtu, pool.room());
        if frame_octets(mtu) > room {
            return Err(DeviceError::SmallMbufs { device: self.name.clone(), mtu, room });
        }
        assert!(Arc::ptr_eq(&self.runtime, &pool.runtime), "a process has one EAL");
        // Whatever happens in between, a second try is refused.
        self.state = State::Stopped;
        setup::start(self.port, &self.name, &self.capabilities, config, pool)?;
        let started = Arc::new(Started { _runtime: Arc::clone(&self.runtime) });
        let queues = (0..config.queues)
            // SAFETY: setup::start set up these queues with this pool and started the port; each gets one handle, here; and
            // the port is stopped by `stop` alone, once no clone of `started` is left.
            .map(|queue| unsafe { DpdkQueue::new(self.port, queue, pool.clone(), Arc::clone(&started)) })
            .collect();
        self.state = State::Running(started);
        Ok(queues)
    }

    /// Returns its Ethernet address.
    ///
    /// # Errors
    /// If the driver does not tell.
    pub fn mac(&self) -> Result<[u8; 6], DeviceError> {
        setup::mac(self.port).map_err(|cause| refused(&self.name, "tell its address", cause))
    }

    /// Returns the state of its link, without waiting.
    ///
    /// # Errors
    /// If the driver does not tell.
    pub fn link(&self) -> Result<Link, DeviceError> {
        let (mut speed, mut up) = (0, 0);
        // SAFETY: the port exists while we own it; the call writes to the two places.
        let ret = unsafe { dpdk_sys::dpdk_eth_link_get_nowait(self.port, &raw mut speed, &raw mut up) };
        Errno::check(ret).map_err(|cause| refused(&self.name, "tell the state of its link", cause))?;
        let known = speed != 0 && speed != u32::MAX;
        Ok(Link { up: up != 0, speed: known.then_some(speed) })
    }

    /// Returns what the device counted.
    ///
    /// # Errors
    /// If the driver does not count.
    pub fn counters(&self) -> Result<Counters, DeviceError> {
        let mut stats = dpdk_sys::rte_eth_stats::default();
        // SAFETY: the port exists while we own it; the call writes to `stats`.
        let ret = unsafe { dpdk_sys::rte_eth_stats_get(self.port, &raw mut stats) };
        Errno::check(ret).map_err(|cause| refused(&self.name, "tell its counters", cause))?;
        Ok(Counters {
            rx_frames: stats.ipackets,
            rx_octets: stats.ibytes,
            tx_frames: stats.opackets,
            tx_octets: stats.obytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
            rx_no_mbuf: stats.rx_nombuf,
        })
    }

    /// Stops the device, once its queues are dropped. It still tells its counters.
    ///
    /// # Errors
    /// If a queue is still in use: the device runs on; or if the driver fails at it.
    pub fn stop(&mut self) -> Result<(), DeviceError> {
        let State::Running(started) = &self.state else { return Ok(()) };
        let queues = Arc::strong_count(started) - 1;
        if queues > 0 {
            return Err(DeviceError::QueuesInUse { device: self.name.clone(), queues });
        }
        self.state = State::Stopped;
        // SAFETY: the port exists while we own it, and no queue is in use: the count above only falls, since queues
        // cannot be cloned, and a queue that is gone from it will not be polled again.
        let ret = unsafe { dpdk_sys::rte_eth_dev_stop(self.port) };
        Errno::check(ret).map(|_| ()).map_err(|cause| refused(&self.name, "stop", cause))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        match self.stop() {
            Err(error @ DeviceError::QueuesInUse { .. }) => {
                log::error!("{error}: it is left running");
                // Nobody else may take the port, and the EAL must stay up.
                std::mem::forget(Arc::clone(&self.runtime));
                return;
            }
            Err(error) => log::warn!("{error}"),
            Ok(()) => {}
        }
        // SAFETY: the port exists while we own it, is stopped, and is not named by anybody after this.
        let ret = unsafe { dpdk_sys::rte_eth_dev_close(self.port) };
        if let Err(cause) = Errno::check(ret) {
            log::warn!("{}: cannot close: {cause}", self.name);
        }
        self.runtime.books().ports.retain(|port| *port != self.port);
    }
}

fn find(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut port = 0;
    // SAFETY: the EAL runs, since the caller holds it; the name is NUL-terminated and `port` is written to.
    let ret = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut port) };
    (ret == 0).then_some(port)
}

pub(super) fn refused(device: &str, action: impl Into<String>, cause: Errno) -> DeviceError {
    DeviceError::Refused { device: device.to_owned(), action: action.into(), cause }
}
