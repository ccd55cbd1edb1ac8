//! HTTP/1.1: one request on a connection of its own (RFC 9112), over TCP or TLS.
//!
//! Without a rule for the body, an answer ends with its head: nothing is read any further.

use std::ops::RangeInclusive;

use axum::http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{BODY_OCTETS, Rule};
use super::dial::{self, Meter};
use super::failure::{self, Failure, Kind, Stage, Step};
use super::{PrepareError, Target, tls};
use crate::VERSION;
use crate::ctrl::health::check::Http;

/// How long an answer's head may be, in octets.
const HEAD_OCTETS: usize = 64 << 10;

/// A request, and its right answer.
pub(super) struct Question {
    method: Method,
    path: Uri,
    host: Option<HeaderValue>,
    agent: HeaderValue,
    status: Vec<RangeInclusive<u16>>,
    rule: Option<Rule>,
    tls: Option<tls::Client>,
}

impl Question {
    pub(super) fn new(http: &Http) -> Result<Self, PrepareError> {
        let not = |what, value: &str| PrepareError::Http { what, value: value.to_owned() };
        let method = Method::from_bytes(http.method.as_bytes()).map_err(|_| not("method", &http.method))?;
        let path = http.path.parse::<Uri>().map_err(|_| not("path", &http.path))?;
        if path.authority().is_some() {
            return Err(not("path", &http.path));
        }
        let host = http.host.as_ref().map(|host| HeaderValue::from_str(host).map_err(|_| not("host", host)));
        let agent = format!("millrace/{VERSION}");
        Ok(Self {
            method,
            path,
            host: host.transpose()?,
            agent: HeaderValue::from_str(&agent).map_err(|_| not("user-agent", &agent))?,
            status: http.status.clone(),
            rule: http.body.as_ref().map(Rule::new).transpose()?,
            tls: http.tls.as_ref().map(|tls| tls::Client::new(tls, Some("http/1.1"))).transpose()?,
        })
    }

    pub(super) async fn ask(&self, target: &Target, step: &Step) -> Result<(), Failure> {
        let body = if self.rule.is_some() { BODY_OCTETS } else { 0 };
        let stream = dial::tcp(target).await?;
        match &self.tls {
            None => self.converse(Meter::new(stream, body), target, step).await,
            Some(client) => {
                step.enter(Stage::Tls);
                dial::hurry(&stream)?;
                let stream = client.connect(Meter::new(stream, body), target).await?;
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
        let mut builder = http1::Builder::new();
        let shaken = builder.max_buf_size(HEAD_OCTETS).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| complaint(&error))?;
        let exchange = async {
            let request = self.request(target)?;
            let mut answer = sender.send_request(request).await.map_err(|error| complaint(&error))?;
            let status = answer.status().as_u16();
            if !self.status.iter().any(|right| right.contains(&status)) {
                return Err(Failure::new(Kind::Status, format!("status {status}")));
            }
            let Some(rule) = &self.rule else { return Ok(()) };
            step.enter(Stage::Body);
            let mut reading = rule.reading();
            while let Some(frame) = answer.frame().await {
                if let Some(piece) = frame.map_err(|error| complaint(&error))?.data_ref() {
                    reading.take(piece)?;
                }
            }
            reading.end(step).await
        };
        dial::over(connection, exchange).await
    }

    fn request(&self, target: &Target) -> Result<Request<Empty<Bytes>>, Failure> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone();
        let host = match &self.host {
            Some(host) => host.clone(),
            None => self.authority(target).try_into().map_err(|error| Failure::local("no Host header", &error))?,
        };
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, self.agent.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if self.method == Method::POST {
            // Some servers refuse to guess that there is no body.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }

    /// The server's address as a Host header has it: without the port that the scheme has anyway (RFC 9110 §4.2).
    fn authority(&self, target: &Target) -> String {
        let name = target.name();
        let usual = if self.tls.is_some() { 443 } else { 80 };
        match (name.port() == usual, name.is_ipv6()) {
            (false, _) => name.to_string(),
            (true, false) => name.ip().to_string(),
            (true, true) => format!("[{}]", name.ip()),
        }
    }
}

/// What hyper says, in other words.
fn complaint(error: &hyper::Error) -> Failure {
    match () {
        () if error.is_parse_too_large() => {
            Failure::new(Kind::Protocol, format!("the answer's head has more than {HEAD_OCTETS} octets"))
        }
        () if error.is_parse() => Failure::new(Kind::Protocol, "the answer is not HTTP/1.1"),
        () if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => failure::closed(),
        () => Failure::of(error),
    }
}
