//! Workers over the real binary: what they are given, what becomes of what they report, and what happens
//! when they, or the server, are not there any more.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fleetprompt_client::Client;
use fleetprompt_client::worker::{Attempt, Failed, Worker};
use fleetprompt_core::signature::sign;
use serde_json::{Value, json};
use support::{BINARY, Server};
use tokio::sync::oneshot;

struct House {
    server: Server,
    _folder: tempfile::TempDir,
}

/// A server with a function and a directive that workers perform, and a workflow of both.
async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::fresh(&folder.path().join("data")).await;
    let function = json!({"function": {"name": "lead.score", "handler": {"type": "worker"}}});
    server.post("/v1/functions", &function).await;
    let directive = json!({"directive_type": {"name": "mail.send", "handler": {"type": "worker"}}});
    server.post("/v1/directive-types", &directive).await;
    let workflow = json!({"workflow": {
        "name": "Greet", "version": "1.0.0", "trigger": {"signal": "lead.created"},
        "steps": [
            {"id": "score", "type": "function", "function": "lead.score", "input": "${signal.payload}"},
            {"id": "send", "type": "directive", "directive": "mail.send",
             "payload": {"to": "ada", "score": "${steps.score.output.score}"}}
        ],
        "output": {"message": "${steps.send.output.id}"}
    }});
    server.post("/v1/workflows?activate=true", &workflow).await;
    House { server, _folder: folder }
}

impl House {
    async fn key(&self, performs: &Value) -> String {
        let made = self.server.post("/v1/keys", &json!({"name": "a worker's", "performs": performs})).await;
        made["secret"].as_str().unwrap().to_owned()
    }

    async fn start(&self) -> String {
        let told =
            self.server.post("/v1/signals", &json!({"name": "lead.created", "payload": {"company": "Acme"}})).await;
        told["dispositions"][0]["run_id"].as_str().unwrap().to_owned()
    }

    async fn run(&self, id: &str) -> Value {
        self.server.get(&format!("/v1/runs/{id}")).await["run"].clone()
    }

    async fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                let run = self.run(id).await;
                if holds(&run) {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it comes to that")
    }

