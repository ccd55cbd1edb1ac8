//! The document against what a director does.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::super::openapi::{EXAMPLES, document};
use super::*;
use crate::ctrl::connections::{ConnectionCount, ConnectionReport};

/// A little of everything.
const FULL: &str = "\
[director]
workers = [1, 2]
max_connections = 5000
poll = 'adaptive'
dpdk_args = ['--telemetry']
[api]
socket = '/tmp/millrace.sock'
listen = '127.0.0.1:9180'
[announce]
[timeouts]
tcp = '20m'
[ipvs]
sloppy_tcp = 1
[[port]]
name = 'lan'
device = 'net_ring0'
addresses = ['10.0.0.1/24']
mac = '02:00:00:00:00:01'
mtu = 9000
[[port]]
name = 'wan'
device = 'net_ring1'
twin = 'wan0'
[[route]]
to = '0.0.0.0/0'
via = '10.0.0.254'
[[neighbor]]
address = '10.0.0.7'
mac = '02:00:00:00:00:07'
[[mark]]
mark = 7
match = { protocol = 'tcp', from = '198.51.100.0/24', port = '8000-8999', ingress = 'wan' }
[[service]]
address = '203.0.113.10:80'
scheduler = 'mh'
scheduler_flags = ['mh-port', 'mh-fallback']
mh_table_size = 251
timeout = '1h'
persistence = { timeout = 600, mask = 24 }
max_new_per_second = 1000
mss_clamp = 1400
slow_start = '30s'
sorry_server = { address = '10.0.0.99:80', forwarding = 'direct' }
real = [{ address = '10.0.0.11:8080', weight = 2, upper = 9, lower = 5 }, { address = '10.0.0.12', forwarding = 'tunnel' }]
[[service]]
address = '203.0.113.10:53'
protocol = 'udp'
ops = true
mss_clamp = 'off'
no_server = 'reset'
real = [{ address = '10.0.0.11', forwarding = 'direct' }]
[[service]]
address = '203.0.113.0/30:90-99'
vips = ['203.0.113.1-203.0.113.2']
[[service]]
match = { to = '203.0.113.0/28', port = 443 }
[[service]]
mark = 7
timeout = '5m'
";

fn director() -> Running {
    unmanned(FULL)
}

/// The paths, each with its operations by method.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().iter().map(move |(method, it)| (path.as_str(), method.as_str(), it))
    })
}

