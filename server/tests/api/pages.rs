//! Every list of the API over large items: no response exceeds its bytes, and a caller that follows `next_cursor` gets
//! each item once.

use std::collections::BTreeSet;
use std::sync::Arc;

use fleetprompt_core::tenant::Role;
use fleetprompt_store::counting::{CountingStore, Counts};
use fleetprompt_store::memory::MemoryStore;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, text};

const BYTES_MAX: usize = 4 << 20;
/// Nearly as large as a document may be.
const LARGE: usize = 1_000_000;
const COUNT: usize = 6;

/// A list: its operation, the path to ask, how many items it has at least, and whether these need several pages.
struct List {
    operation: &'static str,
    path: String,
    items: usize,
    is_large: bool,
}

fn list(operation: &'static str, path: impl Into<String>, items: usize, is_large: bool) -> List {
    List { operation, path: path.into(), items, is_large }
}

/// Follows `next_cursor` to the end. Returns the number of pages and of items.
async fn walk(tenant: &Tenant<'_>, path: &str) -> (usize, usize) {
    walk_by(tenant, path, 1_000).await
}

async fn walk_by(tenant: &Tenant<'_>, path: &str, limit: usize) -> (usize, usize) {
    let (mut pages, mut items, mut cursor) = (0, 0, String::new());
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut seen = BTreeSet::new();
    loop {
        let reply = tenant.get(&format!("{path}{separator}limit={limit}{cursor}")).await;
        let page = reply.ok();
        let found = page.get("items").or(page.get("signals")).and_then(Value::as_array).expect("items");
        assert!(reply.bytes.len() <= BYTES_MAX, "{path}: {} bytes", reply.bytes.len());
        for item in found {
            assert!(seen.insert(item.to_string()), "{path} has an item twice");
        }
        (pages, items) = (pages + 1, items + found.len());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (pages, items),
        }
        assert!(!found.is_empty(), "{path}: a page that another one follows is not empty");
    }
}

/// A run whose steps, items and prompts are large, and that waits for answers.
fn large_workflow() -> Value {
    let upper = |id: String| {
        json!({
            "id": id, "type": "function", "function": "text.upper", "input": {"text": "${run.input.text}"}
        })
    };
    let mut steps: Vec<Value> = (0..COUNT).map(|n| upper(format!("step_{n}"))).collect();
    let mut each = upper("each".into());
    each["for_each"] = json!("${run.input.names}");
    steps.push(each);
    steps.push(json!({
        "id": "ask", "type": "wait", "for_each": "${run.input.names}", "input": {"prompt": "${item}: ${run.input.text}"}
    }));
    json!({"workflow": {"name": "Large", "slug": "large", "version": "1.0.0", "steps": steps}})
}

/// Registers and records large things of every kind. Returns the run and a signal.
async fn fill(tenant: &Tenant<'_>) -> (String, String) {
    let large = "x".repeat(LARGE);
    tenant.post("/v1/workflows?activate=true", large_workflow()).await.is(201);
    let names: Vec<String> = (0..COUNT).map(|n| format!("n{n}")).collect();
    let mut run = String::new();
    for n in 0..COUNT {
        let names = if n == 0 { names.as_slice() } else { &[] };
        let payload = json!({"workflow": "large", "input": {"text": &large, "names": names}});
        let body = json!({"name": "workflow.run.start", "payload": payload, "idempotency_key": n.to_string()});
        let started = tenant.post("/v1/directives", body).await.is(201);
        if n == 0 {
            run = text(&started, "/directive/output/run_id").to_owned();
        }
    }
    let mut signal = String::new();
    for n in 0..COUNT {
        let body = json!({"name": "file.read", "payload": {"text": &large, "n": n}});
        signal = text(&tenant.post("/v1/signals", body).await.is(201), "/signal/id").to_owned();
        let schedule = json!({"schedule": {
            "slug": format!("s{n}"), "cron": "0 7 * * *", "signal": "file.due", "payload": {"text": &large[..900_000]}
        }});
        tenant.post("/v1/schedules", schedule).await.is(201);
    }
    for n in 0..30 {
        let agent = json!({"agent": {
            "name": "Reader", "slug": format!("a{n}"), "model": {"provider": "auto"}, "instructions": &large[..190_000]
        }});
        tenant.post("/v1/agents", agent).await.is(201);
    }
    for n in 0..80 {
        let schema = json!({"type": "object", "description": &large[..60_000]});
        let handler = json!({"type": "manual"});
        let kind = json!({"name": format!("file.read{n}"), "handler": handler, "payload_schema": &schema});
        tenant.post("/v1/directive-types", json!({"directive_type": kind})).await.is(201);
        let function = json!({"name": format!("read{n}.it"), "handler": {"type": "worker"}, "input_schema": &schema});
        tenant.post("/v1/functions", json!({"function": function})).await.is(201);
    }
    (run, signal)
}

