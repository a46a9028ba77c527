//! Draws docs/state-machines.md from the decide functions themselves: every input is put to every
//! state that can be reached, and the moves that follow are the arrows.
//!
//! `UPDATE_DOCS=1 cargo test -p fleetprompt-core --test state_diagrams` writes the file anew.

mod world;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt::Write;
use std::path::PathBuf;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Request};
use fleetprompt_core::document::Format;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{self, Functions, Run, RunChange, Setting, Start, StepChange};
use fleetprompt_core::schedule;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{
    DirectiveId, Failure, Json, Lineage, Meter, Moment, Name, RunId, Signal, SignalId, Span, TenantId, Timestamp,
};
use serde_json::json;
use world::{BEGINNING, Pure, broken, busy, somebody};

const INTRODUCTION: &str = "\
# State machines

What a run, its steps, a directive and a schedule can be, and the signals by which they move. Each arrow is a
signal in the log; a row is what folding its signals gives. An arrow that leads back to where it
began is a signal that moves something else than the status: an attempt, a due time, a wish to cancel.

These pictures are not drawn: a test puts every input to every state that can be reached and
collects what the decisions in `core/src/run`, `core/src/directive` and `core/src/schedule` answer. When they change,
`UPDATE_DOCS=1 cargo test -p fleetprompt-core --test state_diagrams` writes this file anew.
";

const OF_RUN: &str = "\
A run is `queued` until flow control lets it begin. While it is `paused` or `parked` what is under way
ends, and nothing begins. Where something is under way when it is to end, it is `stopping` until that
has ended. It is `compensating` while what its steps did is undone; a run that has ended is compensated when the run is
that it is a part of. Otherwise a run that has ended is only opened again when an operator retries it.
";

const OF_STEP: &str = "\
In parentheses: the types of step that take an arrow, where not all of them do; `for_each` stands for a
step as a whole that goes over a list, and its items move as steps of their type. A function of the engine
is called within a decision, so nobody ever sees it running; one that workers perform moves as an agent's
step does. A directive makes its own attempts, so its step is never `retrying`. A step that was not begun when its run ended stays `pending`.
";

const OF_UNDO: &str = "\
What undoes a step, or an item, that completed, or whose directive succeeded before the step failed: a directive that is
requested when the run is `compensating`, or the compensation of the run that the step started. It is skipped where
another run relies on the same effect. A directive that failed parks the run, until somebody has it tried again or skipped.
";

const OF_DIRECTIVE: &str = "\
In parentheses: the handlers that take an arrow, where not all of them do. What is built in settles in
the commit that requests it. An attempt of `http` or `worker` that is under way cannot be called back:
the wish to cancel is recorded, and then whatever became of it. A `manual` directive waits for a report. One that failed
or was canceled is requested again when the step that asked for it is retried.
";

const OF_SCHEDULE: &str = "\
What fires is a signal of the tenant's own and moves nothing here. A schedule that was archived may be applied
again.
";

