//! Health checks as an operator sees them: a director whose real server answers, stops answering, and answers again.
#![cfg(feature = "dpdk")]

mod process;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use millrace::ctrl::api::{Client, HealthReport, Maintenance};
use millrace::ctrl::health::book::State;
use process::{Desk, Director};

const KEYS: &str = "on_failure = 'remove'";

/// A desk whose real server is asked at a port of this host.
fn desk(name: &str, port: u16, keys: &str) -> Desk {
    let desk = Desk::new(name);
    let check = format!(
        "check = {{ type = 'tcp', interval = '100ms', rise = 2, fall = 2, address = '127.0.0.1', port = {port} }}\n{keys}\n\
         real = "
    );
    desk.write(&desk.config("10.0.0.2").replace("real = ", &check));
    desk
}

fn client(desk: &Desk) -> Client {
    Client::new(&desk.path("api.sock"))
}

fn health(desk: &Desk) -> HealthReport {
    client(desk).health(None, None).unwrap()
}

fn state(desk: &Desk) -> State {
    health(desk).servers[0].state
}

/// The weight that runs; none if the real server was taken out.
fn weight(desk: &Desk) -> Option<u16> {
    client(desk).services(None).unwrap().services[0].real[0].running_weight
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn who_stops_answering_is_out_and_comes_back() {
    let (server, port) = listener();
    let desk = desk("health", port, KEYS);
    let director = Director::start(&desk);
    director.until("it was checked twice", |_| health(&desk).servers[0].right >= 2);
    assert_eq!((state(&desk), weight(&desk)), (State::Up, Some(1)));

    drop(server);
    director.until("it is out", |_| weight(&desk).is_none());
    assert_eq!(state(&desk), State::Down);
    let socket = desk.path("api.sock");
    let listed = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["ipvsadm", "-Ln"])
        .env("MILLRACE_SOCKET", &socket)
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("192.0.2.1:80") && !listed.contains("10.0.0.2"), "{listed}");
    let server = &health(&desk).servers[0];
    assert_eq!(server.reason.as_deref(), Some("connection refused"));
    assert!(server.wrong >= 2);

    let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    director.until("it is back", |_| weight(&desk) == Some(1));
    let turns: Vec<_> = health(&desk).servers[0].history.iter().map(|turn| turn.up).collect();
    assert_eq!(turns, [false, true]);
    let log = director.log();
    for line in [
        "TCP 192.0.2.1:80: real server 10.0.0.2:80 is down: connection refused",
        "real server 10.0.0.2:80 is up: 2 right",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

#[test]
fn what_is_desired_stays_as_it_was_and_a_reload_changes_checks() {
    let (server, port) = listener();
    drop(server);
    let desk = desk("health-reload", port, "on_failure = 'inhibit'");
    let director = Director::start(&desk);
    director.until("it is inhibited", |_| weight(&desk) == Some(0));
    let desired = client(&desk).services(None).unwrap().services[0].service().unwrap();
    assert_eq!(desired.reals[0].weight, 1);

    // Nobody checks it any more: then it is in the pool.
    desk.write(&desk.config("10.0.0.2"));
    director.signal("HUP");
    director.until("nobody checks it", |_| health(&desk).servers.is_empty());
    assert_eq!(weight(&desk), Some(1));
}

#[test]
fn maintenance_is_the_operators_and_survives_a_reload() {
    let (_server, port) = listener();
    let desk = desk("health-maintenance", port, KEYS);
    let director = Director::start(&desk);
    let run = |arguments: &[&str]| {
        let socket = desk.path("api.sock");
        let output = desk.millrace(&[&["health"], arguments, &["--socket", socket.to_str().unwrap()]].concat());
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (said, _, status) = run(&["maintenance", "on", "10.0.0.2"]);
    assert_eq!((&*said, status), ("192.0.2.1:80: real server 10.0.0.2 is in maintenance\n", Some(0)));
    assert_eq!((state(&desk), weight(&desk)), (State::Maintenance, Some(0)));
    assert_eq!(run(&["maintenance", "on", "10.0.0.2:80"]).0, "nothing changed\n");
    assert!(run(&["list"]).0.contains("maintenance"));

    desk.write(&(desk.config("10.0.0.2") + "\ntimeout = '77s'\n"));
    director.signal("HUP");
    director.until("it was reloaded", |_| client(&desk).services(None).unwrap().version == 2);
    assert_eq!((state(&desk), weight(&desk)), (State::Maintenance, Some(0)));
    assert!(run(&["show", "10.0.0.2"]).0.contains("maintenance"));

    let maintenance = Maintenance { real: "10.0.0.2".to_owned(), service: None, on: false };
    assert_eq!(client(&desk).maintain(&maintenance).unwrap().services, ["192.0.2.1:80"]);
    assert_eq!(weight(&desk), Some(1));
    let (_, complaint, status) = run(&["maintenance", "on", "10.0.0.9"]);
    assert_eq!((&*complaint, status), ("there is no real server 10.0.0.9\n", Some(1)));
}

#[test]
fn the_director_ends_while_checks_are_under_way() {
    // A listener that never takes a connection: checks succeed or wait, and the director ends all the same.
    let (_server, port) = listener();
    let desk = desk("health-end", port, KEYS);
    let mut director = Director::start(&desk);
    director.until("it was checked", |_| health(&desk).servers[0].last.is_some());
    director.signal("TERM");
    assert!(director.child.wait().unwrap().success(), "{}", director.log());
}

#[test]
fn commands_are_told_of_servers_and_services() {
    let (server, port) = listener();
    let script = |desk: &Desk, name: &str, line: &str| {
        let path = desk.path(name);
        fs::write(&path, format!("#!/bin/sh\n{line} >> '{}'\n", desk.path("told").display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let desk = desk("health-notify", port, KEYS);
    let change = r#"echo "$MILLRACE_EVENT $MILLRACE_UP/$MILLRACE_SERVERS $1 $2 $3 $4""#;
    let (change, hook) = (script(&desk, "change", change), script(&desk, "hook", r#"echo "$MILLRACE_EVENT: $*""#));
    let config = fs::read_to_string(desk.path("x.toml")).unwrap();
    let hooks = format!("{KEYS}\nquorum_up = ['{hook}', 'up']\nquorum_down = ['{hook}', 'down', 'now']");
    desk.write(&format!("{}\n[[notify]]\ncommand = ['{change}']\n", config.replace(KEYS, &hooks)));
    let director = Director::start(&desk);
    let told = || {
        let text = fs::read_to_string(desk.path("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    director.until("it was checked", |_| health(&desk).servers[0].right >= 1);
    assert_eq!(told(), [""; 0], "what is as it should be is no news");

    drop(server);
    director.until("its failure is told", |_| told().len() == 3);
    let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    director.until("its return is told", |_| told().len() == 6);
    for on in [true, false] {
        client(&desk).maintain(&Maintenance { real: "10.0.0.2".to_owned(), service: None, on }).unwrap();
    }
    director.until("maintenance is told", |_| told().len() == 12);

    let told = told();
    let (hooks, changes): (Vec<_>, Vec<_>) =
        told.iter().map(String::as_str).partition(|line| line.contains(':') && !line.contains('['));
    let [down, up] = ["quorum_down: down now", "quorum_up: up"];
    assert_eq!(hooks, [down, up, down, up]);
    let (real, vip) = ("[10.0.0.2]:tcp:80", "[192.0.2.1]:tcp:80");
    let server = |event, up, state| format!("{event} {up}/1 RS {real} {vip} {state}");
    let service = |event, up, state| format!("{event} {up}/1 VS {vip} {state} ");
    let expected = [
        server("server_down", 0, "DOWN"),
        service("quorum_down", 0, "DOWN"),
        server("server_up", 1, "UP"),
        service("quorum_up", 1, "UP"),
        server("maintenance_on", 0, "MAINTENANCE"),
        service("quorum_down", 0, "DOWN"),
        server("maintenance_off", 1, "ACTIVE"),
        service("quorum_up", 1, "UP"),
    ];
    assert_eq!(changes, expected);
}
