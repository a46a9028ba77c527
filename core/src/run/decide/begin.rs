//! How a step begins: whether it does at all, what it goes over, and what it asks for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::context::View;
use super::super::record::{Ending, StepChange, StepRecord};
use super::super::{Awaited, Place, Status, StepStatus, Waiting, step_key};
use super::{BYTES_MAX, Carried, Effect, PLACES_MAX, Plan, Todo};
use crate::retry::RetryPolicy;
use crate::workflow::{Finish, ForEach, OnRunError, Step, StepKind};
use crate::{DirectiveId, Failure, Json, Name, Span};

/// What a directive is to do, wherever in the run it is wanted.
pub(super) struct Wanted<'a> {
    pub name: &'a Name,
    pub retry: Option<RetryPolicy>,
    pub timeout: Option<Span>,
    pub heartbeat: Option<Span>,
}

impl<'a> Plan<'a> {
    pub(super) fn definition(&self, place: Place) -> &'a Step {
        &self.setting.workflow.steps[place.index()]
    }

    pub(super) fn begin_step(&mut self, index: usize) {
        let place = Place::step(index);
        let step = self.definition(place);
        match step.when.as_ref().map(|when| (when, when.holds(&self.view()))) {
            Some((when, Ok(false))) => {
                let reason = Some(format!("`when` did not hold: {}", when.source()));
                self.emit_step(place, StepChange::Skipped, StepRecord { reason, ..StepRecord::default() });
                return;
            }
            Some((_, Err(failure))) => return self.place_failed(place, failure, StepRecord::default()),
            Some((_, Ok(true))) | None => {}
        }
        self.withdraw_rest(step);
        match &step.for_each {
            Some(for_each) => self.expand(index, for_each),
            None => self.begin_place(place),
        }
    }

    /// `cancel_rest`: the others that lead only here.
    fn withdraw_rest(&mut self, step: &Step) {
        for &other in &step.cancels {
            match self.run.steps[other].status {
                StepStatus::Pending => {
                    let reason = Some(format!("step `{}` began without it", step.id));
                    let record = StepRecord { reason, ..StepRecord::default() };
                    self.emit_step(Place::step(other), StepChange::Canceled, record);
                }
                status if status.is_in_flight() => {
                    self.withdraw(Place::step(other), &format!("step `{}` began without it", step.id));
                }
                _ => {}
            }
        }
    }

    fn expand(&mut self, index: usize, for_each: &ForEach) {
        let place = Place::step(index);
        let items = match self.list_len(for_each) {
            Ok(items) => items,
            Err(failure) => return self.place_failed(place, failure, StepRecord::default()),
        };
        self.emit_step(
            place,
            StepChange::Started,
            StepRecord { items: Some(items), attempt: 1, ..StepRecord::default() },
        );
        self.cause = self.run.steps[index].signal_id.map_or(self.cause, Into::into);
        self.next_items(index, None);
    }

    fn list_len(&self, for_each: &ForEach) -> Result<u32, Failure> {
        let view = self.view();
        let borrowed = for_each.items.borrow(&view).transpose()?;
        let rendered = if borrowed.is_none() { Some(for_each.items.render(&view)?) } else { None };
        let list = borrowed.as_deref().or(rendered.as_ref().map(Json::value));
        let Some(len) = list.and_then(Value::as_array).map(Vec::len) else {
            return Err(Failure::fatal("items_invalid", "`for_each` needs a list, and this is none"));
        };
        if len > ForEach::ITEMS_MAX {
            let message = format!("`for_each` got {len} items; at most {} are allowed", ForEach::ITEMS_MAX);
            return Err(Failure::fatal("items_too_many", message));
        }
        if self.run.steps.items() + len > PLACES_MAX {
            let message = format!("the run's steps would have more than {PLACES_MAX} items in all");
            return Err(Failure::fatal("run_too_large", message));
        }
        Ok(len as u32)
    }

    /// What one place does first: it gets its lock, if it wants one, and then it acts.
    pub(super) fn begin_place(&mut self, place: Place) {
        // A wait that is answered already needs no lock.
        let lock = self.definition(place).lock.as_ref().filter(|_| self.unit(place).early_answer.is_none());
        let Some(lock) = lock else { return self.act(place) };
        let name = match lock.render(&self.view_at(place)).and_then(|name| lock_name(&name)) {
            Ok(name) => name,
            Err(failure) => return self.place_failed(place, failure, StepRecord::default()),
        };
        let waiting = Waiting::new(Awaited::Lock { name: name.to_string() });
        let record = StepRecord { waiting: Some(waiting.into()), lock: Some(name.clone()), ..StepRecord::default() };
        self.emit_step(place, StepChange::Waiting, record);
        self.effects.push(Effect::Lock { place, name });
    }

    /// The next attempt of what a place does.
    pub(super) fn act(&mut self, place: Place) {
        if place.undo {
            return self.undo(place.done());
        }
        let status = self.unit(place).status;
        if status.is_settled() || matches!(status, StepStatus::Running | StepStatus::Canceling) {
            return;
        }
        let step = self.definition(place);
        match &step.kind {
            StepKind::Function { function, .. } if self.functions.performed_elsewhere(function).is_some() => {
                self.begin_attempt(place);
            }
            StepKind::Function { function, input } => {
                let input = input.render_up_to(&self.view_at(place), self.functions.input_bytes_max(function));
                let called = input.and_then(|input| self.functions.call(function, input.value()));
                match called.transpose() {
                    Some(output) => {
                        self.attempt_ended(place, output, StepRecord { attempt: 1, ..StepRecord::default() });
                    }
                    None => self.begin_attempt(place),
                }
            }
            StepKind::Agent { .. } => self.begin_attempt(place),
            StepKind::Directive { directive, payload } => {
                let wanted = Wanted {
                    name: directive,
                    retry: step.retry.clone(),
                    timeout: step.timeout,
                    heartbeat: step.heartbeat,
                };
                let payload = payload.render(&self.view_at(place));
                self.request(place, wanted, payload, StepChange::Started);
            }
            StepKind::Workflow { workflow, version, input, .. } => {
                let name = Name::known("workflow.run.start");
                let wanted = Wanted { name: &name, retry: None, timeout: None, heartbeat: None };
                let payload = input.render(&self.view_at(place)).map(|input| {
                    let mut payload = json!({"workflow": workflow, "input": input.value()});
                    if let Some(version) = version {
                        payload["version"] = json!(version);
                    }
                    Json::from(payload)
                });
                self.request(place, wanted, payload, StepChange::Started);
            }
            StepKind::Wait(wait) => self.begin_wait(place, wait),
            StepKind::Finish(finish) => self.finish(place, finish),
        }
    }

    /// The next attempt of what is performed outside without being a directive.
    fn begin_attempt(&mut self, place: Place) {
        let attempt = self.unit(place).attempt + 1;
        let record = StepRecord { attempt, ..StepRecord::default() };
        let Some(effect) = attempt_effect(&self.view_at(place), place, attempt) else {
            unreachable!("only agents and functions are tried again so");
        };
        let checked = effect.and_then(|effect| {
            match &effect {
                Effect::Agent { input, .. } => self.count(input)?,
                Effect::Function { function, input, .. } => {
                    self.functions.check_input(function, input.value())?;
                    self.count(input)?;
                }
                _ => {}
            }
            Ok(effect)
        });
        match checked {
            Ok(effect) => {
                let lock = self.unit(place).lock.clone();
                self.emit_step(place, StepChange::Started, StepRecord { lock, ..record });
                self.effects.push(effect);
            }
            Err(failure) => self.place_failed(place, failure, record),
        }
    }

    /// Asks for a directive, under the key of the place.
    pub(super) fn request(
        &mut self,
        place: Place,
        wanted: Wanted<'_>,
        payload: Result<Json, Failure>,
        change: StepChange,
    ) {
        let payload = match payload.and_then(|payload| self.count(&payload).map(|()| payload)) {
            Ok(payload) => payload,
            Err(failure) if place.undo => return self.undo_ended(place.done(), Err(failure)),
            Err(failure) => return self.place_failed(place, failure, StepRecord::default()),
        };
        let id = DirectiveId(self.moment.uuid());
        let lock = self.run.at(place).and_then(|unit| unit.lock.clone());
        let record = StepRecord { attempt: 1, directive_id: Some(id), lock, ..StepRecord::default() };
        let asked = self.emit_step(place, change, record);
        let step = &self.definition(place).id;
        let (iteration, issue) = (self.unit(place.done()).iteration, self.run.issue_of(place));
        self.effects.push(Effect::Directive {
            id,
            place,
            name: wanted.name.clone(),
            payload,
            key: step_key(self.run.id, step, place, iteration, issue),
            source_key: self.source_key(place, iteration, issue),
            again: self.run.status_by.is_some(),
            retry: wanted.retry,
            timeout: wanted.timeout,
            heartbeat: wanted.heartbeat,
            lineage: self.run.lineage.caused_by(asked),
        });
    }

    /// What was undone, or is asked for anew, is not taken over from another run.
    fn source_key(&self, place: Place, iteration: u32, issue: u32) -> Option<String> {
        let source = self.run.source.filter(|_| issue == 0 && !place.undo)?;
        Some(step_key(source, &self.definition(place).id, place, iteration, 0))
    }

    fn finish(&mut self, place: Place, finish: &Finish) {
        let result = match finish {
            Finish::Completed { output } => {
                let output = output.as_ref().or(self.setting.workflow.output.as_ref());
                output.map(|output| output.render(&self.view())).transpose().map(Ok)
            }
            Finish::Failed { code, message } => message.render(&self.view()).map(|message| {
                let message = message.value().as_str().map_or_else(|| message.text().to_owned(), str::to_owned);
                Err(Failure::fatal(code, message))
            }),
        };
        let ended = match result {
            Ok(ended) => ended,
            Err(failure) => return self.place_failed(place, failure, StepRecord::default()),
        };
        let done = self.emit_step(place, StepChange::Completed, StepRecord::default());
        self.cause = done.into();
        match ended {
            Ok(output) => self.finish_run(Status::Completed, output, None),
            Err(failure) => self.finish_run(Status::Failed, None, Some(failure)),
        }
    }

    /// What a run holds at once is bounded, whatever its steps give.
    pub(super) fn count(&mut self, document: &Json) -> Result<(), Failure> {
        self.count_bytes(document.text().len())
    }

    pub(super) fn count_bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        let message = format!("the outputs and inputs of the run's steps are more than {} MiB", BYTES_MAX >> 20);
        Err(Failure::fatal("run_too_large", message))
    }

    /// Begins as many items as may be under way at once, in their order, or those that a decision before this one
    /// would have begun.
    pub(super) fn next_items(&mut self, index: usize, until: Option<u32>) {
        let Some(for_each) = &self.setting.workflow.steps[index].for_each else { return };
        let Some(items) = &self.run.steps[index].items else { return };
        if self.items_verdict(index).is_some() {
            return if until.is_none() {
                self.items_ended(index)
            };
        }
        let room = (for_each.max_parallel as usize).saturating_sub(items.steps.in_flight());
        let not_begun = items.steps.not_begun().map(|item| item as u32);
        let next: Vec<u32> = match until {
            Some(last) => not_begun.take_while(|item| *item <= last).collect(),
            None => not_begun.take(room).collect(),
        };
        for (at, item) in next.iter().copied().enumerate() {
            let is_wanted = self.run.steps[index].status == StepStatus::Running && self.items_verdict(index).is_none();
            if self.run.status != Status::Running || !is_wanted {
                return;
            }
            if at > 0 && self.setting.meter.is_spent() {
                return self.todo.push_front(Todo::Items(index, next.last().copied()));
            }
            self.setting.meter.begin_entry();
            self.caused_by_place(Place::step(index));
            self.begin_place(Place::step(index).item(item));
        }
    }

    /// A run does its steps again with what they gave before, where that was asked for.
    pub(super) fn carry(&mut self, carried: Vec<Carried>) {
        for Carried { index, output, directive_id, compensable } in carried {
            if self.count(&output).is_ok() {
                let output = Some(output);
                let record = StepRecord { output, reused: true, directive_id, compensable, ..StepRecord::default() };
                self.emit_step(Place::step(index), StepChange::Completed, record);
            }
        }
    }

    /// The run ends here and now. The definition wants it so, also as failed: nobody is to decide.
    fn finish_run(&mut self, status: Status, output: Option<Json>, error: Option<Failure>) {
        let compensate = error.is_some() && self.setting.workflow.on_error == OnRunError::Compensate;
        let ending = Ending { status, output, error, by: None, reason: None, compensate };
        self.stop(ending, "the run was finished");
    }
}

