//! What the workers count.
//!
//! Every received frame ends in exactly one [`Outcome`], so that on each worker, at rest,
//! `received = sum of outcomes + frames waiting` (for a neighbour, or for a datagram's first fragment). Counters have one writer, the worker, and are
//! stored plainly (relaxed); readers add the workers up.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::conn::Memory;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning worker may call this: it is a load and a store, not one atomic step.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets the value, for one that goes up and down.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads the count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $text:literal;)*) => {
        /// How a received frame ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// Every outcome, in the order of its number.
            pub const ALL: &'static [Outcome] = &[$(Outcome::$variant,)*];

            /// The name in listings, metrics and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Outcome::$variant => $name,)* }
            }

            /// One line for people.
            pub const fn text(self) -> &'static str {
                match self { $(Outcome::$variant => $text,)* }
            }
        }
    };
}

outcomes! {
    /// Client to NAT real server.
    ForwardedNatIn = "forwarded_nat_in", "sent on to a real server by NAT";
    /// NAT real server to client.
    ForwardedNatOut = "forwarded_nat_out", "a NAT real server's answer, sent on to the client";
    /// Client to the host, which is the real server.
    ForwardedLocalIn = "forwarded_local_in", "sent on to the host as a real server, on a port's twin";
    /// Host, which is the real server, to client.
    ForwardedLocalOut = "forwarded_local_out", "the answer of the host as a real server, sent on to the client";
    /// Client to full NAT real server.
    ForwardedFullNatIn = "forwarded_fullnat_in", "sent on to a real server by full NAT, from a local address";
    /// Full NAT real server to client.
    ForwardedFullNatOut = "forwarded_fullnat_out", "a full NAT real server's answer, sent on to the client";
    /// Client to tunnel real server.
    ForwardedTunnel = "forwarded_tunnel", "sent on to a real server in an IP-in-IP tunnel";
    /// Client to direct-routing real server.
    ForwardedDirect = "forwarded_direct", "sent on to a real server by direct routing";
    /// ICMP error about a connection, to its real server or its client.
    ForwardedIcmpError = "forwarded_icmp_error", "ICMP error about a connection, sent on to its real server or to its client";
    /// ICMP error from within a tunnel, made one for the client (RFC 2003 §4).
    ForwardedTunnelError = "forwarded_tunnel_error", "ICMP error from within a tunnel, made one for the client whose packet was in it";
    /// Packet for others, routed.
    ForwardedTransit = "forwarded_transit", "in transit, neither the director's nor a service's: routed on";
    /// ARP request answered in place.
    AnsweredArp = "answered_arp", "ARP request for an own address or VIP, answered";
    /// Neighbour solicitation answered in place.
    AnsweredNd = "answered_nd", "neighbour solicitation for an own address or VIP, answered";
    /// ICMP echo answered in place.
    AnsweredEcho = "answered_echo", "ICMP echo request to an own address or VIP, answered";
    /// ICMP fragmentation needed sent back (RFC 792, RFC 1191).
    AnsweredTooBig = "answered_too_big", "too big for the next link with DF set: ICMP fragmentation needed sent back";
    /// ICMP time exceeded sent back (RFC 792).
    AnsweredTimeExceeded = "answered_time_exceeded", "TTL ran out here: ICMP time exceeded sent back";
    /// ICMP destination unreachable sent back (RFC 792, RFC 4443 §3.1).
    AnsweredUnreachable = "answered_unreachable", "cannot get where it is sent to, or no real server takes it: ICMP destination unreachable sent back";
    /// TCP reset sent back (RFC 9293 §3.10.7.1).
    AnsweredReset = "answered_reset", "new connection, but no real server takes any: TCP reset sent back";
    /// ARP message read for what it says.
    LearnedArp = "learned_arp", "ARP message that told or confirmed a neighbour's address";
    /// Message of neighbour discovery read for what it says.
    LearnedNd = "learned_nd", "message of IPv6's neighbour discovery that told or confirmed a neighbour's address";
    /// Given to the host, by the port's twin.
    Punted = "punted", "the host's affair: handed to it on the port's twin";
    /// What the host sent on the port's twin.
    FromHost = "from_host", "sent by the host on the port's twin, passed on unchanged";
    /// Check through a VIP, on its way to the real server.
    CheckSent = "check_sent", "the host's check of a real server through the VIP, sent on as a client's packet is";
    /// Answer to a check through a VIP, given to the host.
    CheckAnswered = "check_answered", "a real server's answer to a check through the VIP, handed to the host";
    /// Frame shorter than its headers say.
    DropTruncated = "drop_truncated", "frame ends before its headers do";
    /// Frame in several mbufs.
    DropSegmented = "drop_segmented", "frame in several segments";
    /// Ethernet source address that no station may have.
    DropBadSource = "drop_bad_source", "Ethernet source is a group address";
    /// Destination address of another station.
    DropOtherStation = "drop_other_station", "Ethernet destination is another station";
    /// EtherType that is neither IPv4, IPv6 nor ARP.
    DropEtherType = "drop_ethertype", "EtherType other than IPv4, IPv6 or ARP";
    /// ARP that breaks RFC 826's shape for IPv4 over Ethernet.
    DropArpMalformed = "drop_arp_malformed", "ARP message with wrong types, lengths or addresses";
    /// ARP about somebody else.
    DropArpNotOurs = "drop_arp_not_ours", "ARP message about addresses that concern no one here";
    /// ARP from somebody who claims an address of ours.
    DropArpConflict = "drop_arp_conflict", "ARP message in which another station claims an address of ours";
    /// Neighbour discovery that breaks RFC 4861 §7.1.
    DropNdMalformed = "drop_nd_malformed", "message of neighbour discovery that RFC 4861 has a station discard";
    /// Neighbour discovery about somebody else.
    DropNdNotOurs = "drop_nd_not_ours", "message of neighbour discovery about addresses that concern no one here";
    /// Neighbour discovery from somebody who claims an address of ours.
    DropNdConflict = "drop_nd_conflict", "message of neighbour discovery in which another station claims an address of ours";
    /// IP version field that does not match the EtherType.
    DropIpVersion = "drop_ip_version", "IP version is not what the EtherType says";
    /// IHL below five words or beyond the packet.
    DropIpHeaderLength = "drop_ip_header_length", "IP header, IPv6 extensions included, below its least length or beyond the packet";
    /// Total length below the header or beyond the frame.
    DropIpTotalLength = "drop_ip_total_length", "IP length below the header's or beyond the frame";
    /// Wrong header checksum.
    DropIpChecksum = "drop_ip_checksum", "IPv4 header checksum is wrong";
    /// Source address that no host may have.
    DropIpSource = "drop_ip_source", "IP source address is a group, loopback, zero, mapped or one of ours";
    /// Destination that is not one host's, in the IP or in the Ethernet header.
    DropIpGroup = "drop_ip_group", "IP destination is multicast, broadcast, reserved, loopback, mapped or zero";
    /// A fragment of what is not balanced, and so would have to be put together here.
    DropFragment = "drop_fragment", "fragment of a protocol or message that no service has: nothing is put together here";
    /// A fragment that cannot be one (RFC 791 §3.2, RFC 8200 §4.5).
    DropFragmentMalformed = "drop_fragment_malformed", "fragment that is empty, ends beyond 65,535 octets or, not the last, has no multiple of 8";
    /// A first fragment without its headers, or one that would overwrite them (RFC 1858, RFC 3128, RFC 7112).
    DropFragmentTiny = "drop_fragment_tiny", "first fragment without the whole transport header, one that would overwrite it, or a further one of such a datagram";
    /// A fragment whose first did not come.
    DropFragmentNoFirst = "drop_fragment_no_first", "fragment whose first did not come within a second: it alone has the ports";
    /// Too many fragments wait for their first.
    DropFragmentQueueFull = "drop_fragment_queue_full", "fragment whose first has not come yet, and as many wait as may";
    /// A fragment of an SCTP packet whose port NAT would change.
    DropFragmentSctp = "drop_fragment_sctp", "fragment of an SCTP packet by NAT to another port: its checksum is over all of the packet";
    /// Protocol that is not balanced.
    DropProtocol = "drop_protocol", "IP protocol other than TCP, UDP, SCTP or ICMP";
    /// TCP header truncated or data offset wrong.
    DropTcpHeader = "drop_tcp_header", "TCP header beyond the packet or its data offset below 20";
    /// UDP length wrong.
    DropUdpLength = "drop_udp_length", "UDP length below 8 or beyond the packet";
    /// SCTP common header truncated, no chunk, or a chunk's length wrong.
    DropSctpHeader = "drop_sctp_header", "SCTP header beyond the packet, no chunk, or a chunk's length below 4 or beyond the packet";
    /// Port 0.
    DropPortZero = "drop_port_zero", "TCP, UDP or SCTP port 0";
    /// ICMP too short or with a wrong checksum.
    DropIcmpMalformed = "drop_icmp_malformed", "ICMP message too short or with a wrong checksum";
    /// ICMP of a kind that is not handled.
    DropIcmpType = "drop_icmp_type", "ICMP message of a type that is not answered or forwarded by this version";
    /// ICMP error that does not say enough about what.
    DropIcmpQuote = "drop_icmp_quote", "ICMP error that quotes too little, a later fragment, another error, or what its receiver did not send";
    /// ICMP error about what goes to or from a service, but not about a connection.
    DropIcmpNoConnection = "drop_icmp_no_connection", "ICMP error about a packet of a service's, of no known connection";
    /// ICMP error from within a tunnel that its client is not told.
    DropTunnelError = "drop_tunnel_error", "ICMP error about a tunnel that no client is told: not one's affair, not credible, or rate limit";
    /// Packet to an address that is not the director's.
    DropNotForUs = "drop_not_for_us", "packet to an address that is neither ours nor a real server's answer";
    /// Packet to a VIP on a port without a service.
    DropNoService = "drop_no_service", "packet to a VIP or own address on a port without a service";
    /// Mid-stream packet of no connection.
    DropNoConnection = "drop_no_connection", "packet of no known connection that does not open one";
    /// NAT real server's packet of no connection.
    DropNoConnectionReply = "drop_no_connection_reply", "packet from a NAT real server of no known connection";
    /// No real server to choose.
    DropNoRealServer = "drop_no_real_server", "new connection, but no real server takes any (weight 0, or at its upper threshold); not answered";
    /// Connection's real server was removed.
    DropRealServerRemoved = "drop_real_server_removed", "packet of a connection whose real server was removed";
    /// Reply tuple that two services would share.
    DropAmbiguous = "drop_ambiguous", "new connection whose replies no free real server could be told apart by";
    /// No local address and port for full NAT.
    DropNoLocalPort = "drop_no_local_port", "by full NAT, but no local address has a port left towards the real server";
    /// Connection table full.
    DropTableFull = "drop_table_full", "new connection, but the connection table is full";
    /// More new connections than the service's limit.
    DropNewFlowLimit = "drop_new_flow_limit", "new connection, but the service has had as many this second as its limit allows";
    /// TTL ran out and no ICMP error may be sent.
    DropTtl = "drop_ttl", "TTL ran out here; no ICMP error sent (rate limit, or none allowed)";
    /// Too big, and no ICMP error may be sent.
    DropTooBig = "drop_too_big", "too big for the next link; no ICMP error sent (no DF, rate limit, or none allowed)";
    /// No route.
    DropNoRoute = "drop_no_route", "no route to the next hop";
    /// Neighbour did not answer.
    DropNeighborUnresolved = "drop_neighbor_unresolved", "next hop did not answer ARP or a neighbour solicitation";
    /// Too many packets already wait.
    DropNeighborQueueFull = "drop_neighbor_queue_full", "next hop not resolved yet and its wait queue is full";
    /// No slot for another neighbour.
    DropNeighborTableFull = "drop_neighbor_table_full", "neighbour table has no room for the next hop";
    /// No room for an outer header.
    DropNoHeadroom = "drop_no_headroom", "no room in front of the frame for an outer header";
    /// Out of frames for an answer of our own.
    DropNoBuffer = "drop_no_buffer", "no free buffer for an answer";
    /// Transmit queue full or its port down.
    DropTxFull = "drop_tx_full", "transmit queue full";
    /// More for the host than it is given.
    DropPuntLimit = "drop_punt_limit", "for the host, but it has had as much of the kind as a worker hands over in a second";
    /// The host's interface took no more.
    DropTwinFull = "drop_twin_full", "for the host, but the port's twin is set down or took no more";
    /// Check through a VIP of nobody.
    DropNoStandIn = "drop_no_stand_in", "from the host, to a stand-in address that no real server has";
    /// Check through a VIP whose answer would not be known again.
    DropStandInSource = "drop_stand_in_source", "from the host to a stand-in address, but not from an own address of a port with a twin";
    /// Port without carrier.
    DropLinkDown = "drop_link_down", "the port to send from has no carrier";
}

