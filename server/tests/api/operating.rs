//! What people do to runs: each verb as it is meant, where it does not fit, by whom it may not be done, and
//! with bodies that nobody should send.

use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, Tenant, manual_type, text, thread, waiting_workflow};

/// Waits for a person of the role `operator`, then for somebody outside.
fn asking_workflow() -> Value {
    json!({"workflow": {
        "name": "Refund", "slug": "refund", "version": "1.0.0",
        "trigger": {"signal": "forum.thread.created"},
        "steps": [
            {"id": "approve", "type": "wait", "timeout": "2h", "input": {
                "prompt": "Refund thread ${signal.subject.id}?", "role": "operator",
                "schema": {"type": "object", "required": ["approved"], "properties": {"approved": {"type": "boolean"}}},
                "escalate": [{"after": "1h", "role": "member"}]
            }},
            {"id": "scan", "type": "wait", "callback": true}
        ],
        "output": {"approved": "${steps.approve.output.approved}", "scan": "${steps.scan.output}"}
    }})
}

/// Goes over a list, by directives that somebody reports on.
fn listing_workflow() -> Value {
    json!({"workflow": {
        "name": "Notify", "slug": "notify", "version": "1.0.0",
        "steps": [{
            "id": "tell", "type": "directive", "directive": "forum.review.ask", "for_each": "${run.input.names}",
            "payload": {"name": "${item}"}
        }]
    }})
}

/// A run of `workflow` that a thread started.
async fn started(tenant: &Tenant<'_>, workflow: Value) -> String {
    tenant.post("/v1/directive-types", manual_type()).await;
    tenant.post("/v1/workflows?activate=true", workflow).await;
    let told = tenant.post("/v1/signals", thread(&format!("t{}", tenant.count_signals().await))).await.is(201);
    text(&told, "/dispositions/0/run_id").to_owned()
}

/// The directive that its first step waits for ends badly, and the run with it.
async fn failed(tenant: &Tenant<'_>, run: &str) {
    let directive = text(&tenant.get(&format!("/v1/runs/{run}")).await.ok(), "/run/steps/0/directive_id").to_owned();
    let report = json!({"status": "failed", "error": {"code": "rejected", "message": "over budget"}});
    tenant.post(&format!("/v1/directives/{directive}/report"), report).await.ok();
    assert_eq!(status(tenant, run).await, "failed");
}

async fn status(tenant: &Tenant<'_>, run: &str) -> String {
    text(&tenant.get(&format!("/v1/runs/{run}")).await.ok(), "/run/status").to_owned()
}

#[tokio::test]
async fn a_run_is_paused_resumed_and_canceled_and_each_says_who_and_why() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let run = started(&forum, waiting_workflow()).await;
    let path = |verb: &str| format!("/v1/runs/{run}/{verb}");

    let paused = forum.post(&path("pause"), json!({"reason": "the shop is moved"})).await.ok();
    assert_eq!((text(&paused, "/run/status"), text(&paused, "/run/standing/reason")), ("paused", "the shop is moved"));
    assert_eq!(text(&paused, "/run/standing/by/type"), "key");
    assert!(text(&paused, "/run/waiting_for").starts_with("it was paused by key_"), "{paused}");
    assert_eq!(text(&paused, "/directive/name"), "workflow.run.pause");
    forum.post(&path("pause"), json!({"reason": "again"})).await.is_problem(409, "run_status");

    let resumed = forum.post(&path("resume"), json!({"reason": "it has moved"})).await.ok();
    assert_eq!(text(&resumed, "/run/status"), "running");
    assert!(resumed["run"].get("standing").is_none(), "{resumed}");
    forum.post(&path("resume"), json!({"reason": "again"})).await.is_problem(409, "run_status");

    let canceled = forum.post(&path("cancel"), json!({"reason": "thread deleted", "compensate": true})).await.ok();
    assert_eq!(text(&canceled, "/run/status"), "canceled");
    forum.post(&path("pause"), json!({"reason": "late"})).await.is_problem(409, "run_ended");
}

