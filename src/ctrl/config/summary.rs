//! A good configuration in a few words, and what its author may not have meant.

use std::collections::HashSet;
use std::net::IpAddr;

use hyper::Uri;

use super::model::{Config, Forwarding, Mark, Notify, Real, Receiver, Route, Selector};
use super::source::ConfigError;
use super::{Loaded, Reach};
use crate::dataplane::address::Family;
use crate::dataplane::selector::Addresses;

impl Config {
    /// Counts what there is, in one line.
    pub fn summary(&self) -> String {
        let reals = self.services.iter().map(|service| service.reals.len()).sum();
        format!(
            "{}, {}, {}, {}, {} with {}",
            count(self.director.workers.len(), "worker"),
            count(self.ports.len(), "port"),
            count(self.routes.len(), "route"),
            count(self.neighbors.len(), "static neighbour"),
            count(self.services.len(), "service"),
            count(reals, "real server"),
        )
    }

    /// Tells whether an answer can be sent to a client of a family anywhere.
    fn reaches_everyone(&self, family: Family) -> bool {
        let to_all = |route: &Route| route.to.prefix_len() == 0 && Family::of(route.to.addr()) == family;
        self.mirror.is_some() || self.routes.iter().any(to_all)
    }
}

impl Loaded {
    /// Says, one line each with its place in the file, what is allowed but will not do what most people want.
    pub fn notes(&self) -> Vec<ConfigError> {
        let mut notes = Vec::new();
        let ruled: HashSet<Selector> = self.config.marks.iter().map(Mark::selector).collect();
        let served: HashSet<Selector> = self.config.services.iter().map(|service| service.selector).collect();
        let mut note = |path: String, message: &str| notes.push(self.source.error(path, format!("note: {message}")));
        for (place, service) in self.config.services.iter().enumerate() {
            let (path, family) = (format!("service[{place}]"), service.selector.family());
            if service.vips.is_empty() && self.is_on_link(&service.selector) {
                let asked = if family == Family::V4 { "ARP" } else { "neighbour solicitations" };
                let message = format!(
                    "on a port's network, and nobody answers {asked} for it: name what is to be answered for in \"vips\""
                );
                note(path.clone(), &message);
            }
            if service.selector.mark().is_some() && !ruled.contains(&service.selector) {
                note(path.clone(), "no rule gives its mark: write a [[mark]]");
            }
            if service.reals.iter().all(|real| real.weight == 0) && service.sorry_server.is_none() {
                note(path, "no real server with a weight: every new connection is dropped");
            } else if service
                .stations()
                .any(|(_, real)| matches!(real.forwarding, Forwarding::Nat | Forwarding::FullNat))
                && !self.config.reaches_everyone(family)
            {
                let all = Addresses::every(family);
                note(path, &format!("no route to {all}: by NAT, answers reach only clients on known networks"));
            }
            let asks = |real: &Real| real.check.as_ref().is_some_and(|check| check.address.is_none());
            if service.reals.iter().any(asks) && self.config.twins().next().is_none() {
                note(
                    format!("service[{place}].check"),
                    "no port has a twin: the host, which asks, has no way there by the ports",
                );
            }
            for (number, real) in service.reals.iter().enumerate() {
                let behind = matches!(self.config.reach(real.address.ip()), Some(Reach::Gateway(_)));
                if behind && real.forwarding == Forwarding::Nat {
                    let path = format!("service[{place}].real[{number}].address");
                    note(path, "behind a gateway: by NAT, its answers must be routed back through this director");
                }
            }
        }
        let listen = self.config.api.listen.as_ref();
        if listen.is_some_and(|it| it.token_file.is_some() && it.tls.is_none() && !it.address.ip().is_loopback()) {
            note("api.listen".to_owned(), "without TLS (certificate, key), the token can be read on the way");
        }
        for (place, Notify { receiver, services, .. }) in self.config.notify.iter().enumerate() {
            if let Receiver::Webhook { url, token_file: Some(_), .. } = receiver
                && !is_private(url)
            {
                note(format!("notify[{place}].url"), "without https, the token can be read on the way");
            }
            for (number, _) in services.iter().enumerate().filter(|(_, service)| !served.contains(service)) {
                note(format!("notify[{place}].services[{number}]"), "there is no such service");
            }
        }
        for (place, rule) in self.config.marks.iter().enumerate() {
            if !served.contains(&rule.selector()) {
                note(
                    format!("mark[{place}]"),
                    "no service has this mark: packets that bear it are looked up by their address",
                );
            }
        }
        notes
    }

    /// Tells whether the first or the last of a service's addresses lies on a port's own network.
    fn is_on_link(&self, selector: &Selector) -> bool {
        let Selector::Range(pattern) = selector else { return false };
        [pattern.to.first, pattern.to.last].into_iter().any(|end| self.config.on_link(end).is_some())
    }
}

/// Tells whether nobody on the way can read what is sent to a URL.
fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    uri.scheme_str() == Some("https") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
