//! Adds up what the workers count, for listings.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::api::{
    ConnectionsReport, DeviceReport, NeighborReport, OutcomeReport, PortReport, RealReport, Report, ServiceReport,
    TrafficReport, WorkerReport,
};
use super::config::Config;
use super::diff::mac;
use crate::dataplane::clock::Now;
use crate::dataplane::service::{EndpointId, PortId, RealId, RealServer, Service};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::Snapshot;
use crate::dataplane::stats::{Counter, FlowStats, Outcome, PortStats};

/// What is added up, and what it is called.
pub struct Survey<'a> {
    /// The counters.
    pub shared: &'a Shared,
    /// What is configured, by id.
    pub snapshot: &'a Snapshot,
    /// What is configured, by name.
    pub config: &'a Config,
    /// The director's time.
    pub now: Now,
}

impl Survey<'_> {
    /// Adds everything up. `device` tells what a port's driver counts, by the port's place.
    pub fn report(&self, device: impl Fn(usize) -> DeviceReport) -> Report {
        let services = self.services();
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("MILLRACE_COMMIT").to_owned(),
            uptime_seconds: self.now.nanos() as f64 / 1e9,
            generation: self.snapshot.generation,
            connections: self.connections(),
            ports: self.ports(device),
            workers: self.workers(),
            services,
            outcomes: self.outcomes(),
            neighbors: self.neighbors(),
        }
    }

    fn connections(&self) -> ConnectionsReport {
        let all = (0..self.snapshot.sockets.len().max(self.snapshot.reals.len())).map(|id| RealId(id as u32));
        let (active, inactive) = all
            .map(|id| self.shared.counts.connections(id))
            .fold((0, 0), |sum, real| (sum.0 + u64::from(real.active), sum.1 + u64::from(real.inactive)));
        ConnectionsReport {
            max: self.config.director.max_connections as u64,
            active,
            inactive,
            stashed: self.shared.table.stashed() + self.shared.wide.stashed() + self.shared.templates.stashed(),
        }
    }

    fn ports(&self, device: impl Fn(usize) -> DeviceReport) -> Vec<PortReport> {
        let total = |place: usize, counter: fn(&PortStats) -> &Counter| {
            self.shared.workers.iter().map(|worker| counter(&worker.ports[place]).get()).sum()
        };
        let ports = self.config.ports.iter().zip(self.snapshot.ports.iter()).enumerate();
        let report = ports.map(|(place, (port, settings))| PortReport {
            name: port.name.clone(),
            device: port.device.clone(),
            mac: mac(&settings.mac),
            link_up: self.shared.carrier(PortId(place as u8)),
            mtu: settings.mtu,
            rx_frames: total(place, |port| &port.rx_frames),
            rx_octets: total(place, |port| &port.rx_octets),
            tx_frames: total(place, |port| &port.tx_frames),
            tx_octets: total(place, |port| &port.tx_octets),
            device_counters: device(place),
        });
        report.collect()
    }

    fn workers(&self) -> Vec<WorkerReport> {
        let workers = self.shared.workers.iter().enumerate();
        let report = workers.map(|(id, stats)| WorkerReport {
            id,
            core: self.config.director.workers.get(id).copied().unwrap_or_default(),
            received: stats.received(),
            bursts: stats.bursts.get(),
            empty_polls: stats.empty_polls.get(),
            waiting: stats.waiting.get(),
            evicted: stats.evicted.get(),
            without_template: stats.without_template.get(),
            stateless: stats.stateless.get(),
            outcomes: Outcome::ALL.iter().map(|outcome| (outcome.name().to_owned(), stats.outcome(*outcome))).collect(),
        });
        report.collect()
    }

    fn outcomes(&self) -> BTreeMap<String, OutcomeReport> {
        let count = |outcome: Outcome| self.shared.workers.iter().map(|stats| stats.outcome(outcome)).sum();
        let all = Outcome::ALL.iter().map(|outcome| {
            (outcome.name().to_owned(), OutcomeReport { count: count(*outcome), text: outcome.text().to_owned() })
        });
        all.collect()
    }

    fn services(&self) -> Vec<ServiceReport> {
        let mut services: Vec<&Service> = self.snapshot.services.iter().flatten().collect();
        services.sort_by_key(|service| (service.address, service.protocol));
        services.into_iter().map(|service| self.service(service)).collect()
    }

    fn service(&self, service: &Service) -> ServiceReport {
        let reals = service.reals.iter().filter_map(|real| self.snapshot.real(real.id));
        ServiceReport {
            address: SocketAddr::V4(service.address),
            protocol: service.protocol.to_string().to_lowercase(),
            scheduler: service.scheduler.to_string(),
            traffic: self.service_traffic(service.id),
            reals: reals.map(|real| self.real(real)).collect(),
        }
    }

    fn real(&self, real: &RealServer) -> RealReport {
        let connections = self.shared.counts.connections(real.id);
        RealReport {
            address: SocketAddr::V4(real.address),
            forwarding: real.forwarding.to_string(),
            weight: real.weight,
            active: connections.active.into(),
            inactive: connections.inactive.into(),
            persistent: connections.persistent.into(),
            traffic: self.real_traffic(real.id),
        }
    }

    fn service_traffic(&self, id: EndpointId) -> TrafficReport {
        traffic(self.shared.workers.iter().map(|worker| &worker.services[id.index()]))
    }

    fn real_traffic(&self, id: RealId) -> TrafficReport {
        traffic(self.shared.workers.iter().map(|worker| &worker.reals[id.index()]))
    }

    fn neighbors(&self) -> Vec<NeighborReport> {
        let listed = self.shared.neighbors.list(self.now).into_iter();
        let report = listed.map(|neighbor| NeighborReport {
            address: IpAddr::V4(neighbor.address),
            mac: neighbor.mac.as_ref().map(mac),
            port: self.config.ports.get(neighbor.port.index()).map(|port| port.name.clone()).unwrap_or_default(),
            state: neighbor.state.to_owned(),
            age_seconds: neighbor.confirmed_seconds,
        });
        report.collect()
    }
}

fn traffic<'a>(flows: impl Iterator<Item = &'a FlowStats>) -> TrafficReport {
    flows.fold(TrafficReport::default(), |sum, flow| TrafficReport {
        connections: sum.connections + flow.connections.get(),
        in_packets: sum.in_packets + flow.in_packets.get(),
        in_octets: sum.in_octets + flow.in_octets.get(),
        out_packets: sum.out_packets + flow.out_packets.get(),
        out_octets: sum.out_octets + flow.out_octets.get(),
    })
}