/// What one worker counts about one port's queue.
#[derive(Debug, Default)]
pub struct PortStats {
    /// Frames received.
    pub rx_frames: Counter,
    /// Octets received.
    pub rx_octets: Counter,
    /// Frames handed to the transmit queue and taken by it.
    pub tx_frames: Counter,
    /// Octets taken by the transmit queue.
    pub tx_octets: Counter,
}

/// Packets and octets of one direction pair, as ipvsadm's `--stats` shows them. Octets are IP octets.
#[derive(Debug, Default)]
pub struct FlowStats {
    /// Connections scheduled.
    pub connections: Counter,
    /// Packets from clients.
    pub in_packets: Counter,
    /// Octets from clients.
    pub in_octets: Counter,
    /// Packets to clients (NAT only: by the other methods the director does not see them).
    pub out_packets: Counter,
    /// Octets to clients.
    pub out_octets: Counter,
}

/// What became of the openings of a real server's TCP connections, where its answers pass here.
#[derive(Debug, Default)]
pub struct Openings {
    /// It answered.
    pub answered: Counter,
    /// It answered with a reset.
    pub refused: Counter,
    /// It did not answer, not at once or never.
    pub unanswered: Counter,
    /// Open ones that it reset later.
    pub reset: Counter,
}

/// Everything one worker counts.
pub struct WorkerStats {
    outcomes: [Counter; Outcome::ALL.len()],
    /// Bursts that brought at least one frame.
    pub bursts: Counter,
    /// Polls of all ports that brought nothing.
    pub empty_polls: Counter,
    /// Frames that wait for a neighbour or a first fragment now.
    pub waiting: Counter,
    /// Connections that the sweep removed.
    pub expired: Counter,
    /// Connections that gave way to newcomers in a full table.
    pub evicted: Counter,
    /// Templates that were never assured and gave way to newcomers in a full table.
    pub evicted_templates: Counter,
    /// New connections of persistent services for whose templates there was no room.
    pub without_template: Counter,
    /// Packets forwarded by a hash, of connections that were not stored ([`super::stateless`]).
    pub stateless: Counter,
    /// By [`super::service::PortId`], twins included.
    pub ports: Box<[PortStats]>,
    /// By [`super::service::EndpointId`].
    pub services: Box<[FlowStats]>,
    /// By [`super::service::RealId`].
    pub reals: Box<[FlowStats]>,
    /// By [`super::service::RealId`]; only the pages of ids in use take memory.
    pub openings: Memory<Openings>,
}

