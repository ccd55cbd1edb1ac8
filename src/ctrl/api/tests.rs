//! The client against the server, over a real socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Bounds;
use super::server::serve_within;
use super::*;
use crate::ctrl::apply::Applier;
use crate::ctrl::change::{Change, Kind, Refused, Transaction};
use crate::ctrl::config::write::{self, Detail};
use crate::ctrl::config::{self, Config, Selector, document};
use crate::ctrl::connections::{Filter, Scan};
use crate::ctrl::desired::Desired;
use crate::ctrl::diff;
use crate::ctrl::director::Running;
use crate::ctrl::director::fixture::unmanned;
use crate::dataplane::address::Family;
use crate::dataplane::clock::Now;
use crate::dataplane::conn::{Table, Templates};
use crate::dataplane::shared::Shared;

mod listen;
mod network;
mod openapi;

const SMALL: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
[[service]]
address = '192.0.2.1:80'
real = [{ address = '10.0.0.2' }]
";

fn small() -> Config {
    config::parse(Path::new("x.toml"), SMALL).unwrap().config
}

/// A director that counts reloads and refuses every second one, and starts every change from the same.
#[derive(Default)]
struct Counting(AtomicU64);

impl Director for Counting {
    fn report(&self) -> Report {
        Report { generation: self.0.load(Ordering::Relaxed), ..Report::default() }
    }

    fn network(&self) -> Network {
        Network::default()
    }

    fn routes(&self) -> Vec<RouteReport> {
        vec![RouteReport { to: "10.0.0.0/24".to_owned(), hops: vec![HopReport::default()], ..RouteReport::default() }]
    }

    fn scan(&self, filter: Filter) -> Scan {
        let config = small();
        let shared = Arc::new(
            Shared::new(
                (Table::new(64, [1; 4]).unwrap(), Table::new(64, [1; 4]).unwrap(), Templates::new(64, [1; 4]).unwrap()),
                1,
                1,
                16,
                16,
            )
            .unwrap(),
        );
        let applier = Applier::start(Arc::clone(&shared), &config, vec![[2, 0, 0, 0, 0, 1]], Now::default()).unwrap();
        Scan::new(shared, applier.viewer(), applier.names(), filter, Now::default())
    }

    fn services(&self, only: Option<&Selector>) -> Services {
        let service = |service: &config::Service| ServiceState {
            keys: write::service(service, Detail::Full),
            stats: TrafficReport::default(),
            rates: TrafficReport::default(),
            sorry_stats: None,
            real: Vec::new(),
        };
        let asked = |it: &&Arc<config::Service>| only.is_none_or(|only| it.selector == *only);
        let services = small().services.iter().filter(asked).map(|it| service(it)).collect();
        Services { version: 1, max_connections: 64, services }
    }

    fn health(&self, _: Option<&Selector>, _: Option<&str>) -> Result<HealthReport, Refused> {
        Ok(HealthReport::default())
    }

    fn maintain(&self, _: &Maintenance) -> Result<Vec<String>, Refused> {
        Ok(Vec::new())
    }

    fn desired(&self) -> Arc<Desired> {
        Arc::new(Desired::first(small()))
    }

    fn zero(&self, service: Option<&document::Table>) -> Result<usize, Refused> {
        match service {
            Some(_) => Err(Refused::new(Kind::NoSuchService, "there is no such service")),
            None => Ok(1),
        }
    }

    fn draining(&self) -> Draining {
        Draining { active: 7, ..Draining::default() }
    }

    fn drain(&self, draining: bool) -> Option<Draining> {
        draining.then_some(Draining { draining, ..Draining::default() })
    }

    fn difference(&self) -> Result<Difference, Refused> {
        Ok(Difference { version: 1, changed: vec!["something".to_owned()], restart: Vec::new() })
    }

