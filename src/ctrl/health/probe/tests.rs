//! Every probe against servers that are right, wrong, and hostile, on 127.0.0.1.

mod dns;
mod grpc;
mod http;
mod ping;
mod script;
mod smtp;
mod tcp;
mod tls;
mod udp;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::ctrl::health::check::{Http, Tls};

/// Longer than anything here takes that is not meant to be slow.
const AMPLE: Duration = Duration::from_secs(20);
/// For what is meant to be late.
const SHORT: Duration = Duration::from_millis(300);

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Serves connections by `answer`, each in a task of its own, as long as the runtime lives.
async fn serve<F>(answer: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    });
    address
}

/// A server that reads a request's head, says `answer` and closes.
async fn saying(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// Reads to the empty line that ends a request.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(octet) => octets.push(octet),
            Err(_) => break,
        }
    }
    String::from_utf8(octets).unwrap()
}

/// A port that nobody listens on.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn target(address: SocketAddr) -> Target {
    Target { address, stands_for: None, bind: None, environment: Vec::new() }
}

async fn ask(probe: &Probe, address: SocketAddr, limit: Duration) -> Result<Duration, Failure> {
    Prober::new(probe).unwrap().check(&target(address), limit).await
}

/// Asks, and returns what is said of the failure.
async fn failure(probe: &Probe, address: SocketAddr) -> (Kind, String) {
    let failure = ask(probe, address, AMPLE).await.unwrap_err();
    (failure.kind(), failure.to_string())
}

/// As [`failure`], of one who takes longer than [`SHORT`]; the check does not.
async fn late(probe: &Probe, address: SocketAddr) -> String {
    let begin = Instant::now();
    let failure = ask(probe, address, SHORT).await.unwrap_err();
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < AMPLE, "{:?}", begin.elapsed());
    assert_eq!(failure.kind(), Kind::Timeout, "{failure}");
    failure.to_string()
}

/// `GET /`, 200.
fn get() -> Http {
    Http { method: "GET".into(), path: "/".into(), host: None, status: vec![200..=200], body: None, tls: None }
}

#[test]
fn a_prober_serves_tasks_of_any_thread() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(value: T) -> T {
        value
    }
    run(async {
        let prober = Prober::new(&Probe::Tcp).unwrap();
        shared(&prober);
        let target = target(nobody().await);
        let check = sent(prober.check(&target, AMPLE));
        let size = size_of_val(&check);
        assert!(size < 2048, "a TCP check waits in {size} octets");
        check.await.unwrap_err();
    });
}
