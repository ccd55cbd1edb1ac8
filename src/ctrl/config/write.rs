//! The inverse of reading: a configuration as a document, with the keys that one would write, in the order of the docs.
//!
//! What is read from it is what was written: the same model, word for word.

use std::net::IpAddr;
use std::path::PathBuf;

use super::announce::MAIN_TABLE;
use super::document::{Table, Value};
use super::health;
use super::local_pool;
use super::model::*;
use super::name;
use super::notify::DEFAULT_NOTIFY_TIMEOUT;
use super::read::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MTU, DEFAULT_SOCKET, MSS_CLAMPS, NO_SERVERS, POLLS, TRANSITS, WIDE_SHARE,
};
use super::selector::FAMILIES;
use crate::dataplane::address::{Address, Family};
use crate::dataplane::sched::DEFAULT_MH_SIZE;
use crate::dataplane::selector::{Addresses, Ports};
use crate::dataplane::service::Persistence;

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What is not as it would be if it were left out: for files.
    Short,
    /// What is at its default too: for programs, which need not know the defaults.
    Full,
}

/// Writes the whole configuration.
pub fn config(config: &Config) -> Table {
    let mut root = Table::new();
    for (key, table) in [
        ("director", director(&config.director, &config.ports)),
        ("api", api(&config.api)),
        ("announce", config.announce.as_ref().map_or_else(Table::new, announce)),
        ("health", checks(&config.checks)),
        ("mirror", config.mirror.as_ref().map_or_else(Table::new, mirror)),
        ("timeouts", timeouts(&config.timeouts)),
        ("ipvs", rules(&config.rules)),
    ] {
        if !table.is_empty() {
            root.set(key, table);
        }
    }
    list(&mut root, "port", config.ports.iter().map(port));
    list(&mut root, "route", config.routes.iter().map(route));
    list(&mut root, "neighbor", config.neighbors.iter().map(neighbor));
    list(&mut root, "local_pool", config.local_pools.iter().map(local_pool::write));
    list(&mut root, "mark", config.marks.iter().map(mark));
    list(&mut root, "notify", config.notify.iter().map(notify));
    list(&mut root, "service", config.services.iter().map(|it| service_with_reals(it, Detail::Short)));
    root
}

/// Writes a service with its real servers.
pub fn service_with_reals(service: &Service, detail: Detail) -> Table {
    let mut table = self::service(service, detail);
    list(&mut table, "real", service.reals.iter().map(|it| real(it, service, detail)));
    table
}

/// Writes a service without its real servers.
pub fn service(service: &Service, detail: Detail) -> Table {
    let mut table = Writer { table: key(&service.selector), detail };
    if service.vips != default_vips(&service.selector) {
        table.table.set("vips", hosts(&service.vips));
    }
    table.put("scheduler", service.scheduler.name(), service.scheduler.name() == Scheduler::Wlc.name());
    let flags: Vec<_> = service.scheduler.flags().collect();
    table.put_some("scheduler_flags", (!flags.is_empty()).then_some(flags));
    if let Some(size) = service.scheduler.mh_size() {
        table.put("mh_table_size", size, size == DEFAULT_MH_SIZE);
    }
    table.put("forwarding", service.forwarding.to_string(), service.forwarding == Forwarding::Nat);
    table.put_some("timeout", service.timeout.map(time));
    table.put_some("persistence", service.persistence.map(|it| persistence(it, service.selector.family(), detail)));
    table.put("max_new_per_second", service.max_new_per_second, service.max_new_per_second == 0);
    table.put("slow_start", time(service.slow_start), service.slow_start == 0);
    table.put("ops", service.one_packet, !service.one_packet);
    let mss_clamp = match service.mss_clamp {
        MssClamp::At(size) => Value::from(u32::from(size)),
        ref other => word(MSS_CLAMPS, other).into(),
    };
    table.put("mss_clamp", mss_clamp, service.mss_clamp == MssClamp::Auto);
    table.put_some("sorry_server", service.sorry_server.as_ref().map(|it| station(it, service, detail).table));
    table.put("no_server", word(NO_SERVERS, &service.no_server), service.no_server == NoServer::Unreachable);
    health::write(&mut table, &service.health);
    table.table
}

