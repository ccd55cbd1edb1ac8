//! Answers the API on a Unix socket, and on TCP where that is asked for.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, fs};

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use super::access::{Access, guard};
use super::calls::{Call, OPERATIONS};
use super::connection::{Bounds, Door, receive, whole};
use super::connections;
use super::desired::{self, Difference, Services};
use super::drain::{self, Draining};
use super::health::{self, HealthReport, Maintenance};
use super::listen::Listener;
use super::metrics;
use super::network::{self, Network, RouteReport};
use super::openapi;
use super::refusal::{refuse, refuse_change};
use super::report::{Changed, Report, Version};
use super::zero;
use crate::ctrl::change::{Refused, Transaction};
use crate::ctrl::config::Selector;
use crate::ctrl::config::document::Table;
use crate::ctrl::connections::{Filter, Scan};
use crate::ctrl::desired::Desired;

/// The director as the API sees it.
pub trait Director: Send + Sync + 'static {
    /// Adds up the counters. Called on the control runtime: must not block.
    fn report(&self) -> Report;

    /// Tells what is known of the links. Called on the control runtime: must not block.
    fn network(&self) -> Network;

    /// Lists the routes. May block.
    fn routes(&self) -> Vec<RouteReport>;

    /// Starts a walk through the connection table. May block.
    fn scan(&self, filter: Filter) -> Scan;

    /// Returns the services as they are configured, or one of them, with what is counted. May block.
    fn services(&self, only: Option<&Selector>) -> Services;

    /// Returns the desired state.
    fn desired(&self) -> Arc<Desired>;

    /// Sets the counters of a service and its real servers to zero, or those of all; returns of how many. May block.
    ///
    /// # Errors
    /// If there is no such service.
    fn zero(&self, service: Option<&Table>) -> Result<usize, Refused>;

    /// Tells whether the VIPs are kept from the routers, and what connections there are. Called on the control runtime: must not
    /// block.
    fn draining(&self) -> Draining;

    /// Withdraws the VIPs, or announces them again, and tells what has come of it; none if the director announces no VIPs. May
    /// block.
    fn drain(&self, draining: bool) -> Option<Draining>;
    /// Tells how real servers are that are checked or in maintenance: those of one service, those of one address, or all. May block.
    ///
    /// # Errors
    /// If there is no such service or real server.
    fn health(&self, service: Option<&Selector>, real: Option<&str>) -> Result<HealthReport, Refused>;

    /// Takes a real server out for maintenance, or puts it back; returns in which services that changed something. May block.
    ///
    /// # Errors
    /// If there is no such service or real server.
    fn maintain(&self, asked: &Maintenance) -> Result<Vec<String>, Refused>;

    /// Applies the configuration file again and returns what changed, or with a dry run what would. May block.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn reload(&self, dry_run: bool) -> Result<Changed, Refused>;

    /// Says in what the configuration file and what runs differ. May block.
    ///
    /// # Errors
    /// What is wrong with the file.
    fn difference(&self) -> Result<Difference, Refused>;

    /// Makes changes, all or none, and returns what they have changed, or with a dry run what they would. May block.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn change(&self, transaction: &Transaction) -> Result<Changed, Refused>;
}

/// A Unix socket that listens, its file removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

/// Why a socket cannot be listened on; displays as one line.
#[derive(Debug)]
pub enum BindError {
    /// Another director answers there.
    InUse(PathBuf),
    /// There is a file that is no socket.
    NotASocket(PathBuf),
    /// The operating system refused.
    Io(PathBuf, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "{}: another director answers there", path.display()),
            Self::NotASocket(path) => write!(f, "{}: there is a file that is not a socket", path.display()),
            Self::Io(path, cause) => write!(f, "{}: cannot listen: {cause}", path.display()),
        }
    }
}

impl error::Error for BindError {}

