//! `service`: virtual services, one by one.

use std::fmt;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::SocketPath;
use crate::ctrl::config::document::{Table, Value};
use crate::ctrl::config::name;

/// Arguments of `service`.
#[derive(Clone, Debug, Args)]
pub struct ServiceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// The subcommands of `service`.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceCommand {
    /// List virtual services, in the order in which they are looked through
    List(ServiceListArgs),
    /// Show one virtual service: its configuration, and what is counted of its real servers
    Show(ServiceShowArgs),
    /// Add a virtual service, behind all others
    Add(ServiceAddArgs),
    /// Change a virtual service: what is not named stays as it is
    Set(ServiceSetArgs),
    /// Remove a virtual service and its real servers
    Remove(ServiceRemoveArgs),
}

/// Arguments of `service list`.
#[derive(Clone, Debug, Args)]
pub struct ServiceListArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `service show`.
#[derive(Clone, Debug, Args)]
pub struct ServiceShowArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// The virtual service: VIP:PORT, udp/VIP:PORT, mark/7
    #[arg(value_name = "SERVICE")]
    pub service: ServiceKey,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `service add`.
#[derive(Clone, Debug, Args)]
pub struct ServiceAddArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// The virtual service: VIP:PORT, udp/VIP:PORT, mark/7, match/to=203.0.113.0/28,port=443
    #[arg(value_name = "SERVICE")]
    pub service: ServiceKey,

    /// What it is like.
    #[command(flatten)]
    pub options: ServiceOptions,
}

/// Arguments of `service set`.
#[derive(Clone, Debug, Args)]
pub struct ServiceSetArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// The virtual service: VIP:PORT, udp/VIP:PORT, mark/7, match/to=203.0.113.0/28,port=443
    #[arg(value_name = "SERVICE")]
    pub service: ServiceKey,

    /// What changes.
    #[command(flatten)]
    pub options: ServiceOptions,

    /// Keys of the configuration file that go back to their defaults, like timeout,persistence
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub unset: Vec<String>,
}

/// Arguments of `service remove`.
#[derive(Clone, Debug, Args)]
pub struct ServiceRemoveArgs {
    /// How it is done.
    #[command(flatten)]
    pub change: ChangeArgs,

    /// The virtual service: VIP:PORT, udp/VIP:PORT, mark/7, match/to=203.0.113.0/28,port=443
    #[arg(value_name = "SERVICE")]
    pub service: ServiceKey,
}

/// How a change is made.
#[derive(Clone, Debug, Args)]
pub struct ChangeArgs {
    /// The director.
    #[command(flatten)]
    pub director: SocketPath,

    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a virtual service is like: the keys of `[[service]]`, with ipvsadm's letters where it has them.
#[derive(Clone, Debug, Default, Args)]
pub struct ServiceOptions {
    /// Scheduler: rr, wrr, lc, wlc, sed, nq, fo, ovf, twos, dh, sh, mh, lblc or lblcr
    #[arg(short, long, value_name = "NAME")]
    pub scheduler: Option<String>,

    /// Flags of sh and mh: sh-port, sh-fallback, mh-port, mh-fallback
    #[arg(short = 'b', long, alias = "sched-flags", value_name = "FLAG,...", value_delimiter = ',')]
    pub scheduler_flags: Vec<String>,

    /// How many slots the table of mh has
    #[arg(long, value_name = "N")]
    pub mh_table_size: Option<u32>,

    /// Forwarding method of real servers that name none: nat, fullnat, tunnel or direct
    #[arg(long, value_name = "METHOD")]
    pub forwarding: Option<String>,

    /// How long its open connections may be idle, like 15m
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,

    /// A client keeps its real server, for so many seconds after its last connection
    #[arg(short, long, alias = "persistent", value_name = "SECONDS", num_args = 0..=1, default_missing_value = "300")]
    pub persistence: Option<u32>,

    /// Clients of one network count as one: a prefix length, or of IPv4 a mask in dots
    #[arg(short = 'M', long, value_name = "MASK", requires = "persistence")]
    pub netmask: Option<String>,

    /// How many new connections a second it takes; 0 for any number
    #[arg(long, value_name = "N")]
    pub max_new_per_second: Option<u32>,

    /// In what time a real server that returns grows to its weight, like 30s
    #[arg(long, value_name = "TIME")]
    pub slow_start: Option<String>,

    /// One-packet scheduling: each datagram gets a real server for itself
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ops: Option<bool>,

    /// Maximum segment size of its TCP connections: auto, off, or so many octets
    #[arg(long, value_name = "auto|off|N")]
    pub mss_clamp: Option<String>,

    /// Takes new connections while no real server does
    #[arg(long, value_name = "RIP:PORT[,METHOD]")]
    pub sorry_server: Option<String>,

