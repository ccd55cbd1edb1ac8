//! The host's way to stand-ins: a route to their prefix over a port's twin.
//!
//! ```text
//!   198.18.0.0/15 via 198.18.0.1 dev wan0 proto 110 onlink mtu 1480
//!   198.18.0.1 dev wan0 lladdr 02:73:74:61:6e:64 PERMANENT
//! ```
//! The gateway is nobody: workers see by the destination whom a packet is for, and its Ethernet address is there so that the host need not ask for
//! it. One twin is enough, and answers come back on it, so that a host with strict reverse-path filters takes them. It is one
//! whose port has a carrier; when that goes the route moves to another. The MTU leaves room for a tunnel's header. There is a route while
//! somebody is asked through a VIP. One that a director which was killed has left goes at the next start; one that somebody takes away is put back.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use log::{info, warn};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteType,
};
use rtnetlink::{Error, Handle, RouteMessageBuilder, new_connection_with_strict_check};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::stand_ins::gateway;
use crate::ctrl::config::Config;
use crate::dataplane::address::Family;
use crate::dataplane::forward::ipip;
use crate::dataplane::service::PortId;
use crate::dataplane::shared::Shared;
use crate::dataplane::stand_in::STATION;

/// By which the route is known to be ours: the next after that of announced VIPs, so that no routing daemon takes it for one.
const PROTOCOL: u8 = 110;
/// How often carriers are looked at, and whether somebody is asked.
const LOOK: Duration = Duration::from_millis(100);
/// In so many looks the kernel is asked once what it has.
const ASKED: u32 = 10;
/// The kernel's word for a route that is not there.
const NO_SUCH_ROUTE: i32 = -3;
/// The kernel's main table.
const MAIN_TABLE: u32 = 254;

/// A twin that the route may go over.
#[derive(Clone, Debug)]
struct Twin {
    port: PortId,
    name: String,
}

/// Whoever sees to the route. Needs a tokio runtime.
#[derive(Debug)]
pub struct HostRoute {
    prefix: Ipv4Net,
    mtu: u32,
    twins: Vec<Twin>,
    handle: Handle,
    connection: JoinHandle<()>,
    /// The twin that it goes over, by its place.
    over: Option<usize>,
    /// Whether there is one.
    there: Arc<AtomicBool>,
    /// What the kernel last refused, and was logged.
    refused: String,
}

impl HostRoute {
    /// Opens a netlink socket; `None` where no port has a twin.
    ///
    /// # Errors
    /// If the kernel offers none.
    pub fn open(config: &Config) -> io::Result<Option<Self>> {
        let twins = config.twins().map(|(place, _, name)| Twin { port: PortId(place as u8), name: name.to_owned() });
        let twins: Vec<_> = twins.collect();
        if twins.is_empty() {
            return Ok(None);
        }
        let (connection, handle, _) = new_connection_with_strict_check()?;
        let connection = tokio::spawn(connection);
        let least = config.ports.iter().map(|port| port.mtu).min().unwrap_or_default();
        let (prefix, mtu) = (config.checks.stand_ins, ipip::inner_mtu(least, Family::V4).into());
        let (over, there, refused) = (None, Arc::default(), String::new());
        Ok(Some(Self { prefix, mtu, twins, handle, connection, over, there, refused }))
    }