/// What the schema at `pointer` says of values; with `strict`, that an object has no keys that it does not name.
fn validator(document: &Value, pointer: &str, strict: bool) -> Validator {
    let mut components = document["components"].clone();
    let mut schema = document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")).clone();
    if strict {
        close(&mut components["schemas"]);
        close(&mut schema);
    }
    schema["components"] = components;
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Refuses keys that a schema does not name.
fn close(schema: &mut Value) {
    if schema["properties"].is_object() && schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = false.into();
    }
    let inner: Vec<&mut Value> = match schema {
        Value::Object(all) => all.values_mut().collect(),
        Value::Array(all) => all.iter_mut().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(close);
}

fn assert_valid(validator: &Validator, value: &Value, what: &str) {
    let mistakes: Vec<_> =
        validator.iter_errors(value).map(|mistake| format!("{}: {mistake}", mistake.instance_path())).collect();
    assert!(mistakes.is_empty(), "{what}: {mistakes:#?}");
}

/// Where the schema of an answer is.
fn answer_at(path: &str, method: &str, status: &str) -> String {
    format!("/paths/{}/{method}/responses/{status}/content/application~1json/schema", path.replace('/', "~1"))
}

/// Asks, and returns the status and the body.
fn asked(socket: &Path, method: &str, path: &str, body: &str) -> (u16, String) {
    let head = format!("{} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n", method.to_uppercase());
    let answer = exchange(socket, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn a_path_takes_the_methods_that_the_document_says_and_no_others() {
    let document = document();
    with("methods", director(), |socket| {
        for (path, known) in document["paths"].as_object().unwrap() {
            for method in ["get", "post", "put", "patch", "delete"] {
                let (status, body) = asked(socket, method, path, "");
                let taken = ![404, 405].contains(&status);
                assert_eq!(taken, known.get(method).is_some(), "{method} {path}: {status} {body}");
            }
        }
    });
}

#[test]
fn the_docs_have_every_operation() {
    let docs = include_str!("../../../../docs/api.md");
    let document = document();
    for (path, method, _) in operations(&document) {
        assert!(docs.contains(&format!("`{} {path}`", method.to_uppercase())), "{method} {path}");
    }
    let named = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    for (method, path) in named.filter_map(|(operation, _)| operation.split_once(" /")) {
        let path = format!("/paths/~1{}/{}", path.replace('/', "~1"), method.to_lowercase());
        assert!(document.pointer(&path).is_some(), "{path}");
    }
}

#[test]
fn answers_are_as_the_document_says() {
    let document = document();
    let service = "%7B%22mark%22%3A7%7D";
    with("described", director(), |socket| {
        let check = |method: &str, path: &str, query: &str, body: &str, expected: u16| {
            let (status, answer) = asked(socket, method, &format!("{path}{query}"), body);
            assert_eq!(status, expected, "{method} {path}{query}: {answer}");
            let refusals = "/components/responses";
            let pointer = match document["paths"][path][method]["responses"][status.to_string()]["$ref"].as_str() {
                Some(name) => {
                    assert!(name.starts_with(&format!("#{refusals}/")), "{name}");
                    format!("{}/content/application~1json/schema", &name[1..])
                }
                None => answer_at(path, method, &status.to_string()),
            };
            let answer = serde_json::from_str(&answer).unwrap();
            assert_valid(&validator(&document, &pointer, true), &answer, &format!("{method} {path}{query}"));
        };
        for path in
            ["stats", "services", "ports", "neighbors", "routes", "config", "drain", "connections/count", "version"]
        {
            check("get", &format!("/v1/{path}"), "", "", 200);
        }
        check("get", "/v1/openapi.json", "", "", 200);
        check("get", "/v1/services", &format!("?service={service}"), "", 200);
        check("get", "/v1/services", "?service=7", "", 422);
        check("get", "/v1/services", "?service=7&service=8", "", 400);
        check("get", "/v1/connections/count", "?protocol=tcp&real=10.0.0.11", "", 200);
        check("get", "/v1/connections/count", "?reel=10.0.0.11", "", 400);
        check("delete", "/v1/connections", "?mark=7", "", 200);
        check("post", "/v1/zero", "", r#"{"service":{"mark":7}}"#, 200);
        check("post", "/v1/zero", "", r#"{"service":{"mark":8}}"#, 422);
        check("post", "/v1/zero", "", r#"{"servce":{"mark":7}}"#, 400);
        check("post", "/v1/drain", "", r#"{"draining":true}"#, 200);
        check("post", "/v1/drain", "", r#"{"draining":1}"#, 400);
        check("post", "/v1/drain", "", "", 400);
        check("post", "/v1/reload", "?dry_run=true", "", 422);
        check("post", "/v1/reload", "?dry_run=7", "", 400);
        check("post", "/v1/changes", "", r#"{"changes":[{"op":"clear"}],"dry_run":true}"#, 200);
        let some = r#"{"skip_refused":true,"changes":[{"op":"remove-service","service":{"mark":8}},{"op":"clear"}]}"#;
        check("post", "/v1/changes", "", some, 200);
        check("post", "/v1/changes", "", r#"{"changes":[{"op":"clear"},{}]}"#, 422);
        check("post", "/v1/changes", "", r#"{"changes":[],"version":9}"#, 409);
        for (method, path, expected) in [("get", "/v1/stat", 404), ("put", "/v1/stats", 405)] {
            let (status, answer) = asked(socket, method, path, "");
            assert_eq!(status, expected);
            let refusal = validator(&document, "/components/schemas/Refusal", true);
            assert_valid(&refusal, &serde_json::from_str(&answer).unwrap(), path);
        }
    });
}

#[test]
fn a_query_takes_what_the_document_says() {
    let document = document();
    let value = |schema: &Value| match (schema["type"].as_str(), schema["contentMediaType"].as_str()) {
        (Some("boolean"), _) => "true",
        (Some("integer"), _) => "7",
        (Some("string"), Some("application/json")) => "%7B%22mark%22%3A7%7D",
        (Some("string"), None) => "tcp",
        _ => "10.0.0.11",
    };
    with("queries", director(), |socket| {
        for (path, method, operation) in operations(&document) {
            if method == "delete" {
                // As a look at the same; removing takes its time.
                assert_eq!(operation["parameters"], document["paths"][path]["get"]["parameters"]);
                continue;
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let refused = |value: &str| asked(socket, method, &format!("{path}?{name}={value}"), "").0 == 400;
                assert!(!refused(value(schema)), "{method} {path} {name}");
                let anything = schema["type"] == "string";
                assert_eq!(refused("null"), !anything, "{method} {path} {name}: {schema}");
            }
        }
    });
}

#[test]
fn connections_are_as_the_document_says() {
    let document = document();
    let mut connection = ConnectionReport {
        protocol: "TCP".to_owned(),
        state: "ESTABLISHED".to_owned(),
        expires_seconds: 7,
        client: "198.51.100.7:40000".parse().unwrap(),
        service: "203.0.113.10:80".parse().unwrap(),
        mark: None,
        real: None,
        answers_seen: true,
    };
    let schema = validator(&document, "/components/schemas/ConnectionReport", true);
    assert_valid(&schema, &serde_json::to_value(&connection).unwrap(), "without mark and real server");
    (connection.mark, connection.real) = (Some(7), Some("10.0.0.2:80".parse().unwrap()));
    assert_valid(&schema, &serde_json::to_value(&connection).unwrap(), "with them");
    let mut count = ConnectionCount::default();
    count.add(&connection);
    let schema = validator(&document, "/components/schemas/ConnectionCount", true);
    assert_valid(&schema, &serde_json::to_value(&count).unwrap(), "a count");
}

#[test]
fn requests_that_the_document_gives_as_examples_can_be_made() {
    let document = document();
    let body = "/paths/~1v1~1changes/post/requestBody/content/application~1json";
    let schema = validator(&document, &format!("{body}/schema"), false);
    let examples = document.pointer(&format!("{body}/examples")).unwrap().as_object().unwrap();
    assert_eq!(examples.len(), EXAMPLES.len());
    for (name, example) in examples {
        let value = &example["value"];
        assert_valid(&schema, value, name);
        let transaction = Transaction::read(value.to_string().as_bytes()).unwrap();
        match director().change(&transaction) {
            Ok(changed) => assert!(!changed.changed.is_empty(), "{name} changes nothing"),
            Err(refused) => assert_eq!((refused.kind, transaction.version), (Kind::Version, Some(17)), "{name}"),
        }
        let now = Transaction { version: None, ..transaction };
        assert!(director().change(&now).is_ok(), "{name}");
    }
}

#[test]
fn requests_that_are_refused_for_their_form_are_none_by_the_document() {
    let document = document();
    let schema = validator(&document, "/components/schemas/Transaction", false);
    let key = r#""service":{"address":"203.0.113.10:80"}"#;
    let change = |change: &str| format!(r#"{{"changes":[{change}]}}"#);
    for good in [
        r#"{"changes":[]}"#.to_owned(),
        r#"{"changes":[],"version":18446744073709551615,"dry_run":true,"skip_refused":false}"#.to_owned(),
        change(r#"{"op":"clear"}"#),
        change(r#"{"op":"set-timeouts","set":{"udp":1,"tcp":2678400}}"#),
        change(&format!(r#"{{"op":"set-real",{key},"real":"10.0.0.11:8080","set":{{"upper":null,"lower":null}}}}"#)),
    ] {
        assert_valid(&schema, &serde_json::from_str(&good).unwrap(), &good);
        director().change(&Transaction { version: None, ..Transaction::read(good.as_bytes()).unwrap() }).unwrap();
    }
    for bad in [
        "{}".to_owned(),
        r#"{"changes":{}}"#.to_owned(),
        r#"{"changes":[],"dryrun":true}"#.to_owned(),
        r#"{"changes":[],"version":-1}"#.to_owned(),
        r#"{"changes":[],"version":null}"#.to_owned(),
        r#"{"changes":[],"skip_refused":null}"#.to_owned(),
        change("7"),
        change("{}"),
        change(r#"{"op":"add"}"#),
        change(r#"{"op":"clear","set":{}}"#),
        change(r#"{"op":"set-timeouts"}"#),
        change(r#"{"op":"set-timeouts","set":{"sctp":"1m"}}"#),
        change(r#"{"op":"set-timeouts","set":{"udp":0}}"#),
        change(r#"{"op":"set-timeouts","set":{"udp":2678401}}"#),
        change(r#"{"op":"add-service","service":{}}"#),
        change(r#"{"op":"add-service","service":{"mark":7,"address":"203.0.113.1:80"}}"#),
        change(r#"{"op":"add-service","service":{"address":"203.0.113.1:80","weight":1}}"#),
        change(&format!(r#"{{"op":"set-service",{key},"set":{{"protocol":"tcp"}}}}"#)),
        change(&format!(r#"{{"op":"set-service",{key},"set":{{"ops":"true"}}}}"#)),
        change(&format!(r#"{{"op":"add-real",{key},"real":"10.0.0.2"}}"#)),
        change(&format!(r#"{{"op":"add-real",{key},"real":{{"weight":1}}}}"#)),
        change(&format!(r#"{{"op":"set-real",{key},"real":"10.0.0.11:8080","set":{{"address":"10.0.0.2"}}}}"#)),
        change(&format!(r#"{{"op":"set-real",{key},"real":"10.0.0.11:8080","set":{{"weight":65536}}}}"#)),
        change(&format!(r#"{{"op":"remove-real",{key},"real":{{}}}}"#)),
    ] {
        let refused = Transaction::read(bad.as_bytes()).and_then(|transaction| director().change(&transaction));
        assert_eq!(refused.map_err(|refused| refused.kind), Err(Kind::Invalid), "{bad}");
        assert!(!schema.is_valid(&serde_json::from_str(&bad).unwrap()), "{bad}");
    }
}

/// Goes through all values of a document.
fn each<'a>(value: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(value);
    match value {
        Value::Object(all) => all.values().for_each(|value| each(value, see)),
        Value::Array(all) => all.iter().for_each(|value| each(value, see)),
        _ => {}
    }
}

#[test]
fn references_lead_somewhere_and_everything_named_is_referred_to() {
    let document = document();
    let mut referred = std::collections::BTreeSet::new();
    each(&document, &mut |value| {
        if let Some(path) = value.get("$ref").and_then(Value::as_str) {
            let pointer = path.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}");
            referred.insert(pointer.to_owned());
        }
    });
    for part in ["schemas", "responses"] {
        for name in document["components"][part].as_object().unwrap().keys() {
            assert!(referred.contains(&format!("/components/{part}/{name}")), "{part} {name}");
        }
    }
    let schemes: Vec<_> = document["components"]["securitySchemes"].as_object().unwrap().keys().collect();
    let wanted = json!(schemes.iter().map(|name| json!({ *name: [] })).collect::<Vec<_>>());
    let all = document["security"].as_array().unwrap();
    assert!(wanted.as_array().unwrap().iter().all(|scheme| all.contains(scheme)), "{all:?}");
}

#[test]
fn schemas_are_schemas_and_names_are_their_own() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        jsonschema::meta::validate(
            &json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]}),
        )
        .unwrap_or_else(|mistake| panic!("{name}: {mistake}"));
        // What came twice under one name would have a number.
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "{name}");
    }
    let mut ids: Vec<_> =
        operations(&document).map(|(.., operation)| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}
