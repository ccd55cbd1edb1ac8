//! What a director says about itself, for Prometheus: `GET /metrics`, in the text format 0.0.4.
//!
//! Names follow Prometheus's conventions: base units, `_total` for what only grows, labels for what there are several of. Octets
//! are counted as in [`Report`]: of services and real servers the IP packet, of ports the frame without its check sequence.
//!
//! | label | is |
//! |---|---|
//! | `service`, `protocol` | a virtual service, as [`ServiceReport::address`] and [`ServiceReport::protocol`] |
//! | `real` | a real server, RIP and port; `role` tells `real` from `sorry`, the service's sorry server |
//! | `port`, `worker`, `table` | the port's name, the worker's number, the table's name |
//! | `outcome` | how a frame ended, as `millrace stats` names it |

use std::{iter, mem, slice};

use arrayvec::ArrayVec;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::health::{HealthReport, ServerHealth};
use super::report::{
    Announced, OpeningsReport, PortReport, RealReport, Report, ServiceReport, TableReport, TrafficReport, WorkerReport,
};
use crate::ctrl::health::book::State;
use crate::dataplane::neigh;

/// What the text is.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

type Labels<'a> = ArrayVec<(&'static str, &'a str), 5>;

/// A metric of a `T`: its name, its help text, and its value.
struct Figure<T> {
    name: &'static str,
    help: &'static str,
    of: fn(&T) -> u64,
}

const fn figure<T>(name: &'static str, help: &'static str, of: fn(&T) -> u64) -> Figure<T> {
    Figure { name, help, of }
}

const TABLES: &[Figure<TableReport>] = &[
    figure("millrace_table_entries", "Entries that a connection table holds.", |table| table.used),
    figure("millrace_table_capacity", "Entries that a connection table is sized for.", |table| table.max),
    figure(
        "millrace_table_stashed",
        "Entries of a connection table that found no place in their own lines.",
        |table| table.stashed,
    ),
];

const PORTS: &[Figure<PortReport>] = &[
    figure("millrace_port_receive_frames_total", "Frames that workers received by a port.", |port| port.rx_frames),
    figure("millrace_port_receive_bytes_total", "Octets that workers received by a port.", |port| port.rx_octets),
    figure("millrace_port_transmit_frames_total", "Frames that a port's transmit queues took.", |port| port.tx_frames),
    figure("millrace_port_transmit_bytes_total", "Octets that a port's transmit queues took.", |port| port.tx_octets),
    figure("millrace_port_receive_missed_total", "Frames dropped because a port's receive queue was full.", |port| {
        port.device_counters.rx_missed
    }),
    figure("millrace_port_receive_errors_total", "Frames that a port received with an error.", |port| {
        port.device_counters.rx_errors
    }),
    figure("millrace_port_transmit_errors_total", "Frames that a port could not send.", |port| {
        port.device_counters.tx_errors
    }),
    figure("millrace_port_no_buffer_total", "Frames dropped by a port because no buffer was free.", |port| {
        port.device_counters.no_mbuf
    }),
];

const PORT_STATES: &[Figure<PortReport>] = &[
    figure("millrace_port_up", "Whether a port has carrier.", |port| port.link_up.into()),
    figure("millrace_port_mtu_bytes", "The largest IP packet sent from a port.", |port| port.mtu.into()),
];

const WORKERS: &[Figure<WorkerReport>] = &[
    figure("millrace_worker_receive_frames_total", "Frames that a worker received.", |worker| worker.received),
    figure(
        "millrace_worker_evicted_connections_total",
        "Connections that never came to life and gave way.",
        |worker| worker.evicted,
    ),
    figure("millrace_worker_evicted_templates_total", "Persistence templates that gave way.", |worker| {
        worker.evicted_templates
    }),
    figure(
        "millrace_worker_untemplated_connections_total",
        "Connections for whose templates there was no room.",
        |worker| worker.without_template,
    ),
    figure("millrace_worker_stateless_packets_total", "Packets forwarded without a stored connection.", |worker| {
        worker.stateless
    }),
];

