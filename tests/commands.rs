//! The program as an operator calls it: what it prints where, and how it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace::ctrl::api::{
    self, Changed, Configuration, Difference, Draining, HealthReport, HopReport, Maintenance, NeighborReport, Network,
    OutcomeReport, PortReport, PortState, RealState, RealStats, Report, RouteReport, ServerHealth, ServiceState,
    Services, Socket, TrafficReport,
};
use millrace::ctrl::apply::Applier;
use millrace::ctrl::change::{Kind, Refused, Transaction};
use millrace::ctrl::config::write::{self, Detail};
use millrace::ctrl::config::{self, Config, Machine, Real, Selector, Service, document};
use millrace::ctrl::connections::{Filter, Scan};
use millrace::ctrl::desired::Desired;
use millrace::ctrl::diff;
use millrace::ctrl::health::book::State;
use millrace::dataplane::clock::Now;
use millrace::dataplane::conn::{Table, Templates};
use millrace::dataplane::shared::Shared;

const GOOD: &str = "\
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
[[service]]
address = '192.0.2.1:80'
[[service.real]]
address = '10.0.0.2'
forwarding = 'direct'
";

/// A folder of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("millrace-commands-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.0.join("x.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn millrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).env_remove("MILLRACE_SOCKET").output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[test]
fn check_accepts_a_good_file() {
    let folder = Folder::new("good");
    let path = folder.write(GOOD);
    let path = path.to_str().unwrap();
    let output = millrace(&["check", "-c", path]);
    let words = "1 worker, 1 port, 0 routes, 0 static neighbours, 1 service with 1 real server";
    assert_eq!(text(&output.stdout), format!("{path}: good: {words}\n"));
    assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    let output = millrace(&["check", "--json", "-c", path]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((checked["file"].as_str(), checked["summary"].as_str()), (Some(path), Some(words)));
    assert_eq!(checked["notes"].as_array().map(Vec::len), Some(0));
}

#[test]
fn check_refuses_bad_files_with_one_line_and_status_2() {
    let folder = Folder::new("bad");
    let good = format!("director.workers = {:?}\n{GOOD}", &Machine::here().cores[..1]);
    let service = &GOOD[GOOD.find("[[service]]").unwrap()..];
    for (file, expected) in [
        (
            good.replace("forwarding", "forwardign"),
            "10: service[0].real[0].forwardign: unknown key; did you mean \"forwarding\"?",
        ),
        (
            format!("{good}{service}"),
            "12: service[1].address: the TCP service 192.0.2.1:80 is already in line 7 (service[0].address)",
        ),
        (
            good.replace("10.0.0.2", "10.9.0.2"),
            "9: service[0].real[0].address: the real server 10.9.0.2 is on no port's network and no route leads to it",
        ),
        (
            good.replace("10.0.0.2", "2001:db8::2"),
            "9: service[0].real[0].address: 2001:db8::2 is IPv6, its service 192.0.2.1:80 is IPv4: only tunnels lead from one to the other",
        ),
        (
            good.replace("net_ring0", "net_af_packet0,iface=millrace-none"),
            "4: port[0].device: there is no interface \"millrace-none\" here",
        ),
    ] {
        let path = folder.write(&file);
        let output = millrace(&["check", "--machine", "-c", path.to_str().unwrap()]);
        let line = format!("{}:{expected}\n", path.display());
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", line.as_str()));
        assert_eq!(output.status.code(), Some(2));
    }
}

fn good() -> Config {
    config::parse(Path::new("x.toml"), GOOD).unwrap().config
}

/// A walk through an empty table.
fn nothing(filter: Filter) -> Scan {
    let config = good();
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

/// A service whose real servers have three connections each.
fn state(service: &Service) -> ServiceState {
    let stats = RealStats { active: 2, inactive: 1, ..RealStats::default() };
    let real = |real: &Real| RealState {
        keys: write::real(real, service, Detail::Full),
        state: Default::default(),
        running_weight: Some(real.weight),
        stats,
    };
    let reals = service.reals.iter().map(real);
    ServiceState {
        keys: write::service(service, Detail::Full),
        stats: TrafficReport::default(),
        rates: TrafficReport::default(),
        sorry_stats: None,
        real: reals.collect(),
    }
}

/// A director with something to show. What it is told to change it forgets at once.
#[derive(Default)]
struct Shown {
    /// How often it was asked about draining since it last began.
    looks: AtomicU64,
}

impl api::Director for Shown {
    fn report(&self) -> Report {
        let outcomes = [("drop_ttl", 7), ("drop_fragment", 0)];
        let outcomes = outcomes.map(|(name, count)| (name.to_owned(), OutcomeReport { count, text: "why".to_owned() }));
        Report { generation: 3, outcomes: outcomes.into(), ..Report::default() }
    }

    fn network(&self) -> Network {
        let report = PortReport { name: "lan".to_owned(), device: "net_ring0".to_owned(), ..PortReport::default() };
        let neighbor = |octet: u8| NeighborReport {
            address: [10, 0, 0, octet].into(),
            mac: None,
            port: "lan".to_owned(),
            state: "incomplete".to_owned(),
            age_seconds: None,
        };
        Network {
            ports: vec![PortState { report, addresses: vec!["10.0.0.1/24".to_owned()] }],
            neighbors: vec![neighbor(2), neighbor(3)],
        }
    }

    fn routes(&self) -> Vec<RouteReport> {
        let hop = HopReport { port: "lan".to_owned(), usable: true, ..HopReport::default() };
        let (origin, state) = ("connected".to_owned(), "active".to_owned());
        let route = RouteReport { origin, state, hops: vec![hop], ..RouteReport::default() };
        ["10.0.0.0/8", "10.0.0.0/24"].map(|to| RouteReport { to: to.to_owned(), ..route.clone() }).into()
    }

    fn scan(&self, filter: Filter) -> Scan {
        nothing(filter)
    }

    fn services(&self, only: Option<&Selector>) -> Services {
        let all = good().services;
        let asked = all.iter().filter(|service| only.is_none_or(|only| service.selector == *only));
        Services { version: 1, max_connections: 64, services: asked.map(|service| state(service)).collect() }
    }

    fn health(&self, _: Option<&Selector>, real: Option<&str>) -> Result<HealthReport, Refused> {
        let servers = [("10.0.0.2:80", 3), ("10.0.0.3:80", 0)].map(|(real, wrong)| ServerHealth {
            service: "192.0.2.1:80".to_owned(),
            protocol: "tcp".to_owned(),
            real: real.to_owned(),
            state: if wrong == 0 { State::Up } else { State::Down },
            up: Some(wrong == 0),
            check: Some("tcp".to_owned()),
            reason: None,
            since: None,
            right: 7,
            wrong,
            unmade: 0,
            against: 0,
            observed: None,
            held_until: None,
            last: None,
            history: Vec::new(),
        });
        let servers = servers.into_iter().filter(|server| real.is_none_or(|real| server.real == real));
        Ok(HealthReport { servers: servers.collect(), lost_quorum: Vec::new() })
    }

    fn maintain(&self, asked: &Maintenance) -> Result<Vec<String>, Refused> {
        Ok(if asked.on { vec!["192.0.2.1:80".to_owned()] } else { Vec::new() })
    }

    fn desired(&self) -> Arc<Desired> {
        Arc::new(Desired::first(good()))
    }

    fn zero(&self, _: Option<&document::Table>) -> Result<usize, Refused> {
        Ok(0)
    }

    /// A packet comes, and a connection goes, before it is looked at for the first time; before the third time, somebody has the
    /// VIPs announced again.
    fn draining(&self) -> Draining {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        let (active, forwarded) = (u64::from(looks == 0), 7 + looks.min(1));
        Draining { draining: looks < 3, announced: 0, active, inactive: 1, forwarded }
    }

    fn drain(&self, draining: bool) -> Option<Draining> {
        self.looks.store(0, Ordering::Relaxed);
        Some(if draining { self.draining() } else { Draining { announced: 2, ..Draining::default() } })
    }

    fn difference(&self) -> Result<Difference, Refused> {
        let (changed, restart) = (vec!["a: 1 -> 2".to_owned()], vec!["b: 3 -> 4".to_owned()]);
        Ok(Difference { version: 1, changed, restart })
    }

    fn reload(&self, dry_run: bool) -> Result<Changed, Refused> {
        Err(match dry_run {
            true => Refused::new(Kind::Restart, "needs a restart"),
            false => Refused::new(Kind::Invalid, "x.toml:3: no"),
        })
    }

    fn change(&self, transaction: &Transaction) -> Result<Changed, Refused> {
        let next = transaction.apply(&good(), |_, next| config::check(next))?.config;
        Ok(Changed { version: 2, changed: diff::changes(&good(), &next).unwrap(), ..Changed::default() })
    }
}

fn with_director(name: &str, test: impl FnOnce(&Path)) {
    let folder = Folder::new(name);
    let path = folder.0.join("api.sock");
    let socket = Socket::bind(&path).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(api::serve(socket, None, Arc::new(Shown::default()), async { drop(stopped.await) })).unwrap();
    });
    test(&path);
    stop.send(()).unwrap();
    server.join().unwrap();
}

