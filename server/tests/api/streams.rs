use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use fleetprompt_engine::Config;
use fleetprompt_store::counting::CountingStore;
use fleetprompt_store::memory::MemoryStore;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::server::{Server, Tenant, manual_type, pure_workflow, text, thread, waiting_workflow};

/// A stream that is read as far as somebody wants to.
struct Events {
    pieces: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(tenant: &Tenant<'_>, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = tenant.request(Method::GET, path, "", Body::empty(), headers);
        let response = tenant.server.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { pieces: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event with data: its name and its data. None at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = event(&block) {
                    return Some(event);
                }
            }
            let piece = tokio::time::timeout(Duration::from_secs(10), self.pieces.next()).await;
            let piece = piece.expect("something within ten seconds")?;
            self.text.push_str(std::str::from_utf8(&piece.expect("a piece")).expect("text"));
        }
    }
}

fn event(block: &str) -> Option<(String, Value)> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?;
    Some((field("event: ")?.to_owned(), serde_json::from_str(data).expect("JSON")))
}

#[tokio::test]
async fn a_run_that_has_ended_is_streamed_whole_and_the_stream_ends() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let run = text(&told, "/dispositions/0/run_id");
    let mut live = Events::open(&forum, &format!("/v1/runs/{run}/live"), &[]).await;
    let mut names = Vec::new();
    let mut last = String::new();
    while let Some((event, data)) = live.next().await {
        if event == "end" {
            assert_eq!(text(&data, "/run/status"), "completed");
            names.push("end".to_owned());
        } else {
            last = text(&data, "/id").to_owned();
            names.push(text(&data, "/name").to_owned());
        }
    }
    assert_eq!(names.first().map(String::as_str), Some("workflow.run.started"));
    assert_eq!(names.last().map(String::as_str), Some("end"));

    let mut resumed = Events::open(&forum, &format!("/v1/runs/{run}/live"), &[("Last-Event-ID", &last)]).await;
    assert_eq!(resumed.next().await.map(|(event, _)| event).as_deref(), Some("end"));
}

#[tokio::test]
async fn a_run_is_followed_until_it_ends() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    forum.post("/v1/workflows?activate=true", waiting_workflow()).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let run = text(&told, "/dispositions/0/run_id");
    let mut live = Events::open(&forum, &format!("/v1/runs/{run}/live"), &[]).await;
    live.next().await.expect("it has begun");
    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    let directive = text(&detail, "/run/steps/0/directive_id");
    let report = json!({"status": "succeeded", "output": {}});
    forum.post(&format!("/v1/directives/{directive}/report"), report).await.ok();
    let mut last = String::new();
    while let Some((event, _)) = live.next().await {
        last = event;
    }
    assert_eq!(last, "end");
}

#[tokio::test]
async fn a_tail_begins_now_sees_only_its_tenant_and_its_name_and_leaves_nothing_out() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let other = server.tenant("other", Role::Member).await;
    let before = forum.post("/v1/signals", thread("before")).await.is(201);
    let mut tail = Events::open(&forum, "/v1/signals/tail?name=forum.thread.created", &[]).await;
    other.post("/v1/signals", thread("theirs")).await.is(201);
    forum.post("/v1/signals", json!({"name": "forum.thread.closed"})).await.is(201);
    for id in ["1", "2", "3"] {
        forum.post("/v1/signals", thread(id)).await.is(201);
    }
    for id in ["1", "2", "3"] {
        let (event, signal) = tail.next().await.expect("a signal");
        assert_eq!((event.as_str(), text(&signal, "/subject/id")), ("signal", id));
    }
    let after = text(&before, "/signal/id");
    let path = format!("/v1/signals/tail?name=forum.thread.created&after={after}");
    let mut resumed = Events::open(&forum, &path, &[]).await;
    assert_eq!(text(&resumed.next().await.expect("a signal").1, "/subject/id"), "1");
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let mut tail = Events::open(&forum, "/v1/signals/tail", &[]).await;
    server.stopping.send_replace(true);
    assert_eq!(tail.next().await, None);
}

