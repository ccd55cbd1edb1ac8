//! Answers what is desired, and changes it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusal::{refuse, refuse_change};
use super::report::{OpeningsReport, RealReport, TrafficReport};
use super::server::Director;
use crate::ctrl::change::{Kind, Refused, Transaction};
use crate::ctrl::config::document::Table;
use crate::ctrl::config::schema::{self, Shown, Written};
use crate::ctrl::config::{self, Config, ConfigError, Selector, write};
use crate::ctrl::health::book::State as ServerState;

/// What `GET /v1/services` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// The version of the desired state.
    pub version: u64,
    /// The connections that their table is sized for.
    #[serde(default)]
    pub max_connections: u64,
    /// Virtual services, in the order in which they are looked through.
    pub services: Vec<ServiceState>,
}

/// A virtual service: its keys in the configuration, those at their defaults included, and what is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceState {
    /// The keys of `[[service]]`, but for `real`.
    #[serde(flatten)]
    #[schemars(with = "Shown<schema::Service>")]
    pub keys: Table,
    /// Its traffic.
    pub stats: TrafficReport,
    /// Its traffic a second, by IPVS's estimate.
    #[serde(default)]
    pub rates: TrafficReport,
    /// What is counted of its sorry server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorry_stats: Option<RealStats>,
    /// Its real servers.
    pub real: Vec<RealState>,
}

/// A real server: its keys in the configuration, those at their defaults included, and what is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RealState {
    /// The keys of `[[service.real]]`.
    #[serde(flatten)]
    #[schemars(with = "Shown<schema::Real>")]
    pub keys: Table,
    /// Whether it is in the pool.
    #[serde(default)]
    pub state: ServerState,
    /// The weight that it has now; null if it has failed and was taken out.
    pub running_weight: Option<u16>,
    /// What is counted.
    pub stats: RealStats,
}

/// What is counted of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RealStats {
    /// Its connections in an established state.
    pub active: u64,
    /// Its other connections.
    pub inactive: u64,
    /// Persistence templates that name it.
    pub persistent: u64,
    /// How much of its weight counts so far, in percent, while it starts slowly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start_percent: Option<u8>,
    /// Its traffic.
    #[serde(flatten)]
    pub traffic: TrafficReport,
    /// Its traffic a second, by IPVS's estimate.
    #[serde(default)]
    pub rates: TrafficReport,
    /// What became of the openings of its TCP connections; null where the director does not see its answers.
    #[serde(default)]
    pub openings: Option<OpeningsReport>,
}

impl From<&RealReport> for RealStats {
    fn from(report: &RealReport) -> Self {
        let RealReport { active, inactive, persistent, slow_start_percent, traffic, rates, openings, .. } = *report;
        Self { active, inactive, persistent, slow_start_percent, traffic, rates, openings }
    }
}

impl ServiceState {
    /// Returns what the keys say: the service as it is configured, its real servers in the order of [`ServiceState::real`].
    ///
    /// # Errors
    /// If that is not what a director writes.
    pub fn service(&self) -> Result<config::Service, ConfigError> {
        let mut table = self.keys.clone();
        table.set("real", self.real.iter().map(|real| real.keys.clone()).collect::<Vec<_>>());
        config::parts::foreign_service(&table)
    }
}

/// What `GET /v1/config` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Configuration {
    /// The version of the desired state.
    pub version: u64,
    /// The running configuration, with the keys of the file; what is at its default is left out.
    #[schemars(with = "Written<schema::File>")]
    pub config: Table,
}

impl Configuration {
    /// Returns what the document says.
    ///
    /// # Errors
    /// If that is not what a director writes.
    pub fn config(&self) -> Result<Config, ConfigError> {
        config::parts::config(&self.config)
    }
}

/// What `GET /v1/diff` answers: what the configuration file has that does not run, in lines for an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The version of the desired state.
    pub version: u64,
    /// What a reload would change, if nothing needed a restart.
    pub changed: Vec<String>,
    /// What only a restart changes; while there is any, a reload is refused.
    pub restart: Vec<String>,
}

/// Which services are asked for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Which {
    /// One, by the keys that say which it is, as JSON.
    #[schemars(extend("contentMediaType" = "application/json", "contentSchema" = {"$ref": "#/components/schemas/ServiceKey"}))]
    service: Option<String>,
}

/// Lists the services, or shows one.
pub(super) async fn services<D: Director>(
    State(director): State<Arc<D>>,
    asked: Result<Query<Which>, QueryRejection>,
) -> Response {
    let Query(Which { service }) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return refuse(StatusCode::BAD_REQUEST, wrong.body_text()),
    };
    let only = match service.map(|key| selector(&key, &director.desired().config)).transpose() {
        Ok(only) => only,
        Err(refused) => return refuse_change(refused),
    };
    aside(move || Json(director.services(only.as_ref())).into_response()).await
}

pub(super) fn selector(json: &str, config: &Config) -> Result<Selector, Refused> {
    let wrong = |cause: serde_json::Error| Refused::new(Kind::Invalid, format!("service: {cause}"));
    let key: Table = serde_json::from_str(json).map_err(wrong)?;
    Ok(config::parts::key(&key, "service", &config.ports)?)
}

/// Shows the running configuration.
pub(super) async fn config<D: Director>(State(director): State<Arc<D>>) -> Response {
    let config = move || {
        let desired = director.desired();
        Json(Configuration { version: desired.version, config: write::config(&desired.config) }).into_response()
    };
    aside(config).await
}

/// Shows in what the file and what runs differ.
pub(super) async fn difference<D: Director>(State(director): State<Arc<D>>) -> Response {
    let difference = move || match director.difference() {
        Ok(difference) => Json(difference).into_response(),
        Err(refused) => refuse_change(refused),
    };
    aside(difference).await
}

/// Makes changes, all or none.
pub(super) async fn change<D: Director>(State(director): State<Arc<D>>, body: Bytes) -> Response {
    let change = move || match Transaction::read(&body).and_then(|transaction| director.change(&transaction)) {
        Ok(changed) => Json(changed).into_response(),
        Err(refused) => refuse_change(refused),
    };
    aside(change).await
}

/// Makes an answer that may take a while, so that other requests and signals have their turn.
pub(super) async fn aside(answer: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(answer).await {
        Ok(response) => response,
        Err(failed) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer did not finish: {failed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctrl::config::document::Value;

    #[test]
    fn a_client_reads_back_what_a_director_writes() {
        let text = r#"{"version":3,"services":[{"match":{"to":"203.0.113.0/28","ingress":"wan"},"scheduler":"wrr",
            "stats":{"connections":1,"in_packets":2,"in_octets":3,"out_packets":4,"out_octets":5},
            "real":[{"address":"10.0.0.2","weight":3,"running_weight":3,"stats":{"active":7,"inactive":0,"persistent":0,
            "connections":1,"in_packets":2,"in_octets":3,"out_packets":4,"out_octets":5}}]}]}"#;
        let services: Services = serde_json::from_str(text).unwrap();
        let state = &services.services[0];
        assert_eq!((services.version, state.stats.out_octets, state.real[0].stats.active), (3, 5, 7));
        let service = state.service().unwrap();
        assert_eq!(service.selector.to_string(), "to 203.0.113.0/28:0 in wan");
        assert_eq!((service.scheduler.name(), service.reals[0].weight), ("wrr", 3));
        let again = serde_json::to_string(&services).unwrap();
        assert_eq!(serde_json::from_str::<Services>(&again).unwrap(), services);
        assert!(matches!(state.keys.get("match"), Some(Value::Table(_))));
    }
}
