//! Commands that change what is desired, as changes of the director's; and refusals, in ipvsadm's words.

use std::net::SocketAddr;

use super::command::{Checksum, Command, Key, Mask, Server, Service, Tunnel};
use crate::ctrl::change::{Change, Kind, Refused};
use crate::ctrl::config::Scheduler;
use crate::ctrl::config::document::{Table, Value};

/// What ipvsadm says of a scheduler or an engine that the kernel does not have.
const NO_SCHEDULER: &str = "Scheduler or persistence engine not found";
/// What it says of a lower threshold above the upper one: what C's library calls ERANGE.
const OUT_OF_RANGE: &str = "Numerical result out of range";

/// What is asked of the director's desired state: a change, or none where the command asks for nothing new.
///
/// # Errors
/// Why the director cannot be asked for it.
pub fn change(command: &Command) -> Result<Option<Change>, &'static str> {
    Ok(Some(match command {
        Command::AddService(service) => {
            let mut table = key(&service.key);
            for (name, value) in properties(service)? {
                if value != Value::Null {
                    table.set(name, value);
                }
            }
            Change::AddService { service: table }
        }
        Command::EditService(service) => {
            Change::SetService { service: key(&service.key), set: properties(service)?.into_iter().collect() }
        }
        Command::DeleteService(service) => Change::RemoveService { service: key(service) },
        Command::Clear => Change::Clear,
        Command::AddServer(service, server) => {
            let mut real = Table::from_iter([("address", address(server.address))]);
            for (name, value) in station(server) {
                real.set(name, value);
            }
            Change::AddReal { service: key(service), real }
        }
        Command::EditServer(service, server) => Change::SetReal {
            service: key(service),
            real: address(server.address),
            set: station(server).into_iter().collect(),
        },
        Command::DeleteServer(service, server) => Change::RemoveReal { service: key(service), real: address(*server) },
        Command::Set { tcp, tcp_fin, udp } => {
            let timeouts = [("tcp", *tcp), ("tcp_fin", *tcp_fin), ("udp", *udp)];
            let set: Table = timeouts.into_iter().filter(|(_, seconds)| *seconds > 0).collect();
            if set.is_empty() {
                return Ok(None);
            }
            Change::SetTimeouts { set }
        }
        _ => return Ok(None),
    }))
}

/// What tells the service from every other.
pub fn key(key: &Key) -> Table {
    match key {
        Key::Socket(protocol, address) => {
            let protocol = protocol.to_string().to_lowercase();
            Table::from_iter([("address", address.to_string()), ("protocol", protocol)])
        }
        Key::Mark { mark, ipv6 } => {
            let mut table = Table::from_iter([("mark", *mark)]);
            if *ipv6 {
                table.set("family", "ipv6");
            }
            table
        }
    }
}

/// What a service is like; null for what is at its default. What ipvsadm has no option for is left as it is.
fn properties(service: &Service) -> Result<Vec<(&'static str, Value)>, &'static str> {
    if service.engine.is_some() {
        return Err(NO_SCHEDULER);
    }
    let flags = service.flags.names(&service.scheduler);
    let persistence = service
        .persistent
        .map(|timeout| Table::from_iter([("timeout", Value::from(timeout)), ("mask", mask(service.mask))]));
    let mut properties = vec![
        ("scheduler", service.scheduler.as_str().into()),
        ("scheduler_flags", if flags.is_empty() { Value::Null } else { flags.into() }),
        ("persistence", persistence.map_or(Value::Null, Value::from)),
        ("ops", if service.one_packet { true.into() } else { Value::Null }),
    ];
    if service.scheduler != "mh" {
        // The one property that another scheduler would be refused with.
        properties.push(("mh_table_size", Value::Null));
    }
    Ok(properties)
}

/// In dots or, of IPv6, as a length.
fn mask(mask: Mask) -> Value {
    match mask {
        Mask::V4(mask) => mask.to_string().into(),
        Mask::V6(length) => u32::from(length).into(),
    }
}

fn station(server: &Server) -> Vec<(&'static str, Value)> {
    let mut station = vec![
        ("forwarding", server.forwarding.to_string().into()),
        ("weight", server.weight.into()),
        ("upper", server.upper.into()),
        ("lower", server.lower.into()),
    ];
    let checksum = |checksum| match checksum {
        Checksum::None => "none",
        Checksum::Whole => "whole",
        Checksum::Remote => "remote",
    };
    match server.tunnel {
        Tunnel::Ipip => {}
        Tunnel::Gue { port, checksum: sum } => {
            let tunnel: [(_, Value); 3] =
                [("type", "gue".into()), ("port", u32::from(port).into()), ("checksum", checksum(sum).into())];
            station.push(("tunnel", Table::from_iter(tunnel).into()));
        }
        Tunnel::Gre(sum) => {
            station.push(("tunnel", Table::from_iter([("type", "gre"), ("checksum", checksum(sum))]).into()));
        }
    }
    station
}

/// Without a port where the client's is kept.
fn address(server: SocketAddr) -> String {
    match server.port() {
        0 => server.ip().to_string(),
        _ => server.to_string(),
    }
}

/// Says why a change was refused: in ipvsadm's words where it has any, else in the director's.
pub fn complaint(change: &Change, refused: &Refused) -> String {
    let known = match refused.kind {
        Kind::ServiceExists => "Service already exists",
        Kind::NoSuchService if is_about_a_server(change) => "Service not defined",
        Kind::NoSuchService => "No such service",
        Kind::RealExists => "Destination already exists",
        Kind::NoSuchReal => "No such destination",
        Kind::Invalid if names_unknown_scheduler(change) => NO_SCHEDULER,
        Kind::Invalid if turns_thresholds_round(change) => OUT_OF_RANGE,
        Kind::Version | Kind::Invalid | Kind::Restart => &refused.error,
    };
    known.to_owned()
}

fn is_about_a_server(change: &Change) -> bool {
    matches!(change, Change::AddReal { .. } | Change::SetReal { .. } | Change::RemoveReal { .. })
}

fn names_unknown_scheduler(change: &Change) -> bool {
    let (Change::AddService { service: table } | Change::SetService { set: table, .. }) = change else { return false };
    let Some(Value::String(name)) = table.get("scheduler") else { return false };
    Scheduler::ALL.iter().all(|known| known.name() != name)
}

fn turns_thresholds_round(change: &Change) -> bool {
    let (Change::AddReal { real: table, .. } | Change::SetReal { set: table, .. }) = change else { return false };
    match (table.get("lower"), table.get("upper")) {
        (Some(Value::Integer(lower)), Some(Value::Integer(upper))) => lower > upper,
        _ => false,
    }
}
