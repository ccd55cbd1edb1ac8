//! The document that describes the API to programs: OpenAPI 3.1.
//!
//! It is made of what the API itself is made of: the operations in `calls`, the types of what they take and answer with the
//! words of their docs, and the tables of the configuration's keys.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::calls::{Answer, Call, OPERATIONS, Operation};
use super::refusal::Refusal;

/// Where schemas are that have names.
const SCHEMAS: &str = "/components/schemas";

/// What is said of the whole.
const DESCRIPTION: &str = "\
A director is asked and told by HTTP: on its Unix socket, and on TCP where `[api] listen` says so. What is refused is answered by a \
status of 400 or more and a Refusal: 404 for a path that there is not, 405 for a method that a path does not take. A HEAD is \
answered wherever a GET is.

The desired state has a version, which each change and each reload that changes something makes one higher. A request for changes \
that names a version is refused with 409 unless that one runs.

Keys and values of services, real servers and the configuration are those of the configuration file.";

/// Requests that one may make, by name.
pub(super) const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "weight",
        "A real server gets more new connections.",
        r#"{"changes": [{"op": "set-real", "service": {"address": "203.0.113.10:80"}, "real": "10.0.0.11:8080", "set": {"weight": 3}}]}"#,
    ),
    (
        "service",
        "A service comes with two real servers, if version 17 still runs.",
        r#"{"version": 17, "changes": [{"op": "add-service", "service": {"address": "203.0.113.10:443", "scheduler": "mh",
            "scheduler_flags": ["mh-port"], "persistence": {"timeout": 300},
            "real": [{"address": "10.0.0.11"}, {"address": "10.0.0.12", "weight": 2}]}}]}"#,
    ),
    (
        "swap",
        "What would change if a real server took another's place.",
        r#"{"dry_run": true, "changes": [
            {"op": "add-real", "service": {"address": "203.0.113.10:53", "protocol": "udp"}, "real": {"address": "10.0.0.13"}},
            {"op": "remove-real", "service": {"address": "203.0.113.10:53", "protocol": "udp"}, "real": "10.0.0.11"}]}"#,
    ),
    (
        "defaults",
        "Settings go back to their defaults.",
        r#"{"changes": [{"op": "set-service", "service": {"mark": 7}, "set": {"timeout": null, "scheduler": null}},
            {"op": "set-timeouts", "set": {"tcp": "30m", "udp": 60, "tcp_fin": null}}]}"#,
    ),
    (
        "anew",
        "Everything goes, and one service comes anew.",
        r#"{"changes": [{"op": "remove-service", "service": {"match": {"to": "203.0.113.0/28", "port": 443}}}, {"op": "clear"},
            {"op": "add-service", "service": {"address": "203.0.113.10:80"}}]}"#,
    ),
];

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// Answers with the document.
pub(super) async fn answer() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// Makes the document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.name] = schemas.operation(operation);
    }
    let refusals: Map<_, _> = REFUSALS.iter().map(|(status, _)| (name(*status), schemas.refusal(*status))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "millrace",
            "version": crate::VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The director that this document is from."}],
        "security": [{}, {"token": []}, {"certificate": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": refusals,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "On TCP with `token_file`: every request needs the token.",
                },
                "certificate": {
                    "type": "mutualTLS",
                    "description": "On TCP with `client_ca`: a certificate of that authority. The Unix socket needs neither; \
                        a listener on TCP that has neither can be read, and changes nothing.",
                },
            },
        },
    })
}

/// What the statuses of refusals mean.
const REFUSALS: &[(StatusCode, &str)] = &[
    (StatusCode::BAD_REQUEST, "The query or the body is not what this takes."),
    (StatusCode::UNAUTHORIZED, "The token is missing or wrong."),
    (
        StatusCode::FORBIDDEN,
        "The listener is for reading only: it has neither a token nor an authority for certificates.",
    ),
    (StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time."),
    (StatusCode::CONFLICT, "Another version of the desired state runs. Nothing was changed."),
    (StatusCode::PAYLOAD_TOO_LARGE, "The body is too long."),
    (StatusCode::UNPROCESSABLE_ENTITY, "What is asked cannot be. Nothing was changed."),
];

/// The refusals of every operation.
const ALWAYS: &[StatusCode] = &[StatusCode::UNAUTHORIZED];
/// Those of what is more than looking.
const OF_CHANGES: &[StatusCode] = &[StatusCode::FORBIDDEN];
/// Those of what has a body.
const OF_BODIES: &[StatusCode] = &[StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE];

fn name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().replace(' ', "")
}