#[tokio::test]
async fn the_same_key_is_the_same_intent() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let run = started(&forum, waiting_workflow()).await;
    let body = || Body::from(json!({"reason": "moved"}).to_string());
    let key = [("idempotency-key", "move-1")];
    let path = format!("/v1/runs/{run}/pause");
    let first = forum.send_with(Method::POST, &path, "application/json", body(), &key).await.ok();
    let second = forum.send_with(Method::POST, &path, "application/json", body(), &key).await.ok();
    assert_eq!((&first["replayed"], &second["replayed"]), (&json!(false), &json!(true)));
    assert_eq!(first["directive"]["id"], second["directive"]["id"]);
    let other = Body::from(json!({"reason": "another"}).to_string());
    let reused = forum.send_with(Method::POST, &path, "application/json", other, &key).await;
    reused.is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_failed_run_is_retried_by_operators_and_run_again_as_another() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Operator).await;
    let run = started(&forum, waiting_workflow()).await;
    let path = |verb: &str| format!("/v1/runs/{run}/{verb}");
    forum.post(&path("retry"), json!({"reason": "too early"})).await.is_problem(409, "run_status");
    forum.post(&path("rerun"), json!({"reason": "too early"})).await.is_problem(409, "run_status");
    failed(&forum, &run).await;

    let none = json!({"reason": "r", "from": ["nothing"]});
    forum.post(&path("retry"), none).await.is_problem(404, "not_found");
    let retried = forum.post(&path("retry"), json!({"reason": "the budget grew"})).await.ok();
    assert_eq!((text(&retried, "/run/status"), text(&retried, "/run/id")), ("running", run.as_str()));
    failed(&forum, &run).await;

    let again = forum.post(&path("rerun"), json!({"reason": "from the beginning", "reissue": true})).await.ok();
    assert_ne!(text(&again, "/run/id"), run);
    assert_eq!(text(&again, "/run/status"), "running");
    let again = forum.post(&path("rerun"), json!({"reason": "taken over"})).await.ok();
    assert_eq!(text(&again, "/run/source"), run);
    let of_source = forum.get(&format!("/v1/runs?source={run}")).await.ok();
    assert_eq!(of_source["items"].as_array().map(Vec::len), Some(1), "{of_source}");
}

#[tokio::test]
async fn steps_are_skipped_and_completed_by_operators() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Operator).await;
    let run = started(&forum, asking_workflow()).await;
    let path = |step: &str, verb: &str| format!("/v1/runs/{run}/steps/{step}/{verb}");
    let output = json!({"reason": "told by phone", "output": {"approved": true}});
    let completed = forum.post(&path("approve", "complete"), output.clone()).await.ok();
    assert_eq!(text(&completed, "/run/steps/0/status"), "completed");
    forum.post(&path("approve", "complete"), output).await.is_problem(409, "step_status");
    forum.post(&path("nothing", "skip"), json!({"reason": "r"})).await.is_problem(404, "not_found");
    forum.post(&path("scan", "skip"), json!({"reason": "r", "item": 3})).await.is_problem(404, "not_found");
    let skipped = forum.post(&path("scan", "skip"), json!({"reason": "no scanner"})).await.ok();
    assert_eq!(text(&skipped, "/run/steps/1/status"), "skipped");
}

#[tokio::test]
async fn what_waits_for_people_is_listed_and_answered_by_those_who_may() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Admin).await;
    let run = started(&forum, asking_workflow()).await;
    let listed = forum.get("/v1/inputs").await.ok();
    let input = &listed["items"][0];
    assert_eq!(
        (text(input, "/run_id"), text(input, "/step"), text(input, "/role")),
        (run.as_str(), "approve", "operator")
    );
    assert!(text(input, "/prompt").starts_with("Refund thread t"), "{input}");
    assert_eq!((&input["may_answer"], &input["schema"]["required"]), (&json!(true), &json!(["approved"])));
    assert!(input["timeout_at"].is_string() && input["escalate_at"].is_string(), "{input}");
    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    assert_eq!((text(&detail, "/run/steps/0/waiting/for"), text(&detail, "/run/steps/0/status")), ("input", "waiting"));

    let member = member_of(&forum, "member").await;
    let answer = json!({"value": {"approved": true}});
    let path = format!("/v1/runs/{run}/steps/approve/answer");
    member.post(&path, answer.clone()).await.is_problem(403, "role_missing");
    assert_eq!(member.get("/v1/inputs").await.ok()["items"][0]["may_answer"], json!(false));
    forum.post(&path, json!({"value": {"approved": "yes"}})).await.is_problem(422, "input_invalid");
    let answered = forum.post(&path, answer.clone()).await.ok();
    assert_eq!(text(&answered, "/run/steps/0/status"), "completed");
    let again = forum.post(&path, answer).await;
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(forum.get("/v1/inputs").await.ok()["items"], json!([]));

    // The callback shows the key that it is reported under.
    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    let key = text(&detail, "/run/steps/1/waiting/key");
    assert_eq!(key, format!("{run}:scan"));
    let report = json!({
        "name": "workflow.step.report", "idempotency_key": "scan-1", "payload": {"key": key, "output": {"clean": true}}
    });
    let reported = forum.post("/v1/directives", report).await.is(201);
    assert_eq!(text(&reported, "/directive/status"), "succeeded", "{reported}");
    assert_eq!(status(&forum, &run).await, "completed");
}

