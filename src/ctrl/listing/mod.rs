//! A report as tables for people: first what clients depend on, then what may be wrong with it.

mod columns;
mod health;
mod network;
mod services;

use super::api::{Announced, RealReport, Report, ServiceReport, TableReport, TrafficReport, WorkerReport};
use crate::dataplane::stats::Outcome;
use columns::Columns;
pub use health::{health, server};
pub use network::{neighbors, port, ports, routes};
pub use services::{reals, services};

/// Lays `report` out as text. Outcomes that never happened are left out unless `all` is set.
pub fn stats(report: &Report, all: bool) -> String {
    let mut parts = vec![headline(report)];
    parts.extend(
        [
            traffic_of_services(report),
            tables(report),
            network::port_table(&report.ports).text(),
            workers(report),
            outcomes(report, all),
            network::neighbor_table(&report.neighbors).text(),
        ]
        .into_iter()
        .flatten(),
    );
    parts.join("\n\n") + "\n"
}

fn headline(report: &Report) -> String {
    let (connections, seconds) = (&report.connections, report.uptime_seconds as u64);
    let announced = match &report.announced {
        None => String::new(),
        Some(Announced { draining: false, vips }) => format!(", VIPs announced: {}", vips.len()),
        Some(Announced { vips, .. }) if vips.is_empty() => ", draining: no VIP is announced".to_owned(),
        Some(Announced { vips, .. }) => format!(", draining, VIPs announced still: {}", vips.len()),
    };
    format!(
        "millrace {} ({}), up {}, configuration {}, connections: {} active, {} inactive{announced}",
        report.version,
        report.commit,
        duration(seconds),
        report.generation,
        connections.active,
        connections.inactive,
    )
}

fn traffic_of_services(report: &Report) -> Option<String> {
    let mut table = Columns::new(
        &["SERVICE, REAL SERVER", "METHOD"],
        &["WEIGHT", "ACTIVE", "INACTIVE", "CONNS", "IN PACKETS", "IN OCTETS", "OUT PACKETS", "OUT OCTETS"],
    );
    for service in &report.services {
        let all = || service.reals.iter().chain(&service.sorry_server);
        let sum = |of: fn(&RealReport) -> u64| all().map(of).sum::<u64>().to_string();
        let ops = if service.ops { " ops" } else { "" };
        let mut row = vec![name(service), format!("{}{ops}", service.scheduler), String::new()];
        row.extend([sum(|real| real.active), sum(|real| real.inactive)]);
        row.extend(traffic(&service.traffic));
        table.row(row);
        let reals = service.reals.iter().map(|real| (real, weight(real.weight, real.slow_start_percent)));
        for (real, weight) in reals.chain(service.sorry_server.iter().map(|sorry| (sorry, "sorry".to_owned()))) {
            let mut row = vec![format!("  -> {}", real.address), real.forwarding.clone(), weight];
            row.extend([real.active, real.inactive].map(|count| count.to_string()));
            row.extend(traffic(&real.traffic));
            table.row(row);
        }
    }
    table.text()
}

/// A real server's weight, and how much of it counts while it starts slowly.
fn weight(weight: u16, slow_start_percent: Option<u8>) -> String {
    match slow_start_percent {
        Some(percent) => format!("{percent}% of {weight}"),
        None => weight.to_string(),
    }
}

fn tables(report: &Report) -> Option<String> {
    let mut table = Columns::new(&["TABLE"], &["USED", "ROOM FOR", "STASHED"]);
    for TableReport { name, max, used, stashed } in &report.connections.tables {
        table.row(vec![name.clone(), used.to_string(), max.to_string(), stashed.to_string()]);
    }
    table.text()
}

fn name(service: &ServiceReport) -> String {
    format!("{} {}", service.protocol, service.address)
}

fn traffic(traffic: &TrafficReport) -> [String; 5] {
    let TrafficReport { connections, in_packets, in_octets, out_packets, out_octets } = *traffic;
    [connections, in_packets, in_octets, out_packets, out_octets].map(|count| count.to_string())
}

fn workers(report: &Report) -> Option<String> {
    let mut table =
        Columns::new(&["WORKER"], &["CORE", "RECEIVED", "BURSTS", "EMPTY POLLS", "WAITING", "EVICTED", "STATELESS"]);
    for worker in &report.workers {
        let WorkerReport { received, bursts, empty_polls, waiting, evicted, stateless, .. } = *worker;
        let counts = [worker.core as u64, received, bursts, empty_polls, waiting, evicted, stateless];
        let mut row = vec![worker.id.to_string()];
        row.extend(counts.map(|count| count.to_string()));
        table.row(row);
    }
    table.text()
}

/// What was done comes in its fixed order, then what was dropped, most first.
fn outcomes(report: &Report, all: bool) -> Option<String> {
    let place = |name: &str| Outcome::ALL.iter().position(|outcome| outcome.name() == name).unwrap_or(usize::MAX);
    let mut rows: Vec<_> = report.outcomes.iter().filter(|(_, outcome)| all || outcome.count > 0).collect();
    rows.sort_by_key(|(name, outcome)| {
        let dropped = name.starts_with("drop_");
        let most = if dropped { u64::MAX - outcome.count } else { 0 };
        (dropped, most, place(name))
    });
    let mut table = Columns::new(&["OUTCOME"], &["FRAMES", "MEANING"]).left(2);
    for (name, outcome) in rows {
        table.row(vec![name.clone(), outcome.count.to_string(), outcome.text.clone()]);
    }
    table.text()
}

