//! What changes from one configuration to the next, in words for an operator.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use super::change::{Kind, Refused};
use super::config::write;
use super::config::{
    Addresses, Changed, Check, Config, Health, LocalPool, Mark, Neighbor, Notify, Port, Real, Receiver, Route, Rules,
    Selector, Service,
};

/// A new configuration that cannot take the place of the running one; displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsRestart(
    /// What changes that only a start reads, at least one.
    pub Vec<String>,
);

impl Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "needs a restart, nothing was changed: {}", self.0.join("; "))
    }
}

impl std::error::Error for NeedsRestart {}

impl From<NeedsRestart> for Refused {
    fn from(needed: NeedsRestart) -> Self {
        Self::new(Kind::Restart, needed.to_string())
    }
}

/// Says what a running director changes when it goes from `old` to `new`, one line for each; none if nothing does.
///
/// # Errors
/// If what differs is read at the start only: `[director]` but for `transit`, `[api]`, `[announce]`, `[health]`, `[mirror]`,
/// `[[port]]`.
pub fn changes(old: &Config, new: &Config) -> Result<Vec<String>, NeedsRestart> {
    let fixed = fixed_changes(old, new);
    if fixed.is_empty() { Ok(live_changes(old, new)) } else { Err(NeedsRestart(fixed)) }
}

/// Says what differs that a running director can change, one line for each.
pub fn live_changes(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    differ(&mut lines, "director", "watch", &old.director.watch, &new.director.watch);
    let (was, is) = (&old.timeouts, &new.timeouts);
    for (name, was, is) in [("tcp", was.tcp, is.tcp), ("tcp_fin", was.tcp_fin, is.tcp_fin), ("udp", was.udp, is.udp)] {
        differ(&mut lines, "timeouts", name, &time(was), &time(is));
    }
    let transit = |config: &Config| write::transit(config.director.transit);
    differ(&mut lines, "director", "transit", &transit(old), &transit(new));
    rules(&mut lines, &old.rules, &new.rules);
    marks(&mut lines, &old.marks, &new.marks);
    notify(&mut lines, &old.notify, &new.notify);
    services(&mut lines, &old.services, &new.services);
    compare(
        &mut lines,
        &old.routes,
        &new.routes,
        |route| route.to,
        describe_route,
        |lines, old, new| {
            differ(lines, &format!("route to {}", new.to), "gateway", &old.gateways(), &new.gateways());
        },
    );
    local_pools(&mut lines, &old.local_pools, &new.local_pools);
    compare(
        &mut lines,
        &old.neighbors,
        &new.neighbors,
        |neighbor| neighbor.address,
        describe_neighbor,
        |lines, old, new| {
            differ(lines, &format!("neighbour {}", new.address), "MAC", &mac(&old.mac), &mac(&new.mac));
        },
    );
    lines
}

/// Writes an Ethernet address as `02:00:00:00:00:01`.
pub fn mac(octets: &[u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

fn rules(lines: &mut Vec<String>, old: &Rules, new: &Rules) {
    differ(lines, "ipvs", "sloppy_tcp", &u8::from(old.sloppy_tcp), &u8::from(new.sloppy_tcp));
    differ(lines, "ipvs", "sloppy_sctp", &u8::from(old.sloppy_sctp), &u8::from(new.sloppy_sctp));
    differ(lines, "ipvs", "conn_reuse_mode", &old.conn_reuse_mode, &new.conn_reuse_mode);
    let (was, is) = (u8::from(old.expire_nodest_conn), u8::from(new.expire_nodest_conn));
    differ(lines, "ipvs", "expire_nodest_conn", &was, &is);
    let (was, is) = (u8::from(old.expire_quiescent_template), u8::from(new.expire_quiescent_template));
    differ(lines, "ipvs", "expire_quiescent_template", &was, &is);
    differ(lines, "ipvs", "schedule_icmp", &u8::from(old.schedule_icmp), &u8::from(new.schedule_icmp));
}

fn time(seconds: u32) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds.into()))
}