#[test]
fn stats_and_reload_ask_the_director() {
    with_director("ask", |path| {
        let socket = path.to_str().unwrap();
        let output = millrace(&["stats", "--socket", socket]);
        assert!(text(&output.stdout).contains("drop_ttl       7  why\n"), "{}", text(&output.stdout));
        assert!(!text(&output.stdout).contains("drop_fragment"));
        let output = millrace(&["stats", "--json", "--socket", socket]);
        let report: Report = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((report.generation, report.outcomes["drop_ttl"].count), (3, 7));
        let output = millrace(&["reload", "--socket", socket]);
        assert_eq!((text(&output.stderr), output.status.code()), ("x.toml:3: no\n", Some(2)));
        let output = millrace(&["reload", "--dry-run", "--socket", socket]);
        assert_eq!((text(&output.stderr), output.status.code()), ("needs a restart\n", Some(1)));
        let named = Command::new(env!("CARGO_BIN_EXE_millrace")).arg("stats").env("MILLRACE_SOCKET", socket).output();
        assert!(named.unwrap().status.success());
    });
}

#[test]
fn services_and_real_servers_are_listed() {
    with_director("list", |path| {
        let socket = path.to_str().unwrap();
        for (arguments, expected) in [
            (
                &["service", "list"][..],
                "SERVICE           SCHEDULER  METHOD  REAL SERVERS  ACTIVE  INACTIVE  CONNS\n\
                 tcp 192.0.2.1:80  wlc        nat                1       2         1      0\n",
            ),
            (
                &["service", "show", "192.0.2.1:80"],
                "[[service]]\naddress = \"192.0.2.1:80\"\nprotocol = \"tcp\"\n\n  [[service.real]]\n  \
                 address = \"10.0.0.2:80\"\n  forwarding = \"direct\"\n\n\
                 SERVICE           REAL SERVER  METHOD  WEIGHT  ACTIVE  INACTIVE  PERSISTENT  CONNS\n\
                 tcp 192.0.2.1:80  10.0.0.2:80  direct       1       2         1           0      0\n",
            ),
            (
                &["real", "list", "--service", "tcp 192.0.2.1:80"],
                "SERVICE           REAL SERVER  METHOD  WEIGHT  ACTIVE  INACTIVE  PERSISTENT  CONNS\n\
                 tcp 192.0.2.1:80  10.0.0.2:80  direct       1       2         1           0      0\n",
            ),
        ] {
            let output = millrace(&[arguments, &["--socket", socket]].concat());
            assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, ""), "{arguments:?}");
            assert!(output.status.success());
        }
        let output = millrace(&["service", "list", "--json", "--socket", socket]);
        let services: Services = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(services.services[0].service().unwrap(), *good().services[0]);
        let output = millrace(&["service", "show", "udp/192.0.2.9:53", "--socket", socket]);
        let expected = "there is no service udp 192.0.2.9:53\n";
        assert_eq!((text(&output.stderr), output.status.code()), (expected, Some(1)));
    });
}