impl Socket {
    /// Listens at `path`, for the owner and the group only. Creates the directory, and replaces the socket that a
    /// dead process left.
    ///
    /// # Errors
    /// If another director answers there, or the system says no.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let io = |cause| BindError::Io(path.to_owned(), cause);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path)
            }
            first => first,
        }
        .map_err(io)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let inode = inode(path).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    /// Returns where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another director may have taken the path since; its socket stays.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    let io = |cause| BindError::Io(path.to_owned(), cause);
    if !fs::symlink_metadata(path).map_err(io)?.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(cause) if cause.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(cause) => Err(io(cause)),
        Ok(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// Answers requests on `socket`, and on `listener` if there is one, until `stop` is ready; those that were begun have one second
/// more.
///
/// # Errors
/// If a listener cannot be handed to the runtime.
pub async fn serve<D: Director>(
    socket: Socket,
    listener: Option<Listener>,
    director: Arc<D>,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_within(Bounds::default(), socket, listener, director, stop).await
}

/// The same with other bounds.
pub(super) async fn serve_within<D: Director>(
    bounds: Bounds,
    socket: Socket,
    listener: Option<Listener>,
    director: Arc<D>,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let unix = Door::Unix(tokio::net::UnixListener::from_std(socket.listener.try_clone()?)?);
    let mut doors = vec![(unix, Access::Full)];
    if let Some(Listener { listener, tls, access }) = listener {
        doors.push((Door::Tcp(tokio::net::TcpListener::from_std(listener)?, tls), access));
    }
    let (tell, told) = watch::channel(());
    let receive = |(door, access)| {
        let mut told = told.clone();
        let told = async move { drop(told.changed().await) };
        tokio::spawn(receive(door, router(Arc::clone(&director), access, bounds), bounds, told))
    };
    let receivers: Vec<_> = doors.into_iter().map(receive).collect();
    stop.await;
    drop(tell);
    for receiver in receivers {
        let _ = receiver.await;
    }
    Ok(())
}

fn router<D: Director>(director: Arc<D>, access: Access, bounds: Bounds) -> Router {
    let all = OPERATIONS.iter().fold(Router::new(), |router, operation| {
        router.route(operation.path, answer::<D>(operation.call, operation.method.filter))
    });
    all.fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(director)
        // `whole` knows a bound of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(bounds, whole))
        .layer(from_fn_with_state(access, guard))
}

/// What answers a call.
fn answer<D: Director>(call: Call, method: MethodFilter) -> MethodRouter<Arc<D>> {
    match call {
        Call::Metrics => on(method, metrics::<D>),
        Call::Stats => on(method, stats::<D>),
        Call::Services => on(method, desired::services::<D>),
        Call::Ports => on(method, network::ports::<D>),
        Call::Neighbors => on(method, network::neighbors::<D>),
        Call::Routes => on(method, network::routes::<D>),
        Call::Health => on(method, health::health::<D>),
        Call::Maintenance => on(method, health::maintain::<D>),
        Call::Config => on(method, desired::config::<D>),
        Call::Difference => on(method, desired::difference::<D>),
        Call::Change => on(method, desired::change::<D>),
        Call::Zero => on(method, zero::zero::<D>),
        Call::Draining => on(method, drain::look::<D>),
        Call::Drain => on(method, drain::drain::<D>),
        Call::Reload => on(method, reload::<D>),
        Call::Connections => on(method, connections::list::<D>),
        Call::Count => on(method, connections::count::<D>),
        Call::Flush => on(method, connections::flush::<D>),
        Call::Version => on(method, version),
        Call::Document => on(method, openapi::answer),
    }
}

/// Ten thousand services are a few megabytes of text: written aside, so that nobody waits for it.
async fn metrics<D: Director>(State(director): State<Arc<D>>) -> Response {
    let exposition = move || {
        // Of all services there is no mistake to make.
        let health = director.health(None, None).unwrap_or_default();
        metrics::exposition(&director.report(), &health)
    };
    match tokio::task::spawn_blocking(exposition).await {
        Ok(pieces) => {
            let pieces = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
            ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], Body::from_stream(stream::iter(pieces))).into_response()
        }
        Err(failed) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("metrics were not written: {failed}")),
    }
}

async fn stats<D: Director>(State(director): State<Arc<D>>) -> Json<Report> {
    Json(director.report())
}

/// How a reload is done.
#[derive(Deserialize, JsonSchema)]
pub(super) struct How {
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

async fn reload<D: Director>(State(director): State<Arc<D>>, asked: Result<Query<How>, QueryRejection>) -> Response {
    let Query(How { dry_run }) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, wrong.body_text()),
    };
    match tokio::task::spawn_blocking(move || director.reload(dry_run)).await {
        Ok(Ok(changed)) => Json(changed).into_response(),
        Ok(Err(refused)) => refuse_change(refused),
        Err(failed) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("reload did not finish: {failed}")),
    }
}

async fn version() -> Json<Version> {
    Json(Version { version: crate::VERSION.to_owned(), commit: crate::COMMIT.to_owned() })
}

async fn unknown(uri: Uri) -> Response {
    refuse(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
