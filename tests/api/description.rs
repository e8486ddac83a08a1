//! What the API says of itself: the OpenAPI document, readiness, errors and their hints.

use skep::{
    api::{
        ApiError,
        access::{OPEN, OPEN_BELOW},
        host::readiness,
        openapi, suggest,
    },
    facts::Problem,
    fleet::FleetError,
};

#[test]
fn ready_is_neither_starting_nor_stopping() {
    assert_eq!(readiness(true, false).unwrap(), "ready\n");
    assert_eq!(readiness(false, false).unwrap_err().status, 503);
    assert_eq!(readiness(true, true).unwrap_err().body.error, "stopping");
}

#[test]
fn every_endpoint_is_described() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut described: Vec<String> = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.push(format!("{} {path}", method.to_uppercase()));
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{path} has no summary");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{path}: {}", operation["tags"]);
            assert!(ids.insert(operation["operationId"].to_string()), "{path}: {} twice", operation["operationId"]);
            let open = OPEN.contains(&path.as_str()) || OPEN_BELOW.iter().any(|below| path.starts_with(below));
            if method != "get" && !open {
                assert_eq!(operation["security"], serde_json::json!([{ "admin": [] }]), "{method} {path}");
            }
            let responses = operation["responses"].as_object().unwrap();
            assert_eq!(responses.contains_key("401"), !open || path == "/login", "{path} tells when a token is needed");
            assert_eq!(operation["security"] == serde_json::json!([{}]), open, "{path}: {}", operation["security"]);
        }
    }
    described.sort();
    let mut expected = vec![
        "DELETE /api/v1/kv/{bucket}/{key}",
        "DELETE /api/v1/workers/{name}",
        "GET /api/v1/checks",
        "GET /api/v1/checks/history",
        "GET /api/v1/events",
        "GET /api/v1/events/stream",
        "GET /api/v1/files",
        "GET /api/v1/files/{name}",
        "GET /api/v1/host",
        "GET /api/v1/jobs/{id}",
        "GET /api/v1/kv",
        "GET /api/v1/kv/{bucket}",
        "GET /api/v1/kv/{bucket}/{key}",
        "GET /api/v1/limiters",
        "GET /api/v1/limiters/{name}",
        "GET /api/v1/live",
        "GET /api/v1/monitors/{worker}",
        "GET /api/v1/maintenance",
        "GET /api/v1/openapi.json",
        "GET /api/v1/problems",
        "GET /api/v1/queues",
        "GET /api/v1/queues/{name}",
        "GET /api/v1/queues/{name}/jobs",
        "GET /api/v1/session",
        "GET /api/v1/traps",
        "GET /api/v1/traps/{id}",
        "GET /api/v1/workers",
        "GET /api/v1/workers/{name}",
        "GET /api/v1/workers/{name}/logs",
        "GET /api/v1/workers/{name}/manifest",
        "GET /api/v1/workers/{name}/replicas",
        "GET /api/v1/workers/{name}/why",
        "GET /badge/{file}",
        "GET /healthz",
        "GET /login",
        "GET /metrics",
        "GET /readyz",
        "GET /status",
        "GET /status.json",
        "POST /api/v1/apply",
        "POST /api/v1/diff",
        "POST /api/v1/jobs/{id}/ack",
        "POST /api/v1/jobs/{id}/cancel",
        "POST /api/v1/jobs/{id}/extend",
        "POST /api/v1/jobs/{id}/nack",
        "POST /api/v1/jobs/{id}/progress",
        "POST /api/v1/jobs/{id}/retry",
        "POST /api/v1/kv/{bucket}/{key}/increment",
        "POST /api/v1/limiters/{name}/acquire",
        "POST /api/v1/limiters/{name}/try",
        "POST /api/v1/monitors",
        "POST /api/v1/queues/{name}/jobs",
        "POST /api/v1/queues/{name}/lease",
        "POST /api/v1/queues/{name}/purge",
        "POST /api/v1/undo",
        "POST /api/v1/workers/{name}/call",
        "POST /api/v1/workers/{name}/drain",
        "POST /api/v1/workers/{name}/pause",
        "POST /api/v1/workers/{name}/restart",
        "POST /api/v1/workers/{name}/resume",
        "POST /api/v1/workers/{name}/scale",
        "POST /api/v1/workers/{name}/tick",
        "POST /login",
        "POST /logout",
        "PUT /api/v1/files/{name}",
        "PUT /api/v1/kv/{bucket}/{key}",
        "PUT /api/v1/limiters/{name}",
        "PUT /api/v1/monitors/{worker}",
    ];
    expected.sort_unstable();
    assert_eq!(described, expected);

    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["admin", "read"]);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in [
        "WorkerView",
        "CheckView",
        "EventRecord",
        "TrapRecord",
        "Plan",
        "Problem",
        "Why",
        "HostView",
        "ErrorBody",
        "LogLine",
        "HistoryPoint",
        "QueueView",
        "JobView",
        "LeasedView",
        "KvView",
        "BucketView",
        "LimiterView",
        "ReplicaView",
        "Payload",
    ] {
        assert!(schemas.contains_key(name), "{name} has no schema");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to but not there");
    }
}

#[test]
fn errors_of_the_rooms_get_their_status() {
    let problem = Problem { file: "a.toml".into(), line: 1, column: 0, worker: None, field: None, message: "x".into(), hint: None };
    let error = ApiError::from(FleetError::Invalid(vec![problem.clone()]));
    assert_eq!((error.status.as_u16(), &error.body.problems[..]), (422, &[problem][..]));
    assert_eq!(ApiError::from(FleetError::NotFound("no worker".into())).status, 404);
    assert_eq!(ApiError::from(FleetError::Conflict("read-only".into())).status, 409);
    let error = ApiError::from(FleetError::Conflict("read-only".into()));
    assert_eq!(serde_json::to_string(&error.body).unwrap(), r#"{"error":"read-only"}"#);
}

#[test]
fn a_name_that_is_not_there_suggests_one() {
    let names = ["pages", "pinger/nas", "pinger/router", "counter"];
    let say = |name: &str| suggest(name, names.iter().copied());
    assert_eq!(say("page").as_deref(), Some("did you mean \"pages\"?"));
    assert_eq!(say("conuter").as_deref(), Some("did you mean \"counter\"?"));
    assert_eq!(say("pinger").as_deref(), Some("\"pinger\" has one worker an item: pinger/nas, pinger/router"));
    assert_eq!(say("unlike-any"), None);
    assert_eq!(say(""), None);
}
