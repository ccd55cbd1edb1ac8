//! The listener on TCP: `[api] listen`, with TLS where there is a certificate.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, fs, io};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::access::{Access, Token};
use crate::ctrl::config::{Listen, Tls};

/// A listener, and what those who come by it may.
pub struct Listener {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) access: Access,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, tls, access } = self;
        let encrypted = tls.is_some();
        f.debug_struct("Listener").field("listener", listener).field("tls", &encrypted).field("access", access).finish()
    }
}

/// Why the API cannot be offered on TCP; displays as one line.
#[derive(Debug)]
pub enum ListenError {
    /// The operating system does not let it listen.
    Bind(SocketAddr, io::Error),
    /// A file cannot be used.
    File(PathBuf, String),
    /// Certificate and key do not make a server.
    Tls(String),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, cause) => write!(f, "api.listen: cannot listen on {address}: {cause}"),
            Self::File(path, message) => write!(f, "{}: {message}", path.display()),
            Self::Tls(message) => write!(f, "api.certificate and api.key cannot be used: {message}"),
        }
    }
}

impl error::Error for ListenError {}

impl Listener {
    /// Reads what the configuration names, and listens.
    ///
    /// # Errors
    /// A file that cannot be read or used, an address that cannot be had.
    pub fn bind(listen: &Listen) -> Result<Self, ListenError> {
        let access = match (&listen.token_file, &listen.tls) {
            (Some(file), _) => Access::Token(token(file)?),
            (None, Some(Tls { client_ca: Some(_), .. })) => Access::Full,
            (None, _) => Access::Read,
        };
        let tls = listen.tls.as_ref().map(acceptor).transpose()?;
        let bound = TcpListener::bind(listen.address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(Self { listener: bound.map_err(|cause| ListenError::Bind(listen.address, cause))?, tls, access })
    }

    /// Returns where it listens.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn token(file: &Path) -> Result<Token, ListenError> {
    let read = fs::read_to_string(file).map_err(|cause| format!("the token cannot be read: {cause}"));
    read.and_then(|text| Token::of(&text)).map_err(|message| ListenError::File(file.to_owned(), message))
}

fn acceptor(files: &Tls) -> Result<TlsAcceptor, ListenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |cause: &dyn fmt::Display| ListenError::Tls(cause.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|cause| tls(&cause))?;
    let builder = match &files.client_ca {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|cause| ListenError::File(file.clone(), cause.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|cause| tls(&cause))?)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| unreadable(&files.key, &cause))?;
    let mut config = builder.with_single_cert(certificates(&files.certificate)?, key).map_err(|cause| tls(&cause))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|cause| unreadable(file, &cause))?;
    if certificates.is_empty() {
        return Err(ListenError::File(file.to_owned(), "there is no certificate in it (PEM)".to_owned()));
    }
    Ok(certificates)
}

fn unreadable(file: &Path, cause: &pem::Error) -> ListenError {
    ListenError::File(file.to_owned(), format!("cannot be used: {cause}"))
}
