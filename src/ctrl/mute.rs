//! Carriers that the kernel must not hear.
//!
//! A port over a kernel interface (af_packet, pcap) copies what arrives there and does not take it: the kernel would answer
//! each ARP request and each SYN a second time, beside the port's twin. So the carrier is muted: what arrives is dropped
//! where nftables first sees it (netdev ingress), which is after packet sockets have had it. So is the inner end of a twin that is a
//! pair of interfaces.
//!
//! What a director that was killed has left goes when the next one starts, whatever its twins are called now, and what somebody takes away while
//! it runs is put back: loading a firewall usually begins with `flush ruleset`.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use log::{info, warn};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::config::{Config, Device};
use super::twin::Hold;

mod news;

use news::News;

/// What our tables are called, before the twin's name.
const PREFIX: &str = "millrace-";

/// How long nftables is left alone after a change: a ruleset is loaded in one go.
const SETTLED: Duration = Duration::from_millis(20);
/// How often it is looked at when it does not come to rest.
const AT_MOST: Duration = Duration::from_millis(500);

/// Why a carrier is not muted.
#[derive(Debug, thiserror::Error)]
#[error("cannot mute {carrier}, on which the kernel hears what the port does: {reason}")]
pub struct MuteError {
    carrier: String,
    reason: String,
}

/// A table that mutes the carriers of one port and of its twin.
#[derive(Clone, Debug)]
struct Mute {
    table: String,
    rules: String,
}

/// The tables that mute carriers. Dropped, the kernel hears them again.
#[derive(Debug, Default)]
pub struct Mutes(Vec<Mute>);

impl Mutes {
    /// Mutes the carriers of all ports that have a twin.
    ///
    /// # Errors
    /// The first that cannot be; none is muted then.
    pub fn set(config: &Config) -> Result<Self, MuteError> {
        let mut mutes = Self::default();
        remove_stale(config);
        for (_, port, twin) in config.twins() {
            let Ok(device) = Device::parse(&port.device) else { continue };
            let inner = port.inner_twin();
            let mut carriers = device.interfaces();
            carriers.extend(inner.as_deref());
            carriers.sort_unstable();
            carriers.dedup();
            if carriers.is_empty() {
                continue;
            }
            let table = format!("{PREFIX}{twin}");
            let failed = |reason| MuteError { carrier: carriers.join(" and "), reason };
            let rules = rules(&table, &carriers);
            nft(&rules).map_err(failed)?;
            info!("{}: muted, the kernel hears {twin} instead (nft table netdev {table})", carriers.join(", "));
            mutes.0.push(Mute { table, rules });
        }
        Ok(mutes)
    }

    /// Puts tables back that somebody takes away, for as long as this is polled.
    pub fn keep(&self) -> impl Future<Output = ()> + Send + 'static {
        let wanted = self.0.clone();
        async move {
            if wanted.is_empty() {
                return;
            }
            let mut news = match News::open() {
                Ok(news) => news,
                Err(error) => {
                    return warn!("mute: the kernel does not tell of changes in nftables: {error}");
                }
            };
            loop {
                news.come().await;
                sleep(SETTLED).await;
                news.drain();
                let again = wanted.clone();
                // It ends well, or the next change comes.
                let _ = spawn_blocking(move || restore(&again)).await;
                sleep(AT_MOST).await;
            }
        }
    }
}

impl Drop for Mutes {
    fn drop(&mut self) {
        for Mute { table, .. } in &self.0 {
            if let Err(reason) = nft(&format!("delete table netdev {table}\n")) {
                warn!("the table {table} stays: {reason}");
            }
        }
    }
}

/// Sets those that are not there.
fn restore(wanted: &[Mute]) {
    let Ok(known) = tables() else { return };
    for Mute { table, rules } in wanted.iter().filter(|mute| !known.contains(&mute.table)) {
        match nft(rules) {
            Ok(_) => warn!("the nft table netdev {table} was taken away: it is there again"),
            Err(reason) => warn!("the nft table netdev {table} was taken away, and does not come back: {reason}"),
        }
    }
}

/// Removes the tables that directors have left whose twins had other names.
fn remove_stale(config: &Config) {
    // Who cannot list them is told why when one is set.
    for table in tables().unwrap_or_default() {
        let Some(twin) = table.strip_prefix(PREFIX) else { continue };
        let ours = config.twins().any(|(_, _, name)| name == twin);
        if ours || !matches!(Hold::take(twin), Ok(Some(_))) {
            continue;
        }
        match nft(&format!("delete table netdev {table}\n")) {
            Ok(_) => info!("the nft table netdev {table}, which a director has left, is gone"),
            Err(reason) => warn!("the nft table netdev {table}, which a director has left, stays: {reason}"),
        }
    }
}

/// What nft is told, as one transaction: whatever there was by the name goes.
fn rules(table: &str, carriers: &[&str]) -> String {
    let chain = |(number, carrier): (usize, &&str)| {
        let hook = format!("type filter hook ingress device \"{carrier}\" priority -500; policy drop;");
        format!("    chain mute-{number} {{ {hook} }}\n")
    };
    let chains: String = carriers.iter().enumerate().map(chain).collect();
    format!("add table netdev {table}\ndelete table netdev {table}\ntable netdev {table} {{\n{chains}}}\n")
}

/// The tables for devices that there are.
fn tables() -> Result<Vec<String>, String> {
    Ok(named(&nft("list tables netdev\n")?))
}

/// Reads `table netdev NAME`, a line each.
fn named(listing: &str) -> Vec<String> {
    listing.lines().filter_map(|line| line.trim().strip_prefix("table netdev ")).map(str::to_owned).collect()
}

/// Tells nft, and returns what it says.
fn nft(commands: &str) -> Result<String, String> {
    let run = || -> io::Result<_> {
        let mut nft = Command::new("nft");
        nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut nft = nft.spawn()?;
        if let Some(mut input) = nft.stdin.take() {
            // If it stops reading, it says why.
            let _ = input.write_all(commands.as_bytes());
        }
        nft.wait_with_output()
    };
    match run() {
        Ok(done) if done.status.success() => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        Ok(done) => Err(format!("nft: {}", String::from_utf8_lossy(&done.stderr).trim())),
        Err(cause) => Err(format!("nft (package nftables) does not run: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_of_its_name() {
        assert_eq!(
            rules("millrace-wan0", &["eth1", "eth2"]),
            "add table netdev millrace-wan0\n\
             delete table netdev millrace-wan0\n\
             table netdev millrace-wan0 {\n    \
             chain mute-0 { type filter hook ingress device \"eth1\" priority -500; policy drop; }\n    \
             chain mute-1 { type filter hook ingress device \"eth2\" priority -500; policy drop; }\n\
             }\n"
        );
    }

    #[test]
    fn tables_are_known_by_their_names() {
        let listing = "table netdev millrace-wan0\ntable netdev lab\n\ntable inet filter\n";
        assert_eq!(named(listing), ["millrace-wan0", "lab"]);
    }
}