/// Of services and of real servers: the ends of the names, the beginnings of the texts.
const TRAFFIC: &[Figure<TrafficReport>] = &[
    figure("connections_total", "Connections scheduled", |traffic| traffic.connections),
    figure("receive_packets_total", "Packets from clients", |traffic| traffic.in_packets),
    figure("receive_bytes_total", "Octets from clients", |traffic| traffic.in_octets),
    figure("transmit_packets_total", "Packets to clients that passed the director", |traffic| traffic.out_packets),
    figure("transmit_bytes_total", "Octets to clients that passed the director", |traffic| traffic.out_octets),
];

/// Writes a report as metrics; returns the text in pieces, of which one is a whole metric at least.
///
/// With a hundred thousand real servers it has a hundred million octets, so what it takes to write it is small and used again:
/// the workers' cores share the last cache and the memory with whoever writes.
pub fn exposition(report: &Report, health: &HealthReport) -> Vec<Vec<u8>> {
    let mut page = Page(Vec::new());
    page.director(report);
    page.tables(report);
    page.ports(report);
    page.workers(report);
    page.services(report);
    page.reals(report);
    page.health(health);
    page.0.retain(|text| !text.is_empty());
    page.0
}

/// So many samples are made ready at a time.
const PIECE: usize = 256;

/// One metric, as far as it is written; nothing without a sample.
struct Series {
    kind: MetricType,
    name: String,
    help: String,
    text: Vec<u8>,
}

impl Series {
    fn new(kind: MetricType, (name, help): (&str, &str)) -> Self {
        Self { kind, name: name.to_owned(), help: help.to_owned(), text: Vec::new() }
    }

