//! Answers how real servers are, and takes them out for maintenance.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desired::{aside, selector};
use super::refusal::{refuse, refuse_change};
use super::server::Director;
use crate::ctrl::config::document::Table;
use crate::ctrl::config::schema::{Key, Written};
use crate::ctrl::config::{self, Real, write};
use crate::ctrl::health::book::{self, Book, Observed};
use crate::ctrl::health::live::Last;
use crate::ctrl::health::observe::Seen;

/// What `GET /v1/health` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// Real servers that are checked or in maintenance, in the order of the configuration.
    pub servers: Vec<ServerHealth>,
    /// Services that have lost their quorum.
    pub lost_quorum: Vec<String>,
}

/// How a real server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerHealth {
    /// Its service.
    pub service: String,
    /// The service's protocol.
    pub protocol: String,
    /// RIP and port.
    pub real: String,
    /// Whether it is in the pool.
    pub state: book::State,
    /// Whether its checks are answered; none if nobody checks it.
    pub up: Option<bool>,
    /// How it is checked: the type. None if it is not.
    pub check: Option<String>,
    /// Why it is as it is; none if it was never otherwise.
    pub reason: Option<String>,
    /// When its checks last changed its state, RFC 3339; none if they never did.
    pub since: Option<String>,
    /// How many checks were answered rightly.
    pub right: u64,
    /// How many failed.
    pub wrong: u64,
    /// How many could not be made, for reasons that are not the server's.
    pub unmade: u64,
    /// How many checks in a row have said otherwise than its state.
    pub against: u32,
    /// What clients' connections of the last seconds say of it: `well`, `nothing`, since there were too few, or why it is held to
    /// fail, and stays only since none is left that does better. None if they are not observed.
    pub observed: Option<String>,
    /// Until when it is kept out although it answers, since it failed again and again; RFC 3339.
    pub held_until: Option<String>,
    /// Its last check.
    pub last: Option<LastCheck>,
    /// The last changes of its state, the latest last.
    pub history: Vec<Turned>,
}

/// A check that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastCheck {
    /// When it ended, RFC 3339.
    pub at: String,
    /// How long it took.
    pub seconds: f64,
    /// What was wrong; none if nothing was.
    pub failure: Option<String>,
}

/// A change of a real server's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Turned {
    /// When, RFC 3339.
    pub at: String,
    /// Whether it is up since.
    pub up: bool,
    /// Why.
    pub reason: String,
}

impl ServerHealth {
    /// What the book has of a real server.
    pub fn new(book: &Book, key: &book::Key, real: &Real) -> Self {
        let station = book.station(key);
        let seen = station.map(|station| station.live.seen()).unwrap_or_default();
        let history: Vec<_> = station.iter().flat_map(|station| &station.history).map(Turned::from).collect();
        let latest = history.last().cloned();
        Self {
            service: key.0.to_string(),
            protocol: key.0.protocol().to_lowercase(),
            real: write::real_address(real),
            state: book.state(key),
            up: station.map(|station| station.up),
            check: station.map(|station| config::check_type(&station.check).to_owned()),
            reason: latest.as_ref().map(|turn| turn.reason.clone()),
            since: latest.map(|turn| turn.at),
            right: seen.right,
            wrong: seen.wrong,
            unmade: seen.unmade,
            against: seen.against,
            observed: station
                .filter(|station| station.check.observe.is_some())
                .map(|station| observed(&station.observed)),
            held_until: seen.held_until.map(time),
            last: seen.last.map(Into::into),
            history,
        }
    }
}

impl From<Last> for LastCheck {
    fn from(Last { at, took, failure }: Last) -> Self {
        Self { at: time(at), seconds: took.as_secs_f64(), failure }
    }
}

impl From<&book::Turn> for Turned {
    fn from(turn: &book::Turn) -> Self {
        Self { at: time(turn.at), up: turn.up, reason: turn.reason.clone() }
    }
}

fn observed(observed: &Observed) -> String {
    match &observed.seen {
        Seen::Nothing => "nothing".to_owned(),
        Seen::Well => "well".to_owned(),
        Seen::Failing(why) => why.clone(),
    }
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// Which real servers are asked for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Whom {
    /// Those of one service, by the keys that say which it is, as JSON.
    #[schemars(extend("contentMediaType" = "application/json", "contentSchema" = {"$ref": "#/components/schemas/ServiceKey"}))]
    service: Option<String>,
    /// Those with this address, with a port or without.
    real: Option<String>,
}

pub(super) async fn health<D: Director>(
    State(director): State<Arc<D>>,
    asked: Result<Query<Whom>, QueryRejection>,
) -> Response {
    let Query(Whom { service, real }) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, wrong.body_text()),
    };
    let only = match service.map(|key| selector(&key, &director.desired().config)).transpose() {
        Ok(only) => only,
        Err(refused) => return refuse_change(refused),
    };
    let report = move || match director.health(only.as_ref(), real.as_deref()) {
        Ok(report) => Json(report).into_response(),
        Err(refused) => refuse_change(refused),
    };
    aside(report).await
}

/// What `POST /v1/maintenance` takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// The real server, with a port or without.
    pub real: String,
    /// The service, by the keys that name it; none for all that have the real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Written<Key>>")]
    pub service: Option<Table>,
    /// Whether it is taken out, or put back.
    pub on: bool,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Maintained {
    /// The services in which it was taken out or put back; none where it was so already.
    pub services: Vec<String>,
}

pub(super) async fn maintain<D: Director>(State(director): State<Arc<D>>, body: Bytes) -> Response {
    let asked: Maintenance = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(cause) => return refuse(StatusCode::BAD_REQUEST, format!("the request makes no sense: {cause}")),
    };
    let maintain = move || match director.maintain(&asked) {
        Ok(services) => Json(Maintained { services }).into_response(),
        Err(refused) => refuse_change(refused),
    };
    aside(maintain).await
}
