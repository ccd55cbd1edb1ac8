//! VIPs as routes of the host, for BIRD or FRR to tell the routers.
//!
//! A VIP is announced while a real server with a weight, or a sorry server, stands behind one of its services, and the director is
//! not told to drain ([`super::drain`]); it is a route
//! such as `blackhole 203.0.113.10 proto 109`. The host must not have the VIP as an address: it would answer for it. A
//! blackhole is no address and needs no interface, a routing daemon gives itself as the next hop of it, and a packet for the
//! VIP that no service takes ends there and does not go back to the router that sent it.
//!
//! Routes are known to be ours by their protocol. What a director that was killed has left is taken over by the next one: a
//! VIP that stays is at no moment withdrawn. Once a second the kernel is asked, and what somebody took away is put back.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use log::{info, warn};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use rtnetlink::{Error, Handle, RouteMessageBuilder, new_connection_with_strict_check};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::config::{Announce, Config, Service};
use super::director::Running;
use crate::dataplane::address::Family;

/// How often the kernel is asked what it has.
const LOOK: Duration = Duration::from_secs(1);
/// The kernel's word for a routing table that nothing is in.
const NO_SUCH_TABLE: i32 = -2;
/// The kernel's word for a route that is not there.
const NO_SUCH_ROUTE: i32 = -3;
/// The kernel's word for a route in whose place there is another.
const TAKEN: i32 = -17;

/// Returns the VIPs that packets are to be sent to.
pub fn vips(config: &Config) -> BTreeSet<IpAddr> {
    let manned =
        |service: &&Arc<Service>| service.sorry_server.is_some() || service.reals.iter().any(|real| real.weight > 0);
    config.services.iter().filter(manned).flat_map(|service| service.vips.iter().copied()).collect()
}

/// Announces what `running` has somebody for until `stop`; then nothing any more.
pub async fn follow(mut announcer: Announcer, running: Arc<Running>, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What a former director has left, before anything is added beside it.
    announcer.look().await;
    loop {
        let look = tokio::select! {
            () = &mut stop => break,
            _ = looks.tick() => true,
            () = running.applied() => false,
        };
        if look {
            announcer.look().await;
        }
        announcer.announce(&running.announcing().wanted(vips(&running.effective()))).await;
        running.announcing().note(&announcer.present);
    }
    announcer.announce(&BTreeSet::new()).await;
}

