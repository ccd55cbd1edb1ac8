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

#[test]
fn who_is_observed_to_fail_by_its_clients_is_out() {
    let keys = "check = { type = 'tcp', observe = { least = 10 } }";
    let text = text(2, 3, "").replace("'direct'", "'nat'").replace("10.0.0.", "10.0.0.1").replacen(
        "check = { type = 'tcp' }",
        keys,
        1,
    );
    let director = unmanned(&text.replace("10.0.0.1254", "10.0.0.254"));
    let of = |place: usize| director.desired().config.services[place].clone();
    let live = |place: usize, real: usize| {
        let key = (of(place).selector, of(place).reals[real].address);
        Arc::clone(&director.book().station(&key).unwrap().live)
    };
    let runs = |place: usize| {
        let (selector, snapshot) = (of(place).selector, director.viewer.current());
        let service = snapshot.services.iter().flatten().find(|service| service.selector == selector).unwrap();
        service.reals.iter().map(|real| real.id).collect::<Vec<_>>()
    };
    for (place, real) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        live(place, real).note(|seen| seen.right = 1);
    }
    director.observe();
    let (first, generation) = (runs(0), director.viewer.current().generation);
    for place in [0, 1] {
        for worker in &director.shared.workers {
            worker.openings[runs(place)[1].index()].unanswered.add(10);
        }
    }
    let before = live(0, 1);
    director.observe();
    assert_eq!((runs(0), runs(1).len()), (vec![first[0], first[2]], 3), "the other service did not ask for it");
    assert_eq!(director.viewer.current().generation, generation + 1);
    let report = director.health(None, None).unwrap();
    assert_eq!(report.servers[1].reason.as_deref(), Some("observed: 10 of 10 connections unanswered in the last 1 s"));
    assert_eq!(report.servers[0].observed.as_deref(), Some("nothing"));
    assert_eq!(report.servers[3].observed, None);
    director.observe();
    assert_eq!(director.viewer.current().generation, generation + 1, "nothing new");

    let key = (of(0).selector, of(0).reals[1].address);
    director.hear(&[Verdict { key, live: before, up: true, reason: "late".to_owned() }]);
    assert_eq!(runs(0).len(), 2, "a check of the time before says nothing");
    director.hear(&[verdict(&director, 0, 1, true)]);
    assert_eq!(runs(0).len(), 3);
    director.observe();
    director.observe();
    assert_eq!(runs(0).len(), 3, "what was before its return does not count");
}
