//! Whatever is sent, the answer is a clear problem of the sender's, and nothing has changed.

use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Reply, Server, Tenant, manual_type, text, thread};

const JSON: &str = "application/json";

async fn post(tenant: &Tenant<'_>, path: &str, media: &str, body: impl Into<Body>) -> Reply {
    tenant.send(Method::POST, path, media, body.into()).await
}

fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn bad_signals_are_refused_and_nothing_is_recorded() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let before = forum.count_signals().await;
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", b"".to_vec(), 400, "malformed_json"),
        ("half of it", br#"{"name": "a.b""#.to_vec(), 400, "malformed_json"),
        ("two of them", br#"{"name": "a.b"} {"name": "a.c"}"#.to_vec(), 400, "malformed_json"),
        ("an array cut short", br#"[{"name": "a.b"}"#.to_vec(), 400, "malformed_json"),
        ("no name", br#"{"payload": {}}"#.to_vec(), 400, "invalid_request"),
        ("a number", b"17".to_vec(), 400, "invalid_request"),
        ("a wrong type", br#"{"name": "a.b", "subject": {"type": 5, "id": "x"}}"#.to_vec(), 400, "invalid_request"),
        ("an unknown field", br#"{"name": "a.b", "tenant": "other"}"#.to_vec(), 400, "invalid_request"),
        ("a field twice", br#"{"name": "a.b", "name": "a.c"}"#.to_vec(), 400, "invalid_request"),
        ("a name out of rule", br#"{"name": "Thread Created"}"#.to_vec(), 400, "invalid_request"),
        ("a bad time", br#"{"name": "a.b", "occurred_at": "yesterday"}"#.to_vec(), 400, "invalid_request"),
        (
            "a year below 0",
            br#"{"name": "a.b", "occurred_at": "-000001-01-01T00:00:00Z"}"#.to_vec(),
            422,
            "time_invalid",
        ),
        (
            "a key twice",
            br#"{"name": "a.b", "payload": {"a": [{"x": 1, "\u0078": 1}]}}"#.to_vec(),
            400,
            "invalid_request",
        ),
        ("parts by position", br#"{"name": "a.b", "subject": ["thread", "42"]}"#.to_vec(), 400, "invalid_request"),
        ("a bad id", br#"{"name": "a.b", "causation_id": "sig_x"}"#.to_vec(), 400, "invalid_request"),
        ("bytes that are no text", b"{\"name\": \"a.b\xff\"}".to_vec(), 400, "not_utf8"),
        ("10,000 levels", deep(10_000).into_bytes(), 200, ""),
        (
            "10,000 levels of payload",
            format!(r#"{{"name":"a.b","payload":{}}}"#, deep(10_000)).into_bytes(),
            400,
            "too_deep",
        ),
        ("65 levels of payload", format!(r#"{{"name":"a.b","payload":{}}}"#, deep(65)).into_bytes(), 400, "too_deep"),
        ("a lone surrogate", br#"{"name": "a.b", "dedupe_key": "\ud800"}"#.to_vec(), 400, "malformed_json"),
    ];
    for (what, body, status, code) in cases {
        let reply = post(&forum, "/v1/signals", JSON, body).await;
        if status == 200 {
            // A list of one thing, which is refused by itself.
            assert_eq!(text(&reply.ok(), "/results/0/error/code"), "too_deep", "{what}");
        } else {
            assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.text());
            reply.is_problem(status, code);
        }
    }
    assert_eq!(forum.count_signals().await, before);
    let fits = format!(r#"{{"name":"a.b","payload":{}}}"#, deep(64));
    post(&forum, "/v1/signals", JSON, fits).await.is(201);
}

#[tokio::test]
async fn null_is_a_payload_and_stands_for_a_body_that_may_be_left_out() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let told = forum.post("/v1/signals", json!({"name": "a.b", "payload": null})).await.is(201);
    let got = forum.get(&format!("/v1/signals/{}", text(&told, "/signal/id"))).await.ok();
    assert_eq!(got["signal"].get("payload"), Some(&json!(null)));
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    let asked = json!({"name": "forum.review.ask", "idempotency_key": "k", "payload": null});
    let asked = forum.post("/v1/directives", asked).await.is(201);
    assert_eq!(asked["directive"].get("payload"), Some(&json!(null)));
    let path = format!("/v1/directives/{}/cancel", text(&asked, "/directive/id"));
    assert_eq!(forum.post(&path, json!(null)).await.ok()["status"], "canceled");
}

#[tokio::test]
async fn a_problem_names_the_field_and_what_would_be_right() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let wrong_type = json!({"name": "a.b", "subject": {"type": 5, "id": "x"}});
    let detail = forum.post("/v1/signals", wrong_type).await.is_problem(400, "invalid_request");
    assert!(text(&detail, "/detail").starts_with("`subject.type`: invalid type: integer `5`"), "{detail}");
    let unknown = forum.post("/v1/signals", json!({"name": "a.b", "nmae": 1})).await.is_problem(400, "invalid_request");
    assert!(text(&unknown, "/detail").contains("unknown field `nmae`, expected one of `name`, `subject`"), "{unknown}");
    let twice = r#"{"name": "a.b", "payload": {"a": 1, "a": 1}}"#;
    let twice = post(&forum, "/v1/signals", JSON, twice).await.is_problem(400, "invalid_request");
    assert!(text(&twice, "/detail").contains("the key `a` twice"), "{twice}");
    let query = forum.get("/v1/signals?colour=red").await.is_problem(400, "invalid_request");
    assert!(text(&query, "/detail").contains("unknown field `colour`, expected one of `name`"), "{query}");
}

#[tokio::test]
async fn the_engine_s_own_names_and_keys_cannot_be_taken() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    for name in ["workflow.run.completed", "directive.succeeded", "engine.invariant.broken"] {
        let reply = forum.post("/v1/signals", json!({"name": name})).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
    }
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    let key = "run_01h455vb4pex5vsknk084sn02q:ask";
    let taken = json!({"name": "forum.review.ask", "idempotency_key": key});
    let reply = forum.post("/v1/directives", taken).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let unknown = json!({"name": "forum.review.asks", "idempotency_key": "k"});
    let problem = forum.post("/v1/directives", unknown).await.is_problem(422, "directive_unknown");
    assert!(text(&problem, "/detail").contains("forum.review.ask"), "{problem}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_wherever_it_is_told() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let before = forum.count_signals().await;
    let large = |bytes: usize| json!({"name": "a.b", "payload": {"text": "x".repeat(bytes)}}).to_string();
    post(&forum, "/v1/signals", JSON, large(2 << 20)).await.is_problem(413, "body_too_large");
    post(&forum, "/v1/signals", JSON, large(11 << 20)).await.is_problem(413, "body_too_large");
    // In pieces and without a length, so that only reading finds out.
    let pieces = futures_util::stream::iter((0..12).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20])));
    post(&forum, "/v1/signals", JSON, Body::from_stream(pieces)).await.is_problem(413, "body_too_large");
    let reply = post(&forum, "/v1/signals", JSON, large((1 << 20) + 10)).await;
    assert_eq!(reply.status, 422, "a payload above its own limit: {}", reply.text());
    let document = " ".repeat((4 << 20) + 1);
    for path in ["/v1/workflows", "/v1/workflows/validate", "/v1/agents"] {
        post(&forum, path, JSON, document.clone()).await.is_problem(413, "body_too_large");
    }
    let many = Value::from(vec![json!({"name": "a.b"}); 1_001]);
    forum.post("/v1/signals", many).await.is_problem(400, "invalid_request");
    assert_eq!(forum.count_signals().await, before);
    post(&forum, "/v1/signals", JSON, large(1_000_000)).await.is(201);
}

#[tokio::test]
async fn bad_queries_paths_methods_and_media_are_refused() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    for path in [
        "/v1/signals?limit=0",
        "/v1/signals?limit=1001",
        "/v1/signals?limit=many",
        "/v1/signals?limit=1&limit=2",
        "/v1/signals?cursor=run_01h455vb4pex5vsknk084sn02q",
        "/v1/signals?name=Nope",
        "/v1/runs?status=sleeping",
        "/v1/runs?workflow=Not%20A%20Slug",
        "/v1/directives?run_id=42",
        "/v1/runs/42",
        "/v1/signals/run_01h455vb4pex5vsknk084sn02q",
        "/v1/workflows/NO",
        "/v1/workflows/%FF",
        "/v1/signals/tail?after=now",
    ] {
        forum.get(path).await.is_problem(400, "invalid_request");
    }
    forum.get("/v1/nothing").await.is_problem(404, "not_found");
    server.get_open("/nothing").await.is_problem(404, "not_found");
    let reply = forum.delete("/v1/signals").await;
    reply.is_problem(405, "method_not_allowed");
    let allowed = reply.headers["allow"].to_str().expect("text");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    for (path, media) in [
        ("/v1/signals", "application/x-www-form-urlencoded"),
        ("/v1/signals", "application/yaml"),
        ("/v1/directives", "text/plain"),
        ("/v1/workflows", "text/html"),
        ("/v1/keys", "application/x-ndjson"),
    ] {
        post(&forum, path, media, thread("1").to_string()).await.is_problem(415, "unsupported_media_type");
    }
    let header = [("Last-Event-ID", "yesterday")];
    let reply = forum.send_with(Method::GET, "/v1/signals/tail", "", Body::empty(), &header).await;
    reply.is_problem(400, "invalid_request");
}

#[tokio::test]
async fn no_body_of_any_kind_makes_any_endpoint_fail_by_its_own_fault() {
    let server = Server::start();
    let owner = server.tenant("house", Role::Owner).await;
    let id = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
    let paths = [
        "/v1/signals".to_owned(),
        format!("/v1/signals/{}/replay", id("sig")),
        "/v1/directives".to_owned(),
        format!("/v1/directives/{}/cancel", id("dir")),
        format!("/v1/directives/{}/report", id("dir")),
        "/v1/directive-types".to_owned(),
        "/v1/workflows".to_owned(),
        "/v1/workflows/validate".to_owned(),
        "/v1/workflows/x/activate".to_owned(),
        "/v1/agents".to_owned(),
        format!("/v1/runs/{}/cancel", id("run")),
        "/v1/tenants".to_owned(),
        "/v1/keys".to_owned(),
    ];
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"a\": 1, \"a\": 2}".to_vec(),
        b"\xff\xfe".to_vec(),
        b"\0\0\0".to_vec(),
        b"{\"name\": \"\\u0000\"}".to_vec(),
        b"1e999999".to_vec(),
        deep(10_000).into_bytes(),
        format!("{}1", "{\"a\":".repeat(10_000)).into_bytes(),
        b"&a [*a]".to_vec(),
        b"workflow: &a\n  x: *a\n".to_vec(),
    ];
    for path in &paths {
        for body in &bodies {
            for media in [JSON, "application/yaml", "application/x-ndjson", ""] {
                let reply = post(&owner, path, media, body.clone()).await;
                let said = reply.text();
                assert!(!reply.status.is_server_error(), "{path} {media} {:?}: {said}", String::from_utf8_lossy(body));
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_encoded_is_refused_and_not_taken_for_something_else() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Owner).await;
    let send = async |path: &str, encoding: &str| {
        let body = Body::from(thread(&format!("in {encoding}")).to_string());
        forum.send_with(Method::POST, path, JSON, body, &[("Content-Encoding", encoding)]).await
    };
    for path in ["/v1/signals", "/v1/workflows", "/v1/directives", "/v1/keys", "/v1/attempts/report"] {
        for encoding in ["gzip", "br", "identity, gzip", "nonsense"] {
            send(path, encoding).await.is_problem(415, "content_encoding_unsupported");
        }
    }
    for encoding in ["identity", "Identity", ""] {
        send("/v1/signals", encoding).await.is(201);
    }
}