/// Says what differs that only a start reads, one line for each.
pub fn fixed_changes(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let (was, is) = (&old.director, &new.director);
    differ_debug(&mut lines, "director", "workers", &was.workers, &is.workers);
    differ(&mut lines, "director", "max_connections", &was.max_connections, &is.max_connections);
    differ(&mut lines, "director", "max_wide_connections", &was.max_wide_connections, &is.max_wide_connections);
    differ(&mut lines, "director", "max_templates", &was.max_templates, &is.max_templates);
    differ_debug(&mut lines, "director", "poll", &was.poll, &is.poll);
    differ_debug(&mut lines, "director", "dpdk_args", &was.dpdk_args, &is.dpdk_args);
    differ_debug(&mut lines, "api", "socket", &old.api.socket, &new.api.socket);
    differ_debug(&mut lines, "api", "listen", &old.api.listen, &new.api.listen);
    differ_debug(&mut lines, "the configuration", "announce", &old.announce, &new.announce);
    differ(&mut lines, "health", "stand_ins", &old.checks.stand_ins, &new.checks.stand_ins);
    differ_debug(&mut lines, "the configuration", "mirror", &old.mirror, &new.mirror);
    let name = |port: &Port| port.name.clone();
    let describe = |port: &Port| format!("port \"{}\"", port.name);
    compare(&mut lines, &old.ports, &new.ports, name, describe, |lines, old, new| {
        let subject = describe(new);
        differ_debug(lines, &subject, "device", &old.device, &new.device);
        differ_debug(lines, &subject, "addresses", &old.addresses, &new.addresses);
        differ_debug(lines, &subject, "mac", &old.mac.as_ref().map(mac), &new.mac.as_ref().map(mac));
        differ(lines, &subject, "mtu", &old.mtu, &new.mtu);
        differ_debug(lines, &subject, "queues", &old.queues, &new.queues);
        differ_debug(lines, &subject, "twin", &old.twin, &new.twin);
    });
    if lines.is_empty() && old.ports != new.ports {
        lines.push("the ports are in another order".to_owned());
    }
    lines
}

fn services(lines: &mut Vec<String>, old: &[Arc<Service>], new: &[Arc<Service>]) {
    let unlike = lines.len();
    let changed = Changed::between(old, new);
    // Of ten thousand services one is compared, if it is only one that changed.
    let some = |services: &[Arc<Service>], places: &[usize]| -> Vec<Arc<Service>> {
        places.iter().map(|place| Arc::clone(&services[*place])).collect()
    };
    compare(
        lines,
        &some(old, &changed.before),
        &some(new, &changed.after),
        |service| service.selector,
        |service| describe_service(service),
        |lines, old, new| {
            let name = name_service(new);
            differ_debug(lines, &name, "vips", &old.vips, &new.vips);
            differ(lines, &name, "scheduler", &old.scheduler, &new.scheduler);
            if let (Some(was), Some(is)) = (old.scheduler.mh_size(), new.scheduler.mh_size()) {
                differ(lines, &name, "mh_table_size", &was, &is);
            }
            // Real servers that are added later take these.
            differ(lines, &name, "forwarding", &old.forwarding, &new.forwarding);
            differ(lines, &name, "slow_start", &time(old.slow_start), &time(new.slow_start));
            let timeout =
                |service: &Service| service.timeout.map_or_else(|| "default".to_owned(), |own| time(own).to_string());
            differ(lines, &name, "timeout", &timeout(old), &timeout(new));
            differ(lines, &name, "persistence", &persistence(old), &persistence(new));
            differ(lines, &name, "max_new_per_second", &old.max_new_per_second, &new.max_new_per_second);
            differ(lines, &name, "ops", &old.one_packet, &new.one_packet);
            differ(lines, &name, "mss_clamp", &old.mss_clamp, &new.mss_clamp);
            differ(lines, &name, "sorry_server", &sorry(old), &sorry(new));
            differ(lines, &name, "no_server", &old.no_server, &new.no_server);
            health(lines, &name, &old.health, &new.health);
            let describe = |real: &Real| format!("{name}: real server {}", describe_real(real));
            compare(
                lines,
                &old.reals,
                &new.reals,
                |real| real.address,
                describe,
                |lines, old, new| {
                    let subject = format!("{name}: real server {}", new.address);
                    differ(lines, &subject, "weight", &old.weight, &new.weight);
                    differ(lines, &subject, "forwarding", &old.forwarding, &new.forwarding);
                    differ(lines, &subject, "upper", &old.thresholds.upper, &new.thresholds.upper);
                    differ(lines, &subject, "lower", &old.thresholds.lower, &new.thresholds.lower);
                    differ(lines, &subject, "slow_start", &time(old.slow_start), &time(new.slow_start));
                    differ(lines, &subject, "check", &check(&old.check), &check(&new.check));
                },
            );
        },
    );
    let order = |services: &[Arc<Service>]| -> Vec<Selector> {
        let several = services.iter().filter(|service| service.selector.socket().is_none());
        several.map(|service| service.selector).collect()
    };
    if lines.len() == unlike && changed.reordered && order(old) != order(new) {
        lines.push("the services are in another order".to_owned());
    }
}