    /// Writes a value for each of `metrics`, which can then be given those of another series.
    fn write(&mut self, metrics: &mut Vec<Metric>, values: impl Iterator<Item = f64>) {
        if metrics.is_empty() {
            return;
        }
        for (metric, value) in metrics.iter_mut().zip(values) {
            set(metric, self.kind, value);
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.clone());
        family.set_help(self.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(mem::take(metrics));
        let start = self.text.len();
        // It has a name and metrics, and a vector takes every octet: there is nothing to fail.
        let _ = TextEncoder::new().encode(slice::from_ref(&family), &mut self.text);
        *metrics = family.take_metric();
        if start > 0 {
            let head = head(&self.text[start..]);
            self.text.drain(start..start + head);
        }
    }
}

/// How long the two lines are that come before a metric's samples: what it is for and of what type.
fn head(text: &[u8]) -> usize {
    text.split_inclusive(|octet| *octet == b'\n').take_while(|line| line.starts_with(b"# ")).map(<[u8]>::len).sum()
}

/// The text so far, by metric.
struct Page(Vec<Vec<u8>>);

impl Page {
    /// Writes one metric with all its samples.
    fn add<'a>(&mut self, kind: MetricType, name: (&str, &str), mut samples: impl Iterator<Item = (Labels<'a>, f64)>) {
        let mut series = Series::new(kind, name);
        loop {
            let some = samples.by_ref().take(PIECE).map(|(labels, value)| (metric(&labels), value));
            let (mut metrics, values): (Vec<_>, Vec<_>) = some.unzip();
            if metrics.is_empty() {
                break;
            }
            series.write(&mut metrics, values.into_iter());
        }
        self.0.push(series.text);
    }

    fn counter<'a>(&mut self, name: (&str, &str), samples: impl Iterator<Item = (Labels<'a>, u64)>) {
        self.add(MetricType::COUNTER, name, samples.map(|(labels, value)| (labels, value as f64)));
    }

    fn gauge<'a>(&mut self, name: (&str, &str), samples: impl Iterator<Item = (Labels<'a>, f64)>) {
        self.add(MetricType::GAUGE, name, samples);
    }

    fn one(&mut self, name: (&str, &str), value: f64) {
        self.gauge(name, iter::once((Labels::default(), value)));
    }

    fn director(&mut self, report: &Report) {
        let build = labels([("version", &report.version), ("commit", &report.commit)]);
        self.gauge(("millrace_build_info", "The program that runs; always 1."), iter::once((build, 1.0)));
        self.one(("millrace_uptime_seconds", "Seconds since the start."), report.uptime_seconds);
        let help = "Counts what was published to the workers: configurations and steps of slow starts.";
        self.one(("millrace_generation", help), report.generation as f64);
        let states = [("active", report.connections.active), ("inactive", report.connections.inactive)];
        let states = states.into_iter().map(|(state, count)| (labels([("state", state)]), count as f64));
        self.gauge(("millrace_connections", "Connections that there are, as ipvsadm tells them apart."), states);
        if let Some(Announced { draining, vips }) = &report.announced {
            self.one(("millrace_draining", "Whether VIPs are kept from the routers."), f64::from(*draining));
            self.one(("millrace_announced_vips", "VIPs that routers are told of."), vips.len() as f64);
        }
        let count = |state: &str| report.neighbors.iter().filter(|neighbor| neighbor.state == state).count();
        let states = neigh::State::ALL.map(neigh::State::name);
        let states = states.iter().map(|state| (labels([("state", state)]), count(state) as f64));
        let help = "Stations on the director's links whose Ethernet addresses it knows or asks for.";
        self.gauge(("millrace_neighbors", help), states);
    }

    fn tables(&mut self, report: &Report) {
        for Figure { name, help, of } in TABLES {
            let tables = report.connections.tables.iter();
            self.gauge((name, help), tables.map(|table| (labels([("table", &table.name)]), of(table) as f64)));
        }
    }

    fn ports(&mut self, report: &Report) {
        let ports = || report.ports.iter().map(|port| (labels([("port", &port.name)]), port));
        for Figure { name, help, of } in PORTS {
            self.counter((name, help), ports().map(|(labels, port)| (labels, of(port))));
        }
        for Figure { name, help, of } in PORT_STATES {
            self.gauge((name, help), ports().map(|(labels, port)| (labels, of(port) as f64)));
        }
    }

    fn workers(&mut self, report: &Report) {
        let numbers: Vec<String> = report.workers.iter().map(|worker| worker.id.to_string()).collect();
        let workers = || report.workers.iter().zip(&numbers);
        for Figure { name, help, of } in WORKERS {
            self.counter((name, help), workers().map(|(worker, number)| (labels([("worker", number)]), of(worker))));
        }
        let outcomes = workers().flat_map(|(worker, number)| {
            let outcomes = worker.outcomes.iter();
            outcomes.map(move |(outcome, count)| (labels([("worker", number), ("outcome", outcome)]), *count))
        });
        self.counter(("millrace_worker_frames_total", "How the frames that a worker received ended."), outcomes);
        let polls = workers().flat_map(|(worker, number)| {
            let polls = [("frames", worker.bursts), ("nothing", worker.empty_polls)];
            polls.into_iter().map(move |(brought, count)| (labels([("worker", number), ("brought", brought)]), count))
        });
        self.counter(("millrace_worker_polls_total", "How often a worker polled, by what that brought."), polls);
        let waiting = workers().map(|(worker, number)| (labels([("worker", number)]), worker.waiting as f64));
        let help = "Frames that wait for a neighbour's Ethernet address, or for the first fragment of their datagram.";
        self.gauge(("millrace_worker_waiting_frames", help), waiting);
    }

    fn services(&mut self, report: &Report) {
        for Figure { name, help, of } in TRAFFIC {
            let (name, help) = (format!("millrace_service_{name}"), format!("{help}, of a virtual service."));
            let services = report.services.iter().map(|service| {
                (labels([("service", &service.address), ("protocol", &service.protocol)]), of(&service.traffic))
            });
            self.counter((&name, &help), services);
        }
    }

    fn reals(&mut self, report: &Report) {
        let mut traffic: Vec<_> = TRAFFIC
            .iter()
            .map(|Figure { name, help, .. }| {
                let (name, help) = (format!("millrace_real_{name}"), format!("{help}, of a real server of a service."));
                Series::new(MetricType::COUNTER, (&name, &help))
            })
            .collect();
        let help = "The weight of a real server of a service, as configured.";
        let mut weights = Series::new(MetricType::GAUGE, ("millrace_real_weight", help));
        let help = "Connections of a real server of a service, as ipvsadm tells them apart.";
        let mut connections = Series::new(MetricType::GAUGE, ("millrace_real_connections", help));
        let help = "TCP connections of a real server of a service that were opened, by how it answered.";
        let mut openings = Series::new(MetricType::COUNTER, ("millrace_real_openings_total", help));
        let help = "Open TCP connections of a real server of a service that it reset.";
        let mut resets = Series::new(MetricType::COUNTER, ("millrace_real_resets_total", help));
        let mut stations = report.services.iter().flat_map(stations);
        loop {
            let some: Vec<Station<'_>> = stations.by_ref().take(PIECE).collect();
            if some.is_empty() {
                break;
            }
            let mut metrics = some.iter().map(|station| metric(&station.labels(None))).collect();
            for (series, Figure { of, .. }) in traffic.iter_mut().zip(TRAFFIC) {
                series.write(&mut metrics, some.iter().map(|station| of(&station.real.traffic) as f64));
            }
            weights.write(&mut metrics, some.iter().map(|station| f64::from(station.real.weight)));
            let states = some.iter().flat_map(Station::states);
            let (mut metrics, counts): (Vec<_>, Vec<_>) = states.unzip();
            connections.write(&mut metrics, counts.into_iter());
            let (mut metrics, counts): (Vec<_>, Vec<_>) = some.iter().flat_map(Station::openings).unzip();
            openings.write(&mut metrics, counts.into_iter());
            let reset = some.iter().filter_map(|station| Some((station, station.real.openings?.reset)));
            let (mut metrics, counts): (Vec<_>, Vec<_>) =
                reset.map(|(station, count)| (metric(&station.labels(None)), count as f64)).unzip();
            resets.write(&mut metrics, counts.into_iter());
        }
        let all = traffic.into_iter().chain([weights, connections, openings, resets]);
        self.0.extend(all.map(|series| series.text));
    }

    fn health(&mut self, health: &HealthReport) {
        let servers = || health.servers.iter().map(|server| (checked(server, None), server));
        let help = "Whether a real server's checks are answered, of a service; also while it is in maintenance.";
        let up = servers().filter_map(|(labels, server)| Some((labels, f64::from(u8::from(server.up?)))));
        self.gauge(("millrace_real_up", help), up);
        let help = "Whether a real server of a service is in maintenance.";
        let out = servers().map(|(labels, server)| (labels, f64::from(u8::from(server.state == State::Maintenance))));
        self.gauge(("millrace_real_maintenance", help), out);
        let results = health.servers.iter().filter(|server| server.check.is_some()).flat_map(|server| {
            let results = [("right", server.right), ("wrong", server.wrong), ("unmade", server.unmade)];
            results.into_iter().map(move |(result, count)| (checked(server, Some(result)), count))
        });
        self.counter(
            ("millrace_real_checks_total", "Health checks of a real server of a service, by result."),
            results,
        );
        let took = servers().filter_map(|(labels, server)| Some((labels, server.last.as_ref()?.seconds)));
        self.gauge(("millrace_real_check_seconds", "How long a real server's last health check took."), took);
        let lost = iter::once((Labels::default(), health.lost_quorum.len() as f64));
        self.gauge(("millrace_services_without_quorum", "Virtual services that have lost their quorum."), lost);
    }
}

