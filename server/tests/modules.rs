//! Functions that a tenant wrote, called in its modules of WebAssembly, over the real binary.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use support::Server;

/// The module that docs/modules.md has as text.
fn doubles() -> Vec<u8> {
    let page = support::file("docs/modules.md");
    let (_, text) = page.split_once("```wat\n").unwrap();
    wat::parse_str(text.split_once("```").unwrap().0).unwrap()
}

async fn add(server: &Server, module: Vec<u8>) -> (u16, Value) {
    let request = server.request(Method::POST, "/v1/modules").header("content-type", "application/wasm");
    server.send(request.body(module)).await
}

fn function(module: &str) -> Value {
    json!({"function": {
        "name": "order.score", "handler": {"type": "wasm", "module": module},
        "input_schema": {"type": "integer"}, "output_schema": {"type": "integer", "maximum": 1000}
    }})
}

fn workflow() -> Value {
    json!({"workflow": {
        "name": "Score", "version": "1.0.0", "trigger": {"signal": "order.placed"},
        "steps": [{"id": "score", "type": "function", "function": "order.score", "input": "${signal.payload.amount}"}],
        "output": "${steps.score.output}"
    }})
}

/// The run that an order of this amount started, which has ended: nobody is waited for.
async fn run_of(server: &Server, amount: Value) -> Value {
    let told = server.post("/v1/signals", &json!({"name": "order.placed", "payload": {"amount": amount}})).await;
    let id = told["dispositions"][0]["run_id"].as_str().unwrap();
    server.get(&format!("/v1/runs/{id}")).await["run"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_called_in_its_module_before_the_signal_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::fresh(&data).await;
    let (status, unknown) = server
        .send(server.request(Method::POST, "/v1/functions").json(&function(&format!("sha256:{}", "0".repeat(64)))))
        .await;
    assert_eq!((status, unknown["code"].as_str().unwrap()), (422, "module_unknown"));

    let (status, module) = add(&server, doubles()).await;
    assert_eq!((status, module["size"].as_u64().unwrap()), (201, doubles().len() as u64));
    assert_eq!(add(&server, doubles()).await, (200, module.clone()));
    let digest = module["digest"].as_str().unwrap();
    let applied = server.post("/v1/functions", &function(digest)).await;
    assert_eq!((&applied["handler"], &applied["module"]), (&json!("wasm"), &json!(digest)));
    server.post("/v1/workflows?activate=true", &workflow()).await;

    let run = run_of(&server, json!(21)).await;
    assert_eq!((&run["status"], &run["output"]), (&json!("completed"), &json!(42)));
    for (amount, code) in
        [(json!("many"), "input_invalid"), (json!(-1), "amount_negative"), (json!(501), "output_invalid")]
    {
        let run = run_of(&server, amount).await;
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(code)), "{run:#}");
    }
    let names: Vec<Value> = server.all("/v1/signals").await.iter().map(|signal| signal["name"].clone()).collect();
    assert_eq!(names.iter().filter(|name| **name == "module.added").count(), 1);

    let in_use = server.send(server.request(Method::DELETE, &format!("/v1/modules/{digest}"))).await;
    assert_eq!((in_use.0, &in_use.1["code"]), (409, &json!("module_in_use")));
    let key = server.key.clone();
    server.kill();

    let server = Server::start(&data, support::free_port(), key).await;
    assert_eq!(run_of(&server, json!(4)).await["output"], 8);
    let by_worker = json!({"function": {"name": "order.score", "handler": {"type": "worker"}}});
    server.post("/v1/functions", &by_worker).await;
    let removed = server.send(server.request(Method::DELETE, &format!("/v1/modules/{digest}"))).await;
    assert_eq!(removed.0, 200);
    assert_eq!(server.get("/v1/modules").await["items"], json!([]));
    let again = server.send(server.request(Method::DELETE, &format!("/v1/modules/{digest}"))).await;
    assert_eq!(again.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_are_a_tenants_own_and_what_is_no_module_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::fresh(&folder.path().join("data")).await;
    let (_, module) = add(&server, doubles()).await;
    let digest = module["digest"].as_str().unwrap();
    let other = server.post("/v1/tenants", &json!({"slug": "other", "name": "Other"})).await;
    let secret = other["key"]["secret"].as_str().unwrap();
    let as_other = |method: Method, path: &str| {
        support::http().request(method, format!("{}{path}", server.url)).bearer_auth(secret)
    };
    let (_, none) = server.send(as_other(Method::GET, "/v1/modules")).await;
    assert_eq!(none["items"], json!([]));
    assert_eq!(server.send(as_other(Method::DELETE, &format!("/v1/modules/{digest}"))).await.0, 404);
    assert_eq!(server.send(as_other(Method::POST, "/v1/functions").json(&function(digest))).await.0, 422);

    for (body, status, code) in [
        (Vec::new(), 422, "module_invalid"),
        (b"(module)".to_vec(), 422, "module_invalid"),
        (vec![0; (1 << 20) + 1], 413, "body_too_large"),
    ] {
        let (answered, problem) = add(&server, body).await;
        assert_eq!((answered, problem["code"].as_str().unwrap()), (status, code));
    }
    let as_json = server.request(Method::POST, "/v1/modules").json(&json!({}));
    assert_eq!(server.send(as_json).await.0, 415);
    assert_eq!(server.send(server.request(Method::DELETE, "/v1/modules/sha256:abc")).await.0, 400);
    assert_eq!(server.get("/v1/modules").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_adds_the_file_that_a_function_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::fresh(&folder.path().join("data")).await;
    let (file, module) = (folder.path().join("order.score.json"), folder.path().join("score.wasm"));
    std::fs::write(&module, doubles()).unwrap();
    std::fs::write(&file, function("score.wasm").to_string()).unwrap();
    let cli = |arguments: &[&str]| {
        let mut command = Command::new(support::BINARY);
        command.args(arguments).env("FLEETPROMPT_URL", &server.url).env("FLEETPROMPT_KEY", &server.key);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let applied = cli(&["function", "apply", file.to_str().unwrap()]);
    let digest = cli(&["module", "add", module.to_str().unwrap()]);
    assert!(applied.contains("called in a module") && applied.contains(digest.trim()), "{applied}");
    assert!(cli(&["module", "list"]).contains(digest.trim()));
    server.post("/v1/workflows?activate=true", &workflow()).await;
    assert_eq!(run_of(&server, json!(7)).await["output"], 14);

    std::fs::write(&file, json!({"function": {"name": "order.score", "handler": {"type": "worker"}}}).to_string())
        .unwrap();
    cli(&["function", "apply", file.to_str().unwrap()]);
    assert!(cli(&["module", "remove", digest.trim()]).contains("is removed"));
}

/// A module that counts down from its input before it answers, with about five units of fuel for each.
fn counts_down() -> Vec<u8> {
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "call") (param $at i32) (param $size i32) (result i64)
            (local $left i32) (local $next i32)
            (local.set $next (local.get $at))
            (loop $digit
                (local.set $left (i32.add (i32.mul (local.get $left) (i32.const 10))
                    (i32.sub (i32.load8_u (local.get $next)) (i32.const 48))))
                (local.set $next (i32.add (local.get $next) (i32.const 1)))
                (br_if $digit (i32.lt_u (local.get $next) (i32.add (local.get $at) (local.get $size)))))
            (loop $again
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $again (i32.gt_s (local.get $left) (i32.const 0))))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
                    (i64.extend_i32_u (local.get $size)))))"#;
    wat::parse_str(text).unwrap()
}