#[tokio::test]
async fn what_comes_early_is_kept_and_what_belongs_nowhere_is_refused() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Operator).await;
    let run = started(&forum, asking_workflow()).await;
    let report = |key: &str, place: String| json!({"name": "workflow.step.report", "idempotency_key": key, "payload": {"key": place, "output": 7}});
    // The wait for it has not begun.
    let early = forum.post("/v1/directives", report("early", format!("{run}:scan"))).await.is(201);
    assert_eq!(text(&early, "/directive/status"), "succeeded", "{early}");
    let twice = forum.post("/v1/directives", report("twice", format!("{run}:scan"))).await;
    let detail = text(&twice.is_problem(409, "step_status"), "/detail").to_owned();
    assert!(detail.contains("is kept for it already") && detail.contains("send the next attempt under another one"));
    // The same key is the same failure.
    forum.post("/v1/directives", report("twice", format!("{run}:scan"))).await.is_problem(409, "step_status");
    let nobody = "run_01h455vb4pex5vsknk084sn02q";
    forum.post("/v1/directives", report("step", format!("{run}:nothing"))).await.is_problem(404, "not_found");
    forum.post("/v1/directives", report("run", format!("{nobody}:scan"))).await.is_problem(404, "not_found");
    let cancel =
        json!({"name": "workflow.run.cancel", "idempotency_key": "c", "payload": {"run_id": nobody, "reason": "r"}});
    forum.post("/v1/directives", cancel).await.is_problem(404, "not_found");

    let answer = json!({"value": {"approved": true}});
    forum.post(&format!("/v1/runs/{run}/steps/approve/answer"), answer).await.ok();
    let done = forum.get(&format!("/v1/runs/{run}")).await.ok();
    assert_eq!((text(&done, "/run/status"), &done["run"]["output"]["scan"]), ("completed", &json!(7)));
    forum.post("/v1/directives", report("late", format!("{run}:scan"))).await.is_problem(409, "run_ended");
}

/// A second key of the same tenant.
async fn member_of<'s>(tenant: &Tenant<'s>, role: &str) -> Tenant<'s> {
    let key = tenant.post("/v1/keys", json!({"name": role, "role": role})).await.is(201);
    Tenant { server: tenant.server, secret: text(&key, "/secret").to_owned() }
}

