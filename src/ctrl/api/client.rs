//! Asks a director through its Unix socket; what the command line uses.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, io};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::desired::{Configuration, Difference, Services};
use super::drain::{Draining, Wish};
use super::health::{HealthReport, Maintained, Maintenance};
use super::network::{Neighbors, Ports, Routes};
use super::refusal::Refusal;
use super::report::{Changed, Report, Version};
use super::zero::{Whose, Zeroed};
use crate::ctrl::change::Transaction;
use crate::ctrl::config::document::Table;
use crate::ctrl::connections::{ConnectionCount, ConnectionReport, Filter, Flushed};

/// How long an answer may take. A change builds a snapshot: with ten thousand new services, a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// A director to ask, by its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer; displays as one line.
#[derive(Debug)]
pub enum ClientError {
    /// No one listens at the socket.
    NoDirector(PathBuf, io::Error),
    /// The director said no, and why.
    Refused(Refusal),
    /// Something answered that does not speak as a director does.
    Garbled(PathBuf, String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirector(socket, cause) => write!(f, "no director answers at {}: {cause}", socket.display()),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Garbled(socket, what) => write!(f, "the answer from {} makes no sense: {what}", socket.display()),
        }
    }
}

impl error::Error for ClientError {}

impl Client {
    /// Asks at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks for everything that is counted.
    ///
    /// # Errors
    /// If no director answers.
    pub fn stats(&self) -> Result<Report, ClientError> {
        self.ask(Method::GET, "/v1/stats")
    }

    /// Has the director apply its configuration file again, or with a dry run say what that would change.
    ///
    /// # Errors
    /// If no director answers, or it refused the file and goes on as before.
    pub fn reload(&self, dry_run: bool) -> Result<Changed, ClientError> {
        self.ask(Method::POST, if dry_run { "/v1/reload?dry_run=true" } else { "/v1/reload" })
    }

    /// Asks for the services, as they are configured and with what is counted; or for one of them, by its key.
    ///
    /// # Errors
    /// If no director answers, or the key makes no sense to it.
    pub fn services(&self, only: Option<&Table>) -> Result<Services, ClientError> {
        let Some(key) = only else { return self.ask(Method::GET, "/v1/services") };
        let key = serde_json::to_string(key).map_err(|what| self.garbled(&what))?;
        let query = serde_urlencoded::to_string([("service", key)]).map_err(|what| self.garbled(&what))?;
        self.ask(Method::GET, &format!("/v1/services?{query}"))
    }

    /// Asks how real servers are: those of one service, by its key, those of one address, or all.
    ///
    /// # Errors
    /// If no director answers, or there is no such service or real server.
    pub fn health(&self, service: Option<&Table>, real: Option<&str>) -> Result<HealthReport, ClientError> {
        let service = service.map(serde_json::to_string).transpose().map_err(|what| self.garbled(&what))?;
        let asked = [("service", service), ("real", real.map(str::to_owned))];
        let asked: Vec<_> = asked.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let query = serde_urlencoded::to_string(asked).map_err(|what| self.garbled(&what))?;
        self.ask(Method::GET, &format!("/v1/health?{query}"))
    }

    /// Has a real server taken out for maintenance, or put back.
    ///
    /// # Errors
    /// If no director answers, or there is no such service or real server.
    pub fn maintain(&self, asked: &Maintenance) -> Result<Maintained, ClientError> {
        let body = serde_json::to_vec(asked).map_err(|what| self.garbled(&what))?;
        self.ask_with(Method::POST, "/v1/maintenance", body)
    }

    /// Asks for the ports.
    ///
    /// # Errors
    /// If no director answers.
    pub fn ports(&self) -> Result<Ports, ClientError> {
        self.ask(Method::GET, "/v1/ports")
    }

    /// Asks for the stations on the links.
    ///
    /// # Errors
    /// If no director answers.
    pub fn neighbors(&self) -> Result<Neighbors, ClientError> {
        self.ask(Method::GET, "/v1/neighbors")
    }

    /// Asks where packets go.
    ///
    /// # Errors
    /// If no director answers.
    pub fn routes(&self) -> Result<Routes, ClientError> {
        self.ask(Method::GET, "/v1/routes")
    }

    /// Asks for the running configuration.
    ///
    /// # Errors
    /// If no director answers.
    pub fn config(&self) -> Result<Configuration, ClientError> {
        self.ask(Method::GET, "/v1/config")
    }

    /// Asks in what the director's configuration file and what runs differ.
    ///
    /// # Errors
    /// If no director answers, or the file has a mistake in it.
    pub fn difference(&self) -> Result<Difference, ClientError> {
        self.ask(Method::GET, "/v1/diff")
    }

    /// Has the director make changes, all or none.
    ///
    /// # Errors
    /// If no director answers, or it refused one and goes on as before.
    pub fn change(&self, transaction: &Transaction) -> Result<Changed, ClientError> {
        let body = serde_json::to_vec(transaction).map_err(|what| self.garbled(&what))?;
        self.ask_with(Method::POST, "/v1/changes", body)
    }