#[test]
fn the_diagrams_show_what_the_machines_do() {
    let runs = explore_runs();
    let directives = explore_directives();
    all_are_shown(&runs.of_run, RunChange::ALL.map(RunChange::signal_name), run::Status::ALL.map(run::Status::as_str));
    let (of_undo, of_step): (Vec<_>, Vec<_>) = StepChange::ALL.into_iter().partition(|change| change.is_undo());
    let names = |changes: Vec<StepChange>| changes.into_iter().map(StepChange::signal_name).collect::<Vec<_>>();
    let statuses = run::StepStatus::ALL.map(run::StepStatus::as_str);
    all_are_shown(&runs.of_step, names(of_step), statuses);
    all_are_shown(
        &runs.of_undo,
        names(of_undo),
        [run::StepStatus::Running, run::StepStatus::Failed].map(run::StepStatus::as_str),
    );
    let statuses = directive::Status::ALL.map(directive::Status::as_str);
    all_are_shown(&directives, directive::Change::ALL.map(directive::Change::signal_name), statuses);

    let schedules = explore_schedules();
    let statuses = schedule::Status::ALL.map(schedule::Status::as_str);
    all_are_shown(&schedules, schedule::Change::ALL.map(schedule::Change::signal_name), statuses);

    let ended = run::Status::ALL.into_iter().filter(|status| status.has_ended()).map(run::Status::as_str).collect();
    let settled = run::StepStatus::ALL.into_iter().filter(|status| status.is_settled());
    let settled: Vec<_> = settled.map(run::StepStatus::as_str).collect();
    let carried_out = directive::Status::ALL.into_iter().filter(|status| status.is_settled());
    let carried_out = carried_out.map(directive::Status::as_str).collect();
    let document = [
        INTRODUCTION.to_owned(),
        section("Run", OF_RUN, &runs.of_run, &Ends { begins: &[], ends: ended }),
        section("Step", OF_STEP, &runs.of_step, &Ends { begins: &["pending"], ends: settled.clone() }),
        section("Compensation", OF_UNDO, &runs.of_undo, &Ends { begins: &[], ends: settled }),
        section("Directive", OF_DIRECTIVE, &directives, &Ends { begins: &[], ends: carried_out }),
        section("Schedule", OF_SCHEDULE, &schedules, &Ends { begins: &[], ends: vec!["archived"] }),
    ]
    .join("\n");
    compare(&document);
}

fn compare(document: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/state-machines.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it is in docs")).expect("docs can be made");
        std::fs::write(&path, document).expect("docs can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document,
        "docs/state-machines.md is not what the machines do; write it anew with\n\
         UPDATE_DOCS=1 cargo test -p fleetprompt-core --test state_diagrams\n\n{document}"
    );
}

// Moves

const BEGIN: &str = "[*]";

/// From, signal, to; and which kinds of step or handler were seen to move so.
#[derive(Default)]
struct Moves {
    seen: BTreeMap<(&'static str, &'static str, &'static str), BTreeSet<&'static str>>,
    kinds: BTreeSet<&'static str>,
}

impl Moves {
    fn add(&mut self, from: &'static str, signal: &'static str, to: &'static str, kind: &'static str) {
        self.kinds.insert(kind);
        self.seen.entry((from, signal, to)).or_default().insert(kind);
    }
}

fn all_are_shown<'a>(
    moves: &Moves,
    signals: impl IntoIterator<Item = &'a str>,
    statuses: impl IntoIterator<Item = &'a str>,
) {
    for name in signals {
        assert!(moves.seen.keys().any(|(_, signal, _)| *signal == name), "no way leads to `{name}`");
    }
    for status in statuses {
        assert!(moves.seen.keys().any(|(from, _, to)| *from == status || *to == status), "nothing is ever {status}");
    }
}

/// What it is before its first signal, where that is a state; and what it may be left as.
struct Ends {
    begins: &'static [&'static str],
    ends: Vec<&'static str>,
}

fn section(title: &str, text: &str, moves: &Moves, ends: &Ends) -> String {
    let mut out = format!("## {title}\n\n{text}\n```mermaid\nstateDiagram-v2\n");
    for begin in ends.begins {
        writeln!(out, "    [*] --> {begin}").expect("room");
    }
    for ((from, signal, to), kinds) in &moves.seen {
        let which = match kinds.len() == moves.kinds.len() {
            true => String::new(),
            false => format!(" ({})", Vec::from_iter(kinds.iter().copied()).join(", ")),
        };
        writeln!(out, "    {from} --> {to} : {signal}{which}").expect("room");
    }
    for end in ends.ends.iter().filter(|end| moves.seen.keys().any(|(.., to)| to == *end)) {
        writeln!(out, "    {end} --> [*]").expect("room");
    }
    out.push_str("```\n");
    out
}

// Runs and steps

#[derive(Default)]
struct RunMoves {
    of_run: Moves,
    of_step: Moves,
    of_undo: Moves,
}

