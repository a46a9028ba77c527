//! What the world outside saw of all engines: every effect that was asked for, under which key, and
//! what of it is on record.

use std::collections::{BTreeMap, BTreeSet};

use fleetprompt_core::directive::{Directive, Status};
use fleetprompt_core::run::{Place, Run, Status as RunStatus, StepStatus, compensation_key, step_key};
use fleetprompt_core::{DirectiveId, Json, RunId, Signal, SignalId, TenantId, Timestamp};
use fleetprompt_engine::workers::{Attempt as Offered, AttemptOf};
use fleetprompt_engine::{Task, TaskKind};

use crate::check::{Held, hold};
use crate::seen::{Seen, in_flight};

#[derive(Default)]
pub struct Ledger {
    intents: BTreeMap<(TenantId, String), Intent>,
    /// The epoch of the engine that asked for an attempt last.
    attempts: BTreeMap<Attempt, u64>,
    /// The last call of each step, by the signal that began it, and to which each answer was given.
    calls: BTreeMap<(RunId, Place), Option<SignalId>>,
    answers: BTreeMap<u64, Option<SignalId>>,
    /// What workers were given with each attempt.
    inputs: BTreeMap<AttemptOf, String>,
    next: u64,
}

/// Under which key, which one, and since when: by the signal that began it, or by a time.
type Attempt = (TenantId, String, u32, Option<SignalId>, Option<Timestamp>);

/// What a directive's key stands for, for ever.
#[derive(Clone, PartialEq)]
struct Intent {
    id: DirectiveId,
    name: String,
    payload: String,
}

impl Ledger {
    /// Nothing is asked for that is not on record as under way, that has been done before, or that the engine of
    /// this epoch, or a later one, has asked for already.
    pub fn begun(&mut self, seen: &Seen, task: &Task, epoch: u64) -> Held {
        let twice = self.attempts.insert(attempt(task), epoch).is_some_and(|before| before >= epoch);
        match &task.kind {
            TaskKind::Agent { run: id, place, .. } | TaskKind::Function { run: id, place, .. } => {
                let run = seen.runs.get(id).ok_or_else(|| format!("{id} asks for a call, and is not on record"))?;
                let name = || seen.name_of(run, *place);
                let is_begun = seen.logs[id].iter().any(|signal| Some(signal.id) == task.begun);
                hold(is_begun, || format!("{} is called, and that is not what is on record", name()))?;
                hold(!twice, || format!("{} is called twice by one engine", name()))?;
            }
            TaskKind::Directive(directive) => {
                // Of one that was reopened in the very moment the first attempts look alike.
                let anew = seen.reopened.get(&directive.id).copied() == directive.started_at;
                hold(!twice || anew, || {
                    format!("attempt {} of {} is begun twice by one engine", task.attempt, directive.id)
                })?;
                let row = seen.directives.get(&directive.id);
                let is_so = row.is_some_and(|row| row.is_in_flight() && row.attempt == task.attempt);
                hold(is_so, || format!("{} is carried out, and that is not what is on record", directive.id))?;
                self.keeps_its_intent(directive)?;
                not_done_before(seen, directive)?;
            }
        }
        Ok(())
    }

    /// What a worker is given is under way on record, and has not been done before. Its input is always the same, whether
    /// it was kept in memory or read again.
    pub fn delivered(&mut self, seen: &Seen, attempt: &Offered, input: &Json) -> Held {
        let first = self.inputs.entry(attempt.of).or_insert_with(|| input.text().to_owned());
        hold(first == input.text(), || format!("{:?} is given {}, and was given {first}", attempt.of, input.text()))?;
        match attempt.of {
            AttemptOf::Step { run, place, attempt, begun } => {
                let step = seen.runs.get(&run).and_then(|run| run.at(place));
                let is_so = step.is_some_and(|step| {
                    step.status == StepStatus::Running && step.attempt == attempt && step.signal_id == Some(begun)
                });
                hold(is_so, || format!("a worker is given a step of {run} that is not under way on record"))
            }
            AttemptOf::Directive { id, attempt } => {
                let row = seen.directives.get(&id).filter(|row| row.is_in_flight() && row.attempt == attempt);
                let row = row.ok_or_else(|| format!("a worker is given {id}, which is not under way on record"))?;
                hold(input == &row.payload, || {
                    format!("a worker is given {id} with another payload: {}", input.text())
                })?;
                self.keeps_its_intent(row)?;
                not_done_before(seen, row)
            }
        }
    }

    /// A number that an agent or a worker answers with, by which its answer is known again.
    pub fn answer(&mut self, begun: Option<SignalId>) -> u64 {
        self.next += 1;
        self.answers.insert(self.next, begun);
        self.next
    }

