//! Who stands behind which stand-in address: the directory of what the host asks through VIPs.
//!
//! A real server keeps its stand-in for as long as it is checked through its VIP, whatever else changes. One that came free
//! longest ago is given first.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ipnet::Ipv4Net;

use super::book::Order;
use crate::ctrl::config::{Changed, Config, Reach, Real, Selector, Service};
use crate::dataplane::stand_in::{StandIn, StandIns};

/// The first place that is given: the first address names the whole prefix, and the second is the gateway's.
const FIRST: u32 = 2;

/// The address by which the host's kernel sends to all of the prefix. It has an Ethernet address, and that is all.
pub fn gateway(prefix: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from_bits(prefix.network().to_bits().wrapping_add(1))
}

/// How a real server is asked through its VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// What is asked: the stand-in.
    pub to: Ipv4Addr,
    /// What that stands for.
    pub vip: Ipv4Addr,
    /// The service's port; 0 if it has several.
    pub port: u16,
    /// The address that the asking socket is bound to, without sharing its port ([`crate::dataplane::stand_in::Askers`]): an own one
    /// that the real server's answers come back to.
    pub from: Ipv4Addr,
}

/// All that have a stand-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    given: HashMap<(Selector, SocketAddr), (u32, Ipv4Addr)>,
    /// By place.
    known: Vec<Option<StandIn>>,
    free: VecDeque<u32>,
    prefix: Ipv4Net,
}

impl Directory {
    /// Goes over from one configuration to the next, of none from nothing; `None` if it stays as it is.
    pub fn follow(&self, old: Option<&Config>, new: &Config) -> Option<Self> {
        let before = old.map_or(&[][..], |old| &old.services);
        let changed = Changed::between(before, &new.services);
        let asked = |services: &[Arc<Service>], places: &[usize]| {
            places.iter().any(|place| services[*place].checked_through_vip().next().is_some())
        };
        let ways = old.is_some_and(|old| old.routes != new.routes) && !self.given.is_empty();
        if !ways && !asked(before, &changed.before) && !asked(&new.services, &changed.after) {
            return None;
        }
        let mut next = self.clone();
        next.prefix = new.checks.stand_ins;
        next.go_over(before, new, &changed);
        if ways {
            next.given
                .iter_mut()
                .for_each(|((_, real), (_, from))| *from = own_address(new, real.ip()).unwrap_or(*from));
        }
        (next != *self).then_some(next)
    }

    fn go_over(&mut self, before: &[Arc<Service>], new: &Config, changed: &Changed) {
        let after = || changed.after.iter().map(|place| &*new.services[*place]);
        let key = |service: &Service, real: &Real| (service.selector, real.address);
        let stay: HashSet<_> =
            after().flat_map(|service| service.checked_through_vip().map(|(_, real)| key(service, real))).collect();
        for service in changed.before.iter().map(|place| &before[*place]) {
            for key in service.checked_through_vip().map(|(_, real)| key(service, real)) {
                if !stay.contains(&key)
                    && let Some((place, _)) = self.given.remove(&key)
                {
                    self.known[place as usize] = None;
                    self.free.push_back(place);
                }
            }
        }
        for service in after() {
            for (_, real) in service.checked_through_vip() {
                let (Some(stand_in), Some(from)) = (stand_in(service, real), own_address(new, real.address.ip()))
                else {
                    continue;
                };
                let known = self.given.get(&key(service, real)).map(|(place, _)| *place);
                let Some(place) = known.or_else(|| self.place()) else { continue };
                self.known[place as usize] = Some(stand_in);
                self.given.insert(key(service, real), (place, from));
            }
        }
        if self.given.is_empty() {
            (self.known, self.free) = Default::default();
        }
    }

    /// A place that is nobody's; none if the prefix has no more.
    fn place(&mut self) -> Option<u32> {
        self.free.pop_front().or_else(|| {
            let place = (self.known.len() as u32).max(FIRST);
            // The last names all of the prefix.
            let fits = self.prefix.network().to_bits() + place < self.prefix.broadcast().to_bits();
            fits.then(|| self.known.resize(place as usize + 1, None));
            fits.then_some(place)
        })
    }

    /// How a real server of a service is asked, if through its VIP.
    pub fn way(&self, service: &Selector, real: SocketAddr) -> Option<Through> {
        let (place, from) = self.given.get(&(*service, real))?;
        let StandIn { vip, port, .. } = self.known.get(*place as usize)?.as_ref()?;
        let to = Ipv4Addr::from_bits(self.prefix.network().to_bits() + place);
        Some(Through { to, vip: *vip, port: *port, from: *from })
    }