/// Labels of a real server that is checked.
fn checked<'a>(server: &'a ServerHealth, result: Option<&'a str>) -> Labels<'a> {
    let ServerHealth { service, protocol, real, .. } = server;
    let mut all = labels([("service", service), ("protocol", protocol), ("real", real)]);
    all.extend(result.map(|result| ("result", result)));
    all
}

/// What a service's packets are sent to.
struct Station<'a> {
    service: &'a ServiceReport,
    real: &'a RealReport,
    address: String,
    role: &'static str,
}

fn stations(service: &ServiceReport) -> impl Iterator<Item = Station<'_>> {
    let reals = service.reals.iter().map(|real| (real, "real"));
    let all = reals.chain(service.sorry_server.iter().map(|real| (real, "sorry")));
    all.map(move |(real, role)| Station { service, real, address: real.address.to_string(), role })
}

impl Station<'_> {
    fn labels<'a>(&'a self, more: Option<(&'static str, &'a str)>) -> Labels<'a> {
        let ServiceReport { address, protocol, .. } = self.service;
        let mut all =
            labels([("service", address), ("protocol", protocol), ("real", &self.address), ("role", self.role)]);
        all.extend(more);
        all
    }

    /// Its connections, by state.
    fn states(&self) -> impl Iterator<Item = (Metric, f64)> + use<'_> {
        let RealReport { active, inactive, persistent, .. } = self.real;
        let states = [("active", *active), ("inactive", *inactive), ("persistent", *persistent)];
        states.into_iter().map(|(state, count)| (metric(&self.labels(Some(("state", state)))), count as f64))
    }

    /// The openings of its connections, by what became of them.
    fn openings(&self) -> impl Iterator<Item = (Metric, f64)> + use<'_> {
        let results = |OpeningsReport { answered, refused, unanswered, .. }| {
            [("answered", answered), ("refused", refused), ("unanswered", unanswered)]
        };
        let results = self.real.openings.into_iter().flat_map(results);
        results.map(|(result, count)| (metric(&self.labels(Some(("result", result)))), count as f64))
    }
}