    pub fn recorded(&mut self, seen: &Seen, fresh: &[Signal]) -> Held {
        for signal in fresh {
            if let Some(directive) = signal.directive_id.and_then(|id| seen.directives.get(&id)) {
                self.keeps_its_intent(directive)?;
            }
            if matches!(signal.name.as_str(), "workflow.step.completed" | "workflow.step.repeating") {
                self.is_of_its_call(seen, signal)?;
            }
        }
        let changed: BTreeSet<RunId> = fresh.iter().filter_map(|signal| signal.run_id).collect();
        for run in changed.iter().filter_map(|id| seen.runs.get(id)) {
            let called = in_flight(run).filter(|(_, step)| step.status == StepStatus::Running);
            self.calls.extend(called.map(|(place, step)| ((run.id, place), step.signal_id)));
        }
        Ok(())
    }

    /// The same key is the same intent, whatever happens.
    fn keeps_its_intent(&mut self, row: &Directive) -> Held {
        let intent = Intent { id: row.id, name: row.name.to_string(), payload: row.payload.text().to_owned() };
        let key = (row.tenant, row.idempotency_key.clone());
        let known = self.intents.entry(key).or_insert_with(|| intent.clone());
        hold(*known == intent, || {
            format!("the key {} stands for two intents: {} and {}", row.idempotency_key, known.id, row.id)
        })
    }

    /// An answer to an earlier call is not taken for a later one's.
    fn is_of_its_call(&self, seen: &Seen, signal: &Signal) -> Held {
        let Some(run) = signal.run_id.and_then(|id| seen.runs.get(&id)) else { return Ok(()) };
        let record = signal.payload.value();
        let Some(call) = record["output"]["answer"].as_u64().and_then(|answer| self.answers.get(&answer)) else {
            return Ok(());
        };
        if !matches!(record["type"].as_str(), Some("agent" | "function"))
            || record.get("reused").is_some()
            || record.get("by").is_some()
        {
            return Ok(());
        }
        let index = seen.workflow(run).index[record["step"].as_str().unwrap_or_default()];
        let place = Place { item: record["item"].as_u64().map(|item| item as u32), ..Place::step(index) };
        let last = self.calls.get(&(run.id, place));
        hold(last == Some(call), || {
            format!("{} took the answer to {call:?}, and had asked {last:?}", seen.name_of(run, place))
        })
    }
}

fn attempt(task: &Task) -> Attempt {
    let started_at = match &task.kind {
        TaskKind::Directive(directive) => directive.started_at,
        TaskKind::Agent { .. } | TaskKind::Function { .. } => None,
    };
    (task.tenant, task.key.clone(), task.attempt, task.begun, started_at)
}

/// A run that does another one again takes over what that one's directives came to.
fn not_done_before(seen: &Seen, directive: &Directive) -> Held {
    let Some(origin) = directive.origin.filter(|origin| !origin.place.undo) else { return Ok(()) };
    let Some(run) = seen.runs.get(&origin.run_id) else { return Ok(()) };
    if issues(run, origin.place) > 0 {
        return Ok(());
    }
    let step = &seen.workflow(run).steps[origin.place.index()].id;
    let iteration = run.at(origin.place).map_or(0, |unit| unit.iteration);
    let mut source = run.source;
    while let Some(earlier) = source.and_then(|id| seen.runs.get(&id)) {
        let Some(index) = seen.workflow(earlier).index.get(step).copied() else { return Ok(()) };
        let place = Place { step: index as u32, ..origin.place };
        if earlier.at(place.undo()).is_some_and(|undo| undo.status == StepStatus::Completed) {
            return Ok(());
        }
        let keys = (0..=issues(earlier, place)).map(|issue| step_key(earlier.id, step, place, iteration, issue));
        let keys: Vec<(TenantId, String)> = keys.map(|key| (run.tenant, key)).collect();
        let mut known = seen.directives.values().filter(|one| one.status == Status::Succeeded && is_done(seen, one));
        let is_before = |one: &&Directive| one.settled_by.is_some_and(|by| by.0 < directive.id.0);
        let is_there = |one: &&Directive| is_before(one) && !is_compensated(seen, one);
        let done = known.find(|one| is_there(one) && keys.contains(&(one.tenant, one.idempotency_key.clone())));
        hold(done.is_none(), || {
            let before = done.map(|done| done.idempotency_key.as_str()).unwrap_or_default();
            format!("{} is done again under {}: it succeeded under {before}", directive.name, directive.idempotency_key)
        })?;
        source = earlier.source;
    }
    Ok(())
}

/// Whether another run that shares the effect has compensated it, or is about to.
fn is_compensated(seen: &Seen, effect: &Directive) -> bool {
    let key = compensation_key(&effect.idempotency_key);
    seen.directives.values().any(|one| one.tenant == effect.tenant && one.idempotency_key == key)
}

/// A run that was started is only done when that one completed.
fn is_done(seen: &Seen, directive: &Directive) -> bool {
    if directive.name.as_str() != "workflow.run.start" {
        return true;
    }
    let child = directive.output.as_ref().and_then(|output| output.value()["run_id"].as_str()?.parse().ok());
    child.and_then(|child: RunId| seen.runs.get(&child)).is_some_and(|run| run.status == RunStatus::Completed)
}

/// How often it was asked for anew.
fn issues(run: &Run, place: Place) -> u32 {
    let of_item = place.item.and_then(|_| run.at(place)).map_or(0, |unit| unit.issue);
    of_item + run.steps[place.index()].issue
}
