//! The EAL and the ports' devices, as a configuration asks for them. `run` and `replay` start here.

use std::sync::{Arc, Mutex, PoisonError};

use log::warn;

use super::api::DeviceReport;
use super::config::{self, Config, Port};
use crate::dataplane::port::dpdk::{
    Device, DeviceConfig, DeviceError, DpdkQueue, Eal, EalArgs, EalError, Pool, PoolConfig, PoolError,
    keep_from_programs, ring_room, with_frames, with_queues,
};

/// Descriptors of each receive and each transmit queue: some 100 µs of a 10 Gb/s link's smallest frames.
const DESCRIPTORS: u16 = 1024;

/// Of a twin's queue: the tap driver takes them for the pieces that it reads one frame into.
const TWIN_DESCRIPTORS: u16 = 1;

/// How the EAL is started.
#[derive(Clone, Debug)]
pub struct Equipment {
    /// Device strings, in the order of the configuration's ports.
    pub devices: Vec<String>,
    /// Those of the ports' twins, in the order of [`Config::twins`].
    pub twins: Vec<String>,
    /// The control thread's CPU core.
    pub main_core: usize,
    /// The CPU cores on which workers will be launched; none if the calling thread does the polling.
    pub worker_cores: Vec<usize>,
    /// Queue pairs of each port.
    pub queues: u16,
    /// Arguments passed to the EAL as they are.
    pub dpdk_args: Vec<String>,
}