#[tokio::test]
async fn every_list_ends_its_pages_by_bytes_and_leaves_nothing_out() {
    let server = Server::start();
    let tenant = server.tenant("acme", Role::Owner).await;
    let (run, signal) = fill(&tenant).await;
    let lists = [
        list("agent_list", "/v1/agents", 30, true),
        list("directive_list", "/v1/directives", COUNT, true),
        list("directive_type_list", "/v1/directive-types", 80, true),
        list("function_list", "/v1/functions", 80, true),
        list("input_list", "/v1/inputs", COUNT, true),
        list("item_list", format!("/v1/runs/{run}/steps/each/items"), COUNT, true),
        list("key_list", "/v1/keys", 1, false),
        list("module_list", "/v1/modules", 0, false),
        list("node_list", "/v1/nodes", 1, false),
        list("run_list", "/v1/runs?status=running,completed", COUNT, true),
        list("run_timeline", format!("/v1/runs/{run}/timeline"), 3 * COUNT, true),
        list("schedule_list", "/v1/schedules", COUNT, true),
        list("signal_list", "/v1/signals", 4 * COUNT, true),
        list("step_list", format!("/v1/runs/{run}/steps"), COUNT + 2, true),
        list("tenant_list", "/v1/tenants", 1, false),
        list("worker_list", "/v1/workers", 0, false),
        list("workflow_list", "/v1/workflows", 1, false),
        list("workflow_version_list", "/v1/workflows/large/versions", 1, false),
    ];
    for List { operation, path, items, is_large } in &lists {
        let (pages, found) = walk(&tenant, path).await;
        assert!(found >= *items, "{operation}: {found} items");
        assert!(!is_large || pages > 1, "{operation} has {pages} page");
    }

    let known: BTreeSet<&str> = lists.iter().map(|list| list.operation).collect();
    assert_eq!(known.len(), lists.len());
    assert_eq!(known, lists_of_the_document().iter().map(String::as_str).collect(), "a list that nobody walks");

    let detail = tenant.get(&format!("/v1/runs/{run}")).await;
    assert!(detail.bytes.len() <= BYTES_MAX, "{}", detail.bytes.len());
    assert!(detail.ok()["next_cursor"].is_string(), "it says where its steps go on");
    tenant.get(&format!("/v1/signals/{signal}")).await.ok();
}

/// The operations that take a `cursor`.
fn lists_of_the_document() -> BTreeSet<String> {
    let document = serde_json::to_value(fleetprompt::api::openapi_document()).expect("it is JSON");
    let paths = document["paths"].as_object().expect("paths").values();
    let operations = paths.filter_map(|methods| methods.get("get"));
    let is_list = |operation: &&Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "cursor"))
    };
    operations.filter(is_list).map(|operation| text(operation, "/operationId").to_owned()).collect()
}

