//! Commands, and the hooks of services.

use super::*;
use crate::dataplane::address::Family;

/// Writes down which notice it was run for, and how many were lost before.
const NOTE: &str = r#"echo "$MILLRACE_SEQUENCE $MILLRACE_LOST" >> "$HERE/told""#;

#[test]
fn a_command_gets_keepalived_words_and_our_variables() {
    let folder = Folder::new("words");
    let script = folder.script(
        "script",
        r#"printf '%s\n' "$@" > "$HERE/words"
           env | grep ^MILLRACE_ | grep -Ev "TIME|DIRECTOR|COMMIT|DPDK" | sort > "$HERE/variables"
           echo "${NOTIFY_SOCKET-none}" > "$HERE/inherited""#,
    );
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[command(&[&script, "own argument"])]);
        notifier.notify(notice(Event::ServerDown), &[]);
        notifier.finish(PATIENCE).await;
    });
    let words = ["own argument", "RS", "[10.0.0.11]:tcp:8080", "[203.0.113.10]:tcp:80", "DOWN"];
    assert_eq!(folder.lines("words"), words);
    let variables = [
        "MILLRACE_EVENT=server_down",
        "MILLRACE_LOST=0",
        "MILLRACE_PROTOCOL=tcp",
        "MILLRACE_QUORUM=1",
        "MILLRACE_REAL=10.0.0.11:8080",
        "MILLRACE_REASON=because",
        "MILLRACE_SEQUENCE=1",
        "MILLRACE_SERVERS=3",
        "MILLRACE_SERVICE=203.0.113.10:80",
        "MILLRACE_UP=2",
        "MILLRACE_WEIGHT=4",
    ];
    assert_eq!(folder.lines("variables"), variables);
    assert_eq!(folder.lines("inherited"), ["none"]);
}

#[test]
fn a_hook_is_run_as_it_is_written() {
    let folder = Folder::new("hook");
    let script = folder.script("script", r#"echo "$@ $MILLRACE_EVENT" >> "$HERE/told""#);
    let hook = |word: &str| vec![script.clone(), word.to_owned()];
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.notify(notice(Event::QuorumDown), &hook("c"));
        notifier.notify(notice(Event::ServerDown), &[]);
        notifier.notify(notice(Event::QuorumUp), &hook("a b"));
        notifier.finish(PATIENCE).await;
    });
    assert_eq!(folder.lines("told"), ["c quorum_down", "a b quorum_up"]);
}

#[test]
fn one_receiver_is_told_in_order_and_another_does_not_wait_for_it() {
    let folder = Folder::new("order");
    let note = folder.script("note", NOTE);
    let slow = folder.script("slow", r#"echo $$ >> "$HERE/started"; exec sleep 1000"#);
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[command(&[&slow]), command(&[&note])]);
        for _ in 0..30 {
            notifier.notify(notice(Event::ServerUp), &[]);
        }
        until("thirty are told", || folder.lines("told").len() == 30).await;
        assert_eq!(folder.lines("started").len(), 1, "the slow one is still told the first");
        notifier.finish(Duration::from_millis(50)).await;
    });
    let expected: Vec<_> = (1..=30).map(|number| format!("{number} 0")).collect();
    assert_eq!(folder.lines("told"), expected);
    let slow = folder.lines("started").remove(0);
    on_runtime(until("what runs at the end is ended", || !lives(&slow)));
}

/// Tells whether a process runs: one that has ended may still be listed, if nobody asks how.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_command_that_hangs_is_killed_with_all_it_has_started_and_the_next_one_is_run() {
    let folder = Folder::new("hangs");
    // It does not listen to SIGTERM either, and neither does its child.
    let script = folder.script(
        "script",
        r#"trap '' TERM
           [ "$MILLRACE_SEQUENCE" = 2 ] && { touch "$HERE/second"; exit; }
           sleep 1000 &
           echo $! > "$HERE/child"
           echo $$ > "$HERE/leader"
           sleep 1000"#,
    );
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[Notify { timeout: 1, ..command(&[&script]) }]);
        notifier.notify(notice(Event::ServerDown), &[]);
        notifier.notify(notice(Event::ServerUp), &[]);
        until("it runs", || !folder.lines("leader").is_empty()).await;
        let pids = [folder.lines("child").remove(0), folder.lines("leader").remove(0)];
        assert!(pids.iter().all(|pid| lives(pid)));
        until("it is killed", || pids.iter().all(|pid| !lives(pid))).await;
        assert!(!Path::new(&format!("/proc/{}", pids[1])).exists(), "it is asked how it ended");
        until("the second is told", || folder.0.join("second").exists()).await;
        notifier.finish(PATIENCE).await;
    });
}

