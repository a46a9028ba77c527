//! The worker against a server that answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify, watch};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::testing::attempt_of;
use super::{Attempt, Failed, Worker};
use crate::Client;
use crate::wire::{self, AttemptStatus};

fn attempt(id: &str, name: &str, input: &Value) -> Value {
    json!({"id": id, "kind": "function", "name": name, "input": input, "idempotency_key": "k", "attempt": 1,
        "delivery": 1, "tenant": "acme", "correlation_id": "c", "traceparent": "00-0-0-01", "lease_ms": 300})
}

fn taken(attempts: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"attempts": attempts, "canceled": [], "shutdown": false}))
}

fn recorded(request: &Request) -> ResponseTemplate {
    let asked: Value = request.body_json().expect("JSON");
    let one = |outcome: &Value| json!({"id": outcome["id"], "status": "recorded"});
    let results: Vec<Value> = asked["outcomes"].as_array().expect("outcomes").iter().map(one).collect();
    ResponseTemplate::new(200).set_body_json(json!({"results": results}))
}

async fn server(first: Vec<Value>) -> MockServer {
    let server = MockServer::start().await;
    let at = |at: &str| Mock::given(method("POST")).and(path(format!("/v1/attempts/{at}")));
    at("take").respond_with(taken(&first)).up_to_n_times(1).mount(&server).await;
    at("take").respond_with(taken(&[]).set_delay(Duration::from_secs(30))).mount(&server).await;
    at("report").respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&server).await;
    at("report").respond_with(recorded).mount(&server).await;
    server
}

fn worker(server: &MockServer) -> Worker {
    Worker::new(Client::new(&server.uri(), Some("fp_key")).expect("a client"), "test").grace(Duration::from_secs(5))
}