    fn reload(&self, dry_run: bool) -> Result<Changed, Refused> {
        if dry_run {
            return Ok(Changed { version: 1, changed: vec!["something".to_owned()], ..Changed::default() });
        }
        match self.0.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => {
                let changed = vec!["route to 0.0.0.0/0 via 10.0.0.9: added".to_owned()];
                Ok(Changed { version: 2, changed, ..Changed::default() })
            }
            _ => Err(Refused::new(Kind::Invalid, "x.toml:1: no")),
        }
    }

    fn change(&self, transaction: &Transaction) -> Result<Changed, Refused> {
        if transaction.version == Some(9) {
            return Err(Refused::new(Kind::Version, "too late"));
        }
        let next = transaction.apply(&small(), |_, next| config::check(next))?.config;
        Ok(Changed { version: 2, changed: diff::changes(&small(), &next).unwrap(), ..Changed::default() })
    }
}

/// A folder of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("millrace-api-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `test` while a director answers at the path it is given.
fn with_director(name: &str, test: impl FnOnce(&Path)) {
    with(name, Counting::default(), test)
}

/// Runs `test` while `director` answers at the path it is given.
fn with(name: &str, director: impl Director, test: impl FnOnce(&Path)) {
    let folder = Folder::new(name);
    let path = folder.0.join("run/api.sock");
    let socket = Socket::bind(&path).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(serve(socket, None, Arc::new(director), async { drop(stopped.await) })).unwrap();
    });
    test(&path);
    stop.send(()).unwrap();
    server.join().unwrap();
    assert!(!path.exists(), "the socket stays behind");
}

#[test]
fn questions_are_answered() {
    with_director("answers", |path| {
        let client = Client::new(path);
        assert_eq!(client.stats().unwrap(), Report::default());
        assert_eq!(client.reload(false).unwrap().changed, ["route to 0.0.0.0/0 via 10.0.0.9: added"]);
        assert_eq!(client.reload(false).unwrap_err().to_string(), "x.toml:1: no");
        assert_eq!(client.reload(true).unwrap().changed, ["something"]);
        assert_eq!(client.difference().unwrap().changed, ["something"]);
        assert_eq!(client.stats().unwrap().generation, 2);
        assert_eq!((client.ports().unwrap(), client.neighbors().unwrap()), Default::default());
        assert_eq!(client.routes().unwrap().routes[0].to, "10.0.0.0/24");
        assert_eq!((client.draining().unwrap().active, client.drain(true).unwrap().draining), (7, true));
        let refused = client.drain(false).unwrap_err().to_string();
        assert_eq!(refused, "this director announces no VIPs: its configuration has no [announce]");
        assert_eq!(client.version().unwrap().version, env!("CARGO_PKG_VERSION"));
    });
}

#[test]
fn the_desired_state_is_shown_and_changed() {
    with_director("desired", |path| {
        let client = Client::new(path);
        assert_eq!(client.config().unwrap().config().unwrap(), small());
        let services = client.services(None).unwrap();
        let key = write::key(&services.services[0].service().unwrap().selector);
        assert_eq!(client.services(Some(&key)).unwrap(), services);
        let other = write::key(&Selector::Mark(7, Family::V4));
        assert!(client.services(Some(&other)).unwrap().services.is_empty());
        let set = document::Table::from_iter([("weight", 7u32)]);
        let change = Change::SetReal { service: key.clone(), real: "10.0.0.2:80".to_owned(), set };
        let changed = client.change(&Transaction::new([change.clone()])).unwrap();
        let line = "service TCP 192.0.2.1:80: real server 10.0.0.2:80: weight 1 -> 7".to_owned();
        assert_eq!(changed, Changed { version: 2, changed: vec![line], ..Changed::default() });

        let refused = |transaction: &Transaction| match client.change(transaction).unwrap_err() {
            ClientError::Refused(refusal) => refusal,
            other => panic!("{other}"),
        };
        let twice = Change::AddService { service: key };
        let refusal = refused(&Transaction::new([change.clone(), twice]));
        assert_eq!((refusal.kind, refusal.change), (Some(Kind::ServiceExists), Some(1)));
        assert_eq!(refusal.to_string(), "service TCP 192.0.2.1:80 is already there");
        let refusal = refused(&Transaction { version: Some(9), ..Transaction::new([change]) });
        assert_eq!((refusal.kind, refusal.change), (Some(Kind::Version), None));
    });
}

