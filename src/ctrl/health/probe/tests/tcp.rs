//! Connections: made, refused, from which address, and how they end.

use std::io::ErrorKind;
use std::net::IpAddr;

use super::*;

#[test]
fn a_connection_is_enough() {
    run(async {
        let address = serve(|_| async {}).await;
        let latency = ask(&Probe::Tcp, address, AMPLE).await.unwrap();
        assert!(latency > Duration::ZERO && latency < AMPLE);
    });
}

#[test]
fn a_connection_ends_with_a_reset() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        ask(&Probe::Tcp, address, AMPLE).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let end = stream.read(&mut [0; 16]).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_refusal_is_told() {
    run(async {
        let told = failure(&Probe::Tcp, nobody().await).await;
        assert_eq!(told, (Kind::Refused, "connection refused".to_owned()));
    });
}

#[test]
fn who_does_not_answer_is_late() {
    run(async {
        // A full queue of connections that nobody accepts: the kernel drops what comes next.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(tokio::spawn(TcpStream::connect(address)));
        }
        tokio::time::sleep(SHORT).await;
        assert_eq!(late(&Probe::Tcp, address).await, "timed out after 300ms: no connection");
    });
}

#[test]
fn it_asks_from_the_address_it_is_told() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local: IpAddr = "127.0.0.77".parse().unwrap();
        let target = Target { bind: Some(local), ..target(listener.local_addr().unwrap()) };
        let prober = Prober::new(&Probe::Tcp).unwrap();
        prober.check(&target, AMPLE).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1.ip(), local);
    });
}

#[test]
fn what_cannot_be_done_here_is_not_the_servers_fault() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let prober = Prober::new(&Probe::Tcp).unwrap();
        for local in ["192.0.2.1", "::1"] {
            let bind = Some(local.parse().unwrap());
            let target = Target { bind, ..target(listener.local_addr().unwrap()) };
            let failure = prober.check(&target, AMPLE).await.unwrap_err();
            assert_eq!(failure.kind(), Kind::Local, "{failure}");
            assert!(failure.to_string().starts_with(&format!("cannot ask from {local}: ")), "{failure}");
        }
    });
}

#[test]
fn errors_of_the_kernel_are_sorted() {
    use rustix::io::Errno;
    for (errno, kind) in [
        (Errno::HOSTUNREACH, Kind::Unreachable),
        (Errno::NETUNREACH, Kind::Unreachable),
        (Errno::CONNRESET, Kind::Closed),
        (Errno::TIMEDOUT, Kind::Timeout),
        (Errno::MFILE, Kind::Local),
        (Errno::NOBUFS, Kind::Local),
        (Errno::ADDRNOTAVAIL, Kind::Local),
        (Errno::PERM, Kind::Local),
    ] {
        assert_eq!(Failure::of(&std::io::Error::from(errno)).kind(), kind, "{errno:?}");
    }
}
