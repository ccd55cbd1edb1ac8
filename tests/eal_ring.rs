//! Mbufs, pools, queues, workers and who outlives whom, over net_ring: what is sent on a ring comes back from it.
#![cfg(feature = "dpdk")]

mod dpdk;

use millrace::dataplane::port::dpdk::{
    Device, DeviceConfig, DeviceError, DpdkQueue, Eal, EalArgs, EalError, LaunchError, Mbuf, Pool, PoolConfig,
    PoolError, StopError,
};
use millrace::dataplane::port::{BURST, Burst, Frame, HEADROOM, Port, RxChecksum};

const FRAMES: u32 = 2047;
const ROOM: usize = 2048;

#[test]
fn mbufs_and_queues() {
    assert!(Eal::version().starts_with("DPDK "));
    let eal = dpdk::start(&["net_ring0".into(), "net_null0".into()], 2);
    assert!(matches!(Eal::start(&EalArgs::default()), Err(EalError::AlreadyStarted)));
    assert!(!eal.captures());
    let config = PoolConfig { frames: FRAMES, room: ROOM as u16, sole: true, ..PoolConfig::default() };
    let pool = Pool::new(&eal, config).unwrap();
    assert_eq!(Pool::new(&eal, config).unwrap_err(), PoolError::NotSole);

    a_fresh_mbuf_has_headroom_and_grows(&pool);
    the_front_moves_both_ways(&pool);
    an_exhausted_pool_refuses(&pool);
    devices_are_found_once(&eal, &pool);
    let (mut ring, queue) = dpdk::open(&eal, "net_ring0", &pool);
    queue_errors_are_told(&mut ring);
    let queue = frames_come_back_in_order(queue, &pool);
    a_full_ring_takes_what_it_can(&eal, queue, &pool);
    workers_run_on_lcores(&eal);

    assert_eq!(pool.in_use(), 0, "no mbuf leaks");
    let eal = nothing_is_pulled_from_under_its_user(eal, ring, pool);
    assert!(eal.stop().is_ok());
}

fn a_fresh_mbuf_has_headroom_and_grows(pool: &Pool) {
    let mut mbuf = pool.allocate().unwrap();
    assert_eq!(pool.in_use(), 1);
    assert!(mbuf.bytes().is_empty());
    assert!(mbuf.is_contiguous());
    assert_eq!(mbuf.rx_checksum(), RxChecksum::Unknown);
    assert_eq!(mbuf.timestamp(), None);
    assert!(mbuf.set_len(ROOM + 1).is_none());
    assert!(mbuf.set_len(70_000).is_none());
    assert_eq!(mbuf.set_len(ROOM).unwrap().len(), ROOM);
    mbuf.bytes_mut().fill(7);
    assert_eq!(mbuf.set_len(60).unwrap(), [7; 60]);
    mbuf.prefetch();
    assert!(mbuf.prepend(HEADROOM + 1).is_none());
    assert_eq!(mbuf.prepend(HEADROOM).unwrap().len(), HEADROOM + 60);
    assert!(mbuf.prepend(1).is_none());
    drop(mbuf);
    assert_eq!(pool.in_use(), 0);
}

fn the_front_moves_both_ways(pool: &Pool) {
    let mut mbuf = pool.allocate().unwrap();
    mbuf.set_len(8).unwrap().copy_from_slice(b"abcdefgh");
    assert_eq!(mbuf.trim_front(3).unwrap(), b"defgh");
    assert!(mbuf.trim_front(6).is_none());
    assert!(mbuf.trim_front(70_000).is_none());
    assert_eq!(mbuf.bytes(), b"defgh");
    mbuf.prepend(2).unwrap()[..2].copy_from_slice(b"XY");
    assert_eq!(mbuf.bytes(), b"XYdefgh");
    assert_eq!(mbuf.trim_front(7).unwrap(), b"");
    assert!(mbuf.prepend(70_000).is_none());
}

fn an_exhausted_pool_refuses(pool: &Pool) {
    let mut bursts: Vec<Burst<Mbuf>> = Vec::new();
    loop {
        let mut burst = Burst::new();
        if !pool.allocate_burst(BURST, &mut burst) {
            assert!(burst.is_empty(), "all or none");
            break;
        }
        assert_eq!(burst.len(), BURST);
        assert!(pool.allocate_burst(1, &mut burst), "a full burst takes none more");
        bursts.push(burst);
    }
    let singles: Vec<Mbuf> = std::iter::from_fn(|| pool.allocate()).collect();
    assert_eq!(bursts.len() * BURST + singles.len(), FRAMES as usize);
    assert_eq!(pool.in_use(), FRAMES);
    // Freed on another thread, which is no lcore and has no cache.
    let free = move || {
        bursts.iter_mut().for_each(Mbuf::free_burst);
        drop(singles);
        assert!(bursts.iter().all(|burst| burst.is_empty()));
    };
    std::thread::spawn(free).join().unwrap();
    assert_eq!(pool.in_use(), 0);
}