    /// Tells whoever holds it whether there is a route.
    pub fn there(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.there)
    }

    /// Has a route set, at the start, before anybody is asked.
    pub async fn begin(&mut self, shared: &Shared) {
        self.see_to(Some(choose(None, &self.twins, |port| shared.carrier(port)))).await;
    }

    /// Sees to it that there is a route while `asked` says that somebody is asked, until `stop`; then there is none.
    pub async fn follow(mut self, shared: Arc<Shared>, asked: impl Fn() -> bool, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0u32;
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = looks.tick() => {}
            }
            let wanted = asked().then(|| choose(self.over, &self.twins, |port| shared.carrier(port)));
            // At first too: another director may have left one.
            if wanted != self.over || number.is_multiple_of(ASKED) {
                self.see_to(wanted).await;
            }
            number = number.wrapping_add(1);
        }
        self.see_to(None).await;
    }

    async fn see_to(&mut self, wanted: Option<usize>) {
        match self.set(wanted).await {
            Ok(()) => {
                self.refused.clear();
                self.over = wanted;
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused != error {
                    warn!("the route to stand-ins, {}: {error}: nobody is asked through a VIP", self.prefix);
                    self.refused = error;
                }
                self.over = None;
            }
        }
        self.there.store(self.over.is_some(), Ordering::Relaxed);
    }

    /// Has the kernel have the route over this twin, or none.
    async fn set(&self, wanted: Option<usize>) -> Result<(), Error> {
        let twin = wanted.map(|place| &self.twins[place]);
        let index = match twin {
            Some(twin) => Some(self.index(&twin.name).await?),
            None => None,
        };
        let mut there = false;
        for route in self.ours().await? {
            if index.is_some() && self.is_right(&route, index) {
                there = true;
                continue;
            }
            self.forget_gateway(&route).await;
            // One to the same prefix is replaced.
            if index.is_none() || destination(&route) != Some(self.prefix) {
                self.remove(route).await?;
            }
        }
        let (Some(twin), Some(index)) = (twin, index) else { return Ok(()) };
        if there {
            return Ok(());
        }
        let gateway = gateway(self.prefix);
        let neighbor = self.handle.neighbours().add(index, IpAddr::V4(gateway)).link_layer_address(&STATION);
        neighbor.state(NeighbourState::Permanent).replace().execute().await?;
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
            .protocol(RouteProtocol::from(PROTOCOL))
            .destination_prefix(self.prefix.addr(), self.prefix.prefix_len())
            .output_interface(index)
            .gateway(gateway)
            .onlink()
            .build();
        route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(self.mtu)]));
        self.handle.route().add(route).replace().execute().await?;
        info!("the host asks real servers through their VIPs over {}: {} are stand-ins", twin.name, self.prefix);
        Ok(())
    }

    /// Finds an interface. It may be another one of that name than the last time.
    async fn index(&self, name: &str) -> Result<u32, Error> {
        let mut found = pin!(self.handle.link().get().match_name(name).execute());
        let link: Option<LinkMessage> = found.try_next().await?;
        link.map(|link| link.header.index).ok_or(Error::RequestFailed)
    }

    async fn ours(&self) -> Result<Vec<RouteMessage>, Error> {
        let about = RouteMessageBuilder::<Ipv4Addr>::new()
            .protocol(RouteProtocol::from(PROTOCOL))
            .table_id(MAIN_TABLE)
            .kind(RouteType::Unicast)
            .build();
        let listed = self.handle.route().get(about).execute().try_collect::<Vec<_>>().await?;
        // The kernel may list others too.
        let ours = |route: &RouteMessage| {
            route.header.protocol == RouteProtocol::from(PROTOCOL)
                && has(route, &RouteAttribute::Gateway(nowhere(route)))
        };
        Ok(listed.into_iter().filter(ours).collect())
    }

    fn is_right(&self, route: &RouteMessage, index: Option<u32>) -> bool {
        destination(route) == Some(self.prefix) && index.is_some_and(|index| has(route, &RouteAttribute::Oif(index)))
    }

    /// Takes the gateway's Ethernet address away where a route goes that is not wanted any more.
    async fn forget_gateway(&self, route: &RouteMessage) {
        let over = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        if let (Some(index), Some(prefix)) = (over, destination(route)) {
            let neighbors = self.handle.neighbours();
            let entry = neighbors.add(index, IpAddr::V4(gateway(prefix))).message_mut().clone();
            // It may be gone with the interface, and does no harm if it stays.
            let _ = neighbors.del(entry).execute().await;
        }
    }

    async fn remove(&self, route: RouteMessage) -> Result<(), Error> {
        match self.handle.route().del(route).execute().await {
            Err(Error::NetlinkError(error)) if error.raw_code() == NO_SUCH_ROUTE => Ok(()),
            other => other,
        }
    }
}

impl Drop for HostRoute {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The twin to go over: the one it goes over already while its port has a carrier, else the first whose port has.
fn choose(over: Option<usize>, twins: &[Twin], up: impl Fn(PortId) -> bool) -> usize {
    let works = |place: &usize| twins.get(*place).is_some_and(|twin| up(twin.port));
    over.filter(works).or_else(|| (0..twins.len()).find(works)).or(over).unwrap_or(0)
}

fn has(route: &RouteMessage, attribute: &RouteAttribute) -> bool {
    route.attributes.contains(attribute)
}

/// The gateway that a route to its prefix would have, if it were ours.
fn nowhere(route: &RouteMessage) -> RouteAddress {
    RouteAddress::Inet(destination(route).map_or(Ipv4Addr::UNSPECIFIED, gateway))
}

fn destination(route: &RouteMessage) -> Option<Ipv4Net> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => {
            Ipv4Net::new(*address, route.header.destination_prefix_length).ok()
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_stays_where_it_is_while_it_can() {
        let twins = [0u8, 2, 5].map(|port| Twin { port: PortId(port), name: format!("twin{port}") });
        let over = |over, up: &[u8]| choose(over, &twins, |port| up.contains(&port.0));
        assert_eq!(over(None, &[0, 2, 5]), 0);
        assert_eq!(over(None, &[5]), 2);
        assert_eq!(over(Some(1), &[0, 2, 5]), 1, "another one has a carrier again");
        assert_eq!(over(Some(1), &[5]), 2);
        assert_eq!(over(Some(1), &[]), 1, "nowhere to go");
        assert_eq!(over(None, &[]), 0);
        assert_eq!(over(Some(7), &[2]), 1);
    }

    #[test]
    fn a_route_is_ours_by_its_gateway() {
        let route = |prefix: &str, gateway: [u8; 4]| {
            let prefix: Ipv4Net = prefix.parse().unwrap();
            let builder = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway.into());
            builder.destination_prefix(prefix.addr(), prefix.prefix_len()).build()
        };
        let ours = |route: &RouteMessage| has(route, &RouteAttribute::Gateway(nowhere(route)));
        assert!(ours(&route("198.18.0.0/15", [198, 18, 0, 1])));
        assert!(ours(&route("10.64.0.0/29", [10, 64, 0, 1])), "a former prefix's");
        assert!(!ours(&route("198.18.0.0/15", [192, 0, 2, 1])));
        assert!(!ours(&route("255.255.255.255/32", [10, 0, 0, 1])));
    }
}