#[tokio::test]
async fn pages_of_inputs_may_end_inside_of_a_run() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let workflow = json!({"workflow": {
        "name": "Ask all", "slug": "ask-all", "version": "1.0.0",
        "steps": [{"id": "ask", "type": "wait", "for_each": "${run.input.names}", "input": {"prompt": "${item}"}}]
    }});
    forum.post("/v1/workflows?activate=true", workflow).await.is(201);
    for key in ["one", "two"] {
        let payload = json!({"workflow": "ask-all", "input": {"names": ["a", "b", "c"]}});
        let start = json!({"name": "workflow.run.start", "idempotency_key": key, "payload": payload});
        forum.post("/v1/directives", start).await.is(201);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/inputs?limit=2".to_owned();
    loop {
        let page = forum.get(&path).await.ok();
        for input in page["items"].as_array().expect("items") {
            seen.push((text(input, "/run_id").to_owned(), input["item"].as_u64().expect("an item")));
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert!(seen.len() < 10, "it comes to an end: {seen:?}, {cursor}");
        path = format!("/v1/inputs?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.iter().map(|(_, item)| *item).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2], "{seen:?}");
    forum.get("/v1/inputs?cursor=run_x").await.is_problem(400, "invalid_request");
}

#[tokio::test]
async fn items_are_summed_up_in_the_run_and_read_by_page() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    forum.post("/v1/workflows?activate=true", listing_workflow()).await.is(201);
    let payload = json!({"workflow": "notify", "input": {"names": ["a", "b", "c", "d"]}});
    let start = json!({"name": "workflow.run.start", "idempotency_key": "n", "payload": payload});
    let run = text(&forum.post("/v1/directives", start).await.is(201), "/directive/output/run_id").to_owned();
    let items = forum.get(&format!("/v1/runs/{run}/steps/tell/items?limit=3")).await.ok();
    let first = text(&items, "/items/0/directive_id").to_owned();
    assert_eq!((&items["items"][2]["item"], text(&items, "/next_cursor")), (&json!(2), "2"));
    let asked = forum.get(&format!("/v1/directives/{first}")).await.ok();
    assert_eq!((text(&asked, "/step"), &asked["item"]), ("tell", &json!(0)));
    forum.post(&format!("/v1/directives/{first}/report"), json!({"status": "succeeded"})).await.ok();
    let rest = forum.get(&format!("/v1/runs/{run}/steps/tell/items?cursor=2&status=running")).await.ok();
    assert_eq!((rest["items"].as_array().map(Vec::len), &rest["items"][0]["item"]), (Some(1), &json!(3)));
    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    assert_eq!(detail["run"]["steps"][0]["items"], json!({"total": 4, "by_status": {"running": 3, "completed": 1}}));
    assert_eq!(text(&detail, "/run/waiting_for"), "step `tell` has 3 of 4 items left");
    forum.get(&format!("/v1/runs/{run}/steps/none/items")).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn lists_narrow_by_statuses_version_and_time() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let first = started(&forum, waiting_workflow()).await;
    let second = started(&forum, waiting_workflow()).await;
    failed(&forum, &first).await;
    let ids = async |query: &str| {
        let page = forum.get(&format!("/v1/runs?{query}")).await.ok();
        let items = page["items"].as_array().expect("items").clone();
        items.iter().map(|run| text(run, "/id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("status=failed,running").await, [second.clone(), first.clone()]);
    assert_eq!(ids("status=failed,failed&limit=1").await, std::slice::from_ref(&first));
    assert_eq!(ids("open=true").await, std::slice::from_ref(&second));
    assert_eq!(ids("version=1.0.0&workflow=review").await.len(), 2);
    assert!(ids("version=2.0.0").await.is_empty());
    assert!(ids("since=2100-01-01T00:00:00Z").await.is_empty());
    assert_eq!(ids("until=2100-01-01T00:00:00Z").await.len(), 2);
    forum.get("/v1/runs?status=failed,done").await.is_problem(400, "invalid_request");
    let shown = forum.get("/v1/workflows/review").await.ok();
    assert_eq!(shown["in_flight"], json!([{"version": "1.0.0", "by_status": {"running": 1}}]));
    let versions = forum.get("/v1/workflows/review/versions").await.ok();
    assert_eq!(versions["items"][0]["in_flight"], json!({"running": 1}));
}

#[tokio::test]
async fn many_runs_are_previewed_and_then_done_under_keys_of_their_own() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Operator).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(started(&forum, waiting_workflow()).await);
    }
    failed(&forum, &runs[0]).await;
    let bulk = |preview: bool| json!({"action": "pause", "filter": {"workflow": "review"}, "reason": "the shop is moved", "preview": preview});
    let preview = forum.post("/v1/runs/bulk", bulk(true)).await.ok();
    assert_eq!(
        preview["counts"],
        json!({"found": 3, "fit": 2, "refused": 1, "by_status": {"running": 2, "failed": 1}})
    );
    assert_eq!(status(&forum, &runs[1]).await, "running", "a preview does nothing");

    let send = async |key: &str| {
        let body = Body::from(bulk(false).to_string());
        let headers = [("idempotency-key", key)];
        forum.send_with(Method::POST, "/v1/runs/bulk", "application/json", body, &headers).await.ok()
    };
    let done = send("move").await;
    assert_eq!(done["counts"]["fit"], 2, "{done}");
    let refused = done["runs"].as_array().expect("runs").iter().find(|run| run["fits"] == false).expect("one");
    assert_eq!((text(refused, "/run_id"), text(refused, "/error/code")), (runs[0].as_str(), "run_ended"));
    let directive = text(&done, "/runs/0/directive_id");
    let asked = forum.get(&format!("/v1/directives/{directive}")).await.ok();
    assert_eq!(text(&asked, "/idempotency_key"), format!("bulk:move:{}", runs[2]));
    assert_eq!(status(&forum, &runs[1]).await, "paused");
    let again = send("move").await;
    assert_eq!(again["counts"]["fit"], 2, "the same intent, and nothing is done twice: {again}");

    let page = json!({"action": "resume", "filter": {"status": ["paused"]}, "limit": 1});
    let page = forum.post("/v1/runs/bulk", page).await.ok();
    assert_eq!((text(&page, "/runs/0/run_id"), text(&page, "/next_cursor")), (runs[2].as_str(), runs[2].as_str()));
}

#[tokio::test]
async fn viewers_and_members_may_not_do_what_takes_more() {
    let server = Server::start();
    let admin = server.tenant("forum", Role::Admin).await;
    let run = started(&admin, asking_workflow()).await;
    let requests = [
        ("member", format!("/v1/runs/{run}/cancel"), json!({})),
        ("member", format!("/v1/runs/{run}/pause"), json!({"reason": "r"})),
        ("member", format!("/v1/runs/{run}/resume"), json!({"reason": "r"})),
        ("operator", format!("/v1/runs/{run}/retry"), json!({"reason": "r"})),
        ("operator", format!("/v1/runs/{run}/rerun"), json!({"reason": "r"})),
        ("operator", format!("/v1/runs/{run}/steps/approve/skip"), json!({"reason": "r"})),
        ("operator", format!("/v1/runs/{run}/steps/approve/complete"), json!({"reason": "r", "output": {}})),
        ("member", format!("/v1/runs/{run}/steps/approve/answer"), json!({"value": 1})),
        ("member", "/v1/runs/bulk".into(), json!({"action": "cancel", "filter": {}})),
        ("operator", "/v1/runs/bulk".into(), json!({"action": "retry", "filter": {}})),
        ("member", "/v1/directives/dir_01h455vb4pex5vsknk084sn02q/heartbeat".into(), json!({})),
    ];
    let (viewer, member) = (member_of(&admin, "viewer").await, member_of(&admin, "member").await);
    let before = admin.count_signals().await;
    for (role, path, body) in requests {
        viewer.post(&path, body.clone()).await.is_problem(403, "forbidden");
        if role == "operator" {
            let problem = member.post(&path, body).await.is_problem(403, "forbidden");
            assert!(text(&problem, "/detail").contains("`operator`"), "{problem}");
        }
    }
    assert_eq!(admin.count_signals().await, before, "nothing of it is on record");
}

#[tokio::test]
async fn hostile_bodies_are_refused_and_nothing_is_recorded() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Operator).await;
    let run = started(&forum, asking_workflow()).await;
    let before = forum.count_signals().await;
    let step = |verb: &str| format!("/v1/runs/{run}/steps/approve/{verb}");
    let verb = |verb: &str| format!("/v1/runs/{run}/{verb}");
    let long = "x".repeat(1_001);
    let cases = [
        (verb("pause"), json!({}), 400, "invalid_request"),
        (verb("pause"), json!({"reason": " "}), 422, "payload_invalid"),
        (verb("pause"), json!({"reason": long}), 422, "payload_invalid"),
        (verb("pause"), json!({"reason": "r", "run_id": "run_01h455vb4pex5vsknk084sn02q"}), 400, "invalid_request"),
        (verb("cancel"), json!({"reason": 7}), 400, "invalid_request"),
        (verb("retry"), json!({"reason": "r", "from": "approve"}), 400, "invalid_request"),
        (verb("rerun"), json!({"reason": "r", "from": ["approve"]}), 400, "invalid_request"),
        (step("answer"), json!({}), 400, "invalid_request"),
        (step("answer"), json!({"value": 1, "step": "scan"}), 400, "invalid_request"),
        (step("complete"), json!({"reason": "r"}), 400, "invalid_request"),
        (step("skip"), json!({"reason": "r", "item": -1}), 400, "invalid_request"),
        ("/v1/runs/run_x/steps/approve/skip".into(), json!({"reason": "r"}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "delete", "filter": {}}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "cancel"}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "cancel", "filter": {}, "preview": false}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "cancel", "filter": {"colour": "red"}}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "cancel", "filter": {}, "limit": 1_001}), 400, "invalid_request"),
        ("/v1/runs/bulk".into(), json!({"action": "pause", "filter": {}, "reissue": true}), 400, "invalid_request"),
    ];
    for (path, body, status, code) in cases {
        let reply = forum.post(&path, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{path} {body}: {}", reply.text());
        reply.is_problem(status, code);
    }
    assert_eq!(forum.count_signals().await, before);
    assert_eq!(status(&forum, &run).await, "running");
}