fn devices_are_found_once(eal: &Eal, pool: &Pool) {
    let error = Device::open(eal, "net_ring7").unwrap_err();
    assert_eq!(error.to_string(), "net_ring7: not found; the EAL said why on standard error");
    let mut null = Device::open(eal, "net_null0").unwrap();
    assert_eq!(null.driver(), "net_null");
    assert!(matches!(Device::open(eal, "net_null0"), Err(DeviceError::Taken { .. })));
    let too_many = DeviceConfig { queues: 2, ..DeviceConfig::default() };
    if null.max_queues() < 2 {
        let error = null.start(&too_many, pool).unwrap_err();
        assert!(error.to_string().starts_with("net_null0: 2 workers need as many queue pairs"), "{error}");
    }
    let mac = Some([2, 0, 0, 0, 0, 1]);
    let queues = null.start(&DeviceConfig { mac, promiscuous: true, ..DeviceConfig::default() }, pool).unwrap();
    assert_eq!(null.mac().ok(), mac);
    assert!(null.link().unwrap().up);
    drop(queues);
}

fn queue_errors_are_told(ring: &mut Device) {
    assert!(matches!(ring.stop(), Err(DeviceError::QueuesInUse { queues: 1, .. })));
}

fn frames_come_back_in_order(mut queue: DpdkQueue, pool: &Pool) -> DpdkQueue {
    let mut burst = Burst::new();
    assert!(pool.allocate_burst(3, &mut burst));
    for (n, mbuf) in burst.iter_mut().enumerate() {
        mbuf.set_len(60).unwrap().fill(n as u8);
    }
    assert_eq!(queue.send(&mut burst), 3);
    assert!(burst.is_empty());
    burst.push(queue.allocate().unwrap());
    assert_eq!(queue.receive(&mut burst), 3);
    assert_eq!(queue.receive(&mut burst), 0);
    let first: Vec<_> = burst.iter().map(|mbuf| mbuf.bytes().first().copied()).collect();
    assert_eq!(first, [None, Some(0), Some(1), Some(2)]);
    queue.free(&mut burst);
    assert!(burst.is_empty());
    assert_eq!(pool.in_use(), 0);
    queue
}

/// The driver's ring has 1,024 places, of which it uses one less.
fn a_full_ring_takes_what_it_can(eal: &Eal, queue: DpdkQueue, pool: &Pool) {
    let pool = pool.clone();
    let job = eal.launch(1, move || {
        let (mut queue, mut burst, mut sent) = (queue, Burst::new(), 0);
        while pool.allocate_burst(7, &mut burst) {
            for (n, mbuf) in burst.iter_mut().enumerate() {
                mbuf.set_len(60).unwrap().fill(n as u8);
            }
            sent += queue.send(&mut burst);
            if !burst.is_empty() {
                // The first of those left follows the last one sent.
                assert_eq!(usize::from(burst[0].bytes()[0]), 7 - burst.len());
                break;
            }
        }
        drop(burst);
        let (mut back, mut burst) = (0, Burst::new());
        while queue.receive(&mut burst) > 0 {
            back += burst.len();
            queue.free(&mut burst);
        }
        (sent, back)
    });
    let (sent, back) = job.unwrap().join().unwrap();
    assert_eq!((sent, back), (1023, 1023));
}

fn workers_run_on_lcores(eal: &Eal) {
    assert_eq!(eal.launch(2, || ()).unwrap_err(), LaunchError::NoSuchWorker(2));
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let busy = eal.launch(0, move || hold.recv().is_err()).unwrap();
    assert!(!busy.is_finished());
    assert!(matches!(eal.launch(0, || ()), Err(LaunchError::Refused(0, _))));
    assert_eq!(eal.launch(1, || 6 * 7).unwrap().join().unwrap(), 42);
    drop(release);
    assert!(busy.join().unwrap());
    let panic = eal.launch(0, || std::panic::resume_unwind(Box::new("on purpose"))).unwrap().join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!(eal.launch(0, || 1).unwrap().join().unwrap(), 1, "a worker survives a job's panic");
}

fn nothing_is_pulled_from_under_its_user(eal: Eal, mut ring: Device, pool: Pool) -> Eal {
    assert_eq!(ring.stop(), Ok(()));
    assert_eq!(ring.stop(), Ok(()), "stopping twice is harmless");
    assert!(matches!(ring.start(&DeviceConfig::default(), &pool), Err(DeviceError::StartedBefore { .. })));
    let refused = eal.stop().unwrap_err();
    assert_eq!(refused.reason, StopError::InUse(2), "a device and a pool");
    drop(ring);
    let mbuf = pool.allocate().unwrap();
    drop(pool);
    let refused = refused.eal.stop().unwrap_err();
    assert_eq!(refused.reason, StopError::MbufsInUse(1));
    drop(mbuf);
    refused.eal
}