#[test]
fn ports_neighbours_and_routes_are_listed() {
    with_director("links", |path| {
        let socket = path.to_str().unwrap();
        let head = "DESTINATION  GATEWAY  PORT  ORIGIN     STATE   NEIGHBOUR\n";
        let wide = "10.0.0.0/8   -        lan   connected  active  -\n";
        let narrow = "10.0.0.0/24  -        lan   connected  active  -\n";
        let neighbors = "NEIGHBOUR  MAC  PORT  STATE       CONFIRMED\n";
        for (arguments, status, expected) in [
            (
                &["port", "list"][..],
                0,
                "PORT  DEVICE     MAC  ADDRESSES    LINK  MTU  RX FRAMES  TX FRAMES\n\
                 lan   net_ring0       10.0.0.1/24  DOWN    0          0          0\n"
                    .to_owned(),
            ),
            (&["port", "show", "wan"], 1, "there is no port wan\n".to_owned()),
            (
                &["neighbor", "list"],
                0,
                format!(
                    "{neighbors}10.0.0.2   -    lan   incomplete          -\n\
                     10.0.0.3   -    lan   incomplete          -\n"
                ),
            ),
            (&["neighbor", "show", "10.0.0.3"], 0, format!("{neighbors}10.0.0.3   -    lan   incomplete          -\n")),
            (&["neighbor", "show", "10.0.0.4"], 1, "there is no neighbour 10.0.0.4\n".to_owned()),
            (&["route", "list"], 0, format!("{head}{wide}{narrow}")),
            (&["route", "show", "10.0.0.9"], 0, format!("{head}{narrow}")),
            (&["route", "show", "10.0.0.0/8"], 0, format!("{head}{wide}")),
            (&["route", "show", "192.0.2.1"], 1, "there is no route to 192.0.2.1\n".to_owned()),
        ] {
            let output = millrace(&[arguments, &["--socket", socket]].concat());
            let said = text(&output.stdout).to_owned() + text(&output.stderr);
            assert_eq!((said, output.status.code()), (expected, Some(status)), "{arguments:?}");
        }
        let json = |arguments: &[&str]| -> serde_json::Value {
            let output = millrace(&[arguments, &["--json", "--socket", socket]].concat());
            serde_json::from_slice(&output.stdout).unwrap()
        };
        assert_eq!(json(&["port", "list"])["ports"][0]["addresses"][0], "10.0.0.1/24");
        assert_eq!(json(&["port", "show", "lan"])["name"], "lan");
        assert_eq!(json(&["neighbor", "show", "10.0.0.2"])[0]["address"], "10.0.0.2");
        assert_eq!(json(&["route", "list"])["routes"][1]["to"], "10.0.0.0/24");
        assert_eq!(json(&["route", "show", "10.0.0.9"])["to"], "10.0.0.0/24");
    });
}

