//! Draws docs/state-machines.md from the decide functions themselves: every input is put to every
//! state that can be reached, and the moves that follow are the arrows.
//!
//! `UPDATE_DOCS=1 cargo test -p fleetprompt-core --test state_diagrams` writes the file anew.

mod world;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt::Write;
use std::path::PathBuf;

use fleetprompt_core::directive::{self, Directive, HandlerKind, Request};
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{self, Functions, Run, RunChange, Setting, Start, StepChange};
use fleetprompt_core::{DirectiveId, Span};
use fleetprompt_core::{Failure, Json, Lineage, Moment, Name, RunId, Signal, SignalId, TenantId};
use serde_json::json;
use world::{BEGINNING, Pure, broken, busy, somebody};

const INTRODUCTION: &str = "\
# State machines

What a run, its steps and a directive can be, and the signals by which they move. Each arrow is a
signal in the log; a row is what folding its signals gives. An arrow that leads back to where it
began is a signal that moves something else than the status: an attempt, a due time, a wish to cancel.

These pictures are not drawn: a test puts every input to every state that can be reached and
collects what the decisions in `core/src/run` and `core/src/directive` answer. When they change,
`UPDATE_DOCS=1 cargo test -p fleetprompt-core --test state_diagrams` writes this file anew.
";

const OF_RUN: &str = "\
A run is `running` from its first signal on. It completes when all of its steps have settled, and
fails with a step whose `on_error` is `fail`, at its deadline, or when its output cannot be made.
";

const OF_STEP: &str = "\
In parentheses: the types of step that take an arrow, where not all of them do. A function is called
within a decision, so nobody ever sees it running. A directive makes its own attempts, so only an
agent's step is `retrying`. A step that was not begun when its run ended stays `pending`.
";

const OF_DIRECTIVE: &str = "\
In parentheses: the handlers that take an arrow, where not all of them do. What is built in settles in
the commit that requests it. An `http` attempt that is under way cannot be called back: the wish to
cancel is recorded, and then whatever became of it. A `manual` directive waits for a report.
";

