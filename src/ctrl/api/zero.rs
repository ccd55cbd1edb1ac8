//! Sets counters of services and real servers to zero.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desired::aside;
use super::refusal::{refuse, refuse_change};
use super::server::Director;
use crate::ctrl::config::document::Table;
use crate::ctrl::config::schema::{Key, Written};

/// What `POST /v1/zero` takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ZeroRequest")]
pub(super) struct Whose {
    /// The service, by the keys that name it; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Written<Key>>")]
    pub service: Option<Table>,
}

/// What it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Zeroed {
    /// How many services count from zero again.
    pub services: usize,
}

pub(super) async fn zero<D: Director>(State(director): State<Arc<D>>, body: Bytes) -> Response {
    let which: Whose = match serde_json::from_slice(&body) {
        Ok(which) => which,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, format!("the request makes no sense: {cause}")),
    };
    let zero = move || match director.zero(which.service.as_ref()) {
        Ok(services) => Json(Zeroed { services }).into_response(),
        Err(refused) => refuse_change(refused),
    };
    aside(zero).await
}
