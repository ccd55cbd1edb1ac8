//! Setting a device up: what it can is matched with what the director wants.
#![allow(unsafe_code)]

use std::ffi::CStr;

use dpdk_sys::{rte_eth_conf, rte_eth_dev_info, rte_ether_addr};

use super::device::{DeviceConfig, DeviceError, refused};
use super::{Errno, Pool, timestamp};

/// What a device can.
#[derive(Debug)]
pub(super) struct Capabilities {
    pub(super) driver: String,
    pub(super) rx_queues: u16,
    pub(super) tx_queues: u16,
    info: Box<rte_eth_dev_info>,
}

// SAFETY: what keeps `info` from being Send are its pointers to things of the driver's and the EAL's. They are passed
// back to DPDK, which may be called from any thread, and never followed here.
unsafe impl Send for Capabilities {}

/// The hash that spreads flows over queues: addresses and ports, so that one flow stays on one queue.
const RSS: u64 = dpdk_sys::DPDK_RSS_IPV4 | dpdk_sys::DPDK_RSS_NONFRAG_IPV4_TCP | dpdk_sys::DPDK_RSS_NONFRAG_IPV4_UDP;

/// Asks a device what it can.
pub(super) fn capabilities(port: u16) -> Result<Capabilities, Errno> {
    let mut info = Box::<rte_eth_dev_info>::default();
    // SAFETY: writes to `info`; a port that does not exist is an error.
    Errno::check(unsafe { dpdk_sys::rte_eth_dev_info_get(port, &raw mut *info) })?;
    let driver = if info.driver_name.is_null() {
        String::new()
    } else {
        // SAFETY: the driver's name is a constant of the driver's, NUL-terminated.
        unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned()
    };
    Ok(Capabilities { driver, rx_queues: info.max_rx_queues, tx_queues: info.max_tx_queues, info })
}

/// Sets up and starts `port`, which was not set up before.
pub(super) fn start(
    port: u16,
    name: &str,
    capabilities: &Capabilities,
    config: &DeviceConfig,
    pool: &Pool,
) -> Result<(), DeviceError> {
    let device = Setup { port, name, capabilities, config };
    let wanted = device.port_config(pool.is_sole());
    device.configure(&wanted)?;
    device.set_mtu()?;
    device.set_up_queues(&wanted, pool)?;
    let addressed = device.set_mac()?;
    // SAFETY: the port is configured with all its queues.
    device.done("start", unsafe { dpdk_sys::rte_eth_dev_start(port) })?;
    if config.promiscuous || !addressed {
        // SAFETY: the port exists.
        device.optional("receive frames to other stations", unsafe { dpdk_sys::rte_eth_promiscuous_enable(port) })?;
    }
    if config.all_multicast {
        // SAFETY: the port exists.
        device.optional("receive all multicast", unsafe { dpdk_sys::rte_eth_allmulticast_enable(port) })?;
    }
    if capabilities.driver == "net_pcap" {
        let nanoseconds = capabilities.info.rx_offload_capa & dpdk_sys::DPDK_RX_OFFLOAD_TIMESTAMP != 0;
        timestamp::learn(if nanoseconds { 1 } else { 1000 });
    }
    Ok(())
}

/// Returns a port's Ethernet address.
pub(super) fn mac(port: u16) -> Result<[u8; 6], Errno> {
    let mut address = rte_ether_addr::default();
    // SAFETY: writes to `address`; a port that does not exist is an error.
    Errno::check(unsafe { dpdk_sys::rte_eth_macaddr_get(port, &raw mut address) })?;
    Ok(address.addr_bytes)
}

struct Setup<'a> {
    port: u16,
    name: &'a str,
    capabilities: &'a Capabilities,
    config: &'a DeviceConfig,
}