    /// Tells those checks that are to begin, and go through a VIP, how.
    pub fn lead(&self, orders: &mut [Order]) {
        for order in orders {
            if let Order::Begin(begin) = order {
                begin.through = self.way(&begin.key.0, begin.key.1);
            }
        }
    }

    /// Tells whether nobody is asked through a VIP.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// What workers need to know.
    pub fn stand_ins(&self) -> StandIns {
        StandIns::new(self.prefix, self.known.as_slice().into())
    }
}

/// What is behind a real server's stand-in; `None` for what the configuration check refuses.
fn stand_in(service: &Service, real: &Real) -> Option<StandIn> {
    let (SocketAddr::V4(address), IpAddr::V4(vip)) = (real.address, *service.vips.first()?) else { return None };
    let port = service.selector.ports().one().unwrap_or(0);
    Some(StandIn { vip, port, real: address, forwarding: real.forwarding })
}

/// The own address to ask a real server from: of the port that leads to it, in whose network it, or the gateway to it, lies. Where
/// the host does not have that, any that it has: the real server's answers find a way there too, or it is not found to be up.
fn own_address(config: &Config, real: IpAddr) -> Option<Ipv4Addr> {
    let next = match config.reach(real)? {
        Reach::OnLink(_) => real,
        // Of several the first: all of them lead to it, and back.
        Reach::Gateway(route) => *route.via.first()?,
    };
    let near = config.twins().flat_map(|(_, port, _)| &port.addresses).filter(|own| own.contains(&next));
    let near = near.max_by_key(|own| own.prefix_len());
    let any = || config.twins().flat_map(|(_, port, _)| &port.addresses).find(|own| own.addr().is_ipv4());
    match near.or_else(any)?.addr() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ctrl::config::parse;
    use crate::dataplane::service::Forwarding;

    const PORTS: &str = "\
        [health]\nstand_ins = '198.18.0.0/29'\n\
        [[port]]\nname = 'wan'\ndevice = 'net_ring0'\naddresses = ['192.0.2.2/24']\ntwin = 'wan0'\n\
        [[port]]\nname = 'lan'\ndevice = 'net_ring1'\naddresses = ['10.0.0.1/24', '10.0.1.1/24']\ntwin = 'lan0'\n\
        [[port]]\nname = 'bare'\ndevice = 'net_ring2'\naddresses = ['10.0.2.1/24']\n\
        [[route]]\nto = '172.16.0.0/12'\nvia = '10.0.1.254'\n";

    /// A service on each VIP with these real servers, checked through it.
    fn config(services: &[(&str, &[&str])]) -> Config {
        with(PORTS, services)
    }

    fn with(head: &str, services: &[(&str, &[&str])]) -> Config {
        let real = |real: &&str| format!("{{ address = '{real}' }}");
        let service = |(vip, reals): &(&str, &[&str])| {
            let reals: Vec<_> = reals.iter().map(real).collect();
            format!(
                "[[service]]\naddress = '{vip}:80'\nforwarding = 'tunnel'\ncheck = {{ type = 'tcp', through = 'vip' }}\n\
                 real = [{}]\n",
                reals.join(", ")
            )
        };
        parse(Path::new("x.toml"), &(head.to_owned() + &services.iter().map(service).collect::<String>()))
            .unwrap()
            .config
    }

    /// By real server and VIP, its stand-in and the address to ask from.
    fn ways(directory: &Directory, config: &Config) -> Vec<String> {
        let mut ways = Vec::new();
        for service in &config.services {
            for real in &service.reals {
                let way = directory.way(&service.selector, real.address);
                let way = way.map_or("nothing".to_owned(), |way| format!("{} from {}", way.to, way.from));
                ways.push(format!("{}: {way}", real.address.ip()));
            }
        }
        ways
    }

    const VIP: &str = "203.0.113.1";

    #[test]
    fn everyone_has_an_address_and_keeps_it() {
        let first = config(&[(VIP, &["10.0.0.11", "10.0.0.12", "10.0.0.13"])]);
        let directory = Directory::default().follow(None, &first).unwrap();
        let from = "from 10.0.0.1";
        let expected = |last: u8, place: u8| format!("10.0.0.{last}: 198.18.0.{place} {from}");
        assert_eq!(ways(&directory, &first), [expected(11, 2), expected(12, 3), expected(13, 4)]);
        let less = config(&[(VIP, &["10.0.0.13", "10.0.0.11"])]);
        let directory = directory.follow(Some(&first), &less).unwrap();
        assert_eq!(ways(&directory, &less), [expected(13, 4), expected(11, 2)]);
        let more = config(&[(VIP, &["10.0.0.14", "10.0.0.15", "10.0.0.13", "10.0.0.11"])]);
        let directory = directory.follow(Some(&less), &more).unwrap();
        assert_eq!(ways(&directory, &more), [expected(14, 3), expected(15, 5), expected(13, 4), expected(11, 2)]);
        assert_eq!(directory.stand_ins().address(3), Ipv4Addr::new(198, 18, 0, 3));
        let known = *directory.stand_ins().find(Ipv4Addr::new(198, 18, 0, 3)).unwrap().1;
        let real = "10.0.0.14:80".parse().unwrap();
        assert_eq!(known, StandIn { vip: VIP.parse().unwrap(), port: 80, real, forwarding: Forwarding::Tunnel });
        let none = config(&[]);
        let directory = directory.follow(Some(&more), &none).unwrap();
        assert!(directory.is_empty() && directory.stand_ins().is_empty());
    }

    #[test]
    fn what_concerns_nobody_changes_nothing() {
        let first = config(&[(VIP, &["10.0.0.11"])]);
        let directory = Directory::default().follow(None, &first).unwrap();
        assert_eq!(directory.follow(Some(&first), &first.clone()), None);
        let mut next = first.clone();
        Arc::make_mut(&mut next.services[0]).reals[0].weight = 0;
        assert_eq!(directory.follow(Some(&first), &next), None, "who has no weight is checked all the same");
        Arc::make_mut(&mut next.services[0]).reals[0].forwarding = Forwarding::Direct;
        let directory = directory.follow(Some(&first), &next).unwrap();
        assert_eq!(directory.stand_ins().at(2).unwrap().forwarding, Forwarding::Direct);
    }

    #[test]
    fn the_longest_free_is_given_first_and_there_is_an_end() {
        let reals = ["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15"];
        let mut last = config(&[(VIP, &reals)]);
        let mut directory = Directory::default().follow(None, &last).unwrap();
        for (reals, given) in [
            (&reals[1..], ["198.18.0.3", "198.18.0.4", "198.18.0.5", "198.18.0.6"].as_slice()),
            (&reals[2..], &["198.18.0.4", "198.18.0.5", "198.18.0.6"]),
            (&[&reals[2..], &["10.0.0.9"]].concat(), &["198.18.0.4", "198.18.0.5", "198.18.0.6", "198.18.0.2"]),
        ] {
            let next = config(&[(VIP, reals)]);
            directory = directory.follow(Some(&last), &next).unwrap();
            let addresses: Vec<_> = next.services[0]
                .reals
                .iter()
                .map(|real| directory.way(&next.services[0].selector, real.address).unwrap().to.to_string())
                .collect();
            assert_eq!(addresses, given);
            last = next;
        }
        // The configuration check refuses more than there are.
        let mut many = config(&[(VIP, &reals)]);
        many.checks.stand_ins = "198.18.0.0/30".parse().unwrap();
        let directory = Directory::default().follow(None, &many).unwrap();
        assert_eq!(directory.stand_ins().at(2).map(|known| known.real.to_string()), Some("10.0.0.11:80".to_owned()));
        assert_eq!(directory.stand_ins().at(3), None, "it names the whole prefix");
    }

    #[test]
    fn questions_come_from_where_answers_find_back_to() {
        let reals = ["10.0.0.11", "10.0.1.11", "172.16.0.11", "10.0.2.11"];
        let first = config(&[(VIP, &reals)]);
        let directory = Directory::default().follow(None, &first).unwrap();
        let from = |directory: &Directory, config: &Config| -> Vec<String> {
            ways(directory, config).iter().map(|way| way.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(from(&directory, &first), ["10.0.0.1", "10.0.1.1", "10.0.1.1", "192.0.2.2"]);
        let moved = with(&PORTS.replace("10.0.1.254", "10.0.0.254"), &[(VIP, &reals)]);
        let directory = directory.follow(Some(&first), &moved).unwrap();
        assert_eq!(from(&directory, &moved), ["10.0.0.1", "10.0.1.1", "10.0.0.1", "192.0.2.2"]);
    }

    #[test]
    fn the_gateway_is_next_to_the_prefix() {
        assert_eq!(gateway("198.18.0.0/15".parse().unwrap()), Ipv4Addr::new(198, 18, 0, 1));
    }
}
