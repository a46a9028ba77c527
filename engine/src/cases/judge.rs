//! Compares what happened with what was expected, and tells only what differs. An object expects the
//! fields that it names; lists and single values are compared whole.

use fleetprompt_core::directive::Directive;
use fleetprompt_core::run::{Place, Run};
use fleetprompt_core::{Failure, Json, RunId, Span};
use serde_json::{Value, json};

use super::play::{Played, at_of};
use super::story::short;
use super::{At, Case, Expect, Expected, ExpectedDirective, ExpectedError, Problem};

/// How many of the problems of one case are told.
const PROBLEMS_MAX: usize = 20;

pub(super) fn judge(case: &Case, played: &Played) -> Vec<Problem> {
    if let Some(problem) = &played.stopped {
        return vec![problem.clone()];
    }
    let mut problems = Vec::new();
    match &case.expect {
        Expect::First(expected) => match played.runs.first() {
            Some(run) => judge_run(played, run, expected, "", &mut problems),
            None => problems.push(no_run(played)),
        },
        Expect::Runs(all) if all.len() != played.runs.len() => problems.push(other_runs(played, all)),
        Expect::Runs(all) => {
            for (index, (run, expected)) in played.runs.iter().zip(all).enumerate() {
                judge_run(played, run, expected, &format!("runs[{index}]."), &mut problems);
            }
        }
    }
    problems.extend(played.problems.iter().cloned());
    if !problems.is_empty() {
        problems.splice(0..0, played.refused.iter().cloned());
    }
    problems.truncate(PROBLEMS_MAX);
    problems
}

fn no_run(played: &Played) -> Problem {
    let why = played.refusal.as_deref().unwrap_or("nothing started one");
    Problem::said(format!("no run has started: {why}")).help("where this is meant, write \"expect\": []")
}

fn other_runs(played: &Played, expected: &[Expected]) -> Problem {
    let wanted = expected.iter().map(|run| run.status.map_or("any", |status| status.as_str()));
    let there = played.runs.iter().map(|run| run.status.as_str());
    Problem::differs("runs", wanted.collect(), there.collect())
}

fn judge_run(played: &Played, run: &Run, expected: &Expected, prefix: &str, problems: &mut Vec<Problem>) {
    if let Some(status) = expected.status.filter(|status| *status != run.status) {
        let differs = Problem::differs(format!("{prefix}status"), json!(status.as_str()), json!(run.status.as_str()));
        let help = said_error(run).filter(|_| expected.error.is_none()).map(|failure| failure.to_string());
        problems.push(Problem { help, ..differs });
    }
    if let Some(output) = &expected.output {
        compare(&format!("{prefix}output"), output, json_or_null(run.output.as_ref()), problems);
    }
    if let Some(error) = &expected.error {
        judge_error(&format!("{prefix}error"), error, said_error(run).as_ref(), problems);
    }
    judge_steps(played, run, expected, prefix, problems);
    judge_directives(played, run, expected, prefix, problems);
    judge_signals(played, expected, prefix, problems);
    if let Some(took) = &expected.took {
        judge_took(run, took, prefix, problems);
    }
}

/// Why it failed, or why it stands still.
fn said_error(run: &Run) -> Option<Failure> {
    run.error.clone().or_else(|| run.standing.as_ref()?.error.clone())
}

fn judge_error(what: &str, expected: &ExpectedError, actual: Option<&Failure>, problems: &mut Vec<Problem>) {
    let shown = actual.map_or(Value::Null, |failure| json!({"code": failure.code, "message": failure.message}));
    if let Some(code) = &expected.code
        && actual.is_none_or(|failure| failure.code != *code)
    {
        problems.push(Problem::differs(format!("{what}.code"), json!(code), shown));
    } else if let Some(part) = &expected.message
        && actual.is_none_or(|failure| !failure.message.contains(part))
    {
        problems.push(Problem::differs(format!("{what}.message"), json!(part), shown));
    }
}

fn judge_steps(played: &Played, run: &Run, expected: &Expected, prefix: &str, problems: &mut Vec<Problem>) {
    for (at, wanted) in &expected.steps {
        let what = format!("{prefix}steps.{at}");
        let place = place_of(played, at);
        let Some(step) = place.and_then(|place| run.at(place)) else {
            let status = wanted.status.map_or("any", |status| status.as_str());
            problems.push(Problem::differs(format!("{what}.status"), json!(status), Value::Null));
            continue;
        };
        if let Some(status) = wanted.status.filter(|status| *status != step.status) {
            let actual = json!(step.status.as_str());
            let help = step.error.as_ref().map(ToString::to_string);
            let differs = Problem::differs(format!("{what}.status"), json!(status.as_str()), actual);
            problems.push(Problem { help, ..differs });
        }
        if let Some(output) = &wanted.output {
            compare(&format!("{what}.output"), output, json_or_null(step.output()), problems);
        }
        if let Some(error) = &wanted.error {
            judge_error(&format!("{what}.error"), error, step.error.as_ref(), problems);
        }
    }
}

fn place_of(played: &Played, at: &At) -> Option<Place> {
    let index = *played.workflow.index.get(&at.step)?;
    Some(Place { item: at.item, undo: at.undo, ..Place::step(index) })
}

// Directives

/// What steps asked for, in the order in which they did: of the run, and of those that it started.
fn requested(played: &Played, run: RunId) -> Vec<&Directive> {
    let of_run = |directive: &&Directive| {
        let root = directive.origin.and_then(|origin| played.roots.get(&origin.run_id));
        root == Some(&run) && directive.name.as_str() != "workflow.run.start"
    };
    played.directives.values().filter(of_run).collect()
}