    /// What clients are answered while no real server takes connections: unreachable, reset or drop
    #[arg(long, value_name = "ANSWER")]
    pub no_server: Option<String>,

    /// Of several addresses, those that ARP is answered for: addresses, ranges or prefixes
    #[arg(long, value_name = "VIP,...", value_delimiter = ',')]
    pub vips: Vec<String>,
}

impl ServiceOptions {
    /// The options as keys of the configuration.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                table.set(key, value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec().into());
        put("vips", list(&self.vips));
        put("scheduler", text(&self.scheduler));
        put("scheduler_flags", list(&self.scheduler_flags));
        put("mh_table_size", self.mh_table_size.map(Into::into));
        put("forwarding", text(&self.forwarding));
        put("timeout", text(&self.timeout));
        put("persistence", self.persistence.map(|timeout| persistence(timeout, self.netmask.as_deref())));
        put("max_new_per_second", self.max_new_per_second.map(Into::into));
        put("slow_start", text(&self.slow_start));
        put("ops", self.ops.map(Into::into));
        let word_or_number = |text: &String| text.parse::<u32>().map_or_else(|_| text.as_str().into(), Value::from);
        put("mss_clamp", self.mss_clamp.as_ref().map(word_or_number));
        put("sorry_server", self.sorry_server.as_deref().map(sorry_server));
        put("no_server", text(&self.no_server));
        table
    }
}

fn persistence(timeout: u32, netmask: Option<&str>) -> Value {
    let mut table = Table::from_iter([("timeout", timeout)]);
    if let Some(mask) = netmask {
        table.set("mask", mask.parse::<u32>().map_or_else(|_| mask.into(), Value::from));
    }
    table.into()
}

fn sorry_server(text: &str) -> Value {
    let (address, method) = text.split_once(',').map_or((text, None), |(address, method)| (address, Some(method)));
    let mut table = Table::from_iter([("address", address)]);
    if let Some(method) = method {
        table.set("forwarding", method);
    }
    table.into()
}

/// What tells a service from every other, as keys of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceKey(pub Table);

/// As listings have it: `tcp 203.0.113.10:80`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rest) = name::parts(&self.0);
        write!(f, "{kind} {rest}")
    }
}

/// As [`name::key`] reads it.
impl FromStr for ServiceKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        name::key(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_as_they_are_listed() {
        for (text, json) in [
            ("203.0.113.10:80", r#"{"address":"203.0.113.10:80","protocol":"tcp"}"#),
            ("203.0.113.0/28:80", r#"{"address":"203.0.113.0/28:80","protocol":"tcp"}"#),
            ("udp/203.0.113.10:53", r#"{"address":"203.0.113.10:53","protocol":"udp"}"#),
            ("UDP 203.0.113.10:53", r#"{"address":"203.0.113.10:53","protocol":"udp"}"#),
            ("icmp/203.0.113.10", r#"{"address":"203.0.113.10","protocol":"icmp"}"#),
            ("mark/7", r#"{"mark":7}"#),
            ("fwm 7", r#"{"mark":7}"#),
            ("mark/7/ipv6", r#"{"mark":7,"family":"ipv6"}"#),
            ("FWM 7 IPv6", r#"{"mark":7,"family":"ipv6"}"#),
            ("[2001:db8::10]:80", r#"{"address":"[2001:db8::10]:80","protocol":"tcp"}"#),
            ("udp/[2001:db8::/64]:53", r#"{"address":"[2001:db8::/64]:53","protocol":"udp"}"#),
            ("match/to=2001:db8::/64,port=443", r#"{"match":{"to":"2001:db8::/64","port":"443"}}"#),
            ("match/to=203.0.113.0/28,port=443", r#"{"match":{"to":"203.0.113.0/28","port":"443"}}"#),
        ] {
            let key: ServiceKey = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&key.0).unwrap(), json);
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!("mark/x".parse::<ServiceKey>().unwrap_err(), "\"x\" is not a mark, a number from 1");
        assert!("match/80".parse::<ServiceKey>().is_err());
    }

    #[test]
    fn options_are_keys_of_the_file() {
        let options = ServiceOptions {
            scheduler: Some("mh".to_owned()),
            scheduler_flags: vec!["mh-port".to_owned()],
            persistence: Some(600),
            netmask: Some("255.255.255.0".to_owned()),
            sorry_server: Some("10.0.0.9:80,direct".to_owned()),
            ops: Some(false),
            ..ServiceOptions::default()
        };
        let expected = r#"{"scheduler":"mh","scheduler_flags":["mh-port"],"persistence":{"timeout":600,"mask":"255.255.255.0"},"ops":false,"sorry_server":{"address":"10.0.0.9:80","forwarding":"direct"}}"#;
        assert_eq!(serde_json::to_string(&options.table()).unwrap(), expected);
        assert!(ServiceOptions::default().table().is_empty());
    }
}