/// Each step type in all the ways that it can go, beside a step that can end the run.
fn explore_runs() -> RunMoves {
    let mut moves = RunMoves::default();
    let retry = json!({"max_attempts": 2, "jitter": false});
    let undo = json!({"directive": "mail.recall"});
    for (on_error, step) in [
        ("fail", json!({"type": "agent", "retry": retry})),
        ("park", json!({"type": "agent", "retry": retry, "on_error": "continue"})),
        ("fail", json!({"type": "agent", "retry": {"max_attempts": 1}, "repeat": {"max": 2, "delay": "1s"}})),
        ("fail", json!({"type": "agent", "retry": {"max_attempts": 1}, "lock": "the one"})),
        ("fail", json!({"type": "agent", "retry": {"max_attempts": 1}, "for_each": [1, 2]})),
        ("compensate", json!({"type": "directive", "compensate": undo})),
        ("park", json!({"type": "directive", "repeat": {"max": 2}})),
        ("compensate", json!({"type": "directive", "for_each": [1], "compensate": undo})),
        ("fail", json!({"type": "function", "needs": ["beside"]})),
        ("park", json!({"type": "function", "function": "fail", "needs": ["beside"]})),
        ("fail", json!({"type": "function", "repeat": {"max": 2, "delay": "1s"}})),
        ("fail", json!({"type": "function", "function": "away", "retry": retry})),
        ("fail", json!({"type": "function", "function": "away", "retry": retry, "lock": "the one"})),
        ("fail", json!({"type": "function", "when": "signal.payload.absent", "on_error": "continue"})),
        ("fail", json!({"type": "agent", "when": "false"})),
        ("fail", json!({"type": "wait", "for": "1m"})),
        ("fail", json!({"type": "wait", "signal": "order.paid", "timeout": "1m"})),
        ("fail", json!({"type": "wait", "input": {"escalate": [{"after": "1m", "role": "operator"}]}})),
        ("fail", json!({"type": "wait", "callback": true, "heartbeat": "1m"})),
        ("fail", json!({"type": "wait", "callback": true, "needs": ["beside"]})),
        ("fail", json!({"type": "workflow", "timeout": "1m"})),
        ("compensate", json!({"type": "workflow"})),
        ("fail", json!({"type": "workflow", "on_cancel": "abandon", "on_error": "continue"})),
        ("fail", json!({"type": "workflow", "when": "signal.payload.absent"})),
        ("fail", json!({"type": "directive", "payload": "${signal.payload.absent}"})),
        ("fail", json!({"type": "wait", "until": "${signal.payload.end}"})),
        ("fail", json!({"type": "finish", "when": "signal.payload.end"})),
        ("fail", json!({"type": "finish", "needs": ["beside"]})),
    ] {
        let mut it = json!({"id": "it", "needs": []});
        it.as_object_mut().expect("an object").extend(step.as_object().expect("fields").clone());
        let beside = json!({"id": "beside", "type": "agent", "needs": [], "retry": {"max_attempts": 1}});
        explore_run(json!({"timeout": "1h", "on_error": on_error, "steps": [it, beside]}), false, &mut moves);
    }
    let agent = |id: &str| json!({"id": id, "type": "agent", "needs": [], "retry": {"max_attempts": 1}});
    explore_run(json!({"steps": [agent("a")]}), true, &mut moves);
    let directive = json!({"id": "c", "type": "directive", "needs": []});
    let finish = json!({"id": "z", "type": "finish", "needs": ["a"]});
    explore_run(json!({"steps": [agent("a"), directive, finish]}), false, &mut moves);
    let behind = json!({"id": "d", "type": "agent", "needs": ["c"]});
    let join = json!({"id": "z", "needs": ["a", "d"], "join": "any", "cancel_rest": true});
    explore_run(json!({"steps": [agent("a"), directive, behind, join]}), false, &mut moves);
    moves
}

