//! gRPC: servers that serve, that do not, and that are none.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, Request, Response};
use h2::RecvStream;
use h2::server::SendResponse;
use hyper::body::Bytes;

use super::super::grpc::{framed, serving};
use super::tls::Authority;
use super::*;
use crate::ctrl::health::check::Grpc;

fn grpc(service: &str) -> Probe {
    Probe::Grpc(Grpc { service: service.into(), tls: None })
}

/// How a server answers.
#[derive(Clone, Default)]
struct Answer {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Option<Vec<u8>>,
    trailers: Option<&'static [(&'static str, &'static str)]>,
    endless: bool,
}

fn answer(body: &[u8]) -> Answer {
    Answer { status: 200, body: Some(body.to_vec()), trailers: Some(&[("grpc-status", "0")]), ..Answer::default() }
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

fn headers(from: &[(&'static str, &'static str)]) -> HeaderMap {
    from.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

async fn respond(mut respond: SendResponse<Bytes>, answer: Answer) {
    let mut response = Response::new(());
    *response.status_mut() = answer.status.try_into().unwrap();
    *response.headers_mut() = headers(answer.headers);
    let Some(body) = answer.body else {
        respond.send_response(response, true).unwrap();
        return;
    };
    let mut stream = respond.send_response(response, false).unwrap();
    if answer.endless {
        while stream.send_data(vec![0; 1024].into(), false).is_ok() {
            tokio::task::yield_now().await;
        }
        return;
    }
    stream.send_data(body.into(), answer.trailers.is_none()).unwrap();
    if let Some(trailers) = answer.trailers {
        stream.send_trailers(headers(trailers)).unwrap();
    }
}

type Asked = Arc<Mutex<Vec<(String, HeaderMap, Vec<u8>)>>>;

async fn converse(stream: impl AsyncRead + tokio::io::AsyncWrite + Unpin, answer: Answer, asked: Asked) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, send))) = connection.accept().await {
        let (answer, asked) = (answer.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            hear(request, asked).await;
            respond(send, answer).await;
        });
    }
}

async fn hear(request: Request<RecvStream>, asked: Asked) {
    let (head, mut body) = request.into_parts();
    let mut octets = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        octets.extend_from_slice(&piece);
    }
    asked.lock().unwrap().push((format!("{} {}", head.method, head.uri), head.headers, octets));
}

async fn server(answer: Answer) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let hear = Arc::clone(&asked);
    let address = serve(move |stream| converse(stream, answer.clone(), Arc::clone(&hear))).await;
    (address, asked)
}

async fn told(answer: Answer) -> (Kind, String) {
    failure(&grpc(""), server(answer).await.0).await
}

#[test]
fn a_server_that_serves_is_right() {
    run(async {
        let (address, asked) = server(answer(SERVING)).await;
        ask(&grpc(""), address, AMPLE).await.unwrap();
        ask(&grpc("my.Service"), address, AMPLE).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].0, format!("POST http://{address}/grpc.health.v1.Health/Check"));
        assert_eq!(asked[0].1["content-type"], "application/grpc");
        assert_eq!(asked[0].1["te"], "trailers");
        assert_eq!(asked[0].2, [0; 5]);
        assert_eq!(asked[1].2, [&[0, 0, 0, 0, 12, 10, 10], &b"my.Service"[..]].concat());
    });
}

#[test]
fn over_tls_too() {
    run(async {
        let ours = Authority::new();
        let acceptor = ours.server(&["127.0.0.1"], |_| {});
        let address = serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                converse(stream, answer(SERVING), Asked::default()).await;
            }
        })
        .await;
        let by = |tls| Probe::Grpc(Grpc { service: String::new(), tls: Some(tls) });
        ask(&by(ours.trusted()), address, AMPLE).await.unwrap();
        let told = failure(&by(Authority::new().trusted()), address).await;
        assert_eq!(told, (Kind::Tls, "certificate of an unknown authority".to_owned()));
    });
}

