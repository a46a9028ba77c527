//! Whatever a worker or an endpoint sends, the server takes it or says what is wrong with it, goes on, and
//! its records hold. Each case is what they ought to send, broken somewhere; the seeds are always the same.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use fleetprompt_client::Client;
use fleetprompt_client::worker::Worker;
use fleetprompt_core::signature::sign;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use support::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const CASES: usize = 250;
const ANSWERS: usize = 150;

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    let strategy = vec(strategy, count);
    strategy.new_tree(&mut runner).unwrap().current()
}

/// No sensible wait among them: what waits is not what is tested here.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX)].prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("-1s"), Just("1ms"), Just("99999999999999d"), Just("\0"), Just("\u{202e}*")]
            .prop_map(Value::from),
        (1_000usize..300_000).prop_map(|length| Value::from("x".repeat(length))),
    ];
    let nested = leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{0,6}", inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop_oneof![9 => nested, 1 => (1usize..600).prop_map(deep)]
}

fn deep(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| json!([inner]))
}

#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    Repeat(usize),
    Add(String, Value),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        4 => junk().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        1 => prop_oneof![Just(2), Just(101), Just(5_000)].prop_map(Change::Repeat),
        1 => ("[a-z]{1,8}", junk()).prop_map(|(name, value)| Change::Add(name, value)),
    ];
    (any::<prop::sample::Index>(), change)
}

fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, below)| places(below, &format!("{at}/{name}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, below)| places(below, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn changed(mut body: Value, (place, change): &(prop::sample::Index, Change)) -> Value {
    let mut found = Vec::new();
    places(&body, "", &mut found);
    let at = place.get(&found).clone();
    let here = body.pointer_mut(&at).unwrap();
    match (change, here) {
        (Change::Replace(value), here) => *here = value.clone(),
        (Change::Repeat(count), Value::Array(items)) if !items.is_empty() => *items = vec![items[0].clone(); *count],
        (Change::Repeat(_), here) => *here = Value::Null,
        (Change::Add(name, value), Value::Object(fields)) => _ = fields.insert(name.clone(), value.clone()),
        (Change::Add(_, value), here) => *here = value.clone(),
        (Change::Remove, _) => {
            let (above, last) = at.rsplit_once('/').unwrap_or_default();
            match body.pointer_mut(above) {
                Some(Value::Object(fields)) => _ = fields.remove(last),
                Some(Value::Array(items)) if !items.is_empty() => _ = items.pop(),
                _ => body = Value::Null,
            }
        }
    }
    body
}

async fn house(more: &[&str]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = support::create_tenant(&data, "acme");
    let server = Server::start_with(&data, support::free_port(), key, more).await;
    (server, folder)
}

/// A directive that is carried out so, and a workflow of it.
async fn asks_for(server: &Server, name: &str, handler: Value) {
    let retry = json!({"max_attempts": 2, "initial": "1ms", "jitter": false});
    let of_type = json!({"name": name, "handler": handler, "retry": retry, "timeout": "1s", "callback_timeout": "1s"});
    server.post("/v1/directive-types", &json!({"directive_type": of_type})).await;
    let step = json!({"id": "it", "type": "directive", "directive": name, "payload": {}});
    let workflow = json!({"name": name, "slug": name.replace('.', "-"), "version": "1.0.0",
        "trigger": {"signal": format!("{name}.wanted")}, "steps": [step]});
    server.post("/v1/workflows?activate=true", &json!({"workflow": workflow})).await;
}

async fn want(server: &Server, name: &str) {
    server.post("/v1/signals", &json!({"name": format!("{name}.wanted"), "payload": {}})).await;
}

/// Taken, or refused with a reason: never an error of the server's own.
fn expect_answer(what: &str, body: &[u8], (status, answer): &(u16, Value)) {
    let is_said = *status == 200 || (400..500).contains(status) && answer["code"].is_string();
    let body = String::from_utf8_lossy(&body[..body.len().min(2_000)]);
    assert!(is_said, "{what} answered {status} {answer} to {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_workers_send_is_taken_or_refused_and_the_work_gets_done() {
    let (server, folder) = house(&["--lease-s", "1"]).await;
    asks_for(&server, "mail.send", json!({"type": "worker"})).await;
    let made = server.post("/v1/keys", &json!({"name": "worker", "performs": {"names": ["*"]}})).await;
    let key = made["secret"].as_str().unwrap();
    let post = |what: &str, body: Vec<u8>| {
        let request = support::http().post(format!("{}/v1/attempts/{what}", server.url)).bearer_auth(key);
        server.send(request.header("content-type", "application/json").body(body))
    };
    let about = json!({"name": "by-hand", "version": "1", "labels": {"region": "eu"}, "slots": 4});
    let take = json!({"worker": about, "performs": ["mail.*"], "limit": 2, "holding": ["x"], "wait": "1ms"});
    let cases =
        samples((0usize..3, vec(change(), 1..4), prop::option::weighted(0.1, any::<prop::sample::Index>())), CASES);
    let mut taken = 0;
    for (what, changes, cut) in cases {
        want(&server, "mail.send").await;
        let (_, attempts) = post("take", take.to_string().into_bytes()).await;
        let id = attempts["attempts"][0]["id"].clone();
        let (what, body) = match what {
            0 => ("take", take.clone()),
            1 => ("heartbeat", json!({"worker": about, "attempts": [{"id": id, "progress": {"done": 1}}]})),
            _ => {
                let outcome = json!({"id": id, "status": "succeeded", "output": {"sent": true}, "logs": ["a"]});
                ("report", json!({"worker": about, "outcomes": [outcome]}))
            }
        };
        let mut body = changes.iter().fold(body, changed).to_string().into_bytes();
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len().max(1)));
        }
        let answer = post(what, body.clone()).await;
        expect_answer(what, &body, &answer);
        taken += usize::from(answer.0 == 200);
    }
    assert!((CASES / 20..CASES * 19 / 20).contains(&taken), "{taken} of {CASES} were taken");

    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::new(Client::new(&server.url, Some(key)).unwrap(), "sound").slots(50);
    let worker = worker.performs("*", |_| async { Ok(json!({"sent": true}).into()) });
    let working = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    server.until_quiet().await;
    stop.send(()).unwrap();
    working.await.unwrap().unwrap();
    assert_eq!(server.all("/v1/runs").await.len(), CASES);
    server.stop();
    support::verify(&folder.path().join("data"));
}

