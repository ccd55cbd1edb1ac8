//! Two workers with a queue each on one net_pcap port, as `replay --workers 2` has it: each receives its own capture, in
//! order, and sends into a capture of its own.
#![cfg(feature = "dpdk")]

mod dpdk;

use std::fs;
use std::path::Path;

use millrace::dataplane::port::dpdk::{Device, DeviceConfig, DeviceError, DpdkQueue, Pool, PoolConfig};
use millrace::dataplane::port::{Burst, Frame, Port};

const WORKERS: u16 = 2;
const FRAMES: usize = 500;

/// Writes a capture of frames whose first octets are `worker` and their number.
fn write_capture(path: &Path, worker: u8) {
    let mut file: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for number in 0..FRAMES as u16 {
        file.extend([0_u32, 0, 60, 60].map(u32::to_le_bytes).concat());
        let [high, low] = number.to_be_bytes();
        file.extend([worker, high, low]);
        file.extend([0; 57]);
    }
    fs::write(path, file).unwrap();
}

/// Sends on whatever arrives until the capture is drained; returns how many frames, and whether all were the worker's.
fn forward(worker: u8, mut queue: DpdkQueue) -> (usize, bool) {
    let (mut count, mut own, mut burst) = (0, true, Burst::new());
    while queue.receive(&mut burst) > 0 {
        for frame in &burst {
            let octets = frame.bytes();
            own &= octets[0] == worker && usize::from(u16::from_be_bytes([octets[1], octets[2]])) == count;
            count += 1;
        }
        queue.send(&mut burst);
        assert!(burst.is_empty(), "a file takes everything");
    }
    (count, own)
}

#[test]
fn two_workers_on_one_port() {
    let dir = std::env::temp_dir().join(format!("millrace-eal-workers-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut device = "net_pcap0".to_owned();
    for worker in 0..WORKERS {
        let (rx, tx) = (dir.join(format!("{worker}.in")), dir.join(format!("{worker}.out")));
        write_capture(&rx, worker as u8);
        device += &format!(",rx_pcap={},tx_pcap={}", rx.display(), tx.display());
    }
    let eal = dpdk::start(std::slice::from_ref(&device), usize::from(WORKERS));
    let pool = Pool::new(&eal, PoolConfig { frames: 2047, ..PoolConfig::default() }).unwrap();
    let mut port = Device::open(&eal, &device).unwrap();
    assert_eq!(port.max_queues(), WORKERS);
    let too_many = DeviceConfig { queues: WORKERS + 1, ..DeviceConfig::default() };
    let error = port.start(&too_many, &pool).unwrap_err();
    let expected = "net_pcap0: 3 workers need as many queue pairs, and it has 2 to receive and 2 to send";
    assert_eq!(error.to_string(), expected);

    let jumbo = DeviceConfig { mtu: 9000, ..DeviceConfig::default() };
    assert!(matches!(port.start(&jumbo, &pool), Err(DeviceError::SmallMbufs { mtu: 9000, room: 2048, .. })));

    let queues = port.start(&DeviceConfig { queues: WORKERS, ..DeviceConfig::default() }, &pool).unwrap();
    assert!(matches!(port.stop(), Err(DeviceError::QueuesInUse { queues: 2, .. })));
    let jobs: Vec<_> = (0..WORKERS)
        .zip(queues)
        .map(|(worker, queue)| eal.launch(usize::from(worker), move || forward(worker as u8, queue)).unwrap())
        .collect();
    for job in jobs {
        assert_eq!(job.join().unwrap(), (FRAMES, true));
    }
    port.stop().unwrap();
    let counters = port.counters().unwrap();
    let all = u64::from(WORKERS) * FRAMES as u64;
    assert_eq!((counters.rx_frames, counters.tx_frames, counters.tx_octets), (all, all, all * 60));
    drop(port);
    for worker in 0..WORKERS {
        let (sent, given) = (dir.join(format!("{worker}.out")), dir.join(format!("{worker}.in")));
        assert_eq!(fs::metadata(sent).unwrap().len(), fs::metadata(given).unwrap().len());
    }
    assert_eq!(pool.in_use(), 0);
    drop(pool);
    assert!(eal.stop().is_ok());
    fs::remove_dir_all(dir).unwrap();
}
