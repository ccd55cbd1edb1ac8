//! Packet in, packet out, for every rewrite. What comes out is compared octet by octet with a packet that was built
//! from nothing, and all of its checksums are computed anew.

mod answers;
mod quotes;
mod six;
mod stand_ins;
mod translation;
mod tunnel;

use std::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;

use super::icmp_error::Problem;
use super::*;
use crate::dataplane::address::{Family, TransportAddress};
use crate::dataplane::fixture::{Ip, PEER_MAC, PORT_MAC, assert_sound, be16, fix_header_checksum, received};
use crate::dataplane::parse::{Kind, parse_octets};
use crate::dataplane::port::{Frame, HEADROOM, RxChecksum};
use crate::dataplane::service::Protocol;
use crate::dataplane::wire::icmp;

const CLIENT: &str = "198.51.100.7:40000";
const SERVICE: &str = "203.0.113.10:80";
const REAL: &str = "10.0.0.11:8080";
const DIRECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn socket(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

fn end(text: &str) -> TransportAddress {
    socket(text).into()
}

fn hops(ttl: u8) -> Ip {
    Ip { ttl, tos: 0x2a, ..Ip::default() }
}

/// What `protocol` with `data` looks like on the link, from scratch.
fn built(ip: Ip, protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Vec<u8> {
    match protocol {
        Protocol::Tcp => ip.tcp(from, to, 0x18, data),
        Protocol::Udp => ip.udp(from, to, data),
        Protocol::Icmp => panic!("has no ports"),
        Protocol::Sctp => ip.sctp(from, to, data),
    }
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

mod direct_routing {
    use super::*;

    #[test]
    fn only_the_ttl_and_its_checksum_change() {
        for ttl in 1..=255 {
            let mut frame = hops(ttl).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
            direct::hop(&mut frame, 14, Family::V4).unwrap();
            assert_eq!(frame, hops(ttl - 1).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data"));
        }
    }

    #[test]
    fn a_frame_without_its_header_is_refused_and_unchanged() {
        let whole = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
        for length in 0..34 {
            let mut frame = whole[..length].to_vec();
            assert_eq!(direct::hop(&mut frame, 14, Family::V4), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
    }

    #[test]
    fn the_link_addresses_are_written_and_nothing_else() {
        let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
        let before = frame.clone();
        link::readdress(&mut frame, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]).unwrap();
        assert_eq!(frame[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(frame[12..], before[12..]);
        assert_eq!(link::readdress(&mut frame[..13], [0; 6], [0; 6]), Err(Error::Truncated));
    }
}