fn explore_run(fields: serde_json::Value, is_queued: bool, moves: &mut RunMoves) {
    let (workflow, tenant) = (world::workflow(fields), world::tenant());
    let mut moment = Moment::new(7);
    moment.advance(BEGINNING);
    let trigger = world::fact(&mut moment, json!({"end": false}));
    let meter = Meter::unlimited();
    let setting = Setting { workflow: &workflow, tenant: &tenant, signal: Some(&trigger), meter: &meter };
    let queue = run::Queue { reason: run::QueueReason::Concurrency, until: None, since: None };
    let start = Start {
        queue: is_queued.then_some(queue),
        ..Start::new(RunId(moment.uuid()), DirectiveId(moment.uuid()), Lineage::root("x"))
    };
    let decision = run::start(setting, &Pure as &dyn Functions, start, &mut moment);
    collect(setting, &[], &decision.signals, moves);
    let mut seen = HashSet::from([state_of(&decision.run)]);
    let mut open = VecDeque::from([(decision.run, decision.signals, moment)]);
    while let Some((run, log, moment)) = open.pop_front() {
        for input in run_inputs(&run, &mut moment.clone()) {
            let mut moment = moment.clone();
            moment.advance(moment.now() + Span::from_millis(1));
            if matches!(input, run::Input::Due) {
                moment.advance(run.wake_at().unwrap_or(moment.now()));
            }
            let Ok(decision) = run::decide(setting, &Pure, run.clone(), input, None, &mut moment) else { continue };
            collect(setting, &log, &decision.signals, moves);
            let log = [&log[..], &decision.signals].concat();
            if seen.insert(state_of(&decision.run)) {
                open.push_back((decision.run, log, moment));
            }
        }
    }
}

/// Everything that the outside world could say about a run, whether it fits or not.
fn run_inputs(run: &Run, moment: &mut Moment) -> Vec<run::Input> {
    use run::Input::{Begin, Cancel, Compensate, Due, Pause, Queue, Resume, Retry};
    let (by, reason) = (somebody, || "why not".to_owned());
    let queue = run::Queue { reason: run::QueueReason::Throttle, until: None, since: None };
    let mut inputs = vec![
        Begin,
        Queue(queue),
        Due,
        Pause { by: by(), reason: reason() },
        Resume { by: by(), reason: reason() },
        Compensate { by: by(), reason: reason() },
        Retry { by: by(), reason: reason(), from: vec![], reissue: false, undone: vec![] },
        Retry { by: by(), reason: reason(), from: vec![0], reissue: false, undone: vec![] },
    ];
    inputs.extend([true, false].map(|compensate| Cancel { by: by(), reason: reason(), compensate }));
    for place in world::invariants::rows(run).into_keys().chain((0..run.steps.len()).map(run::Place::step)) {
        inputs.extend(place_inputs(run, place, moment));
    }
    inputs
}

fn place_inputs(run: &Run, place: run::Place, moment: &mut Moment) -> Vec<run::Input> {
    use run::Input::{Answered, ChildEnded, ChildRetried, ChildUndone, Complete, Event, Granted, Outcome};
    use run::Input::{Settled, Skip, UndoSkipped};
    let (by, reason) = (somebody, || "why not".to_owned());
    let (step, other) = (run.at(place), RunId(moment.uuid()));
    let waiting = step.and_then(|step| step.waiting.as_ref()).map(|waiting| &waiting.what);
    let child = if let Some(run::Awaited::Run { run_id }) = waiting { *run_id } else { other };
    let directive = step.and_then(|step| step.directive_id).unwrap_or(run.directive_id);
    let signal = world::signal(moment, "order.paid", json!({})).into();
    let answered = |answer| Answered { place, by: by(), answer };
    let mut inputs = vec![
        Granted { place },
        Event { place, signal },
        answered(run::Answer::Heartbeat),
        answered(run::Answer::Input { value: Json::null(), role: Role::Owner }),
        ChildRetried { place, run: child, by: by(), undone: vec![] },
        ChildUndone { place },
        UndoSkipped { place, reason: reason() },
        Skip { place, by: by(), role: Role::Owner, reason: reason() },
        Complete { place, by: by(), role: Role::Owner, reason: reason(), output: Json::null() },
        Settled { place, directive, by: None, result: Ok(json!({"run_id": child}).into()), reused: None },
    ];
    for result in results() {
        let attempt = step.map_or(0, |step| step.attempt);
        inputs.push(answered(run::Answer::Report(result.clone())));
        inputs.push(ChildEnded { place, run: child, by: None, result: result.clone(), compensable: true });
        inputs.push(Settled { place, directive, by: None, result: result.clone(), reused: None });
        inputs.push(Outcome { place, attempt, result, execution: None, logs: Vec::new() });
    }
    inputs
}

