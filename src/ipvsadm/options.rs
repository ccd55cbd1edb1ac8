//! ipvsadm's options: their names, what they take, and the names that its messages have for them.

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One.
    Value,
    /// The next word, unless that begins with a dash.
    Maybe,
}

macro_rules! options {
    ($($option:ident = $long:literal $(, $letter:literal)*; $takes:ident;)*) => {
        /// An option. The commands are options too.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Switch {
            $(#[doc = concat!("`--", $long, "`")] $option,)*
        }

        impl Switch {
            /// The option that is called so, without the dashes.
            pub fn by_long_name(name: &str) -> Option<Self> {
                match name {
                    $($long => Some(Self::$option),)*
                    _ => None,
                }
            }

            /// The option that this letter stands for.
            pub fn by_letter(letter: char) -> Option<Self> {
                match letter {
                    $($($letter => Some(Self::$option),)*)*
                    _ => None,
                }
            }

            /// Whether it has a value.
            pub fn takes(self) -> Takes {
                match self {
                    $(Self::$option => Takes::$takes,)*
                }
            }
        }
    };
}

options! {
    AddService = "add-service", 'A'; Nothing;
    EditService = "edit-service", 'E'; Nothing;
    DeleteService = "delete-service", 'D'; Nothing;
    Clear = "clear", 'C'; Nothing;
    List = "list", 'L', 'l'; Nothing;
    Zero = "zero", 'Z'; Nothing;
    AddServer = "add-server", 'a'; Nothing;
    EditServer = "edit-server", 'e'; Nothing;
    DeleteServer = "delete-server", 'd'; Nothing;
    Set = "set"; Nothing;
    Help = "help", 'h'; Nothing;
    Version = "version", 'v'; Nothing;
    Restore = "restore", 'R'; Nothing;
    Save = "save", 'S'; Nothing;
    StartDaemon = "start-daemon"; Value;
    StopDaemon = "stop-daemon"; Value;
    TcpService = "tcp-service", 't'; Value;
    UdpService = "udp-service", 'u'; Value;
    SctpService = "sctp-service"; Value;
    FwmarkService = "fwmark-service", 'f'; Value;
    Ipv6 = "ipv6", '6'; Nothing;
    Scheduler = "scheduler", 's'; Value;
    Persistent = "persistent", 'p'; Maybe;
    Netmask = "netmask", 'M'; Value;
    Engine = "pe"; Value;
    SchedFlags = "sched-flags", 'b'; Value;
    Ops = "ops", 'o'; Nothing;
    RealServer = "real-server", 'r'; Value;
    Gatewaying = "gatewaying", 'g'; Nothing;
    Ipip = "ipip", 'i'; Nothing;
    Masquerading = "masquerading", 'm'; Nothing;
    FullNat = "fullnat"; Nothing;
    TunType = "tun-type"; Value;
    TunPort = "tun-port"; Value;
    TunNocsum = "tun-nocsum"; Nothing;
    TunCsum = "tun-csum"; Nothing;
    TunRemcsum = "tun-remcsum"; Nothing;
    Weight = "weight", 'w'; Value;
    UpperThreshold = "u-threshold", 'x'; Value;
    LowerThreshold = "l-threshold", 'y'; Value;
    Connection = "connection", 'c'; Nothing;
    Timeout = "timeout"; Nothing;
    Daemon = "daemon"; Nothing;
    Stats = "stats"; Nothing;
    Rate = "rate"; Nothing;
    Thresholds = "thresholds"; Nothing;
    PersistentConn = "persistent-conn"; Nothing;
    TunInfo = "tun-info"; Nothing;
    Nosort = "nosort"; Nothing;
    Sort = "sort"; Nothing;
    Numeric = "numeric", 'n'; Nothing;
    Exact = "exact", 'X'; Nothing;
    McastInterface = "mcast-interface"; Value;
    SyncId = "syncid"; Value;
    SyncMaxlen = "sync-maxlen"; Value;
    McastGroup = "mcast-group"; Value;
    McastPort = "mcast-port"; Value;
    McastTtl = "mcast-ttl"; Value;
}