#[tokio::test]
async fn a_heartbeat_is_taken_from_whoever_carries_a_directive_out() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let run = started(&forum, waiting_workflow()).await;
    let directive = text(&forum.get(&format!("/v1/runs/{run}")).await.ok(), "/run/steps/0/directive_id").to_owned();
    let reply = forum.post_nothing(&format!("/v1/directives/{directive}/heartbeat")).await;
    assert!(reply.status == 200 || reply.status == 409, "{}", reply.text());
    forum.post(&format!("/v1/directives/{directive}/report"), json!({"status": "succeeded"})).await.ok();
    assert_eq!(forum.post_nothing(&format!("/v1/directives/{directive}/heartbeat")).await.status, 409);
}

/// Pays once somebody with this role has approved.
fn approved_workflow(role: &str) -> Value {
    json!({"workflow": {
        "name": "Pay", "slug": "pay", "version": "1.0.0",
        "trigger": {"signal": "forum.thread.created"},
        "steps": [
            {"id": "approve", "type": "wait", "input": {"role": role, "schema": {"type": "boolean"}}},
            {"id": "pay", "type": "directive", "directive": "forum.review.ask", "payload": {"n": 1}}
        ]
    }})
}

async fn key_of<'s>(owner: &Tenant<'s>, role: &str) -> Tenant<'s> {
    let made = owner.post("/v1/keys", json!({"name": role, "role": role})).await.is(201);
    Tenant { server: owner.server, secret: text(&made, "/secret").to_owned() }
}