fn lines(table: Columns, none: &str) -> String {
    table.text().unwrap_or_else(|| none.to_owned()) + "\n"
}

/// Writes whole seconds as `2d 3h 4m 5s`, without the zero parts in front.
fn duration(seconds: u64) -> String {
    let parts = [("d", 86_400, u64::MAX), ("h", 3600, 24), ("m", 60, 60), ("s", 1, 60)];
    let shown = parts.iter().skip_while(|(unit, length, _)| seconds < *length && *unit != "s");
    shown.map(|(unit, length, turn)| format!("{}{unit}", seconds / length % turn)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::api::*;
    use super::*;

    fn report() -> Report {
        let outcome =
            |name: &str, count| (name.to_owned(), OutcomeReport { count, text: format!("what {name} means") });
        let traffic =
            TrafficReport { connections: 3, in_packets: 40, in_octets: 5_000, out_packets: 30, out_octets: 60_000 };
        let real = |address: &str| RealReport {
            address: address.parse().unwrap(),
            forwarding: "nat".into(),
            weight: 1,
            slow_start_percent: Some(40),
            active: 1,
            inactive: 2,
            persistent: 0,
            traffic,
            rates: TrafficReport::default(),
            openings: None,
        };
        Report {
            version: "0.1.0".into(),
            commit: "abc".into(),
            uptime_seconds: 90_061.5,
            generation: 2,
            connections: ConnectionsReport {
                active: 1,
                inactive: 2,
                tables: vec![TableReport { name: "connections".into(), max: 1000, used: 3, stashed: 0 }],
            },
            ports: vec![PortReport {
                name: "lan".into(),
                device: "net_ring0".into(),
                mac: "02:00:00:00:00:01".into(),
                mtu: 1500,
                rx_frames: 70,
                ..Default::default()
            }],
            workers: vec![WorkerReport { id: 0, core: 1, received: 70, ..Default::default() }],
            services: vec![ServiceReport {
                address: "192.0.2.1:80".into(),
                protocol: "tcp".into(),
                scheduler: "wrr".into(),
                ops: false,
                traffic,
                rates: TrafficReport::default(),
                reals: vec![real("10.0.0.2:8080")],
                sorry_server: Some(RealReport { slow_start_percent: None, ..real("10.0.0.9:80") }),
            }],
            outcomes: [
                outcome("forwarded_nat_in", 40),
                outcome("drop_ttl", 1),
                outcome("drop_fragment", 2),
                outcome("answered_arp", 0),
            ]
            .into(),
            neighbors: vec![NeighborReport {
                address: "10.0.0.2".parse().unwrap(),
                mac: None,
                port: "lan".into(),
                state: "incomplete".into(),
                age_seconds: None,
            }],
            announced: None,
        }
    }

    #[test]
    fn the_whole_page() {
        let expected = "\
millrace 0.1.0 (abc), up 1d 1h 1m 1s, configuration 2, connections: 1 active, 2 inactive

SERVICE, REAL SERVER  METHOD    WEIGHT  ACTIVE  INACTIVE  CONNS  IN PACKETS  IN OCTETS  OUT PACKETS  OUT OCTETS
tcp 192.0.2.1:80      wrr                    2         4      3          40       5000           30       60000
  -> 10.0.0.2:8080    nat     40% of 1       1         2      3          40       5000           30       60000
  -> 10.0.0.9:80      nat        sorry       1         2      3          40       5000           30       60000

TABLE        USED  ROOM FOR  STASHED
connections     3      1000        0

PORT  DEVICE     MAC                LINK   MTU  RX FRAMES  RX OCTETS  TX FRAMES  TX OCTETS  MISSED  RX ERRORS  TX ERRORS  NO BUFFER
lan   net_ring0  02:00:00:00:00:01  DOWN  1500         70          0          0          0       0          0          0          0

WORKER  CORE  RECEIVED  BURSTS  EMPTY POLLS  WAITING  EVICTED  STATELESS
0          1        70       0            0        0        0          0

OUTCOME           FRAMES  MEANING
forwarded_nat_in      40  what forwarded_nat_in means
drop_fragment          2  what drop_fragment means
drop_ttl               1  what drop_ttl means

NEIGHBOUR  MAC  PORT  STATE       CONFIRMED
10.0.0.2   -    lan   incomplete          -
";
        assert_eq!(stats(&report(), false), expected);
    }

    #[test]
    fn zeros_are_shown_on_request() {
        assert!(!stats(&report(), false).contains("answered_arp"));
        assert!(stats(&report(), true).contains("answered_arp"));
    }

    #[test]
    fn an_idle_director_is_one_line() {
        assert_eq!(stats(&Report::default(), true).lines().count(), 1);
    }

    #[test]
    fn what_is_announced_is_in_the_first_line() {
        let first = |draining, count: u8| {
            let vips = (0..count).map(|last| [192, 0, 2, last].into()).collect();
            let report = Report { announced: Some(Announced { draining, vips }), ..Report::default() };
            stats(&report, false).lines().next().unwrap().split_once(" inactive, ").unwrap().1.to_owned()
        };
        assert_eq!(first(false, 2), "VIPs announced: 2");
        assert_eq!(first(true, 0), "draining: no VIP is announced");
        assert_eq!(first(true, 1), "draining, VIPs announced still: 1");
    }

    #[test]
    fn durations() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m 0s"), (86_400, "1d 0h 0m 0s"), (8_640_000, "100d 0h 0m 0s")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