    /// Has the director set the counters of one service, or of all, to zero.
    ///
    /// # Errors
    /// If no director answers, or it has no such service.
    pub fn zero(&self, service: Option<&Table>) -> Result<Zeroed, ClientError> {
        let which = Whose { service: service.cloned() };
        let body = serde_json::to_vec(&which).map_err(|what| self.garbled(&what))?;
        self.ask_with(Method::POST, "/v1/zero", body)
    }

    /// Asks whether the director's VIPs are kept from the routers, and what connections there are.
    ///
    /// # Errors
    /// If no director answers.
    pub fn draining(&self) -> Result<Draining, ClientError> {
        self.ask(Method::GET, "/v1/drain")
    }

    /// Has the director withdraw its VIPs, or announce them again.
    ///
    /// # Errors
    /// If no director answers, or it announces no VIPs.
    pub fn drain(&self, draining: bool) -> Result<Draining, ClientError> {
        let body = serde_json::to_vec(&Wish { draining }).map_err(|what| self.garbled(&what))?;
        self.ask_with(Method::POST, "/v1/drain", body)
    }

    /// Asks which program answers.
    ///
    /// # Errors
    /// If none does.
    pub fn version(&self) -> Result<Version, ClientError> {
        self.ask(Method::GET, "/v1/version")
    }

    /// Asks for connections, and hands each to `each` as it arrives, until that says to stop.
    ///
    /// # Errors
    /// If no director answers, or the answer ends early.
    pub fn connections(
        &self,
        filter: &Filter,
        mut each: impl FnMut(ConnectionReport) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let path = query("/v1/connections", filter);
        self.runtime()?.block_on(async {
            let mut body = self.accepted(Method::GET, &path, Vec::new()).await?.into_body();
            let mut rest = Vec::new();
            while let Some(piece) = timeout(PATIENCE, body.frame()).await.map_err(|_| self.silent())? {
                rest.extend_from_slice(&piece.map_err(|what| self.garbled(&what))?.into_data().unwrap_or_default());
                let whole = rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
                for line in rest[..whole].split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
                    let connection = serde_json::from_slice(line).map_err(|what| self.garbled(&what))?;
                    if each(connection).is_break() {
                        return Ok(());
                    }
                }
                rest.drain(..whole);
            }
            Ok(())
        })
    }

    /// Asks how many connections there are.
    ///
    /// # Errors
    /// If no director answers.
    pub fn count(&self, filter: &Filter) -> Result<ConnectionCount, ClientError> {
        self.ask(Method::GET, &query("/v1/connections/count", filter))
    }

    /// Has connections removed.
    ///
    /// # Errors
    /// If no director answers.
    pub fn flush(&self, filter: &Filter) -> Result<Flushed, ClientError> {
        self.ask(Method::DELETE, &query("/v1/connections", filter))
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.ask_with(method, path, Vec::new())
    }

    fn ask_with<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T, ClientError> {
        self.runtime()?.block_on(async {
            let body = self.accepted(method, path, body).await?.into_body();
            let body = timeout(PATIENCE, body.collect()).await.map_err(|_| self.silent())?;
            let body = body.map_err(|what| self.garbled(&what))?.to_bytes();
            serde_json::from_slice(&body).map_err(|what| self.garbled(&what))
        })
    }

    fn runtime(&self) -> Result<Runtime, ClientError> {
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        built.map_err(|cause| ClientError::NoDirector(self.socket.clone(), cause))
    }

    /// Asks, and returns the answer unless it is a refusal.
    async fn accepted(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, ClientError> {
        let response = timeout(PATIENCE, self.exchange(method, path, body)).await.map_err(|_| self.silent())??;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await.map_err(|what| self.garbled(&what))?.to_bytes();
        Err(ClientError::Refused(serde_json::from_slice(&body).map_err(|what| self.garbled(&what))?))
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, ClientError> {
        let none = |cause| ClientError::NoDirector(self.socket.clone(), cause);
        let stream = UnixStream::connect(&self.socket).await.map_err(none)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|what| self.garbled(&what))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "millrace")
            .body(Full::new(Bytes::from(body)))
            .map_err(|what| self.garbled(&what))?;
        sender.send_request(request).await.map_err(|what| match what {
            // It ended before it answered.
            gone if gone.is_incomplete_message() => none(io::ErrorKind::UnexpectedEof.into()),
            what => self.garbled(&what),
        })
    }

    fn silent(&self) -> ClientError {
        ClientError::NoDirector(self.socket.clone(), io::ErrorKind::TimedOut.into())
    }

    fn garbled(&self, what: &dyn fmt::Display) -> ClientError {
        ClientError::Garbled(self.socket.clone(), what.to_string())
    }
}

fn query(path: &str, filter: &Filter) -> String {
    // A filter's fields are plain strings: they are always written.
    let query = serde_urlencoded::to_string(filter).unwrap_or_default();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
