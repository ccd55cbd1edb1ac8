//! All that the API can be asked, as data: the router is made of it, and so is the document that describes the API.

use axum::http::StatusCode;
use axum::routing::MethodFilter;
use schemars::{Schema, SchemaGenerator};

use super::desired::{Configuration, Difference, Services, Which};
use super::drain::{Draining, Wish};
use super::health::{HealthReport, Maintained, Maintenance, Whom};
use super::network::{Neighbors, Ports, Routes};
use super::report::{Changed, Report, Version};
use super::server::How;
use super::zero::{Whose, Zeroed};
use crate::ctrl::change::Transaction;
use crate::ctrl::connections::{ConnectionCount, ConnectionReport, Filter, Flushed};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Metrics,
    Stats,
    Services,
    Ports,
    Neighbors,
    Routes,
    Health,
    Maintenance,
    Config,
    Difference,
    Change,
    Zero,
    Draining,
    Drain,
    Reload,
    Connections,
    Count,
    Flush,
    Version,
    Document,
}

/// A method, as the router and as the document know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub filter: MethodFilter,
    pub name: &'static str,
}

pub(super) const GET: Method = Method { filter: MethodFilter::GET, name: "get" };
pub(super) const POST: Method = Method { filter: MethodFilter::POST, name: "post" };
pub(super) const DELETE: Method = Method { filter: MethodFilter::DELETE, name: "delete" };

/// Makes a type's schema.
pub(super) type Type = fn(&mut SchemaGenerator) -> Schema;

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// One JSON value.
    Json(Type),
    /// JSON values, each on a line of its own.
    Lines(Type),
    /// Something else, of this media type.
    Other(&'static str),
}

/// One of the things that can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub call: Call,
    pub method: Method,
    pub path: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// An object, each of whose properties may be there in the query.
    pub query: Option<Type>,
    /// What the body is.
    pub body: Option<Type>,
    pub answer: Answer,
    /// The statuses of refusals that are its own.
    pub refusals: &'static [StatusCode],
}

const fn look(call: Call, path: &'static str, summary: &'static str, answer: Answer) -> Operation {
    Operation { call, method: GET, path, summary, query: None, body: None, answer, refusals: &[] }
}

const FILTER: Option<Type> = Some(SchemaGenerator::subschema_for::<Filter>);
const DRAINING: Answer = Answer::Json(SchemaGenerator::subschema_for::<Draining>);
const CHANGED: Answer = Answer::Json(SchemaGenerator::subschema_for::<Changed>);

/// Everything that can be asked.
pub(super) const OPERATIONS: &[Operation] = &[
    look(
        Call::Stats,
        "/v1/stats",
        "Tells everything that is counted.",
        Answer::Json(SchemaGenerator::subschema_for::<Report>),
    ),
    Operation {
        query: Some(SchemaGenerator::subschema_for::<Which>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Services,
            "/v1/services",
            "Lists the virtual services, or one of them, as they are configured, and what is counted of them.",
            Answer::Json(SchemaGenerator::subschema_for::<Services>),
        )
    },
    look(
        Call::Ports,
        "/v1/ports",
        "Lists the ports, and what is counted of them.",
        Answer::Json(SchemaGenerator::subschema_for::<Ports>),
    ),
    look(
        Call::Neighbors,
        "/v1/neighbors",
        "Lists the stations on the director's links.",
        Answer::Json(SchemaGenerator::subschema_for::<Neighbors>),
    ),
    look(
        Call::Routes,
        "/v1/routes",
        "Lists the routes: configured ones, the networks of the ports, those of the host; and which of them packets take.",
        Answer::Json(SchemaGenerator::subschema_for::<Routes>),
    ),
    Operation {
        query: Some(SchemaGenerator::subschema_for::<Whom>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Health,
            "/v1/health",
            "Tells how real servers are that are checked or in maintenance.",
            Answer::Json(SchemaGenerator::subschema_for::<HealthReport>),
        )
    },
    Operation {
        method: POST,
        body: Some(SchemaGenerator::subschema_for::<Maintenance>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Maintenance,
            "/v1/maintenance",
            "Takes a real server out for maintenance, or puts it back.",
            Answer::Json(SchemaGenerator::subschema_for::<Maintained>),
        )
    },
    look(
        Call::Config,
        "/v1/config",
        "Shows the running configuration, with the keys of the file.",
        Answer::Json(SchemaGenerator::subschema_for::<Configuration>),
    ),
    Operation {
        refusals: &[StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Difference,
            "/v1/diff",
            "Tells what the configuration file has that does not run.",
            Answer::Json(SchemaGenerator::subschema_for::<Difference>),
        )
    },
    Operation {
        method: POST,
        body: Some(SchemaGenerator::subschema_for::<Transaction>),
        refusals: &[StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(Call::Change, "/v1/changes", "Makes changes, all of them or none.", CHANGED)
    },
    Operation {
        method: POST,
        body: Some(SchemaGenerator::subschema_for::<Whose>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Zero,
            "/v1/zero",
            "Sets the counters of one service and its real servers, or of all, to zero.",
            Answer::Json(SchemaGenerator::subschema_for::<Zeroed>),
        )
    },
    look(
        Call::Draining,
        "/v1/drain",
        "Tells whether VIPs are kept from the routers, and what is left of connections.",
        DRAINING,
    ),
    Operation {
        method: POST,
        body: Some(SchemaGenerator::subschema_for::<Wish>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(
            Call::Drain,
            "/v1/drain",
            "Withdraws the VIPs, so that routers turn to other directors, or announces them again.",
            DRAINING,
        )
    },
    Operation {
        method: POST,
        query: Some(SchemaGenerator::subschema_for::<How>),
        refusals: &[StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY],
        ..look(Call::Reload, "/v1/reload", "Applies the configuration file again, or refuses it as a whole.", CHANGED)
    },
    Operation {
        query: FILTER,
        refusals: &[StatusCode::BAD_REQUEST],
        ..look(
            Call::Connections,
            "/v1/connections",
            "Lists connections, as they are found.",
            Answer::Lines(SchemaGenerator::subschema_for::<ConnectionReport>),
        )
    },
    Operation {
        method: DELETE,
        query: FILTER,
        refusals: &[StatusCode::BAD_REQUEST],
        ..look(
            Call::Flush,
            "/v1/connections",
            "Removes connections: without a query, all of them.",
            Answer::Json(SchemaGenerator::subschema_for::<Flushed>),
        )
    },
    Operation {
        query: FILTER,
        refusals: &[StatusCode::BAD_REQUEST],
        ..look(
            Call::Count,
            "/v1/connections/count",
            "Counts connections, by state.",
            Answer::Json(SchemaGenerator::subschema_for::<ConnectionCount>),
        )
    },
    look(
        Call::Version,
        "/v1/version",
        "Tells which program answers.",
        Answer::Json(SchemaGenerator::subschema_for::<Version>),
    ),
    look(Call::Document, "/v1/openapi.json", "Describes this API.", Answer::Other("application/json")),
    look(
        Call::Metrics,
        "/metrics",
        "Tells what is counted, for Prometheus.",
        Answer::Other(super::metrics::CONTENT_TYPE),
    ),
];
