//! How real servers are, as tables.

use super::columns::Columns;
use super::lines;
use crate::ctrl::api::{HealthReport, ServerHealth};

/// Lays real servers out as text, one to a line, in their order; then the services that have lost their quorum.
pub fn health(report: &HealthReport) -> String {
    let mut table =
        Columns::new(&["SERVICE", "REAL SERVER", "CHECK", "STATE", "SINCE", "LAST CHECK"], &["RIGHT", "WRONG"]);
    for server in &report.servers {
        let since = server.since.as_deref().map_or("-", seconds);
        let mut row = vec![name(server), server.real.clone(), check(server), state(server), since.to_owned()];
        row.push(last(server));
        row.extend([server.right, server.wrong].map(|count| count.to_string()));
        table.row(row);
    }
    let lost = report.lost_quorum.iter().map(|service| format!("{service}: the quorum is lost\n"));
    lines(table, "no real server is checked") + &lost.collect::<String>()
}

/// Lays all that is known of one real server's health out as text.
pub fn server(server: &ServerHealth) -> String {
    let mut table = Columns::new(&["REAL SERVER", server.real.as_str()], &[]);
    let dash = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
    for (what, value) in [
        ("SERVICE", name(server)),
        ("STATE", state(server)),
        ("SINCE", dash(&server.since)),
        ("REASON", dash(&server.reason)),
        ("CHECK", check(server)),
        ("LAST CHECK", last(server)),
        ("AT", server.last.as_ref().map_or_else(|| "-".to_owned(), |last| last.at.clone())),
        ("RIGHT", server.right.to_string()),
        ("WRONG", server.wrong.to_string()),
        ("NOT MADE", server.unmade.to_string()),
        ("OBSERVED", dash(&server.observed)),
        ("HELD UNTIL", dash(&server.held_until)),
    ] {
        table.row(vec![what.to_owned(), value]);
    }
    let turn = |up: bool| if up { "up" } else { "down" };
    let history = server.history.iter().map(|it| format!("{}  {}: {}\n", it.at, turn(it.up), it.reason));
    lines(table, "") + &history.collect::<String>()
}

/// As in `millrace stats`.
fn name(server: &ServerHealth) -> String {
    format!("{} {}", server.protocol, server.service)
}

fn check(server: &ServerHealth) -> String {
    server.check.clone().unwrap_or_else(|| "-".to_owned())
}

fn state(server: &ServerHealth) -> String {
    let state = server.state.name();
    match server.against {
        0 => state.to_owned(),
        // Some checks have said otherwise, and not enough of them.
        against => format!("{state} ({against} against)"),
    }
}

fn last(server: &ServerHealth) -> String {
    match &server.last {
        None => "-".to_owned(),
        Some(last) => match &last.failure {
            None => format!("right, {:.1} ms", last.seconds * 1e3),
            Some(failure) => failure.clone(),
        },
    }
}

/// A time of RFC 3339 without fractions of a second.
fn seconds(time: &str) -> &str {
    time.split('.').next().unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"lost_quorum":["192.0.2.1:80"],"servers":[
        {"service":"192.0.2.1:80","protocol":"tcp","real":"10.0.0.2:80","state":"down","up":false,"check":"http","reason":"status 500",
         "since":"2026-11-29T12:00:01.500Z","right":7,"wrong":3,"unmade":0,"against":1,"observed":"well","held_until":null,
         "last":{"at":"2026-11-29T12:00:09.000Z","seconds":0.0012,"failure":null},
         "history":[{"at":"2026-11-29T12:00:01.500Z","up":false,"reason":"status 500"}]},
        {"service":"192.0.2.1:80","protocol":"tcp","real":"10.0.0.3:80","state":"maintenance","up":null,"check":null,"reason":null,
         "since":null,"right":0,"wrong":0,"unmade":0,"against":0,"observed":null,"held_until":null,"last":null,"history":[]}]}"#;

    #[test]
    fn a_line_for_each_real_server_and_all_of_one() {
        let report: HealthReport = serde_json::from_str(REPORT).unwrap();
        let expected = "\
SERVICE           REAL SERVER  CHECK  STATE             SINCE                LAST CHECK     RIGHT  WRONG
tcp 192.0.2.1:80  10.0.0.2:80  http   down (1 against)  2026-11-29T12:00:01  right, 1.2 ms      7      3
tcp 192.0.2.1:80  10.0.0.3:80  -      maintenance       -                    -                  0      0
192.0.2.1:80: the quorum is lost
";
        assert_eq!(health(&report), expected);
        assert_eq!(health(&HealthReport::default()), "no real server is checked\n");
        let one = server(&report.servers[0]);
        assert!(one.starts_with("REAL SERVER  10.0.0.2:80\nSERVICE      tcp 192.0.2.1:80\n"), "{one}");
        assert!(one.contains("\nOBSERVED     well\n"), "{one}");
        assert!(one.ends_with("\n2026-11-29T12:00:01.500Z  down: status 500\n"), "{one}");
    }
}