/// Writes what tells a service from every other: `address` and `protocol`, `match`, or `mark` and `family`.
pub fn key(selector: &Selector) -> Table {
    let mut table = Table::new();
    match selector {
        Selector::Mark(mark, family) => {
            table.set("mark", *mark);
            if *family == Family::V6 {
                table.set("family", word(FAMILIES, family));
            }
        }
        Selector::Match(pattern) => table.set("match", self::pattern(pattern)),
        Selector::Socket(..) | Selector::Range(_) => {
            table.set("address", selector.to_string());
            // Of TCP too: it says what the address is.
            table.set("protocol", selector.protocol().to_lowercase());
        }
    }
    table
}

/// Writes a real server of `service`.
pub fn real(real: &Real, service: &Service, detail: Detail) -> Table {
    let mut table = station(real, service, detail);
    table.put("weight", u32::from(real.weight), real.weight == 1);
    table.put("upper", real.thresholds.upper, real.thresholds.upper == 0);
    table.put("lower", real.thresholds.lower, real.thresholds.lower == 0);
    table.put("slow_start", time(real.slow_start), real.slow_start == service.slow_start);
    health::write_of_real(&mut table, real, service);
    table.table
}

/// Writes the address of a real server, without a port where it is the one that the client chose.
pub fn real_address(real: &Real) -> String {
    match real.address.port() {
        0 => real.address.ip().to_string(),
        _ => real.address.to_string(),
    }
}

/// Writes a check in one line, as JSON.
pub fn check(check: &Check) -> String {
    serde_json::to_string(&health::written(check, Detail::Short)).unwrap_or_default()
}

/// Writes `[timeouts]`.
pub fn timeouts(timeouts: &Timeouts) -> Table {
    let defaults = Timeouts::default();
    let mut table = Writer::short();
    table.put("tcp", time(timeouts.tcp), timeouts.tcp == defaults.tcp);
    table.put("tcp_fin", time(timeouts.tcp_fin), timeouts.tcp_fin == defaults.tcp_fin);
    table.put("udp", time(timeouts.udp), timeouts.udp == defaults.udp);
    table.table
}

/// Returns the word for what becomes of packets in transit.
pub fn transit(transit: Transit) -> &'static str {
    word(TRANSITS, &transit)
}

