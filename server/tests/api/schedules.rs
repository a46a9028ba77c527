use axum::body::Body;
use axum::http::Method;
use fleetprompt_core::tenant::Role;
use serde_json::{Value, json};

use crate::server::{Server, pure_workflow, text};

fn daily() -> Value {
    json!({"schedule": {
        "slug": "daily", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "signal": "forum.thread.created",
        "payload": {"title": "good morning"}
    }})
}

#[tokio::test]
async fn a_schedule_is_applied_ordered_and_archived() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/workflows?activate=true", pure_workflow("1.0.0")).await.is(201);
    let applied = forum.post("/v1/schedules", daily()).await.is(201);
    assert_eq!((text(&applied, "/status"), &applied["changed"]), ("active", &json!(true)));
    assert_eq!(forum.post("/v1/schedules", daily()).await.ok()["changed"], false);
    let listed = forum.get("/v1/schedules").await.ok();
    assert_eq!(text(&listed, "/items/0/timing"), "30 2 * * * Europe/Berlin");

    let paused = forum.post("/v1/schedules/daily/pause", json!({"reason": "holidays"})).await.ok();
    assert_eq!((text(&paused, "/status"), text(&paused, "/reason")), ("paused", "holidays"));
    assert_eq!(forum.get("/v1/schedules/daily").await.ok(), paused);
    forum.post_nothing("/v1/schedules/daily/pause").await.is_problem(409, "schedule_status");
    assert_eq!(text(&forum.post_nothing("/v1/schedules/daily/resume").await.ok(), "/status"), "active");

    let triggered = forum.post("/v1/schedules/daily/trigger", json!({"reason": "a demo"})).await.ok();
    let signal = forum.get(&format!("/v1/signals/{}", text(&triggered, "/fires/0/signal_id"))).await.ok();
    assert_eq!((text(&signal, "/signal/name"), text(&signal, "/signal/actor/id")), ("forum.thread.created", "daily"));
    assert_eq!(forum.get("/v1/runs").await.ok()["items"].as_array().map(Vec::len), Some(1));

    let range = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T12:00:00Z"});
    let filled = forum.post("/v1/schedules/daily/backfill", range.clone()).await.ok();
    assert_eq!(filled["fires"].as_array().map(Vec::len), Some(3));
    let again = forum.post("/v1/schedules/daily/backfill", range).await.ok();
    assert!(again["fires"].as_array().expect("fires").iter().all(|fire| fire["deduplicated"] == true));
    let long = json!({"from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
    let refused = forum.post("/v1/schedules/daily/backfill", long).await;
    assert!(text(&refused.is_problem(422, "backfill_too_large"), "/detail").starts_with("2192 times were due"));

    assert_eq!(text(&forum.post_nothing("/v1/schedules/daily/archive").await.ok(), "/status"), "archived");
    forum.post_nothing("/v1/schedules/daily/trigger").await.is_problem(409, "schedule_archived");
    assert_eq!(text(&forum.post("/v1/schedules", daily()).await.is(201), "/status"), "active");
}

#[tokio::test]
async fn a_preview_shows_due_times_on_both_clocks() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    forum.post("/v1/schedules", daily()).await.is(201);
    let fires = forum.get("/v1/schedules/daily/fires?after=2027-03-27T12:00:00Z&limit=2").await.ok();
    // On 28 March 2027 there is no half past two.
    assert_eq!(text(&fires, "/items/0/local"), "2027-03-28T03:00:00+02:00");
    assert_eq!(text(&fires, "/items/0/due_at"), "2027-03-28T01:00:00.000000Z");
    assert_eq!(text(&fires, "/items/1/local"), "2027-03-29T02:30:00+02:00");
    forum.get("/v1/schedules/daily/fires?limit=1001").await.is_problem(400, "invalid_request");
    forum.get("/v1/schedules/daily/fires?after=noon").await.is_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_wrong_schedule_is_refused_with_all_its_problems() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let yaml = "schedule:\n  slug: daily\n  cron: 0 0 30 2 *\n  signal: Digest\n";
    let refused = forum.send(Method::POST, "/v1/schedules", "application/yaml", Body::from(yaml)).await;
    let problem = refused.is_problem(422, "schedule_invalid");
    let codes: Vec<_> =
        problem["diagnostics"].as_array().expect("diagnostics").iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, ["FP0503", "FP0107"]);
    assert_eq!(forum.get("/v1/schedules").await.ok()["items"], json!([]));
}

#[tokio::test]
async fn schedules_are_their_tenant_s_own_and_viewers_only_read() {
    let server = Server::start();
    let forum = server.tenant("forum", Role::Member).await;
    let other = server.tenant("other", Role::Member).await;
    let viewer = server.tenant("viewer", Role::Viewer).await;
    forum.post("/v1/schedules", daily()).await.is(201);
    assert_eq!(other.get("/v1/schedules").await.ok()["items"], json!([]));
    other.get("/v1/schedules/daily").await.is_problem(404, "not_found");
    other.get("/v1/schedules/daily/fires").await.is_problem(404, "not_found");
    let range = json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T12:00:00Z"});
    other.post("/v1/schedules/daily/backfill", range.clone()).await.is_problem(404, "not_found");
    viewer.post("/v1/schedules/daily/backfill", range).await.is_problem(403, "forbidden");
    for verb in ["pause", "resume", "trigger", "archive"] {
        other.post_nothing(&format!("/v1/schedules/daily/{verb}")).await.is_problem(404, "not_found");
        viewer.post_nothing(&format!("/v1/schedules/daily/{verb}")).await.is_problem(403, "forbidden");
    }
    viewer.post("/v1/schedules", daily()).await.is_problem(403, "forbidden");
    assert_eq!(text(&forum.get("/v1/schedules/daily").await.ok(), "/status"), "active");
}