#[tokio::test]
async fn nobody_gets_past_a_task_that_requires_more_than_their_role() {
    for (required, less) in [("owner", "admin"), ("admin", "operator")] {
        let server = Server::start();
        let owner = server.tenant("forum", Role::Owner).await;
        let (may, may_not) = (key_of(&owner, required).await, key_of(&owner, less).await);
        for (verb, body) in [
            ("complete", json!({"output": true, "reason": "r"})),
            ("skip", json!({"reason": "r"})),
            ("answer", json!({"value": true})),
        ] {
            let run = started(&owner, approved_workflow(required)).await;
            let path = format!("/v1/runs/{run}/steps/approve/{verb}");
            may_not.post(&path, body.clone()).await.is_problem(403, "role_missing");
            // The directive by its own name is no way around.
            let mut payload = body.clone();
            (payload["run_id"], payload["step"]) = (json!(run), json!("approve"));
            let asked = json!({"name": format!("workflow.step.{verb}"), "payload": payload, "idempotency_key": verb});
            may_not.post("/v1/directives", asked).await.is_problem(403, "role_missing");
            assert_eq!(step_status(&owner, &run, 0).await, "waiting");
            may.post(&path, body).await.ok();
            assert_ne!(step_status(&owner, &run, 0).await, "waiting");
            owner.post(&format!("/v1/runs/{run}/cancel"), json!({"reason": "r"})).await.ok();
        }
    }
}

async fn step_status(tenant: &Tenant<'_>, run: &str, step: usize) -> String {
    text(&tenant.get(&format!("/v1/runs/{run}")).await.ok(), &format!("/run/steps/{step}/status")).to_owned()
}

#[tokio::test]
async fn an_approval_is_not_carried_into_a_rerun_with_another_input() {
    let server = Server::start();
    let owner = server.tenant("forum", Role::Owner).await;
    let operator = key_of(&owner, "operator").await;
    let run = started(&owner, approved_workflow("owner")).await;
    owner.post(&format!("/v1/runs/{run}/steps/approve/answer"), json!({"value": true})).await.ok();
    owner.post(&format!("/v1/runs/{run}/cancel"), json!({"reason": "r"})).await.ok();
    let path = format!("/v1/runs/{run}/rerun");
    let rerun = async |tenant: &Tenant<'_>, body: Value| {
        let again = tenant.post(&path, body).await.ok();
        let id = text(&again, "/run/id").to_owned();
        step_status(tenant, &id, 0).await
    };
    let same = json!({"reason": "r", "from": "pay"});
    let larger = json!({"reason": "r", "from": "pay", "input": {"n": 1_000_000}});
    assert_eq!(rerun(&operator, same).await, "completed", "it was approved as it is");
    assert_eq!(rerun(&operator, larger.clone()).await, "waiting", "nobody has approved that");
    assert_eq!(rerun(&owner, larger).await, "completed", "who may answer has asked for it");
}
