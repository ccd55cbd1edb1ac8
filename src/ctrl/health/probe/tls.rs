//! TLS 1.2 and 1.3 towards servers.
//!
//! Every handshake is a full one: a resumed session would not show the certificate again.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::Failure;
use super::shared::Shared;
use super::{PrepareError, Target};
use crate::ctrl::health::check::Tls;

/// How servers are greeted, and known.
pub(super) struct Client {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl Client {
    /// Makes `tls` ready, to speak `protocol` (ALPN) if one is given.
    pub(super) fn new(tls: &Tls, protocol: Option<&'static str>) -> Result<Self, PrepareError> {
        let name = |name: &String| ServerName::try_from(name.clone()).map_err(|_| PrepareError::Name(name.clone()));
        let name = tls.sni.as_ref().map(name).transpose()?;
        let trust = match (tls.insecure, &tls.ca) {
            (true, _) => Trust::Anyone,
            (false, None) => Trust::System,
            (false, Some(file)) => {
                Trust::These(fs::read(file).map_err(|cause| unusable(file, &format!("cannot be read: {cause}")))?)
            }
        };
        let config = CLIENTS.get(Key { trust, protocol }, config).map_err(|error| match (error, &tls.ca) {
            (Unusable::Certificates(message), Some(file)) => unusable(file, &message),
            (Unusable::Certificates(message), None) => PrepareError::SystemRoots(message),
            (Unusable::Tls(error), _) => PrepareError::Tls(error),
        })?;
        Ok(Self { connector: TlsConnector::from(config), name })
    }

    #[cfg(test)]
    pub(super) fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.connector.config(), other.connector.config())
    }

    /// Shakes hands over `stream`.
    pub(super) async fn connect<S>(&self, stream: S, target: &Target) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // rustls tells no server an address as a name (RFC 6066 §3), but looks for it in the certificate.
        let name = self.name.clone().unwrap_or_else(|| ServerName::IpAddress(target.name().ip().into()));
        self.connector.connect(name, stream).await.map_err(|error| Failure::of(&error))
    }
}

fn unusable(file: &Path, message: &str) -> PrepareError {
    PrepareError::File { path: file.to_owned(), message: message.to_owned() }
}

/// Whose certificates are good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    Anyone,
    System,
    /// Of the authorities in a file, by its content: a file that has changed is another.
    These(Vec<u8>),
}

/// What makes two clients the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    trust: Trust,
    protocol: Option<&'static str>,
}

/// Why there is no client.
enum Unusable {
    Certificates(String),
    Tls(Error),
}

/// The system's authorities take some 150 kB and 10 ms.
static CLIENTS: Shared<Key, ClientConfig> = Shared::new();

fn config(key: &Key) -> Result<ClientConfig, Unusable> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(Unusable::Tls)?;
    let mut config = match &key.trust {
        Trust::Anyone => {
            let anyone = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        }
        Trust::System => builder.with_root_certificates(system()?).with_no_client_auth(),
        Trust::These(pem) => builder.with_root_certificates(authorities(pem)?).with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = key.protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn system() -> Result<RootCertStore, Unusable> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have a few that rustls cannot use; whoever needs one of them is told of an unknown authority.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(Unusable::Certificates(reason));
    }
    Ok(roots)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, Unusable> {
    let bad = |cause: &dyn fmt::Display| Unusable::Certificates(format!("cannot be used: {cause}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|cause| bad(&cause))?).map_err(|cause| bad(&cause))?;
    }
    if roots.is_empty() {
        return Err(Unusable::Certificates("there is no certificate in it (PEM)".to_owned()));
    }
    Ok(roots)
}

/// Believes every certificate, as `insecure` asks for: even one that cannot be parsed.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