/// What a client does not read stays in the store.
#[tokio::test]
async fn a_stream_reads_on_when_its_client_has_taken_what_was_sent() {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
    let server = Server::start_over(store.clone());
    let forum = server.tenant("forum", Role::Member).await;
    let first = forum.post("/v1/signals", json!({"name": "file.read"})).await.is(201);
    for n in 0..20 {
        let payload = json!({"n": n, "text": "x".repeat(100_000)});
        forum.post("/v1/signals", json!({"name": "file.read", "payload": payload})).await.is(201);
    }
    store.take_counts();
    let path = format!("/v1/signals/tail?after={}", text(&first, "/signal/id"));
    let mut tail = Events::open(&forum, &path, &[]).await;
    assert_eq!(store.take_counts().of("signals").rows, 0, "nobody has read anything");
    assert_eq!(tail.next().await.expect("an event").1["payload"]["n"], 0);
    assert_eq!(store.take_counts().of("signals").rows, 1, "one signal is more than a page has bytes");
    for n in 1..20 {
        assert_eq!(tail.next().await.expect("an event").1["payload"]["n"], n);
    }
    assert_eq!(store.take_counts().of("signals").rows, 19);
}

#[tokio::test]
async fn one_tenant_cannot_open_all_the_streams_there_are() {
    let server = Server::start();
    let (forum, other) = (server.tenant("forum", Role::Viewer).await, server.tenant("other", Role::Viewer).await);
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(Events::open(&forum, "/v1/signals/tail", &[]).await);
    }
    let refused = forum.get("/v1/signals/tail").await;
    refused.is_problem(429, "busy");
    assert!(refused.headers.contains_key("retry-after"));
    Events::open(&other, "/v1/signals/tail", &[]).await;
    open.pop();
    Events::open(&forum, "/v1/signals/tail", &[]).await;
}

/// A page that a client does not take uses memory of its tenant; the other streams of the tenant wait for room.
#[tokio::test]
async fn streams_share_the_memory_for_responses_of_their_tenant() {
    const LARGE: usize = 600_000;
    // An eighth of it is for the responses of one tenant.
    let config = Config { request_memory: 8 << 20, ..Config::default() };
    let server = Server::start_with(Arc::new(MemoryStore::default()), config);
    let (forum, other) = (server.tenant("forum", Role::Member).await, server.tenant("other", Role::Member).await);
    let mut open = Vec::new();
    for tenant in [&forum, &forum, &other] {
        let first = tenant.post("/v1/signals", json!({"name": "file.begun"})).await.is(201);
        let path = format!("/v1/signals/tail?name=file.read&after={}", text(&first, "/signal/id"));
        open.push(Events::open(tenant, &path, &[]).await);
    }
    for tenant in [&forum, &other] {
        for n in 0..2 {
            let payload = json!({"n": n, "text": "x".repeat(LARGE)});
            tenant.post("/v1/signals", json!({"name": "file.read", "payload": payload})).await.is(201);
        }
    }
    let [mut slow, mut waiting, mut others] = <[Events; 3]>::try_from(open).ok().expect("three streams");
    assert_eq!(slow.next().await.expect("an event").1["payload"]["n"], 0);
    let used = || server.engine.memory().used();
    assert!((LARGE..2 * LARGE).contains(&used()), "{}", used());
    let waited = tokio::time::timeout(Duration::from_millis(100), waiting.next()).await;
    assert!(waited.is_err(), "there is no room: {waited:?}");
    assert_eq!(others.next().await.expect("an event").1["payload"]["n"], 0, "another tenant has its own");
    assert_eq!(slow.next().await.expect("an event").1["payload"]["n"], 1);
    drop(slow);
    for n in [0, 1] {
        assert_eq!(waiting.next().await.expect("an event").1["payload"]["n"], n);
    }
    drop((waiting, others));
    assert_eq!(used(), 0);
}

