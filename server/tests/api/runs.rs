use fleetprompt_core::tenant::Role;
use serde_json::json;

use crate::server::{Server, manual_type, pure_workflow, text, thread, waiting_workflow};

#[tokio::test]
async fn a_pure_run_is_there_with_its_steps_its_record_and_its_causes() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let (signal, run) = (text(&told, "/signal/id"), text(&told, "/dispositions/0/run_id"));

    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    assert_eq!(text(&detail, "/run/status"), "completed");
    assert_eq!(text(&detail, "/run/causation_id"), signal);
    assert_eq!((text(&detail, "/run/steps/0/id"), text(&detail, "/run/steps/0/type")), ("loud", "function"));
    assert_eq!(text(&detail, "/run/steps/0/status"), "completed");
    assert!(detail["run"].get("waiting_for").is_none());

    let listed = forum.get(&format!("/v1/runs?workflow=shout&status=completed&signal_id={signal}")).await.ok();
    assert_eq!(text(&listed, "/items/0/id"), run);
    assert!(listed["items"][0].get("steps").is_none());
    assert_eq!(forum.get("/v1/runs?status=failed").await.ok()["items"], json!([]));

    let timeline = forum.get(&format!("/v1/runs/{run}/timeline")).await.ok();
    assert_eq!(text(&timeline, "/trigger/id"), signal);
    assert_eq!(text(&timeline, "/directive/name"), "workflow.run.start");
    let names: Vec<_> = timeline["signals"]
        .as_array()
        .expect("signals")
        .iter()
        .map(|signal| text(signal, "/name").to_owned())
        .collect();
    assert_eq!(names.first().map(String::as_str), Some("workflow.run.started"));
    assert_eq!(names.last().map(String::as_str), Some("workflow.run.completed"));
    let paged = forum.get(&format!("/v1/runs/{run}/timeline?limit=1")).await.ok();
    let cursor = text(&paged, "/next_cursor");
    let rest = forum.get(&format!("/v1/runs/{run}/timeline?cursor={cursor}")).await.ok();
    assert_eq!(rest["signals"].as_array().map(Vec::len), Some(names.len() - 1));

    let why = forum.get(&format!("/v1/runs/{run}/why")).await.ok();
    let chain: Vec<_> = why["chain"].as_array().expect("chain").iter().map(|cause| text(cause, "/name")).collect();
    assert_eq!(chain, ["shout 1.0.0", "workflow.run.start", "forum.thread.created"], "{why}");

    forum.post_nothing(&format!("/v1/runs/{run}/cancel")).await.is_problem(409, "run_ended");
}

#[tokio::test]
async fn a_run_that_waits_says_for_what_and_can_be_canceled() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/directive-types", manual_type()).await.is(201);
    forum.post("/v1/workflows?activate=true", waiting_workflow()).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let run = text(&told, "/dispositions/0/run_id");

    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    let directive = text(&detail, "/run/steps/0/directive_id");
    assert_eq!(text(&detail, "/run/waiting_for"), format!("step `ask` waits for directive {directive}"));
    let asked = forum.get(&format!("/v1/directives/{directive}")).await.ok();
    assert_eq!((text(&asked, "/run_id"), text(&asked, "/step")), (run, "ask"));
    let of_run = forum.get(&format!("/v1/directives?run_id={run}")).await.ok();
    assert_eq!(of_run["items"].as_array().map(Vec::len), Some(1));

    let canceled = forum.post(&format!("/v1/runs/{run}/cancel"), json!({"reason": "thread deleted"})).await.ok();
    assert_eq!(text(&canceled, "/run/status"), "canceled");
    assert_eq!(text(&forum.get(&format!("/v1/directives/{directive}")).await.ok(), "/status"), "canceled");
}

#[tokio::test]
async fn a_run_of_an_older_version_keeps_the_names_of_its_steps() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let mut next = pure_workflow("2.0.0");
    next["workflow"]["steps"][0]["id"] = json!("renamed");
    next["workflow"]["output"] = json!({});
    forum.post("/v1/workflows?activate=true", next).await.is(201);
    let detail = forum.get(&format!("/v1/runs/{}", text(&told, "/dispositions/0/run_id"))).await.ok();
    assert_eq!((text(&detail, "/run/version"), text(&detail, "/run/steps/0/id")), ("1.0.0", "loud"));
}

#[tokio::test]
async fn a_run_says_when_its_directive_is_tried_again_and_why() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let of_type = json!({"directive_type": {"name": "forum.review.ask", "handler": {"type": "worker"}}});
    forum.post("/v1/directive-types", of_type).await.is(201);
    forum.post("/v1/workflows?activate=true", waiting_workflow()).await.is(201);
    let told = forum.post("/v1/signals", thread("42")).await.is(201);
    let run = text(&told, "/dispositions/0/run_id");
    let worker = json!({"name": "limited"});
    let take = json!({"worker": worker, "performs": ["*"], "wait": "20s"});
    let taken = forum.post("/v1/attempts/take", take).await.ok();
    let outcome = json!({"id": text(&taken, "/attempts/0/id"), "status": "retry", "delay": "2h",
        "error": {"code": "http_status", "message": "the endpoint answered 429 Too Many Requests"}});
    forum.post("/v1/attempts/report", json!({"worker": worker, "outcomes": [outcome]})).await.ok();

    let detail = forum.get(&format!("/v1/runs/{run}")).await.ok();
    let directive = text(&detail, "/run/steps/0/directive_id");
    let waiting_for = text(&detail, "/run/waiting_for");
    let start = format!("step `ask` waits for directive {directive}; directive {directive} is tried again at ");
    assert!(waiting_for.starts_with(&start), "{waiting_for}");
    let end = ", attempt 2: http_status: the endpoint answered 429 Too Many Requests";
    assert!(waiting_for.ends_with(end), "{waiting_for}");
}