/// Answers in HTTP that is broken somewhere, or in none at all.
fn broken_answer() -> impl Strategy<Value = Vec<u8>> {
    let status = prop_oneof![4 => Just("200 OK"), 1 => Just("202 Accepted"), 1 => Just("204 No Content"),
        1 => Just("307 Temporary Redirect"), 1 => Just("429 Slow"), 1 => Just("500 Oh"), 1 => Just("999 ?"),
        1 => Just("-1"), 1 => Just("200\0"), 1 => Just("101 Switching Protocols"), 1 => Just("100 Continue")];
    let header = prop_oneof![
        Just("Retry-After: 99999999999999999999".to_owned()),
        Just("Retry-After: -1".to_owned()),
        Just("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        Just("Content-Encoding: gzip".to_owned()),
        Just("Transfer-Encoding: chunked".to_owned()),
        Just("Location: http://127.0.0.1:1/".to_owned()),
        Just("no colon".to_owned()),
        "[\\x01-\\x7f]{0,40}".prop_map(|text| format!("X-Any: {text}")),
        (0usize..70_000).prop_map(|length| format!("X-Long: {}", "x".repeat(length))),
    ];
    let body = prop_oneof![
        junk().prop_map(|value| value.to_string().into_bytes()),
        vec(any::<u8>(), 0..300),
        Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"ffffffffffffffff\r\nhello".to_vec()),
        Just(vec![b'['; 1 << 21]),
    ];
    let length = prop_oneof![3 => Just(None), 1 => Just(Some(0usize)), 1 => Just(Some(7)), 1 => Just(Some(usize::MAX))];
    let written = (status, vec(header, 0..4), body, length).prop_map(|(status, headers, body, length)| {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = length.unwrap_or(body.len());
        let mut all = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n").into_bytes();
        all.extend(body);
        all
    });
    prop_oneof![9 => written, 1 => vec(any::<u8>(), 0..300)]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_endpoints_answer_every_run_comes_to_its_end() {
    let (server, folder) = house(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = samples(broken_answer(), ANSWERS);
    let endpoint = tokio::spawn(async move {
        for answer in answers.into_iter().cycle() {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // A sender that is gone is one more thing that happens.
                _ = stream.read(&mut [0; 8192]).await;
                _ = stream.write_all(&answer).await;
                _ = stream.shutdown().await;
            });
        }
    });
    asks_for(&server, "film.render", json!({"type": "http", "url": url, "secret": SECRET})).await;
    for _ in 0..ANSWERS {
        want(&server, "film.render").await;
    }
    server.until_quiet().await;
    let runs = server.all("/v1/runs").await;
    let of = |status: &str| runs.iter().filter(|run| run["status"] == status).count();
    assert_eq!((runs.len(), of("completed") + of("failed")), (ANSWERS, ANSWERS));
    assert!(of("completed") > 0 && of("failed") > 0, "{} completed", of("completed"));
    endpoint.abort();
    server.stop();
    support::verify(&folder.path().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_called_back_is_taken_or_refused() {
    let (server, folder) = house(&[]).await;
    let endpoint = wiremock::MockServer::start().await;
    let accepted = wiremock::ResponseTemplate::new(202);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(accepted).mount(&endpoint).await;
    asks_for(&server, "film.render", json!({"type": "http", "url": endpoint.uri(), "secret": SECRET})).await;
    want(&server, "film.render").await;
    let delivered = async {
        loop {
            if let Some(request) = endpoint.received_requests().await.unwrap().first() {
                return request.body_json::<Value>().unwrap()["callback"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let callback = tokio::time::timeout(Duration::from_secs(20), delivered).await.unwrap();
    let said = json!({"status": "working", "progress": {"frames": 7}});
    for change in samples(vec(change(), 1..4), 100) {
        let body = change.iter().fold(said.clone(), changed).to_string().into_bytes();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
        let signature = sign(SECRET, &callback, &now, &body).unwrap();
        let request = support::http().post(format!("{}/v1/callbacks/{callback}", server.url));
        let request = request.header("content-type", "application/json").header("webhook-id", &callback);
        let request = request.header("webhook-timestamp", now).header("webhook-signature", signature);
        let answer = server.send(request.body(body.clone())).await;
        expect_answer("the callback", &body, &answer);
    }
    server.until_quiet().await;
    server.stop();
    support::verify(&folder.path().join("data"));
}
