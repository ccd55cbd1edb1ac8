//! Asks a director through its Unix socket; what the command line uses.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{error, fmt, io};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::report::{Refusal, Reloaded, Report, Version};

/// How long an answer may take. A reload builds a whole snapshot: with ten thousand services, a second or two.
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
    Refused(String),
    /// Something answered that does not speak as a director does.
    Garbled(PathBuf, String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirector(socket, cause) => write!(f, "no director answers at {}: {cause}", socket.display()),
            Self::Refused(error) => f.write_str(error),
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

    /// Has the director apply its configuration file again.
    ///
    /// # Errors
    /// If no director answers, or it refused the file and goes on as before.
    pub fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, "/v1/reload")
    }

    /// Asks which program answers.
    ///
    /// # Errors
    /// If none does.
    pub fn version(&self) -> Result<Version, ClientError> {
        self.ask(Method::GET, "/v1/version")
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| ClientError::NoDirector(self.socket.clone(), cause))?;
        let (status, body) = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.exchange(method, path))
                .await
                .unwrap_or_else(|_| Err(ClientError::NoDirector(self.socket.clone(), io::ErrorKind::TimedOut.into())))
        })?;
        let garbled = |what: serde_json::Error| self.garbled(&what);
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(garbled);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(garbled)?;
        Err(ClientError::Refused(refusal.error))
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let none = |cause| ClientError::NoDirector(self.socket.clone(), cause);
        let stream = UnixStream::connect(&self.socket).await.map_err(none)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|what| self.garbled(&what))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "millrace")
            .body(Empty::<Bytes>::new())
            .map_err(|what| self.garbled(&what))?;
        let response = sender.send_request(request).await.map_err(|what| self.garbled(&what))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|what| self.garbled(&what))?;
        Ok((status, body.to_bytes()))
    }

    fn garbled(&self, what: &dyn fmt::Display) -> ClientError {
        ClientError::Garbled(self.socket.clone(), what.to_string())
    }
}
