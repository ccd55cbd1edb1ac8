use super::*;

#[test]
fn protocols_survive_the_round_trip() {
    for number in 0..=u8::MAX {
        let protocol = Protocol::from(number);
        assert_eq!((u8::from(protocol), protocol.number()), (number, number));
    }
}

#[test]
fn numbers_are_those_of_the_registry() {
    for (number, protocol) in [
        (0, Protocol::HopByHop),
        (1, Protocol::Icmp),
        (4, Protocol::Ipv4),
        (6, Protocol::Tcp),
        (17, Protocol::Udp),
        (41, Protocol::Ipv6),
        (43, Protocol::Routing),
        (44, Protocol::Fragment),
        (50, Protocol::Esp),
        (51, Protocol::Authentication),
        (58, Protocol::Icmpv6),
        (59, Protocol::NoNextHeader),
        (60, Protocol::DestinationOptions),
        (132, Protocol::Sctp),
        (99, Protocol::Unknown(99)),
    ] {
        assert_eq!(Protocol::from(number), protocol);
    }
}
