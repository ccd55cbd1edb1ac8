//! Ping: by either kind of socket, many at once, and what is no reply.

use tokio::task::JoinSet;

use super::super::datagram::Carrier;
use super::super::failure::Step;
use super::super::ping::{ask_by, behind_header, is_reply, request};
use super::*;

/// Both ways to ask; those that this process may not go say so.
async fn each_way(address: &str) -> usize {
    let mut ways = 0;
    for carrier in [Carrier::Echo, Carrier::Raw] {
        let target = target(SocketAddr::new(address.parse().unwrap(), 7));
        match tokio::time::timeout(AMPLE, ask_by(carrier, &target, &Step::first())).await.unwrap() {
            Ok(()) => ways += 1,
            Err(failure) => {
                assert_eq!(failure.kind(), Kind::Local, "{failure}");
                assert!(failure.to_string().contains("net.ipv4.ping_group_range"), "{failure}");
            }
        }
    }
    ways
}

#[test]
fn an_echo_comes_back() {
    run(async {
        let ways = each_way("127.0.0.1").await;
        let checked = ask(&Probe::Ping, "127.0.0.1:0".parse().unwrap(), AMPLE).await;
        assert_eq!(checked.is_ok(), ways > 0, "{checked:?}");
        if std::path::Path::new("/proc/sys/net/ipv6/conf/lo/disable_ipv6").exists()
            && TcpListener::bind("[::1]:0").await.is_ok()
        {
            assert_eq!(each_way("::1").await, ways);
        }
    });
}

#[test]
fn many_at_once_are_not_mixed_up() {
    run(async {
        for carrier in [Carrier::Echo, Carrier::Raw] {
            let mut asked = JoinSet::new();
            for number in 0..400u32 {
                asked.spawn(async move {
                    let address = format!("127.0.0.{}:0", 1 + number % 200).parse().unwrap();
                    tokio::time::timeout(AMPLE, ask_by(carrier, &target(address), &Step::first())).await.unwrap()
                });
            }
            while let Some(answer) = asked.join_next().await {
                if let Err(failure) = answer.unwrap() {
                    assert_eq!(failure.kind(), Kind::Local, "{failure}");
                }
            }
        }
    });
}

#[test]
fn only_a_reply_with_our_data_is_one() {
    for (address, reply) in [("192.0.2.1", 0), ("2001:db8::1", 129)] {
        let (address, data) = (address.parse().unwrap(), [7; 16]);
        let mut message = request(address, 7, &data);
        assert!(!is_reply(address, &message, &data), "the request itself");
        message[0] = reply;
        assert!(is_reply(address, &message, &data));
        assert!(!is_reply(address, &message, &[8; 16]), "another's");
        for octets in 0..message.len() {
            assert!(!is_reply(address, &message[..octets], &data), "{octets}");
        }
        for kind in [3, 11, 1] {
            message[0] = kind;
            assert!(!is_reply(address, &message, &data), "{kind}");
        }
    }
}

#[test]
fn a_request_bears_its_checksum() {
    let octets = request("192.0.2.1".parse().unwrap(), 7, &[7; 16]);
    assert!(crate::dataplane::wire::checksum::verify(&octets));
}

#[test]
fn a_header_is_as_long_as_it_says() {
    assert_eq!(behind_header(&[]), [0; 0]);
    assert_eq!(behind_header(&[0x45; 19]), [0; 0]);
    assert_eq!(behind_header(&[0x45; 21]), [0x45]);
    assert_eq!(behind_header(&[0x4f; 61]), [0x4f]);
    assert_eq!(behind_header(&[0x4f; 30]), [0; 0]);
}
