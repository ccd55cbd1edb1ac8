//! UDP: answers right, wrong, from elsewhere, and none.

use tokio::net::UdpSocket;

use super::*;
use crate::ctrl::health::check::Udp;

fn udp(send: &[u8], expect: Option<&[u8]>) -> Probe {
    Probe::Udp(Udp { send: send.to_vec(), expect: expect.map(<[u8]>::to_vec) })
}

/// A server that answers each datagram with what `answer` makes of it.
pub(super) async fn answering(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (octets, client) = socket.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = answer(&buffer[..octets]) {
                let _ = socket.send_to(&answer, client).await;
            }
        }
    });
    address
}

/// A server that answers from another port than it was asked at, with `answer`.
pub(super) async fn elsewhere(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (octets, client) = socket.recv_from(&mut buffer).await.unwrap();
            let _ = other.send_to(&answer(&buffer[..octets]), client).await;
        }
    });
    address
}

/// A port that nobody listens on.
pub(super) async fn deaf() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[test]
fn an_answer_begins_as_expected() {
    run(async {
        let echo = || answering(|asked| Some([b"re: ", asked].concat()));
        ask(&udp(b"hello", Some(b"re: hello")), echo().await, AMPLE).await.unwrap();
        ask(&udp(b"hello", Some(b"re: h")), echo().await, AMPLE).await.unwrap();
        ask(&udp(b"", Some(b"re: ")), echo().await, AMPLE).await.unwrap();
        ask(&udp(b"hello", Some(b"")), echo().await, AMPLE).await.unwrap();
        ask(&udp(b"hello", None), echo().await, AMPLE).await.unwrap();
        let told = failure(&udp(b"a\nb", Some(b"no")), echo().await).await;
        assert_eq!(told, (Kind::Body, "another answer: re: a\u{fffd}b".to_owned()));
        let told = failure(&udp(b"hello", Some(b"re: hello, you")), echo().await).await;
        assert_eq!(told, (Kind::Body, "another answer: re: hello".to_owned()));
        let long: Vec<_> = (0..1500).map(|place| place as u8).collect();
        let mirror = || answering(|asked| Some(asked.to_vec()));
        ask(&udp(&long, Some(&long)), mirror().await, AMPLE).await.unwrap();
    });
}

#[test]
fn a_refusal_is_noticed() {
    run(async {
        for expect in [None, Some(&b"x"[..])] {
            let begin = Instant::now();
            let told = failure(&udp(b"hello", expect), deaf().await).await;
            assert_eq!(told, (Kind::Refused, "port unreachable".to_owned()));
            assert!(begin.elapsed() < AMPLE / 2);
        }
    });
}

#[test]
fn silence_is_right_where_no_answer_is_expected() {
    run(async {
        let silent = answering(|_| None).await;
        let latency = ask(&udp(b"hello", None), silent, AMPLE).await.unwrap();
        assert!(latency >= Duration::from_millis(200) && latency < AMPLE / 2, "{latency:?}");
        let latency = ask(&udp(b"hello", None), silent, Duration::from_millis(100)).await.unwrap();
        assert!(latency >= Duration::from_millis(50), "{latency:?}");
        let told = late(&udp(b"hello", Some(b"x")), silent).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
    });
}

#[test]
fn answers_from_elsewhere_are_not_heard() {
    run(async {
        let address = elsewhere(|asked| asked.to_vec()).await;
        let told = late(&udp(b"hello", Some(b"hello")), address).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
    });
}

#[test]
fn it_asks_from_the_address_it_is_told() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local: IpAddr = "127.0.0.77".parse().unwrap();
        let target = Target { bind: Some(local), ..target(socket.local_addr().unwrap()) };
        Prober::new(&udp(b"hello", None)).unwrap().check(&target, SHORT).await.unwrap();
        assert_eq!(socket.recv_from(&mut [0; 16]).await.unwrap().1.ip(), local);
        let target = Target { bind: Some("192.0.2.1".parse().unwrap()), ..target };
        let failure = Prober::new(&udp(b"hello", None)).unwrap().check(&target, SHORT).await.unwrap_err();
        assert_eq!(failure.kind(), Kind::Local, "{failure}");
    });
}
