//! What every refused request answers.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ctrl::change::{Kind, Refused};

/// What every refused request answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Why, in one line.
    pub error: String,
    /// The same for programs, if it was a change that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The change that is to blame, counted from 0, if it is one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<usize>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { error: refused.error, kind: Some(refused.kind), change: refused.change }
    }
}

/// Answers `error`.
pub(super) fn refuse(status: StatusCode, error: String) -> Response {
    (status, Json(Refusal { error, kind: None, change: None })).into_response()
}

/// Answers that a change was refused.
pub(super) fn refuse_change(refused: Refused) -> Response {
    let status = match refused.kind {
        Kind::Version => StatusCode::CONFLICT,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(Refusal::from(refused))).into_response()
}
