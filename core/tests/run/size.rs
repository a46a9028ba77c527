//! Size. The limits are of an unoptimized build on a slow machine.

use std::time::{Duration, Instant};

use fleetprompt_core::document::{BYTES_MAX, Format};
use fleetprompt_core::run::{Input, Place, Status, StepStatus};
use fleetprompt_core::workflow::{self, Catalog};
use fleetprompt_core::{Failure, Json, Meter};
use serde_json::{Value, json};

use crate::world::World;

const LIMIT: Duration = Duration::from_secs(10);
const MANY: usize = 10_000;

fn within<T>(what: &str, action: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = action();
    let took = begun.elapsed();
    println!("{what}: {took:?}");
    assert!(took < LIMIT, "{what} took {took:?}");
    result
}

fn many(step: impl Fn(usize) -> Value) -> World {
    World::of((0..MANY).map(step).collect())
}

/// Ends what is under way at a place, as the engine would: one decision each, and when it wakes next.
fn end(world: &mut World, place: Place, result: Result<Json, Failure>) {
    let input = world.ending(place, result);
    world.tell_unchecked(input).expect("it is in flight");
    let _ = (world.run.wake_at(), world.run.reason_to_wake());
}

#[test]
fn ten_thousand_functions_in_a_chain_are_one_decision() {
    let world =
        within("a chain of functions", || many(|i| json!({"id": format!("s{i}"), "input": "${run.input.title}"})));
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, MANY + 2));
}

#[test]
fn ten_thousand_skips_in_a_row_do_not_use_up_the_stack() {
    let world = many(|i| match i {
        0 => json!({"id": "s0", "when": "false", "needs": []}),
        _ => json!({"id": format!("s{i}"), "needs": [format!("s{}", i - 1)]}),
    });
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, MANY + 2));
}

#[test]
fn ten_thousand_directives_in_a_chain_end_one_by_one() {
    let mut world = many(|i| json!({"id": format!("s{i}"), "type": "directive"}));
    within("a chain of directives", || {
        (0..MANY).for_each(|index| end(&mut world, Place::step(index), Ok(Json::null())));
    });
    world.check();
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, 2 * MANY + 2));
}

#[test]
fn ten_thousand_directives_side_by_side_end_one_by_one() {
    let mut world = many(|i| json!({"id": format!("s{i}"), "type": "directive", "needs": []}));
    within("directives side by side", || {
        (0..MANY).rev().for_each(|index| end(&mut world, Place::step(index), Ok(Json::null())));
    });
    world.check();
    assert_eq!((world.run.status, world.log.len()), (Status::Completed, 2 * MANY + 2));
}

fn over_a_list(fields: Value) -> World {
    let mut step = json!({"id": "a", "type": "directive"});
    step.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let fields = json!({"output": "${size(steps.a.output)}", "steps": [step]});
    World::triggered(fields, json!({"list": vec![0; MANY]}), 1)
}

#[test]
fn ten_thousand_items_end_one_by_one() {
    for max_parallel in [1, 100, MANY] {
        let mut world =
            over_a_list(json!({"for_each": {"items": "${signal.payload.list}", "max_parallel": max_parallel}}));
        within(&format!("items, {max_parallel} at once"), || {
            (0..MANY).for_each(|item| end(&mut world, Place::step(0).item(item as u32), Ok(json!(item).into())));
        });
        world.check();
        assert_eq!(world.run.output.as_ref().map(Json::value), Some(&json!(MANY)));
    }
}

#[test]
fn ten_thousand_items_are_withdrawn_and_end_one_by_one() {
    let mut world = over_a_list(json!({"for_each": {"items": "${signal.payload.list}", "max_parallel": MANY}}));
    within("withdrawn items", || {
        (0..MANY).for_each(|item| {
            let failure = Failure::fatal("broken", "it is broken");
            end(&mut world, Place::step(0).item(item as u32), Err(failure));
        });
    });
    assert_eq!((world.run.status, world.error().code.as_str()), (Status::Failed, "items_failed"));
}

#[test]
fn ten_thousand_functions_over_a_list_are_one_decision_and_do_not_use_up_the_stack() {
    for fields in [
        json!({"type": "function", "function": "next", "input": "${item}", "for_each": "${signal.payload.list}"}),
        json!({"type": "wait", "until": "2020-01-01T00:00:00Z", "for_each": {"items": "${signal.payload.list}", "max_parallel": 1}}),
        json!({"type": "function", "function": "fail", "for_each": {"items": "${signal.payload.list}", "tolerate": "100%"}}),
    ] {
        let world = within("items at once", || over_a_list(fields));
        assert_eq!((world.run.status, world.log.len()), (Status::Completed, MANY + 4));
    }
}

