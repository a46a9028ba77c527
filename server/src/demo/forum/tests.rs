use axum::body::{Body, to_bytes};
use axum::http::Request;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use tower::ServiceExt;

use super::*;

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBmb3J1bQ==";

/// A forum without a socket.
struct Outside {
    router: Router,
}

impl Outside {
    fn new(secret: Option<&str>, ledger: Option<&std::path::Path>) -> Self {
        let secret = secret.map(|text| Arc::new(Secret::parse(text).expect("a secret")));
        let board = Arc::new(Mutex::new(Board::open(ledger).expect("a board")));
        Self { router: router(Site { board, secret, url: "http://forum".into() }) }
    }

    /// With one thread, `42`.
    async fn with_thread(secret: Option<&str>, ledger: Option<&std::path::Path>) -> Self {
        let forum = Self::new(secret, ledger);
        let (status, _) = forum.post("/threads", &thread("42")).await;
        assert!(status.is_success(), "{status}");
        forum
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Request::post(path).body(Body::from(body.to_string())).expect("a request")).await
    }

    async fn deliver(&self, key: &str, attempt: u32, content: &str) -> (StatusCode, Value) {
        let body = delivery(key, attempt, "42", content);
        self.send(keyed(key).body(Body::from(body.to_string())).expect("a request")).await
    }
}

fn keyed(key: &str) -> axum::http::request::Builder {
    Request::post("/directives/forum.post.create").header("idempotency-key", key)
}

fn thread(id: &str) -> Value {
    json!({ "id": id, "title": "NAS is loud", "author": "mira", "category": "hardware", "body": "Why at 3 am?" })
}

fn delivery(key: &str, attempt: u32, thread_id: &str, content: &str) -> Value {
    json!({
        "id": "dir_1", "directive": "forum.post.create", "attempt": attempt, "idempotency_key": key,
        "run_id": "run_1", "correlation_id": "sig_1", "payload": { "thread_id": thread_id, "content": content },
    })
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_post_once() {
    let forum = Outside::with_thread(None, None).await;
    let first = forum.deliver("run_1:post", 1, "In short: a fan.").await;
    let again = forum.deliver("run_1:post", 2, "In short: a fan.").await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(first, again);
    assert_eq!(first.1["post_id"], "post_1");
    let (_, posts) = forum.get("/threads/42/posts").await;
    assert_eq!(posts["posts"].as_array().map(Vec::len), Some(1));
    let (_, deliveries) = forum.get("/deliveries").await;
    assert_eq!(deliveries["repeated"], 1);
    assert_eq!(deliveries["effects"][0]["deliveries"], 2);
    assert_eq!(deliveries["effects"][0]["attempts"], json!([1, 2]));
}

#[tokio::test]
async fn deliveries_of_one_key_at_the_same_time_have_one_effect() {
    let forum = Outside::with_thread(None, None).await;
    let all = futures_util::future::join_all((1..=20).map(|attempt| forum.deliver("k", attempt, "Once."))).await;
    assert!(all.iter().all(|answer| *answer == all[0]), "{all:?}");
    let (_, deliveries) = forum.get("/deliveries").await;
    assert_eq!(deliveries["effects"].as_array().map(Vec::len), Some(1));
    assert_eq!(deliveries["effects"][0]["deliveries"], 20);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_and_changes_nothing() {
    let forum = Outside::with_thread(None, None).await;
    forum.deliver("k", 1, "One thing.").await;
    let (status, problem) = forum.deliver("k", 1, "Another thing.").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("post_1")), "{problem}");
    let (_, posts) = forum.get("/threads/42/posts").await;
    assert_eq!(posts["posts"][0]["content"], "One thing.");
    assert_eq!(forum.get("/deliveries").await.1["refused"], 1);
}

