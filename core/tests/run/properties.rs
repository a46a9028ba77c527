//! Whatever the steps are, however what they ask for ends, and whoever interferes: decisions are total,
//! the invariants of the world hold after each of them, and a run that is answered ends. A failure prints
//! its case.

use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Answer, Awaited, Illegal, Input, Place, Queue, QueueReason, Status, StepStatus};
use fleetprompt_core::tenant::Role;
use fleetprompt_core::workflow::{self, Catalog, Join, StepKind};
use fleetprompt_core::{DirectiveId, Json, RunId, Signal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{self, SEED, World, broken, busy, invariants::rows, somebody};

const STEPS_MAX: usize = 7;
/// More than is needed to end all that so few steps, items, iterations and attempts can begin.
const INPUTS_MAX: usize = 3_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_is_answered_ends_and_its_log_gives_it_back(
        fields in definitions(),
        choices in choices(),
        units in budgets(),
    ) {
        let mut world = begin_within(units, fields, SEED);
        interfere(&mut world, &choices);
        answer_all(&mut world);
        // That every decision left a reason to wake, and a log that folds to the run, the world checks.
        let all_settled = world.run.steps.iter().all(|step| step.status.is_settled());
        let may_end_early = world.workflow.steps.iter().any(|step| matches!(step.kind, StepKind::Finish(_)));
        prop_assert!(all_settled || may_end_early || world.run.status != Status::Completed, "{}", world.timeline());
    }

    #[test]
    fn a_run_comes_to_the_same_end_however_often_it_is_cut(
        fields in definitions(),
        choices in choices(),
        units in budgets(),
    ) {
        let drive = |units| {
            let mut world = begin_within(units, fields.clone(), SEED);
            world.goes_on_at_once = true;
            world.go_on();
            interfere(&mut world, &choices);
            answer_all(&mut world);
            world
        };
        let (cut, whole) = (drive(units), drive(u64::MAX));
        prop_assert_eq!(cut.timeline(), whole.timeline());
        prop_assert_eq!(&cut.log, &whole.log);
        prop_assert_eq!(&cut.effects, &whole.effects);
        prop_assert_eq!(&cut.run, &whole.run);
    }

    #[test]
    fn a_definition_survives_a_round_trip(fields in definitions()) {
        let first = begin(fields, SEED).workflow;
        for format in [Format::Json, Format::Yaml] {
            let again = workflow::read(first.document.text(), format, &Catalog::default());
            let (again, _) = again.unwrap_or_else(|problems| panic!("its own document: {problems:?}"));
            prop_assert_eq!(&again.digest, &first.digest);
            prop_assert_eq!(format!("{:?}", again.steps), format!("{:?}", first.steps));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_signals_and_ids(fields in definitions(), choices in choices()) {
        let drive = |seed| {
            let mut world = begin(fields.clone(), seed);
            interfere(&mut world, &choices);
            world
        };
        let (one, two, other) = (drive(SEED), drive(SEED), drive(SEED + 1));
        prop_assert_eq!(&one.log, &two.log);
        prop_assert_eq!(&one.effects, &two.effects);
        prop_assert_eq!(&one.run, &two.run);
        prop_assert_ne!(one.log[0].id, other.log[0].id);
    }

    #[test]
    fn a_step_never_begins_before_what_it_waits_for_has_settled(fields in definitions(), picks in choices()) {
        let mut world = begin(fields, SEED);
        picks.iter().for_each(|pick| _ = one_end(&mut world, *pick));
        for step in world.workflow.steps.iter().filter(|step| step.join == Join::All) {
            let Some(first) = world.log.iter().position(|signal| says(signal, &step.id, &BEGINS)) else { continue };
            for edge in &step.after {
                let from = &world.workflow.steps[edge.from].id;
                let settled = world.log.iter().position(|signal| says(signal, from, &SETTLES));
                prop_assert!(settled.is_some_and(|settled| settled < first), "{} in {}", step.id, world.timeline());
            }
        }
    }
}

const BEGINS: [&str; 3] = ["started", "waiting", "completed"];
const SETTLES: [&str; 4] = ["completed", "failed", "skipped", "canceled"];

/// Whether it is one of these moves of the step as a whole.
fn says(signal: &Signal, step: &str, moves: &[&str]) -> bool {
    let (payload, name) = (signal.payload.value(), signal.name.as_str());
    let is_of = payload["step"] == step && payload["item"].is_null();
    is_of && moves.iter().any(|word| name.strip_prefix("workflow.step.") == Some(*word))
}

// Workflows in which everything occurs that the language has

/// A decision does one thing, a few, or all there is.
fn budgets() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), 500..6_000_u64, Just(u64::MAX)]
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..80)
}