/// Works until everything that was taken has been reported, and gives what was.
async fn reported(server: &MockServer, worker: Worker, count: usize) -> Vec<Value> {
    let all = async {
        loop {
            let requests = server.received_requests().await.unwrap_or_default();
            let reports = requests.iter().filter(|request| request.url.path() == "/v1/attempts/report");
            // The first was answered by 503.
            let bodies = reports.skip(1).filter_map(|report| report.body_json::<Value>().ok());
            let outcomes = bodies.flat_map(|body| body["outcomes"].as_array().cloned().unwrap_or_default());
            let outcomes: Vec<Value> = outcomes.collect();
            if outcomes.len() >= count {
                return outcomes;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let stop = Notify::new();
    let (worked, outcomes) = tokio::join!(worker.run(stop.notified()), async {
        let outcomes = tokio::time::timeout(Duration::from_secs(20), all).await.expect("it is reported");
        stop.notify_one();
        outcomes
    });
    worked.expect("it works until it is stopped");
    outcomes
}

#[tokio::test]
async fn what_handlers_give_is_reported_until_it_is_answered() {
    let inputs = ["fine", "busy", "broken", "off", "panic"];
    let attempts = inputs.map(|input| attempt(input, "work.do", &json!(input)));
    let server = server(attempts.to_vec()).await;
    let worker = worker(&server).performs("work.*", |attempt: Attempt| async move {
        attempt.log("begun");
        match attempt.read::<String>()?.as_str() {
            "fine" => Ok(json!({"key": attempt.idempotency_key}).into()),
            "busy" => Err(Failed::retry("busy", "later").after(Duration::from_secs(5))),
            "broken" => Err(Failed::fatal("broken", "never")),
            "off" => Err(Failed::canceled()),
            _ => panic!("as asked"),
        }
    });
    let mut outcomes = reported(&server, worker, inputs.len()).await;
    outcomes.sort_by_key(|outcome| outcome["id"].as_str().map(str::to_owned));
    let [broken, busy, fine, off, panicked] = &outcomes[..] else { panic!("{outcomes:?}") };
    let expected = json!({"id": "fine", "status": "succeeded", "output": {"key": "k"}, "logs": ["begun"]});
    assert_eq!(*fine, expected);
    assert_eq!(
        (&busy["status"], &busy["error"]["code"], &busy["delay"]),
        (&json!("retry"), &json!("busy"), &json!("5s"))
    );
    assert_eq!((&broken["status"], &broken["error"]["message"]), (&json!("failed"), &json!("never")));
    assert_eq!(off["status"], "canceled");
    assert_eq!((&panicked["status"], &panicked["error"]["code"]), (&json!("retry"), &json!("panic")));
}

/// Answers the outcome with the id `bad` by what is next in the list, and all others by `recorded`.
struct Judge(Mutex<Vec<(u16, &'static str)>>);

impl Respond for Judge {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let asked: Value = request.body_json().expect("JSON");
        let one = |outcome: &Value| {
            let id = &outcome["id"];
            let refusal = (id == "bad").then(|| self.0.lock().expect("no panic").pop()).flatten();
            match refusal {
                Some((status, code)) => json!({"id": id, "status": "refused", "error": {
                    "type": "t", "title": "T", "status": status, "code": code, "detail": "why"}}),
                None => json!({"id": id, "status": "recorded"}),
            }
        };
        let results: Vec<Value> = asked["outcomes"].as_array().expect("outcomes").iter().map(one).collect();
        ResponseTemplate::new(200).set_body_json(json!({"results": results}))
    }
}

/// Has 100 attempts made that end at the same time, and gives the ids and codes of each report.
async fn reports_of_100(answers: &[(u16, &'static str)]) -> Vec<Vec<(String, Value)>> {
    let server = MockServer::start().await;
    let at = |at: &str| Mock::given(method("POST")).and(path(format!("/v1/attempts/{at}")));
    let id = |number: usize| if number == 57 { "bad".to_owned() } else { format!("a{number:02}") };
    let attempts: Vec<Value> = (0..100).map(|number| attempt(&id(number), "work.do", &json!(null))).collect();
    at("take").respond_with(taken(&attempts)).up_to_n_times(1).mount(&server).await;
    at("take").respond_with(taken(&[]).set_delay(Duration::from_secs(30))).mount(&server).await;
    let answers: Vec<_> = answers.iter().rev().copied().collect();
    let expected = answers.len();
    at("report").respond_with(Judge(Mutex::new(answers))).mount(&server).await;
    let barrier = Arc::new(Barrier::new(100));
    let worker = worker(&server).slots(100).performs("work.do", move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Ok(json!(1).into())
        }
    });
    let stop = Notify::new();
    let reports = async || {
        let requests = server.received_requests().await.unwrap_or_default();
        let bodies = requests.iter().filter(|request| request.url.path() == "/v1/attempts/report");
        let one =
            |outcome: &Value| (outcome["id"].as_str().expect("an id").to_owned(), outcome["error"]["code"].clone());
        let outcomes = |request: &Request| {
            let body: Value = request.body_json().expect("JSON");
            body["outcomes"].as_array().expect("outcomes").iter().map(one).collect::<Vec<_>>()
        };
        bodies.map(outcomes).collect::<Vec<_>>()
    };
    let until_all = async {
        // Each answer that is not the last brings another report of the one that is bad.
        while reports().await.iter().flatten().count() < 100 + expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.notify_one();
    };
    let (worked, ()) = tokio::join!(worker.run(stop.notified()), until_all);
    worked.expect("it works until it is stopped");
    reports().await
}

#[tokio::test]
async fn of_100_outcomes_the_99_that_are_recorded_are_not_sent_again_with_the_one_that_is_not() {
    for (answers, codes) in [
        (&[(503, "unavailable"), (409, "attempt_reported")][..], vec![json!(null), json!(null), json!(null)]),
        (&[(400, "too_deep")][..], vec![json!(null), json!("too_deep")]),
    ] {
        let reports = reports_of_100(answers).await;
        let mut sent: Vec<(String, Value)> = reports.into_iter().flatten().collect();
        sent.sort_by_key(|(id, _)| id.clone());
        let bad: Vec<Value> = sent.extract_if(.., |(id, _)| id == "bad").map(|(_, code)| code).collect();
        assert_eq!(bad, codes, "{answers:?}");
        let ids: Vec<String> = sent.into_iter().map(|(id, _)| id).collect();
        let others = (0..100).filter(|number| *number != 57).map(|number| format!("a{number:02}"));
        assert_eq!(ids, others.collect::<Vec<_>>(), "{answers:?}");
    }
}

#[tokio::test]
async fn what_is_called_off_learns_it_by_a_heartbeat() {
    let server = server(vec![attempt("a", "work.do", &json!(null))]).await;
    let kept = json!({"results": [{"id": "a", "status": "kept", "lease_ms": 300, "cancel_requested": true}],
        "shutdown": false});
    let heartbeat = Mock::given(method("POST")).and(path("/v1/attempts/heartbeat"));
    heartbeat.respond_with(ResponseTemplate::new(200).set_body_json(kept)).mount(&server).await;
    let worker = worker(&server).performs("work.do", |attempt: Attempt| async move {
        attempt.canceled().await;
        Err(Failed::canceled())
    });
    assert_eq!(reported(&server, worker, 1).await[0]["status"], "canceled");
}

#[tokio::test]
async fn an_output_that_is_too_large_is_a_failure_that_says_so() {
    let server = server(vec![attempt("a", "work.do", &json!(null))]).await;
    let worker = worker(&server).performs("work.do", |_| async { Ok(json!("x".repeat(1 << 20)).into()) });
    assert_eq!(reported(&server, worker, 1).await[0]["error"]["code"], "output_too_large");
}

#[tokio::test]
async fn texts_are_shortened_to_what_the_server_takes_and_too_much_progress_is_kept_back() {
    let server = server(vec![attempt("a", "work.do", &json!(null)), attempt("b", "work.do", &json!(null))]).await;
    let heartbeat = Mock::given(method("POST")).and(path("/v1/attempts/heartbeat"));
    let (arrived, has_arrived) = watch::channel(false);
    let respond = move |_: &Request| {
        arrived.send_replace(true);
        ResponseTemplate::new(503)
    };
    heartbeat.respond_with(respond).mount(&server).await;
    let worker = worker(&server).performs("work.do", move |attempt: Attempt| {
        let mut has_arrived = has_arrived.clone();
        async move {
            attempt.log("é".repeat(5_000));
            attempt.progress(json!("x".repeat(5_000)));
            has_arrived.wait_for(|has_arrived| *has_arrived).await.expect("the server goes on");
            let code = if attempt.id == "a" { "é\n".repeat(300) } else { "\n".to_owned() };
            Err(Failed::fatal(&code, "é".repeat(5_000)))
        }
    });
    let outcomes = reported(&server, worker, 2).await;
    let of = |id: &str| outcomes.iter().find(|outcome| outcome["id"] == id).expect("it is reported");
    assert_eq!(of("a")["logs"], json!(["é".repeat(2_000)]));
    assert_eq!(of("a")["error"], json!({"code": "é".repeat(127), "message": "é".repeat(2_000)}));
    assert_eq!(of("b")["error"]["code"], "error");
    let kept = server.received_requests().await.unwrap_or_default();
    let kept: Vec<_> = kept.iter().filter(|request| request.url.path() == "/v1/attempts/heartbeat").collect();
    assert!(!kept.is_empty() && kept.iter().all(|request| request.body.len() < 1_000), "{} heartbeats", kept.len());
}

#[tokio::test]
async fn a_key_that_is_not_for_workers_ends_it_with_the_servers_words() {
    let server = MockServer::start().await;
    let problem = json!({"type": "t", "title": "Forbidden", "status": 403, "code": "forbidden", "detail": "not yours"});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(403).set_body_json(problem)).mount(&server).await;
    let worker = worker(&server).performs("work.do", |_| async { Ok(json!(null).into()) });
    let refused = worker.run(std::future::pending()).await.expect_err("it is refused");
    assert!(refused.to_string().contains("not yours"), "{refused}");
}

#[tokio::test]
async fn a_handler_is_tried_without_a_server() {
    let client = Client::new("http://127.0.0.1:9", None).expect("a client");
    let worker = Worker::new(client, "test").performs("lead.*", |attempt: Attempt| async move {
        attempt.log(format!("attempt {}", attempt.attempt));
        match attempt.input.value()["do"].as_str() {
            Some("panic") => panic!("as it was told"),
            Some("wait") => {
                attempt.canceled().await;
                Err(Failed::canceled())
            }
            _ if attempt.attempt == 1 => Err(Failed::retry("busy", "later").after(Duration::from_secs(1))),
            _ => Ok(json!({"score": 87}).into()),
        }
    });
    let told = |what: &str| attempt_of("lead.score", json!({"do": what}));
    let first = worker.perform(told("it")).await;
    assert_eq!((first.status, first.error.expect("an error").code.as_str()), (AttemptStatus::Retry, "busy"));
    assert_eq!(first.logs, ["attempt 1"]);
    let second = worker.perform(wire::Attempt { attempt: 2, ..told("it") }).await;
    assert_eq!((second.status, second.output), (AttemptStatus::Succeeded, Some(json!({"score": 87}).into())));
    assert_eq!(worker.perform(told("panic")).await.error.expect("an error").code, "panic");
    assert_eq!(worker.perform_canceled(told("wait")).await.status, AttemptStatus::Canceled);
    let late = worker.perform(wire::Attempt { timeout_ms: Some(5), ..told("wait") }).await;
    assert_eq!(late.error.expect("an error").code, "timeout");
}
