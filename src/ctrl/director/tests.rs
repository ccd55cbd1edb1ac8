//! What a director makes of what checks find.

use std::sync::Arc;

use super::super::announce;
use super::super::api::Director;
use super::super::health::book::Verdict;
use super::fixture::unmanned;
use super::*;

/// Services with real servers that are checked.
fn text(services: u8, reals: u8, keys: &str) -> String {
    let reals: Vec<_> = (1..=reals).map(|real| format!("{{ address = '10.0.0.{real}' }}")).collect();
    let service = |vip: u8| {
        format!(
            "[[service]]\naddress = '192.0.2.{vip}:80'\nscheduler = 'mh'\nforwarding = 'direct'\ncheck = {{ type = 'tcp' }}\n{keys}\n\
             real = [{}]\n",
            reals.join(", ")
        )
    };
    let port = "[[port]]\nname = 'lan'\ndevice = 'net_ring0'\naddresses = ['10.0.0.254/24']\n";
    (1..=services).map(service).fold(port.to_owned(), |text, service| text + &service)
}

/// What the checks of the `real`th real server of the `service`th service find.
fn verdict(director: &Running, service: usize, real: usize, up: bool) -> Verdict {
    let desired = director.desired();
    let service = &desired.config.services[service];
    let key = (service.selector, service.reals[real].address);
    let live = Arc::clone(&director.book().station(&key).unwrap().live);
    Verdict { key, live, up, reason: "so".to_owned() }
}

#[test]
fn who_flaps_makes_its_own_service_anew_and_nothing_else() {
    let director = unmanned(&text(50, 4, ""));
    let before = director.viewer.current();
    for up in [false, true, false] {
        director.hear(&[verdict(&director, 7, 2, up)]);
    }
    let after = director.viewer.current();
    assert_eq!(after.generation, before.generation + 3);
    let services = before.services.iter().zip(after.services.iter());
    let anew = services.filter_map(|(one, other)| Some((one.as_ref()?, other.as_ref()?)));
    let anew: Vec<_> = anew.filter(|(one, other)| !Arc::ptr_eq(one, other)).map(|(one, _)| one.selector).collect();
    assert_eq!(anew, [director.desired().config.services[7].selector]);
    assert_eq!(director.desired().version, 1, "what is desired is what it was");
}

#[test]
fn what_is_found_together_is_one_snapshot() {
    let director = unmanned(&text(20, 3, ""));
    let before = director.viewer.current().generation;
    let all: Vec<_> = (0..20).flat_map(|service| (0..3).map(move |real| (service, real))).collect();
    let down: Vec<_> = all.iter().map(|(service, real)| verdict(&director, *service, *real, false)).collect();
    director.hear(&down);
    assert_eq!(director.viewer.current().generation, before + 1);
    assert!(director.viewer.current().services.iter().flatten().all(|service| service.reals.is_empty()));
    director.hear(&down);
    assert_eq!(director.viewer.current().generation, before + 1, "nothing new");
}

#[test]
fn a_vip_is_announced_while_somebody_lives() {
    let director = unmanned(&text(1, 2, ""));
    let announced = || announce::vips(&director.effective()).len();
    assert_eq!(announced(), 1);
    director.hear(&[verdict(&director, 0, 0, false)]);
    assert_eq!(announced(), 1);
    director.hear(&[verdict(&director, 0, 1, false)]);
    assert_eq!(announced(), 0);
    director.hear(&[verdict(&director, 0, 0, true)]);
    assert_eq!(announced(), 1);
}