/// Whoever adds and removes the routes.
#[derive(Debug)]
pub struct Announcer {
    of_ours: Announce,
    /// What there is of ours, as far as is known.
    present: BTreeSet<IpAddr>,
    /// What the kernel refused, and that was logged.
    refused: BTreeSet<IpAddr>,
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Announcer {
    /// Opens a netlink socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the kernel offers none.
    pub fn open(of_ours: Announce) -> io::Result<Self> {
        let (connection, handle, _) = new_connection_with_strict_check()?;
        let connection = tokio::spawn(connection);
        Ok(Self { of_ours, present: BTreeSet::new(), refused: BTreeSet::new(), handle, connection })
    }

    /// Asks the kernel what there is of ours.
    pub async fn look(&mut self) {
        for (family, all) in [
            (Family::V4, self.ours(RouteMessageBuilder::<Ipv4Addr>::new()).build()),
            (Family::V6, self.ours(RouteMessageBuilder::<Ipv6Addr>::new()).build()),
        ] {
            let listed = match self.handle.route().get(all).execute().try_collect::<Vec<_>>().await {
                Ok(listed) => listed,
                Err(Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_TABLE => Vec::new(),
                Err(error) => {
                    warn!("announced VIPs: the kernel does not list its {family} routes: {error}");
                    continue;
                }
            };
            self.present.retain(|vip| Family::of(*vip) != family);
            self.present.extend(listed.iter().filter_map(|route| of_ours(route, self.of_ours)));
        }
    }

    /// Has the kernel have a route to each of `wanted`, and of ours no other.
    pub async fn announce(&mut self, wanted: &BTreeSet<IpAddr>) {
        self.refused.retain(|vip| wanted.contains(vip));
        for vip in &self.present - wanted {
            match self.handle.route().del(self.about(vip)).execute().await {
                Ok(()) => info!("VIP {vip}: withdrawn"),
                Err(Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_ROUTE => {}
                Err(error) => {
                    warn!("VIP {vip} is not withdrawn: {error}");
                    continue;
                }
            }
            self.present.remove(&vip);
        }
        for vip in wanted - &self.present {
            match self.handle.route().add(self.about(vip)).execute().await {
                Ok(()) => {
                    info!("VIP {vip}: announced");
                    self.refused.remove(&vip);
                    self.present.insert(vip);
                }
                Err(error) if self.refused.insert(vip) => warn!("VIP {vip} is not announced: {}", reason(&error)),
                Err(_) => {}
            }
        }
    }

    /// The message about the route to a VIP.
    fn about(&self, vip: IpAddr) -> RouteMessage {
        let length = Family::of(vip).bits();
        match vip {
            IpAddr::V4(vip) => {
                self.ours(RouteMessageBuilder::<Ipv4Addr>::new()).destination_prefix(vip, length).build()
            }
            IpAddr::V6(vip) => {
                self.ours(RouteMessageBuilder::<Ipv6Addr>::new()).destination_prefix(vip, length).build()
            }
        }
    }

    /// Says what all of ours have in common.
    fn ours<T>(&self, routes: RouteMessageBuilder<T>) -> RouteMessageBuilder<T> {
        let protocol = RouteProtocol::from(self.of_ours.protocol);
        routes.protocol(protocol).table_id(self.of_ours.table).kind(RouteType::BlackHole)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::NetlinkError(error) if error.raw_code() == TAKEN => "the host has another route to it".to_owned(),
        error => error.to_string(),
    }
}

/// Returns the VIP that a route of ours is to; the kernel may list others too.
fn of_ours(route: &RouteMessage, ours: Announce) -> Option<IpAddr> {
    let listed = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let header = &route.header;
    let fits = header.protocol == RouteProtocol::from(ours.protocol)
        && header.kind == RouteType::BlackHole
        && listed.unwrap_or(header.table.into()) == ours.table;
    let to = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    to.filter(|to| fits && header.destination_prefix_length == Family::of(*to).bits())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config::parse;
    use super::*;

    const OURS: Announce = Announce { protocol: 109, table: 254 };

    fn announced(services: &str) -> Vec<String> {
        let port = "[[port]]\nname = 'lan'\ndevice = 'net_ring0'\naddresses = ['10.0.0.1/24']\n";
        let config = parse(Path::new("x.toml"), &format!("{port}{services}")).unwrap().config;
        vips(&config).iter().map(ToString::to_string).collect()
    }

    fn service(address: &str, weights: &[u16]) -> String {
        let real =
            |(place, weight)| format!("[[service.real]]\naddress = '10.0.0.{}:80'\nweight = {weight}\n", 10 + place);
        let reals: String = weights.iter().enumerate().map(real).collect();
        format!("[[service]]\naddress = '{address}'\n{reals}")
    }

    #[test]
    fn a_vip_is_announced_while_one_service_of_it_has_somebody() {
        assert_eq!(announced(&service("192.0.2.1:80", &[])), [""; 0]);
        assert_eq!(announced(&service("192.0.2.1:80", &[0, 0])), [""; 0], "who has no weight takes nobody");
        assert_eq!(announced(&service("192.0.2.1:80", &[0, 1])), ["192.0.2.1"]);
        let several = service("192.0.2.1:80", &[0]) + &service("192.0.2.1:443", &[7]) + &service("192.0.2.2:80", &[]);
        assert_eq!(announced(&several), ["192.0.2.1"]);
    }

    #[test]
    fn a_sorry_server_is_somebody() {
        let sorry = "[[service]]\naddress = '192.0.2.1:80'\nsorry_server = { address = '10.0.0.9:80' }\n";
        assert_eq!(announced(sorry), ["192.0.2.1"]);
    }

    #[test]
    fn of_several_addresses_those_that_are_answered_for_are_announced() {
        let real = "[[service.real]]\naddress = '10.0.0.9'\n";
        let range = |vips| format!("[[service]]\naddress = '192.0.2.0/28:80'\n{vips}\n{real}");
        assert_eq!(announced(&range("")), [""; 0]);
        assert_eq!(announced(&range("vips = ['192.0.2.3-192.0.2.4']")), ["192.0.2.3", "192.0.2.4"]);
    }

    #[test]
    fn a_route_is_ours_by_its_protocol_and_kind() {
        let vip = Ipv4Addr::new(192, 0, 2, 1);
        let route = |protocol, table, kind, length| {
            let builder =
                RouteMessageBuilder::<Ipv4Addr>::new().protocol(RouteProtocol::from(protocol)).table_id(table);
            of_ours(&builder.kind(kind).destination_prefix(vip, length).build(), OURS)
        };
        assert_eq!(route(109, 254, RouteType::BlackHole, 32), Some(vip.into()));
        let six = |length| {
            let builder = RouteMessageBuilder::<Ipv6Addr>::new().protocol(RouteProtocol::from(109)).table_id(254);
            let vip = "2001:db8::10".parse().unwrap();
            of_ours(&builder.kind(RouteType::BlackHole).destination_prefix(vip, length).build(), OURS)
        };
        assert_eq!([six(128), six(32)], [Some("2001:db8::10".parse().unwrap()), None]);
        assert_eq!(route(4, 254, RouteType::BlackHole, 32), None);
        assert_eq!(route(109, 253, RouteType::BlackHole, 32), None);
        assert_eq!(route(109, 1000, RouteType::BlackHole, 32), None);
        assert_eq!(route(109, 254, RouteType::Unicast, 32), None);
        assert_eq!(route(109, 254, RouteType::BlackHole, 31), None);
    }
}
