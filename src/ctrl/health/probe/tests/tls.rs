//! TLS: which certificates are good, and what is said of the others.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, in a file of its own.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("millrace-probe-{}-{number}.pem", std::process::id()));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    pub(super) fn trusted(&self) -> Tls {
        Tls { ca: Some(self.file.clone()), ..Tls::default() }
    }

    fn certificate(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    /// Makes a server with a certificate of this authority.
    pub(super) fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let (certificate, key) = self.certificate(names, change);
        acceptor(certificate, &key)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()))
}

/// Serves HTTPS: every answer is `answer`, or the name asked for (SNI).
async fn serve_tls(acceptor: TlsAcceptor, answer: Option<&'static str>) -> SocketAddr {
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let name = stream.get_ref().1.server_name().unwrap_or("no name").to_owned();
            head(&mut stream).await;
            let answer = answer.unwrap_or(&name);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{answer}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Asks by a TLS handshake alone and by HTTPS: both say the same.
async fn told(tls: Tls, address: SocketAddr) -> String {
    let https = Probe::Http(Http { tls: Some(tls.clone()), ..get() });
    let by_handshake = ask(&Probe::Tls(tls), address, AMPLE).await;
    let by_https = ask(&https, address, AMPLE).await;
    match (by_handshake, by_https) {
        (Ok(_), Ok(_)) => "right".to_owned(),
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert_eq!(one.kind(), Kind::Tls);
            one.to_string()
        }
        differing => panic!("{differing:?}"),
    }
}

#[test]
fn a_certificate_is_for_a_name_of_an_authority_and_for_a_time() {
    run(async {
        let (ours, other) = (Authority::new(), Authority::new());
        let by_name = |tls: Tls| Tls { sni: Some("www.example".into()), ..tls };
        let named = serve_tls(ours.server(&["www.example"], |_| {}), None).await;
        assert_eq!(told(by_name(ours.trusted()), named).await, "right");
        assert_eq!(told(by_name(other.trusted()), named).await, "certificate of an unknown authority");
        assert_eq!(told(by_name(Tls::default()), named).await, "certificate of an unknown authority", "the system's");
        assert_eq!(told(ours.trusted(), named).await, "certificate for another name", "by its address");
        let another = Tls { sni: Some("ftp.example".into()), ..ours.trusted() };
        assert_eq!(told(another, named).await, "certificate for another name");
        let addressed = serve_tls(ours.server(&["127.0.0.1"], |_| {}), None).await;
        assert_eq!(told(ours.trusted(), addressed).await, "right");
        let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
        let expired = serve_tls(ours.server(&["127.0.0.1"], expired), None).await;
        assert_eq!(told(ours.trusted(), expired).await, "certificate expired");
        let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(3000, 1, 1);
        let early = serve_tls(ours.server(&["127.0.0.1"], early), None).await;
        assert_eq!(told(ours.trusted(), early).await, "certificate not valid yet");
        let insecure = Tls { insecure: true, ..Tls::default() };
        for address in [named, addressed, expired, early] {
            assert_eq!(told(insecure.clone(), address).await, "right");
        }
    });
}

#[test]
fn an_authority_is_no_server() {
    run(async {
        let ours = Authority::new();
        let itself = acceptor(ours.issuer.der().clone(), ours.issuer.key());
        let address = serve_tls(itself, None).await;
        assert_eq!(told(ours.trusted(), address).await, "certificate of an authority itself");
    });
}

#[test]
fn a_stand_in_is_known_by_what_it_stands_for() {
    run(async {
        let ours = Authority::new();
        let address = serve_tls(ours.server(&["192.0.2.10"], |_| {}), None).await;
        let prober = Prober::new(&Probe::Tls(ours.trusted())).unwrap();
        let stand_in = Target { stands_for: Some("192.0.2.10:443".parse().unwrap()), ..target(address) };
        prober.check(&stand_in, AMPLE).await.unwrap();
        prober.check(&target(address), AMPLE).await.unwrap_err();
    });
}

/// Shows one certificate twice, then another.
#[derive(Debug)]
struct Expiring(AtomicUsize, [Arc<CertifiedKey>; 2]);

impl ResolvesServerCert for Expiring {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&self.1[usize::from(shown >= 2)]))
    }
}

