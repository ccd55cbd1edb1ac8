//! `millrace port`, `neighbor` and `route`: the director's links.

use std::process::ExitCode;

use ipnet::IpNet;
use millrace::cli::status::NOT_DONE;
use millrace::cli::{
    Destination, NeighborArgs, NeighborCommand, NeighborShowArgs, NetworkListArgs, PortArgs, PortCommand, PortShowArgs,
    RouteArgs, RouteCommand, RouteShowArgs,
};
use millrace::ctrl::api::{Client, ClientError, RouteReport};
use millrace::ctrl::listing;
use serde::Serialize;

use crate::output::{fail, fail_to_ask, print, print_json};

/// Does what `millrace port` was told.
pub fn port(args: &PortArgs) -> ExitCode {
    match &args.command {
        PortCommand::List(args) => list(args, Client::ports, |all| listing::ports(&all.ports)),
        PortCommand::Show(args) => show_port(args),
    }
}

/// Does what `millrace neighbor` was told.
pub fn neighbor(args: &NeighborArgs) -> ExitCode {
    match &args.command {
        NeighborCommand::List(args) => list(args, Client::neighbors, |all| listing::neighbors(&all.neighbors)),
        NeighborCommand::Show(args) => show_neighbor(args),
    }
}

/// Does what `millrace route` was told.
pub fn route(args: &RouteArgs) -> ExitCode {
    match &args.command {
        RouteCommand::List(args) => list(args, Client::routes, |all| listing::routes(&all.routes)),
        RouteCommand::Show(args) => show_route(args),
    }
}

/// Asks for all there are, and prints them.
fn list<T: Serialize>(
    args: &NetworkListArgs,
    ask: impl FnOnce(&Client) -> Result<T, ClientError>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match ask(&Client::new(&args.director.socket)) {
        Ok(all) if args.json => print_json(&all),
        Ok(all) => print(&text(&all)),
        Err(error) => fail_to_ask(&error),
    }
}

fn show_port(args: &PortShowArgs) -> ExitCode {
    let all = match Client::new(&args.director.socket).ports() {
        Ok(all) => all.ports,
        Err(error) => return fail_to_ask(&error),
    };
    match all.iter().find(|port| port.report.name == args.port) {
        Some(port) if args.json => print_json(port),
        Some(port) => print(&listing::port(port)),
        None => fail(NOT_DONE, format_args!("there is no port {}", args.port)),
    }
}

/// There may be several with one address, on different ports.
fn show_neighbor(args: &NeighborShowArgs) -> ExitCode {
    let mut all = match Client::new(&args.director.socket).neighbors() {
        Ok(all) => all.neighbors,
        Err(error) => return fail_to_ask(&error),
    };
    all.retain(|neighbor| neighbor.address == args.address);
    match all.as_slice() {
        [] => fail(NOT_DONE, format_args!("there is no neighbour {}", args.address)),
        found if args.json => print_json(&found),
        found => print(&listing::neighbors(found)),
    }
}

fn show_route(args: &RouteShowArgs) -> ExitCode {
    let all = match Client::new(&args.director.socket).routes() {
        Ok(all) => all.routes,
        Err(error) => return fail_to_ask(&error),
    };
    match find(&all, args.to) {
        Some(route) if args.json => print_json(route),
        Some(route) => print(&listing::routes(std::slice::from_ref(route))),
        None => fail(NOT_DONE, format_args!("there is no route to {}", args.to)),
    }
}

/// Finds the route to a prefix, or to an address: of those that are active the one with the longest prefix; if none is, that one of
/// those that are down, the first of several.
fn find(routes: &[RouteReport], to: Destination) -> Option<&RouteReport> {
    let prefixes = routes.iter().filter_map(|route| Some((route.to.parse::<IpNet>().ok()?, route)));
    let fitting = prefixes.filter(|(prefix, _)| match to {
        Destination::Address(address) => prefix.contains(&address),
        Destination::Prefix(wanted) => *prefix == wanted,
    });
    let taken = fitting.rev().max_by_key(|(prefix, route)| (route.state == "active", prefix.prefix_len()));
    taken.map(|(_, route)| route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_is_the_one_that_packets_take() {
        let route = |(to, origin, state): (&str, &str, &str)| RouteReport {
            to: to.to_owned(),
            origin: origin.to_owned(),
            state: state.to_owned(),
            ..RouteReport::default()
        };
        let routes = [
            ("10.0.0.0/8", "config", "active"),
            ("10.1.0.0/16", "connected", "down"),
            ("10.1.0.0/16", "config", "active"),
            ("10.1.2.0/24", "config", "down"),
            ("192.0.2.0/24", "connected", "down"),
            ("192.0.2.0/24", "config", "down"),
        ];
        let routes = routes.map(route);
        for (to, expected) in [
            ("10.1.2.3", Some(("10.1.0.0/16", "config"))),
            ("10.2.0.0", Some(("10.0.0.0/8", "config"))),
            ("192.0.2.7", Some(("192.0.2.0/24", "connected"))),
            ("10.1.2.0/24", Some(("10.1.2.0/24", "config"))),
            ("10.0.0.0/8", Some(("10.0.0.0/8", "config"))),
            ("203.0.113.1", None),
            ("10.0.0.0/9", None),
            ("2001:db8::1", None),
        ] {
            let found = find(&routes, to.parse().unwrap());
            assert_eq!(found.map(|route| (&*route.to, &*route.origin)), expected, "{to}");
        }
    }
}