/// Sends a request as it is, and returns what comes back.
fn exchange(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    // What is too long is not read to its end: the answer may come, and the connection close, before all is sent.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn changes_that_cannot_be_are_refused_with_their_status() {
    with_director("statuses", |path| {
        let post = |length: usize, body: &str| {
            let head = "POST /v1/changes HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
            exchange(path, &format!("{head}content-length: {length}\r\n\r\n{body}"))
        };
        for (body, status) in [
            (r#"{"changes":[]}"#, "200 OK"),
            (r#"{"changes":[{"op":"clear"}"#, "422 Unprocessable Entity"),
            (r#"{"version":9,"changes":[]}"#, "409 Conflict"),
        ] {
            let answer = post(body.len(), body);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        }
        let answer = post(40 << 20, "");
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
        assert!(answer.contains(r#"{"error":""#), "{answer}");
    });
}

#[test]
fn mistakes_are_answered_in_json() {
    with_director("mistakes", |path| {
        for (request, status, body) in [
            ("GET /v1/stat", "404 Not Found", r#"{"error":"there is no /v1/stat"}"#),
            (
                "GET /v1/services?service=7",
                "422 Unprocessable Entity",
                r#"{"error":"service: invalid type: integer `7`, expected an object at line 1 column 1","kind":"invalid"}"#,
            ),
            (
                "GET /v1/services?service={}",
                "422 Unprocessable Entity",
                r#"{"error":"service: the key \"address\" is missing","kind":"invalid"}"#,
            ),
            ("GET /v1/reload", "405 Method Not Allowed", r#"{"error":"/v1/reload does not take GET"}"#),
        ] {
            let answer = exchange(path, &format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
            assert!(answer.ends_with(body), "{answer}");
        }
    });
}

#[test]
fn the_socket_is_the_owners_and_the_groups() {
    with_director("mode", |path| {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o660);
    });
}

#[test]
fn a_live_director_keeps_its_socket() {
    with_director("live", |path| {
        let refused = Socket::bind(path).unwrap_err().to_string();
        assert_eq!(refused, format!("{}: another director answers there", path.display()));
        assert!(Client::new(path).version().is_ok());
    });
}

#[test]
fn a_dead_directors_socket_is_replaced() {
    let folder = Folder::new("dead");
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Client::new(&path).stats().unwrap_err().to_string();
    assert_eq!(error, format!("no director answers at {}: Connection refused (os error 111)", path.display()));
    drop(Socket::bind(&path).unwrap());
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let folder = Folder::new("file");
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("api.sock");
    fs::write(&path, "precious").unwrap();
    let refused = Socket::bind(&path).unwrap_err().to_string();
    assert_eq!(refused, format!("{}: there is a file that is not a socket", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_successors_socket_stays() {
    let folder = Folder::new("successor");
    let path = folder.0.join("api.sock");
    let first = Socket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let second = Socket::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn something_else_at_the_socket_is_told() {
    let folder = Folder::new("else");
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("api.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let other = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 smtp\r\n").unwrap());
    let error = Client::new(&path).stats().unwrap_err().to_string();
    assert!(error.starts_with(&format!("the answer from {} makes no sense: ", path.display())), "{error}");
    other.join().unwrap();
}

#[test]
fn a_client_that_never_finishes_does_not_hold_up_the_stop() {
    let mut held = Vec::new();
    let start = std::time::Instant::now();
    with_director("held", |path| {
        for text in ["", "GET /v1/sta"] {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            held.push(stream);
        }
        // By the time this is answered, the others were accepted.
        Client::new(path).version().unwrap();
    });
    assert!(start.elapsed().as_secs() < 5);
}
