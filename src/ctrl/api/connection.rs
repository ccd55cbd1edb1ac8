//! What a client of the API can cost: each listener's connections, a request's head and body, and the time for them are bounded.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use log::warn;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::complaints::complain;
use super::refusal::refuse;

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections to one listener at a time; more wait to be accepted.
    pub connections: usize,
    /// The time for a TLS handshake, for the head of a request, and between two requests.
    pub head: Duration,
    /// The time for the body.
    pub body: Duration,
    /// The time in which a client on TCP acknowledges what it was sent, or at least makes room for more of it.
    pub send: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let [head, body, send] = [10, 30, 30].map(Duration::from_secs);
        Self { connections: 64, head, body, send }
    }
}

/// Octets of a head.
const HEAD_OCTETS: usize = 64 << 10;
/// Octets of a body: a hundred thousand real servers fit.
const BODY_OCTETS: usize = 32 << 20;
/// How long a stop waits for a client that began a request and does not finish it.
const GRACE: Duration = Duration::from_secs(1);
/// How long accepting rests after it failed: most likely there are no file descriptors.
const REST: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(super) enum Door {
    /// The Unix socket.
    Unix(UnixListener),
    /// TCP, with TLS or without.
    Tcp(TcpListener, Option<TlsAcceptor>),
}

enum Visitor {
    Unix(UnixStream),
    Tcp(TcpStream, Option<TlsAcceptor>),
}

impl Door {
    /// Waits for the next visitor. Who comes from afar and takes nothing for as long as `send` is cut off; somebody at this
    /// machine may look at a long answer page by page.
    async fn next(&self, send: Duration) -> io::Result<Visitor> {
        match self {
            Self::Unix(listener) => Ok(Visitor::Unix(listener.accept().await?.0)),
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                set_tcp_user_timeout(&stream, send.as_millis() as u32)?;
                Ok(Visitor::Tcp(stream, tls.clone()))
            }
        }
    }
}

/// Answers who comes by `door` until `stop` is ready; requests that were begun have a second more.
pub(super) async fn receive(door: Door, router: Router, bounds: Bounds, stop: impl Future<Output = ()>) {
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(bounds.connections)));
    let mut stop = std::pin::pin!(stop);
    loop {
        let come = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((door.next(bounds.send).await, place))
        };
        let come = tokio::select! {
            come = come => come,
            () = &mut stop => break,
        };
        match come {
            Some((Ok(visitor), place)) => {
                tokio::spawn(welcome(visitor, router.clone(), bounds.head, graceful.watcher(), place));
            }
            Some((Err(cause), _)) => {
                warn!("api: cannot accept a connection: {cause}");
                sleep(REST).await;
            }
            None => break,
        }
    }
    drop(door);
    let _ = timeout(GRACE, graceful.shutdown()).await;
}

async fn welcome(visitor: Visitor, router: Router, head: Duration, watcher: Watcher, place: OwnedSemaphorePermit) {
    match visitor {
        Visitor::Unix(stream) => converse(stream, router, head, watcher).await,
        Visitor::Tcp(stream, None) => converse(stream, router, head, watcher).await,
        Visitor::Tcp(stream, Some(tls)) => match timeout(head, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, router, head, watcher).await,
            Ok(Err(cause)) => complain(format_args!("TLS handshake refused: {cause}")),
            Err(_) => complain(format_args!("no TLS handshake within {head:?}")),
        },
    }
    drop(place);
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    head: Duration,
    watcher: Watcher,
) {
    let (asked, service) = (Arc::new(AtomicBool::new(false)), TowerToHyperService::new(router));
    let answer = service_fn({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.store(true, Ordering::Relaxed);
            service.call(request)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_OCTETS)
        .serve_connection(TokioIo::new(stream), answer);
    match watcher.watch(connection).await {
        // Who has been answered, and may ask for more, need not.
        Err(cause) if cause.is_timeout() && asked.load(Ordering::Relaxed) => {}
        Err(cause) => complain(format_args!("a connection ended early: {cause}")),
        Ok(()) => {}
    }
}

/// Reads a request's body before anybody looks at it. Only what is posted has one.
pub(super) async fn whole(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let most = if head.method == Method::POST { BODY_OCTETS } else { 0 };
    let too_long = || refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {most} octets here"));
    if body.size_hint().lower() > most as u64 {
        return too_long();
    }
    match timeout(bounds.body, to_bytes(body, most)).await {
        Ok(Ok(octets)) => next.run(Request::from_parts(head, Body::from(octets))).await,
        Ok(Err(_)) => too_long(),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {:?}", bounds.body)),
    }
}