fn judge_directives(played: &Played, run: &Run, expected: &Expected, prefix: &str, problems: &mut Vec<Problem>) {
    let actual = requested(played, run.id);
    for name in &expected.not_requested {
        if let Some(directive) = actual.iter().find(|directive| directive.name == *name) {
            let what = format!("{prefix}not_requested: `{name}` was requested");
            problems.push(Problem::said(what).help(format!("its payload was {}", short(directive.payload.text()))));
        }
    }
    let Some(wanted) = &expected.directives else { return };
    let what = format!("{prefix}directives");
    if expected.any_order {
        return judge_unordered(&what, played, wanted, actual, problems);
    }
    let is_other = |(wanted, actual): (&ExpectedDirective, &&Directive)| wanted.name != actual.name;
    if wanted.len() != actual.len() || wanted.iter().zip(&actual).any(is_other) {
        let names = wanted.iter().map(|directive| directive.name.as_str());
        let there = actual.iter().map(|directive| directive.name.as_str());
        problems.push(Problem::differs(what, names.collect(), there.collect()));
        return;
    }
    for (index, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
        judge_directive(&format!("{what}[{index}]"), played, wanted, actual, problems);
    }
}

/// Each that is expected takes the first that fits it.
fn judge_unordered(
    what: &str,
    played: &Played,
    wanted: &[ExpectedDirective],
    mut actual: Vec<&Directive>,
    problems: &mut Vec<Problem>,
) {
    for (index, wanted) in wanted.iter().enumerate() {
        let fits = |directive: &&Directive| {
            let mut differences = Vec::new();
            judge_directive("", played, wanted, directive, &mut differences);
            wanted.name == directive.name && differences.is_empty()
        };
        match actual.iter().position(fits) {
            Some(found) => drop(actual.remove(found)),
            None => {
                let payload = wanted.payload.as_ref().unwrap_or(&Value::Null);
                let shown = json!({"name": wanted.name, "payload": payload});
                let left: Value = actual.iter().map(|one| shown_directive(one)).collect();
                problems.push(Problem::differs(format!("{what}[{index}]"), shown, left));
            }
        }
    }
    if !actual.is_empty() && problems.is_empty() {
        let left: Value = actual.iter().map(|one| shown_directive(one)).collect();
        problems.push(Problem::differs(format!("{what}: beside those expected"), json!([]), left));
    }
}

fn shown_directive(directive: &Directive) -> Value {
    json!({"name": directive.name, "payload": directive.payload.value()})
}

fn judge_directive(
    what: &str,
    played: &Played,
    wanted: &ExpectedDirective,
    actual: &Directive,
    problems: &mut Vec<Problem>,
) {
    if let Some(payload) = &wanted.payload {
        compare(&format!("{what}.payload"), payload, actual.payload.value(), problems);
    }
    if let Some(status) = wanted.status.filter(|status| *status != actual.status) {
        let differs = Problem::differs(format!("{what}.status"), json!(status.as_str()), json!(actual.status.as_str()));
        problems.push(differs);
    }
    let at = actual.origin.and_then(|origin| at_of(&played.workflow, origin.place));
    if let Some(step) = &wanted.step
        && at.as_ref() != Some(step)
    {
        let at = at.map_or(Value::Null, |at| json!(at.to_string()));
        problems.push(Problem::differs(format!("{what}.step"), json!(step.to_string()), at));
    }
}

// Signals and time

/// All of them, in this order; others may come between.
fn judge_signals(played: &Played, expected: &Expected, prefix: &str, problems: &mut Vec<Problem>) {
    let mut log = played.signals.iter();
    let missing = expected.signals.iter().find(|name| !log.any(|signal| signal.name == **name));
    if let Some(missing) = missing {
        let is_there = played.signals.iter().any(|signal| signal.name == *missing);
        let how = if is_there { "only before those that it is expected after" } else { "not at all" };
        problems.push(Problem::said(format!("{prefix}signals: `{missing}` came {how}")));
    }
}

/// As exact as it is written: `3h` is met by 3 h 5 m, and `3h0m` is not.
fn judge_took(run: &Run, took: &str, prefix: &str, problems: &mut Vec<Problem>) {
    let Some(ended) = run.ended_at else {
        problems.push(Problem::differs(format!("{prefix}took"), json!(took), json!("it has not ended")));
        return;
    };
    let actual = ended - run.started_at;
    let unit = took.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let unit: Span = format!("1{}", &took[unit..]).parse().unwrap_or(Span::from_millis(1));
    let wanted: Span = took.parse().unwrap_or_default();
    if actual.0 / unit.0 != wanted.0 / unit.0 {
        problems.push(Problem::differs(format!("{prefix}took"), json!(took), json!(actual.to_string())));
    }
}

// Values

fn json_or_null(value: Option<&Json>) -> &Value {
    value.map_or(&Value::Null, Json::value)
}

fn compare(what: &str, expected: &Value, actual: &Value, problems: &mut Vec<Problem>) {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(there)) => {
            for (key, wanted) in wanted {
                compare(&format!("{what}.{key}"), wanted, there.get(key).unwrap_or(&Value::Null), problems);
            }
        }
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            for (index, (wanted, there)) in wanted.iter().zip(there).enumerate() {
                compare(&format!("{what}[{index}]"), wanted, there, problems);
            }
        }
        // However a number is written.
        (Value::Number(wanted), Value::Number(there)) if wanted.as_f64() == there.as_f64() => {}
        _ if expected == actual => {}
        _ => problems.push(Problem::differs(what, expected.clone(), actual.clone())),
    }
}
