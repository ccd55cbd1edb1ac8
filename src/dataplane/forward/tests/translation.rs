use super::*;

#[test]
fn a_clients_packet_goes_to_the_real_server() {
    for protocol in PROTOCOLS {
        for length in [0, 1, 2, 3, 64, 1399, 1400] {
            let data = vec![0x5a; length];
            let mut frame = built(hops(57), protocol, socket(CLIENT), socket(SERVICE), &data);
            nat::inbound(&mut frame, 14, 34, protocol, end(REAL)).unwrap();
            assert_eq!(frame, built(hops(56), protocol, socket(CLIENT), socket(REAL), &data));
            assert_sound(&frame);
        }
    }
}

#[test]
fn a_real_servers_packet_goes_to_the_client() {
    for protocol in PROTOCOLS {
        for length in [0, 1, 2, 3, 64, 1399, 1400] {
            let data = vec![0xc3; length];
            let mut frame = built(hops(2), protocol, socket(REAL), socket(CLIENT), &data);
            nat::outbound(&mut frame, 14, 34, protocol, end(SERVICE)).unwrap();
            assert_eq!(frame, built(hops(1), protocol, socket(SERVICE), socket(CLIENT), &data));
            assert_sound(&frame);
        }
    }
}

#[test]
fn options_are_stepped_over() {
    let ip = |ttl| Ip { options: vec![0x94, 0x04, 0, 0, 1, 1, 1, 0], ..hops(ttl) };
    let mut frame = ip(9).tcp(socket(CLIENT), socket(SERVICE), 0x02, b"odd");
    nat::inbound(&mut frame, 14, 42, Protocol::Tcp, end(REAL)).unwrap();
    assert_eq!(frame, ip(8).tcp(socket(CLIENT), socket(REAL), 0x02, b"odd"));
}

#[test]
fn an_absent_udp_checksum_stays_absent() {
    let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), b"data");
    frame[40..42].fill(0);
    nat::inbound(&mut frame, 14, 34, Protocol::Udp, end(REAL)).unwrap();
    assert_eq!(be16(&frame, 40), 0);
    nat::outbound(&mut frame, 14, 34, Protocol::Udp, end(SERVICE)).unwrap();
    assert_eq!(be16(&frame, 40), 0);
    assert_sound(&frame);
}

/// Two octets of data with which the checksum of a datagram or segment between the two sockets is 0 or 0xffff.
fn zero_sum_data(protocol: Protocol, from: SocketAddrV4, to: SocketAddrV4) -> [u8; 2] {
    let frame = built(hops(64), protocol, from, to, &[0, 0]);
    let at = if protocol == Protocol::Tcp { 50 } else { 40 };
    be16(&frame, at).to_be_bytes()
}

#[test]
fn a_udp_checksum_that_becomes_zero_is_sent_as_ffff() {
    let data = zero_sum_data(Protocol::Udp, socket(CLIENT), socket(REAL));
    let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &data);
    assert!(!matches!(be16(&frame, 40), 0 | 0xffff));
    nat::inbound(&mut frame, 14, 34, Protocol::Udp, end(REAL)).unwrap();
    assert_eq!(be16(&frame, 40), 0xffff);
    assert_sound(&frame);
}

#[test]
fn a_udp_checksum_of_ffff_is_a_number_like_others() {
    let data = zero_sum_data(Protocol::Udp, socket(CLIENT), socket(SERVICE));
    let mut frame = hops(64).udp(socket(CLIENT), socket(SERVICE), &data);
    assert_eq!(be16(&frame, 40), 0xffff);
    nat::inbound(&mut frame, 14, 34, Protocol::Udp, end(REAL)).unwrap();
    assert_eq!(frame, hops(63).udp(socket(CLIENT), socket(REAL), &data));
    assert!(!matches!(be16(&frame, 40), 0 | 0xffff));
}

#[test]
fn a_tcp_checksum_may_become_zero_and_come_back() {
    let data = zero_sum_data(Protocol::Tcp, socket(CLIENT), socket(REAL));
    let mut frame = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, &data);
    nat::inbound(&mut frame, 14, 34, Protocol::Tcp, end(REAL)).unwrap();
    assert_eq!(be16(&frame, 50), 0, "0 is not special to TCP");
    assert_sound(&frame);
    nat::inbound(&mut frame, 14, 34, Protocol::Tcp, end(SERVICE)).unwrap();
    assert_eq!(frame, hops(62).tcp(socket(CLIENT), socket(SERVICE), 0x18, &data));
}

