//! Carriers that the kernel must not hear.
//!
//! A port over a kernel interface (af_packet, pcap) copies what arrives there and does not take it: the kernel would answer
//! each ARP request and each SYN a second time, beside the port's twin. So the carrier is muted: what arrives is dropped
//! where nftables first sees it (netdev ingress), which is after packet sockets have had it. So is the inner end of a twin that
//! is a pair of interfaces. What a director that was
//! killed has left is replaced by the next one's.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::config::{Config, Device};

/// Why a carrier is not muted.
#[derive(Debug, thiserror::Error)]
#[error("cannot mute {carrier}, on which the kernel hears what the port does: {reason}")]
pub struct MuteError {
    carrier: String,
    reason: String,
}

/// The tables that mute carriers. Dropped, the kernel hears them again.
#[derive(Debug, Default)]
pub struct Mutes(Vec<String>);

impl Mutes {
    /// Mutes the carriers of all ports that have a twin.
    ///
    /// # Errors
    /// The first that cannot be; none is muted then.
    pub fn set(config: &Config) -> Result<Self, MuteError> {
        let mut mutes = Self::default();
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
            let table = format!("millrace-{twin}");
            let failed = |reason| MuteError { carrier: carriers.join(" and "), reason };
            nft(&rules(&table, &carriers)).map_err(failed)?;
            log::info!("{}: muted, the kernel hears {twin} instead (nft table netdev {table})", carriers.join(", "));
            mutes.0.push(table);
        }
        Ok(mutes)
    }
}

impl Drop for Mutes {
    fn drop(&mut self) {
        for table in &self.0 {
            if let Err(reason) = nft(&format!("delete table netdev {table}\n")) {
                log::warn!("the table {table} stays: {reason}");
            }
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

fn nft(rules: &str) -> Result<(), String> {
    let run = || -> io::Result<_> {
        let (input, output) = (Stdio::piped(), Stdio::null());
        let mut nft =
            Command::new("nft").args(["-f", "-"]).stdin(input).stdout(output).stderr(Stdio::piped()).spawn()?;
        if let Some(mut input) = nft.stdin.take() {
            // If it stops reading, it says why.
            let _ = input.write_all(rules.as_bytes());
        }
        nft.wait_with_output()
    };
    match run() {
        Ok(done) if done.status.success() => Ok(()),
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
}
