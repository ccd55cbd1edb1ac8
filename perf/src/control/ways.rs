//! Routes that change under ten thousand services: by the configuration, with a port's link, by what the host's kernel says.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::ensure;
use ipnet::{IpNet, Ipv4Net};
use millrace::ctrl::config::Config;
use millrace::ctrl::routing::learned::{Change, News, Side};
use millrace::ctrl::routing::{Candidate, Leg, Origin};
use millrace::dataplane::service::PortId;

use super::{Plan, Rig, at, head, median, millis};
use crate::record::Record;

/// The ports, as the file has them.
const LAN: PortId = PortId(0);
const WAN: PortId = PortId(1);

impl Plan {
    /// Routes of the host's kernel.
    fn mirrored(&self) -> u32 {
        self.services * 10
    }

    /// How often each kind of change is made.
    fn turns(&self) -> u32 {
        (self.changes / 10).max(10)
    }
}

/// Makes changes of each kind.
pub(super) fn measure(rig: &mut Rig, plan: Plan) -> anyhow::Result<Vec<Record>> {
    let mut records = vec![
        rig.ways("another default route", plan, |rig, n| {
            let config = rig.with_gateway(n);
            let applied = rig.applier.apply(&config, at(rig.clock));
            rig.loaded.config = config;
            Ok(applied?)
        })?,
        rig.ways("link of the default route", plan, |rig, n| rig.link(WAN, n))?,
        rig.ways("link of all real servers", plan, |rig, n| rig.link(LAN, n))?,
    ];
    let all = (0..plan.mirrored()).map(|n| (net(n), candidate(n))).collect();
    let start = Instant::now();
    rig.tell(News::All(all, Vec::new()))?;
    let record = head("routes of the host at once", plan).count("routes", plan.mirrored().into());
    records.push(record.number("total_ms", millis(start.elapsed())));
    let one = |rig: &mut Rig, n: u32| {
        let (to, candidate) = (net(plan.mirrored()), candidate(n / 2));
        let change =
            if n.is_multiple_of(2) { Change::Added(candidate, Side::Before) } else { Change::Removed(candidate) };
        rig.tell(News::Route(to, change))
    };
    records.push(rig.ways("one of them more or less", plan, one)?.count("routes", plan.mirrored().into()));
    let link = rig.ways("link of the default route, with them", plan, |rig, n| rig.link(WAN, n))?;
    records.push(link.count("routes", plan.mirrored().into()));
    Ok(records)
}

/// The nth of many prefixes.
fn net(n: u32) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::from_bits(0x1000_0000 + (n << 8)), 24).into()
}

/// A route by one of a few gateways.
fn candidate(n: u32) -> Candidate {
    let via = Some(Ipv4Addr::new(192, 0, 2, 10 + (n % 4) as u8).into());
    let origin = Origin::Kernel { protocol: 12, metric: 32 };
    Candidate { origin, legs: vec![Leg { port: WAN, via, weight: 1 }] }
}

impl Rig {
    /// Makes changes one after the other, and tells how long each took until it was published.
    fn ways(
        &mut self,
        name: &str,
        plan: Plan,
        change: impl Fn(&mut Self, u32) -> anyhow::Result<()>,
    ) -> anyhow::Result<Record> {
        let mut times = Vec::new();
        for n in 0..plan.turns() {
            let generation = self.viewer.current().generation;
            let start = Instant::now();
            change(self, n)?;
            times.push(millis(start.elapsed()));
            ensure!(self.viewer.current().generation == generation + 1, "one change is one snapshot");
            self.applier.tend(at(self.clock));
        }
        let longest = times.iter().copied().fold(0.0, f64::max);
        Ok(head(name, plan)
            .count("changes", plan.turns().into())
            .number("total_ms", median(&mut times))
            .number("total_max_ms", longest))
    }

    fn with_gateway(&self, n: u32) -> Config {
        let mut config = self.loaded.config.clone();
        for route in &mut config.routes {
            route.via = vec![Ipv4Addr::new(192, 0, 2, 1 + (n % 2 + 1) as u8).into()];
        }
        config
    }

    /// By turns without and with a link.
    fn link(&mut self, port: PortId, n: u32) -> anyhow::Result<()> {
        self.shared.set_carrier(port, !n.is_multiple_of(2));
        Ok(self.applier.reroute(&self.loaded.config, at(self.clock))?)
    }

    fn tell(&mut self, news: News) -> anyhow::Result<()> {
        self.applier.learn(vec![news]);
        Ok(self.applier.reroute(&self.loaded.config, at(self.clock))?)
    }
}
