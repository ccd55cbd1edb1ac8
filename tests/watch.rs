//! A director that watches its configuration file: what is a change, and what becomes of it.
#![cfg(feature = "dpdk")]

mod process;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use process::{Desk, Director};

const NOTICED: &str = "the configuration file has changed";

fn watching(desk: &Desk, real: &str) -> String {
    desk.config(real).replace("director = {", "director = { watch = true,")
}

fn noticed(director: &Director) -> usize {
    director.log().matches(NOTICED).count()
}

fn real(director: &Director) -> String {
    director.stats().unwrap().services[0].reals[0].address.ip().to_string()
}

fn until_it_runs(director: &Director, address: &str) {
    director.until(&format!("{address} runs"), |director| real(director) == address);
}

#[test]
fn a_changed_file_is_applied_however_it_changes() {
    let desk = Desk::new("watch");
    desk.write(&watching(&desk, "10.0.0.2"));
    let director = Director::start(&desk);

    desk.write(&watching(&desk, "10.0.0.3"));
    until_it_runs(&director, "10.0.0.3");
    let difference = "reload: service TCP 192.0.2.1:80: real server 10.0.0.3:80 nat weight 1: added";
    assert!(director.log().contains(difference), "{}", director.log());

    // As editors do it.
    fs::write(desk.path("x.toml~"), watching(&desk, "10.0.0.4")).unwrap();
    fs::rename(desk.path("x.toml~"), desk.path("x.toml")).unwrap();
    until_it_runs(&director, "10.0.0.4");

    // A link in its place, then another one.
    for (folder, address) in [("first", "10.0.0.5"), ("second", "10.0.0.6")] {
        fs::create_dir(desk.path(folder)).unwrap();
        fs::write(desk.path(folder).join("x.toml"), watching(&desk, address)).unwrap();
        symlink(format!("{folder}/x.toml"), desk.path("link")).unwrap();
        fs::rename(desk.path("link"), desk.path("x.toml")).unwrap();
        until_it_runs(&director, address);
    }
    fs::write(desk.path("second/x.toml"), watching(&desk, "10.0.0.7")).unwrap();
    until_it_runs(&director, "10.0.0.7");
    assert_eq!(noticed(&director), 5);
}

#[test]
fn several_writes_in_a_burst_are_one_change_and_none_is_none() {
    let desk = Desk::new("watch-burst");
    let first = watching(&desk, "10.0.0.2");
    desk.write(&first);
    let director = Director::start(&desk);
    desk.write(&first);
    fs::write(desk.path("another"), "x").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    for last in 3..30 {
        desk.write(&watching(&desk, &format!("10.0.0.{last}")));
    }
    until_it_runs(&director, "10.0.0.29");
    assert_eq!((noticed(&director), director.stats().unwrap().generation), (1, 2));
}

#[test]
fn a_wrong_file_changes_nothing_and_a_right_one_takes_back_what_was_changed_by_hand() {
    let desk = Desk::new("watch-wrong");
    desk.write(&watching(&desk, "10.0.0.2"));
    let director = Director::start(&desk);
    let socket = desk.path("api.sock");
    let set = ["real", "set", "10.0.0.2", "--service", "192.0.2.1:80", "--weight", "7", "--socket"];
    assert!(desk.millrace(&[&set[..], &[socket.to_str().unwrap()]].concat()).status.success());

    desk.write(&watching(&desk, "10.0.0.2").replace("real =", "raal ="));
    director.until("it is refused", |director| director.log().contains("reload refused, nothing changed: x.toml:6: "));
    assert_eq!(director.stats().unwrap().services[0].reals[0].weight, 7);

    desk.write(&watching(&desk, "10.0.0.2"));
    let back = "reload: service TCP 192.0.2.1:80: real server 10.0.0.2:80: weight 7 -> 1";
    director.until("the file runs again", |director| director.log().contains(back));
    assert_eq!(noticed(&director), 2);
}

#[test]
fn it_is_turned_on_and_off_by_a_reload() {
    let desk = Desk::new("watch-turned");
    let director = Director::start(&desk);
    desk.write(&watching(&desk, "10.0.0.2"));
    director.signal("HUP");
    director.until("it watches", |director| director.log().contains("reload: director: watch false -> true"));
    // It begins within a second.
    std::thread::sleep(Duration::from_secs(2));
    desk.write(&watching(&desk, "10.0.0.3"));
    until_it_runs(&director, "10.0.0.3");

    desk.write(&desk.config("10.0.0.3"));
    director.until("it does not", |director| director.log().contains("reload: director: watch true -> false"));
    std::thread::sleep(Duration::from_secs(2));
    desk.write(&desk.config("10.0.0.4"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((real(&director).as_str(), noticed(&director)), ("10.0.0.3", 2));
}
