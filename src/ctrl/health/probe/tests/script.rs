//! Scripts: how they end, what they say, and that nothing of them is left.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use super::super::script::PLACES;
use super::*;
use crate::ctrl::health::check::Script;

/// The places for scripts are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sh(text: &str) -> Probe {
    Probe::Script(Script { command: ["/bin/sh", "-c", text].map(str::to_owned).to_vec() })
}

fn anywhere() -> SocketAddr {
    "192.0.2.1:80".parse().unwrap()
}

/// Tells whether a process runs, or has ended and we have not reaped it. Orphans are init's to reap.
fn there(process: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let (state, parent) = (fields.next().unwrap(), fields.next().unwrap());
    state != "Z" || parent == std::process::id().to_string()
}

/// Waits until none of the processes is there that a script wrote into `file`.
async fn gone(file: &std::path::Path) {
    let written = fs::read_to_string(file).unwrap();
    let processes: Vec<_> = written.split_whitespace().collect();
    assert!(!processes.is_empty());
    let begin = Instant::now();
    while processes.iter().any(|process| there(process)) {
        assert!(begin.elapsed() < AMPLE, "left: {written}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fs::remove_file(file).unwrap();
}

fn note(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("millrace-probe-{name}-{}", std::process::id()))
}

#[test]
fn the_exit_status_is_the_answer() {
    let _alone = alone();
    run(async {
        ask(&sh("exit 0"), anywhere(), AMPLE).await.unwrap();
        ask(&sh("echo all is well; echo very >&2"), anywhere(), AMPLE).await.unwrap();
        let told = |text: &'static str| async move { failure(&sh(text), anywhere()).await };
        let script = |text: &str| (Kind::Script, text.to_owned());
        assert_eq!(told("exit 3").await, script("exit status 3"));
        assert_eq!(told("echo; echo disk full; echo more; exit 1").await, script("exit status 1: disk full"));
        assert_eq!(told("printf 'no\\033[2Jend' >&2; exit 1").await, script("exit status 1: no\u{fffd}[2Jend"));
        assert_eq!(told("kill -9 $$").await, script("killed by signal 9"));
        let (_, long) = told("head -c 5000 /dev/zero | tr '\\0' x; exit 1").await;
        assert_eq!(long, format!("exit status 1: {}…", "x".repeat(100)));
    });
}

#[test]
fn it_finds_what_it_is_told_and_nothing_else() {
    let _alone = alone();
    run(async {
        let environment = vec![("MILLRACE_VIP".to_owned(), "192.0.2.1".to_owned())];
        let target = Target { environment, ..target(anywhere()) };
        let text = "test \"$MILLRACE_VIP\" = 192.0.2.1 && test -n \"$PATH\" && test -z \"$HOME$CARGO\" && test $(pwd) = / \
            && test -z \"$(cat)\"";
        Prober::new(&sh(text)).unwrap().check(&target, AMPLE).await.unwrap();
        let grouped = "test $(ps -o pgid= -p $$) = $$";
        Prober::new(&sh(grouped)).unwrap().check(&target, AMPLE).await.unwrap();
    });
}

#[test]
fn a_script_whose_time_is_over_is_killed_with_its_children() {
    let _alone = alone();
    run(async {
        let file = note("late");
        let text = format!("echo $$ > {0}; sleep 1000 & echo $! >> {0}; sleep 1000", file.display());
        let told = late(&sh(&text), anywhere()).await;
        assert_eq!(told, "timed out after 300ms: the script did not end");
        gone(&file).await;
    });
}

#[test]
fn what_a_script_leaves_behind_is_killed() {
    let _alone = alone();
    run(async {
        let file = note("behind");
        let text = format!("sleep 1000 & echo $! > {}", file.display());
        ask(&sh(&text), anywhere(), AMPLE).await.unwrap();
        gone(&file).await;
    });
}

#[test]
fn an_endless_writer_is_killed() {
    let _alone = alone();
    run(async {
        let file = note("endless");
        let text = format!("echo $$ > {}; exec yes", file.display());
        let told = failure(&sh(&text), anywhere()).await;
        assert_eq!(told, (Kind::Script, "it wrote more than 65536 octets".to_owned()));
        gone(&file).await;
    });
}

#[test]
fn a_check_that_is_given_up_leaves_nothing() {
    let _alone = alone();
    run(async {
        let file = note("given-up");
        let text = format!("echo $$ > {}; exec sleep 1000", file.display());
        let check = tokio::spawn(async move { ask(&sh(&text), anywhere(), AMPLE).await });
        while fs::read_to_string(&file).unwrap_or_default().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        check.abort();
        gone(&file).await;
    });
}

#[test]
fn what_cannot_be_run_is_not_the_servers_fault() {
    let _alone = alone();
    run(async {
        let missing = Probe::Script(Script { command: vec!["/no/such/program".into()] });
        let (kind, text) = failure(&missing, anywhere()).await;
        assert_eq!(
            (kind, text.as_str()),
            (Kind::Local, "cannot run /no/such/program: No such file or directory (os error 2)")
        );
        let none = Prober::new(&Probe::Script(Script { command: vec![] })).unwrap_err();
        assert_eq!(none.to_string(), "command: it is empty");
    });
}

#[test]
fn so_many_run_at_once_and_no_more() {
    let _alone = alone();
    run(async {
        let file = note("places");
        let text = format!("echo $$ >> {}; exec sleep 1000", file.display());
        let mut checks = JoinSet::new();
        for _ in 0..PLACES {
            let probe = sh(&text);
            checks.spawn(async move { ask(&probe, anywhere(), AMPLE).await });
        }
        while fs::read_to_string(&file).unwrap_or_default().lines().count() < PLACES {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let failure = ask(&sh("exit 0"), anywhere(), SHORT).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Local);
        assert_eq!(failure.to_string(), "timed out after 300ms: too many scripts run already");
        checks.shutdown().await;
        gone(&file).await;
        ask(&sh("exit 0"), anywhere(), AMPLE).await.unwrap();
    });
}
