//! Waits: how they begin, what ends them, and what becomes of them in time.

use std::collections::HashSet;

use serde_json::Value;

use super::super::context::{Event, Fixed, View};
use super::super::record::{StepChange, StepRecord};
use super::super::{Awaited, AwaitedSignal, EarlyAnswer, Place, Run, Setting, Status, Step, StepStatus, Waiting};
use super::{Answer, Effect, Illegal, Plan, Todo};
use crate::expression::Template;
use crate::workflow::{EventMatch, Lookback, OnRunError, StepKind, Wait};
use crate::{DirectiveId, Failure, Json, Party, RecordId, RunId, Signal, SignalId, Span, Timestamp};

/// Whether a signal is what a place of the run waits for.
pub fn awaits(setting: Setting<'_>, run: &Run, place: Place, signal: &Signal) -> Result<bool, Failure> {
    let Some(step) = run.at(place) else { return Ok(false) };
    let (Some(waiting), StepStatus::Waiting) = (&step.waiting, step.status) else { return Ok(false) };
    let Awaited::Signal { events, since } = &waiting.what else { return Ok(false) };
    // What came before counts only where the definition asks for it.
    let is_later = step.signal_id.is_some_and(|began| signal.id > began);
    // What triggered the run has had its effect.
    let is_trigger = run.signal_id == Some(signal.id);
    if is_trigger || !is_later && since.is_none_or(|since| signal.recorded_at < since) {
        return Ok(false);
    }
    let StepKind::Wait(Wait::Signal { events: defined, consumes, .. }) = &setting.workflow.steps[place.index()].kind
    else {
        return Ok(false);
    };
    if *consumes && run.has_consumed(signal.id) {
        return Ok(false);
    }
    let (fixed, event) = (Fixed::default(), Event::new(signal, setting.meter));
    let view = View { setting, run, fixed: &fixed, place: Some(place), event: Some(&event) };
    for (awaited, defined) in events.iter().zip(defined) {
        if awaited.name == signal.name && stands_there(awaited, &event) && holds(defined, &view)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn stands_there(awaited: &AwaitedSignal, event: &Event<'_>) -> bool {
    awaited.matches.iter().all(|(path, wanted)| {
        let found = path.split('.').try_fold(event.view(), |value, name| value.get(name));
        found == Some(wanted)
    })
}

fn holds(defined: &EventMatch, view: &View<'_>) -> Result<bool, Failure> {
    defined.when.as_ref().map_or(Ok(true), |when| when.holds(view))
}

impl Plan<'_> {
    pub(super) fn begin_wait(&mut self, place: Place, wait: &Wait) {
        if let Some(early) = self.unit(place).early_answer.clone() {
            let record = StepRecord { attempt: 1, by: Some(early.by.clone()), ..StepRecord::default() };
            return self.attempt_ended(place, early.result(), record);
        }
        let awaited = match self.awaited(place, wait).and_then(|awaited| self.count_awaited(&awaited).map(|()| awaited))
        {
            Ok(awaited) => awaited,
            Err(failure) => return self.place_failed(place, failure, StepRecord::default()),
        };
        let now = self.moment.now();
        if let Awaited::Time { until } = awaited
            && until <= now
        {
            return self.place_completed(place, over_at(until), StepRecord { attempt: 1, ..StepRecord::default() });
        }
        let step = self.definition(place);
        let escalation = match wait {
            Wait::Input { escalations, .. } => escalations.first().map(|first| now + first.after),
            _ => None,
        };
        let waiting = Waiting {
            timeout_at: step.timeout.map(|timeout| now + timeout),
            heartbeat_at: step.heartbeat.map(|heartbeat| now + heartbeat),
            escalate_at: escalation,
            ..Waiting::new(awaited)
        };
        let lookback = match &waiting.what {
            Awaited::Signal { events, since: Some(since) } => {
                let names = events.iter().map(|event| event.name.clone()).collect();
                Some(Effect::Lookback { place, names, since: *since })
            }
            _ => None,
        };
        self.emit_waiting(place, StepChange::Waiting, waiting, None);
        self.effects.extend(lookback);
    }

    fn emit_waiting(&mut self, place: Place, change: StepChange, waiting: Waiting, reason: Option<String>) {
        let unit = self.unit(place);
        let record = StepRecord {
            attempt: unit.attempt.max(1),
            directive_id: unit.directive_id,
            lock: unit.lock.clone(),
            due_at: waiting.due_at(),
            waiting: Some(waiting.into()),
            reason,
            ..StepRecord::default()
        };
        self.emit_step(place, change, record);
    }

    /// What the definition says, with values for its expressions.
    fn awaited(&self, place: Place, wait: &Wait) -> Result<Awaited, Failure> {
        let now = self.moment.now();
        Ok(match wait {
            Wait::For(span) => Awaited::Time { until: now + self.text::<Span>(place, span, "for")? },
            Wait::Until(time) => Awaited::Time { until: self.text::<Timestamp>(place, time, "until")? },
            Wait::Signal { events, lookback, .. } => Awaited::Signal {
                events: events.iter().map(|event| self.awaited_signal(place, event)).collect::<Result<_, _>>()?,
                since: lookback.map(|lookback| match lookback {
                    Lookback::Run => self.run.started_at,
                    Lookback::For(span) => Timestamp(now.0.saturating_sub(span.0)),
                }),
            },
            Wait::Input { prompt, role, .. } => {
                let prompt = prompt.as_ref().map(|prompt| prompt.render(&self.view_at(place))).transpose()?;
                let prompt = prompt.map(|prompt| match prompt.value() {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                Awaited::Input { prompt, role: *role }
            }
            Wait::Callback { .. } => Awaited::Callback { key: self.callback_key(place) },
        })
    }

    /// What it waits for is held as long as it waits, like an output.
    fn count_awaited(&mut self, awaited: &Awaited) -> Result<(), Failure> {
        let bytes = match awaited {
            Awaited::Signal { events, .. } => {
                let values = events.iter().flat_map(|event| &event.matches).map(|(_, value)| value);
                values.map(|value| value.to_string().len()).sum()
            }
            Awaited::Input { prompt, .. } => prompt.as_ref().map_or(0, String::len),
            Awaited::Time { .. } | Awaited::Callback { .. } | Awaited::Run { .. } | Awaited::Lock { .. } => 0,
        };
        self.count_bytes(bytes)
    }

    fn awaited_signal(&self, place: Place, event: &EventMatch) -> Result<AwaitedSignal, Failure> {
        let wanted = |(path, value): &(Vec<String>, Template)| {
            Ok((path.join("."), value.render(&self.view_at(place))?.value().clone()))
        };
        let matches = event.matches.iter().map(wanted).collect::<Result<_, Failure>>()?;
        Ok(AwaitedSignal { name: event.name.clone(), matches })
    }

    fn text<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        place: Place,
        template: &Template,
        field: &str,
    ) -> Result<T, Failure> {
        let rendered = template.render(&self.view_at(place))?;
        let text = rendered.value().as_str().unwrap_or_else(|| rendered.text());
        text.parse().map_err(|error| {
            let shown: String = text.chars().take(100).collect();
            Failure::fatal("wait_invalid", format!("`{field}` is `{shown}`, {error}"))
        })
    }

    fn callback_key(&self, place: Place) -> String {
        super::super::step_key(self.run.id, &self.definition(place).id, place, 0, 0)
    }

    // What ends a wait

    pub(super) fn event(&mut self, place: Place, signal: &Signal) -> Result<(), Illegal> {
        match awaits(self.setting, &self.run, place, signal) {
            Ok(true) => {}
            Ok(false) => return Err(Illegal::NoMatch),
            Err(failure) => return Err(Illegal::Unfit(failure.message)),
        }
        self.cause = signal.id.into();
        let consumes = matches!(self.definition(place).kind, StepKind::Wait(Wait::Signal { consumes: true, .. }));
        let record = StepRecord { attempt: 1, consumed: consumes.then_some(signal.id), ..StepRecord::default() };
        self.attempt_ended(place, Ok(signal.view().into()), record);
        Ok(())
    }

    pub(super) fn answered(&mut self, place: Place, by: Party, answer: Answer) -> Result<(), Illegal> {
        let unit = self.answerable(place)?;
        if has_not_begun(unit) {
            return self.answered_early(place, by, answer);
        }
        let (Some(waiting), StepStatus::Waiting) = (unit.waiting.clone(), unit.status) else {
            return Err(Illegal::StepStatus(unit.status, "it waits for nothing"));
        };
        let StepKind::Wait(wait) = &self.definition(place).kind else { return Err(Illegal::Stale(place)) };
        let (result, schema) = match (&waiting.what, wait, answer) {
            (Awaited::Callback { .. }, _, Answer::Heartbeat) => {
                self.heartbeat(place, &waiting);
                return Ok(());
            }
            (Awaited::Input { role: wanted, .. }, Wait::Input { schema, .. }, Answer::Input { value, role }) => {
                if role < *wanted {
                    return Err(Illegal::Role(*wanted));
                }
                (Ok(value), schema)
            }
            (Awaited::Callback { .. }, Wait::Callback { schema }, Answer::Report(result)) => (result, schema),
            _ => return Err(Illegal::Stale(place)),
        };
        if let (Ok(value), Some(schema)) = (&result, schema) {
            schema.validate(value.value()).map_err(Illegal::Unfit)?;
        }
        self.caused_by_place(place);
        let record = StepRecord { attempt: 1, by: Some(by), ..StepRecord::default() };
        self.attempt_ended(place, result, record);
        Ok(())
    }

    fn answerable(&self, place: Place) -> Result<&Step, Illegal> {
        let step = self.run.steps.get(place.index()).ok_or(Illegal::NoSuchPlace)?;
        if self.definition(place).for_each.is_some() && step.status == StepStatus::Pending {
            return Err(Illegal::StepStatus(step.status, "its items are not known yet; answer once it has begun"));
        }
        self.run.at(place).ok_or(Illegal::NoSuchPlace)
    }

    /// What comes before its wait begins is kept for it, if it fits what the definition declares. One that waits for its
    /// lock needs that no more.
    fn answered_early(&mut self, place: Place, by: Party, answer: Answer) -> Result<(), Illegal> {
        let unit = self.unit(place);
        if self.run.status.has_ended() || self.run.standing.as_ref().is_some_and(|standing| standing.ending.is_some()) {
            return Err(Illegal::Status(self.run.status, "no step of it begins any more"));
        }
        let (result, schema) = match (&self.definition(place).kind, answer) {
            (StepKind::Wait(Wait::Input { role: wanted, .. }), Answer::Input { role, .. }) if role < *wanted => {
                return Err(Illegal::Role(*wanted));
            }
            (StepKind::Wait(Wait::Input { schema, .. }), Answer::Input { value, .. }) => (Ok(value), schema),
            (StepKind::Wait(Wait::Callback { schema }), Answer::Report(result)) => (result, schema),
            (StepKind::Wait(Wait::Callback { .. }), Answer::Heartbeat) => {
                return Err(Illegal::StepStatus(unit.status, "its wait has not begun, so nothing is to be kept alive"));
            }
            _ => return Err(Illegal::Stale(place)),
        };
        if unit.early_answer.is_some() {
            return Err(Illegal::StepStatus(unit.status, "an answer is kept for it already"));
        }
        if let (Ok(value), Some(schema)) = (&result, schema) {
            schema.validate(value.value()).map_err(Illegal::Unfit)?;
        }
        let record = StepRecord { by: Some(by.clone()), ..StepRecord::default() };
        if unit.status == StepStatus::Waiting {
            self.caused_by_place(place);
            self.attempt_ended(place, result, StepRecord { attempt: 1, ..record });
            return Ok(());
        }
        if let Ok(value) = &result {
            self.count(value).map_err(|failure| Illegal::Unfit(failure.message))?;
        }
        let early_answer = Some(EarlyAnswer::new(result, by).into());
        self.emit_step(place, StepChange::AnsweredEarly, StepRecord { early_answer, ..record });
        Ok(())
    }

    fn heartbeat(&mut self, place: Place, waiting: &Waiting) {
        let heartbeat_at = self.definition(place).heartbeat.map(|heartbeat| self.moment.now() + heartbeat);
        self.caused_by_place(place);
        self.emit_waiting(place, StepChange::Heartbeat, Waiting { heartbeat_at, ..waiting.clone() }, None);
    }

    /// The lock is this place's from now on, until it settles.
    pub(super) fn granted(&mut self, place: Place) -> Result<(), Illegal> {
        let unit = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let is_wanted = unit.status == StepStatus::Waiting
            && unit.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Lock { .. }));
        if !is_wanted {
            return Err(Illegal::Stale(place));
        }
        // Whoever stands still does not keep others waiting.
        if self.run.status != Status::Running {
            return Err(Illegal::Status(self.run.status, "it takes no lock"));
        }
        self.caused_by_place(place);
        // In this decision, however little is left of its budget: until the step has begun the lock is free.
        self.act(place);
        Ok(())
    }

    // Other runs

    /// The run that a step of type `workflow` goes on to wait for, once it is there.
    pub(super) fn awaits_run(&self, place: Place, result: &Result<Json, Failure>) -> Option<RunId> {
        let StepKind::Workflow { waits: true, .. } = self.definition(place).kind else { return None };
        let output = result.as_ref().ok()?;
        output.value().get("run_id")?.as_str()?.parse().ok()
    }

    /// `directive_id` is the one that started it, whichever run requested that.
    pub(super) fn wait_for_run(&mut self, place: Place, run_id: RunId, directive_id: Option<DirectiveId>) {
        let is_wanted = self.unit(place).status != StepStatus::Canceling;
        self.emit_run_awaited(place, run_id, directive_id);
        if !is_wanted {
            self.withdraw(place, "it was withdrawn while it began");
            self.place_settled(place);
        }
    }

    pub(super) fn child_ended(
        &mut self,
        place: Place,
        run: RunId,
        by: Option<SignalId>,
        result: Result<Json, Failure>,
        compensable: bool,
    ) -> Result<(), Illegal> {
        let unit = self.run.at(place).ok_or(Illegal::NoSuchPlace)?;
        let is_wanted = matches!(unit.status, StepStatus::Waiting | StepStatus::Canceling)
            && unit.waiting.as_ref().is_some_and(|waiting| waiting.what == Awaited::Run { run_id: run });
        if !is_wanted {
            return Err(Illegal::Stale(place));
        }
        self.cause = by.or(unit.signal_id).map_or(self.cause, RecordId::from);
        let result = result.map_err(|failure| Failure { retryable: false, ..failure });
        self.attempt_ended(place, result, StepRecord { attempt: 1, compensable, ..StepRecord::default() });
        Ok(())
    }

    // Time

    pub(super) fn due(&mut self, continues: bool) -> Result<(), Illegal> {
        let now = self.moment.now();
        if !continues && self.run.wake_at().is_none_or(|due| due > now) {
            return Err(Illegal::NotDue);
        }
        if self.run.status == Status::Queued {
            return self.begin_run();
        }
        if self.run.deadline.is_some_and(|deadline| deadline <= now) {
            self.timed_out();
            return Ok(());
        }
        let is_known: HashSet<Place> = self.todo.iter().filter_map(Todo::place).collect();
        let due = self.run.places_due(now).filter(|place| !is_known.contains(place)).map(Todo::Act);
        let due: Vec<Todo> = due.collect();
        self.todo.extend(due);
        Ok(())
    }

    /// What is to be done at a place because of the time, or because nothing keeps it any longer.
    pub(super) fn act_now(&mut self, place: Place) {
        let now = self.moment.now();
        let Some(unit) = self.run.at(place).filter(|unit| unit.due_at.is_none_or(|due| due <= now)) else { return };
        let status = unit.status;
        self.caused_by_place(place);
        match status {
            StepStatus::Retrying | StepStatus::Repeating => self.act(place),
            StepStatus::Waiting => self.wait_is_due(place, now),
            _ => {}
        }
    }

    fn wait_is_due(&mut self, place: Place, now: Timestamp) {
        let Some(waiting) = self.unit(place).waiting.clone() else { return };
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let record = StepRecord { attempt: 1, ..StepRecord::default() };
        if let Awaited::Time { until } = waiting.what
            && until <= now
        {
            self.attempt_ended(place, Ok(over_at(until)), record);
        } else if is_due(waiting.timeout_at) {
            self.wait_timed_out(place, &waiting, record);
        } else if is_due(waiting.heartbeat_at) {
            let failure = Failure::fatal("heartbeat_timeout", "whoever works on it was silent for too long");
            self.attempt_ended(place, Err(failure), record);
        } else if is_due(waiting.escalate_at) {
            self.escalate(place, &waiting);
        }
    }

    fn wait_timed_out(&mut self, place: Place, waiting: &Waiting, mut record: StepRecord) {
        let timeout = self.definition(place).timeout.unwrap_or_default();
        let abandons = matches!(self.definition(place).kind, StepKind::Workflow { abandons: true, .. });
        if let Awaited::Run { run_id } = waiting.what
            && !abandons
        {
            let reason = format!("it was waited for for {timeout}");
            let compensate = self.setting.workflow.on_error == OnRunError::Compensate;
            self.effects.push(Effect::CancelRun { run: run_id, reason, compensate });
            // How it ends is not known yet.
            record.compensable = true;
        }
        let message = format!("{} did not come within {timeout}", waiting.reason());
        self.attempt_ended(place, Err(Failure::fatal("timeout", message)), record);
    }

    fn escalate(&mut self, place: Place, waiting: &Waiting) {
        let StepKind::Wait(Wait::Input { escalations, .. }) = &self.definition(place).kind else { return };
        let Awaited::Input { prompt, role } = &waiting.what else { return };
        let at = waiting.escalated as usize;
        let Some(escalation) = escalations.get(at) else { return };
        // Each `after` counts from when the wait began.
        let began = waiting.escalate_at.map(|due| Timestamp(due.0 - escalation.after.0));
        let next = escalations.get(at + 1).zip(began).map(|(next, began)| began + next.after);
        // Those who might answer before still may.
        let role = escalation.role.min(*role);
        let waiting = Waiting {
            what: Awaited::Input { prompt: prompt.clone(), role },
            escalate_at: next,
            escalated: waiting.escalated + 1,
            ..waiting.clone()
        };
        let reason = format!("nobody answered: the role {} is asked as well", escalation.role.as_str());
        self.emit_waiting(place, StepChange::Escalated, waiting, Some(reason));
    }
}

/// Whether the wait of a place is still to begin.
fn has_not_begun(unit: &Step) -> bool {
    let waits_for_lock = || unit.waiting.as_ref().is_some_and(|waiting| matches!(waiting.what, Awaited::Lock { .. }));
    match unit.status {
        StepStatus::Pending => true,
        StepStatus::Waiting => waits_for_lock(),
        _ => false,
    }
}

/// What a wait for a time gives.
fn over_at(until: Timestamp) -> Json {
    serde_json::json!({"until": until}).into()
}
