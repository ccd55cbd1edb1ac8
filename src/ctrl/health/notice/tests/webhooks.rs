//! Webhooks, good and bad ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Requests, RecvTimeoutError, channel};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// What a server was asked.
struct Request {
    head: String,
    body: serde_json::Value,
    at: Instant,
}

/// A web server that gives these answers, the last one again and again.
struct Server {
    url: String,
    requests: Requests<Request>,
}

impl Server {
    fn new(answers: &'static [&'static str]) -> Self {
        Self::start(answers, None)
    }

    fn start(answers: &'static [&'static str], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/changes?to=us", listener.local_addr().unwrap());
        let (seen, requests) = channel();
        std::thread::spawn(move || {
            let mut answers = answers.iter().peekable();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let request = match &tls {
                    Some(config) => {
                        let server = ServerConnection::new(Arc::clone(config)).unwrap();
                        exchange(StreamOwned::new(server, stream), answers.peek().unwrap())
                    }
                    None => exchange(stream, answers.peek().unwrap()),
                };
                let Some(request) = request else { continue };
                if answers.len() > 1 {
                    answers.next();
                }
                if seen.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    fn next(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }

    /// The next request, on the runtime that asks.
    async fn next_while_others_run(&self) -> Request {
        let start = Instant::now();
        loop {
            match self.requests.try_recv() {
                Ok(request) => return request,
                Err(_) => assert!(start.elapsed() < PATIENCE, "nothing is asked"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The sequence numbers of the next requests.
    fn sequences(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next().body["sequence"].as_u64().unwrap()).collect()
    }

    fn is_asked_no_more(&self) -> bool {
        self.requests.recv_timeout(Duration::from_millis(300)).err() == Some(RecvTimeoutError::Timeout)
    }
}

/// Reads a request and answers it; none if the client thinks better of it.
fn exchange(mut stream: impl Read + Write, answer: &str) -> Option<Request> {
    let mut reader = BufReader::new(&mut stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    let at = Instant::now();
    write!(stream, "HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").ok()?;
    stream.flush().ok()?;
    Some(Request { head, body: serde_json::from_slice(&body).unwrap(), at })
}

fn webhook(url: &str) -> Notify {
    entry(Receiver::Webhook { url: url.to_owned(), token_file: None, ca: None })
}

/// Tells `entries` of `count` changes, and goes on until all is told.
fn tell(entries: &[Notify], count: usize) -> u64 {
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(entries);
        (0..count).for_each(|_| notifier.notify(notice(Event::ServerDown), &[]));
        notifier.finish(PATIENCE).await;
        notifier.lost()
    })
}

#[test]
fn a_webhook_gets_json_with_the_token_of_the_moment() {
    let folder = Folder::new("token");
    let file = folder.0.join("token");
    let server = Server::new(&["204 No Content"]);
    let entry = entry(Receiver::Webhook { url: server.url.clone(), token_file: Some(file.clone()), ca: None });
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[entry]);
        for token in ["first", "second"] {
            fs::write(&file, format!("{token}\n")).unwrap();
            notifier.notify(notice(Event::ServerDown), &[]);
            let request = server.next_while_others_run().await;
            let head = request.head.to_lowercase();
            assert!(head.starts_with("post /changes?to=us http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/json\r\n"), "{head}");
            assert!(head.contains(&format!("authorization: bearer {token}\r\n")), "{head}");
            assert_eq!(request.body["event"], "server_down");
            assert_eq!(request.body["real"], "10.0.0.11:8080");
        }
        notifier.finish(PATIENCE).await;
    });
}

#[test]
fn one_that_cannot_now_is_called_again_and_nothing_overtakes() {
    let server = Server::new(&["503 Service Unavailable", "429 Too Many Requests", "200 OK"]);
    assert_eq!(tell(&[webhook(&server.url)], 3), 0);
    let requests: Vec<_> = (0..5).map(|_| server.next()).collect();
    let sequences: Vec<_> = requests.iter().map(|request| request.body["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 1, 1, 2, 3]);
    let pauses: Vec<_> = requests.windows(2).map(|pair| (pair[1].at - pair[0].at).as_millis()).collect();
    assert!(pauses[0] >= 375 && pauses[1] >= 750, "{pauses:?}");
    assert!(server.is_asked_no_more());
}

#[test]
fn one_that_refuses_is_not_asked_again_and_told_that_it_missed_something() {
    let server = Server::new(&["404 Not Found", "301 Moved Permanently", "200 OK"]);
    assert_eq!(tell(&[webhook(&server.url)], 3), 2);
    let lost: Vec<_> = (0..3).map(|_| server.next().body["lost"].as_u64().unwrap()).collect();
    assert_eq!(lost, [0, 1, 2]);
    assert!(server.is_asked_no_more());
}

#[test]
fn dead_ones_delay_neither_others_nor_the_end() {
    // One that takes connections and says nothing, and one that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}/", silent.local_addr().unwrap());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::new(&["200 OK"]);
    let entries = [webhook(&silent_url), webhook(&format!("http://{gone}/")), webhook(&server.url)];
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&entries);
        (0..20).for_each(|_| notifier.notify(notice(Event::ServerDown), &[]));
        let start = Instant::now();
        notifier.finish(Duration::from_secs(3)).await;
        assert!((3..30).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    });
    assert_eq!(server.sequences(20), (1..=20).collect::<Vec<_>>());
}

#[test]
fn one_that_hangs_is_left_after_its_time_and_called_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let hangs = listener.accept().unwrap();
        let start = Instant::now();
        let (next, _) = listener.accept().unwrap();
        let waited = start.elapsed();
        drop(hangs);
        (waited, exchange(next, "200 OK").unwrap().body)
    });
    assert_eq!(tell(&[Notify { timeout: 1, ..webhook(&url) }], 1), 0);
    let (waited, body) = server.join().unwrap();
    assert!(waited >= Duration::from_millis(1300), "{waited:?}");
    assert_eq!(body["sequence"], 1);
}

/// An authority, in PEM, and a server with a certificate of it for 127.0.0.1.
fn authority() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], secret).unwrap();
    (issuer.pem(), Arc::new(config))
}

#[test]
fn over_tls_only_one_of_the_authority_is_told() {
    let folder = Folder::new("tls");
    let (ca, config) = authority();
    let (other, _) = authority();
    let server = Server::start(&["200 OK"], Some(config));
    let entry = |name: &str, pem: &str| {
        let file = folder.0.join(name);
        fs::write(&file, pem).unwrap();
        Notify { timeout: 5, ..entry(Receiver::Webhook { url: server.url.clone(), token_file: None, ca: Some(file) }) }
    };
    assert_eq!(tell(&[entry("ca", &ca)], 1), 0);
    assert_eq!(server.sequences(1), [1]);
    on_runtime(async {
        let notifier = Notifier::new();
        notifier.set(&[entry("other", &other), webhook(&server.url), entry("none", "")]);
        notifier.notify(notice(Event::ServerDown), &[]);
        notifier.finish(Duration::from_secs(2)).await;
    });
    assert!(server.is_asked_no_more(), "whoever else says that it is there is told nothing");
}
