//! Drains the director: routers are to turn to others, while it goes on forwarding.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desired::aside;
use super::refusal::refuse;
use super::server::Director;

/// What `POST /v1/drain` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DrainRequest")]
pub(super) struct Wish {
    /// Whether VIPs are kept from the routers from now on.
    pub draining: bool,
}

/// What `GET` and `POST /v1/drain` answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draining {
    /// Whether VIPs are kept from the routers.
    pub draining: bool,
    /// How many VIPs are announced.
    pub announced: usize,
    /// Connections in an established state. One that goes on by way of another director stays until its time is over.
    pub active: u64,
    /// All others.
    pub inactive: u64,
    /// Packets of clients and of real servers that were sent on, since the start: while it stands still, routers send none.
    pub forwarded: u64,
}

/// Tells how far it is.
pub(super) async fn look<D: Director>(State(director): State<Arc<D>>) -> Json<Draining> {
    Json(director.draining())
}

/// Withdraws the VIPs, or announces them again.
pub(super) async fn drain<D: Director>(State(director): State<Arc<D>>, body: Bytes) -> Response {
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, format!("the request makes no sense: {cause}")),
    };
    let drain = move || match director.drain(wish.draining) {
        Some(draining) => Json(draining).into_response(),
        None => {
            let error = "this director announces no VIPs: its configuration has no [announce]";
            refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_owned())
        }
    };
    aside(drain).await
}
