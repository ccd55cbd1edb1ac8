//! gRPC's health check: grpc.health.v1.Health/Check over HTTP/2.
//!
//! The messages, in protobuf, are these (grpc-proto `grpc/health/v1/health.proto`), and short enough to be written and read here:
//!
//! ```text
//! message HealthCheckRequest  { string service = 1; }
//! message HealthCheckResponse { enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
//!                               ServingStatus status = 1; }
//! ```

use axum::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use h2::RecvStream;
use h2::client::Builder;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dial::{self, Meter};
use super::failure::{self, Failure, Kind, Stage, Step, excerpt};
use super::{PrepareError, Target, tls};
use crate::VERSION;
use crate::ctrl::health::check::Grpc;

const PATH: &str = "/grpc.health.v1.Health/Check";
/// How long an answer's headers may be, in octets.
const HEADER_OCTETS: u32 = 16 << 10;
/// How long an answer may be, in octets. The right one has seven.
const ANSWER_OCTETS: usize = 4096;
const SERVING: u64 = 1;

/// Which service is asked for.
pub(super) struct Question {
    message: Bytes,
    tls: Option<tls::Client>,
}

impl Question {
    pub(super) fn new(grpc: &Grpc) -> Result<Self, PrepareError> {
        let tls = grpc.tls.as_ref().map(|tls| tls::Client::new(tls, Some("h2"))).transpose()?;
        Ok(Self { message: framed(&grpc.service), tls })
    }

    pub(super) async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        let stream = dial::tcp(target).await?;
        dial::hurry(&stream)?;
        let stream = Meter::new(stream, 0);
        match &self.tls {
            None => self.converse(stream, target, step).await,
            Some(client) => {
                step.enter(Stage::Tls);
                let stream = client.connect(stream, target).await?;
                self.converse(stream, target, step).await
            }
        }
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        target: &Target,
        step: &Step,
    ) -> Result<(), Failure> {
        step.enter(Stage::Answer);
        let mut builder = Builder::new();
        builder.enable_push(false).max_header_list_size(HEADER_OCTETS);
        let (sender, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(|error| complaint(&error))?;
        let exchange = async {
            let mut sender = sender.ready().await.map_err(|error| complaint(&error))?;
            let (answer, mut body) =
                sender.send_request(self.request(target)?, false).map_err(|error| complaint(&error))?;
            body.send_data(self.message.clone(), true).map_err(|error| complaint(&error))?;
            let (head, body) = answer.await.map_err(|error| complaint(&error))?.into_parts();
            if !head.status.is_success() {
                return Err(Failure::new(Kind::Status, format!("HTTP status {}", head.status.as_u16())));
            }
            // An answer that is nothing but an error has it among its headers.
            refusal(&head.headers)?;
            serving(&message(body).await?)
        };
        dial::over(connection, exchange).await
    }

    fn request(&self, target: &Target) -> Result<Request<()>, Failure> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(target.name().to_string()).path_and_query(PATH).build();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.map_err(|error| Failure::local("no request", &error))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let agent = HeaderValue::from_str(&format!("millrace/{VERSION}"));
        headers.insert(header::USER_AGENT, agent.map_err(|error| Failure::local("no request", &error))?);
        Ok(request)
    }
}

/// Reads the body to its trailers; returns the message in it.
async fn message(mut body: RecvStream) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| complaint(&error))?;
        if octets.len() + piece.len() > ANSWER_OCTETS {
            return Err(Failure::new(Kind::Protocol, format!("the answer has more than {ANSWER_OCTETS} octets")));
        }
        octets.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.map_err(|error| complaint(&error))?;
    let Some(trailers) = trailers else { return Err(Failure::new(Kind::Protocol, "no gRPC status")) };
    if !trailers.contains_key("grpc-status") {
        return Err(Failure::new(Kind::Protocol, "no gRPC status"));
    }
    refusal(&trailers)?;
    Ok(octets)
}

/// Complains if a gRPC status is there, and is not OK.
fn refusal(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(status) = headers.get("grpc-status").filter(|status| status.as_bytes() != b"0") else { return Ok(()) };
    let reason = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    let (status, reason) = (excerpt(status.as_bytes()), excerpt(reason));
    let colon = if reason.is_empty() { "" } else { ": " };
    Err(Failure::new(Kind::Status, format!("gRPC status {status}{colon}{reason}")))
}

/// Looks for SERVING in a message with its frame.
pub(super) fn serving(octets: &[u8]) -> Result<(), Failure> {
    let garbled = || Failure::new(Kind::Protocol, "the answer is no HealthCheckResponse");
    match status(unframed(octets).ok_or_else(garbled)?).ok_or_else(garbled)? {
        SERVING => Ok(()),
        0 => Err(Failure::new(Kind::Status, "UNKNOWN")),
        2 => Err(Failure::new(Kind::Status, "NOT_SERVING")),
        3 => Err(Failure::new(Kind::Status, "SERVICE_UNKNOWN")),
        other => Err(Failure::new(Kind::Status, format!("serving status {other}"))),
    }
}

/// A HealthCheckRequest behind its frame: uncompressed, and how long it is.
pub(super) fn framed(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of the kind that has a length.
        message.push(1 << 3 | 2);
        let mut left = service.len();
        while left > 0x7f {
            message.push(left as u8 | 0x80);
            left >>= 7;
        }
        message.push(left as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// The one message in a frame that is not compressed.
fn unframed(octets: &[u8]) -> Option<&[u8]> {
    let (length, message) = octets.strip_prefix(&[0])?.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

/// Field 1 of a HealthCheckResponse, 0 if it is not there. Fields that we do not know are passed over, as protobuf says.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            (0, _) => return None,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// Seven bits an octet, the least first.
fn varint(octets: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (first, rest) = octets.split_first()?;
        *octets = rest;
        value |= u64::from(first & 0x7f).checked_shl(7 * place)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// What h2 says, in other words.
fn complaint(error: &h2::Error) -> Failure {
    match error.get_io() {
        Some(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => failure::closed(),
        Some(cause) => Failure::of(cause),
        None => Failure::new(Kind::Protocol, excerpt(format!("HTTP/2: {error}").as_bytes())),
    }
}