fn definitions() -> impl Strategy<Value = Value> {
    let steps = prop::collection::vec(any::<[u8; 12]>(), 1..=STEPS_MAX);
    let fields = (steps, any::<[u8; 5]>()).prop_map(|(genes, whole)| definition(&genes, whole));
    fields.prop_filter("a definition that may be applied", |fields| world::is_valid(without_marks(fields)))
}

fn definition(genes: &[[u8; 12]], [order, timeout, on_error, output, edges]: [u8; 5]) -> Value {
    let is_chain = order % 4 == 0;
    let steps: Vec<Value> = genes.iter().enumerate().map(|(index, genes)| step(index, genes, is_chain)).collect();
    let mut fields = json!({"on_error": pick(&["fail", "compensate", "park", "compensate"], on_error)});
    if order % 4 == 1 && steps.len() > 1 {
        fields["transitions"] = genes
            .iter()
            .enumerate()
            .skip(1)
            .map(|(to, genes)| {
                let from = format!("s{}", usize::from(genes[1]) % to);
                let on = pick(&["completed", "failed", "settled"], genes[2].wrapping_add(edges));
                match genes[3] % 3 {
                    0 => json!({"from": from, "to": format!("s{to}"), "on": on, "when": "signal.payload.yes"}),
                    1 => json!({"from": from, "to": format!("s{to}"), "on": on, "when": "signal.payload.absent"}),
                    _ => json!({"from": from, "to": format!("s{to}"), "on": on}),
                }
            })
            .collect();
    }
    if timeout % 3 == 1 {
        fields["timeout"] = json!("3m");
    }
    match output % 4 {
        0 => fields["output"] = json!({"last": "${steps.s0.status}"}),
        1 => fields["output"] = json!("${steps.s0.output}"),
        _ => {}
    }
    fields["steps"] = steps.into();
    fields["queued"] = json!(edges.is_multiple_of(5));
    fields
}

/// What the world is told about the beginning, and the definition does not have.
fn without_marks(fields: &Value) -> Value {
    let mut fields = fields.clone();
    fields.as_object_mut().expect("an object").remove("queued");
    fields
}