fn health(lines: &mut Vec<String>, name: &str, old: &Health, new: &Health) {
    differ(lines, name, "check", &check(&old.check), &check(&new.check));
    differ_debug(lines, name, "on_failure", &old.on_failure, &new.on_failure);
    differ(lines, name, "quorum", &old.quorum.weight, &new.quorum.weight);
    differ(lines, name, "hysteresis", &old.quorum.hysteresis, &new.quorum.hysteresis);
    differ_debug(lines, name, "quorum_up", &old.quorum.up, &new.quorum.up);
    differ_debug(lines, name, "quorum_down", &old.quorum.down, &new.quorum.down);
}

fn check(check: &Option<Arc<Check>>) -> String {
    check.as_ref().map_or_else(|| "none".to_owned(), |check| write::check(check))
}

fn local_pools(lines: &mut Vec<String>, old: &[LocalPool], new: &[LocalPool]) {
    let addresses =
        |pools: &[LocalPool]| -> Vec<Addresses> { pools.iter().flat_map(|pool| &pool.addresses).copied().collect() };
    let describe = |some: &Addresses| format!("local addresses {some}");
    compare(lines, &addresses(old), &addresses(new), |some| *some, describe, |_, _, _| {});
}

/// The first rule that fits counts, so their order does too.
fn marks(lines: &mut Vec<String>, old: &[Mark], new: &[Mark]) {
    let unlike = lines.len();
    let key = |rule: &Mark| (rule.mark, rule.pattern);
    compare(lines, old, new, key, describe_mark, |_, _, _| {});
    if lines.len() == unlike && old != new {
        lines.push("the mark rules are in another order".to_owned());
    }
}

fn notify(lines: &mut Vec<String>, old: &[Notify], new: &[Notify]) {
    let unlike = lines.len();
    let changed = |lines: &mut Vec<String>, old: &Notify, new: &Notify| {
        if old != new {
            lines.push(format!("{}: changed", describe_notify(new)));
        }
    };
    compare(lines, old, new, describe_notify, describe_notify, changed);
    if lines.len() == unlike && old != new {
        lines.push("notify: other entries for the same".to_owned());
    }
}

fn describe_notify(entry: &Notify) -> String {
    match &entry.receiver {
        Receiver::Command(words) => format!("notify {}", words.join(" ")),
        Receiver::Webhook { url, .. } => format!("notify {url}"),
    }
}

fn describe_mark(rule: &Mark) -> String {
    format!("mark {} for {}", rule.mark, Selector::Match(rule.pattern))
}

fn persistence(service: &Service) -> String {
    service.persistence.map_or_else(
        || "none".to_owned(),
        |persistence| format!("{} for /{}", time(persistence.timeout), persistence.prefix),
    )
}

fn sorry(service: &Service) -> String {
    let sorry = service.sorry_server.as_ref();
    sorry.map_or_else(|| "none".to_owned(), |sorry| format!("{} {}", sorry.address, sorry.forwarding))
}

/// Writes what is gone, then what came or changed, each in the order of its file.
fn compare<T, K: Ord>(
    lines: &mut Vec<String>,
    old: &[T],
    new: &[T],
    key: impl Fn(&T) -> K,
    describe: impl Fn(&T) -> String,
    mut changed: impl FnMut(&mut Vec<String>, &T, &T),
) {
    let before: BTreeMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let after: BTreeMap<K, &T> = new.iter().map(|item| (key(item), item)).collect();
    for gone in old.iter().filter(|item| !after.contains_key(&key(item))) {
        lines.push(format!("{}: removed", describe(gone)));
    }
    for item in new {
        match before.get(&key(item)) {
            Some(old) => changed(lines, old, item),
            None => lines.push(format!("{}: added", describe(item))),
        }
    }
}

fn differ<T: Display>(lines: &mut Vec<String>, subject: &str, what: &str, old: &T, new: &T) {
    let (old, new) = (old.to_string(), new.to_string());
    if old != new {
        lines.push(format!("{subject}: {what} {old} -> {new}"));
    }
}

fn differ_debug<T: PartialEq + Debug>(lines: &mut Vec<String>, subject: &str, what: &str, old: &T, new: &T) {
    if old != new {
        lines.push(format!("{subject}: {what} {old:?} -> {new:?}"));
    }
}

