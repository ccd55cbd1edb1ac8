//! What a configuration asks of this machine, looked at before any port is touched.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::Loaded;
use super::device::Device;
use super::source::ConfigError;

/// What there is on a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPU cores that the kernel lets this process use.
    pub cores: Vec<usize>,
    /// The kernel's network interfaces in this namespace.
    pub interfaces: Vec<String>,
    /// Where the kernel lists PCI devices.
    pub pci: PathBuf,
}

impl Machine {
    /// Looks at the machine this runs on.
    pub fn here() -> Self {
        // Not /sys/class/net: that shows the namespace in which /sys was mounted.
        let listed = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        let interfaces = listed.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned());
        Self { cores: cores(), interfaces: interfaces.collect(), pci: "/sys/bus/pci/devices".into() }
    }

    /// Checks that the workers' cores and the ports' devices exist.
    ///
    /// # Errors
    /// The first that does not, at its line.
    pub fn check(&self, loaded: &Loaded) -> Result<(), ConfigError> {
        let (config, source) = (&loaded.config, &loaded.source);
        for (place, core) in config.director.workers.iter().enumerate() {
            if !self.cores.contains(core) {
                let message = format!("core {core} is not one this process may use: {:?}", self.cores);
                return Err(source.error(format!("director.workers[{place}]"), message));
            }
        }
        for (place, port) in config.ports.iter().enumerate() {
            let device = Device::parse(&port.device);
            device
                .and_then(|device| self.has(&device))
                .map_err(|message| source.error(format!("port[{place}].device"), message))?;
        }
        Ok(())
    }

    fn has(&self, device: &Device<'_>) -> Result<(), String> {
        if device.is_pci() {
            return self.has_pci(&device.name);
        }
        if let Some(missing) = device.interfaces().iter().find(|name| !self.interfaces.iter().any(|is| is == *name)) {
            return Err(format!("there is no interface \"{missing}\" here"));
        }
        for file in ["rx_pcap", "rx_pcap_in"].iter().flat_map(|name| device.values(name)) {
            // A pipe will do, too.
            if !fs::metadata(file).is_ok_and(|found| !found.is_dir()) {
                return Err(format!("there is no file \"{file}\""));
            }
        }
        Ok(())
    }

    fn has_pci(&self, address: &str) -> Result<(), String> {
        let path = self.pci.join(address);
        if !path.exists() {
            return Err(format!("there is no PCI device {address}"));
        }
        let driver = fs::read_link(path.join("driver")).ok();
        let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        match driver {
            // These share the device with the kernel; the others must let go of it.
            Some(driver) if path.join("net").exists() && !driver.starts_with("mlx") && driver != "mana" => {
                Err(format!("{address} is the kernel's (driver {driver}): give it to DPDK with scripts/bind-nic"))
            }
            _ => Ok(()),
        }
    }
}

/// Asks the kernel for every core and looks which it gives (sched_setaffinity(2)). The mask that this thread happens to
/// have would not do: under `isolcpus=` it leaves out the isolated cores, which are there for the workers.
fn cores() -> Vec<usize> {
    let Ok(before) = sched_getaffinity(None) else { return Vec::new() };
    let mut every = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|core| every.set(core));
    let given = sched_setaffinity(None, &every).and_then(|()| sched_getaffinity(None)).unwrap_or(before);
    // It was allowed a moment ago.
    let _ = sched_setaffinity(None, &before);
    (0..CpuSet::MAX_CPU).filter(|core| given.is_set(*core)).collect()
}