fn pick(words: &[&'static str], gene: u8) -> &'static str {
    words[usize::from(gene) % words.len()]
}

fn step(index: usize, genes: &[u8; 12], is_chain: bool) -> Value {
    let [kind, needs, join, when, on_error, retry, read, each, repeat, lock, undo, what] = *genes;
    let kind = pick(&["function", "agent", "directive", "directive", "wait", "workflow", "agent", "finish"], kind);
    let mut step = json!({"id": format!("s{index}"), "type": kind});
    if !is_chain {
        let needed: Vec<String> =
            (0..index).filter(|bit| needs & (1 << bit) != 0).map(|bit| format!("s{bit}")).collect();
        if needed.len() > 1 && join % 3 == 0 {
            step["join"] = if join % 2 == 0 { json!("any") } else { json!({"at_least": 2}) };
            step["cancel_rest"] = json!(join % 4 < 2);
        }
        step["needs"] = json!(needed);
    }
    match when % 16 {
        0 => step["when"] = json!("${signal.payload.no}"),
        1 => step["when"] = json!("${signal.payload.absent}"),
        2 if index > 0 => {
            step["when"] = json!(format!("${{steps.s{}.status == 'completed'}}", usize::from(read) % index))
        }
        _ => {}
    }
    if kind != "finish" {
        fill(&mut step, kind, [on_error, each, repeat, lock, retry, undo, what], index, read);
    } else if what % 2 == 0 {
        step["status"] = json!("failed");
        step["error"] = json!({"code": "enough", "message": "it was enough"});
    }
    step
}

fn fill(step: &mut Value, kind: &str, genes: [u8; 7], index: usize, read: u8) {
    let [on_error, each, repeat, lock, retry, undo, what] = genes;
    if on_error % 2 == 0 {
        step["on_error"] = json!("continue");
    }
    match each % 6 {
        0 => step["for_each"] = json!([1, 2, 3]),
        1 => step["for_each"] = json!({"items": "${signal.payload.list}", "max_parallel": 2, "tolerate": "40%"}),
        2 => step["for_each"] = json!({"items": [1, 2, 3], "at_least": 2}),
        _ => {}
    }
    let other = (index > 0).then(|| usize::from(read) % index.max(1));
    let rendered = match (other, read % 5) {
        (Some(other), 0) => json!(format!("${{steps.s{other}.output}}")),
        (Some(other), 1) => json!({"x": format!("${{has(steps.s{other}.output) ? steps.s{other}.output : null}}")}),
        _ => json!({"at": "${run.started_at}", "yes": "${signal.payload.yes}"}),
    };
    match kind {
        "directive" => step["payload"] = rendered,
        "wait" => wait(step, what),
        _ => step["input"] = rendered,
    }
    if kind == "function" {
        step["function"] = json!(pick(&["echo", "null", "away", "fail", "echo", "busy"], what));
    }
    if kind != "wait" {
        match repeat % 8 {
            0 => step["repeat"] = json!({"max": 2}),
            1 => step["repeat"] = json!({"max": 3, "while": "repeat.iteration < 2", "delay": "5s"}),
            2 => step["repeat"] = json!({"max": 2, "while": "true"}),
            _ => {}
        }
    }
    if ["agent", "directive"].contains(&kind) {
        step["retry"] = json!({"max_attempts": 1 + retry % 3, "initial": "1s", "jitter": retry >= 128});
    }
    if ["agent", "directive", "workflow"].contains(&kind) && undo % 2 == 0 {
        step["compensate"] = json!({"directive": "mail.recall", "payload": format!("${{steps.s{index}.output}}")});
    }
    if kind != "function" && lock % 5 == 0 {
        step["lock"] = json!("the one");
    }
    if kind == "workflow" {
        step["wait"] = json!(what % 4 != 0);
        step["on_cancel"] = json!(pick(&["cancel", "abandon"], lock));
        step["timeout"] = json!("1m");
    }
}

fn wait(step: &mut Value, what: u8) {
    match what % 6 {
        0 => step["for"] = json!("30s"),
        1 => step["until"] = json!("2020-01-01T00:00:00Z"),
        2 => step["signal"] = json!({"name": "order.paid", "match": {"payload.x": "${signal.payload.yes}"}}),
        3 => (step["signals"], step["lookback"]) = (json!(["order.paid", "order.refunded"]), json!("run")),
        4 => step["input"] = json!({"role": "admin", "escalate": [{"after": "10s", "role": "operator"}]}),
        _ => (step["callback"], step["heartbeat"]) = (json!(true), json!("20s")),
    }
    if what >= 128 {
        step["timeout"] = json!("1m");
    }
}

// What happens

fn begin(fields: Value, seed: u64) -> World {
    begin_within(u64::MAX, fields, seed)
}

fn begin_within(units: u64, fields: Value, seed: u64) -> World {
    let payload = json!({"yes": true, "no": false, "list": [1, 2, 3, 4]});
    let is_queued = fields["queued"] == json!(true);
    let mut world = World::started_within(units, without_marks(&fields), payload, seed, |start, _| {
        start.queue = is_queued.then_some(Queue { reason: QueueReason::Concurrency, until: None, since: None });
    });
    world.children_act = true;
    world
}

fn interfere(world: &mut World, choices: &[u8]) {
    let mut told = Vec::new();
    for pair in choices.chunks(2) {
        let (choice, pick) = (pair[0], pair.last().copied().unwrap_or(0));
        match choice % 16 {
            0..=9 => _ = one_end(world, pick),
            10 => _ = world.tell(noise(world.place_at(pick), pick, world)),
            11 => doubled(world, &told, pick),
            _ => {
                let input = by_hand(world, choice, pick);
                told.push(input.clone());
                // Whether it fits or not, the world is as it must be.
                let _ = world.tell(input);
            }
        }
        told.extend(open_places(world).first().map(|place| ending(world, *place, pick)));
    }
}

/// What comes a second time fits nothing, or is as good as new.
fn doubled(world: &mut World, told: &[Input], pick: u8) {
    let Some(input) = told.get(usize::from(pick) % told.len().max(1)).cloned() else { return };
    let once = world.tell(input.clone()).is_ok();
    let twice = world.tell(input.clone());
    if once && matches!(input, Input::Settled { .. } | Input::ChildEnded { .. } | Input::Attached { .. }) {
        assert!(twice.is_err(), "{input:?} fits twice: {}", world.timeline());
    }
}

fn by_hand(world: &World, choice: u8, pick: u8) -> Input {
    let (by, reason, place) = (somebody(), "why not".to_owned(), world.place_at(pick));
    let from = if pick.is_multiple_of(3) { vec![] } else { vec![place.index()] };
    match (choice % 16, pick % 4) {
        (12, 0) => Input::Pause { by, reason },
        (12, 1) => Input::Resume { by, reason },
        (12, 2) if choice >= 128 => Input::Cancel { by, reason, compensate: pick >= 128 },
        (12, _) => Input::Begin,
        (13, 1) if choice >= 192 => Input::Compensate { by, reason },
        (13, _) => Input::Retry { by, reason, from, reissue: choice >= 128, undone: Vec::new() },
        (14, _) => Input::Skip { place, by, role: Role::Owner, reason },
        _ => Input::Complete { place, by, role: Role::Owner, reason, output: json!({"by": "hand"}).into() },
    }
}

/// Something about a place that does not fit it.
fn noise(place: Place, pick: u8, world: &World) -> Input {
    let result = Ok(Json::null());
    let mut moment = world.moment.clone();
    match pick % 7 {
        0 => Input::Outcome { place, attempt: 77, result, execution: None, logs: Vec::new() },
        1 => Input::Settled { place, directive: DirectiveId(moment.uuid()), by: None, result, reused: None },
        2 => Input::ChildEnded { place, run: RunId(moment.uuid()), by: None, result, compensable: true },
        3 => Input::Attached { place, asked: DirectiveId(moment.uuid()), directive: DirectiveId(moment.uuid()) },
        4 => Input::ChildUndone { place },
        5 => Input::UndoSkipped { place: place.done(), reason: "another run relies on it".into() },
        _ => Input::Granted { place: place.undo() },
    }
}

impl World {
    fn place_at(&self, pick: u8) -> Place {
        let places: Vec<Place> = rows(&self.run).into_keys().collect();
        let beyond = Place::step(usize::from(pick) % (self.workflow.steps.len() + 1));
        places.get(usize::from(pick) % (places.len() + 1)).copied().unwrap_or(beyond)
    }
}

/// What is under way, and is no list.
fn open_places(world: &World) -> Vec<Place> {
    let is_list = |place: &Place| world.run.at(*place).is_some_and(|step| step.items.is_some());
    let open = rows(&world.run).into_iter().filter(|(_, step)| step.status.is_in_flight());
    open.map(|(place, _)| place).filter(|place| !is_list(place)).collect()
}

/// Something that is under way ends, or time goes on; gives whether there was anything to tell.
fn one_end(world: &mut World, pick: u8) -> bool {
    let open = open_places(world);
    let is_waited_for = |place: &&Place| {
        let step = world.run.at(**place).expect("it is open");
        let is_time = step.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Time { .. }));
        !is_time && !matches!(step.status, StepStatus::Retrying | StepStatus::Repeating)
    };
    let ends: Vec<Place> = open.iter().filter(is_waited_for).copied().collect();
    if ends.is_empty() || pick % 8 == 7 {
        if world.run.wake_at().is_some() {
            world.play("due");
            return true;
        }
        assert_eq!(world.tell(Input::Due).err(), Some(not_due(world)));
        return false;
    }
    let place = ends[usize::from(pick) / 8 % ends.len()];
    let input = ending(world, place, pick);
    match world.tell(input.clone()) {
        Ok(_) => {}
        // Only what stands still takes no lock.
        Err(Illegal::Status(..)) if matches!(input, Input::Granted { .. }) => return false,
        Err(illegal) => panic!("{place:?}: {illegal}: {input:?}\n{}", world.timeline()),
    }
    true
}

