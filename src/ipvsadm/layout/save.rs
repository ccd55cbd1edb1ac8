//! `-S`: services and real servers as command lines that make them anew.
//!
//! Like ipvsadm, it leaves out thresholds, timeouts and whatever else its options do not say.

use std::fmt::Write;

use super::{Shown, ShownService, Spoken, What, protocol};
use crate::dataplane::service::{Forwarding, Protocol};
use crate::ipvsadm::command::Key;

/// Writes the command lines, and the names of the services that there is none for.
pub fn save(shown: &Shown, spoken: Spoken<'_>) -> (String, Vec<String>) {
    let (mut text, mut left_out) = (String::new(), Vec::new());
    for service in &shown.services {
        match &service.what {
            What::Key(key) => {
                let name = key_words(key, spoken);
                text += &service_line(&name, service);
                servers(&mut text, (key, &name), service, spoken);
            }
            What::Other { protocol, text } => left_out.push(format!("{protocol} {text}")),
        }
    }
    (text, left_out)
}

fn key_words(key: &Key, spoken: Spoken<'_>) -> String {
    match key {
        Key::Mark { mark, ipv6 } => format!("-f {mark}{}", if *ipv6 { " -6" } else { "" }),
        Key::Socket(protocol, socket) => {
            let option = match protocol {
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
                _ => "-t",
            };
            format!("{option} {}", spoken.socket(*socket, Some(*protocol)))
        }
    }
}

fn service_line(name: &str, service: &ShownService) -> String {
    let mut line = format!("-A {name} -s {}", service.scheduler);
    if let Some((timeout, mask)) = service.persistent {
        let _ = write!(line, " -p {timeout}");
        if !mask.is_whole() {
            let _ = write!(line, " -M {mask}");
        }
    }
    if service.one_packet {
        line += " -o";
    }
    if !service.flags.is_empty() {
        let _ = write!(line, " -b {}", service.flags.join(","));
    }
    line + "\n"
}

fn servers(text: &mut String, (key, name): (&Key, &str), service: &ShownService, spoken: Spoken<'_>) {
    for server in &service.servers {
        let (address, weight) = (spoken.socket(server.address, protocol(&service.what)), server.weight);
        let (method, tunnel) = match server.forwarding {
            Forwarding::Nat => ("-m", ""),
            Forwarding::FullNat => ("--fullnat", ""),
            Forwarding::Tunnel => ("-i", " --tun-type ipip"),
            Forwarding::Direct => ("-g", ""),
            // As ipvsadm does; but another port than the service's would be lost by it.
            Forwarding::Local if key.port().is_none_or(|port| port == server.address.port()) => ("-g", ""),
            Forwarding::Local => ("-m", ""),
        };
        let _ = writeln!(text, "-a {name} -r {address} {method} -w {weight}{tunnel}");
    }
}
