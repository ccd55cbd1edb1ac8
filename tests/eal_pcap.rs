//! net_pcap: a capture's frames and time stamps come in, and what is sent is in the other capture.
#![cfg(feature = "dpdk")]

mod dpdk;

use std::fs;
use std::path::PathBuf;

use millrace::dataplane::port::dpdk::{Pool, PoolConfig};
use millrace::dataplane::port::{Burst, Frame, Port};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Writes a capture (draft-ietf-opsawg-pcap §4, §5): a header of 24 octets, then each frame behind one of 16.
fn capture(magic: u32, frames: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [magic, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (seconds, fraction, octets) in frames {
        for word in [*seconds, *fraction, octets.len() as u32, octets.len() as u32] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(octets);
    }
    file
}

/// Reads the frames of a capture, whatever its time stamps.
fn frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[24..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(rest[16..16 + len].to_vec());
        rest = &rest[16 + len..];
    }
    frames
}

#[test]
fn captures_in_and_out() {
    let dir = std::env::temp_dir().join(format!("millrace-eal-pcap-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let path = |name: &str| -> PathBuf { dir.join(name) };
    let inputs = [
        ("micro", capture(MICROSECONDS, &[(1_700_000_000, 1, vec![1; 60]), (1_700_000_001, 999_999, vec![2; 1514])])),
        ("nano", capture(NANOSECONDS, &[(7, 5_000, vec![3; 60]), (8, 999_999_000, vec![4; 5000])])),
    ];
    let mut devices = Vec::new();
    for (number, (name, octets)) in inputs.iter().enumerate() {
        fs::write(path(name), octets).unwrap();
        let (rx, tx) = (path(name), path(&format!("{name}.out")));
        devices.push(format!("net_pcap{number},rx_pcap={},tx_pcap={}", rx.display(), tx.display()));
    }
    let eal = dpdk::start(&devices, 0);
    let pool = Pool::new(&eal, PoolConfig { frames: 511, ..PoolConfig::default() }).unwrap();

    let (micro, mut queue) = dpdk::open(&eal, &devices[0], &pool);
    let mut burst = Burst::new();
    assert_eq!(queue.receive(&mut burst), 2);
    assert_eq!(queue.receive(&mut burst), 0, "the capture is drained");
    assert_eq!(burst[0].timestamp(), Some(1_700_000_000_000_001_000));
    assert_eq!(burst[1].timestamp(), Some(1_700_000_001_999_999_000));
    assert_eq!(burst[1].bytes(), [2; 1514]);
    burst[0].prepend(4).unwrap()[..4].copy_from_slice(b"head");
    burst[1].trim_front(1500).unwrap();
    assert_eq!(queue.send(&mut burst), 2);
    let counters = micro.counters().unwrap();
    assert_eq!((counters.rx_frames, counters.rx_octets, counters.tx_frames), (2, 1574, 2));
    drop((queue, micro));
    let sent = frames(&fs::read(path("micro.out")).unwrap());
    assert_eq!(sent, [[b"head".as_slice(), &[1; 60]].concat(), vec![2; 14]]);

    let (nano, mut queue) = dpdk::open(&eal, &devices[1], &pool);
    assert_eq!(queue.receive(&mut burst), 2);
    assert_eq!(burst[0].timestamp(), Some(7_000_005_000));
    assert_eq!(burst[1].timestamp(), Some(8_999_999_000));
    assert!(burst[0].is_contiguous());
    assert!(!burst[1].is_contiguous(), "5,000 octets in buffers of 2,048");
    assert!(burst[1].bytes().len() < 5000 && burst[1].set_len(60).is_none());
    queue.free(&mut burst);
    assert_eq!(pool.in_use(), 0, "all segments are back");

    drop((queue, nano, pool));
    assert!(eal.stop().is_ok());
    fs::remove_dir_all(dir).unwrap();
}
