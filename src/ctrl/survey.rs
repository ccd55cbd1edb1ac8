//! Adds up what the workers count, for listings.

use std::collections::BTreeMap;
use std::iter;
use std::net::SocketAddr;

use hashbrown::HashMap;

use super::accounts::Accounts;
use super::api::{
    ConnectionsReport, DeviceReport, Draining, HopReport, NeighborReport, Network, OutcomeReport, PortReport,
    PortState, RealReport, RealState, Report, RouteReport, ServiceReport, ServiceState, TableReport, WorkerReport,
};
use super::config::write::{self, Detail};
use super::config::{self, Config, Selector};
use super::diff::mac;
use super::health::book::Book;
use super::health::observe::Reading;
use super::routing::{Leg, Listed, Origin};
use crate::dataplane::clock::Now;
use crate::dataplane::sched::Candidate;
use crate::dataplane::service::{PortId, RealId, RealServer, Service};
use crate::dataplane::shared::Shared;
use crate::dataplane::snapshot::Snapshot;
use crate::dataplane::stats::{Counter, Outcome, PortStats};

/// What is added up, and what it is called.
pub struct Survey<'a> {
    /// The counters.
    pub shared: &'a Shared,
    /// What is configured, by id.
    pub snapshot: &'a Snapshot,
    /// What is configured, by name.
    pub config: &'a Config,
    /// From where services and real servers count, and their rates.
    pub accounts: &'a Accounts,
    /// Who is in the pool.
    pub health: &'a Book,
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
            announced: None,
        }
    }

    /// Tells what connections there are, and how much was forwarded.
    pub fn draining(&self) -> Draining {
        let ConnectionsReport { active, inactive, .. } = self.connections();
        let forwarded = Outcome::ALL.iter().filter(|outcome| outcome.name().starts_with("forwarded_"));
        let forwarded = forwarded.map(|outcome| self.outcome(*outcome)).sum();
        Draining { active, inactive, forwarded, ..Draining::default() }
    }

    /// Tells what is known of the links. `device` is as for a report.
    pub fn network(&self, device: impl Fn(usize) -> DeviceReport) -> Network {
        let own = self.config.ports.iter().map(|port| port.addresses.iter().map(ToString::to_string).collect());
        let twins_have_none = iter::repeat_with(Vec::new);
        let ports = self.ports(device).into_iter().zip(own.chain(twins_have_none));
        let ports = ports.map(|(report, addresses)| PortState { report, addresses }).collect();
        Network { ports, neighbors: self.neighbors() }
    }

    /// Tells of routes, and what their gateways are as neighbours.
    pub fn routes(&self, listed: &[Listed]) -> Vec<RouteReport> {
        let neighbors = self.shared.neighbors.list(self.now).into_iter();
        let states: HashMap<_, _> = neighbors.map(|known| ((known.port, known.address), known.state)).collect();
        let hop = |(leg, usable): (&Leg, &bool)| HopReport {
            port: self.port_name(leg.port.index()),
            via: leg.via,
            via_state: leg.via.and_then(|via| states.get(&(leg.port, via))).map(|state| state.name().to_owned()),
            weight: leg.weight,
            usable: *usable,
        };
        let report = listed.iter().map(|Listed { to, candidate, standing, usable }| {
            let told = match candidate.origin {
                Origin::Kernel { protocol, metric } => Some((config::protocol_name(protocol), metric)),
                Origin::Connected | Origin::Configured => None,
            };
            RouteReport {
                to: to.to_string(),
                origin: candidate.origin.name().to_owned(),
                metric: told.as_ref().map(|(_, metric)| *metric),
                protocol: told.map(|(protocol, _)| protocol),
                state: standing.name().to_owned(),
                hops: candidate.legs.iter().zip(usable).map(hop).collect(),
            }
        });
        report.collect()
    }

    fn port_name(&self, place: usize) -> String {
        self.config.ports.get(place).map(|port| port.name.clone()).unwrap_or_default()
    }

    fn connections(&self) -> ConnectionsReport {
        let all = (0..self.snapshot.sockets.len().max(self.snapshot.reals.len())).map(|id| RealId(id as u32));
        let [active, inactive, templates] =
            all.map(|id| self.shared.counts.connections(id)).fold([0; 3], |sum, real| {
                [
                    sum[0] + u64::from(real.active),
                    sum[1] + u64::from(real.inactive),
                    sum[2] + u64::from(real.persistent),
                ]
            });
        let (config::Director { max_connections, max_wide_connections, max_templates, .. }, shared) =
            (&self.config.director, self.shared);
        let wide = shared.counts.wide();
        let table = |name: &str, max: &usize, used, stashed| TableReport {
            name: name.to_owned(),
            max: *max as u64,
            used,
            stashed,
        };
        let narrow = (active + inactive).saturating_sub(wide);
        ConnectionsReport {
            active,
            inactive,
            tables: vec![
                table("connections", max_connections, narrow, shared.table.stashed()),
                table("wide_connections", max_wide_connections, wide, shared.wide.stashed()),
                table("templates", max_templates, templates, shared.templates.stashed()),
            ],
        }
    }

    fn ports(&self, device: impl Fn(usize) -> DeviceReport) -> Vec<PortReport> {
        let total = |place: usize, counter: fn(&PortStats) -> &Counter| {
            self.shared.workers.iter().map(|worker| counter(&worker.ports[place]).get()).sum()
        };
        let settings = &self.snapshot.ports;
        let ports = self.config.ports.iter().zip(settings.iter());
        let ports = ports.map(|(port, settings)| (port.name.clone(), &*port.device, settings));
        let twin = |(place, port, twin): (usize, &config::Port, _)| {
            Some((format!("{}:twin", port.name), twin, settings.get(place)?))
        };
        let lanes = ports.chain(self.config.twins().filter_map(twin)).enumerate();
        let report = lanes.map(|(place, (name, device_name, settings))| PortReport {
            name,
            device: device_name.to_owned(),
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
            evicted_templates: stats.evicted_templates.get(),
            without_template: stats.without_template.get(),
            stateless: stats.stateless.get(),
            outcomes: Outcome::ALL.iter().map(|outcome| (outcome.name().to_owned(), stats.outcome(*outcome))).collect(),
        });
        report.collect()
    }

    fn outcomes(&self) -> BTreeMap<String, OutcomeReport> {
        let all = Outcome::ALL.iter().map(|outcome| {
            (
                outcome.name().to_owned(),
                OutcomeReport { count: self.outcome(*outcome), text: outcome.text().to_owned() },
            )
        });
        all.collect()
    }

    fn outcome(&self, outcome: Outcome) -> u64 {
        self.shared.workers.iter().map(|stats| stats.outcome(outcome)).sum()
    }

    fn services(&self) -> Vec<ServiceReport> {
        let mut services: Vec<&Service> = self.snapshot.services.iter().flatten().map(|service| &**service).collect();
        services.sort_by_key(|service| service.selector);
        services.into_iter().map(|service| self.service(service)).collect()
    }

    /// The services as they are configured, in their order, with what is counted; or one of them.
    pub fn states(&self, only: Option<&Selector>) -> Vec<ServiceState> {
        let known: HashMap<Selector, &Service> =
            self.snapshot.services.iter().flatten().map(|service| (service.selector, &**service)).collect();
        let state = |service: &config::Service| {
            let report = known.get(&service.selector).map(|known| self.service(known));
            self.state(service, report.as_ref())
        };
        let asked = |selector: &Selector| only.is_none_or(|only| selector == only);
        self.config.services.iter().filter(|service| asked(&service.selector)).map(|service| state(service)).collect()
    }

    /// One service; a report is missing only while the first snapshot with it is being made.
    fn state(&self, service: &config::Service, report: Option<&ServiceReport>) -> ServiceState {
        let reals = report.iter().flat_map(|report| &report.reals);
        let counted: HashMap<SocketAddr, &RealReport> = reals.map(|real| (real.address, real)).collect();
        let real = |real: &config::Real| RealState {
            keys: write::real(real, service, Detail::Full),
            state: self.health.state(&(service.selector, real.address)),
            running_weight: counted.get(&real.address).map(|report| report.weight),
            stats: counted.get(&real.address).map(|report| (*report).into()).unwrap_or_default(),
        };
        ServiceState {
            keys: write::service(service, Detail::Full),
            stats: report.map(|report| report.traffic).unwrap_or_default(),
            rates: report.map(|report| report.rates).unwrap_or_default(),
            sorry_stats: report.and_then(|report| report.sorry_server.as_ref()).map(Into::into),
            real: service.reals.iter().map(real).collect(),
        }
    }

    fn service(&self, service: &Service) -> ServiceReport {
        let reals = service.reals.iter().filter_map(|real| Some((real, self.snapshot.real(real.id)?)));
        let (traffic, rates) = self.accounts.service(self.shared, service.id);
        ServiceReport {
            address: service.selector.to_string(),
            protocol: service.selector.protocol().to_lowercase(),
            scheduler: service.scheduler.to_string(),
            ops: service.one_packet,
            traffic,
            rates,
            reals: reals.map(|(candidate, real)| self.real(real, grown(candidate, real, service))).collect(),
            sorry_server: service.sorry.and_then(|id| self.snapshot.real(id)).map(|sorry| self.real(sorry, None)),
        }
    }

    fn real(&self, real: &RealServer, slow_start_percent: Option<u8>) -> RealReport {
        let connections = self.shared.counts.connections(real.id);
        let (traffic, rates) = self.accounts.real(self.shared, real.id);
        RealReport {
            address: real.address.to_socket(),
            forwarding: real.forwarding.to_string(),
            weight: real.weight,
            slow_start_percent,
            active: connections.active.into(),
            inactive: connections.inactive.into(),
            persistent: connections.persistent.into(),
            traffic,
            rates,
            openings: real.forwarding.answers_here().then(|| Reading::of(self.shared, real.id).into()),
        }
    }

    fn neighbors(&self) -> Vec<NeighborReport> {
        let listed = self.shared.neighbors.list(self.now).into_iter();
        let report = listed.map(|neighbor| NeighborReport {
            address: neighbor.address,
            mac: neighbor.mac.as_ref().map(mac),
            port: self.port_name(neighbor.port.index()),
            state: neighbor.state.name().to_owned(),
            age_seconds: neighbor.confirmed_seconds,
        });
        report.collect()
    }
}

/// How much of its weight a real server that starts slowly has, in percent; `None` for any other.
fn grown(candidate: &Candidate, real: &RealServer, service: &Service) -> Option<u8> {
    let (now, full) = (u32::from(candidate.weight), u32::from(real.weight) * u32::from(service.weight_factor));
    (now < full).then(|| (u64::from(now) * 100 / u64::from(full)) as u8)
}