fn results() -> [Result<Json, Failure>; 3] {
    [Ok(json!({}).into()), Err(busy()), Err(broken())]
}

/// What tells two states apart; times and ids do not.
fn state_of(run: &Run) -> String {
    let rows = world::invariants::rows(run).into_iter().map(|(place, step)| {
        let waiting = step.waiting.map(|waiting| (waiting.reason(), waiting.escalated));
        (place, step.status, step.attempt, step.iteration, waiting, step.early_answer.is_some())
    });
    let ending = run.standing.as_ref().and_then(|standing| standing.ending.as_ref()).map(|ending| ending.compensate);
    format!("{:?} {ending:?} {:?}", run.status, rows.collect::<Vec<_>>())
}

/// The moves that these signals make, each seen by folding the log up to it.
fn collect(setting: Setting<'_>, log: &[Signal], signals: &[Signal], moves: &mut RunMoves) {
    let mut before = run::fold(setting.workflow, log);
    for (at, signal) in signals.iter().enumerate() {
        let after = run::fold(setting.workflow, log.iter().chain(&signals[..=at]));
        let after = after.expect("the log begins with the start");
        if let Some(change) = run::run_change_of(&signal.name) {
            let from = before.map_or(BEGIN, |run| run.status.as_str());
            moves.of_run.add(from, change.signal_name(), after.status.as_str(), "run");
        } else if let Some(change) = run::step_change_of(&signal.name) {
            let before = before.expect("the run has started");
            let place = place_of(setting, signal, change);
            let status = |run: &Run| run.at(place).map(|step| step.status.as_str());
            let (from, to) = (status(&before), status(&after).expect("the signal is about it"));
            if place.undo {
                moves.of_undo.add(from.unwrap_or(BEGIN), change.signal_name(), to, "compensation");
            } else {
                let is_list = place.item.is_none() && after.steps[place.index()].items.is_some();
                let kind = if is_list { "for_each" } else { setting.workflow.steps[place.index()].kind.name() };
                moves.of_step.add(from.unwrap_or("pending"), change.signal_name(), to, kind);
            }
        }
        before = Some(after);
    }
}

fn place_of(setting: Setting<'_>, signal: &Signal, change: StepChange) -> run::Place {
    let payload = signal.payload.value();
    let id = payload["step"].as_str().expect("a step's signal names it");
    let place = run::Place::step(setting.workflow.index[id]);
    let place = payload["item"].as_u64().map_or(place, |item| place.item(item as u32));
    if change.is_undo() { place.undo() } else { place }
}

// Directives

fn explore_directives() -> Moves {
    let mut moves = Moves::default();
    for handler in HandlerKind::ALL {
        explore_directive(handler, &mut moves);
    }
    moves
}

fn explore_directive(handler: HandlerKind, moves: &mut Moves) {
    let mut moment = Moment::new(7);
    moment.advance(BEGINNING);
    let request = Request {
        id: DirectiveId(moment.uuid()),
        tenant: TenantId(moment.uuid()),
        name: Name::known("mail.send"),
        payload: json!({}).into(),
        idempotency_key: "once".into(),
        handler,
        retry: RetryPolicy { max_attempts: 2, ..RetryPolicy::default() },
        timeout: Some(Span::from_secs(60)),
        heartbeat: Some(Span::from_secs(5)),
        origin: None,
        actor: somebody(),
        lineage: Lineage::root("x").caused_by(SignalId(moment.uuid())),
    };
    let decision = directive::request(request, &mut moment);
    moves.add(BEGIN, directive::Change::Requested.signal_name(), decision.directive.status.as_str(), handler.as_str());
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([(decision.directive, moment)]);
    while let Some((before, moment)) = open.pop_front() {
        for input in directive_inputs(&before) {
            let mut moment = moment.clone();
            if matches!(input, directive::Input::Due) {
                moment.advance(before.wake_at.unwrap_or(moment.now()));
            }
            let Ok(decision) = directive::decide(before.clone(), input, &mut moment) else { continue };
            let after = decision.directive;
            for signal in &decision.signals {
                let change = directive::change_of(&signal.name).expect("a directive's signals are its changes");
                moves.add(before.status.as_str(), change.signal_name(), after.status.as_str(), handler.as_str());
            }
            let state = (after.status, after.attempt, after.wake_at.is_some(), after.cancel_requested);
            if seen.insert(state) {
                open.push_back((after, moment));
            }
        }
    }
}