#[test]
fn the_diagrams_show_what_the_machines_do() {
    let runs = explore_runs();
    let directives = explore_directives();
    all_are_shown(&runs.of_run, RunChange::ALL.map(RunChange::signal_name), run::Status::ALL.map(run::Status::as_str));
    let statuses = run::StepStatus::ALL.map(run::StepStatus::as_str);
    all_are_shown(&runs.of_step, StepChange::ALL.map(StepChange::signal_name), statuses);
    let statuses = directive::Status::ALL.map(directive::Status::as_str);
    all_are_shown(&directives, directive::Change::ALL.map(directive::Change::signal_name), statuses);

    let document = [
        INTRODUCTION.to_owned(),
        section("Run", OF_RUN, &runs.of_run),
        section("Step", OF_STEP, &runs.of_step),
        section("Directive", OF_DIRECTIVE, &directives),
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

    fn is_left(&self, state: &str) -> bool {
        self.seen.keys().any(|(from, ..)| *from == state)
    }
}

fn all_are_shown<const N: usize, const M: usize>(moves: &Moves, signals: [&str; N], statuses: [&str; M]) {
    for name in signals {
        assert!(moves.seen.keys().any(|(_, signal, _)| *signal == name), "no way leads to `{name}`");
    }
    for status in statuses {
        assert!(moves.seen.keys().any(|(from, _, to)| *from == status || *to == status), "nothing is ever {status}");
    }
}

fn section(title: &str, text: &str, moves: &Moves) -> String {
    let mut out = format!("## {title}\n\n{text}\n```mermaid\nstateDiagram-v2\n");
    let mut ends = BTreeSet::new();
    // A state that is only ever left is where it begins.
    for state in moves.seen.keys().map(|(from, ..)| *from).collect::<BTreeSet<_>>() {
        if state != BEGIN && !moves.seen.keys().any(|(from, _, to)| *to == state && *from != state) {
            writeln!(out, "    [*] --> {state}").expect("room");
        }
    }
    for ((from, signal, to), kinds) in &moves.seen {
        let which = match kinds.len() == moves.kinds.len() {
            true => String::new(),
            false => format!(" ({})", Vec::from_iter(kinds.iter().copied()).join(", ")),
        };
        writeln!(out, "    {from} --> {to} : {signal}{which}").expect("room");
        if !moves.is_left(to) {
            ends.insert(*to);
        }
    }
    for end in ends {
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
}

/// Each step type in all the ways that it can go, alone and beside a step that can end the run.
fn explore_runs() -> RunMoves {
    let mut moves = RunMoves::default();
    let retry = json!({"max_attempts": 2, "jitter": false});
    let beside = json!({"id": "beside", "type": "agent", "needs": [], "retry": {"max_attempts": 1}});
    let kinds = [
        json!({"type": "agent", "retry": retry}),
        json!({"type": "directive"}),
        json!({"type": "function", "input": {}}),
        json!({"type": "function", "function": "fail"}),
    ];
    let ways = [
        json!({}),
        json!({"on_error": "continue"}),
        json!({"when": "false"}),
        json!({"when": "${signal.payload.absent}"}),
        json!({"needs": ["never"]}),
    ];
    for kind in &kinds {
        for way in &ways {
            let mut step = json!({"id": "it", "needs": []});
            let fields = step.as_object_mut().expect("an object");
            fields.extend(kind.as_object().expect("fields").clone());
            fields.extend(way.as_object().expect("fields").clone());
            let never = json!({"id": "never", "when": "false", "needs": []});
            explore_run(json!({"timeout": "1h", "steps": [step, beside, never]}), &mut moves);
        }
    }
    moves
}

fn explore_run(fields: serde_json::Value, moves: &mut RunMoves) {
    let (workflow, tenant) = (world::workflow(fields), world::tenant());
    let mut moment = Moment::new(7);
    moment.advance(BEGINNING);
    let trigger = world::fact(&mut moment, json!({}));
    let setting = Setting { workflow: &workflow, tenant: &tenant, signal: Some(&trigger) };
    let start = Start {
        id: RunId(moment.uuid()),
        directive_id: DirectiveId(moment.uuid()),
        input: None,
        lineage: Lineage::root("x"),
    };
    let decision = run::start(setting, &Pure as &dyn Functions, start, &mut moment);
    collect(setting, &[], &decision.signals, moves);
    let mut seen = HashSet::from([state_of(&decision.run)]);
    let mut open = VecDeque::from([(decision.run, decision.signals, moment)]);
    while let Some((run, log, moment)) = open.pop_front() {
        for input in run_inputs(&run) {
            let mut moment = moment.clone();
            if matches!(input, run::Input::Due) {
                moment.advance(run.wake_at().unwrap_or(moment.now()));
            }
            let Ok(decision) = run::decide(setting, &Pure, run.clone(), input, &mut moment) else { continue };
            collect(setting, &log, &decision.signals, moves);
            let log = [&log[..], &decision.signals].concat();
            if seen.insert(state_of(&decision.run)) {
                open.push_back((decision.run, log, moment));
            }
        }
    }
}

/// Everything that the outside world could say about a run, whether it fits or not.
fn run_inputs(run: &Run) -> Vec<run::Input> {
    let mut inputs = vec![run::Input::Due, run::Input::Cancel { by: somebody(), reason: "why not".into() }];
    for (index, step) in run.steps.iter().enumerate() {
        for result in results() {
            let outcome = |attempt| run::Input::Outcome {
                step: index,
                attempt,
                result: result.clone(),
                execution: None,
                logs: Vec::new(),
            };
            inputs.extend([outcome(step.attempt), outcome(step.attempt + 1)]);
            let directive = step.directive_id.unwrap_or(run.directive_id);
            inputs.push(run::Input::Settled { step: index, directive, by: None, result });
        }
    }
    inputs
}

fn results() -> [Result<Json, Failure>; 3] {
    [Ok(json!({}).into()), Err(busy()), Err(broken())]
}

/// What tells two states apart; times and ids do not.
fn state_of(run: &Run) -> String {
    let steps: Vec<_> = run.steps.iter().map(|step| (step.status, step.attempt)).collect();
    format!("{:?} {steps:?}", run.status)
}

/// The moves that these signals make, each seen by folding the log up to it.
fn collect(setting: Setting<'_>, log: &[Signal], signals: &[Signal], moves: &mut RunMoves) {
    for at in 0..signals.len() {
        let before = [log, &signals[..at]].concat();
        let after = [log, &signals[..=at]].concat();
        let (before, after) = (run::fold(setting.workflow, &before), run::fold(setting.workflow, &after));
        let after = after.expect("the log begins with the start");
        let name = &signals[at].name;
        if let Some(change) = run::run_change_of(name) {
            let from = before.map_or(BEGIN, |run| run.status.as_str());
            moves.of_run.add(from, change.signal_name(), after.status.as_str(), "run");
        } else if let Some(change) = run::step_change_of(name) {
            let before = before.expect("the run has started");
            let id = signals[at].payload.value()["step"].as_str().expect("a step's signal names it").to_owned();
            let index = setting.workflow.index[&id];
            let (from, to) = (before.steps[index].status, after.steps[index].status);
            let kind = setting.workflow.steps[index].kind.name();
            moves.of_step.add(from.as_str(), change.signal_name(), to.as_str(), kind);
        }
    }
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
    use directive::Input::{Begin, Cancel, Due, Outcome, Report};
    let mut inputs = vec![Begin, Due, Cancel { by: somebody(), reason: "why not".into() }];
    for result in results() {
        let outcome = |attempt| Outcome { attempt, result: result.clone(), logs: Vec::new() };
        inputs.extend([outcome(directive.attempt), outcome(directive.attempt + 1)]);
        inputs.push(Report { by: somebody(), result });
    }
    inputs
}
