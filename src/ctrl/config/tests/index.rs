//! A configuration that follows another is checked where it differs: to the same verdict.

use std::path::Path;

use toml::de::DeTable;

use super::super::index::Index;
use super::super::{Config, Source, check, read};

const HEAD: &str = "\
[health]
stand_ins = '172.16.0.0/29'
[[port]]
name = 'lan'
device = 'net_ring0'
twin = 'lan0'
addresses = ['10.0.0.1/24']
[[route]]
to = '172.16.0.0/16'
via = '10.0.0.254'
[[neighbor]]
address = '10.0.0.77'
mac = '02:00:00:00:00:77'
[[mark]]
mark = 7
match = { to = '192.0.2.64/28', port = 80 }
";

/// Few VIPs and few real servers, some of them wrong by themselves or together with others.
const SELECTORS: [&str; 18] = [
    "address = '192.0.2.1:80'",
    "address = '192.0.2.1:80'",
    "address = '192.0.2.1:81'",
    "address = '192.0.2.2:80'",
    "address = '192.0.2.1:53'\nprotocol = 'udp'",
    "address = '192.0.2.2:53'\nprotocol = 'udp'\nops = true",
    "address = '192.0.2.3:53'\nprotocol = 'udp'\nops = true",
    "address = '10.0.0.3:80'",
    "address = '10.0.0.77:80'",
    "address = '10.0.0.254:80'",
    "address = '10.0.0.255:80'",
    "address = '192.0.2.2:0'",
    "address = '192.0.2.16/30:80-90'",
    "address = '192.0.2.16/30:85-95'",
    "mark = 7",
    "match = { to = '192.0.2.32/28', protocol = 'tcp' }\nvips = ['192.0.2.33']",
    "address = '[2001:db8::1]:80'",
    "mark = 7\nfamily = 'ipv6'",
];
const REALS: [&str; 13] = [
    "10.0.0.2",
    "10.0.0.2:8080",
    "10.0.0.3",
    "10.0.0.4:53",
    "10.0.0.5",
    "192.0.2.1",
    "192.0.2.17",
    "172.16.0.1",
    "10.0.0.1",
    "127.0.0.1",
    "127.0.0.1:53",
    "9.9.9.9",
    "2001:db8::9",
];

/// What is drawn at random.
struct Random(fastrand::Rng);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    fn station(&mut self) -> String {
        // Right ones more often.
        let real = if self.below(3) > 0 { REALS[self.below(5)] } else { REALS[self.below(REALS.len())] };
        let forwarding = ["nat", "nat", "direct", "tunnel"][self.below(4)];
        format!("address = '{real}', forwarding = '{forwarding}'")
    }

    fn real(&mut self) -> String {
        let through = if self.below(16) == 0 { ", check = { type = 'ping', through = 'vip' }" } else { "" };
        format!("{{ {}{through} }}", self.station())
    }

    fn service(&mut self) -> String {
        let selector =
            if self.below(2) == 0 { SELECTORS[self.below(6)] } else { SELECTORS[self.below(SELECTORS.len())] };
        let reals: Vec<_> = (0..self.below(4)).map(|_| self.real()).collect();
        let sorry =
            if self.below(6) == 0 { format!("sorry_server = {{ {} }}\n", self.station()) } else { String::new() };
        let timeout = self.below(3) + 1;
        format!("[[service]]\n{selector}\ntimeout = '{timeout}s'\n{sorry}real = [{}]\n", reals.join(", "))
    }
}

/// The configuration of a file, as far as its values are right by themselves.
fn unchecked(services: &[String]) -> Option<(Config, Source)> {
    let text = HEAD.to_owned() + &services.concat();
    let root = DeTable::parse(&text).unwrap();
    let source = Source::of_file(Path::new("x.toml"), &text, root.get_ref());
    let config = read::file(&source, &root.into_inner().into()).ok()?;
    Some((config, source))
}

#[test]
fn a_change_is_judged_as_the_whole_is() {
    let mut random = Random(fastrand::Rng::with_seed(7));
    let mut services: Vec<String> = Vec::new();
    let (mut running, _) = unchecked(&services).unwrap();
    let mut index = Index::new(&running);
    let (mut accepted, mut refused) = (0, 0);
    while accepted < 600 {
        let mut next = services.clone();
        for _ in 0..=random.below(3) {
            let place = random.below(next.len() + 1);
            match random.below(4) {
                0 if place < next.len() => drop(next.remove(place)),
                1 if place < next.len() => next[place] = random.service(),
                2 if next.len() > 12 => next.truncate(4),
                _ => next.insert(place, random.service()),
            }
        }
        let Some((config, source)) = unchecked(&next) else { continue };
        let before = index.clone();
        let verdict = index.advance(&running, &config, &source).map_err(|error| error.to_string());
        assert_eq!(verdict, check::whole(&config, &source).map_err(|error| error.to_string()), "{}", next.concat());
        if verdict.is_ok() {
            assert_eq!(index, Index::new(&config));
            (running, services) = (config, next);
            accepted += 1;
        } else {
            assert_eq!(index, before);
            refused += 1;
        }
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn what_is_no_service_is_checked_too() {
    let (running, _) = unchecked(&["[[service]]\naddress = '192.0.2.1:80'\n".to_owned()]).unwrap();
    let mut index = Index::new(&running);
    let (mut next, source) = unchecked(&[]).unwrap();
    next.services = running.services.clone();
    next.routes[0].via = vec!["192.0.2.1".parse().unwrap()];
    let refused = index.advance(&running, &next, &source).unwrap_err().to_string();
    assert!(refused.contains("192.0.2.1 is a service's VIP"), "{refused}");
    next.routes.clear();
    index.advance(&running, &next, &source).unwrap();
    assert_eq!(index, Index::new(&next));
}

#[test]
fn only_what_differs_is_looked_at() {
    let good = |real: &str| format!("[[service]]\naddress = '192.0.2.1:80'\nreal = [{{ address = '{real}' }}]\n");
    // Nobody would have accepted this one.
    let bad = "[[service]]\naddress = '192.0.2.2:80'\nreal = [{ address = '9.9.9.9' }]\n".to_owned();
    let (running, _) = unchecked(&[good("10.0.0.2"), bad.clone()]).unwrap();
    let mut index = Index::new(&running);
    let (next, source) = unchecked(&[good("10.0.0.3"), bad]).unwrap();
    assert!(check::whole(&next, &source).is_err());
    assert!(index.advance(&running, &next, &source).is_ok());
}