#[tokio::test]
async fn what_the_forum_cannot_do_is_said_and_not_remembered_under_the_key() {
    let forum = Outside::new(None, None);
    assert_eq!(forum.deliver("k", 1, "Hello.").await.0, StatusCode::NOT_FOUND);
    forum.post("/threads", &thread("42")).await;
    assert_eq!(forum.deliver("k", 2, "Hello.").await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn hostile_bodies_get_a_clear_answer() {
    let forum = Outside::with_thread(None, None).await;
    let send = async |body: Vec<u8>| forum.send(keyed("k").body(Body::from(body)).expect("a request")).await.0;
    assert_eq!(send(b"{".to_vec()).await, StatusCode::BAD_REQUEST);
    assert_eq!(send(vec![0xff, 0xfe]).await, StatusCode::BAD_REQUEST);
    assert_eq!(send("[".repeat(100_000).into_bytes()).await, StatusCode::BAD_REQUEST);
    assert_eq!(send(vec![b' '; Forum::BODY_BYTES_MAX + 1]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let other_key = delivery("other", 1, "42", "Hello.").to_string();
    assert_eq!(send(other_key.into_bytes()).await, StatusCode::BAD_REQUEST);
    assert_eq!(forum.deliver("k", 1, " ").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let unkeyed = forum.post("/directives/forum.post.create", &delivery("k", 1, "42", "Hello.")).await;
    assert_eq!(unkeyed.0, StatusCode::BAD_REQUEST);
    assert_eq!(forum.get("/threads/42/posts").await.1["posts"], json!([]));
}

#[tokio::test]
async fn with_a_secret_only_signed_deliveries_are_believed() {
    let forum = Outside::with_thread(Some(SECRET), None).await;
    assert_eq!(forum.deliver("k", 1, "Hello.").await.0, StatusCode::UNAUTHORIZED);
    let body = delivery("k", 1, "42", "Hello.").to_string();
    let timestamp = jiff::Timestamp::now().as_second().to_string();
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(&SECRET["whsec_".len()..]).expect("base64");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key");
    mac.update(format!("dir_1.{timestamp}.{body}").as_bytes());
    let signature = format!("v1,{}", base64.encode(mac.finalize().into_bytes()));
    let signed = keyed("k")
        .header("webhook-id", "dir_1")
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(Body::from(body))
        .expect("a request");
    assert_eq!(forum.send(signed).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_forum_that_was_killed_knows_what_it_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("forum.ndjson");
    let before = Outside::with_thread(None, Some(&path)).await;
    let first = before.deliver("k", 1, "Once.").await;
    drop(before);
    // The process died in the middle of a line that nobody was told of.
    let mut torn = std::fs::read(&path).expect("a ledger");
    torn.extend_from_slice(br#"{"effect":{"effect":{"idempot"#);
    std::fs::write(&path, torn).expect("a ledger");

    let after = Outside::new(None, Some(&path));
    assert_eq!(after.deliver("k", 2, "Once.").await, first);
    assert_eq!(after.deliver("l", 1, "Twice.").await.1["post_id"], "post_2");
    drop(after);
    let again = Outside::with_thread(None, Some(&path)).await;
    let (_, posts) = again.get("/threads/42/posts").await;
    assert_eq!(posts["posts"].as_array().map(Vec::len), Some(2));
    assert_eq!(again.get("/threads").await.1["threads"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("forum.ndjson");
    std::fs::write(&path, "{\"thread\":1}\n").expect("a ledger");
    let error = Board::open(Some(&path)).err().expect("damage is refused");
    assert!(error.to_string().contains("forum.ndjson:1"), "{error}");
}

#[tokio::test]
async fn threads_and_posts_read_back_as_they_were_written() {
    let forum = Outside::with_thread(None, None).await;
    assert_eq!(forum.post("/threads", &thread("42")).await.0, StatusCode::OK);
    let mut other = thread("42");
    other["title"] = json!("Something else");
    assert_eq!(forum.post("/threads", &other).await.0, StatusCode::CONFLICT);
    let reply = json!({ "thread_id": "42", "author": "jo", "content": "Scrub schedule?" });
    assert_eq!(forum.post("/posts", &reply).await.0, StatusCode::CREATED);
    assert_eq!(forum.get("/threads/42").await.1["author"], "mira");
    assert_eq!(forum.get("/threads/42/posts").await.1["posts"][0]["content"], "Scrub schedule?");
    assert_eq!(forum.get("/threads/43").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_forum_starts_on_a_free_port_and_stops_when_asked() {
    // Whoever came first may have chosen a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let forum = Forum::start(None).await.expect("a forum");
    let (client, url) = (reqwest::Client::new(), forum.url());
    let opened = client.post(format!("{url}/threads")).json(&thread("42")).send().await.expect("an answer");
    assert_eq!(opened.status(), 201);
    assert_eq!(forum.threads().len(), 1);
    assert!(forum.posts().is_empty() && forum.effects().is_empty());
    tokio::time::timeout(Duration::from_secs(4), forum.stop()).await.expect("soon").expect("cleanly");
    assert!(client.get(format!("{url}/threads")).send().await.is_err());
}
