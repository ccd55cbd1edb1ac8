//! A webhook: notices are sent to it by HTTP, each as a POST of JSON.
//!
//! It has got a notice when it answers with 2xx. If it cannot be reached, does not answer in time, or says that it cannot now
//! (5xx, 408, 425, 429), it is called again, less and less often. An answer that says that it never will (a redirection, 4xx) ends
//! the matter for this notice. A notice may come twice, if an answer is lost; its sequence number tells.
//!
//! Its certificate must be of the authorities in `ca`, or of those that the system knows; these files are read once. The token is
//! read for each call: one that changes is noticed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fmt, fs};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use log::{info, warn};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use super::form::Told;

/// How long after a failure it is called again; twice as long after each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest it is.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long one notice is tried: a webhook that fails on one notice, and would take others, must not be lost for good.
const PATIENCE: Duration = Duration::from_secs(600);

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A webhook, and what is known of it.
#[derive(Debug)]
pub(super) struct Webhook {
    pub url: String,
    pub token_file: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    /// How long one call may take.
    pub limit: Duration,
    client: OnceCell<Https>,
    /// How often it has failed since it last worked.
    failures: AtomicU32,
}

/// Why a call was for nothing.
#[derive(Debug)]
struct Failure {
    /// Whether another may be for something.
    again: bool,
    message: String,
}

impl Failure {
    fn new(again: bool, message: impl fmt::Display) -> Self {
        Self { again, message: message.to_string() }
    }
}

impl Webhook {
    /// One that was not called yet.
    pub fn new(url: String, token_file: Option<PathBuf>, ca: Option<PathBuf>, limit: Duration) -> Self {
        Self { url, token_file, ca, limit, client: OnceCell::new(), failures: AtomicU32::new(0) }
    }

    /// Calls it until it has the notice; tells whether it has, or nothing more will help.
    pub async fn tell(&self, told: &Told, lost: u64) -> bool {
        let body = Bytes::from(told.json(lost));
        let start = Instant::now();
        loop {
            let failures = self.failures.load(Ordering::Relaxed);
            if failures > 0 {
                sleep(pause(failures)).await;
            }
            let called = timeout(self.limit, self.call(body.clone())).await;
            let called =
                called.unwrap_or_else(|_| Err(Failure::new(true, format_args!("no answer in {:?}", self.limit))));
            let Err(Failure { again, message }) = called else {
                if self.failures.swap(0, Ordering::Relaxed) > 0 {
                    info!("notify {self}: answers again");
                }
                return true;
            };
            if !again {
                // It did answer.
                self.failures.store(0, Ordering::Relaxed);
                warn!("notify {self}: refuses a notice: {message}");
                return false;
            }
            if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                warn!("notify {self}: {message}; called again until it answers");
            }
            if start.elapsed() > PATIENCE {
                warn!("notify {self}: {message}; gives up on a notice");
                return false;
            }
        }
    }

    async fn call(&self, body: Bytes) -> Result<(), Failure> {
        let client = self.client.get_or_try_init(|| self.client()).await.map_err(|what| Failure::new(true, what))?;
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("millrace/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = self.token_file.clone() {
            request = request.header(AUTHORIZATION, off_thread(move || token(&file)).await?);
        }
        let request = request.body(Full::new(body)).map_err(|what| Failure::new(false, what))?;
        let answer = client.request(request).await.map_err(|error| Failure::new(true, causes(&error)))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::new(true, answer.status()))
            }
            status => Err(Failure::new(status.is_server_error(), status)),
        }
    }

    async fn client(&self) -> Result<Https, String> {
        let ca = self.ca.clone();
        let config = off_thread(move || tls(ca.as_deref()).map_err(|what| Failure::new(true, what)));
        let config = config.await.map_err(|failure| failure.message)?;
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(https))
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// How long to wait after so many failures: longer and longer, and never quite as long as another director.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE).mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Reads files where control does not wait for them.
async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|ended| Err(Failure::new(true, ended)))
}

fn token(file: &Path) -> Result<HeaderValue, Failure> {
    let failed = |what: &dyn fmt::Display| Failure::new(true, format_args!("{}: {what}", file.display()));
    let text = fs::read_to_string(file).map_err(|cause| failed(&cause))?;
    let mut header = HeaderValue::try_from(format!("Bearer {}", text.trim_end_matches(['\r', '\n'])))
        .map_err(|_| failed(&"a token is one line of visible characters"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let failed = |what: &dyn fmt::Display| format!("{}: {what}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|what| failed(&what))? {
                let certificate = certificate.map_err(|what| failed(&what))?;
                roots.add(certificate).map_err(|what| failed(&what))?;
            }
            if roots.is_empty() {
                return Err(failed(&"there is no certificate in it (PEM)"));
            }
        }
        // One that cannot be read, or made sense of, is not trusted.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|what| what.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

/// An error with what caused it: the outermost says little.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute() {
        for (failures, about) in [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (u32::MAX, 30.0)] {
            let pause = pause(failures).as_secs_f64() / about;
            assert!((0.74..1.26).contains(&pause), "{failures}: {pause}");
        }
    }
}
