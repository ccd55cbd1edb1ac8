//! The `[api]` table: where the director is asked, and by whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::model::{Api, Listen, Tls};
use super::read::DEFAULT_SOCKET;
use super::section::Section;
use super::source::ConfigError;
use super::value;

/// What says more of the listener.
const OF_THE_LISTENER: [&str; 5] = ["token_file", "certificate", "key", "client_ca", "public_reads"];

/// Reads the table.
pub(super) fn api(section: Option<Section<'_>>) -> Result<Api, ConfigError> {
    let Some(section) = section else { return Ok(Api { socket: DEFAULT_SOCKET.into(), listen: None }) };
    let socket = section.get("socket").map(|item| item.parse(value::socket_path)).transpose()?;
    Ok(Api { socket: socket.unwrap_or_else(|| DEFAULT_SOCKET.into()), listen: listen(&section)? })
}

fn listen(section: &Section<'_>) -> Result<Option<Listen>, ConfigError> {
    let Some(item) = section.get("listen") else {
        let lost = OF_THE_LISTENER.iter().find_map(|key| section.get(key));
        return lost.map_or(Ok(None), |item| Err(item.error("is for the listener on TCP, and there is no \"listen\"")));
    };
    let address = item.parse(listener)?;
    let token_file = section.get("token_file").map(|item| item.parse(file)).transpose()?;
    let public_reads = section.get("public_reads").map(|item| item.boolean()).transpose()?.unwrap_or(false);
    let tls = tls(section)?;
    let checks_clients = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if !address.ip().is_loopback() && token_file.is_none() && !checks_clients && !public_reads {
        return Err(item.error(
            "everybody who reaches this address could read what the director does: \
             give it a token_file or a client_ca, or say public_reads = true",
        ));
    }
    Ok(Some(Listen { address, token_file, tls, public_reads }))
}

fn tls(section: &Section<'_>) -> Result<Option<Tls>, ConfigError> {
    let named = |key| section.get(key).map(|item| item.parse(file)).transpose();
    match (named("certificate")?, named("key")?) {
        (Some(certificate), Some(key)) => Ok(Some(Tls { certificate, key, client_ca: named("client_ca")? })),
        (None, None) => match section.get("client_ca") {
            Some(item) => Err(item.error("clients' certificates need TLS: give a certificate and a key")),
            None => Ok(None),
        },
        (certificate, _) => {
            let (there, missing) = if certificate.is_some() { ("certificate", "key") } else { ("key", "certificate") };
            let item = section.required(there)?;
            Err(item.error(format!("TLS needs both: there is no \"{missing}\"")))
        }
    }
}

/// An own address and a port: `127.0.0.1:9180`, `[::1]:9180`, `0.0.0.0:9180` for all addresses.
fn listener(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => Err("port 0 is none: clients could not know which it is".to_owned()),
        Ok(address) => Ok(address),
        Err(_) => Err(format!("\"{text}\" is no address and port; write it as \"127.0.0.1:9180\"")),
    }
}

fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(text.into()) }
}
