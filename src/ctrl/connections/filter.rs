//! Which connections are meant.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use clap::Args;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConnectionReport;

/// What a connection must have in common with all that are meant; nothing set means every connection.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only of this client: an address, a network (198.51.100.0/24), or an address and port
    #[arg(long, value_name = "ADDRESS[/LENGTH][:PORT]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Site>,

    /// Only to this virtual service, or this VIP
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Site>,

    /// Only to the service with this mark
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,

    /// Only of this real server, or all on this address
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real: Option<Site>,

    /// Only of this protocol: tcp, udp, sctp or icmp
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,

    /// Only in this state, as in the list: ESTABLISHED, SYN_RECV, FIN_WAIT, UDP, ...
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Filter {
    /// Tells whether every connection is meant.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether this connection is meant.
    pub fn matches(&self, connection: &ConnectionReport) -> bool {
        let at = |site: &Option<Site>, socket: SocketAddr| site.is_none_or(|site| site.contains(socket));
        let named = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(name));
        at(&self.client, connection.client)
            && at(&self.service, connection.service)
            && self.mark.is_none_or(|mark| connection.mark == Some(mark))
            && self.real.is_none_or(|site| connection.real.is_some_and(|real| site.contains(real)))
            && named(&self.protocol, &connection.protocol)
            && named(&self.state, &connection.state)
    }
}

/// An address, a network, or one of these with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Site {
    net: IpNet,
    port: Option<u16>,
}

/// Not a [`Site`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no address, network (198.51.100.0/24) or address and port (198.51.100.7:40000)")]
pub struct SiteError(String);

impl Site {
    /// Tells whether `socket` lies here.
    pub fn contains(&self, socket: SocketAddr) -> bool {
        self.net.contains(&socket.ip()) && self.port.is_none_or(|port| port == socket.port())
    }

    /// Returns the one socket that this names, if it does.
    pub fn socket(&self) -> Option<SocketAddr> {
        let single = self.net.prefix_len() == self.net.max_prefix_len();
        self.port.filter(|_| single).map(|port| SocketAddr::new(self.net.addr(), port))
    }
}

impl From<SocketAddr> for Site {
    fn from(socket: SocketAddr) -> Self {
        Self { net: socket.ip().into(), port: Some(socket.port()) }
    }
}

impl FromStr for Site {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Self, SiteError> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(socket.into());
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { net: address.into(), port: None });
        }
        let wrong = || SiteError(text.to_owned());
        let (net, port) = match text.strip_prefix('[').and_then(|inside| inside.split_once("]:")) {
            Some((net, port)) if net.contains(':') => (net, Some(port)),
            Some(_) => return Err(wrong()),
            None => match text.rsplit_once(':').filter(|(net, _)| net.contains('/')) {
                Some((net, port)) => (net, Some(port)),
                None => (text, None),
            },
        };
        Ok(Self {
            net: net.parse::<IpNet>().map_err(|_| wrong())?.trunc(),
            port: port.map(|port| port.parse().map_err(|_| wrong())).transpose()?,
        })
    }
}

impl TryFrom<String> for Site {
    type Error = SiteError;

    fn try_from(text: String) -> Result<Self, SiteError> {
        text.parse()
    }
}

impl From<Site> for String {
    fn from(site: Site) -> Self {
        site.to_string()
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.socket(), self.port) {
            (Some(socket), _) => socket.fmt(f),
            (None, Some(port)) if self.net.addr().is_ipv6() => write!(f, "[{}]:{port}", self.net),
            (None, Some(port)) => write!(f, "{}:{port}", self.net),
            (None, None) => self.net.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> ConnectionReport {
        ConnectionReport {
            protocol: "TCP".into(),
            state: "ESTABLISHED".into(),
            expires_seconds: 900,
            client: "198.51.100.7:40000".parse().unwrap(),
            service: "203.0.113.10:80".parse().unwrap(),
            mark: Some(7),
            real: Some("10.0.0.11:8080".parse().unwrap()),
            answers_seen: true,
        }
    }

    fn filter(query: &str) -> Filter {
        serde_urlencoded::from_str(query).unwrap()
    }

    #[test]
    fn each_part_narrows() {
        assert!(Filter::default().is_everything() && Filter::default().matches(&connection()));
        for (query, matches) in [
            ("client=198.51.100.7", true),
            ("client=198.51.100.7:40000", true),
            ("client=198.51.100.7:40001", false),
            ("client=198.51.100.0/24", true),
            ("client=198.51.100.0/24:40000", true),
            ("client=198.51.101.0/24", false),
            ("service=203.0.113.10", true),
            ("service=203.0.113.10:443", false),
            ("mark=7", true),
            ("mark=8", false),
            ("real=10.0.0.11", true),
            ("real=10.0.0.12", false),
            ("protocol=tcp", true),
            ("protocol=udp", false),
            ("state=established", true),
            ("state=SYN_RECV", false),
            ("client=198.51.100.7&state=SYN_RECV", false),
        ] {
            let filter = filter(query);
            assert_eq!(filter.matches(&connection()), matches, "{query}");
            let again = serde_urlencoded::to_string(&filter).unwrap();
            assert_eq!(self::filter(&again), filter, "{again}");
        }
    }

    #[test]
    fn a_forgotten_real_server_is_nobody_in_particular() {
        let connection = ConnectionReport { real: None, ..connection() };
        assert!(filter("client=198.51.100.7").matches(&connection));
        assert!(!filter("real=10.0.0.11").matches(&connection));
    }

    #[test]
    fn what_is_no_site_is_refused() {
        for text in [
            "",
            "x",
            "198.51.100.7:",
            "198.51.100.7:65536",
            "198.51.100.0/33",
            "198.51.100.0/24:x",
            ":80",
            "[10.0.0.0/8]:80",
            "[2001:db8::/64]",
        ] {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
        assert_eq!("198.51.100.9/24".parse::<Site>().unwrap().to_string(), "198.51.100.0/24");
        for (text, site) in [
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("[2001:db8::/64]:80", "[2001:db8::/64]:80"),
            ("2001:db8::/64:80", "[2001:db8::/64]:80"),
        ] {
            let read = text.parse::<Site>().unwrap();
            assert_eq!(read.to_string(), site);
            assert_eq!(site.parse(), Ok(read));
        }
        let six = "[2001:db8::/64]:80".parse::<Site>().unwrap();
        assert!(six.contains("[2001:db8::7]:80".parse().unwrap()));
        assert!(!six.contains("[2001:db8::7]:81".parse().unwrap()) && !six.contains("10.0.0.7:80".parse().unwrap()));
    }
}
