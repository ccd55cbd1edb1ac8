//! Virtual services and real servers as tables.

use super::columns::Columns;
use super::lines;
use crate::ctrl::api::{RealStats, ServiceState};
use crate::ctrl::config::{ConfigError, Service};

/// Lays services out as text, one to a line, in their order.
///
/// # Errors
/// If one of them is not as a director writes it.
pub fn services(states: &[ServiceState]) -> Result<String, ConfigError> {
    let mut table = Columns::new(&["SERVICE", "SCHEDULER", "METHOD"], &["REAL SERVERS", "ACTIVE", "INACTIVE", "CONNS"]);
    for state in states {
        let service = state.service()?;
        let all = || state.real.iter().map(|real| &real.stats).chain(&state.sorry_stats);
        let sum = |of: fn(&RealStats) -> u64| all().map(of).sum::<u64>();
        let counts = [state.real.len() as u64, sum(|real| real.active), sum(|real| real.inactive)];
        let mut row = vec![name(&service), scheduler(&service), service.forwarding.to_string()];
        row.extend(counts.into_iter().chain([state.stats.connections]).map(|count| count.to_string()));
        table.row(row);
    }
    Ok(lines(table, "no virtual services"))
}

/// Lays the real servers of services out as text, one to a line, in their order.
///
/// # Errors
/// If one of the services is not as a director writes it.
pub fn reals(states: &[ServiceState]) -> Result<String, ConfigError> {
    let mut table =
        Columns::new(&["SERVICE", "REAL SERVER", "METHOD"], &["WEIGHT", "ACTIVE", "INACTIVE", "PERSISTENT", "CONNS"]);
    for state in states {
        let service = state.service()?;
        for (real, RealStats { active, inactive, persistent, traffic, slow_start_percent, .. }) in
            service.reals.iter().zip(state.real.iter().map(|real| real.stats))
        {
            let weight = super::weight(real.weight, slow_start_percent);
            let mut row = vec![name(&service), real.address.to_string(), real.forwarding.to_string(), weight];
            row.extend([active, inactive, persistent, traffic.connections].map(|count| count.to_string()));
            table.row(row);
        }
    }
    Ok(lines(table, "no real servers"))
}

/// As in `millrace stats`.
fn name(service: &Service) -> String {
    format!("{} {}", service.selector.protocol().to_lowercase(), service.selector)
}

fn scheduler(service: &Service) -> String {
    format!("{}{}", service.scheduler, if service.one_packet { " ops" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctrl::api::Services;

    const SERVICES: &str = r#"{"version":1,"services":[{"address":"192.0.2.1:53","protocol":"udp","ops":true,
        "stats":{"connections":9,"in_packets":0,"in_octets":0,"out_packets":0,"out_octets":0},
        "real":[{"address":"10.0.0.2:53","weight":3,"stats":{"active":7,"inactive":2,"persistent":1,
        "slow_start_percent":40,"connections":8,"in_packets":0,"in_octets":0,"out_packets":0,"out_octets":0}}]},
        {"mark":7,"forwarding":"direct",
        "stats":{"connections":0,"in_packets":0,"in_octets":0,"out_packets":0,"out_octets":0},"real":[]}]}"#;

    #[test]
    fn a_line_for_each_service_and_for_each_real_server() {
        let states = serde_json::from_str::<Services>(SERVICES).unwrap().services;
        let expected = "\
SERVICE           SCHEDULER  METHOD  REAL SERVERS  ACTIVE  INACTIVE  CONNS
udp 192.0.2.1:53  wlc ops    nat                1       7         2      9
fwm 7             wlc        direct             0       0         0      0
";
        assert_eq!(services(&states).unwrap(), expected);
        let expected = "\
SERVICE           REAL SERVER  METHOD    WEIGHT  ACTIVE  INACTIVE  PERSISTENT  CONNS
udp 192.0.2.1:53  10.0.0.2:53  nat     40% of 3       7         2           1      8
";
        assert_eq!(reals(&states).unwrap(), expected);
        assert_eq!(services(&[]).unwrap(), "no virtual services\n");
    }
}
