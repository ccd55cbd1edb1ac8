//! The keys of each table of the file, and what to say about the others.

/// The keys of one table.
#[derive(Debug)]
pub(in crate::ctrl) struct Keys {
    /// The table's header, as one writes it.
    pub header: &'static str,
    /// Keys that are read.
    pub known: &'static [&'static str],
    /// Keys of the documented format that this version does not implement.
    pub later: &'static [&'static str],
}

/// What is said about a key or value of the documented format that this version does not implement.
pub(super) const LATER: &str = "not supported yet by this version";

pub(super) const ROOT: Keys = Keys {
    header: "the file",
    known: &[
        "director",
        "api",
        "announce",
        "health",
        "mirror",
        "timeouts",
        "ipvs",
        "port",
        "route",
        "neighbor",
        "local_pool",
        "mark",
        "notify",
        "service",
    ],
    later: &["vrrp", "sync"],
};
pub(super) const DIRECTOR: Keys = Keys {
    header: "[director]",
    known: &[
        "workers",
        "max_connections",
        "max_wide_connections",
        "max_templates",
        "poll",
        "dpdk_args",
        "transit",
        "watch",
    ],
    later: &[],
};
pub(super) const API: Keys = Keys {
    header: "[api]",
    known: &["socket", "listen", "token_file", "certificate", "key", "client_ca", "public_reads"],
    later: &[],
};
pub(super) const ANNOUNCE: Keys = Keys { header: "[announce]", known: &["protocol", "table"], later: &[] };
pub(super) const HEALTH: Keys = Keys { header: "[health]", known: &["stand_ins"], later: &[] };
pub(super) const MIRROR: Keys = Keys { header: "[mirror]", known: &["table", "protocols", "neighbors"], later: &[] };
pub(super) const TIMEOUTS: Keys = Keys { header: "[timeouts]", known: &["tcp", "tcp_fin", "udp"], later: &[] };
pub(super) const IPVS: Keys = Keys {
    header: "[ipvs]",
    known: &[
        "sloppy_tcp",
        "sloppy_sctp",
        "conn_reuse_mode",
        "expire_nodest_conn",
        "expire_quiescent_template",
        "schedule_icmp",
    ],
    later: &[
        "backup_only",
        "cache_bypass",
        "drop_entry",
        "drop_packet",
        "ignore_tunneled",
        "nat_icmp_send",
        "pmtu_disc",
        "secure_tcp",
        "sync_persist_mode",
        "sync_threshold",
    ],
};
pub(super) const PORT: Keys =
    Keys { header: "[[port]]", known: &["name", "device", "addresses", "mac", "queues", "mtu", "twin"], later: &[] };
pub(super) const ROUTE: Keys = Keys { header: "[[route]]", known: &["to", "via"], later: &[] };
pub(super) const NEIGHBOR: Keys = Keys { header: "[[neighbor]]", known: &["address", "mac"], later: &[] };
pub(super) const LOCAL_POOL: Keys = Keys { header: "[[local_pool]]", known: &["addresses"], later: &[] };
pub(super) const MARK: Keys = Keys { header: "[[mark]]", known: &["mark", "match"], later: &[] };
pub(super) const MATCH: Keys =
    Keys { header: "match", known: &["protocol", "from", "to", "port", "ingress"], later: &[] };
pub(super) const NOTIFY: Keys = Keys {
    header: "[[notify]]",
    known: &["command", "url", "token_file", "ca", "events", "services", "timeout"],
    later: &[],
};
pub(super) const SERVICE: Keys = Keys {
    header: "[[service]]",
    known: &[
        "address",
        "match",
        "mark",
        "family",
        "protocol",
        "vips",
        "scheduler",
        "scheduler_flags",
        "mh_table_size",
        "forwarding",
        "timeout",
        "persistence",
        "max_new_per_second",
        "ops",
        "mss_clamp",
        "slow_start",
        "sorry_server",
        "no_server",
        "check",
        "on_failure",
        "quorum",
        "hysteresis",
        "quorum_up",
        "quorum_down",
        "real",
    ],
    later: &[],
};
pub(super) const CHECK: Keys = Keys {
    header: "check",
    known: &[
        "type",
        "interval",
        "timeout",
        "rise",
        "fall",
        "jitter",
        "delay",
        "damping",
        "start",
        "observe",
        "address",
        "port",
        "through",
        "method",
        "path",
        "host",
        "status",
        "body",
        "md5",
        "sha256",
        "tls",
        "sni",
        "insecure",
        "ca",
        "send",
        "send_hex",
        "expect",
        "expect_hex",
        "name",
        "record",
        "helo",
        "service",
        "command",
    ],
    later: &[],
};
pub(super) const OBSERVE: Keys =
    Keys { header: "check.observe", known: &["window", "least", "failed", "reset"], later: &[] };
/// What tells a service from every other.
pub(super) const KEY: Keys =
    Keys { header: "what a service is for", known: &["address", "protocol", "match", "mark", "family"], later: &[] };
pub(super) const PERSISTENCE: Keys = Keys { header: "service.persistence", known: &["timeout", "mask"], later: &[] };
pub(super) const SORRY: Keys =
    Keys { header: "service.sorry_server", known: &["address", "forwarding"], later: &["tunnel"] };
pub(super) const REAL: Keys = Keys {
    header: "[[service.real]]",
    known: &["address", "weight", "forwarding", "upper", "lower", "slow_start", "check"],
    later: &["tunnel"],
};

const TABLES: &[&Keys] = &[
    &ROOT,
    &DIRECTOR,
    &API,
    &ANNOUNCE,
    &HEALTH,
    &MIRROR,
    &TIMEOUTS,
    &IPVS,
    &PORT,
    &ROUTE,
    &NEIGHBOR,
    &LOCAL_POOL,
    &MARK,
    &SERVICE,
    &PERSISTENCE,
    &SORRY,
    &REAL,
    &MATCH,
    &CHECK,
    &OBSERVE,
    &NOTIFY,
];

impl Keys {
    /// Says what is wrong with `key` in this table; `None` if it may stand there.
    pub fn complaint(&self, key: &str) -> Option<String> {
        if self.known.contains(&key) {
            return None;
        }
        if self.later.contains(&key) {
            return Some(LATER.to_owned());
        }
        if let Some(table) = TABLES.iter().find(|table| table.has(key)) {
            return Some(format!("unknown key in {}; it belongs in {}", self.header, table.header));
        }
        let here = self.known.iter().chain(self.later).copied();
        Some(match nearest(key, here) {
            Some(near) => format!("unknown key; did you mean \"{near}\"?"),
            None => format!("unknown key in {}; known are {}", self.header, self.known.join(", ")),
        })
    }

    fn has(&self, key: &str) -> bool {
        self.known.contains(&key) || self.later.contains(&key)
    }
}

/// Nothing this long was meant to be a word of ours.
const LONGEST: usize = 64;

/// Returns the word that `written` was most likely meant to be.
pub(super) fn nearest<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > LONGEST {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('-', "_");
    words
        .map(|word| (word, strsim::jaro_winkler(&written, word)))
        .filter(|(_, likeness)| *likeness >= 0.8)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(word, _)| word)
}