fn not_due(world: &World) -> Illegal {
    if world.run.status.has_ended() { Illegal::Ended(world.run.status) } else { Illegal::NotDue }
}

fn ending(world: &mut World, place: Place, pick: u8) -> Input {
    let result = match pick % 8 {
        0..=3 => Ok(json!({"choice": pick}).into()),
        4 => Ok(Json::null()),
        5 => Err(busy()),
        _ => Err(broken()),
    };
    let waiting = world.run.at(place).expect("it is open").waiting.clone();
    match waiting.as_ref().map(|waiting| &waiting.what) {
        Some(Awaited::Lock { .. }) => Input::Granted { place },
        Some(Awaited::Signal { .. }) => {
            let signal = world::signal(&mut world.moment, "order.paid", json!({"x": true}));
            world.heard.insert(signal.id);
            Input::Event { place, signal: signal.into() }
        }
        Some(Awaited::Input { .. }) => {
            let answer = Answer::Input { value: json!(pick).into(), role: Role::Owner };
            Input::Answered { place, by: somebody(), answer }
        }
        Some(Awaited::Callback { .. }) => {
            let answer = if pick % 8 == 3 { Answer::Heartbeat } else { Answer::Report(result) };
            Input::Answered { place, by: somebody(), answer }
        }
        Some(Awaited::Run { .. } | Awaited::Time { .. }) | None => world.ending(place, result),
    }
}

/// Never stuck: with everything answered, time going on, and somebody who decides, it ends.
fn answer_all(world: &mut World) {
    for count in 0..INPUTS_MAX {
        if world.run.status.has_ended() {
            return;
        }
        // Not always well, and never the sign of life that might come for ever.
        let told = one_end(world, if count < 20 { (count as u8).wrapping_mul(37) & !3 } else { 0 });
        let line = match world.run.status {
            Status::Queued => "begin",
            Status::Paused if !told => "resume",
            // What fails again and again is given up at last.
            Status::Parked if !told && count < 60 => "retry",
            Status::Parked if !told => "cancel",
            _ => {
                let is_ended = world.run.status.has_ended();
                assert!(told || is_ended, "nothing is to be told, and it has not ended: {}", world.timeline());
                continue;
            }
        };
        if let Err(illegal) = world.try_play(line) {
            assert_eq!(line, "retry", "{illegal}");
            world.play("cancel");
        }
    }
    panic!("it does not end: {}", world.timeline());
}