#[test]
fn services_and_real_servers_are_changed() {
    with_director("change", |path| {
        let name = "service TCP 192.0.2.1:80";
        for (arguments, status, expected) in [
            (
                &["real", "set", "10.0.0.2", "--service", "192.0.2.1:80", "-w", "5"][..],
                0,
                format!("{name}: real server 10.0.0.2:80: weight 1 -> 5\n"),
            ),
            (
                &["real", "add", "10.0.0.3", "--service", "tcp/192.0.2.1:80", "--weight", "0"],
                0,
                format!("{name}: real server 10.0.0.3:80 nat weight 0: added\n"),
            ),
            (
                &["real", "drain", "10.0.0.2", "--service", "192.0.2.1:80"],
                0,
                format!("{name}: real server 10.0.0.2:80: weight 1 -> 0\n3 connections left (2 active, 1 inactive)\n"),
            ),
            (
                &["real", "drain", "10.0.0.2", "--service", "192.0.2.1:80", "--wait", "--timeout", "0s"],
                1,
                format!(
                    "{name}: real server 10.0.0.2:80: weight 1 -> 0\n3 connections left (2 active, 1 inactive)\n\
                     10.0.0.2 is not drained: 3 connections left (2 active, 1 inactive)\n"
                ),
            ),
            (
                &["real", "remove", "10.0.0.4", "--service", "192.0.2.1:80"],
                1,
                format!("{name}: there is no real server 10.0.0.4\n"),
            ),
            (
                &["service", "set", "192.0.2.1:80", "-s", "mh", "-b", "mh-port", "-p", "--unset", "timeout"],
                0,
                format!("{name}: scheduler wlc -> mh (mh-port)\n{name}: persistence none -> 5m for /32\n"),
            ),
            (&["service", "set", "192.0.2.1:80", "--forwarding", "nat"], 0, "nothing changed\n".to_owned()),
            (
                &["service", "set", "192.0.2.1:80", "--scheduler", "rrr"],
                2,
                "set.scheduler: \"rrr\" is unknown; did you mean \"rr\"?\n".to_owned(),
            ),
            (&["service", "set", "192.0.2.1:80"], 2, "nothing to change: give an option, or --unset KEY\n".to_owned()),
            (&["service", "add", "192.0.2.1:80"], 1, format!("{name} is already there\n")),
            (
                &["service", "add", "match/to=203.0.113.0/28,port=443", "--dry-run"],
                0,
                "service IP to 203.0.113.0/28:443, wlc, []: added\n".to_owned(),
            ),
            (
                &["service", "remove", "192.0.2.1:80"],
                0,
                format!("{name}, wlc, [10.0.0.2:80 direct weight 1]: removed\n"),
            ),
        ] {
            let output = millrace(&[arguments, &["--socket", path.to_str().unwrap()]].concat());
            let said = text(&output.stdout).to_owned() + text(&output.stderr);
            assert_eq!((said, output.status.code()), (expected, Some(status)), "{arguments:?}");
        }
    });
}