impl WorkerStats {
    /// All zero, with room for ids below these.
    ///
    /// # Errors
    /// If there is no address space for them.
    pub fn new(ports: usize, endpoint_ids: usize, real_ids: usize) -> io::Result<Self> {
        let flows = |count: usize| (0..count).map(|_| FlowStats::default()).collect();
        Ok(Self {
            outcomes: std::array::from_fn(|_| Counter::default()),
            bursts: Counter::default(),
            empty_polls: Counter::default(),
            waiting: Counter::default(),
            expired: Counter::default(),
            evicted: Counter::default(),
            evicted_templates: Counter::default(),
            without_template: Counter::default(),
            stateless: Counter::default(),
            ports: (0..ports).map(|_| PortStats::default()).collect(),
            services: flows(endpoint_ids),
            reals: flows(real_ids),
            openings: Memory::untouched(real_ids)?,
        })
    }

    /// Counts the end of one frame.
    #[inline]
    pub fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].add(1);
    }

    /// Reads how many frames ended so.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].get()
    }

    /// Frames received on all ports and twins.
    pub fn received(&self) -> u64 {
        self.ports.iter().map(|port| port.rx_frames.get()).sum()
    }

    /// Frames that ended, in whatever way.
    pub fn ended(&self) -> u64 {
        self.outcomes.iter().map(Counter::get).sum()
    }
}
