use super::super::ipip::Outer;
use super::*;

pub(super) const OUTER: Outer =
    Outer::V4 { source: DIRECTOR, destination: Ipv4Addr::new(10, 0, 0, 11), identification: 0xbeef };

/// What the tunnel is to make of `inner`, a frame whose hop has been taken.
fn tunnelled(inner: &[u8], tos: u8, flags_offset: u16, ttl: u8) -> Vec<u8> {
    let outer = Ip {
        tos,
        identification: 0xbeef,
        flags_offset,
        ttl,
        protocol: 4,
        source: DIRECTOR.octets(),
        destination: socket(REAL).ip().octets(),
        options: Vec::new(),
    };
    outer.frame(&inner[14..])
}

fn encapsulate(octets: &[u8]) -> Result<Vec<u8>, Error> {
    let mut frame = received(octets);
    ipip::encapsulate(&mut frame, Family::V4, OUTER).map(|()| frame.bytes().to_vec())
}

#[test]
fn an_outer_header_goes_in_front() {
    for protocol in PROTOCOLS {
        for tos in [0, 0x2a, 0x03, 0xb9, 0xff] {
            for flags_offset in [0, 0x4000] {
                for length in [0, 1, 7, 1401] {
                    let ip = |ttl| Ip { ttl, tos, flags_offset, ..Ip::default() };
                    let data = vec![0x77; length];
                    let before = built(ip(33), protocol, socket(CLIENT), socket(SERVICE), &data);
                    let inner = built(ip(32), protocol, socket(CLIENT), socket(SERVICE), &data);
                    let after = encapsulate(&before).unwrap();
                    assert_eq!(after, tunnelled(&inner, tos, flags_offset, 32));
                    assert_sound(&after);
                }
            }
        }
    }
}

#[test]
fn options_stay_inside() {
    let ip = |ttl| Ip { options: vec![1; 40], ..hops(ttl) };
    let after = encapsulate(&ip(8).tcp(socket(CLIENT), socket(SERVICE), 0x02, b"")).unwrap();
    assert_eq!(after, tunnelled(&ip(7).tcp(socket(CLIENT), socket(SERVICE), 0x02, b""), 0x2a, 0x4000, 7));
    assert_eq!(after[14], 0x45);
}

#[test]
fn the_reserved_flag_is_not_copied() {
    let before = Ip { flags_offset: 0x8000, ..hops(9) }.tcp(socket(CLIENT), socket(SERVICE), 0x02, b"");
    assert_eq!(be16(&encapsulate(&before).unwrap(), 20), 0);
}

#[test]
fn without_headroom_the_frame_is_refused_and_unchanged() {
    let octets = hops(64).udp(socket(CLIENT), socket(SERVICE), b"data");
    let mut frame = received(&octets);
    let filler = HEADROOM - 19;
    frame.prepend(filler).unwrap().copy_within(filler.., 0);
    frame.set_len(octets.len()).unwrap();
    assert_eq!(ipip::encapsulate(&mut frame, Family::V4, OUTER), Err(Error::NoHeadroom));
    assert_eq!(frame.bytes(), octets);
}

#[test]
fn the_longest_packet_that_fits() {
    let longest = vec![0; 65_515 - 28];
    let after = encapsulate(&hops(64).udp(socket(CLIENT), socket(SERVICE), &longest)).unwrap();
    assert_eq!(be16(&after, 16), 65_535);
    assert_sound(&after);
    let too_long = vec![0; 65_516 - 28];
    let before = hops(64).udp(socket(CLIENT), socket(SERVICE), &too_long);
    assert_eq!(encapsulate(&before), Err(Error::TooBig));
}

#[test]
fn a_frame_without_its_header_is_refused() {
    let whole = hops(64).udp(socket(CLIENT), socket(SERVICE), b"");
    for length in 0..34 {
        assert_eq!(encapsulate(&whole[..length]), Err(Error::Truncated));
    }
}

#[test]
fn the_tunnel_takes_twenty_octets_of_the_mtu() {
    assert_eq!(ipip::inner_mtu(1500, Family::V4), 1480);
    assert_eq!(ipip::inner_mtu(19, Family::V4), 0);
}

proptest! {
    #[test]
    fn any_packet_is_wrapped_soundly(
        (ttl, tos, identification, outer) in (1u8.., any::<u8>(), any::<u16>(), any::<u16>()),
        (dont_fragment, data) in (any::<bool>(), prop::collection::vec(any::<u8>(), 0..64)),
        (source, destination) in (any::<[u8; 4]>(), any::<[u8; 4]>()),
    ) {
        let flags_offset = if dont_fragment { 0x4000 } else { 0 };
        let ip = |ttl| Ip { ttl, tos, identification, flags_offset, ..Ip::default() };
        let mut frame = received(&ip(ttl).udp(socket(CLIENT), socket(SERVICE), &data));
        let outer_header =
            Outer::V4 { source: source.into(), destination: destination.into(), identification: outer };
        ipip::encapsulate(&mut frame, Family::V4, outer_header).unwrap();
        let inner = ip(ttl - 1).udp(socket(CLIENT), socket(SERVICE), &data);
        let expected = Ip {
            ttl: ttl - 1, tos, identification: outer, flags_offset, protocol: 4, source, destination, options: vec![]
        };
        prop_assert_eq!(frame.bytes(), expected.frame(&inner[14..]));
    }
}