fn name_service(service: &Service) -> String {
    format!("service {} {}", service.selector.protocol(), service.selector)
}

fn describe_service(service: &Service) -> String {
    let reals: Vec<_> = service.reals.iter().map(describe_real).collect();
    format!("{}, {}, [{}]", name_service(service), service.scheduler, reals.join(", "))
}

fn describe_real(real: &Real) -> String {
    format!("{} {} weight {}", real.address, real.forwarding, real.weight)
}

fn describe_route(route: &Route) -> String {
    format!("route to {} via {}", route.to, route.gateways())
}

fn describe_neighbor(neighbor: &Neighbor) -> String {
    format!("neighbour {} at {}", neighbor.address, mac(&neighbor.mac))
}

#[cfg(test)]
mod tests {
    use super::super::config::parse;
    use super::*;
    use std::path::Path;

    const BASE: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
[[service]]
address = '192.0.2.1:80'
[[service.real]]
address = '10.0.0.2'
[[service.real]]
address = '10.0.0.3'
";

    fn config(text: &str) -> Config {
        parse(Path::new("x.toml"), text).unwrap().config
    }

    fn difference(from: &str, to: &str) -> Result<Vec<String>, String> {
        changes(&config(from), &config(to)).map_err(|refused| refused.to_string())
    }

    #[test]
    fn nothing_changes_nothing() {
        assert_eq!(difference(BASE, BASE), Ok(vec![]));
    }

    #[test]
    fn timeouts() {
        let other = format!("[timeouts]\nudp = '90s'\n{BASE}").replace("80'\n", "80'\ntimeout = '1h'\n");
        assert_eq!(
            difference(BASE, &other).unwrap(),
            ["timeouts: udp 5m -> 1m 30s", "service TCP 192.0.2.1:80: timeout default -> 1h"]
        );
    }

    #[test]
    fn transit_changes_and_twins_do_not() {
        let twin = BASE.replacen("addresses", "twin = 'lan0'\naddresses", 1);
        let drop = format!("[director]\ntransit = 'drop'\n{twin}");
        assert_eq!(difference(&twin, &drop).unwrap(), ["director: transit kernel -> drop"]);
        assert_eq!(
            difference(BASE, &twin).unwrap_err(),
            "needs a restart, nothing was changed: port \"lan\": twin None -> Some(\"lan0\")"
        );
    }

    #[test]
    fn watching() {
        let other = format!("[director]\nwatch = true\n{BASE}");
        assert_eq!(difference(BASE, &other).unwrap(), ["director: watch false -> true"]);
    }

    #[test]
    fn limits() {
        let other = BASE.replace("80'\n", "80'\nmax_new_per_second = 500\n");
        assert_eq!(difference(BASE, &other).unwrap(), ["service TCP 192.0.2.1:80: max_new_per_second 0 -> 500"]);
    }

    #[test]
    fn real_servers_and_schedulers() {
        let other = BASE
            .replace("80'\n", "80'\nscheduler = 'rr'\n")
            .replace("10.0.0.3'", "10.0.0.4'\nweight = 7")
            .replace("10.0.0.2'", "10.0.0.2'\nweight = 0\nforwarding = 'direct'");
        let service = "service TCP 192.0.2.1:80";
        assert_eq!(
            difference(BASE, &other).unwrap(),
            [
                format!("{service}: scheduler wlc -> rr"),
                format!("{service}: real server 10.0.0.3:80 nat weight 1: removed"),
                format!("{service}: real server 10.0.0.2:80: weight 1 -> 0"),
                format!("{service}: real server 10.0.0.2:80: forwarding nat -> direct"),
                format!("{service}: real server 10.0.0.4:80 nat weight 7: added"),
            ]
        );
    }

    #[test]
    fn slow_starts_sorry_servers_and_one_packet_scheduling() {
        let udp = BASE.replace("80'\n", "80'\nprotocol = 'udp'\n");
        let other = udp
            .replace("'udp'\n", "'udp'\nops = true\nsorry_server = { address = '10.0.0.9:81' }\n")
            .replace("10.0.0.3'", "10.0.0.3'\nslow_start = '90s'");
        let service = "service UDP 192.0.2.1:80";
        assert_eq!(
            difference(&udp, &other).unwrap(),
            [
                format!("{service}: ops false -> true"),
                format!("{service}: sorry_server none -> 10.0.0.9:81 nat"),
                format!("{service}: real server 10.0.0.3:80: slow_start 0s -> 1m 30s"),
            ]
        );
    }

