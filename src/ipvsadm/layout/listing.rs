//! `-L`: services and their real servers.

use std::fmt::Write;

use super::numbers::amount;
use super::{IPVS_VERSION, Shown, ShownServer, ShownService, Spoken, What, cut, protocol};
use crate::ctrl::api::TrafficReport;
use crate::dataplane::service::Forwarding;
use crate::ipvsadm::command::{Key, Layout, Listed, Listing};

/// The widths that IPv4's services and real servers are cut to.
const SERVICE_WIDTH: usize = 33;
const SERVER_WIDTH: usize = 28;

/// Lists what there is; of one service, that one alone is in `shown`.
pub fn listing(shown: &Shown, listing: &Listing, spoken: Spoken<'_>) -> String {
    let mut text = String::new();
    if listing.what == Listed::All {
        text += &format!("IP Virtual Server version {IPVS_VERSION} (size={})\n", shown.size);
    }
    text += &title(listing.layout);
    for service in &shown.services {
        text += &service_line(service, listing, spoken);
        for server in &service.servers {
            text += &server_line(service, server, listing, spoken);
        }
    }
    text
}

fn title(layout: Layout) -> String {
    const LOCAL: &str = "Prot LocalAddress:Port";
    const REMOTE: &str = "  -> RemoteAddress:Port";
    let traffic = |names: [&str; 5]| names.iter().map(|name| format!(" {name:>8}")).collect::<String>();
    match layout {
        Layout::Stats => {
            format!("{LOCAL:<33}{}\n{REMOTE}\n", traffic(["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]))
        }
        Layout::Rate => format!("{LOCAL:<33}{}\n{REMOTE}\n", traffic(["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"])),
        Layout::Thresholds => {
            format!(
                "{LOCAL:<33} {:<10} {:<10} {:<10} {:<10}\n{REMOTE}\n",
                "Uthreshold", "Lthreshold", "ActiveConn", "InActConn"
            )
        }
        Layout::Persistent => {
            format!(
                "{LOCAL:<33} {:<9} {:<11} {:<10} {:<10}\n{REMOTE}\n",
                "Weight", "PersistConn", "ActiveConn", "InActConn"
            )
        }
        Layout::Tunnels => {
            format!("{LOCAL} Scheduler Flags\n{REMOTE:<32}  Forward TunnelInfo    Weight ActiveConn InActConn\n")
        }
        Layout::Plain => format!("{LOCAL} Scheduler Flags\n{REMOTE:<32}  Forward Weight ActiveConn InActConn\n"),
    }
}

fn service_line(service: &ShownService, listing: &Listing, spoken: Spoken<'_>) -> String {
    let name = service_name(&service.what, spoken);
    match listing.layout {
        Layout::Stats => format!("{name:<33}{}\n", traffic(&service.traffic, listing.exact)),
        Layout::Rate => format!("{name:<33}{}\n", traffic(&service.rates, listing.exact)),
        _ => format!("{name} {}\n", properties(service)),
    }
}

fn service_name(what: &What, spoken: Spoken<'_>) -> String {
    match what {
        What::Key(Key::Mark { mark, ipv6 }) => {
            // ipvsadm prints marks as numbers with a sign.
            format!("FWM  {}{}", *mark as i32, if *ipv6 { " IPv6" } else { "" })
        }
        What::Key(Key::Socket(protocol, socket)) => {
            let name = format!("{:<4} {}", protocol.to_string(), spoken.socket(*socket, Some(*protocol)));
            if socket.is_ipv6() { name } else { cut(&name, SERVICE_WIDTH) }
        }
        What::Other { protocol, text } => format!("{protocol:<4} {text}"),
    }
}

fn properties(service: &ShownService) -> String {
    let mut text = service.scheduler.clone();
    if !service.flags.is_empty() {
        let _ = write!(text, " ({})", service.flags.join(","));
    }
    if let Some((timeout, mask)) = service.persistent {
        let _ = write!(text, " persistent {timeout}");
        if !mask.is_whole() {
            let _ = write!(text, " mask {mask}");
        }
    }
    if service.one_packet {
        text += " ops";
    }
    text
}

fn server_line(service: &ShownService, server: &ShownServer, listing: &Listing, spoken: Spoken<'_>) -> String {
    let mut name = spoken.socket(server.address, protocol(&service.what));
    if server.address.is_ipv4() {
        name = cut(&name, SERVER_WIDTH);
    }
    let ShownServer { weight, upper, lower, active, inactive, persistent, .. } = server;
    let (forward, tunnel) = match server.forwarding {
        Forwarding::Nat => ("Masq", "n/a"),
        Forwarding::Tunnel => ("Tunnel", "ipip"),
        Forwarding::Direct => ("Route", "n/a"),
        Forwarding::Local => ("Local", "n/a"),
        Forwarding::FullNat => ("FullNat", "n/a"),
    };
    let columns = match listing.layout {
        Layout::Stats => traffic(&server.traffic, listing.exact),
        Layout::Rate => {
            let TrafficReport { connections, in_packets, out_packets, in_octets, out_octets } = server.rates;
            let octets = [in_octets, out_octets].map(|octets| amount(octets, listing.exact)).concat();
            format!(" {connections:>8} {in_packets:>8} {out_packets:>8}{octets}")
        }
        Layout::Thresholds => format!(" {upper:<10} {lower:<10} {active:<10} {inactive:<10}"),
        Layout::Persistent => format!(" {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"),
        Layout::Tunnels => format!(" {forward:<7} {tunnel:<13} {weight:<6} {active:<10} {inactive:<10}"),
        Layout::Plain => format!(" {forward:<7} {weight:<6} {active:<10} {inactive:<10}"),
    };
    format!("  -> {name:<28}{columns}\n")
}

fn traffic(traffic: &TrafficReport, exact: bool) -> String {
    let TrafficReport { connections, in_packets, out_packets, in_octets, out_octets } = *traffic;
    [connections, in_packets, out_packets, in_octets, out_octets].map(|number| amount(number, exact)).concat()
}
