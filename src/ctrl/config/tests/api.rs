//! The `[api]` table.

use std::path::Path;

use super::*;

fn refused(text: &str) -> String {
    refusal(&format!("[api]\n{text}\n{PORTS}"))
}

#[test]
fn the_unix_socket() {
    assert_eq!(refused("socket = ''"), "2: api.socket: the path is empty");
    let long = refused(&format!("socket = '/{}'", "x".repeat(107)));
    assert_eq!(long, "2: api.socket: a Unix socket's path has at most 107 octets; this one has 108");
}

#[test]
fn a_listener_that_anybody_could_read_is_asked_for_by_name() {
    let listen = |text: &str| accept(&format!("[api]\n{text}\n{PORTS}")).api.listen.unwrap();
    assert!(accept(PORTS).api.listen.is_none());
    assert_eq!(listen("listen = '127.0.0.1:9180'").address, "127.0.0.1:9180".parse().unwrap());
    assert_eq!(listen("listen = '[::1]:9180'").token_file, None);
    let message = refused("listen = '0.0.0.0:9180'");
    assert!(message.starts_with("2: api.listen: everybody who reaches this address could read"), "{message}");
    assert!(listen("listen = '192.0.2.1:9180'\npublic_reads = true").public_reads);
    let token = listen("listen = '192.0.2.1:9180'\ntoken_file = '/etc/millrace/token'").token_file;
    assert_eq!(token.as_deref(), Some(Path::new("/etc/millrace/token")));
    let tls =
        listen("listen = '192.0.2.1:9180'\ncertificate = 'a.pem'\nkey = 'b.pem'\nclient_ca = 'c.pem'").tls.unwrap();
    assert_eq!((tls.certificate, tls.key, tls.client_ca), ("a.pem".into(), "b.pem".into(), Some("c.pem".into())));
    let encrypted = refused("listen = '192.0.2.1:9180'\ncertificate = 'a.pem'\nkey = 'b.pem'");
    assert!(encrypted.contains("public_reads"), "TLS alone keeps nobody out: {encrypted}");
}

#[test]
fn what_does_not_go_together() {
    for (text, expected) in [
        ("listen = '127.0.0.1'", "2: api.listen: \"127.0.0.1\" is no address and port; write it as \"127.0.0.1:9180\""),
        ("listen = '127.0.0.1:0'", "2: api.listen: port 0 is none: clients could not know which it is"),
        ("token_file = 'x'", "2: api.token_file: is for the listener on TCP, and there is no \"listen\""),
        ("public_reads = true", "2: api.public_reads: is for the listener on TCP, and there is no \"listen\""),
        ("listen = '[::1]:1'\ncertificate = 'x'", "3: api.certificate: TLS needs both: there is no \"key\""),
        ("listen = '[::1]:1'\nkey = 'x'", "3: api.key: TLS needs both: there is no \"certificate\""),
        (
            "listen = '[::1]:1'\nclient_ca = 'x'",
            "3: api.client_ca: clients' certificates need TLS: give a certificate and a key",
        ),
        ("listen = '[::1]:1'\ntoken_file = ''", "3: api.token_file: the path is empty"),
        ("listen = '[::1]:1'\npublic_reads = 1", "3: api.public_reads: expected true or false, found an integer"),
    ] {
        assert_eq!(refused(text), expected);
    }
}
