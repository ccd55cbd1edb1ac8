//! The `[[notify]]` tables.

use super::*;
use crate::dataplane::address::Family;

fn read(text: &str) -> Notify {
    accept(&format!("[[notify]]\n{text}\n{PORTS}")).notify.remove(0)
}

fn refused(text: &str) -> String {
    refusal(&format!("[[notify]]\n{text}\n{PORTS}"))
}

#[test]
fn commands_and_webhooks() {
    let all = |receiver| Notify { receiver, events: vec![], services: vec![], timeout: 10 };
    let words = ["/bin/x", "a b", ""].map(str::to_owned).to_vec();
    assert_eq!(read("command = ['/bin/x', 'a b', '']"), all(Receiver::Command(words)));
    let webhook = |token_file: Option<&str>, ca: Option<&str>| Receiver::Webhook {
        url: "https://hooks.example/x?y".to_owned(),
        token_file: token_file.map(Into::into),
        ca: ca.map(Into::into),
    };
    assert_eq!(read("url = 'https://hooks.example/x?y'"), all(webhook(None, None)));
    let more = "url = 'https://hooks.example/x?y'\ntoken_file = 't'\nca = 'c'\ntimeout = '1m'";
    assert_eq!(read(more), Notify { timeout: 60, ..all(webhook(Some("t"), Some("c"))) });
}

#[test]
fn some_events_of_some_services() {
    let some = read(
        "command = ['/x']\nevents = ['server_down', 'quorum_up']\nservices = ['192.0.2.1:80', 'udp/192.0.2.1:53', 'mark/7']",
    );
    assert_eq!(some.events, [Event::ServerDown, Event::QuorumUp]);
    let socket = |text: &str, protocol| Selector::Socket(text.parse().unwrap(), protocol);
    let expected =
        [socket("192.0.2.1:80", Protocol::Tcp), socket("192.0.2.1:53", Protocol::Udp), Selector::Mark(7, Family::V4)];
    assert_eq!(some.services, expected);
}

#[test]
fn what_is_wrong() {
    for (text, expected) in [
        ("timeout = '5s'", "1: notify[0]: the key \"command\" is missing"),
        (
            "command = []",
            "2: notify[0].command: the list is empty: write the program, by its whole path, and its arguments",
        ),
        ("command = ['x']", "2: notify[0].command: \"x\" is no whole path of a program: it begins with /"),
        ("command = ['/x']\nca = 'c'", "3: notify[0].ca: is for a webhook, and there is no \"url\""),
        (
            "command = ['/x']\nurl = 'http://a/'",
            "2: notify[0].command: there is a \"url\" already: write a [[notify]] for each",
        ),
        ("url = 'ftp://a/'", "2: notify[0].url: \"ftp://a/\" is not a URL that begins with https:// or http://"),
        ("url = '/a'", "2: notify[0].url: \"/a\" is not a URL that begins with https:// or http://"),
        ("url = 'https://u:p@a/'", "2: notify[0].url: write a secret into a token_file: this one would be in logs"),
        ("url = 'http://a/'\nca = 'c'", "3: notify[0].ca: is for TLS, and the webhook is not https"),
        (
            "command = ['/x']\nevents = ['server_dwn']",
            "3: notify[0].events[0]: \"server_dwn\" is unknown; did you mean \"server_down\"?",
        ),
        ("command = ['/x']\nevents = []", "3: notify[0].events: is empty: leave it out if every event is meant"),
        ("command = ['/x']\nservices = []", "3: notify[0].services: is empty: leave it out if every service is meant"),
        (
            "command = ['/x']\nservices = ['192.0.2.1']",
            "3: notify[0].services[0]: \"192.0.2.1\" has no port; write \"192.0.2.1:80\"",
        ),
        ("command = ['/x']\ntimeout = '11m'", "3: notify[0].timeout: \"11m\" is not in the range 1s to 10m"),
        ("command = ['/x']\ntimeout = '0s'", "3: notify[0].timeout: \"0s\" is not in the range 1s to 10m"),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn what_its_author_may_not_have_meant() {
    let notes = |text: &str| {
        let loaded = parse(Path::new("x.toml"), &format!("[[notify]]\n{text}\n{PORTS}")).unwrap();
        loaded.notes().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(notes("url = 'https://192.0.2.9/'\ntoken_file = 't'"), [""; 0]);
    assert_eq!(notes("url = 'http://127.0.0.1/'\ntoken_file = 't'"), [""; 0]);
    assert_eq!(
        notes("url = 'http://192.0.2.9/'\ntoken_file = 't'"),
        ["x.toml:2: notify[0].url: note: without https, the token can be read on the way"]
    );
    assert_eq!(
        notes("command = ['/x']\nservices = ['mark/7']"),
        ["x.toml:3: notify[0].services[0]: note: there is no such service"]
    );
}
