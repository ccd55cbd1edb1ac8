//! The listener on TCP, asked by clients of every kind, friendly or not.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::ctrl::config::{Listen, Tls};

const TOKEN: &str = "0123456789abcdef";
/// A little.
const SOON: Duration = Duration::from_millis(300);

/// Few places.
fn few() -> Bounds {
    Bounds { connections: 4, ..Bounds::default() }
}

fn plain() -> Listen {
    Listen { address: "127.0.0.1:0".parse().unwrap(), token_file: None, tls: None, public_reads: false }
}

/// Runs `test` while a director listens on TCP as `listen` says.
fn with_listener(
    name: &str,
    bounds: Bounds,
    listen: impl FnOnce(&Path) -> Listen,
    test: impl FnOnce(SocketAddr, &Path),
) {
    let folder = Folder::new(name);
    let socket = Socket::bind(&folder.0.join("api.sock")).unwrap();
    let listener = Listener::bind(&listen(&folder.0)).unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stopped = async { drop(stopped.await) };
        let director = Arc::new(Counting::default());
        runtime.block_on(serve_within(bounds, socket, Some(listener), director, stopped)).unwrap();
    });
    test(address, &folder.0);
    stop.send(()).unwrap();
    server.join().unwrap();
}

/// Sends one request and returns the whole answer.
fn ask(mut stream: impl Read + Write, request: &str, headers: &str) -> String {
    write!(stream, "{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    // TLS may end without its own goodbye.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn without_a_token_it_is_for_reading() {
    with_listener(
        "read",
        Bounds::default(),
        |_| plain(),
        |address, _| {
            assert_eq!(status(&ask(connect(address), "GET /v1/stats", "")), 200);
            assert_eq!(status(&ask(connect(address), "HEAD /v1/stats", "")), 200);
            let refused = ask(connect(address), "POST /v1/reload", "content-length: 0\r\n");
            assert_eq!(status(&refused), 403);
            assert!(refused.contains("{\"error\":\"this listener is for reading only"), "{refused}");
            assert_eq!(status(&ask(connect(address), "DELETE /v1/connections", "")), 403);
            assert!(ask(connect(address), "GET /v1/stats", "").contains("\"generation\":0"), "nothing was reloaded");
        },
    );
}

#[test]
fn metrics_are_text_for_prometheus() {
    with_listener(
        "metrics",
        Bounds::default(),
        |_| plain(),
        |address, _| {
            let answer = ask(connect(address), "GET /metrics", "");
            assert_eq!(status(&answer), 200);
            assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
            assert!(answer.contains("# TYPE millrace_uptime_seconds gauge\nmillrace_uptime_seconds 0\n"), "{answer}");
        },
    );
}

#[test]
fn with_a_token_everything_asks_for_it() {
    let listen = |folder: &Path| {
        let file = folder.join("token");
        fs::write(&file, format!("{TOKEN}\n")).unwrap();
        Listen { token_file: Some(file), ..plain() }
    };
    with_listener("token", Bounds::default(), listen, |address, _| {
        for headers in ["", "authorization: Bearer 0123456789abcdeX\r\n", "authorization: Basic MDEyMzQ=\r\n"] {
            let refused = ask(connect(address), "GET /v1/stats", headers);
            assert_eq!(status(&refused), 401, "{headers}");
            assert!(refused.contains("www-authenticate: Bearer\r\n"), "{refused}");
        }
        let token = format!("authorization: Bearer {TOKEN}\r\n");
        assert_eq!(status(&ask(connect(address), "GET /v1/stats", &token)), 200);
        assert_eq!(status(&ask(connect(address), "POST /v1/reload", &token)), 200);
    });
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = Folder::new("files");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("file");
    fs::write(&file, "short\n").unwrap();
    let bind = |listen| Listener::bind(&listen).unwrap_err().to_string();
    let short = bind(Listen { token_file: Some(file.clone()), ..plain() });
    assert_eq!(short, format!("{}: the token has 5 characters; at least 16 are needed", file.display()));
    let tls = |certificate: PathBuf| Some(Tls { certificate: certificate.clone(), key: certificate, client_ca: None });
    let message = bind(Listen { tls: tls(file.clone()), ..plain() });
    assert!(message.starts_with(&format!("{}: cannot be used: ", file.display())), "{message}");
    let message = bind(Listen { tls: tls(folder.0.join("missing")), ..plain() });
    assert!(message.contains("missing: cannot be used: "), "{message}");
}

/// An authority, and a certificate of it with its key.
struct Papers {
    authority: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Papers {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        Self { authority: authority.der().clone(), certificate: certificate.der().clone(), key }
    }

    /// Connects as one who trusts `server`'s authority and shows its own certificate, if it has one.
    fn visit(of: Option<&Self>, server: &Self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(server.authority.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match of {
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![own.certificate.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(address))
    }
}

#[test]
fn tls_with_clients_certificates_lets_in_only_those() {
    let (server, client, stranger) = (Papers::new(), Papers::new(), Papers::new());
    let listen = |folder: &Path| {
        let write = |name: &str, text: String| {
            fs::write(folder.join(name), text).unwrap();
            folder.join(name)
        };
        let pem = |der: &CertificateDer<'_>| {
            let lines = pem(der);
            format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
        };
        let tls = Tls {
            certificate: write("certificate", pem(&server.certificate)),
            key: write("key", server.key.serialize_pem()),
            client_ca: Some(write("ca", pem(&client.authority))),
        };
        Listen { tls: Some(tls), ..plain() }
    };
    with_listener("mtls", Bounds::default(), listen, |address, _| {
        let friend = Papers::visit(Some(&client), &server, address);
        assert_eq!(status(&ask(friend, "POST /v1/reload", "")), 200);
        for nobody in [None, Some(&stranger)] {
            let mut stream = Papers::visit(nobody, &server, address);
            let asked = write!(stream, "GET /v1/stats HTTP/1.1\r\nhost: a\r\n\r\n");
            let mut answer = String::new();
            assert!(asked.is_err() || stream.read_to_string(&mut answer).is_err(), "{answer}");
        }
        let plain = send(connect(address), "GET /v1/stats", "");
        assert_ne!(status(&plain), 200, "{plain}");
    });
}

/// Base 64 in lines of 64.
fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (number, three) in der.chunks(3).enumerate() {
        let bits = three.iter().enumerate().fold(0u32, |bits, (at, octet)| bits | u32::from(*octet) << (16 - 8 * at));
        for at in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() { letter.into() } else { '=' });
        }
        if number % 16 == 15 {
            text.push('\n');
        }
    }
    text + "\n"
}

