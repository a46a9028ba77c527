//! Steps that end the run.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Illegal, Status, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

#[rstest]
#[case::its_own_output(json!({"output": {"early": "${steps.a.output}"}}), json!({"early": 1}))]
#[case::that_of_the_workflow(json!({}), json!("whole"))]
fn it_completes_the_run_now_and_withdraws_the_rest(#[case] fields: Value, #[case] output: Value) {
    let mut step = json!({"id": "end", "type": "finish", "needs": ["a"]});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let fields = json!({"output": "whole", "steps": [{"id": "a", "type": "agent", "needs": []},
        {"id": "b", "type": "directive", "needs": []}, {"id": "c", "needs": ["b"]}, step]});
    let world = World::play_all(fields, &["a ok 1", "b ok"]);
    let expected = "a completed, end completed, run stopping, b canceling, b completed, run completed";
    assert_eq!(world.since(3), expected);
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&output));
    assert_eq!(world.step("c").status, StepStatus::Pending);
}

#[test]
fn with_nothing_under_way_the_run_has_ended_at_once() {
    let end = json!({"id": "end", "type": "finish", "when": "signal.payload.yes"});
    let world = World::of(json!([{"id": "a"}, end, {"id": "b"}]));
    assert_eq!(world.timeline(), "run started, a completed, end completed, run completed");
}

#[test]
fn its_when_decides_whether_it_does() {
    let world = World::of(json!([{"id": "end", "type": "finish", "when": "false"}, {"id": "b"}]));
    assert_eq!(world.timeline(), "run started, end skipped, b completed, run completed");
}

#[rstest]
#[case::fail("fail", "end completed, run failed")]
#[case::park("park", "end completed, run failed")]
#[case::compensate(
    "compensate",
    "end completed, run stopping, run compensating, a compensating, a compensated, run failed"
)]
fn it_may_fail_the_run_and_then_nobody_is_to_decide(#[case] on_error: &str, #[case] expected: &str) {
    let fields = json!({"on_error": on_error, "steps": [
        {"id": "a", "type": "directive", "compensate": {"directive": "mail.recall"}},
        {"id": "end", "type": "finish", "status": "failed",
         "error": {"code": "too_late", "message": "no ${signal.payload.title} any more"}}]});
    let mut world = World::play_all(fields, &["a ok"]);
    if on_error == "compensate" {
        world.play("undo:a ok");
    }
    assert_eq!(world.since(3), expected);
    assert_eq!((world.error().code.as_str(), world.error().message.as_str()), ("too_late", "no No login any more"));
    assert_eq!(world.run.status, Status::Failed);
}

#[test]
fn an_output_that_cannot_be_made_fails_the_step() {
    let world = World::of(json!([{"id": "end", "type": "finish", "output": "${signal.payload.absent}"}]));
    assert_eq!(world.timeline(), "run started, end failed, run failed");
}

// Again

/// `end` prevents `pay`, and withdraws `x`.
fn prevented(status: &str) -> Value {
    let mut end = json!({"id": "end", "type": "finish", "status": status, "needs": ["a"]});
    if status == "failed" {
        end["error"] = json!({"code": "rejected", "message": "too much"});
    }
    json!({"steps": [{"id": "a", "type": "agent", "needs": []}, {"id": "x", "type": "agent", "needs": []}, end,
        {"id": "pay", "type": "directive", "needs": ["a"]}, {"id": "say", "type": "agent", "needs": ["pay"]}]})
}

#[rstest]
#[case::failed("failed")]
#[case::completed("completed")]
fn a_retry_does_what_it_prevented_only_when_that_is_named(#[case] status: &str) {
    for (line, named) in [("retry", "`x`, `pay`, `say`"), ("retry x", "`pay`, `say`"), ("retry pay", "`x`")] {
        let mut world = World::play_all(prevented(status), &["a ok"]);
        assert!(world.run.status.has_ended());
        let refused = world.try_play(line).expect_err(line);
        match refused {
            Illegal::Finished { finish, prevented } => {
                assert_eq!((finish.as_str(), prevented.as_str()), ("end", named))
            }
            // Nothing failed in a run that completed, so nothing is to be done again.
            other => assert_eq!((line, status, matches!(other, Illegal::Status(..))), ("retry", "completed", true)),
        }
    }
    for line in ["retry pay x", "reissue pay x"] {
        let world = World::play_all(prevented(status), &["a ok", line, "x ok", "pay ok", "say ok"]);
        assert_eq!((world.run.status, world.step("say").status), (Status::Completed, StepStatus::Completed));
    }
}

#[test]
fn naming_the_finish_has_it_decide_anew() {
    let mut world = World::play_all(prevented("failed"), &["a ok"]);
    let ended = world.log.len();
    world.play("retry end");
    assert!(world.since(ended).ends_with("run failed"), "{}", world.since(ended));
    assert_eq!(world.error().code, "rejected");
    assert!(!world.keys().contains(&"pay".to_owned()));
}

#[test]
fn what_fails_after_it_was_named_is_retried_like_any_other() {
    let world = World::play_all(prevented("failed"), &["a ok", "retry pay x", "x ok", "pay broken", "retry", "pay ok"]);
    assert_eq!(world.step("say").status, StepStatus::Running);
}

#[test]
fn a_child_that_goes_on_does_not_reopen_a_run_that_was_finished() {
    let fields = json!({"steps": [{"id": "a", "type": "agent", "needs": []}, {"id": "w", "type": "workflow", "needs": []},
        {"id": "end", "type": "finish", "needs": ["a"]}, {"id": "pay", "type": "directive", "needs": ["a"]}]});
    let mut world = World::play_all(fields, &["w ok", "a ok", "w broken"]);
    assert_eq!((world.run.status, world.step("w").status), (Status::Completed, StepStatus::Canceled));
    assert!(matches!(world.try_play("w child_retried"), Err(Illegal::Finished { .. })));
}
