//! What holds of every operation that the API's document has.

use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, text};

const JSON: &str = "application/json";

struct Operation {
    method: Method,
    /// As the document has it.
    template: String,
    /// For something that does not exist.
    path: String,
    described: Value,
}

impl Operation {
    fn takes_json(&self) -> bool {
        self.described["requestBody"]["content"].get(JSON).is_some()
    }

    fn has_parameter(&self, name: &str) -> bool {
        self.described["parameters"].as_array().into_iter().flatten().any(|parameter| parameter["name"] == name)
    }
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(fleetprompt::api::openapi_document()).expect("JSON");
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        for (method, described) in item.as_object().expect("operations") {
            let id = match template.split('/').nth(2) {
                Some("signals") => "sig_01h455vb4pex5vsknk084sn02q",
                Some("directives") => "dir_01h455vb4pex5vsknk084sn02q",
                Some("runs") => "run_01h455vb4pex5vsknk084sn02q",
                Some("keys") => "key_01h455vb4pex5vsknk084sn02q",
                _ => "unknown",
            };
            let path = template.split('/').map(|part| match part {
                "{id}" => id,
                part if part.starts_with('{') => "unknown",
                part => part,
            });
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.collect::<Vec<_>>().join("/"),
                template: template.clone(),
                described: described.clone(),
            });
        }
    }
    all
}

#[tokio::test]
async fn no_json_body_is_read_by_position() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let mut asked = 0;
    for Operation { method, template, path, .. } in operations().into_iter().filter(Operation::takes_json) {
        // An array of signals is many of them, a callback is read once its signature is known, and what is wrong with a
        // definition is what its validation answers.
        if ["/v1/signals", "/v1/callbacks/{callback}", "/v1/workflows/validate"].contains(&&*template) {
            continue;
        }
        for body in [json!([]), json!(["a.b", "viewer"]), json!([{"name": "a.b"}])] {
            let reply = owner.send(method.clone(), &path, JSON, Body::from(body.to_string())).await;
            let is_refused = [400, 422].contains(&reply.status.as_u16());
            assert!(is_refused, "{method} {path} {body}: {} {}", reply.status, reply.text());
            asked += 1;
        }
    }
    assert!(asked > 60, "{asked}");
    for (path, body) in [
        ("/v1/directives", json!({"name": "signal.emit", "idempotency_key": "k", "payload": ["a.b"]})),
        ("/v1/directive-types", json!({"directive_type": ["a.b", "", {"type": "manual"}]})),
        ("/v1/functions", json!({"function": ["a.b", "", {"type": "worker"}]})),
    ] {
        let reply = owner.post(path, body.clone()).await;
        assert_eq!(reply.status, 422, "{path} {body}: {}", reply.text());
    }
}

#[tokio::test]
async fn every_response_is_one_that_the_document_lists() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let viewer = server.tenant("other", Role::Viewer).await;
    let made = owner.post("/v1/keys", json!({"name": "a worker's", "performs": {"names": ["mail.*"]}})).await.is(201);
    let worker = Tenant { server: &server, secret: text(&made, "/secret").to_owned() };
    let nobody = Tenant { server: &server, secret: "fp_nobody".to_owned() };
    let mut seen = std::collections::BTreeSet::new();
    for operation in operations() {
        // A stream has no end.
        if operation.path.ends_with("/live") || operation.path.ends_with("/tail") {
            continue;
        }
        let Operation { method, path, described, .. } = &operation;
        let body = if operation.takes_json() { "{}" } else { "" };
        let media = if operation.takes_json() { JSON } else { "" };
        let mut paths = vec![path.clone()];
        if operation.has_parameter("tenant") {
            paths.push(format!("{path}?tenant=nobody"));
        }
        for path in paths {
            for tenant in [&owner, &viewer, &worker, &nobody] {
                let reply = tenant.send(method.clone(), &path, media, Body::from(body)).await;
                let status = reply.status.as_u16().to_string();
                assert!(described["responses"].get(&status).is_some(), "{method} {path}: {status} {}", reply.text());
                seen.insert(status);
            }
        }
    }
    for status in ["200", "400", "401", "403", "404"] {
        assert!(seen.contains(status), "{seen:?}");
    }
}