    /// Until a worker of this name waits for work.
    async fn until_waiting(&self, name: &str) {
        let waited = async {
            loop {
                let workers = self.server.get("/v1/workers").await;
                let is_it = |worker: &Value| worker["name"] == name && worker["is_waiting"] == true;
                if workers["items"].as_array().unwrap().iter().any(is_it) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it waits")
    }

    /// What an endpoint of workers answers to a key.
    async fn ask(&self, key: &str, what: &str, mut body: Value) -> (u16, Value) {
        body["worker"] = json!({"name": "by-hand"});
        let request = support::http().post(format!("{}/v1/attempts/{what}", self.server.url)).bearer_auth(key);
        self.server.send(request.json(&body)).await
    }

    async fn take(&self, key: &str, wait: &str) -> Value {
        let (status, taken) = self.ask(key, "take", json!({"performs": ["*"], "limit": 10, "wait": wait})).await;
        assert_eq!(status, 200, "{taken}");
        taken["attempts"].clone()
    }

    async fn report(&self, key: &str, outcome: Value) -> Value {
        let (status, reported) = self.ask(key, "report", json!({"outcomes": [outcome]})).await;
        assert_eq!(status, 200, "{reported}");
        reported["results"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_the_clients_readme_scores_leads() {
    assert!(support::file("client/README.md").contains(&support::file("client/examples/scorer.rs")));
    let house = house().await;
    let run = house.start().await;
    let key = house.key(&json!({"names": ["lead.score"]})).await;
    let mut worker = tokio::process::Command::new(Path::new(BINARY).with_file_name("examples").join("scorer"))
        .env("FLEETPROMPT_URL", &house.server.url)
        .env("FLEETPROMPT_KEY", key)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let scored = house.until(&run, |run| run["steps"][0]["status"] == "completed").await;
    assert_eq!(scored["steps"][0]["output"], json!({"score": 4}));
    let interrupted = tokio::process::Command::new("kill").args(["-INT", &worker.id().unwrap().to_string()]).status();
    assert!(interrupted.await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(20), worker.wait()).await;
    assert!(ended.expect("it ends when it is told to").unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_through_a_worker_and_says_who_did_it() {
    let house = house().await;
    let key = house.key(&json!({"names": ["lead.*", "mail.send"]})).await;
    let run = house.start().await;
    // Work is offered after the commit that told of it was answered.
    let waiting = house.until(&run, |run| run["steps"][0]["with_worker"]["status"] == "no_worker").await;
    assert_eq!(waiting["waiting_for"].as_str().unwrap().matches("no worker performs `lead.score`").count(), 1);

    let (stop, stopped) = oneshot::channel::<()>();
    let client = Client::new(&house.server.url, Some(&key)).unwrap();
    let worker = Worker::new(client, "w-1")
        .version("1.2.3")
        .performs("lead.score", |attempt: Attempt| async move {
            attempt.log("looked at it");
            assert_eq!(attempt.input.value()["company"], "Acme");
            Ok(json!({"score": 87}).into())
        })
        .performs("mail.*", |attempt: Attempt| async move {
            if attempt.attempt == 1 {
                return Err(Failed::retry("busy", "later"));
            }
            Ok(json!({"id": attempt.idempotency_key}).into())
        });
    let working = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    let ended = house.until(&run, |run| run["status"] == "completed").await;
    assert_eq!(ended["output"]["message"], format!("{run}:send"));
    let listed = house.server.get("/v1/workers").await;
    assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["version"]), (&json!("w-1"), &json!("1.2.3")));

    let timeline = house.server.get(&format!("/v1/runs/{run}/timeline")).await;
    let signals = timeline["signals"].as_array().unwrap();
    let of = |name: &str| signals.iter().filter(|signal| signal["name"] == name).collect::<Vec<_>>();
    let scored = &of("workflow.step.completed")[0]["payload"];
    assert_eq!((&scored["execution"]["worker"], &scored["logs"]), (&json!("w-1"), &json!(["looked at it"])));
    assert_eq!(of("directive.retrying").len(), 1);
    assert_eq!(of("directive.succeeded").last().unwrap()["payload"]["execution"]["version"], "1.2.3");
    stop.send(()).unwrap();
    working.await.unwrap().expect("it ends when it is told to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_for_work_and_gets_it_with_the_commit() {
    let house = house().await;
    let key = house.key(&json!({"names": ["*"]})).await;
    let (taken, run) = tokio::join!(house.take(&key, "20s"), async {
        house.until_waiting("by-hand").await;
        house.start().await
    });
    let attempt = &taken[0];
    assert_eq!(
        (&attempt["run_id"], &attempt["step"], &attempt["name"]),
        (&json!(run), &json!("score"), &json!("lead.score"))
    );
    assert_eq!((&attempt["tenant"], &attempt["kind"]), (&json!("acme"), &json!("function")));
    assert_eq!(attempt["idempotency_key"], format!("{run}:score"));
    let trace = attempt["traceparent"].as_str().unwrap();
    assert!(trace.starts_with("00-") && trace.len() == 55, "{trace}");

    let id = &attempt["id"];
    let done = json!({"id": id, "status": "succeeded", "output": {"score": 1}});
    assert_eq!(house.report(&key, done.clone()).await["status"], "recorded");
    assert_eq!(house.report(&key, done).await["status"], "recorded", "what is told twice is known");
    let other = json!({"id": id, "status": "failed", "error": {"code": "x", "message": "y"}});
    house.report(&key, other).await;
    assert_eq!(house.run(&run).await["steps"][0]["output"]["score"], 1, "a late one never overwrites");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_workers_does_what_it_was_made_for_and_nothing_else() {
    let house = house().await;
    house.start().await;
    let mail = house.key(&json!({"names": ["mail.*"]})).await;
    assert_eq!(house.take(&mail, "0s").await, json!([]));
    let (status, refused) = house.ask(&mail, "take", json!({"performs": ["lead.score"]})).await;
    assert_eq!((status, &refused["code"]), (403, &json!("forbidden")));
    for path in ["/v1/runs", "/v1/signals", "/v1/workers", "/v1/whoami", "/v1/functions"] {
        let request = support::http().get(format!("{}{path}", house.server.url)).bearer_auth(&mail);
        assert_eq!(house.server.send(request).await.0, 403, "{path}");
    }
    let all = house.key(&json!({"names": ["*"]})).await;
    let id = house.take(&all, "0s").await[0]["id"].clone();
    let stolen = house.report(&mail, json!({"id": id, "status": "succeeded"})).await;
    assert_eq!(stolen["error"]["code"], "attempt_not_yours");
    assert_eq!(
        house.report(&all, json!({"id": "nonsense", "status": "succeeded"})).await["error"]["code"],
        "attempt_id_invalid"
    );
    let guessed = json!(format!("{}0", &id.as_str().unwrap()[..id.as_str().unwrap().len() - 1]));
    if guessed != id {
        let refused = house.report(&all, json!({"id": guessed, "status": "succeeded"})).await;
        assert_eq!(refused["error"]["code"], "lease_lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_attempts_are_not_there_unless_the_key_is_for_all() {
    let house = house().await;
    let other = house.server.post("/v1/tenants", &json!({"slug": "other", "name": "Other"})).await;
    let others = other["key"]["secret"].as_str().unwrap().to_owned();
    house.start().await;
    assert_eq!(house.take(&others, "0s").await, json!([]));
    let all = house.key(&json!({"names": ["*"], "all_tenants": true})).await;
    let taken = house.take(&all, "0s").await;
    assert_eq!(taken[0]["tenant"], "acme");
    let stolen = house.report(&others, json!({"id": taken[0]["id"], "status": "succeeded"})).await;
    assert_eq!(stolen["error"]["code"], "attempt_not_yours");
    let done = json!({"id": taken[0]["id"], "status": "succeeded", "output": {"score": 1}});
    assert_eq!(house.report(&all, done.clone()).await["status"], "recorded");
    assert_eq!(house.report(&all, done.clone()).await["status"], "recorded");
    assert_eq!(house.report(&others, done).await["error"]["code"], "attempt_not_yours", "also once it is settled");
    let late = house.report(&all, json!({"id": taken[0]["id"], "status": "canceled"})).await;
    assert_eq!((&late["status"], &late["error"]["code"]), (&json!("refused"), &json!("attempt_settled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_by_name_and_change_nothing() {
    let house = house().await;
    let run = house.start().await;
    let key = house.key(&json!({"names": ["*"]})).await;
    for (what, body, word) in [
        ("take", json!({"performs": []}), "performs"),
        ("take", json!({"performs": ["Mail"]}), "performs"),
        ("take", json!({"performs": ["*"], "limit": 101}), "limit"),
        ("take", json!({"performs": ["*"], "wait": "2m"}), "wait"),
        ("take", json!({"performs": ["*"], "holding": vec!["x"; 1_001]}), "holding"),
        ("take", json!({"performs": ["*"], "extra": 1}), "extra"),
        ("report", json!({"outcomes": vec![json!({"id": "x", "status": "canceled"}); 101]}), "outcomes"),
        ("report", json!({"outcomes": {"id": "x", "status": "canceled"}}), "outcomes"),
        ("report", json!({"outcomes": [], "more": 1}), "more"),
        ("heartbeat", json!({"attempts": vec![json!({"id": "x"}); 1_001]}), "attempts"),
    ] {
        let (status, refused) = house.ask(&key, what, body).await;
        assert_eq!(status, 400, "{what}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(word), "{word}: {refused}");
    }
    let id = house.take(&key, "0s").await[0]["id"].clone();
    for outcome in [
        json!({"id": id, "status": "retry"}),
        json!({"id": id, "status": "succeeded", "error": {"code": "x", "message": "y"}}),
        json!({"id": id, "status": "failed", "error": {"code": "", "message": "y"}}),
        json!({"id": id, "status": "succeeded", "logs": vec!["x"; 101]}),
        json!({"id": id, "status": "succeeded", "output": "x".repeat(1_100_000)}),
        json!({"id": id, "status": "succeeded", "output": (0..100).fold(json!(1), |inner, _| json!([inner]))}),
        json!({"id": id, "status": "done"}),
        json!({"id": id, "status": "succeeded", "colour": "red"}),
        json!({"id": id}),
        json!([id, "succeeded"]),
        json!(17),
    ] {
        let (status, reported) = house.ask(&key, "report", json!({"outcomes": [outcome.clone()]})).await;
        assert_eq!((status, &reported["results"][0]["status"]), (200, &json!("refused")), "{outcome}: {reported}");
        assert_eq!(reported["results"][0]["id"], if outcome.is_object() { id.clone() } else { json!("") });
    }
    assert_eq!(house.run(&run).await["steps"][0]["status"], "running");
    assert_eq!(house.report(&key, json!({"id": id, "status": "succeeded"})).await["status"], "recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_lets_waiting_workers_know_and_takes_their_reports_when_it_is_back() {
    let house = house().await;
    let key = house.key(&json!({"names": ["*"]})).await;
    let run = house.start().await;
    let id = house.take(&key, "0s").await[0]["id"].clone();
    let port: u16 = house.server.url.rsplit(':').next().unwrap().parse().unwrap();
    let (url, owner) = (house.server.url.clone(), house.server.key.clone());
    let waiting = tokio::spawn({
        let (url, key) = (url.clone(), key.clone());
        async move {
            let body = json!({"worker": {"name": "waits"}, "performs": ["*"], "wait": "60s"});
            let sent =
                support::http().post(format!("{url}/v1/attempts/take")).bearer_auth(key).json(&body).send().await;
            sent.unwrap().json::<Value>().await.unwrap()
        }
    });
    house.until_waiting("waits").await;
    let House { server, _folder } = house;
    server.stop();
    assert_eq!(waiting.await.unwrap()["shutdown"], true);

    let server = Server::start(&_folder.path().join("data"), port, owner).await;
    let house = House { server, _folder };
    let done = json!({"id": id, "status": "succeeded", "output": {"score": 5}});
    assert_eq!(house.report(&key, done).await["status"], "recorded", "nobody else was given it meanwhile");
    house.until(&run, |run| run["steps"][0]["output"]["score"] == 5).await;
}

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// An endpoint that answers by 202, a run that waits for it, and the name under which it calls back.
async fn called_later(house: &House) -> (wiremock::MockServer, String, String) {
    let endpoint = wiremock::MockServer::start().await;
    let accepted = wiremock::ResponseTemplate::new(202);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(accepted).mount(&endpoint).await;
    let handler = json!({"type": "http", "url": endpoint.uri(), "secret": SECRET});
    house
        .server
        .post("/v1/directive-types", &json!({"directive_type": {"name": "film.render", "handler": handler}}))
        .await;
    let step = json!({"id": "render", "type": "directive", "directive": "film.render", "payload": {}});
    let workflow = json!({"workflow": {"name": "Render", "version": "1.0.0", "trigger": {"signal": "film.shot"},
        "steps": [step], "output": "${steps.render.output}"}});
    house.server.post("/v1/workflows?activate=true", &workflow).await;
    let told = house.server.post("/v1/signals", &json!({"name": "film.shot", "payload": {}})).await;
    let run = told["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
    let delivered = async {
        loop {
            if let Some(request) = endpoint.received_requests().await.unwrap().first() {
                return request.body_json::<Value>().unwrap()["callback"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let callback = tokio::time::timeout(Duration::from_secs(20), delivered).await.unwrap();
    (endpoint, run, callback)
}

async fn call_back(house: &House, callback: &str, secret: &str, body: &Value) -> (u16, Value) {
    let client = Client::new(&house.server.url, None).unwrap();
    let said = serde_json::from_value(body.clone()).unwrap();
    match client.callback(callback, &said, secret).await {
        Ok(answer) => (200, serde_json::to_value(answer).unwrap()),
        Err(error) => (error.problem().unwrap().status, Value::Null),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_answers_by_202_calls_back_signed_and_the_run_goes_on() {
    let house = house().await;
    let (_endpoint, run, callback) = called_later(&house).await;
    let done = json!({"status": "succeeded", "output": {"film": "f_1"}});
    let stranger = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    assert_eq!(call_back(&house, &callback, stranger, &done).await.0, 401, "signed by somebody else");
    let other = format!("{}{}", &callback[..callback.len() - 1], if callback.ends_with('0') { '1' } else { '0' });
    assert_eq!(call_back(&house, &other, SECRET, &done).await.0, 401, "under a name that was never given");
    assert_eq!(call_back(&house, "nonsense", SECRET, &done).await.0, 422);
    let working = json!({"status": "working", "progress": {"frames": 7}});
    assert_eq!(call_back(&house, &callback, SECRET, &working).await, (200, json!({"cancel_requested": false})));
    assert_eq!(house.run(&run).await["status"], "running");
    assert_eq!(call_back(&house, &callback, SECRET, &done).await.0, 200);
    let ended = house.until(&run, |run| run["status"] == "completed").await;
    assert_eq!(ended["output"], json!({"film": "f_1"}));
    assert_eq!(call_back(&house, &callback, SECRET, &done).await.0, 401, "it is over");
}

/// A message under this `webhook-id`, signed as deliveries are, to a callback.
async fn send_signed(house: &House, callback: &str, id: &str, body: &'static str) -> u16 {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let signature = sign(SECRET, id, &at, body.as_bytes()).unwrap();
    let request = support::http().post(format!("{}/v1/callbacks/{callback}", house.server.url));
    let request = request.header("content-type", "application/json").header("webhook-id", id);
    let request = request.header("webhook-timestamp", at).header("webhook-signature", signature);
    house.server.send(request.body(body)).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_callback_ends_its_own_directive_and_no_other() {
    let house = house().await;
    let (endpoint, first, callback) = called_later(&house).await;
    let told = house.server.post("/v1/signals", &json!({"name": "film.shot", "payload": {}})).await;
    let second = told["dispositions"][0]["run_id"].as_str().unwrap().to_owned();
    let delivered = async {
        loop {
            if let Some(request) = endpoint.received_requests().await.unwrap().get(1) {
                return request.body_json::<Value>().unwrap()["callback"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let other = tokio::time::timeout(Duration::from_secs(20), delivered).await.unwrap();
    let done = r#"{"status": "succeeded", "output": {"film": "f_1"}}"#;
    let of_first = format!("{callback}:1");
    let beginning = &callback[..callback.len() - 1];
    for id in [&of_first, &callback, "msg_1", "", beginning, &format!("{other}1")] {
        assert_eq!(send_signed(&house, &other, id, done).await, 401, "{id}");
    }
    assert_eq!(house.run(&second).await["status"], "running");
    assert_eq!(send_signed(&house, &callback, &of_first, done).await, 200);
    house.until(&first, |run| run["status"] == "completed").await;
    assert_eq!(send_signed(&house, &callback, &of_first, done).await, 401, "it was accepted once");
    assert_eq!(send_signed(&house, &other, &other, r#"{"status": "working"}"#).await, 200);
    assert_eq!(send_signed(&house, &other, &other, done).await, 200, "another message under the same id");
    house.until(&second, |run| run["status"] == "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_still_at_it_learns_that_nobody_wants_it_any_more() {
    let house = house().await;
    let (_endpoint, run, callback) = called_later(&house).await;
    house.server.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "the film is off"})).await;
    let working = json!({"status": "working"});
    assert_eq!(call_back(&house, &callback, SECRET, &working).await, (200, json!({"cancel_requested": true})));
    assert_eq!(call_back(&house, &callback, SECRET, &json!({"status": "canceled"})).await.0, 200);
    house.until(&run, |run| run["status"] == "canceled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_may_not_be_given_or_give_fails_its_step() {
    let house = house().await;
    let schema = |field: &str| json!({"type": "object", "required": [field]});
    let function = json!({"function": {"name": "lead.score", "handler": {"type": "worker"},
        "input_schema": schema("company"), "output_schema": schema("score"), "retry": {"max_attempts": 1}}});
    house.server.post("/v1/functions", &function).await;
    let told = house.server.post("/v1/signals", &json!({"name": "lead.created", "payload": {"name": "Ada"}})).await;
    let refused = house.run(told["dispositions"][0]["run_id"].as_str().unwrap()).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!("failed"), &json!("input_invalid")));

    let key = house.key(&json!({"names": ["*"]})).await;
    let run = house.start().await;
    let id = house.take(&key, "5s").await[0]["id"].clone();
    let outcome = json!({"id": id, "status": "succeeded", "output": {"points": 87}});
    assert_eq!(house.report(&key, outcome).await["status"], "recorded");
    let ended = house.run(&run).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("output_invalid")));
}

/// Twelve calls of a function and twelve directives, with inputs of a megabyte: more than the engine keeps of one tenant,
/// and more than one response has. Workers get all of them, also after a restart.
async fn hand_out_large_inputs(place: &Path) {
    const MEGABYTE: usize = 1_000_000;
    let (port, key) = (support::free_port(), support::create_tenant(place, "acme"));
    let start = async |lease_s| Server::start_with(place, port, key.clone(), &["--lease-s", lease_s]).await;
    let server = start("60").await;
    server.post("/v1/functions", &json!({"function": {"name": "lead.score", "handler": {"type": "worker"}}})).await;
    let of_type = json!({"directive_type": {"name": "mail.send", "handler": {"type": "worker"}}});
    server.post("/v1/directive-types", &of_type).await;
    for step in [
        json!({"id": "score", "type": "function", "function": "lead.score", "input": "${signal.payload}"}),
        json!({"id": "send", "type": "directive", "directive": "mail.send", "payload": "${signal.payload}"}),
    ] {
        let workflow = json!({"name": step["id"], "version": "1.0.0", "trigger": {"signal": "a.b"}, "steps": [step]});
        server.post("/v1/workflows?activate=true", &json!({"workflow": workflow})).await;
    }
    for number in 0..12 {
        let payload = json!({"number": number, "text": "x".repeat(MEGABYTE)});
        server.post("/v1/signals", &json!({"name": "a.b", "payload": payload})).await;
    }
    let take_all = async |server: &Server, reports: bool| {
        let mut numbers = BTreeMap::new();
        while numbers.len() < 24 {
            let take = json!({"worker": {"name": "w"}, "performs": ["*"], "limit": 100, "wait": "20s"});
            let taken = server.post("/v1/attempts/take", &take).await;
            let attempts = taken["attempts"].as_array().unwrap();
            assert!((1..=5).contains(&attempts.len()), "{}", attempts.len());
            for attempt in attempts {
                assert_eq!(attempt["input"]["text"].as_str().map(str::len), Some(MEGABYTE));
                numbers.insert(attempt["idempotency_key"].to_string(), attempt["input"]["number"].as_u64().unwrap());
            }
            // Those that are not reported come again when their lease has ended.
            if reports {
                let outcome = |attempt: &Value| json!({"id": attempt["id"], "status": "succeeded"});
                let outcomes: Vec<Value> = attempts.iter().map(outcome).collect();
                let report = json!({"worker": {"name": "w"}, "outcomes": outcomes});
                server.post("/v1/attempts/report", &report).await;
            }
        }
        let mut numbers: Vec<u64> = numbers.into_values().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..24).map(|place| place / 2).collect::<Vec<_>>());
    };
    take_all(&server, false).await;
    server.kill();
    let server = start("2").await;
    take_all(&server, true).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_are_not_kept_are_read_again_over_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    hand_out_large_inputs(&folder.path().join("data")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_are_not_kept_are_read_again_over_postgresql() {
    let postgres = fleetprompt_testing::Postgres::start();
    hand_out_large_inputs(Path::new(&postgres.database())).await;
}
