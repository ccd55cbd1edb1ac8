//! Random changes, good and bad, to a running director and to a simple model of it.

use std::sync::Arc;

use fastrand::Rng;

use super::*;
use crate::ctrl::api::Director;
use crate::ctrl::config::Service;
use crate::ctrl::director::Running;
use crate::ctrl::director::fixture::unmanned;

const LAN: &str = "[[port]]\nname = 'lan'\ndevice = 'net_ring0'\naddresses = ['10.0.0.1/24']\n";

fn table(json: &str) -> Table {
    serde_json::from_str(json).unwrap()
}

fn key(vip: u8) -> Table {
    table(&format!(r#"{{"address":"203.0.113.{vip}:80"}}"#))
}

/// From 200 on, where no route leads.
fn address(real: u8) -> String {
    if real < 200 { format!("10.0.0.{real}:8080") } else { format!("10.9.0.{real}:8080") }
}

/// A change as the model sees it: services and real servers are numbers.
#[derive(Clone, Debug)]
enum Step {
    AddService(u8, &'static str, Vec<u8>),
    SetService(u8, &'static str),
    RemoveService(u8),
    Clear,
    AddReal(u8, u8, u16),
    SetReal(u8, u8, Option<u16>),
    RemoveReal(u8, u8),
    SetTimeouts(u32),
}

impl Step {
    fn random(rng: &mut Rng) -> Self {
        let (vip, real, weight) = (rng.u8(1..5), rng.u8(10..14), rng.u16(..4));
        let real = if rng.u8(..20) == 0 { 200 } else { real };
        let scheduler = *rng.choice(&["rr", "wrr", "wlc", "mh", "wlcc"]).unwrap();
        match rng.u8(..30) {
            0..8 => Self::AddService(vip, scheduler, (10..14).filter(|_| rng.bool()).collect()),
            8..12 => Self::SetService(vip, scheduler),
            12..14 => Self::RemoveService(vip),
            14 => Self::Clear,
            15..20 => Self::AddReal(vip, real, weight),
            20..25 => Self::SetReal(vip, real, Some(weight).filter(|weight| *weight > 0)),
            25..29 => Self::RemoveReal(vip, real),
            _ => Self::SetTimeouts(rng.u32(..3)),
        }
    }

    fn change(&self) -> Change {
        match self {
            Self::AddService(vip, scheduler, reals) => {
                let mut service = key(*vip);
                service.set("scheduler", *scheduler);
                let reals: Vec<_> = reals.iter().map(|real| Table::from_iter([("address", address(*real))])).collect();
                service.set("real", reals);
                Change::AddService { service }
            }
            Self::SetService(vip, scheduler) => {
                Change::SetService { service: key(*vip), set: Table::from_iter([("scheduler", *scheduler)]) }
            }
            Self::RemoveService(vip) => Change::RemoveService { service: key(*vip) },
            Self::Clear => Change::Clear,
            Self::AddReal(vip, real, weight) => {
                let real = table(&format!(r#"{{"address":"{}","weight":{weight}}}"#, address(*real)));
                Change::AddReal { service: key(*vip), real }
            }
            Self::SetReal(vip, real, weight) => {
                let weight = weight.map_or_else(|| "null".to_owned(), |weight| weight.to_string());
                let set = table(&format!(r#"{{"weight":{weight}}}"#));
                Change::SetReal { service: key(*vip), real: address(*real), set }
            }
            Self::RemoveReal(vip, real) => Change::RemoveReal { service: key(*vip), real: address(*real) },
            Self::SetTimeouts(udp) => Change::SetTimeouts { set: Table::from_iter([("udp", *udp)]) },
        }
    }
}

/// What should be there.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    udp: u32,
    services: Vec<ModelService>,
}

/// Why a change is refused, and which.
type Blame = (Kind, Option<usize>);

/// The last octet of its VIP, its scheduler, and its real servers with their weights.
type ModelService = (u8, &'static str, Vec<(u8, u16)>);

impl Model {
    fn make(&mut self, step: &Step) -> Result<(), Kind> {
        let place = |model: &Self, vip: &u8| model.services.iter().position(|service| service.0 == *vip);
        let known = |model: &Self, vip: &u8| place(model, vip).ok_or(Kind::NoSuchService);
        let scheduler = |name: &'static str| if name == "wlcc" { Err(Kind::Invalid) } else { Ok(name) };
        match step {
            Step::AddService(vip, named, reals) => {
                let service = (*vip, scheduler(named)?, reals.iter().map(|real| (*real, 1)).collect());
                match place(self, vip) {
                    Some(_) => return Err(Kind::ServiceExists),
                    None => self.services.push(service),
                }
            }
            Step::SetService(vip, named) => {
                let place = known(self, vip)?;
                self.services[place].1 = scheduler(named)?;
            }
            Step::RemoveService(vip) => drop(self.services.remove(known(self, vip)?)),
            Step::Clear => self.services.clear(),
            Step::AddReal(vip, real, weight) => {
                let place = known(self, vip)?;
                let reals = &mut self.services[place].2;
                if reals.iter().any(|other| other.0 == *real) {
                    return Err(Kind::RealExists);
                }
                if *real >= 200 {
                    return Err(Kind::Invalid);
                }
                reals.push((*real, *weight));
            }
            Step::SetReal(vip, real, weight) => {
                let place = known(self, vip)?;
                let known = self.services[place].2.iter_mut().find(|other| other.0 == *real);
                known.ok_or(Kind::NoSuchReal)?.1 = weight.unwrap_or(1);
            }
            Step::RemoveReal(vip, real) => {
                let place = known(self, vip)?;
                let reals = &mut self.services[place].2;
                let place = reals.iter().position(|other| other.0 == *real).ok_or(Kind::NoSuchReal)?;
                reals.remove(place);
            }
            Step::SetTimeouts(0) => return Err(Kind::Invalid),
            Step::SetTimeouts(udp) => self.udp = *udp,
        }
        Ok(())
    }

    /// All steps or none; or those that can be made, with those that are refused.
    fn make_all(&self, steps: &[Step], skip_refused: bool) -> Result<(Self, Vec<Blame>), Blame> {
        let (mut next, mut refused) = (self.clone(), Vec::new());
        for (place, step) in steps.iter().enumerate() {
            match next.make(step) {
                Ok(()) => {}
                Err(kind) if skip_refused => refused.push((kind, Some(place))),
                Err(kind) => return Err((kind, Some(place))),
            }
        }
        Ok((next, refused))
    }

    /// Tells whether one is the other in another order: of addresses that counts for nothing.
    fn is_like(&self, other: &Self) -> bool {
        let sorted = |model: &Self| {
            let mut services = model.services.clone();
            services.iter_mut().for_each(|service| service.2.sort_unstable());
            services.sort_unstable();
            (model.udp, services)
        };
        sorted(self) == sorted(other)
    }

    fn of(config: &Config) -> Self {
        let last = |address: std::net::SocketAddr| match address.ip() {
            std::net::IpAddr::V4(address) => address.octets()[3],
            std::net::IpAddr::V6(_) => unreachable!("none was added"),
        };
        let service = |service: &Arc<Service>| {
            let reals = service.reals.iter().map(|real| (last(real.address), real.weight)).collect();
            (last(service.selector.socket().unwrap()), service.scheduler.name(), reals)
        };
        Self { udp: config.timeouts.udp, services: config.services.iter().map(service).collect() }
    }
}

/// The services that `steps` do not name are the same values in memory.
fn others_are_untouched(before: &Config, after: &Config, steps: &[Step]) {
    if steps.iter().any(|step| matches!(step, Step::Clear)) {
        return;
    }
    let named: Vec<_> = steps.iter().map(|step| step.change()).collect();
    let named = format!("{named:?}");
    for service in &before.services {
        if !named.contains(&format!("\"{}\"", service.selector)) {
            assert!(after.services.iter().any(|other| Arc::ptr_eq(other, service)), "{}", service.selector);
        }
    }
}

#[test]
fn a_director_does_what_the_model_does() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let director = unmanned(LAN);
        let mut model = Model { udp: 300, services: Vec::new() };
        let mut version = 1;
        for _ in 0..60 {
            let steps: Vec<_> = (0..rng.usize(1..5)).map(|_| Step::random(&mut rng)).collect();
            let mut transaction = Transaction::new(steps.iter().map(Step::change));
            transaction.dry_run = rng.u8(..5) == 0;
            transaction.version = [None, Some(version), Some(version + 1)][rng.usize(..3)];
            transaction.skip_refused = rng.bool();
            let expected = match transaction.version {
                Some(asked) if asked != version => Err((Kind::Version, None)),
                _ => model.make_all(&steps, transaction.skip_refused),
            };
            let before = director.desired();
            let made = director.change(&transaction);
            let after = director.desired();
            match (&made, expected) {
                (Ok(changed), Ok((next, refused))) if transaction.dry_run => {
                    assert_eq!(blames(&changed.refused), refused, "seed {seed}: {steps:?}");
                    assert_eq!(changed.changed.is_empty(), next.is_like(&model), "seed {seed}: {steps:?} {changed:?}");
                    assert_eq!((changed.version, &after), (version, &before));
                }
                (Ok(changed), Ok((next, refused))) => {
                    assert_eq!(blames(&changed.refused), refused, "seed {seed}: {steps:?}");
                    assert_eq!(changed.changed.is_empty(), next.is_like(&model), "seed {seed}: {steps:?} {changed:?}");
                    if !next.is_like(&model) {
                        version += 1;
                        model = next;
                    }
                    assert_eq!((changed.version, after.version), (version, version));
                    others_are_untouched(&before.config, &after.config, &steps);
                }
                (Err(refused), Err((kind, place))) => {
                    assert_eq!((refused.kind, refused.change), (kind, place), "seed {seed}: {steps:?} {refused}");
                    assert!(Arc::ptr_eq(&before, &after));
                }
                (made, expected) => panic!("seed {seed}: {steps:?}: {made:?}, not {expected:?}"),
            }
            assert_eq!(Model::of(&after.config), model, "seed {seed}: {steps:?}");
        }
    }
}

fn blames(refused: &[Refused]) -> Vec<Blame> {
    refused.iter().map(|refused| (refused.kind, refused.change)).collect()
}

fn refusal(running: &Running, changes: &str) -> Refused {
    let transaction = Transaction::read(format!(r#"{{"changes":{changes}}}"#).as_bytes()).unwrap();
    running.change(&transaction).unwrap_err()
}

#[test]
fn refusals_name_services_and_keys() {
    let text = format!("{LAN}[[service]]\naddress = '203.0.113.1:80'\nreal = [{{ address = '10.0.0.2' }}]\n");
    let running = unmanned(&text);
    let service = r#""service":{"address":"203.0.113.1:80"}"#;
    for (changes, kind, error) in [
        (
            format!(r#"[{{"op":"add-real",{service},"real":{{"address":"10.9.0.2"}}}}]"#),
            Kind::Invalid,
            "service TCP 203.0.113.1:80: the real server 10.9.0.2 is on no port's network and no route leads to it",
        ),
        (
            format!(r#"[{{"op":"set-service",{service},"set":{{"sorry_server":{{"address":"10.0.0.2"}}}}}}]"#),
            Kind::Invalid,
            "service TCP 203.0.113.1:80: the real server 10.0.0.2:80 is already there",
        ),
        (
            r#"[{"op":"add-service","service":{"address":"203.0.113.9:80","weight":1}}]"#.to_owned(),
            Kind::Invalid,
            "service.weight: unknown key in [[service]]; it belongs in [[service.real]]",
        ),
        (
            r#"[{"op":"remove-service","service":{"address":"203.0.113.1:80","scheduler":"rr"}}]"#.to_owned(),
            Kind::Invalid,
            "service.scheduler: unknown key in what a service is for; it belongs in [[service]]",
        ),
        (
            format!(r#"[{{"op":"set-real",{service},"real":"10.0.0.3","set":{{}}}}]"#),
            Kind::NoSuchReal,
            "service TCP 203.0.113.1:80: there is no real server 10.0.0.3",
        ),
        (
            r#"[{"op":"remove-service","service":{"mark":7}}]"#.to_owned(),
            Kind::NoSuchService,
            "there is no service FWM 7",
        ),
    ] {
        let expected = Refused { error: error.to_owned(), kind, change: Some(0) };
        assert_eq!(refusal(&running, &changes), expected, "{changes}");
    }
}

#[test]
fn a_mistake_between_two_services_names_the_one_that_has_it() {
    let running = unmanned(LAN);
    let add = |address: &str| format!(r#"{{"op":"add-service","service":{{"address":"{address}"}}}}"#);
    let changes = format!("[{},{}]", add("203.0.113.1:80-90"), add("203.0.113.1:85-99"));
    let refused = refusal(&running, &changes);
    let error = "service TCP 203.0.113.1:85-99: some of these ports are those of 203.0.113.1:80-90 already";
    assert_eq!((refused.error.as_str(), refused.change), (error, Some(1)));
}

#[test]
fn what_only_the_whole_shows_is_left_out_too() {
    let running = unmanned(LAN);
    let add = |address: String| Change::AddService { service: Table::from_iter([("address", address)]) };
    let mut changes: Vec<_> = (1..100).map(|vip| add(format!("203.0.113.{vip}:80"))).collect();
    // The address of a port's network, and ranges of the same ports.
    changes[7] = add("10.0.0.0:80".to_owned());
    changes[50] = add("203.0.113.200:80-90".to_owned());
    changes[60] = add("203.0.113.200:85-99".to_owned());
    let transaction = Transaction { skip_refused: true, ..Transaction::new(changes) };
    let changed = running.change(&transaction).unwrap();
    assert_eq!(blames(&changed.refused), [(Kind::Invalid, Some(7)), (Kind::Invalid, Some(60))]);
    assert_eq!((changed.version, changed.changed.len()), (2, 97));
    assert_eq!(running.desired().config.services.len(), 97);
    let nothing = running.change(&transaction).unwrap();
    assert_eq!((nothing.version, nothing.changed.len(), nothing.refused.len()), (2, 0, 99), "they are there already");
}

#[test]
fn a_service_that_is_added_comes_last() {
    let running = unmanned(&format!("{LAN}[[service]]\nmatch = {{ port = 80 }}\n[[service]]\nmark = 7\n"));
    let key = || table(r#"{"match":{"to":"203.0.113.0/24"}}"#);
    let set = table(r#"{"scheduler":"rr"}"#);
    let mark = table(r#"{"mark":7}"#);
    let changes = [Change::AddService { service: key() }, Change::SetService { service: mark, set }];
    running.change(&Transaction::new(changes)).unwrap();
    let order = |running: &Running| {
        running.desired().config.services.iter().map(|service| service.selector.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order(&running), ["to 0.0.0.0/0:80", "7", "to 203.0.113.0/24:0"]);
    let again = [Change::RemoveService { service: table(r#"{"match":{"port":80}}"#) }];
    running.change(&Transaction::new(again)).unwrap();
    assert_eq!(order(&running), ["7", "to 203.0.113.0/24:0"]);
}

#[test]
fn services_are_listed_with_all_their_keys() {
    let running = unmanned(&format!("{LAN}[[service]]\nmark = 7\nreal = [{{ address = '10.0.0.2' }}]\n"));
    let services = running.services(None);
    let json = serde_json::to_value(&services).unwrap();
    assert_eq!((&json["version"], &json["services"][0]["mark"]), (&1.into(), &7.into()));
    let real = &json["services"][0]["real"][0];
    assert_eq!(
        (&real["address"], &real["weight"], &real["stats"]["active"]),
        (&"10.0.0.2".into(), &1.into(), &0.into())
    );
    assert_eq!(services.services[0].service().unwrap(), *running.desired().config.services[0]);
}