    #[test]
    fn services_routes_and_neighbours() {
        let more = format!(
            "{BASE}[[service]]\naddress = '192.0.2.1:80'\nprotocol = 'udp'\n[[service.real]]\naddress = '10.0.0.2'\n\
             [[route]]\nto = '0.0.0.0/0'\nvia = '10.0.0.9'\n\
             [[neighbor]]\naddress = '10.0.0.2'\nmac = '02:00:00:00:00:02'\n"
        );
        let lines = [
            "service UDP 192.0.2.1:80, wlc, [10.0.0.2:80 nat weight 1]",
            "route to 0.0.0.0/0 via 10.0.0.9",
            "neighbour 10.0.0.2 at 02:00:00:00:00:02",
        ];
        assert_eq!(difference(BASE, &more).unwrap(), lines.map(|line| format!("{line}: added")));
        assert_eq!(difference(&more, BASE).unwrap(), lines.map(|line| format!("{line}: removed")));
        let other = more.replace("'10.0.0.9'", "'10.0.0.8'").replace("00:02'", "00:03'");
        assert_eq!(
            difference(&more, &other).unwrap(),
            [
                "route to 0.0.0.0/0: gateway 10.0.0.9 -> 10.0.0.8",
                "neighbour 10.0.0.2: MAC 02:00:00:00:00:02 -> 02:00:00:00:00:03",
            ]
        );
    }

    #[test]
    fn what_only_a_start_reads() {
        let refused = |to: &str| difference(BASE, to).unwrap_err();
        let head = "needs a restart, nothing was changed: ";
        assert_eq!(
            refused(&format!("[director]\nworkers = [0, 1]\n{BASE}")),
            format!("{head}director: workers [1] -> [0, 1]")
        );
        assert_eq!(
            refused(&format!("[director]\nmax_connections = 64\npoll = 'adaptive'\ndpdk_args = ['--no-huge']\n{BASE}")),
            format!(
                "{head}director: max_connections 1000000 -> 64; director: max_wide_connections 100000 -> 6; director: max_templates 100000 -> 6; director: poll Busy -> Adaptive; director: dpdk_args [] -> [\"--no-huge\"]"
            )
        );
        assert_eq!(
            refused(&BASE.replace("'10.0.0.1/24'", "'10.0.0.5/24'")),
            format!("{head}port \"lan\": addresses [10.0.0.1/24] -> [10.0.0.5/24]")
        );
        let two = format!("{BASE}[[port]]\nname = 'wan'\ndevice = 'net_ring1'\nmtu = 1600\n");
        assert_eq!(refused(&two), format!("{head}port \"wan\": added"));
        let swapped = format!("[[port]]\nname = 'wan'\ndevice = 'net_ring1'\nmtu = 1600\n{BASE}");
        assert_eq!(difference(&two, &swapped).unwrap_err(), format!("{head}the ports are in another order"));
    }

    #[test]
    fn who_is_told() {
        let with = |entries: &str| format!("{entries}{BASE}");
        let one = with("[[notify]]\ncommand = ['/x', 'y']\n");
        let other = with("[[notify]]\ncommand = ['/x', 'y']\ntimeout = '1s'\n[[notify]]\nurl = 'http://a/'\n");
        assert_eq!(difference(&one, &other).unwrap(), ["notify /x y: changed", "notify http://a/: added"]);
        assert_eq!(difference(&one, BASE).unwrap(), ["notify /x y: removed"]);
        let twice = with(&"[[notify]]\ncommand = ['/x', 'y']\n".repeat(2));
        assert_eq!(difference(&one, &twice).unwrap(), ["notify: other entries for the same"]);
    }

    #[test]
    fn a_default_changes_for_real_servers_to_come() {
        let other = BASE.replace("80'\n", "80'\nforwarding = 'direct'\nslow_start = '30s'\n");
        let other = other.replace("10.0.0.2'", "10.0.0.2'\nforwarding = 'nat'\nslow_start = '0s'");
        let other = other.replace("10.0.0.3'", "10.0.0.3'\nforwarding = 'nat'\nslow_start = '0s'");
        let service = "service TCP 192.0.2.1:80";
        assert_eq!(
            difference(BASE, &other).unwrap(),
            [format!("{service}: forwarding nat -> direct"), format!("{service}: slow_start 0s -> 30s")]
        );
    }
}