/// Why ports do not start.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The EAL does not.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// There is no memory for frames.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A device does not.
    #[error("port {0}: {1}")]
    Device(String, #[source] DeviceError),
    /// A twin's device does not.
    #[error("twin {0}: {1}")]
    Twin(String, #[source] DeviceError),
}

/// The running EAL and its devices. They stop, in order, on [`Ports::stop`] or when dropped.
#[derive(Debug)]
pub struct Ports {
    // Fields drop in this order.
    queues: Vec<Vec<DpdkQueue>>,
    devices: Devices,
    pool: Pool,
    eal: Eal,
    macs: Vec<[u8; 6]>,
}

/// The devices in the order of the ports, then of the twins. DPDK's control calls on a port do not run side by side: hence the lock.
#[derive(Clone, Debug)]
pub struct Devices(Arc<Mutex<Vec<Device>>>);

impl Ports {
    /// Starts the EAL, makes the pool of mbufs, and starts every port's device.
    ///
    /// # Errors
    /// The first of these that fails; what had started is stopped.
    pub fn start(config: &Config, equipment: &Equipment) -> Result<Self, PortsError> {
        let ports = || config.ports.iter().zip(&equipment.devices);
        let twins = || config.twins().map(|(_, port, _)| port).zip(&equipment.twins);
        let fit = |(port, device): (&Port, &String)| with_frames(&with_queues(device, equipment.queues), port.mtu);
        let (strings, twin_strings): (Vec<_>, Vec<_>) = (ports().map(fit).collect(), twins().map(fit).collect());
        let queue_pairs = u32::from(equipment.queues) * strings.len() as u32;
        let workers = equipment.worker_cores.len().max(1) as u32;
        let room = |(port, device): (&Port, &String)| PoolConfig::room_for(port.mtu).max(ring_room(device, port.mtu));
        let room = ports().chain(twins()).map(room).max();
        let frames = PoolConfig {
            frames: PoolConfig::frames_for(queue_pairs, DESCRIPTORS, DESCRIPTORS, workers),
            room: room.unwrap_or_else(|| PoolConfig::room_for(config::DEFAULT_MTU)),
            socket: None,
            sole: true,
        };
        let eal = Eal::start(&EalArgs {
            devices: strings.iter().chain(&twin_strings).cloned().collect(),
            main_core: equipment.main_core,
            worker_cores: equipment.worker_cores.clone(),
            memory_mib: frames.memory_mib(),
            extra: equipment.dpdk_args.clone(),
        })?;
        let pool = Pool::new(&eal, frames)?;
        let mut ports = Self {
            devices: Devices(Arc::default()),
            pool,
            eal,
            macs: Vec::new(),
            queues: (0..equipment.queues).map(|_| Vec::new()).collect(),
        };
        for (port, string) in config.ports.iter().zip(&strings) {
            let settings = DeviceConfig {
                queues: equipment.queues,
                rx_descriptors: DESCRIPTORS,
                tx_descriptors: DESCRIPTORS,
                mtu: port.mtu,
                mac: port.mac,
                // The host's routing protocols and IPv6 speak by multicast.
                all_multicast: port.twin.is_some(),
                ..DeviceConfig::default()
            };
            let mac = ports.open(string, &settings).map_err(|cause| PortsError::Device(port.name.clone(), cause))?;
            ports.macs.push(mac);
        }
        for ((place, port, twin), string) in config.twins().zip(&twin_strings) {
            // Of a pair the host's end has the port's address and MTU; the driver has the other end.
            let tap = port.inner_twin().is_none();
            let settings = DeviceConfig {
                queues: equipment.queues,
                rx_descriptors: TWIN_DESCRIPTORS,
                tx_descriptors: TWIN_DESCRIPTORS,
                mtu: if tap { port.mtu } else { config::DEFAULT_MTU },
                mac: tap.then_some(ports.macs[place]),
                ..DeviceConfig::default()
            };
            ports.open(string, &settings).map_err(|cause| PortsError::Twin(twin.to_owned(), cause))?;
        }
        if let Err(cause) = keep_from_programs() {
            warn!("programs that checks and changes run inherit DPDK's files: {cause}");
        }
        Ok(ports)
    }

    /// Starts a device; returns its Ethernet address.
    fn open(&mut self, string: &str, settings: &DeviceConfig) -> Result<[u8; 6], DeviceError> {
        let mut device = Device::open(&self.eal, string)?;
        for (worker, queue) in device.start(settings, &self.pool)?.into_iter().enumerate() {
            self.queues[worker].push(queue);
        }
        // A vdev may keep an address of its own, and receive everything instead.
        let mac = match settings.mac {
            Some(mac) => mac,
            None => device.mac()?,
        };
        self.devices.with(|devices| devices.push(device));
        Ok(mac)
    }

    /// Returns the EAL.
    pub fn eal(&self) -> &Eal {
        &self.eal
    }

    /// Returns the ports' Ethernet addresses, which their twins have too.
    pub fn macs(&self) -> &[[u8; 6]] {
        &self.macs
    }

    /// Returns the devices, for counters and link states.
    pub fn devices(&self) -> Devices {
        self.devices.clone()
    }

    /// Takes the queues: for each worker, its queue of each port.
    pub fn take_queues(&mut self) -> Vec<Vec<DpdkQueue>> {
        std::mem::take(&mut self.queues)
    }

    /// Stops and closes the devices, then the EAL, once all queues are dropped.
    ///
    /// # Errors
    /// What is still in use, in words.
    pub fn stop(self) -> Result<(), String> {
        let Self { devices, pool, eal, queues, .. } = self;
        drop(queues);
        let stopped = devices.with(|devices| {
            let stopped = devices.iter_mut().try_for_each(Device::stop);
            devices.clear();
            stopped
        });
        drop(pool);
        stopped.map_err(|error| error.to_string())?;
        eal.stop().map_err(|error| error.to_string())
    }
}

impl Devices {
    fn with<T>(&self, task: impl FnOnce(&mut Vec<Device>) -> T) -> T {
        // Calls on a device leave it whole, whatever happens.
        task(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what the driver of the port in this place counts; zeros if it does not, or has stopped.
    pub fn counters(&self, place: usize) -> DeviceReport {
        let counted = self.with(|devices| devices.get(place).and_then(|device| device.counters().ok()));
        let counted = counted.unwrap_or_default();
        DeviceReport {
            rx_missed: counted.rx_missed,
            rx_errors: counted.rx_errors,
            tx_errors: counted.tx_errors,
            no_mbuf: counted.rx_no_mbuf,
        }
    }

    /// Tells whether the port in this place has a carrier, as far as its driver knows: a vdev always has.
    pub fn link_up(&self, place: usize) -> bool {
        self.with(|devices| devices.get(place).is_none_or(|device| device.link().map_or(true, |link| link.up)))
    }

    /// Returns the name of the driver of the port in this place.
    pub fn driver(&self, place: usize) -> String {
        self.with(|devices| devices.get(place).map(|device| device.driver().to_owned()).unwrap_or_default())
    }
}
