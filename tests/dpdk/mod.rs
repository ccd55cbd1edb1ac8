//! An EAL for tests: ordinary memory, no cards, nothing shared, no root. It starts once in a process, so every
//! test of it is a file of its own with one test in it.

use millrace::dataplane::port::dpdk::{Device, DeviceConfig, DpdkQueue, Eal, EalArgs, Pool};

/// Starts an EAL with these devices and `workers` workers, all on core 0.
pub fn start(devices: &[String], workers: usize) -> Eal {
    let extra = ["--no-huge", "--no-shconf", "--no-telemetry", "-m", "64", "--log-level=lib.eal:error"];
    Eal::start(&EalArgs {
        devices: devices.to_vec(),
        main_core: 0,
        worker_cores: vec![0; workers],
        memory_mib: 64,
        extra: extra.map(str::to_owned).to_vec(),
    })
    .expect("the EAL starts without hugepages and root")
}

/// Opens a device and starts it with one queue pair.
#[allow(dead_code, reason = "one test sets up its device itself")]
pub fn open(eal: &Eal, name: &str, pool: &Pool) -> (Device, DpdkQueue) {
    let mut device = Device::open(eal, name).expect("the EAL was started with it");
    let mut queues = device.start(&DeviceConfig::default(), pool).expect("it starts");
    (device, queues.pop().expect("one queue pair was asked for"))
}
