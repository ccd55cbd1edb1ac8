//! Names of hosts and services, by the machine's own databases: what `-n` does without.
//!
//! Hosts go through the system's resolver (getaddrinfo, getnameinfo). Of services only `/etc/services` is read: the
//! resolver's functions do not know SCTP's.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use crate::dataplane::service::Protocol;

/// What is called how.
pub trait Names {
    /// The IPv4 address of a host.
    fn address_of(&self, host: &str) -> Option<Ipv4Addr>;
    /// The port of a service.
    fn port_of(&self, service: &str, protocol: Protocol) -> Option<u16>;
    /// The name of a host.
    fn host_at(&self, address: IpAddr) -> Option<String>;
    /// The name of a service.
    fn service_at(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// What this machine calls them.
#[derive(Debug, Default)]
pub struct Here {
    services: OnceCell<Services>,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
}

impl Here {
    fn services(&self) -> &Services {
        self.services.get_or_init(|| Services::read(&fs::read_to_string("/etc/services").unwrap_or_default()))
    }
}

impl Names for Here {
    fn address_of(&self, host: &str) -> Option<Ipv4Addr> {
        let mut found = (host, 0).to_socket_addrs().ok()?;
        found.find_map(|socket| match socket.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    fn port_of(&self, service: &str, protocol: Protocol) -> Option<u16> {
        self.services().ports.get(&(service.to_owned(), protocol.to_string().to_lowercase())).copied()
    }

    fn host_at(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        let find = || dns_lookup::lookup_addr(&address).ok().filter(|name| *name != address.to_string());
        hosts.entry(address).or_insert_with(find).clone()
    }

    fn service_at(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services().names.get(&(port, protocol.to_string().to_lowercase())).cloned()
    }
}

/// `/etc/services`: of several lines with one name or one port the first counts.
#[derive(Debug, Default)]
struct Services {
    ports: HashMap<(String, String), u16>,
    names: HashMap<(u16, String), String>,
}

impl Services {
    fn read(text: &str) -> Self {
        let mut services = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let (Some(name), Some((port, protocol))) =
                (words.next(), words.next().and_then(|word| word.split_once('/')))
            else {
                continue;
            };
            let Ok(port) = port.parse() else { continue };
            services.names.entry((port, protocol.to_owned())).or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                services.ports.entry((name.to_owned(), protocol.to_owned())).or_insert(port);
            }
        }
        services
    }
}

/// A machine that knows a few names, for tests.
#[cfg(test)]
#[derive(Debug)]
pub struct Few;

#[cfg(test)]
impl Names for Few {
    fn address_of(&self, host: &str) -> Option<Ipv4Addr> {
        (host == "director.example").then_some(Ipv4Addr::new(192, 0, 2, 10))
    }

    fn port_of(&self, service: &str, protocol: Protocol) -> Option<u16> {
        let known = [("http", Protocol::Tcp, 80), ("domain", Protocol::Tcp, 53), ("domain", Protocol::Udp, 53)];
        known.iter().find(|known| (known.0, known.1) == (service, protocol)).map(|known| known.2)
    }

    fn host_at(&self, address: IpAddr) -> Option<String> {
        (address == IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10))).then(|| "director.example".to_owned())
    }

    fn service_at(&self, port: u16, protocol: Protocol) -> Option<String> {
        let known = [("http", Protocol::Tcp, 80), ("domain", Protocol::Udp, 53)];
        known.iter().find(|known| (known.2, known.1) == (port, protocol)).map(|known| known.0.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names_and_aliases_by_protocol() {
        let text = "# none\nhttp 80/tcp www # web\nweb 80/tcp\nhttp 80/udp\nbad\nworse x/tcp\ndomain\t53/udp\n";
        let services = Services::read(text);
        let port = |name: &str, protocol: &str| services.ports.get(&(name.to_owned(), protocol.to_owned())).copied();
        assert_eq!([port("http", "tcp"), port("www", "tcp"), port("web", "tcp")], [Some(80); 3]);
        assert_eq!((port("www", "udp"), port("bad", "tcp"), port("none", "tcp")), (None, None, None));
        assert_eq!(services.names[&(80, "tcp".to_owned())], "http", "the first line's");
        assert_eq!(services.names[&(53, "udp".to_owned())], "domain");
    }
}