#[test]
fn few_commands_run_at_once() {
    let folder = Folder::new("few");
    let script = folder.script("script", r#"echo + >> "$HERE/log"; sleep 0.3; echo - >> "$HERE/log""#);
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&vec![command(&[&script]); 10]);
        notifier.notify(notice(Event::ServerDown), &[]);
        notifier.finish(PATIENCE).await;
    });
    let (mut running, mut most) = (0, 0);
    for line in folder.lines("log") {
        running += if line == "+" { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!(folder.lines("log").len(), 20);
    assert!((2..=4).contains(&most), "{most} at once");
}

#[test]
fn what_is_too_much_is_lost_from_the_front_and_counted() {
    let folder = Folder::new("overflow");
    let script = folder.script("script", NOTE);
    on_runtime(async {
        let notifier = Notifier::new();
        // All before anything is told: the runtime has one thread, and this is it.
        for _ in 0..40 {
            notifier.notify(notice(Event::QuorumUp), std::slice::from_ref(&script));
        }
        assert_eq!(notifier.lost(), 24);
        notifier.finish(PATIENCE).await;
    });
    let mut expected: Vec<_> = (25..=40).map(|number| format!("{number} 0")).collect();
    expected[0] = "25 24".to_owned();
    assert_eq!(folder.lines("told"), expected);
}

#[test]
fn a_reload_keeps_who_stays_and_tells_who_goes_what_waited() {
    let folder = Folder::new("reload");
    let goes = folder.script("goes", r#"sleep 0.1; echo "$MILLRACE_SEQUENCE" >> "$HERE/goes.told""#);
    let stays = folder.script("stays", r#"sleep 0.1; echo "$MILLRACE_SEQUENCE" >> "$HERE/stays.told""#);
    let comes = folder.script("comes", r#"echo "$MILLRACE_SEQUENCE" >> "$HERE/comes.told""#);
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[command(&[&goes]), command(&[&stays])]);
        (0..3).for_each(|_| notifier.notify(notice(Event::ServerUp), &[]));
        notifier.set(&[command(&[&comes]), command(&[&stays])]);
        (0..2).for_each(|_| notifier.notify(notice(Event::ServerUp), &[]));
        notifier.finish(PATIENCE).await;
    });
    assert_eq!(folder.lines("goes.told"), ["1", "2", "3"]);
    assert_eq!(folder.lines("stays.told"), ["1", "2", "3", "4", "5"]);
    assert_eq!(folder.lines("comes.told"), ["4", "5"]);
}

#[test]
fn who_asked_for_some_is_told_of_those() {
    let folder = Folder::new("some");
    let script = folder.script("script", r#"echo "$1 $MILLRACE_EVENT" >> "$HERE/told""#);
    let other = Selector::Mark(7, Family::V4);
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[
            Notify { events: vec![Event::ServerDown], ..command(&[&script, "downs"]) },
            Notify { services: vec![other], ..command(&[&script, "mark"]) },
        ]);
        for told in [
            notice(Event::ServerUp),
            notice(Event::ServerDown),
            Notice { service: Some(other), ..notice(Event::QuorumUp) },
            Notice { service: None, real: None, pool: None, ..notice(Event::DirectorDraining) },
        ] {
            notifier.notify(told, &[]);
        }
        notifier.finish(PATIENCE).await;
        notifier.notify(notice(Event::ServerDown), &[]);
    });
    let mut told = folder.lines("told");
    told.sort();
    assert_eq!(told, ["downs server_down", "mark director_draining", "mark quorum_up"]);
}

#[test]
fn what_cannot_be_run_or_fails_does_not_stop_what_follows() {
    let folder = Folder::new("fails");
    let script = folder.script("script", &format!("{NOTE}\nexit 3"));
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[command(&["/nonexistent/program"]), command(&[&script])]);
        (0..2).for_each(|_| notifier.notify(notice(Event::ServerUp), &[]));
        notifier.finish(PATIENCE).await;
    });
    assert_eq!(folder.lines("told"), ["1 0", "2 0"]);
}

#[test]
fn without_a_runtime_nobody_is_told() {
    let notifier = Notifier::new();
    notifier.set(&[command(&["/bin/true"])]);
    notifier.notify(notice(Event::ServerUp), &[]);
    assert_eq!(notifier.lost(), 0);
}
