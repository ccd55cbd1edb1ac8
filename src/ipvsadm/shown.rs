//! From the director's answer to what a listing shows.

use super::command::{Key, Mask};
use super::layout::{Shown, ShownServer, ShownService, What};
use crate::ctrl::api::{RealState, ServiceState, Services};
use crate::ctrl::config::{ConfigError, Protocol, Real, Selector, Service};
use crate::dataplane::address::Family;

/// What is shown of real servers that have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// What runs, as in a director whose keepalived has taken them out or inhibited them.
    TheyRun,
    /// What is desired, to be restored.
    Desired,
}

/// Reads all services.
///
/// # Errors
/// If the answer is not what a director writes.
pub fn all(services: &Services, how: As) -> Result<Shown, ConfigError> {
    let shown: Result<_, _> = services.services.iter().map(|state| service(state, how)).collect();
    Ok(Shown { size: services.max_connections, services: shown? })
}

fn service(state: &ServiceState, how: As) -> Result<ShownService, ConfigError> {
    let service = state.service()?;
    let runs = |(real, state): (&Real, &RealState)| match how {
        As::TheyRun => state.running_weight,
        As::Desired => Some(real.weight),
    };
    let servers = service.reals.iter().zip(&state.real).filter_map(|pair| Some((pair, runs(pair)?)));
    let servers = servers.map(|((real, state), weight)| ShownServer {
        address: real.address,
        forwarding: real.forwarding,
        weight,
        upper: real.thresholds.upper,
        lower: real.thresholds.lower,
        active: state.stats.active,
        inactive: state.stats.inactive,
        persistent: state.stats.persistent,
        traffic: state.stats.traffic,
        rates: state.stats.rates,
    });
    let persistent = service.persistence.map(|it| (it.timeout, mask(it.prefix, service.selector.family())));
    Ok(ShownService {
        what: what(&service),
        scheduler: service.scheduler.name().to_owned(),
        flags: service.scheduler.flags().map(str::to_owned).collect(),
        persistent,
        one_packet: service.one_packet,
        traffic: state.stats,
        rates: state.rates,
        servers: servers.collect(),
    })
}

fn what(service: &Service) -> What {
    let selector = service.selector;
    let key = match selector {
        Selector::Socket(address, protocol) if protocol != Protocol::Icmp => Some(Key::Socket(protocol, address)),
        Selector::Mark(mark, family) => Some(Key::Mark { mark, ipv6: family == Family::V6 }),
        _ => None,
    };
    key.map_or_else(|| What::Other { protocol: selector.protocol().to_owned(), text: selector.to_string() }, What::Key)
}

/// The mask of so many leading ones.
fn mask(prefix: u8, family: Family) -> Mask {
    match family {
        Family::V4 => Mask::V4(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0).into()),
        Family::V6 => Mask::V6(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Layout, Listed, Listing};
    use super::super::layout::{self, Spoken};
    use super::*;

    #[test]
    fn masks_are_leading_ones() {
        for (prefix, text) in [(32, "255.255.255.255"), (24, "255.255.255.0"), (1, "128.0.0.0"), (0, "0.0.0.0")] {
            assert_eq!(mask(prefix, Family::V4).to_string(), text);
        }
        assert_eq!(mask(64, Family::V6).to_string(), "64");
        assert!(mask(128, Family::V6).is_whole());
    }

    const STATS: &str = r#""stats":{"active":0,"inactive":0,"persistent":0,"connections":0,"in_packets":0,"in_octets":0,"out_packets":0,"out_octets":0}"#;

    /// What a director of both families answers.
    fn both() -> Shown {
        let real = |address: &str, forwarding: &str| {
            format!(r#"{{"address":"{address}","forwarding":"{forwarding}","running_weight":1,{STATS}}}"#)
        };
        let service = |key: &str, persistence: &str, reals: &[String]| {
            format!(r#"{{{key},"persistence":{persistence},{STATS},"real":[{}]}}"#, reals.join(","))
        };
        let services = [
            service(
                r#""address":"[2001:db8::10]:80","protocol":"tcp""#,
                r#"{"timeout":600,"mask":64}"#,
                &[real("[2001:db8:1::5]:8080", "nat"), real("10.0.0.1:80", "tunnel")],
            ),
            service(r#""mark":7,"family":"ipv6""#, r#"{"timeout":300}"#, &[real("2001:db8:1::5", "direct")]),
            service(r#""mark":7"#, r#"{"timeout":300}"#, &[]),
            service(r#""address":"[2001:db8::/64]:80","protocol":"tcp""#, r#"{"timeout":300}"#, &[]),
        ];
        let answer = format!(r#"{{"version":1,"max_connections":4096,"services":[{}]}}"#, services.join(","));
        all(&serde_json::from_str(&answer).unwrap(), As::TheyRun).unwrap()
    }

    #[test]
    fn ipv6_is_listed_and_saved_as_ipvsadm_has_it() {
        let mut shown = both();
        layout::sort(&mut shown);
        let plain = Listing {
            what: Listed::All,
            layout: Layout::Plain,
            numeric: true,
            exact: false,
            sorted: true,
            engines: false,
        };
        let expected = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  [2001:db8::10]:80 wlc persistent 600 mask 64
  -> 10.0.0.1:80                  Tunnel  1      0          0         ·
  -> [2001:db8:1::5]:8080         Masq    1      0          0         ·
FWM  7 wlc persistent 300
FWM  7 IPv6 wlc persistent 300
  -> [2001:db8:1::5]:0            Route   1      0          0         ·
TCP  [2001:db8::/64]:80 wlc persistent 300
";
        assert_eq!(layout::listing(&shown, &plain, Spoken::Numbers), expected.replace('·', ""));
        let expected = "\
-A -t [2001:db8::10]:80 -s wlc -p 600 -M 64
-a -t [2001:db8::10]:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
-a -t [2001:db8::10]:80 -r [2001:db8:1::5]:8080 -m -w 1
-A -f 7 -s wlc -p 300
-A -f 7 -6 -s wlc -p 300
-a -f 7 -6 -r [2001:db8:1::5]:0 -g -w 1
";
        assert_eq!(
            layout::save(&shown, Spoken::Numbers),
            (expected.to_owned(), vec!["TCP [2001:db8::/64]:80".to_owned()])
        );
    }
}