/// What is to be performed at a place, if it is an agent's or a worker's; its input is rendered from the run
/// as it is.
pub(super) fn attempt_effect(view: &View<'_>, place: Place, attempt: u32) -> Option<Result<Effect, Failure>> {
    let step = &view.setting.workflow.steps[place.index()];
    if place.undo || (step.for_each.is_some() && place.item.is_none()) {
        return None;
    }
    let unit = view.run.at(place)?;
    let run = view.run.id;
    let key = step_key(run, &step.id, place, unit.iteration, view.run.issue_of(place));
    let timeout = step.timeout;
    match &step.kind {
        StepKind::Agent { agent, input } => {
            let agent = agent.clone();
            let effect = |input| Effect::Agent { run, place, attempt, agent, input, key, timeout };
            Some(input.render(view).map(effect))
        }
        StepKind::Function { function, input } => {
            let (function, heartbeat) = (function.as_str().into(), step.heartbeat);
            let effect = |input| Effect::Function { run, place, attempt, function, input, key, timeout, heartbeat };
            Some(input.render(view).map(effect))
        }
        StepKind::Directive { .. } | StepKind::Wait(_) | StepKind::Workflow { .. } | StepKind::Finish(_) => None,
    }
}

fn lock_name(rendered: &Json) -> Result<Arc<str>, Failure> {
    const BYTES_MAX: usize = 255;
    let name = match rendered.value() {
        serde_json::Value::String(name) => name.clone(),
        other => other.to_string(),
    };
    if name.is_empty() || name.len() > BYTES_MAX {
        let message = format!("the name of the lock must have 1 to {BYTES_MAX} bytes");
        return Err(Failure::fatal("lock_invalid", message));
    }
    Ok(name.into())
}
