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
