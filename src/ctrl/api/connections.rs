//! Answers questions about connections. Between two pieces of the table, other requests and signals have their turn.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::refusal::refuse;
use super::server::Director;
use crate::ctrl::connections::{ConnectionCount, Filter, Flushed, Scan};

/// Between the starts of two flushes: two ticks of the connection table, and some more.
const FLUSH_PAUSE: Duration = Duration::from_millis(750);

/// When the last flush began; held while one goes on.
static LAST_FLUSH: Mutex<Option<Instant>> = Mutex::const_new(None);

type Asked = Result<Query<Filter>, QueryRejection>;

/// Starts a walk; for who answers to which id it may have to wait until a change is made.
async fn walk<D: Director>(director: Arc<D>, asked: Asked) -> Result<Scan, Response> {
    let Query(filter) = asked.map_err(|wrong| refuse(StatusCode::BAD_REQUEST, wrong.body_text()))?;
    let started = tokio::task::spawn_blocking(move || director.scan(filter)).await;
    started.map_err(|failed| refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("the walk did not start: {failed}")))
}

/// Lists connections, one JSON object a line, as they are found.
pub(super) async fn list<D: Director>(State(director): State<Arc<D>>, asked: Asked) -> Response {
    let scan = match walk(director, asked).await {
        Ok(scan) => scan,
        Err(refused) => return refused,
    };
    let lines = stream::unfold(scan, |mut scan| async move {
        loop {
            tokio::task::yield_now().await;
            let mut lines = Vec::new();
            for connection in scan.next()? {
                // Plain structures of strings and numbers are always written.
                if serde_json::to_writer(&mut lines, &connection).is_ok() {
                    lines.push(b'\n');
                }
            }
            if !lines.is_empty() {
                return Some((Ok::<_, Infallible>(Bytes::from(lines)), scan));
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Counts connections by state.
pub(super) async fn count<D: Director>(State(director): State<Arc<D>>, asked: Asked) -> Response {
    let scan = match walk(director, asked).await {
        Ok(scan) => scan,
        Err(refused) => return refused,
    };
    let mut count = ConnectionCount::default();
    for connections in scan {
        connections.iter().for_each(|connection| count.add(connection));
        tokio::task::yield_now().await;
    }
    Json(count).into_response()
}

/// Removes connections: their next packets are those of unknown connections.
pub(super) async fn flush<D: Director>(State(director): State<Arc<D>>, asked: Asked) -> Response {
    let scan = match walk(director, asked).await {
        Ok(scan) => scan,
        Err(refused) => return refused,
    };
    // A task of its own, so that a client that hangs up does not leave half of it undone.
    let task = tokio::spawn(async move {
        let mut last = LAST_FLUSH.lock().await;
        if let Some(last) = *last {
            sleep_until(last + FLUSH_PAUSE).await;
        }
        *last = Some(Instant::now());
        flush_all(scan).await
    });
    match task.await {
        Ok(flushed) => Json(flushed).into_response(),
        Err(failed) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("flush did not finish: {failed}")),
    }
}

async fn flush_all(mut scan: Scan) -> Flushed {
    let mut flushed = Flushed::default();
    while scan.flush(&mut flushed).is_some() {
        tokio::task::yield_now().await;
    }
    flushed
}