async fn names_of(server: &Server, run: &str) -> Vec<String> {
    let mut signals = server.all(&format!("/v1/signals?run_id={run}")).await;
    signals.sort_by_key(|signal| signal["id"].as_str().unwrap().to_owned());
    let names = signals.iter().map(|signal| signal["name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("workflow.step.")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_is_an_attempt_that_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::fresh(&data).await;
    let (_, module) = add(&server, counts_down()).await;
    let score = json!({"name": "order.score", "handler": {"type": "wasm", "module": module["digest"]}});
    server.post("/v1/functions", &json!({"function": score})).await;
    server.post("/v1/workflows?activate=true", &workflow()).await;

    let short = run_of(&server, json!(1_000)).await;
    assert_eq!((&short["status"], &short["output"]), (&json!("completed"), &json!(1_000)), "{short:#}");
    let mut runs = Vec::new();
    for amount in [1_000_000, 1_000_001, 100_000_000] {
        runs.push(run_of(&server, json!(amount)).await["id"].as_str().unwrap().to_owned());
    }
    let key = server.key.clone();
    server.kill();

    let server = Server::start(&data, support::free_port(), key).await;
    server.until_quiet().await;
    let run = |id: &str| format!("/v1/runs/{id}");
    for (id, output) in [(&runs[0], 1_000_000), (&runs[1], 1_000_001)] {
        let ended = server.get(&run(id)).await["run"].clone();
        assert_eq!((&ended["status"], &ended["output"]), (&json!("completed"), &json!(output)), "{ended:#}");
        assert_eq!(names_of(&server, id).await, ["workflow.step.started", "workflow.step.completed"]);
    }
    let failed = server.get(&run(&runs[2])).await["run"].clone();
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("failed"), &json!("function_out_of_fuel")));
    server.stop();
    support::verify(&data);
}