#[test]
fn draining_waits_until_routers_have_turned_away() {
    with_director("draining", |path| {
        let (draining, both) = ("draining: no VIP is announced\n", "2 connections left (1 active, 1 inactive)\n");
        let one = "1 connection left (0 active, 1 inactive)\n";
        for (more, status, expected) in [
            (&[][..], 0, draining.to_owned()),
            (&["--off"], 0, "2 VIPs are announced\n".to_owned()),
            (&["--wait", "--timeout", "0s"], 1, format!("{draining}{both}packets still come: {both}")),
            (
                &["--wait", "--quiet", "1s"],
                0,
                format!("{draining}{both}{one}no packet came for 1s: routers have turned away\n"),
            ),
            (
                &["--wait", "--quiet", "1m", "--limit", "1m"],
                1,
                format!("{draining}{both}{one}the director was told to announce its VIPs again\n"),
            ),
            (
                &["--wait", "--quiet", "1s", "--json"],
                0,
                r#"{"draining":true,"announced":0,"active":1,"inactive":1,"forwarded":7}
{"draining":true,"announced":0,"active":0,"inactive":1,"forwarded":8}
"#
                .to_owned(),
            ),
        ] {
            let output = millrace(&[&["drain", "--socket", path.to_str().unwrap()], more].concat());
            let said = text(&output.stdout).to_owned() + text(&output.stderr);
            assert_eq!((said, output.status.code()), (expected, Some(status)), "{more:?}");
        }
        let both = millrace(&["drain", "--off", "--wait", "--socket", path.to_str().unwrap()]);
        assert_eq!(both.status.code(), Some(2));
    });
}