#[test]
fn a_certificate_is_looked_at_every_time() {
    run(async {
        let ours = Authority::new();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = |year| {
            let (certificate, key) =
                ours.certificate(&["127.0.0.1"], |params| params.not_after = date_time_ymd(year, 1, 1));
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            Arc::new(CertifiedKey::from_der(vec![certificate], key, &provider).unwrap())
        };
        let expiring = Arc::new(Expiring(AtomicUsize::new(0), [certified(3000), certified(2020)]));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        // One server, which would take up sessions again and show nothing.
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_cert_resolver(expiring)));
        let address = serve_tls(acceptor, Some("hello")).await;
        let body = Some(crate::ctrl::health::check::Body::Matches("hello".to_owned()));
        let prober = Prober::new(&Probe::Http(Http { tls: Some(ours.trusted()), body, ..get() })).unwrap();
        for _ in 0..2 {
            prober.check(&target(address), AMPLE).await.unwrap();
        }
        let failure = prober.check(&target(address), AMPLE).await.unwrap_err();
        assert_eq!(failure.to_string(), "certificate expired");
    });
}

#[test]
fn the_name_asked_for_is_told_and_an_address_is_not() {
    run(async {
        let ours = Authority::new();
        let address = serve_tls(ours.server(&["www.example", "127.0.0.1"], |_| {}), None).await;
        let told = |sni: Option<&str>, pattern: &str| {
            let tls = Tls { sni: sni.map(str::to_owned), ..ours.trusted() };
            let body = Some(crate::ctrl::health::check::Body::Matches(pattern.to_owned()));
            Probe::Http(Http { tls: Some(tls), body, ..get() })
        };
        ask(&told(Some("www.example"), "^www.example$"), address, AMPLE).await.unwrap();
        ask(&told(None, "^no name$"), address, AMPLE).await.unwrap();
    });
}

#[test]
fn who_speaks_no_tls_is_told_apart() {
    run(async {
        let probe = Probe::Tls(Tls { insecure: true, ..Tls::default() });
        let plain = serve(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let told = failure(&probe, plain.await).await;
        assert_eq!(told, (Kind::Tls, "the server does not speak TLS".to_owned()));
        let alert = serve(|mut stream| async move {
            // An alert: fatal, handshake_failure (RFC 8446 §6).
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let told = failure(&probe, alert.await).await;
        assert_eq!(told, (Kind::Tls, "the server refuses TLS: HandshakeFailure".to_owned()));
        let closing = serve(|mut stream| async move { drop(stream.read(&mut [0; 1024]).await) });
        let told = failure(&probe, closing.await).await;
        assert_eq!(told, (Kind::Closed, "the server closed the connection".to_owned()));
        let silent = serve(|stream| async move {
            tokio::time::sleep(AMPLE).await;
            drop(stream);
        });
        assert_eq!(late(&probe, silent.await).await, "timed out after 300ms: no TLS handshake");
    });
}

#[test]
fn an_endless_handshake_is_cut_off() {
    run(async {
        let probe = Probe::Tls(Tls { insecure: true, ..Tls::default() });
        let address = serve(|mut stream| async move {
            // Records of change_cipher_spec, which TLS 1.3 says to ignore (RFC 8446 §5).
            let records = [20, 3, 3, 0, 1, 1].repeat(10_000);
            while stream.write_all(&records).await.is_ok() {}
        })
        .await;
        let (kind, text) = failure(&probe, address).await;
        assert!(matches!(kind, Kind::Tls | Kind::Protocol), "{text}");
    });
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let folder = std::env::temp_dir();
    let refused = |file: &PathBuf| {
        let tls = Tls { ca: Some(file.clone()), ..Tls::default() };
        Prober::new(&Probe::Tls(tls)).unwrap_err().to_string().replace(&file.display().to_string(), "FILE")
    };
    let missing = folder.join(format!("millrace-probe-missing-{}", std::process::id()));
    assert_eq!(refused(&missing), "FILE: cannot be read: No such file or directory (os error 2)");
    let empty = folder.join(format!("millrace-probe-empty-{}", std::process::id()));
    fs::write(&empty, "hello\n").unwrap();
    let message = refused(&empty);
    fs::remove_file(&empty).unwrap();
    assert_eq!(message, "FILE: there is no certificate in it (PEM)");
    let name = Tls { sni: Some("no name".into()), ..Tls::default() };
    let message = Prober::new(&Probe::Tls(name)).unwrap_err().to_string();
    assert_eq!(message, "sni: \"no name\" is not a name that a certificate can be for");
}

#[test]
fn checks_share_what_they_need() {
    let ours = Authority::new();
    let clients: Vec<_> = (0..3).map(|_| super::super::tls::Client::new(&ours.trusted(), None).unwrap()).collect();
    assert!(clients.iter().all(|client| client.shares(&clients[0])));
    let other = Authority::new();
    fs::copy(&other.file, &ours.file).unwrap();
    let changed = super::super::tls::Client::new(&ours.trusted(), None).unwrap();
    assert!(!changed.shares(&clients[0]), "the file has changed");
}