impl Setup<'_> {
    fn port_config(&self, sole_pool: bool) -> rte_eth_conf {
        let info = &self.capabilities.info;
        let mut conf = rte_eth_conf::default();
        let spread = info.flow_type_rss_offloads & RSS;
        if self.config.queues > 1 && spread != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = spread;
        }
        let mut receive = dpdk_sys::DPDK_RX_OFFLOAD_IPV4_CKSUM;
        if self.capabilities.driver == "net_pcap" {
            receive |= dpdk_sys::DPDK_RX_OFFLOAD_TIMESTAMP;
        }
        conf.rxmode.offloads = receive & info.rx_offload_capa;
        // Its premises: one pool for all that is sent, which `sole` promises, and one reference to each mbuf, since we
        // never make another.
        if sole_pool {
            conf.txmode.offloads = dpdk_sys::DPDK_TX_OFFLOAD_MBUF_FAST_FREE & info.tx_offload_capa;
        }
        conf
    }

    fn configure(&self, conf: &rte_eth_conf) -> Result<(), DeviceError> {
        let queues = self.config.queues;
        // SAFETY: `conf` is whole, and copied; the port is checked.
        let ret = unsafe { dpdk_sys::rte_eth_dev_configure(self.port, queues, queues, conf) };
        self.done(format!("be set up with {queues} queue pairs"), ret)
    }

    /// Asks for the MTU where it is not what the device has: asking af_packet sets its kernel interface's.
    fn set_mtu(&self) -> Result<(), DeviceError> {
        let mut mtu = 0;
        // SAFETY: writes to `mtu`; the port is checked.
        self.done("tell its MTU", unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.port, &raw mut mtu) })?;
        if mtu == self.config.mtu {
            return Ok(());
        }
        let action = format!("set the MTU to {}", self.config.mtu);
        // SAFETY: plain numbers, checked.
        match Errno::check(unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.port, self.config.mtu) }) {
            Ok(_) => Ok(()),
            Err(cause) if self.is_virtual() => {
                log::warn!("{}: cannot {action}: {cause}; its kernel interface's counts", self.name);
                Ok(())
            }
            Err(cause) => Err(refused(self.name, action, cause)),
        }
    }

    fn set_up_queues(&self, conf: &rte_eth_conf, pool: &Pool) -> Result<(), DeviceError> {
        let (mut receive, mut transmit) = (self.config.rx_descriptors, self.config.tx_descriptors);
        // SAFETY: writes to the two numbers; the port is checked.
        let ret = unsafe { dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.port, &raw mut receive, &raw mut transmit) };
        self.done("tell how many descriptors it can have", ret)?;
        // SAFETY: the port is checked.
        let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.port) } as u32;
        let (mut rx, mut tx) = (self.capabilities.info.default_rxconf, self.capabilities.info.default_txconf);
        rx.offloads = conf.rxmode.offloads;
        tx.offloads = conf.txmode.offloads;
        for queue in 0..self.config.queues {
            // SAFETY: `rx` is copied; the pool lives as long as the EAL, which the device keeps up.
            let ret = unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(self.port, queue, receive, socket, &raw const rx, pool.as_ptr())
            };
            self.done(format!("set up receive queue {queue} with {receive} descriptors"), ret)?;
            // SAFETY: `tx` is copied.
            let ret = unsafe { dpdk_sys::rte_eth_tx_queue_setup(self.port, queue, transmit, socket, &raw const tx) };
            self.done(format!("set up transmit queue {queue} with {transmit} descriptors"), ret)?;
        }
        Ok(())
    }

    /// Gives the device its address, and tells whether it receives what is sent to it.
    fn set_mac(&self) -> Result<bool, DeviceError> {
        let Some(addr_bytes) = self.config.mac else { return Ok(true) };
        if mac(self.port).is_ok_and(|own| own == addr_bytes) {
            return Ok(true);
        }
        let mut address = rte_ether_addr { addr_bytes };
        // SAFETY: the address is copied; the port is checked.
        let ret = unsafe { dpdk_sys::rte_eth_dev_default_mac_addr_set(self.port, &raw mut address) };
        match Errno::check(ret) {
            Ok(_) => Ok(true),
            Err(cause) if self.is_virtual() => {
                log::debug!("{}: keeps its own address: {cause}; it receives everything instead", self.name);
                Ok(false)
            }
            Err(cause) => Err(refused(self.name, "take another address", cause)),
        }
    }

    fn is_virtual(&self) -> bool {
        !self.name.contains(':')
    }

    fn done(&self, action: impl Into<String>, ret: i32) -> Result<(), DeviceError> {
        Errno::check(ret).map(|_| ()).map_err(|cause| refused(self.name, action, cause))
    }

    /// As `done`, for what some drivers do not offer and always do.
    fn optional(&self, action: &str, ret: i32) -> Result<(), DeviceError> {
        match Errno::check(ret) {
            Err(Errno::NOT_SUPPORTED) => {
                log::debug!("{}: does not offer to {action}", self.name);
                Ok(())
            }
            other => other.map(|_| ()).map_err(|cause| refused(self.name, action, cause)),
        }
    }
}