fn labels<'a, const N: usize>(pairs: [(&'static str, &'a str); N]) -> Labels<'a> {
    pairs.into_iter().collect()
}

/// What has these labels, and no value yet.
fn metric(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::default();
    metric.set_label(pairs.collect());
    metric
}

fn set(metric: &mut Metric, kind: MetricType, value: f64) {
    match kind {
        MetricType::COUNTER => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        _ => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::report::{ConnectionsReport, DeviceReport, NeighborReport, TrafficReport};
    use super::*;

    fn real(address: &str) -> RealReport {
        RealReport {
            address: address.parse().unwrap(),
            forwarding: "nat".to_owned(),
            weight: 3,
            slow_start_percent: None,
            active: 4,
            inactive: 5,
            persistent: 6,
            traffic: TrafficReport { connections: 7, ..TrafficReport::default() },
            rates: TrafficReport::default(),
            openings: Some(OpeningsReport { answered: 21, refused: 22, unanswered: 23, reset: 24 }),
        }
    }

    fn report() -> Report {
        let table = TableReport { name: "templates".to_owned(), max: 100, used: 2, stashed: 0 };
        let service = ServiceReport {
            address: "203.0.113.10:80".to_owned(),
            protocol: "tcp".to_owned(),
            scheduler: "wlc".to_owned(),
            ops: false,
            traffic: TrafficReport { connections: 1, in_packets: 2, in_octets: 3, out_packets: 4, out_octets: 5 },
            rates: TrafficReport::default(),
            reals: vec![real("10.0.0.11:8080")],
            sorry_server: Some(real("10.0.0.99:80")),
        };
        let neighbor = NeighborReport {
            address: "10.0.0.11".parse().unwrap(),
            mac: None,
            port: "lan".to_owned(),
            state: neigh::State::Incomplete.name().to_owned(),
            age_seconds: None,
        };
        Report {
            uptime_seconds: 1.5,
            connections: ConnectionsReport { active: 8, inactive: 9, tables: vec![table] },
            ports: vec![PortReport {
                name: "a\"b\\".to_owned(),
                device_counters: DeviceReport { rx_missed: 11, ..DeviceReport::default() },
                ..PortReport::default()
            }],
            workers: vec![WorkerReport {
                outcomes: BTreeMap::from([("drop_ttl".to_owned(), 12)]),
                empty_polls: 13,
                ..WorkerReport::default()
            }],
            services: vec![service],
            neighbors: vec![neighbor],
            announced: Some(Announced { draining: true, vips: vec![[203, 0, 113, 10].into()] }),
            ..Report::default()
        }
    }

    fn text(report: &Report) -> String {
        String::from_utf8(exposition(report, &HealthReport::default()).concat()).unwrap()
    }

    #[test]
    fn more_than_are_written_at_a_time_are_one_metric() {
        let mut report = report();
        let services = 3 * PIECE / 2;
        report.services = vec![report.services[0].clone(); services];
        let text = text(&report);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("# HELP millrace_real_weight "), lines("# TYPE millrace_real_weight ")), (1, 1));
        assert_eq!((lines("millrace_real_weight{"), lines("millrace_real_connections{")), (2 * services, 6 * services));
        assert_eq!(lines("millrace_service_connections_total{"), services);
        // A metric's lines follow each other.
        let names: Vec<_> =
            text.lines().map(|line| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ")).collect();
        let mut names: Vec<_> = names.iter().filter_map(|line| line.split(['{', ' ']).next()).collect();
        names.dedup();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_part_of_a_report_is_there_with_its_labels() {
        let text = text(&report());
        let real = r#"service="203.0.113.10:80",protocol="tcp",real="10.0.0.11:8080",role="real""#;
        for line in [
            "millrace_uptime_seconds 1.5".to_owned(),
            "millrace_draining 1".to_owned(),
            "millrace_announced_vips 1".to_owned(),
            r#"millrace_connections{state="inactive"} 9"#.to_owned(),
            r#"millrace_table_capacity{table="templates"} 100"#.to_owned(),
            r#"millrace_port_receive_missed_total{port="a\"b\\"} 11"#.to_owned(),
            r#"millrace_port_up{port="a\"b\\"} 0"#.to_owned(),
            r#"millrace_worker_frames_total{worker="0",outcome="drop_ttl"} 12"#.to_owned(),
            r#"millrace_worker_polls_total{worker="0",brought="nothing"} 13"#.to_owned(),
            r#"millrace_service_transmit_bytes_total{service="203.0.113.10:80",protocol="tcp"} 5"#.to_owned(),
            format!("millrace_real_connections_total{{{real}}} 7"),
            format!("millrace_real_connections{{{real},state=\"persistent\"}} 6"),
            format!("millrace_real_weight{{{real}}} 3"),
            format!("millrace_real_openings_total{{{real},result=\"unanswered\"}} 23"),
            format!("millrace_real_resets_total{{{real}}} 24"),
            r#"millrace_neighbors{state="incomplete"} 1"#.to_owned(),
        ] {
            assert!(text.lines().any(|is| is == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("real=\"10.0.0.99:80\",role=\"sorry\""), "{text}");
    }

    #[test]
    fn each_metric_is_described_once_and_counters_end_in_total() {
        let text = text(&report());
        let mut described = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(!described.contains(&name), "{name} twice");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            described.push(name);
        }
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        for name in samples.filter_map(|line| line.split(['{', ' ']).next()) {
            assert!(described.contains(&name), "{name}");
        }
    }
}