#[test]
fn changes_are_made_from_a_file() {
    let folder = Folder::new("apply");
    let file = folder.0.join("changes.json");
    with_director("apply", |path| {
        let socket = path.to_str().unwrap();
        let key = r#""service": {"address": "192.0.2.1:80"}"#;
        let drain = format!(r#"{{"op": "set-real", {key}, "real": "10.0.0.2", "set": {{"weight": 0}}}}"#);
        for (changes, status, expected) in [
            (drain.clone(), 0, "service TCP 192.0.2.1:80: real server 10.0.0.2:80: weight 1 -> 0\n"),
            (
                format!(r#"{drain}, {{"op": "add-service", {key}}}"#),
                1,
                "changes[1]: service TCP 192.0.2.1:80 is already there\n",
            ),
            (r#"{"op": "add"}"#.to_owned(), 2, "changes[0]: op: \"add\" is unknown; did you mean \"add-real\"?\n"),
        ] {
            let json = format!(r#"{{"changes": [{changes}]}}"#);
            fs::write(&file, &json).unwrap();
            let output = millrace(&["apply", "-f", file.to_str().unwrap(), "--socket", socket]);
            let said = text(&output.stdout).to_owned() + text(&output.stderr);
            assert_eq!((said.as_str(), output.status.code()), (expected, Some(status)), "{json}");
            let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"));
            let child = child.args(["apply", "-f", "-", "--socket", socket]).stdin(fs::File::open(&file).unwrap());
            assert_eq!(child.output().unwrap().status.code(), Some(status), "from standard input");
        }
    });
}

#[test]
fn what_runs_is_saved_as_a_file() {
    let folder = Folder::new("saved");
    let file = folder.write("old");
    with_director("save", |path| {
        let socket = path.to_str().unwrap();
        let output = millrace(&["save", "--socket", socket]);
        assert_eq!(text(&output.stdout), write::config(&good()).to_toml());
        let output = millrace(&["save", "-o", file.to_str().unwrap(), "--socket", socket]);
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""));
        assert_eq!(config::load(&file).unwrap().config, good());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
        let output = millrace(&["save", "-o", "/nowhere/x.toml", "--socket", socket]);
        assert_eq!(output.status.code(), Some(1));
        let output = millrace(&["diff", "--socket", socket]);
        let expected = "b: 3 -> 4 (needs a restart)\na: 1 -> 2\n";
        assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(1)));
        let output = millrace(&["diff", "--json", "--socket", socket]);
        let difference: Difference = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((difference.restart, output.status.code()), (vec!["b: 3 -> 4".to_owned()], Some(1)));
        let output = millrace(&["save", "--json", "--socket", socket]);
        let saved: Configuration = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((saved.version, saved.config().unwrap()), (1, good()));
    });
}

#[test]
fn a_reader_that_has_seen_enough_is_no_mistake() {
    with_director("pipe", |path| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let mut child = child.args(["stats", "--all", "--socket"]).arg(path).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn without_a_director_the_socket_is_named() {
    let output = millrace(&["stats", "--socket", "/nowhere/api.sock"]);
    let expected = "no director answers at /nowhere/api.sock: No such file or directory (os error 2)\n";
    assert_eq!((text(&output.stderr), output.status.code()), (expected, Some(3)));
}

#[test]
fn mistakes_in_the_arguments_end_with_status_2() {
    for arguments in [&[][..], &["chekc"], &["check"], &["stats", "--jsn"]] {
        let output = millrace(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["check", "--help"]] {
        assert!(millrace(arguments).status.success());
    }
}