#[test]
fn what_is_too_large_or_no_http_is_refused() {
    with_listener(
        "large",
        Bounds::default(),
        |_| plain(),
        |address, _| {
            let long = format!("x: {}\r\n", "y".repeat(1_000_000));
            assert_ne!(status(&send(connect(address), "GET /v1/stats", &long)), 200);
            for garbage in ["\0\u{1}\u{2}garbage\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n"] {
                let mut stream = connect(address);
                stream.write_all(garbage.as_bytes()).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                assert!(!answer.starts_with(b"HTTP/1.1 200"), "{garbage:?}");
            }
            assert_eq!(status(&ask(connect(address), "GET /v1/stats", "")), 200, "others are served");
        },
    );
}

/// As [`ask`], of one who may be cut off while it sends.
fn send(mut stream: TcpStream, request: &str, headers: &str) -> String {
    let _ = write!(stream, "{request} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let folder = Folder::new("body");
    fs::create_dir_all(&folder.0).unwrap();
    let token = |folder: &Path| {
        fs::write(folder.join("token"), TOKEN).unwrap();
        Listen { token_file: Some(folder.join("token")), ..plain() }
    };
    with_listener("body", Bounds { body: SOON, ..few() }, token, |address, _| {
        let head = format!("authorization: Bearer {TOKEN}\r\n");
        let large = send(connect(address), "POST /v1/reload", &format!("{head}content-length: 9999999999\r\n"));
        assert!([408, 413].contains(&status(&large)), "{large}");
        let slow = send(connect(address), "POST /v1/reload", &format!("{head}content-length: 10\r\n"));
        assert_eq!(status(&slow), 408, "{slow}");
        assert!(slow.contains("the body did not arrive within 300ms"), "{slow}");
        assert_eq!(status(&ask(connect(address), "GET /v1/stats", &head)), 200);
    });
}

#[test]
fn those_who_say_nothing_are_shown_out_and_others_come_in() {
    with_listener(
        "idle",
        Bounds { head: SOON, ..few() },
        |_| plain(),
        |address, _| {
            let start = Instant::now();
            let mut idle: Vec<TcpStream> = (0..12).map(|_| connect(address)).collect();
            idle[1].write_all(b"GET /v1/st").unwrap();
            assert_eq!(status(&ask(connect(address), "GET /v1/stats", "")), 200);
            assert!(start.elapsed() >= SOON, "there were places for four");
            for stream in &mut idle {
                let mut answer = Vec::new();
                match stream.read_to_end(&mut answer) {
                    Ok(_) => assert!(!answer.starts_with(b"HTTP/1.1 200")),
                    Err(cause) => assert_eq!(cause.kind(), ErrorKind::ConnectionReset),
                }
            }
        },
    );
}

#[test]
fn those_who_take_nothing_of_what_they_asked_for_are_shown_out() {
    with_listener(
        "greedy",
        Bounds { send: SOON, ..few() },
        |_| plain(),
        |address, _| {
            let mut greedy: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
            // More answers than fit on the way to somebody who reads none of them.
            let requests = "GET /v1/config HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000);
            for stream in &mut greedy {
                stream.set_write_timeout(Some(SOON)).unwrap();
                while stream.write_all(requests.as_bytes()).is_ok() {}
            }
            assert_eq!(status(&ask(connect(address), "GET /v1/stats", "")), 200);
        },
    );
}

#[test]
fn only_what_is_posted_has_a_body() {
    with_listener(
        "bodies",
        few(),
        |_| plain(),
        |address, _| {
            let with_body = send(connect(address), "GET /v1/stats", "content-length: 1\r\n");
            assert_eq!(status(&with_body), 413, "{with_body}");
        },
    );
}
