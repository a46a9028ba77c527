//! What steps and runs give.

use fleetprompt_core::Json;
use fleetprompt_core::run::{Status, StepStatus};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

#[rstest]
#[case::completed("function", json!({"ok": true}), StepStatus::Completed)]
#[case::mismatched_function("function", json!({"ok": "yes"}), StepStatus::Failed)]
#[case::mismatched_directive("directive", json!({"ok": "yes"}), StepStatus::Failed)]
#[case::mismatched_agent("agent", json!({"ok": "yes"}), StepStatus::Retrying)]
fn an_output_must_match_the_schema_and_an_agent_may_try_again(
    #[case] kind: &str,
    #[case] output: Value,
    #[case] expected: StepStatus,
) {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}});
    let mut step = json!({"id": "a", "type": kind, "output_schema": schema, "on_error": "continue"});
    if kind == "function" {
        step["input"] = output.clone();
    }
    let mut world = World::of(json!([step, {"id": "z", "type": "agent"}]));
    if kind != "function" {
        world.end("a", Ok(output.into())).expect("it is in flight");
    }
    assert_eq!(world.step("a").status, expected);
    if expected != StepStatus::Completed {
        let error = world.step("a").error.as_ref().expect("it says why");
        assert_eq!(error.code, "output_invalid");
        assert!(error.message.starts_with("/ok: "), "{error}");
        assert_eq!(world.step("a").output, None, "what does not fit is not an output");
    }
}

#[rstest]
#[case::an_output_of_nothing("{}")]
#[case::null("null")]
#[case::an_empty_text(r#""""#)]
#[case::no("false")]
#[case::zero("0")]
#[case::more_digits_than_a_double_holds("12345678901234567890123.10")]
fn an_empty_output_is_an_output_and_stays_as_it_was_written(#[case] output: &str) {
    let fields = json!({"output": "${steps.b.output}", "steps": [
        {"id": "a", "type": "agent"}, {"id": "b", "input": "${steps.a.output}", "when": "${has(steps.a.output)}"}]});
    let world = World::play_all(fields, &[&format!("a ok {output}")]);
    assert_eq!(world.step("a").output.as_ref().map(Json::text), Some(output));
    assert_eq!(world.step("b").status, StepStatus::Completed);
    assert_eq!(world.run.output, world.step("b").output);
    assert!(world.run.output.is_some());
}

#[test]
fn a_run_without_an_output_template_has_none() {
    assert_eq!(World::of(json!([{"id": "a", "input": 7}])).run.output, None);
}

#[test]
fn a_null_that_a_function_gives_can_be_read() {
    let fields = json!({"output": "${steps.a.output}", "steps": [{"id": "a", "function": "null"}]});
    assert_eq!(World::new(fields).run.output, Some(Json::null()));
}

#[test]
fn the_output_is_made_of_everything_that_the_run_knows() {
    let output = json!({
        "title": "${signal.payload.title}", "tenant": "${tenant.slug}", "input": "${run.input.title}",
        "a": "${steps.a.output.x}", "b": "${steps.b.status}", "c": "${steps.c.error.code}: ${steps.c.status}"
    });
    let world = World::new(json!({"output": output, "steps": [
        {"id": "a", "input": {"x": [1]}}, {"id": "b", "when": "false"},
        {"id": "c", "function": "fail", "on_error": "continue"}]}));
    let expected = json!({"title": "No login", "tenant": "acme", "input": "No login", "a": [1], "b": "skipped",
                          "c": "broken: failed"});
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&expected));
}

#[rstest]
#[case::fails_the_run("fail", "run started, a skipped, run failed")]
#[case::parks_it("park", "run started, a skipped, run parked")]
fn an_output_that_cannot_be_made_says_so(#[case] on_error: &str, #[case] expected: &str) {
    let fields = json!({"on_error": on_error, "output": "${steps.a.output}", "steps": [{"id": "a", "when": "false"}]});
    let world = World::new(fields);
    assert_eq!(world.timeline(), expected);
    let error = &world.last()["error"];
    assert_eq!(error["code"], "expression_failed");
    assert_eq!(error["message"], "output: `steps.a.output`: step `a` is skipped: it has no output");
    assert_ne!(world.run.status, Status::Completed);
}

#[test]
fn the_outputs_of_a_run_are_bounded_together_and_each_counts_once() {
    let large = |id: usize| json!({"id": format!("s{id}"), "input": "${signal.payload.large}"});
    let payload = json!({"large": "x".repeat((1 << 20) - 100)});
    let fields = |steps: usize| json!({"steps": (0..steps).map(large).collect::<Vec<_>>()});
    let fits = World::triggered(fields(40), payload.clone(), 1);
    assert_eq!((fits.run.status, fits.run.error.clone()), (Status::Completed, None));
    let over = World::triggered(fields(70), payload, 1);
    assert_eq!((over.run.status, over.error().code.as_str()), (Status::Failed, "run_too_large"));
}
