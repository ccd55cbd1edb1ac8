//! HTTP: requests as they arrive, answers right and wrong, and servers that mean harm.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::body::FREE;
use super::*;
use crate::ctrl::health::check::Body;

fn http(change: impl FnOnce(&mut Http)) -> Probe {
    let mut http = get();
    change(&mut http);
    Probe::Http(http)
}

fn matching(pattern: &str) -> Probe {
    http(|http| http.body = Some(Body::Matches(pattern.into())))
}

/// The request that a server receives.
async fn received(probe: &Probe, change: impl FnOnce(&mut Target)) -> (String, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut target = target(address);
    change(&mut target);
    let prober = Prober::new(probe).unwrap();
    let serve = async {
        let mut stream = listener.accept().await.unwrap().0;
        let head = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        head
    };
    let (answer, head) = tokio::join!(prober.check(&target, AMPLE), serve);
    answer.unwrap();
    (head.to_lowercase(), address)
}

#[test]
fn the_request_is_as_configured() {
    run(async {
        let (head, address) = received(&http(|_| {}), |_| {}).await;
        let agent = format!("user-agent: millrace/{VERSION}", VERSION = crate::VERSION);
        let lines: Vec<_> = head.lines().collect();
        let host = format!("host: {address}");
        assert_eq!(lines, ["get / http/1.1", &host, &agent, "accept: */*", "connection: close", ""]);
        let other = http(|http| {
            http.method = "POST".into();
            http.path = "/a/b?c=d".into();
            http.host = Some("www.example".into());
        });
        let (head, _) = received(&other, |_| {}).await;
        assert!(head.starts_with("post /a/b?c=d http/1.1\r\nhost: www.example\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    });
}

#[test]
fn a_stand_in_is_not_named() {
    run(async {
        for (name, host) in [
            ("192.0.2.1:8080", "host: 192.0.2.1:8080\r\n"),
            ("192.0.2.1:80", "host: 192.0.2.1\r\n"),
            ("[2001:db8::1]:80", "host: [2001:db8::1]\r\n"),
            ("[2001:db8::1]:81", "host: [2001:db8::1]:81\r\n"),
        ] {
            let (head, _) = received(&http(|_| {}), |target| target.stands_for = Some(name.parse().unwrap())).await;
            assert!(head.contains(host), "{head}");
        }
    });
}

#[test]
fn the_status_decides() {
    run(async {
        let probe = http(|http| http.status = vec![200..=299, 401..=401]);
        for status in [200, 204, 299, 401] {
            ask(&probe, saying(format!("HTTP/1.1 {status} x\r\n\r\n")).await, AMPLE).await.unwrap();
        }
        for status in [300, 400, 402, 500, 503] {
            let told = failure(&probe, saying(format!("HTTP/1.1 {status} x\r\n\r\n")).await).await;
            assert_eq!(told, (Kind::Status, format!("status {status}")));
        }
    });
}

#[test]
fn an_old_server_and_a_hesitant_one_are_understood() {
    run(async {
        let probe = matching("^hello$");
        ask(&probe, saying("HTTP/1.0 200 OK\r\n\r\nhello").await, AMPLE).await.unwrap();
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        ask(&probe, saying(hints).await, AMPLE).await.unwrap();
        let chunks =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\na: b\r\n\r\n";
        ask(&probe, saying(chunks).await, AMPLE).await.unwrap();
    });
}

#[test]
fn a_body_matches_or_does_not() {
    run(async {
        let page = || saying(b"HTTP/1.1 200 OK\r\n\r\n<h1>Well\xe9come</h1>");
        ask(&matching("(?i)welcome|come<"), page().await, AMPLE).await.unwrap();
        let told = failure(&matching("^come"), page().await).await;
        assert_eq!(told, (Kind::Body, "the body does not match".to_owned()));
        let told = failure(&matching("."), saying("HTTP/1.1 200 OK\r\n\r\n").await).await;
        assert_eq!(told, (Kind::Body, "the body does not match".to_owned()));
    });
}

#[test]
fn a_body_is_known_by_its_digest() {
    run(async {
        let page = || saying("HTTP/1.1 200 OK\r\n\r\nhello\n");
        // What md5sum and sha256sum say.
        let md5 = 0xb1946ac92492d2347c6235b4d2611184_u128.to_be_bytes();
        ask(&http(|http| http.body = Some(Body::Md5(md5))), page().await, AMPLE).await.unwrap();
        let told = failure(&http(|http| http.body = Some(Body::Md5([0; 16]))), page().await).await;
        assert_eq!(told, (Kind::Body, "the body's MD5 is b1946ac92492d2347c6235b4d2611184".to_owned()));
        let mut sha256 = [0; 32];
        sha256[..16].copy_from_slice(&0x5891b5b522d5df086d0ff0b110fbd9d2_u128.to_be_bytes());
        sha256[16..].copy_from_slice(&0x1bb4fc7163af34d08286a2e846f6be03_u128.to_be_bytes());
        ask(&http(|http| http.body = Some(Body::Sha256(sha256))), page().await, AMPLE).await.unwrap();
        let told = failure(&http(|http| http.body = Some(Body::Sha256([0; 32]))), page().await).await;
        let text = "the body's SHA-256 is 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(told, (Kind::Body, text.to_owned()));
    });
}

#[test]
fn without_a_rule_the_body_is_not_waited_for() {
    run(async {
        let address = serve(|mut stream| async move {
            head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
            tokio::time::sleep(AMPLE).await;
        })
        .await;
        ask(&http(|_| {}), address, AMPLE / 4).await.unwrap();
    });
}

#[test]
fn garbage_is_no_answer() {
    run(async {
        let mut noise = vec![0; 4096];
        for octet in &mut noise {
            *octet = fastrand::u8(..);
        }
        noise[0] = 0;
        for garbage in [
            noise,
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            b"HTTP/9.9 200 OK\r\n\r\n".to_vec(),
            b"HTTP/1.1 20x OK\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello".to_vec(),
        ] {
            let told = failure(&http(|_| {}), saying(garbage.clone()).await).await;
            assert_eq!(told, (Kind::Protocol, "the answer is not HTTP/1.1".to_owned()), "{garbage:?}");
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    run(async {
        for half in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\na: b\r\n"] {
            let told = failure(&http(|_| {}), saying(half).await).await;
            assert_eq!(told, (Kind::Closed, "the server closed the connection".to_owned()), "{half:?}");
        }
        for half in ["content-length: 10\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
            let address = saying(format!("HTTP/1.1 200 OK\r\n{half}")).await;
            let told = failure(&matching("hello"), address).await;
            assert_eq!(told, (Kind::Closed, "the server closed the connection".to_owned()), "{half:?}");
        }
        let address = serve(|mut stream| async move {
            head(&mut stream).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        assert_eq!(failure(&http(|_| {}), address).await, (Kind::Closed, "connection reset".to_owned()));
    });
}

#[test]
fn a_silent_server_is_late() {
    run(async {
        let silent = serve(|stream| async move {
            tokio::time::sleep(AMPLE).await;
            drop(stream);
        });
        let told = late(&http(|_| {}), silent.await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
        let silent = serve(|mut stream| async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhel").await.unwrap();
            tokio::time::sleep(AMPLE).await;
        });
        let told = late(&matching("hello"), silent.await).await;
        assert_eq!(told, "timed out after 300ms: the answer's body did not end");
    });
}

#[test]
fn a_server_that_drips_is_late() {
    run(async {
        let drip = |start: &'static str, drop: &'static str| {
            serve(move |mut stream| async move {
                let _ = stream.write_all(start.as_bytes()).await;
                while stream.write_all(drop.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let told = late(&http(|_| {}), drip("HTTP/1.1 200 OK\r\nx: ", "y").await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
        let told = late(&http(|_| {}), drip("", "HTTP/1.1 100 Continue\r\n\r\n").await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
        let told = late(&matching("z"), drip("HTTP/1.1 200 OK\r\n\r\n", "y").await).await;
        assert_eq!(told, "timed out after 300ms: the answer's body did not end");
    });
}

/// A server that says `start`, then `again` as long as somebody listens; and how much it was rid of, in octets.
async fn endless(start: &'static str, again: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let address = serve(move |mut stream| {
        let (again, count) = (again.clone(), Arc::clone(&count));
        async move {
            let _ = stream.write_all(start.as_bytes()).await;
            while let Ok(octets) = stream.write(&again).await {
                count.fetch_add(octets, Ordering::Relaxed);
            }
        }
    })
    .await;
    (address, sent)
}

#[test]
fn endless_answers_are_cut_off() {
    // What both ends' kernels may hold, and then some: far below what flows here until a limit of time.
    const HELD: usize = 16 << 20;
    let chunk = || b"1\r\ny\r\n".repeat(1000);
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\n", vec![b'y'; 65536], Kind::Body, "the body has more than 1048576 octets"),
        (
            "HTTP/1.1 200 OK\r\n",
            b"x: y\r\n".repeat(1000),
            Kind::Protocol,
            "the answer's head has more than 65536 octets",
        ),
        ("HTTP/1.1 200 OK\r\nx: ", vec![b'y'; 65536], Kind::Protocol, "the answer's head has more than 65536 octets"),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000), Kind::Protocol, "more than 1310720 octets"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk(), Kind::Protocol, "more than 1310720 octets"),
    ];
    for (start, again, kind, text) in cases {
        run(async {
            let (address, sent) = endless(start, again).await;
            assert_eq!(failure(&matching("z"), address).await, (kind, text.to_owned()), "{start}");
            assert!(sent.load(Ordering::Relaxed) < HELD, "{start}: {sent:?}");
        });
    }
    run(async {
        let (address, sent) = endless("HTTP/1.1 200 OK\r\n\r\n", vec![b'y'; 65536]).await;
        ask(&http(|_| {}), address, AMPLE).await.unwrap();
        assert!(sent.load(Ordering::Relaxed) < HELD, "{sent:?}");
    });
}

/// The places for long bodies are the process's: one test at a time.
fn matchers() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_largest_body_is_read() {
    let _alone = matchers();
    run(async {
        let page = |octets| saying(["HTTP/1.1 200 OK\r\n\r\n", &"y".repeat(octets)].concat());
        ask(&matching("^y+$"), page(1 << 20).await, AMPLE).await.unwrap();
        let told = failure(&matching("^y+$"), page((1 << 20) + 1).await).await;
        assert_eq!(told, (Kind::Body, "the body has more than 1048576 octets".to_owned()));
    });
}

#[test]
fn an_expression_that_takes_long_is_not_waited_for() {
    run(async {
        let noise: String = (0..1 << 20).map(|_| if fastrand::bool() { 'a' } else { 'b' }).collect();
        let page = saying(format!("HTTP/1.1 200 OK\r\n\r\n{noise}")).await;
        let told = late(&matching("[ab]*a[ab]{200}c"), page).await;
        assert_eq!(told, "timed out after 300ms: the body was not matched to its end");
    });
}

#[test]
fn who_has_to_wait_for_a_matcher_is_not_to_blame() {
    let _alone = matchers();
    run(async {
        let mut taken = Vec::new();
        while let Ok(place) = FREE.try_acquire() {
            taken.push(place);
        }
        let page = saying(["HTTP/1.1 200 OK\r\n\r\n", &"y".repeat(1 << 20)].concat()).await;
        let failure = ask(&matching("y"), page, SHORT).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Local);
        assert_eq!(failure.to_string(), "timed out after 300ms: too many long bodies are matched already");
        ask(&matching("^hello$"), saying("HTTP/1.1 200 OK\r\n\r\nhello").await, AMPLE).await.unwrap();
    });
}

#[test]
fn what_http_cannot_say_is_refused_at_once() {
    let refusal = |probe: &Probe| Prober::new(probe).unwrap_err().to_string();
    assert_eq!(refusal(&http(|http| http.method = "G T".into())), "method: HTTP cannot say \"G T\"");
    assert_eq!(refusal(&http(|http| http.path = "/ /".into())), "path: HTTP cannot say \"/ /\"");
    assert_eq!(refusal(&http(|http| http.path = "http://a/".into())), "path: HTTP cannot say \"http://a/\"");
    assert_eq!(refusal(&http(|http| http.host = Some("a\nb".into()))), "host: HTTP cannot say \"a\\nb\"");
    assert!(refusal(&matching("(")).starts_with("body: regex parse error"));
    assert!(refusal(&matching("(.{1000}){1000}")).contains("size limit"));
}