/// A second key of the tenant, with its id.
async fn key_of<'s>(admin: &Tenant<'s>, fields: Value) -> (Tenant<'s>, String) {
    let mut key = json!({"name": "a client"});
    for (name, value) in fields.as_object().expect("an object") {
        key[name] = value.clone();
    }
    let made = admin.post("/v1/keys", key).await.is(201);
    (Tenant { server: admin.server, secret: text(&made, "/secret").to_owned() }, text(&made, "/id").to_owned())
}

#[tokio::test]
async fn every_stream_of_a_key_ends_when_it_is_revoked_whatever_is_left_to_be_read() {
    let server = Server::start();
    let admin = server.tenant("forum", Role::Admin).await;
    let (viewer, id) = key_of(&admin, json!({"role": "viewer"})).await;
    let first = admin.post("/v1/signals", json!({"name": "file.read"})).await.is(201);
    for n in 0..5 {
        let payload = json!({"n": n, "text": "x".repeat(100_000)});
        admin.post("/v1/signals", json!({"name": "file.read", "payload": payload})).await.is(201);
    }
    let path = format!("/v1/signals/tail?after={}", text(&first, "/signal/id"));
    let mut backlog = Events::open(&viewer, &path, &[]).await;
    assert_eq!(backlog.next().await.expect("an event").1["payload"]["n"], 0);
    let mut idle = Events::open(&viewer, "/v1/signals/tail?name=never.told", &[]).await;
    let mut of_another_key = Events::open(&admin, &path, &[]).await;

    let revoked = async { admin.delete(&format!("/v1/keys/{id}")).await.ok() };
    let (ended, _) = tokio::join!(idle.next(), revoked);
    assert_eq!(ended, None, "it waited for nothing");
    assert_eq!(backlog.next().await, None, "four signals were left");
    for n in 0..5 {
        assert_eq!(of_another_key.next().await.expect("an event").1["payload"]["n"], n);
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_key_expires() {
    let server = Server::start();
    let admin = server.tenant("forum", Role::Admin).await;
    let in_a_second = std::time::SystemTime::now() + Duration::from_secs(1);
    let micros = in_a_second.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros();
    let expires_at = fleetprompt_core::Timestamp(i64::try_from(micros).expect("it fits"));
    let (viewer, _) = key_of(&admin, json!({"role": "viewer", "expires_at": expires_at})).await;
    let mut tail = Events::open(&viewer, "/v1/signals/tail", &[]).await;
    assert_eq!(tail.next().await, None);
    viewer.get("/v1/whoami").await.is_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_worker_that_waits_under_a_revoked_key_is_given_nothing_more() {
    let server = Server::start();
    let admin = server.tenant("forum", Role::Admin).await;
    admin
        .post("/v1/directive-types", json!({"directive_type": {"name": "mail.send", "handler": {"type": "worker"}}}))
        .await;
    let (worker, id) = key_of(&admin, json!({"performs": {"names": ["mail.*"]}})).await;
    let take = |wait: &str| json!({"worker": {"name": "w"}, "performs": ["mail.*"], "wait": wait});
    let revoked = async {
        // It waits once it was heard of.
        while admin.get("/v1/workers").await.ok()["items"].as_array().is_none_or(Vec::is_empty) {
            tokio::task::yield_now().await;
        }
        admin.delete(&format!("/v1/keys/{id}")).await.ok();
        let mail = json!({"name": "mail.send", "payload": {}, "idempotency_key": "mail-1"});
        admin.post("/v1/directives", mail).await.is(201);
    };
    let (taken, ()) = tokio::join!(worker.post("/v1/attempts/take", take("60s")), revoked);
    taken.is_problem(401, "unauthorized");
    let (other, _) = key_of(&admin, json!({"performs": {"names": ["mail.*"]}})).await;
    let taken = other.post("/v1/attempts/take", take("5s")).await.ok();
    assert_eq!((&taken["attempts"][0]["name"], &taken["attempts"][0]["delivery"]), (&json!("mail.send"), &json!(1)));
}