#[test]
fn a_wrong_checksum_is_not_mended() {
    let mut frame = hops(64).tcp(socket(CLIENT), socket(SERVICE), 0x18, b"data");
    frame[50] ^= 0x10;
    nat::inbound(&mut frame, 14, 34, Protocol::Tcp, end(REAL)).unwrap();
    let right = hops(63).tcp(socket(CLIENT), socket(REAL), 0x18, b"data");
    assert_ne!(be16(&frame, 50), be16(&right, 50));
    assert_eq!((&frame[..50], &frame[52..]), (&right[..50], &right[52..]));
}

#[test]
fn a_wrong_crc_keeps_its_wrong_bits() {
    for wrong in [0x0000_0001, 0x8000_0000, 0xdead_beef_u32] {
        let mut frame = hops(64).sctp(socket(CLIENT), socket(SERVICE), b"chunks");
        let right = hops(63).sctp(socket(CLIENT), socket(REAL), b"chunks");
        let crc = |frame: &[u8]| u32::from_le_bytes(frame[42..46].try_into().unwrap());
        let spoilt = crc(&frame) ^ wrong;
        frame[42..46].copy_from_slice(&spoilt.to_le_bytes());
        nat::inbound(&mut frame, 14, 34, Protocol::Sctp, end(REAL)).unwrap();
        assert_eq!(crc(&frame) ^ crc(&right), wrong);
        assert_eq!((&frame[..42], &frame[46..]), (&right[..42], &right[46..]));
    }
}

#[test]
fn damage_on_the_way_is_not_hidden() {
    let mut frame = hops(64).sctp(socket(CLIENT), socket(SERVICE), b"chunks");
    frame[48] ^= 0x04;
    nat::inbound(&mut frame, 14, 34, Protocol::Sctp, end(REAL)).unwrap();
    frame[48] ^= 0x04;
    assert_eq!(frame, hops(63).sctp(socket(CLIENT), socket(REAL), b"chunks"));
}

#[test]
fn an_address_alone_does_not_change_a_crc() {
    let (from, to) = (socket(CLIENT), SocketAddrV4::new([10, 0, 0, 11].into(), 80));
    let mut frame = hops(64).sctp(from, socket(SERVICE), b"chunks");
    frame[42] ^= 1;
    let before = frame[34..].to_vec();
    nat::inbound(&mut frame, 14, 34, Protocol::Sctp, to.into()).unwrap();
    assert_eq!(frame[34..], before);
    frame[42] ^= 1;
    assert_eq!(frame, hops(63).sctp(from, to, b"chunks"));
}

#[test]
fn a_frame_without_its_headers_is_refused_and_unchanged() {
    for protocol in PROTOCOLS {
        let whole = built(hops(64), protocol, socket(CLIENT), socket(SERVICE), b"");
        let transport = whole.len();
        for length in 0..transport {
            let mut frame = whole[..length].to_vec();
            assert_eq!(nat::inbound(&mut frame, 14, 34, protocol, end(REAL)), Err(Error::Truncated));
            assert_eq!(nat::outbound(&mut frame, 14, 34, protocol, end(REAL)), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
        let mut frame = whole.clone();
        for (l3, l4) in [(14, 33), (34, 14), (60, 34), (usize::MAX, 34), (14, usize::MAX)] {
            assert_eq!(nat::inbound(&mut frame, l3, l4, protocol, end(REAL)), Err(Error::Truncated));
        }
        assert_eq!(frame, whole);
    }
}

fn any_socket() -> impl Strategy<Value = SocketAddrV4> {
    (any::<[u8; 4]>(), any::<u16>()).prop_map(|(address, port)| SocketAddrV4::new(address.into(), port))
}

proptest! {
    #[test]
    fn any_translation_equals_a_packet_built_anew(
        protocol in prop::sample::select(&PROTOCOLS[..]),
        (client, service, real) in (any_socket(), any_socket(), any_socket()),
        data in prop::collection::vec(any::<u8>(), 0..64),
        (ttl, tos, identification) in (1u8.., any::<u8>(), any::<u16>()),
    ) {
        let ip = |ttl| Ip { ttl, tos, identification, ..Ip::default() };
        let mut frame = built(ip(ttl), protocol, client, service, &data);
        nat::inbound(&mut frame, 14, 34, protocol, real.into()).unwrap();
        prop_assert_eq!(&frame, &built(ip(ttl - 1), protocol, client, real, &data));

        let mut frame = built(ip(ttl), protocol, real, client, &data);
        nat::outbound(&mut frame, 14, 34, protocol, service.into()).unwrap();
        prop_assert_eq!(&frame, &built(ip(ttl - 1), protocol, service, client, &data));
    }
}
