//! Whatever the steps are and however their attempts end: a run ends, or something will wake it; its
//! log alone gives it back; and the same seed gives the same record. A failure prints its case.

mod world;

use fleetprompt_core::Json;
use fleetprompt_core::run::{Illegal, Input, Status, StepStatus};
use fleetprompt_core::workflow::StepKind;
use proptest::prelude::*;
use serde_json::{Value, json};
use world::{SEED, World, broken, busy};

const STEPS_MAX: usize = 8;
/// More inputs than any run of so few steps and attempts can take.
const INPUTS_MAX: usize = 200;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_always_ends_and_its_log_gives_it_back(fields in definitions(), choices in choices()) {
        let world = drive(fields, &choices, SEED);
        prop_assert!(world.run.status.has_ended(), "{}", world.timeline());
        // That every decision left a reason to wake, and a log that folds to the run, the world checks.
        let all_settled = world.run.steps.iter().all(|step| step.status.is_settled());
        prop_assert!(all_settled || world.run.status != Status::Completed);
        prop_assert_eq!(world.run.error.is_some(), world.run.status == Status::Failed);
    }

    #[test]
    fn the_same_seed_gives_the_same_signals_and_ids(fields in definitions(), choices in choices()) {
        let (one, two) = (drive(fields.clone(), &choices, SEED), drive(fields.clone(), &choices, SEED));
        prop_assert_eq!(&one.log, &two.log);
        prop_assert_eq!(&one.effects, &two.effects);
        prop_assert_eq!(&one.run, &two.run);
        let other = drive(fields, &choices, SEED + 1);
        prop_assert_ne!(one.log[0].id, other.log[0].id);
    }

    #[test]
    fn a_step_never_begins_before_what_it_waits_for_has_settled(fields in definitions(), choices in choices()) {
        let world = drive(fields, &choices, SEED);
        for step in &world.workflow.steps {
            let Some(first) = place(&world, &step.id, false) else { continue };
            for edge in &step.after {
                let last = place(&world, &world.workflow.steps[edge.from].id, true);
                prop_assert!(last.is_some_and(|last| last < first), "{} in {}", step.id, world.timeline());
            }
        }
    }
}

/// Where in the log the first, or the last, signal of a step stands.
fn place(world: &World, step: &str, last: bool) -> Option<usize> {
    let is_of = |signal: &fleetprompt_core::Signal| signal.payload.value()["step"] == step;
    if last { world.log.iter().rposition(is_of) } else { world.log.iter().position(is_of) }
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

/// Small workflows in which everything occurs that edges, conditions and failures can be.
fn definitions() -> impl Strategy<Value = Value> {
    let steps = prop::collection::vec(any::<[u8; 8]>(), 1..=STEPS_MAX);
    (steps, any::<[u8; 2]>()).prop_map(|(genes, [whole, output])| {
        let is_chain = whole % 4 == 0;
        let steps: Vec<Value> = genes.iter().enumerate().map(|(index, genes)| step(index, genes, is_chain)).collect();
        let mut fields = json!({"steps": steps});
        if whole % 3 == 1 {
            fields["timeout"] = json!("3s");
        }
        match output % 4 {
            0 => fields["output"] = json!({"last": "${steps.s0.status}"}),
            1 => fields["output"] = json!("${steps.s0.output}"),
            _ => {}
        }
        fields
    })
}

fn step(index: usize, genes: &[u8; 8], is_chain: bool) -> Value {
    let [kind, needs, when, on_error, attempts, read, function, schema] = *genes;
    let kind = ["function", "agent", "directive"][kind as usize % 3];
    let mut step = json!({"id": format!("s{index}"), "type": kind});
    if !is_chain {
        let needed = (0..index).filter(|bit| needs & (1 << bit) != 0).map(|bit| format!("s{bit}"));
        step["needs"] = needed.collect();
    }
    let other = (index > 0).then(|| read as usize % index.max(1)).map(|other| format!("s{other}"));
    let rendered = match (&other, read % 5) {
        (Some(other), 0) => json!(format!("${{steps.{other}.output}}")),
        (Some(other), 1) => json!({"x": format!("${{has(steps.{other}.output) ? steps.{other}.output : null}}")}),
        _ => json!({"at": "${run.started_at}", "yes": "${signal.payload.yes}"}),
    };
    step[if kind == "directive" { "payload" } else { "input" }] = rendered;
    match (&other, when % 8) {
        (_, 0) => step["when"] = json!("${signal.payload.no}"),
        (_, 1) => step["when"] = json!("${signal.payload.absent}"),
        (Some(other), 2 | 3) => step["when"] = json!(format!("${{steps.{other}.status == 'completed'}}")),
        _ => {}
    }
    if on_error % 2 == 0 {
        step["on_error"] = json!("continue");
    }
    if kind == "function" {
        step["function"] = json!(["echo", "null", "fail", "busy"][function as usize % 4]);
    } else {
        step["retry"] = json!({"max_attempts": 1 + attempts % 3, "initial": "1s", "jitter": attempts >= 128});
    }
    if schema % 4 == 0 {
        step["output_schema"] = json!({"type": "object"});
    }
    step
}

fn drive(fields: Value, choices: &[u8], seed: u64) -> World {
    let payload = json!({"yes": true, "no": false});
    let mut world = World::triggered(fields, payload, seed);
    let mut choices = choices.iter().copied();
    for _ in 0..INPUTS_MAX {
        if world.run.status.has_ended() {
            break;
        }
        // When nothing is left to choose from, all goes well.
        let choice = choices.next().unwrap_or(0);
        one_input(&mut world, choice);
    }
    world
}

fn one_input(world: &mut World, choice: u8) {
    let running = |index: &usize| world.run.steps[*index].status == StepStatus::Running;
    let in_flight: Vec<usize> = (0..world.run.steps.len()).filter(running).collect();
    if choice == 255 {
        return world.play("cancel");
    }
    if in_flight.is_empty() || choice % 7 == 6 {
        if world.run.wake_at().is_some() {
            return world.play("due");
        }
        assert_eq!(world.tell(Input::Due), Err(Illegal::NotDue));
        return;
    }
    let index = in_flight[choice as usize / 7 % in_flight.len()];
    let step = world.workflow.steps[index].id.clone();
    let told = match choice % 7 {
        0 | 1 => world.end(&step, Ok(json!({"choice": choice}).into())),
        2 => world.end(&step, Ok(Json::null())),
        3 => world.end(&step, Err(busy())),
        4 => world.end(&step, Err(broken())),
        _ => return stale(world, index),
    };
    told.expect("it is in flight");
}

/// An outcome that nobody waits for leaves everything as it is.
fn stale(world: &mut World, index: usize) {
    let attempt = world.run.steps[index].attempt;
    let got =
        if matches!(world.workflow.steps[index].kind, StepKind::Directive { .. }) { attempt } else { attempt + 1 };
    let step = world.workflow.steps[index].id.clone();
    let before = world.run.clone();
    assert_eq!(world.outcome(&step, got, Err(busy())), Err(Illegal::Stale { step: index, got }));
    assert_eq!(world.run, before);
}
