//! The table within a whole worker: packets that belong to no connection, and a listing meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use millrace::ctrl::connections::Scan;
use millrace::dataplane::port::dpdk::Pool;
use millrace::dataplane::stats::Outcome;

use crate::forward::Case;
use crate::forward::director::Director;
use crate::forward::port::Order;
use crate::forward::traffic::Segment;
use crate::record::Record;
use crate::sampling::{Samples, on_core, other_core};

/// A sample, and before it, untimed.
const SAMPLE: Duration = Duration::from_millis(25);
const WARM_UP: Duration = Duration::from_millis(2);

/// Flows that never open are numbered up to here.
const STRANGERS: u32 = 1 << 31;

/// Opens `flows` connections by direct routing and measures.
pub fn measure(flows: u32, core: usize, pool: &Pool, rounds: usize) -> anyhow::Result<Vec<Record>> {
    let mut director = Director::new(Case::Dr, flows, pool)?;
    let mut records = vec![mid_stream(&mut director, flows, rounds)?];
    records.extend(listing(&mut director, flows, core)?);
    Ok(records)
}

/// Segments of connections that the director never saw open, as many as a worker can drop.
fn mid_stream(director: &mut Director, flows: u32, rounds: usize) -> anyhow::Result<Record> {
    let (mut own, mut strange) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        for (order, outcome, samples) in [
            (Order::Random(flows), Outcome::ForwardedDirect, &mut own),
            (Order::Between(flows, STRANGERS), Outcome::DropNoConnection, &mut strange),
        ] {
            director.arm(Segment::Ack, order);
            director.run(WARM_UP);
            let before = director.shared().workers[0].outcome(outcome);
            let sample = director.run(SAMPLE);
            let ended = director.shared().workers[0].outcome(outcome) - before;
            ensure!(ended == sample.packets, "{ended} of {} packets ended as {}", sample.packets, outcome.name());
            samples.push(sample);
        }
    }
    let record = Record::new("mid-stream-flood", flows).samples(&strange);
    Ok(record.number("ns_of_established", own.best()).number("ns_of_established_median", own.median()))
}

/// While a listing is asked for, and while not.
const TURN: Duration = Duration::from_millis(100);

/// Lists all connections, as often as the worker gets a turn beside it as without it.
fn listing(director: &mut Director, flows: u32, core: usize) -> anyhow::Result<Option<Record>> {
    let Some(other) = other_core(core)? else {
        eprintln!("perf/run: the listing is left out: it needs a core beside the worker's");
        return Ok(None);
    };
    director.arm(Segment::Ack, Order::Random(flows));
    let (mut alone, mut beside) = (Samples::default(), Samples::default());
    let list = Listing::default();
    let mut scan = director.scan();
    thread::scope(|scope| {
        let lister = scope.spawn(|| {
            on_core(other)?;
            list.walk(&mut scan)
        });
        while !lister.is_finished() {
            for (samples, asked) in [(&mut beside, true), (&mut alone, false)] {
                list.asked.store(asked, Ordering::Relaxed);
                director.run(WARM_UP * 5);
                samples.push(director.run(TURN));
            }
        }
        lister.join().map_err(|_| anyhow::anyhow!("the lister panicked"))?
    })?;
    let listed = list.listed.load(Ordering::Relaxed);
    ensure!(listed == u64::from(flows), "{listed} connections are listed of {flows}");
    let nanos = list.nanos.load(Ordering::Relaxed) as f64 / listed as f64;
    Ok(Some(
        Record::new("table-listing", flows)
            .number("ns_a_connection_listed", nanos)
            .number("ns_per_packet", beside.best())
            .number("ns_per_packet_median", beside.median())
            .number("ns_alone", alone.best())
            .number("ns_alone_median", alone.median())
            .number("loss", 1.0 - alone.best() / beside.best())
            .number("loss_median", 1.0 - alone.median() / beside.median())
            .count("samples", beside.len() as u64),
    ))
}

/// A listing that goes on while it is asked for.
#[derive(Default)]
struct Listing {
    asked: AtomicBool,
    listed: AtomicU64,
    nanos: AtomicU64,
}

impl Listing {
    /// Walks to the end and writes each connection as the API does: one JSON object a line.
    fn walk(&self, scan: &mut Scan) -> anyhow::Result<()> {
        loop {
            if !self.asked.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(200));
                continue;
            }
            let start = Instant::now();
            let Some(reports) = scan.next() else { return Ok(()) };
            let mut lines = Vec::new();
            for report in &reports {
                serde_json::to_writer(&mut lines, report)?;
                lines.push(b'\n');
            }
            std::hint::black_box(&lines);
            self.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            self.listed.fetch_add(reports.len() as u64, Ordering::Relaxed);
        }
    }
}