fn directive_inputs(directive: &Directive) -> Vec<directive::Input> {
    use directive::Input::{Begin, Cancel, Due, Heartbeat, Outcome, Reopen, Report};
    let mut inputs = vec![Begin, Due, Heartbeat, Reopen { by: somebody() }];
    inputs.extend([false, true].map(|is_unsent| Cancel { by: somebody(), reason: "why not".into(), is_unsent }));
    for result in results() {
        let outcome = |attempt| Outcome { attempt, result: result.clone(), execution: None, logs: Vec::new() };
        inputs.extend([outcome(directive.attempt), outcome(directive.attempt + 1)]);
        inputs.push(Report { by: somebody(), result });
    }
    inputs
}

// Schedules

/// Each policy that leaves out a due time, or lets one wait.
fn explore_schedules() -> Moves {
    let mut moves = Moves::default();
    for policy in [json!({"overlap": "skip"}), json!({"overlap": "queue", "catch_up": "none"})] {
        let mut document = json!({"slug": "hourly", "signal": "digest.due", "every": "1h"});
        document.as_object_mut().expect("an object").extend(policy.as_object().expect("fields").clone());
        let text = json!({"schedule": document}).to_string();
        let (schedule, _) = schedule::read(&text, Format::Json).expect("it is valid");
        explore_schedule(&schedule, &mut moves);
    }
    moves
}

fn explore_schedule(schedule: &schedule::Schedule, moves: &mut Moves) {
    let mut moment = Moment::new(7);
    moment.advance(BEGINNING);
    let tenant = TenantId(moment.uuid());
    let setting = |is_open| schedule::Setting { tenant, schedule, is_open };
    let first = schedule::apply(setting(false), None, somebody(), &mut moment);
    collect_schedule(BEGIN, &first, moves);
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([(first.state, moment)]);
    while let Some((before, moment)) = open.pop_front() {
        let from = before.status.as_str();
        let mut decisions = Vec::new();
        for (input, is_open) in schedule_inputs(moment.now()) {
            let mut moment = moment.clone();
            // Two are due, so that one is left out.
            let due = before.next_at.filter(|_| matches!(input, schedule::Input::Due | schedule::Input::Resume { .. }));
            moment.advance(due.map_or(moment.now(), |due| due + Span::from_secs(3_600)));
            let decided = schedule::decide(setting(is_open), before.clone(), input, &mut moment);
            decisions.extend(decided.ok().map(|decision| (decision, moment)));
        }
        let mut moment = moment;
        let again = schedule::apply(setting(false), Some((schedule, before)), somebody(), &mut moment);
        decisions.push((again, moment));
        for (decision, moment) in decisions {
            collect_schedule(from, &decision, moves);
            let state = decision.state;
            if seen.insert((state.status, state.next_at.is_some(), state.queued_at.is_some())) {
                open.push_back((state, moment));
            }
        }
    }
}

fn schedule_inputs(now: Timestamp) -> Vec<(schedule::Input, bool)> {
    use schedule::Input::{Archive, Backfill, Due, Pause, PreviousEnded, Resume, Trigger};
    let inputs = [
        Due,
        PreviousEnded,
        Pause { by: somebody(), reason: None },
        Resume { by: somebody(), reason: None },
        Trigger { by: somebody(), reason: None },
        Backfill { by: somebody(), reason: None, from: now, to: now },
        Archive { by: somebody(), reason: None },
    ];
    inputs.into_iter().flat_map(|input| [(input.clone(), true), (input, false)]).collect()
}

fn collect_schedule(from: &'static str, decision: &schedule::Decision, moves: &mut Moves) {
    let to = decision.state.status.as_str();
    for signal in &decision.signals {
        let change = schedule::change_of(&signal.name).expect("a schedule's signals are its changes");
        moves.add(from, change.signal_name(), to, "schedule");
    }
}
