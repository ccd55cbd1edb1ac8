//! `-Lc`: connections, a row each.

use super::Spoken;
use crate::ctrl::connections::ConnectionReport;
use crate::dataplane::service::Protocol;

/// The title; with `--persistent-conn` it has the columns of persistence engines, and rows stay as they are.
pub fn head(engines: bool) -> String {
    let more =
        if engines { format!("{:<18} {:<16} pe_data", "destination", "pe name") } else { "destination".to_owned() };
    format!("IPVS connection entries\npro expire {:<11} {:<18} {:<18} {more}\n", "state", "source", "virtual")
}

/// One connection, with addresses and ports as numbers.
pub fn line(connection: &ConnectionReport) -> String {
    row(connection, Spoken::Numbers)
}

/// One connection.
pub fn row(connection: &ConnectionReport, spoken: Spoken<'_>) -> String {
    let ConnectionReport { protocol, state, client, service, .. } = connection;
    let known = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|known| known.to_string() == *protocol);
    let (minutes, seconds) = (connection.expires_seconds / 60, connection.expires_seconds % 60);
    let expires = format!("{minutes:02}:{seconds:02}");
    let real = connection.real.map_or_else(|| "-".to_owned(), |real| spoken.socket(real, known));
    let [client, service] = [client, service].map(|socket| spoken.socket(*socket, known));
    format!("{protocol:<3} {expires:<6} {state:<11} {client:<18} {service:<18} {real}\n")
}
