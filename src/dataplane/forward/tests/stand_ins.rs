use super::stand_in::Quote;
use super::*;

const HOST: &str = "10.0.0.1:40000";
const STAND_IN: &str = "198.18.0.2:80";

const PORTED: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

fn echo(from: &str, to: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let ip = Ip { source: socket(from).ip().octets(), destination: socket(to).ip().octets(), ..hops(64) };
    ip.icmp(kind, 0, 0x1234_0001, data)
}

#[test]
fn a_question_goes_to_the_vip() {
    for protocol in PORTED {
        for length in [0, 1, 1399] {
            let data = vec![0x5a; length];
            let mut frame = built(hops(64), protocol, socket(HOST), socket(STAND_IN), &data);
            stand_in::to(&mut frame, 14, 34, protocol, *socket(SERVICE).ip()).unwrap();
            assert_eq!(frame, built(hops(64), protocol, socket(HOST), socket(SERVICE), &data));
        }
    }
    let mut frame = echo(HOST, STAND_IN, 8, b"odd");
    stand_in::to(&mut frame, 14, 34, Protocol::Icmp, *socket(SERVICE).ip()).unwrap();
    assert_eq!(frame, echo(HOST, SERVICE, 8, b"odd"));
}

#[test]
fn an_answer_comes_from_the_stand_in() {
    for protocol in PORTED {
        for from in [SERVICE, REAL] {
            let mut frame = built(hops(1), protocol, socket(from), socket(HOST), b"hello");
            stand_in::from(&mut frame, 14, 34, protocol, socket(STAND_IN)).unwrap();
            assert_eq!(frame, built(hops(1), protocol, socket(STAND_IN), socket(HOST), b"hello"), "no hop is taken");
        }
    }
    let mut frame = echo(SERVICE, HOST, 0, b"odd");
    stand_in::from(&mut frame, 14, 34, Protocol::Icmp, socket(STAND_IN)).unwrap();
    assert_eq!(frame, echo(STAND_IN, HOST, 0, b"odd"));
}

#[test]
fn an_absent_udp_checksum_stays_absent() {
    let mut frame = hops(64).udp(socket(HOST), socket(STAND_IN), b"data");
    frame[40..42].fill(0);
    stand_in::to(&mut frame, 14, 34, Protocol::Udp, *socket(SERVICE).ip()).unwrap();
    stand_in::from(&mut frame, 14, 34, Protocol::Udp, socket(STAND_IN)).unwrap();
    assert_eq!(be16(&frame, 40), 0);
    assert_sound(&frame);
}

#[test]
fn what_is_cut_short_is_refused_and_unchanged() {
    for protocol in PORTED {
        let whole = built(hops(64), protocol, socket(HOST), socket(STAND_IN), b"");
        for length in 0..whole.len() {
            let mut frame = whole[..length].to_vec();
            assert_eq!(stand_in::to(&mut frame, 14, 34, protocol, DIRECTOR), Err(Error::Truncated));
            assert_eq!(stand_in::from(&mut frame, 14, 34, protocol, socket(REAL)), Err(Error::Truncated));
            assert_eq!(frame, whole[..length]);
        }
    }
}

/// The error of `from` about `quoted`, of which it has `octets`.
fn error(from: &str, quoted: &[u8], octets: usize) -> Vec<u8> {
    let ip = Ip { source: socket(from).ip().octets(), destination: socket(HOST).ip().octets(), ..hops(64) };
    ip.icmp(3, 3, 0, &quoted[14..][..octets])
}

fn put_back(mut frame: Vec<u8>, source: bool) -> Vec<u8> {
    let quote = Quote::of(&frame, 34).unwrap();
    let source = source.then_some(*socket(STAND_IN).ip());
    stand_in::from_error(&mut frame, (14, 34), &quote, source, socket(STAND_IN)).unwrap();
    frame
}

#[test]
fn an_error_quotes_what_the_host_sent() {
    for protocol in PORTED {
        for target in [SERVICE, REAL] {
            let sent = built(hops(64), protocol, socket(HOST), socket(STAND_IN), b"some data");
            let arrived = built(hops(64), protocol, socket(HOST), socket(target), b"some data");
            let whole = sent.len() - 14;
            for octets in [whole, whole - 1, 20 + 8] {
                assert_eq!(put_back(error(target, &arrived, octets), true), error(STAND_IN, &sent, octets));
                let router = "10.0.0.254:0";
                assert_eq!(put_back(error(router, &arrived, octets), false), error(router, &sent, octets));
            }
        }
    }
    let (sent, arrived) = (echo(HOST, STAND_IN, 8, b"ping"), echo(HOST, SERVICE, 8, b"ping"));
    assert_eq!(put_back(error(SERVICE, &arrived, 28), true), error(STAND_IN, &sent, 28));
}

#[test]
fn a_quote_tells_whose_packet_it_was() {
    let arrived = built(hops(64), Protocol::Udp, socket(HOST), socket(SERVICE), b"");
    let quote = Quote::of(&error(SERVICE, &arrived, 28), 34).unwrap();
    let end = |text| (socket(text).ip().to_bits(), socket(text).port());
    assert_eq!((quote.protocol, quote.source, quote.destination), (Protocol::Udp, end(HOST), end(SERVICE)));
    let quote = Quote::of(&error(SERVICE, &echo(HOST, SERVICE, 8, b""), 28), 34).unwrap();
    assert_eq!((quote.protocol, quote.source.1, quote.destination.1), (Protocol::Icmp, 0x1234, 0));
}

#[test]
fn a_quote_that_says_too_little_is_none() {
    let arrived = built(hops(64), Protocol::Tcp, socket(HOST), socket(SERVICE), b"");
    for octets in 0..28 {
        assert_eq!(Quote::of(&error(SERVICE, &arrived, octets), 34), None, "{octets} octets");
    }
    let quoted = |ip: Ip| Quote::of(&error(SERVICE, &ip.tcp(socket(HOST), socket(SERVICE), 2, b""), 40), 34);
    assert!(quoted(hops(64)).is_some());
    assert_eq!(quoted(Ip { flags_offset: 1, ..hops(64) }), None, "a later fragment");
    assert_eq!(Quote::of(&error(SERVICE, &hops(64).sctp(socket(HOST), socket(SERVICE), &[0, 0, 0, 4]), 36), 34), None);
    assert_eq!(Quote::of(&error(SERVICE, &echo(HOST, SERVICE, 0, b""), 28), 34), None, "an echo reply");
    let mut frame = error(SERVICE, &arrived, 40);
    frame[42] = 0x65;
    assert_eq!(Quote::of(&frame, 34), None, "not of IPv4");
    frame[42] = 0x44;
    assert_eq!(Quote::of(&frame, 34), None, "a header of 16 octets");
    assert_eq!(Quote::of(&frame, usize::MAX - 8), None);
}