impl Switch {
    /// What it counts as: several options may be one to the rules. `None` for those that no rule knows.
    pub fn counts_as(self) -> Option<Counted> {
        Some(match self {
            Self::TcpService | Self::UdpService | Self::SctpService | Self::FwmarkService => Counted::ServiceAddress,
            Self::Gatewaying | Self::Ipip | Self::Masquerading | Self::FullNat => Counted::ForwardingMethod,
            Self::Numeric => Counted::Numeric,
            Self::Connection => Counted::Connection,
            Self::Scheduler => Counted::Scheduler,
            Self::Persistent => Counted::Persistent,
            Self::Netmask => Counted::Netmask,
            Self::RealServer => Counted::RealServer,
            Self::Weight => Counted::Weight,
            Self::UpperThreshold => Counted::UpperThreshold,
            Self::LowerThreshold => Counted::LowerThreshold,
            Self::McastInterface => Counted::McastInterface,
            Self::Timeout => Counted::Timeout,
            Self::Daemon => Counted::Daemon,
            Self::Stats => Counted::Stats,
            Self::Rate => Counted::Rate,
            Self::Thresholds => Counted::Thresholds,
            Self::PersistentConn => Counted::PersistentConn,
            Self::Nosort => Counted::Nosort,
            Self::SyncId => Counted::SyncId,
            Self::Exact => Counted::Exact,
            Self::Ops => Counted::Ops,
            Self::Engine => Counted::Engine,
            Self::SchedFlags => Counted::SchedFlags,
            Self::McastGroup => Counted::McastGroup,
            Self::McastPort => Counted::McastPort,
            Self::McastTtl => Counted::McastTtl,
            Self::SyncMaxlen => Counted::SyncMaxlen,
            Self::TunInfo => Counted::TunInfo,
            Self::TunType => Counted::TunType,
            Self::TunPort => Counted::TunPort,
            Self::TunNocsum => Counted::TunNocsum,
            Self::TunCsum => Counted::TunCsum,
            Self::TunRemcsum => Counted::TunRemcsum,
            _ => return None,
        })
    }
}

macro_rules! counted {
    ($($option:ident = $name:literal;)*) => {
        /// An option as the rules of legality count it, in the order in which they are applied.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counted {
            $(#[doc = concat!("`", $name, "`")] $option,)*
        }

        impl Counted {
            /// All, in that order.
            pub const ALL: &'static [Self] = &[$(Self::$option,)*];

            /// What messages call it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$option => $name,)*
                }
            }
        }
    };
}

counted! {
    Numeric = "numeric";
    Connection = "connection";
    ServiceAddress = "service-address";
    Scheduler = "scheduler";
    Persistent = "persistent";
    Netmask = "netmask";
    RealServer = "real-server";
    ForwardingMethod = "forwarding-method";
    Weight = "weight";
    UpperThreshold = "u-threshold";
    LowerThreshold = "l-threshold";
    McastInterface = "mcast-interface";
    Timeout = "timeout";
    Daemon = "daemon";
    Stats = "stats";
    Rate = "rate";
    Thresholds = "thresholds";
    PersistentConn = "persistent-conn";
    Nosort = "nosort";
    SyncId = "syncid";
    Exact = "exact";
    Ops = "ops";
    Engine = "pe";
    SchedFlags = "sched-flags";
    McastGroup = "mcast-group";
    McastPort = "mcast-port";
    McastTtl = "mcast-ttl";
    SyncMaxlen = "sync-maxlen";
    TunInfo = "tun-info";
    TunType = "tun-type";
    TunPort = "tun-port";
    TunNocsum = "tun-nocsum";
    TunCsum = "tun-csum";
    TunRemcsum = "tun-remcsum";
}