/// The schemas that came up so far: of what is read, and of what is written.
struct Schemas {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        Self {
            taken: settings.clone().for_deserialize().into_generator(),
            answered: settings.for_serialize().into_generator(),
        }
    }

    /// Returns those that have names.
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.answered.take_definitions(true));
        // They are there as parameters.
        for operation in OPERATIONS {
            if let Some(query) = operation.query {
                all.remove(&referred(&query(&mut self.taken).to_value()));
            }
        }
        all
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let mut value = json!({
            "operationId": format!("{:?}", operation.call).to_lowercase(),
            "summary": operation.summary,
            "responses": self.responses(operation),
        });
        if let Some(query) = operation.query {
            let schema = query(&mut self.taken).to_value();
            value["parameters"] = parameters(&self.taken.definitions()[&referred(&schema)]);
        }
        if let Some(body) = operation.body {
            let mut content = json!({"schema": body(&mut self.taken)});
            if operation.call == Call::Change {
                content["examples"] = examples();
            }
            value["requestBody"] = json!({"required": true, "content": {"application/json": content}});
        }
        value
    }

    fn responses(&mut self, operation: &Operation) -> Value {
        let content = match operation.answer {
            Answer::Json(answer) => json!({"application/json": {"schema": answer(&mut self.answered)}}),
            Answer::Lines(line) => json!({"application/x-ndjson": {"schema": {
                "type": "string",
                "description": "Any number of lines, each of which is a JSON value of its own.",
                "contentMediaType": "application/x-ndjson",
                "contentSchema": {"type": "array", "items": line(&mut self.answered)},
            }}}),
            Answer::Other("application/json") => json!({"application/json": {"schema": {"type": "object"}}}),
            Answer::Other(media) => json!({media: {"schema": {"type": "string"}}}),
        };
        let mut responses = json!({"200": {"description": "Done.", "content": content}});
        let none: &[StatusCode] = &[];
        let changes = if operation.method.name == "get" { none } else { OF_CHANGES };
        let bodies = if operation.body.is_some() { OF_BODIES } else { none };
        for status in [ALWAYS, changes, bodies, operation.refusals].concat() {
            responses[status.as_str()] = json!({"$ref": format!("#/components/responses/{}", name(status))});
        }
        responses["default"] = self.failure("Anything else that went wrong.");
        responses
    }

    fn refusal(&mut self, status: StatusCode) -> Value {
        let known = REFUSALS.iter().find(|(known, _)| *known == status);
        let mut refusal = self.failure(known.map_or("", |(_, text)| text));
        if status == StatusCode::UNAUTHORIZED {
            refusal["headers"] = json!({"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}});
        }
        refusal
    }

    fn failure(&mut self, description: &str) -> Value {
        let schema = self.answered.subschema_for::<Refusal>();
        json!({"description": description, "content": {"application/json": {"schema": schema}}})
    }
}

/// The name of the schema that a reference is to.
fn referred(schema: &Value) -> String {
    schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
}

/// An object's properties as parameters of a query.
fn parameters(object: &Value) -> Value {
    let properties = object["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let schema = present(schema);
        json!({"name": name, "in": "query", "description": description, "schema": schema})
    };
    properties.map(parameter).collect()
}

/// What a value may be that is there: a query has no null.
fn present(mut schema: Value) -> Value {
    for several in ["type", "anyOf"] {
        let Some(choices) = schema.get_mut(several).and_then(Value::as_array_mut) else { continue };
        choices.retain(|choice| choice != "null" && choice["type"] != "null");
        match (several, choices.as_slice()) {
            ("type", [one]) => schema["type"] = one.clone(),
            (_, [one]) => return one.clone(),
            _ => {}
        }
    }
    schema
}

fn examples() -> Value {
    let example = |(name, summary, json): &(&str, &str, &str)| {
        let value: Value = serde_json::from_str(json).unwrap_or_default();
        ((*name).to_owned(), json!({"summary": summary, "value": value}))
    };
    EXAMPLES.iter().map(example).collect::<Map<_, _>>().into()
}