#[test]
fn what_takes_long_is_cut_into_decisions_of_about_the_budget() {
    let heavy = "size([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19].map(a, \
                 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(b, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(c, a * b * c))))";
    let steps = |count: usize, step: Value| -> Value {
        let id = |at: usize| {
            let mut step = step.clone();
            step["id"] = format!("s{at}").into();
            step
        };
        (0..count).map(id).collect()
    };
    for steps in [
        steps(1, json!({"function": "next", "input": "${repeat.output}", "repeat": {"max": MANY}})),
        steps(1, json!({"input": "${item}", "for_each": "${signal.payload.list}"})),
        steps(1, json!({"input": format!("${{{heavy}}}"), "for_each": "${signal.payload.few}"})),
        steps(250, json!({"input": format!("${{{heavy}}}")})),
        steps(250, json!({"input": "${signal.payload.few}", "when": format!("{heavy} > 0")})),
        steps(MANY, json!({"needs": []})),
    ] {
        let payload = json!({"list": vec![0; MANY], "few": vec![0; 250]});
        let fields = json!({"steps": steps});
        let begin = |units| World::started_within(units, fields.clone(), payload.clone(), 1, |_, _| {});
        let mut world = begin(Meter::DECISION_UNITS);
        let (mut used, mut decisions) = (world.used(), 1);
        while world.run.continuation.is_some() {
            world.tell_unchecked(Input::Due).expect("the rest is due at once");
            // One more step instance than the budget allows.
            assert!(world.used() < 2 * Meter::DECISION_UNITS, "{}", world.used());
            (used, decisions) = (used + world.used(), decisions + 1);
        }
        world.check();
        let whole = begin(u64::MAX);
        assert!(world.log == whole.log && world.run == whole.run, "{}", world.timeline());
        let least = used / (2 * Meter::DECISION_UNITS);
        assert!(decisions > 10 && decisions as u64 > least, "{decisions} decisions for {used} units");
        assert_eq!(whole.used(), used, "what is cut costs nothing more");
    }
}

#[test]
fn ten_thousand_steps_as_people_write_them_fit_into_a_definition() {
    let step = |at: usize| {
        json!({
            "id": format!("check_invoice_{at}"), "name": format!("Check invoice {at} against its order"),
            "type": "directive", "directive": "invoice.check", "needs": [format!("check_invoice_{}", at.max(1) - 1)],
            "when": "signal.payload.customer.country in ['AT', 'CH', 'DE']",
            "payload": {"invoice": format!("${{signal.payload.invoices[{at}].number}}"), "strict": true,
                "note": format!("Invoice {at} of ${{signal.payload.customer.name}}")},
            "retry": {"max_attempts": 3, "initial": "10s"}, "timeout": "5m",
        })
    };
    let mut steps: Vec<Value> = (0..MANY).map(step).collect();
    steps[0]["needs"] = json!([]);
    let text = json!({"workflow": {"name": "Invoices", "version": "1.0.0", "trigger": {"signal": "invoices.received"},
        "steps": steps}})
    .to_string();
    assert!((1 << 20..BYTES_MAX).contains(&text.len()), "{} bytes", text.len());
    let read = within("reading the definition", || workflow::read(&text, Format::Json, &Catalog::default()));
    let (workflow, _) = read.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(workflow.steps.len(), MANY);
    assert!(workflow.document.text().len() < BYTES_MAX, "it is stored as JSON");
}

#[test]
fn outputs_of_items_may_be_larger_than_what_one_step_gives() {
    // 40 times 100 KB, which is more than an expression makes or a function takes.
    let text = "x".repeat(100_000);
    let fields = json!({
        "output": {"count": "${size(steps.a.output)}", "again": "${steps.a.output.size()}", "some": "${size(steps.c.output)}",
            "tenth": "${size(steps.a.output[10].text)}", "ids": "${steps.a.output.map(x, x.id)}"},
        "steps": [
            {"id": "a", "input": {"id": "${index}", "text": "${signal.payload.text}"}, "for_each": (0..40).collect::<Vec<_>>()},
            {"id": "b", "for_each": "${steps.a.output}", "input": "${item.id}"},
            {"id": "c", "for_each": "${steps.a.output}", "type": "wait", "until": "2020-01-01T00:00:00Z"}]});
    let world = World::triggered(fields, json!({"text": text.clone()}), 1);
    assert_eq!(world.run.status, Status::Completed, "{:?}", world.run.error);
    let ids: Vec<u64> = (0..40).collect();
    let expected = json!({"count": 40, "again": 40, "some": 40, "tenth": 100_000, "ids": ids});
    assert_eq!(world.run.output.as_ref().map(Json::value), Some(&expected));
    assert_eq!(world.step("b").output().map(Json::value), Some(&json!(ids)));

    // What is made or kept stays limited, and says where.
    let fields = json!({"output": "${steps.a.output}",
        "steps": [{"id": "a", "input": "${signal.payload.text}", "for_each": (0..20).collect::<Vec<_>>()}]});
    let world = World::triggered(fields, json!({"text": text}), 1);
    let error = world.error();
    assert_eq!(error.code, "output_too_large");
    assert!(error.message.starts_with("output: the rendered value has more than"), "{}", error.message);
}

#[test]
fn a_step_may_wait_for_a_thousand() {
    let agent = |i: usize| json!({"id": format!("s{i}"), "type": "agent", "needs": []});
    let mut steps: Vec<Value> = (0..1_000).map(agent).collect();
    let all: Vec<String> = (0..1_000).map(|i| format!("s{i}")).collect();
    steps.push(json!({"id": "join", "needs": all}));
    let mut world = World::of(Value::from(steps));
    within("a fan-in of 1,000", || {
        // In the order that looks through the most edges before it finds one that is open.
        (0..1_000).rev().for_each(|index| end(&mut world, Place::step(index), Ok(Json::null())));
    });
    assert_eq!((world.run.status, world.step("join").status), (Status::Completed, StepStatus::Completed));
}

#[test]
fn a_run_of_ten_thousand_is_withdrawn_and_begun_again_at_once() {
    let mut world = many(|i| json!({"id": format!("s{i}"), "type": "agent", "needs": []}));
    let place = Place::step(17);
    within("a failure among many, and a retry", || {
        end(&mut world, place, Err(Failure::fatal("broken", "it is broken")));
        assert_eq!(world.run.status, Status::Failed);
        let (by, reason) = (crate::world::somebody(), String::new());
        world
            .tell_unchecked(Input::Retry { by, reason, from: vec![], reissue: false, undone: vec![] })
            .expect("it failed");
    });
    assert_eq!(world.run.steps.count(StepStatus::Running), MANY);
}