/// The word of a list that means this.
fn word<T: PartialEq>(words: &[(&'static str, T)], meant: &T) -> &'static str {
    words.iter().find(|(_, meaning)| meaning == meant).map_or("", |(word, _)| word)
}

/// A table that is being written.
pub(super) struct Writer {
    pub table: Table,
    detail: Detail,
}

impl Writer {
    /// An empty table.
    pub fn new(detail: Detail) -> Self {
        Self { table: Table::new(), detail }
    }

    /// An empty table, for what is not at its default.
    pub fn short() -> Self {
        Self::new(Detail::Short)
    }

    /// Writes the value of `key`, unless it is the default and those are left out.
    pub fn put(&mut self, key: &str, value: impl Into<Value>, is_default: bool) {
        if !is_default || self.detail == Detail::Full {
            self.table.set(key, value);
        }
    }

    /// Writes the value of `key` if there is one.
    pub fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.table.set(key, value);
        }
    }
}

fn list(table: &mut Table, key: &str, tables: impl Iterator<Item = Table>) {
    let tables: Vec<_> = tables.collect();
    if !tables.is_empty() {
        table.set(key, tables);
    }
}

fn director(director: &Director, ports: &[Port]) -> Table {
    let mut table = Writer::short();
    let cores: Vec<_> = director.workers.iter().map(|core| *core as u64).collect();
    table.put("workers", cores, director.workers == [1]);
    let share = director.max_connections / WIDE_SHARE;
    for (key, size, default) in [
        ("max_connections", director.max_connections, DEFAULT_MAX_CONNECTIONS),
        ("max_wide_connections", director.max_wide_connections, share),
        ("max_templates", director.max_templates, share),
    ] {
        table.put(key, size as u64, size == default);
    }
    let poll = POLLS.iter().find(|(_, poll)| *poll == director.poll).map(|(word, _)| *word);
    table.put_some("poll", poll.filter(|_| director.poll != Poll::Busy));
    table.put("dpdk_args", director.dpdk_args.clone(), director.dpdk_args.is_empty());
    table.put("transit", transit(director.transit), director.transit == Config::default_transit(ports));
    table.put("watch", director.watch, !director.watch);
    table.table
}

fn api(api: &Api) -> Table {
    let mut table = Writer::short();
    let socket = api.socket.to_string_lossy();
    table.put("socket", &*socket, socket == DEFAULT_SOCKET);
    if let Some(Listen { address, token_file, tls, public_reads }) = &api.listen {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        table.put("listen", address.to_string(), false);
        table.put_some("token_file", token_file.as_ref().map(path));
        if let Some(Tls { certificate, key, client_ca }) = tls {
            table.put("certificate", path(certificate), false);
            table.put("key", path(key), false);
            table.put_some("client_ca", client_ca.as_ref().map(path));
        }
        table.put("public_reads", *public_reads, !public_reads);
    }
    table.table
}

fn announce(announce: &Announce) -> Table {
    let mut table = Writer::short();
    // At its default too: the table being there is what announces.
    table.put("protocol", u32::from(announce.protocol), false);
    table.put("table", announce.table, announce.table == MAIN_TABLE);
    table.table
}

fn checks(checks: &Checks) -> Table {
    let mut table = Writer::short();
    table.put("stand_ins", checks.stand_ins.to_string(), *checks == Checks::default());
    table.table
}

fn mirror(mirror: &Mirror) -> Table {
    let mut table = Writer::short();
    // At its default too: the table being there is what mirrors.
    table.put("table", mirror.table, false);
    let protocols: Vec<Value> = mirror.protocols.iter().map(|protocol| super::mirror::protocol(*protocol)).collect();
    table.put("protocols", protocols, mirror.protocols.is_empty());
    table.put("neighbors", mirror.neighbors, mirror.neighbors);
    table.table
}

fn rules(rules: &Rules) -> Table {
    let defaults = Rules::default();
    let mut table = Writer::short();
    for (key, value, default) in [
        ("sloppy_tcp", u8::from(rules.sloppy_tcp), u8::from(defaults.sloppy_tcp)),
        ("sloppy_sctp", u8::from(rules.sloppy_sctp), u8::from(defaults.sloppy_sctp)),
        ("conn_reuse_mode", rules.conn_reuse_mode, defaults.conn_reuse_mode),
        ("expire_nodest_conn", u8::from(rules.expire_nodest_conn), u8::from(defaults.expire_nodest_conn)),
        (
            "expire_quiescent_template",
            u8::from(rules.expire_quiescent_template),
            u8::from(defaults.expire_quiescent_template),
        ),
        ("schedule_icmp", u8::from(rules.schedule_icmp), u8::from(defaults.schedule_icmp)),
    ] {
        table.put(key, u32::from(value), value == default);
    }
    table.table
}

fn port(port: &Port) -> Table {
    let mut table = Writer::short();
    table.put("name", &*port.name, false);
    table.put("device", &*port.device, false);
    let addresses: Vec<_> = port.addresses.iter().map(ToString::to_string).collect();
    table.put("addresses", addresses, port.addresses.is_empty());
    table.put("mtu", u32::from(port.mtu), port.mtu == DEFAULT_MTU);
    table.put_some("mac", port.mac.as_ref().map(mac));
    table.put_some("twin", port.twin.as_deref());
    match port.queues {
        // There is no other choice yet.
        Queues::PerWorker => table.table,
    }
}

fn route(route: &Route) -> Table {
    let gateways: Vec<_> = route.via.iter().map(ToString::to_string).collect();
    let via = if let [one] = &gateways[..] { Value::from(&**one) } else { gateways.into() };
    Table::from_iter([("to", Value::from(route.to.to_string())), ("via", via)])
}

fn neighbor(neighbor: &Neighbor) -> Table {
    Table::from_iter([("address", neighbor.address.to_string()), ("mac", mac(&neighbor.mac))])
}

fn mark(rule: &Mark) -> Table {
    Table::from_iter([("mark", Value::from(rule.mark)), ("match", pattern(&rule.pattern).into())])
}

fn notify(notify: &Notify) -> Table {
    let mut table = Writer::short();
    match &notify.receiver {
        Receiver::Command(words) => table.put("command", words.clone(), false),
        Receiver::Webhook { url, token_file, ca } => {
            let path = |path: &PathBuf| path.to_string_lossy().into_owned();
            table.put("url", &**url, false);
            table.put_some("token_file", token_file.as_ref().map(path));
            table.put_some("ca", ca.as_ref().map(path));
        }
    }
    let events: Vec<_> = notify.events.iter().map(|event| event.name()).collect();
    table.put("events", events, notify.events.is_empty());
    let services: Vec<_> = notify.services.iter().map(service_name).collect();
    table.put("services", services, notify.services.is_empty());
    table.put("timeout", time(notify.timeout), notify.timeout == DEFAULT_NOTIFY_TIMEOUT);
    table.table
}

/// Writes a service's name: `203.0.113.10:80`, `udp/203.0.113.10:53`, `mark/7`.
fn service_name(selector: &Selector) -> String {
    let (kind, rest) = name::parts(&key(selector));
    // With the protocol where the name could be read as another's.
    if kind == "tcp" && !rest.contains('/') { rest } else { format!("{kind}/{rest}") }
}

fn mac(octets: &[u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

/// Writes a `match`; one that fits everything must say so.
fn pattern(pattern: &Pattern) -> Table {
    let mut table = Writer::short();
    table.put_some("protocol", pattern.protocol.map(|protocol| protocol.to_string().to_lowercase()));
    let (family, any_from) = (pattern.family(), pattern.from.are_all());
    // Without addresses it would be IPv4's.
    let said = *pattern != Pattern::every(family) && (family == Family::V4 || !any_from);
    table.put("from", pattern.from.to_string(), any_from);
    table.put("to", pattern.to.to_string(), pattern.to.are_all() && said);
    match pattern.ports.one() {
        Some(port) => table.put("port", u32::from(port), false),
        None => table.put("port", pattern.ports.to_string(), pattern.ports == Ports::EVERY),
    }
    table.put_some("ingress", pattern.ingress.map(|ingress| ingress.name.to_string()));
    table.table
}

/// Writes what packets can be sent to.
fn station(real: &Real, service: &Service, detail: Detail) -> Writer {
    let mut table = Writer::new(detail);
    table.put("address", real_address(real), false);
    table.put("forwarding", real.forwarding.to_string(), real.forwarding == service.forwarding);
    table
}

fn persistence(persistence: Persistence, family: Family, detail: Detail) -> Table {
    let mut table = Writer::new(detail);
    // Seconds, as with ipvsadm.
    table.put("timeout", persistence.timeout, false);
    table.put("mask", u32::from(persistence.prefix), persistence.prefix == family.bits());
    table.table
}

/// The addresses that are answered for if the service does not say.
fn default_vips(selector: &Selector) -> Vec<IpAddr> {
    selector.addresses().one().filter(|_| !matches!(selector, Selector::Match(_))).into_iter().collect()
}

/// Writes addresses, those that follow each other as one range.
fn hosts(addresses: &[IpAddr]) -> Vec<String> {
    let bits = |address: &IpAddr| Address::from(*address).to_bits();
    let runs = addresses.chunk_by(|one, next| bits(one).checked_add(1) == Some(bits(next)));
    let range = |run: &[IpAddr]| Some(Addresses { first: *run.first()?, last: *run.last()? });
    runs.filter_map(range).map(|range| range.to_string()).collect()
}

/// Writes whole seconds as a time with units: `1h 30m`.
pub(super) fn time(seconds: u32) -> String {
    let parts = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let some: Vec<_> =
        parts.iter().filter(|(_, count)| *count > 0).map(|(unit, count)| format!("{count}{unit}")).collect();
    if some.is_empty() { "0s".to_owned() } else { some.join(" ") }
}