#[tokio::test]
async fn the_steps_of_a_large_run_go_on_behind_its_first_response() {
    let server = Server::start();
    let tenant = server.tenant("acme", Role::Member).await;
    let mut steps: Vec<Value> = (0..2_500)
        .map(|n| {
            json!({
                "id": format!("s{n}"), "type": "function", "function": "text.upper", "input": {"text": "x"}
            })
        })
        .collect();
    steps.push(json!({"id": "ask", "type": "wait", "input": {"prompt": "Well?"}}));
    let workflow = json!({"workflow": {
        "name": "Long", "slug": "long", "version": "1.0.0", "trigger": {"signal": "long.begun"}, "steps": steps
    }});
    tenant.post("/v1/workflows?activate=true", workflow).await.is(201);
    let told = tenant.post("/v1/signals", json!({"name": "long.begun"})).await.is(201);
    let run = text(&told, "/dispositions/0/run_id").to_owned();

    tenant.until_run(&run, |run| run["waiting_for"].is_string()).await;
    let first = tenant.get(&format!("/v1/runs/{run}")).await.ok();
    assert_eq!(first["run"]["steps"].as_array().map(Vec::len), Some(1_000));
    // What it waits for is behind the steps that are here.
    assert_eq!(text(&first, "/run/waiting_for"), "step `ask` waits for the answer of somebody with the role member");
    let cursor = text(&first, "/next_cursor");
    let mut ids: Vec<String> = vec![text(&first, "/run/steps/999/id").to_owned()];
    let mut path = format!("/v1/runs/{run}/steps?limit=1000&cursor={cursor}");
    loop {
        let page = tenant.get(&path).await.ok();
        ids.extend(page["items"].as_array().expect("items").iter().map(|step| text(step, "/id").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/runs/{run}/steps?limit=1000&cursor={cursor}");
    }
    let expected = (999..2_500).map(|n| format!("s{n}")).chain(["ask".to_owned()]);
    assert!(ids.into_iter().eq(expected));

    let without = tenant.get(&format!("/v1/runs/{run}?steps=false")).await.ok();
    assert!(without["run"].get("steps").is_none() && without.get("next_cursor").is_none(), "{without}");
    assert_eq!(without["run"]["waiting_for"], first["run"]["waiting_for"]);

    let timeline = tenant.get(&format!("/v1/runs/{run}/timeline?limit=10")).await.ok();
    assert!(timeline.get("run").is_none() && timeline["directive"].is_object(), "{timeline}");
    let next = text(&timeline, "/next_cursor");
    let second = tenant.get(&format!("/v1/runs/{run}/timeline?limit=10&cursor={next}")).await.ok();
    assert!(second.get("directive").is_none() && second.get("trigger").is_none(), "{second}");
}

/// Reading everything that there is of a run costs in proportion to it, page by page.
#[tokio::test]
async fn reading_a_run_whole_costs_in_proportion_to_its_steps_signals_and_items() {
    let (small, large) = (read_whole(250).await, read_whole(2_000).await);
    for ((what, once), (_, eightfold)) in small.into_iter().zip(large) {
        once.assert_linear(&eightfold, what);
    }
}

async fn read_whole(count: usize) -> [(&'static str, Counts); 5] {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
    let server = Server::start_over(store.clone());
    let tenant = server.tenant("acme", Role::Member).await;
    let upper = |id: String| json!({"id": id, "type": "function", "function": "text.upper", "input": {"text": "x"}});
    let mut steps: Vec<Value> = (0..count).map(|n| upper(format!("s{n}"))).collect();
    let mut each = upper("each".into());
    each["for_each"] = json!("${run.input.names}");
    steps.push(each);
    let workflow = json!({"workflow": {"name": "Long", "slug": "long", "version": "1.0.0", "steps": steps}});
    tenant.post("/v1/workflows?activate=true", workflow).await.is(201);
    let names: Vec<usize> = (0..count).collect();
    let payload = json!({"workflow": "long", "input": {"names": names}});
    let started = tenant
        .post("/v1/directives", json!({"name": "workflow.run.start", "payload": payload, "idempotency_key": "1"}))
        .await
        .is(201);
    let run = text(&started, "/directive/output/run_id").to_owned();
    tenant.until_run(&run, |run| run["status"] == "completed").await;
    let mut counts = Vec::new();
    for (what, path, items) in [
        ("steps", format!("/v1/runs/{run}/steps"), count + 1),
        ("items", format!("/v1/runs/{run}/steps/each/items"), count),
        ("timeline", format!("/v1/runs/{run}/timeline"), 2 * count),
        ("signals", "/v1/signals".to_owned(), 2 * count),
        ("live", format!("/v1/runs/{run}/live"), 2 * count),
    ] {
        store.take_counts();
        let found = match what {
            "live" => tenant.get(&path).await.text().matches("event: signal").count(),
            _ => walk_by(&tenant, &path, 100).await.1,
        };
        assert!(found >= items, "{what}: {found}");
        counts.push((what, store.take_counts()));
    }
    counts.try_into().expect("five")
}

/// A run that waits for an answer, with an input of so many bytes.
async fn waiting_run(tenant: &Tenant<'_>, key: usize, bytes: usize) -> String {
    let payload = json!({"workflow": "asks", "input": {"text": "x".repeat(bytes)}});
    let body = json!({"name": "workflow.run.start", "payload": payload, "idempotency_key": key.to_string()});
    text(&tenant.post("/v1/directives", body).await.is(201), "/directive/output/run_id").to_owned()
}

/// Pages of several statuses end by bytes as one list, so the cursor passes no run that was not seen.
#[tokio::test]
async fn runs_of_several_statuses_are_found_each_once_however_large_some_are() {
    let server = Server::start();
    let tenant = server.tenant("acme", Role::Member).await;
    let steps = json!([{"id": "ask", "type": "wait", "input": {"prompt": "Well?"}}]);
    let workflow = json!({"workflow": {"name": "Asks", "slug": "asks", "version": "1.0.0", "steps": steps}});
    tenant.post("/v1/workflows?activate=true", workflow).await.is(201);
    let oldest = waiting_run(&tenant, 0, 1).await;
    tenant.post(&format!("/v1/runs/{oldest}/pause"), json!({"reason": "it can wait"})).await.ok();
    for key in 1..10 {
        waiting_run(&tenant, key, LARGE).await;
    }
    assert_eq!(walk(&tenant, "/v1/runs?status=running,paused").await.1, 10);
    assert_eq!(walk(&tenant, "/v1/runs?status=paused,completed").await.1, 1);
    let cancel = json!({"action": "cancel", "reason": "closed", "preview": false,
        "filter": {"status": ["running", "paused"]}});
    let canceled = tenant.post("/v1/runs/bulk", cancel).await.ok();
    assert_eq!((&canceled["counts"]["fit"], &canceled["counts"]["by_status"]["running"]), (&json!(10), &json!(9)));
    assert_eq!(walk(&tenant, "/v1/runs?status=running,paused").await.1, 0);
}

/// A page also ends by bytes that it does not show, like the logs of an attempt, and says that more follow.
#[tokio::test]
async fn directives_with_large_logs_are_listed_to_the_end() {
    const DIRECTIVES: usize = 10;
    let server = Server::start();
    let tenant = server.tenant("acme", Role::Owner).await;
    let kind = json!({"name": "mail.send", "handler": {"type": "worker"}});
    tenant.post("/v1/directive-types", json!({"directive_type": kind})).await.is(201);
    let worker = json!({"name": "w"});
    let logs = vec!["\u{65e5}".repeat(2_000); 100];
    for n in 0..DIRECTIVES {
        let request = json!({"name": "mail.send", "idempotency_key": n.to_string()});
        tenant.post("/v1/directives", request).await.is(201);
        let take = json!({"worker": worker, "performs": ["mail.send"], "wait": "10s"});
        let taken = tenant.post("/v1/attempts/take", take).await.ok();
        let outcome = json!({"id": taken["attempts"][0]["id"], "status": "succeeded", "logs": logs});
        let report = json!({"worker": worker, "outcomes": [outcome]});
        let reported = tenant.post("/v1/attempts/report", report).await.ok();
        assert_eq!(reported["results"][0]["status"], "recorded", "{reported}");
    }
    for path in ["/v1/directives?name=mail.send", "/v1/directives?status=succeeded"] {
        let (pages, found) = walk(&tenant, path).await;
        assert!(pages > 1 && found == DIRECTIVES, "{path}: {found} in {pages} pages");
    }
}

/// What the items of a step gave is not read where only their number is shown.
#[tokio::test]
async fn a_run_with_large_items_is_read_without_them() {
    let store = Arc::new(CountingStore::new(Arc::new(MemoryStore::default())));
    let server = Server::start_over(store.clone());
    let tenant = server.tenant("acme", Role::Owner).await;
    tenant.post("/v1/workflows?activate=true", items_workflow()).await.is(201);
    let run = async |key: &str, bytes: usize| {
        let input = json!({"text": "x".repeat(bytes), "names": (0..20).collect::<Vec<_>>()});
        let payload = json!({"workflow": "items", "input": input});
        let body = json!({"name": "workflow.run.start", "payload": payload, "idempotency_key": key});
        let run = text(&tenant.post("/v1/directives", body).await.is(201), "/directive/output/run_id").to_owned();
        tenant.until_run(&run, |run| run["waiting_for"].as_str().is_some_and(|waits| waits.contains("`ask`"))).await;
        store.take_counts();
        run
    };
    let large = run("large", LARGE).await;
    for path in [format!("/v1/runs/{large}"), format!("/v1/runs/{large}/steps")] {
        let shown = tenant.get(&path).await.ok();
        let step = shown.pointer("/run/steps/0").or(shown.pointer("/items/0")).expect("the step");
        assert_eq!((&step["items"]["by_status"]["completed"], step.get("output")), (&json!(20), None), "{path}");
        let bytes = store.take_counts().of("run_steps").bytes;
        assert!(bytes < 3 << 20, "{path}: {bytes} bytes were read");
    }
    let (pages, items) = walk(&tenant, &format!("/v1/runs/{large}/steps/each/items")).await;
    let counts = store.take_counts().of("run_steps");
    assert!(pages > 4 && items == 20, "{items} in {pages} pages");
    // A page has 4 items, and is read with the one that does not fit.
    assert!(counts.bytes < 26 * LARGE as u64, "{counts:?}");

    let small = run("small", 10).await;
    let shown = tenant.get(&format!("/v1/runs/{small}")).await.ok();
    assert_eq!(shown["run"]["steps"][0]["output"].as_array().map(Vec::len), Some(20), "what is small is shown");
}

fn items_workflow() -> Value {
    let upper = json!({"id": "each", "type": "function", "function": "text.upper", "for_each": "${run.input.names}",
        "input": {"text": "${run.input.text}"}});
    let ask = json!({"id": "ask", "type": "wait", "input": {"prompt": "Well?"}});
    json!({"workflow": {"name": "Items", "slug": "items", "version": "1.0.0", "steps": [upper, ask]}})
}
