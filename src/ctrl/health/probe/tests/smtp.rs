//! SMTP: mail servers of every kind, and those that are none.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;
use crate::ctrl::health::check::Smtp;

fn smtp() -> Probe {
    Probe::Smtp(Smtp { helo: "director.example".into() })
}

/// A server that says `greeting`, then one of `answers` to each command, then closes; and what it was told.
async fn mail(greeting: &'static str, answers: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let address = serve(move |stream| {
        let hear = Arc::clone(&hear);
        async move {
            let mut stream = BufReader::new(stream);
            let _ = stream.write_all(greeting.as_bytes()).await;
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap_or(0);
                hear.lock().unwrap().push(line);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await;
    (address, told)
}

async fn told(greeting: &'static str, answers: &'static [&'static str]) -> (Kind, String) {
    failure(&smtp(), mail(greeting, answers).await.0).await
}

#[test]
fn a_server_is_greeted_and_left() {
    run(async {
        let answers = &["250-mail.example greets\r\n250-SIZE 1000\r\n250 HELP\r\n", "221 bye\r\n"];
        let (address, told) = mail("220-mail.example\r\n220 ESMTP\r\n", answers).await;
        ask(&smtp(), address, AMPLE).await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["EHLO director.example\r\n", "QUIT\r\n"]);
    });
}

#[test]
fn an_old_server_is_greeted_in_the_old_way() {
    run(async {
        let (address, told) = mail("220 old\r\n", &["502 what?\r\n", "250\r\n", "221 bye\r\n"]).await;
        ask(&smtp(), address, AMPLE).await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["EHLO director.example\r\n", "HELO director.example\r\n", "QUIT\r\n"]);
    });
}

#[test]
fn a_refusal_is_told() {
    run(async {
        let status = |text: &str| (Kind::Status, text.to_owned());
        assert_eq!(told("554 no\r\n", &[]).await, status("the greeting: 554 no"));
        assert_eq!(told("421-busy\r\n421 come later\r\n", &[]).await, status("the greeting: 421 come later"));
        assert_eq!(told("220 hi\r\n", &["421 no\r\n"]).await, status("EHLO: 421 no"));
        assert_eq!(told("220 hi\r\n", &["550 no\r\n", "550 never\r\n"]).await, status("HELO: 550 never"));
        assert_eq!(told("220 hi\r\n", &["250 hi\r\n", "500 no\r\n"]).await, status("QUIT: 500 no"));
        assert_eq!(failure(&smtp(), nobody().await).await, (Kind::Refused, "connection refused".to_owned()));
    });
}

#[test]
fn what_is_no_reply_is_told() {
    run(async {
        let protocol = |text: &str| (Kind::Protocol, format!("no SMTP reply: {text}"));
        assert_eq!(told("SSH-2.0-OpenSSH_9.2\r\n", &[]).await, protocol("SSH-2.0-OpenSSH_9.2"));
        assert_eq!(told("22\r\n", &[]).await, protocol("22"));
        assert_eq!(told("2200 hi\r\n", &[]).await, protocol("2200 hi"));
        assert_eq!(told("+20 hi\r\n", &[]).await, protocol("+20 hi"));
        assert_eq!(told("220 hi\r\n", &["250-a\r\n\r\n"]).await, protocol(""));
        for half in ["", "220 hi", "220-hi\r\n"] {
            assert_eq!(told(half, &[]).await, (Kind::Closed, "the server closed the connection".to_owned()));
        }
    });
}

#[test]
fn a_slow_server_is_late() {
    run(async {
        let slow = |start: &'static str, drip: &'static str| {
            serve(move |mut stream| async move {
                let _ = stream.write_all(start.as_bytes()).await;
                while stream.write_all(drip.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        assert_eq!(late(&smtp(), slow("", "2").await).await, "timed out after 300ms: no greeting");
        assert_eq!(late(&smtp(), slow("", "220-hi\r\n").await).await, "timed out after 300ms: no greeting");
        let told = late(&smtp(), slow("220 hi\r\n", "250-x\r\n").await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
    });
}

#[test]
fn an_endless_talker_is_cut_off() {
    run(async {
        for line in ["220-hi\r\n", "2"] {
            let address = serve(move |mut stream| async move {
                let lines = line.repeat(1000);
                while stream.write_all(lines.as_bytes()).await.is_ok() {}
            });
            let told = failure(&smtp(), address.await).await;
            assert_eq!(told, (Kind::Protocol, "more than 262144 octets".to_owned()));
        }
    });
}

#[test]
fn a_name_is_one_word() {
    for helo in ["", "a b", "a\r\nMAIL FROM:<b>"] {
        let message = Prober::new(&Probe::Smtp(Smtp { helo: helo.into() })).unwrap_err().to_string();
        assert_eq!(message, format!("helo: {helo:?} is not one word"));
    }
}