#[test]
fn who_does_not_serve_says_so() {
    run(async {
        let status = |text: &str| (Kind::Status, text.to_owned());
        assert_eq!(told(answer(&[0; 5])).await, status("UNKNOWN"));
        assert_eq!(told(answer(&[0, 0, 0, 0, 2, 8, 2])).await, status("NOT_SERVING"));
        assert_eq!(told(answer(&[0, 0, 0, 0, 2, 8, 3])).await, status("SERVICE_UNKNOWN"));
        assert_eq!(told(answer(&[0, 0, 0, 0, 3, 8, 0x80, 1])).await, status("serving status 128"));
        let headers: &[_] = &[("grpc-status", "12"), ("grpc-message", "no such method")];
        let bare = Answer { status: 200, headers, ..Answer::default() };
        assert_eq!(told(bare).await, status("gRPC status 12: no such method"));
        let late = Answer { trailers: Some(&[("grpc-status", "5")]), ..answer(SERVING) };
        assert_eq!(told(late).await, status("gRPC status 5"));
        assert_eq!(told(Answer { status: 503, ..answer(SERVING) }).await, status("HTTP status 503"));
    });
}

#[test]
fn what_is_no_answer_is_told() {
    run(async {
        let protocol = |text: &str| (Kind::Protocol, text.to_owned());
        assert_eq!(told(Answer { trailers: None, ..answer(SERVING) }).await, protocol("no gRPC status"));
        assert_eq!(told(Answer { trailers: Some(&[("a", "b")]), ..answer(SERVING) }).await, protocol("no gRPC status"));
        let garbled = protocol("the answer is no HealthCheckResponse");
        assert_eq!(told(answer(&[])).await, garbled);
        assert_eq!(told(answer(b"hello world")).await, garbled);
        let endless = Answer { endless: true, ..answer(&[]) };
        assert_eq!(told(endless).await, protocol("the answer has more than 4096 octets"));
    });
}

#[test]
fn who_speaks_no_http2_is_told() {
    run(async {
        let (kind, text) = failure(&grpc(""), saying("HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
        assert!(kind == Kind::Protocol || kind == Kind::Closed, "{text}");
        let silent = serve(|stream| async move {
            tokio::time::sleep(AMPLE).await;
            drop(stream);
        });
        let told = late(&grpc(""), silent.await).await;
        assert_eq!(told, "timed out after 300ms: no answer to the request");
        let closing = serve(|mut stream| async move { drop(stream.read(&mut [0; 1024]).await) });
        let (kind, text) = failure(&grpc(""), closing.await).await;
        assert_eq!((kind, text.as_str()), (Kind::Closed, "the server closed the connection"));
    });
}

#[test]
fn floods_are_cut_off() {
    run(async {
        // SETTINGS, empty; PING; a header block that goes on and on (RFC 9113 §6.5, §6.7, §6.10).
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut begun = settings.to_vec();
        begun.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 1]);
        let continued = [&[0, 4, 0, 9, 0, 0, 0, 0, 1], &[0x82; 1024][..]].concat();
        for (start, again) in
            [(settings.to_vec(), settings.to_vec()), (settings.to_vec(), ping.to_vec()), (begun, continued)]
        {
            let address = serve(move |mut stream| {
                let (start, again) = (start.clone(), again.repeat(100));
                async move {
                    let _ = stream.write_all(&start).await;
                    let mut sink = [0; 65536];
                    loop {
                        while stream.try_read(&mut sink).is_ok_and(|octets| octets > 0) {}
                        if stream.write_all(&again).await.is_err() {
                            break;
                        }
                    }
                }
            });
            let (kind, text) = failure(&grpc(""), address.await).await;
            assert!(matches!(kind, Kind::Protocol | Kind::Closed), "{kind:?} {text}");
        }
    });
}

#[test]
fn messages_are_read_as_protobuf_says() {
    assert_eq!(framed(&"s".repeat(200))[..8], [0, 0, 0, 0, 203, 10, 0xc8, 1]);
    // Other fields around it, of every kind; the last status holds.
    let fields = [&[0x12, 1, b'x', 0x18, 0x80, 1, 0x21][..], &[0; 8], &[0x2d, 0, 0, 0, 0], &[8, 2, 8, 1]].concat();
    let whole = [&[0, 0, 0, 0, fields.len() as u8], &fields[..]].concat();
    serving(&whole).unwrap();
    for octets in 0..whole.len() {
        serving(&whole[..octets]).unwrap_err();
    }
    for bad in [
        &[1, 0, 0, 0, 2, 8, 1][..],
        &[0, 0, 0, 0, 1, 8, 1],
        &[0, 0, 0, 0, 2, 8, 0x80],
        &[0, 0, 0, 0, 2, 0, 1],
        &[0, 0, 0, 0, 2, 0x0b, 1],
        &[0, 0, 0, 0, 3, 0x12, 2, 1],
        &[0, 0, 0, 0, 12, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ] {
        assert_eq!(serving(bad).unwrap_err().kind(), Kind::Protocol, "{bad:?}");
    }
}
