//! What becomes of a directive: one pure table over (status, handler, input).

use super::{Change, Directive, DirectiveType, HandlerKind, Origin, Record, Status, change_of};
use crate::retry::RetryPolicy;
use crate::{
    DirectiveId, Failure, Json, Lineage, Moment, Name, Party, RunId, Signal, SignalId, Span, TenantId, Timestamp,
};

/// An intent as somebody asks for it. That it may be asked for was checked before.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: DirectiveId,
    pub tenant: TenantId,
    pub name: Name,
    pub payload: Json,
    pub idempotency_key: String,
    pub handler: HandlerKind,
    pub retry: RetryPolicy,
    pub timeout: Option<Span>,
    pub heartbeat: Option<Span>,
    pub origin: Option<Origin>,
    pub actor: Party,
    pub lineage: Lineage,
}

#[derive(Debug, Clone)]
pub enum Input {
    /// Nothing stands in its way: carry it out.
    Begin,
    /// How the attempt ended, from whoever performed it.
    Outcome {
        attempt: u32,
        result: Result<Json, Failure>,
        /// Which worker made it, where one did.
        execution: Option<Json>,
        logs: Vec<String>,
    },
    /// How it ended, from the outside system that a `manual` directive waits for.
    Report { by: Party, result: Result<Json, Failure> },
    /// `wake_at` has come.
    Due,
    Cancel {
        by: Party,
        reason: String,
        /// The attempt has not been sent to anybody, and will not be: there is no outcome to wait for.
        is_unsent: bool,
    },
    /// Whoever carries it out is still at it.
    Heartbeat,
    /// It failed or was canceled, and is wanted again.
    Reopen { by: Party },
}

#[derive(Debug)]
#[must_use]
pub struct Decision {
    pub directive: Directive,
    pub signals: Vec<Signal>,
    /// The attempt to perform once this is committed.
    pub perform: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("the directive has {} already", .0.as_str())]
    Settled(Status),
    #[error("the outcome is of attempt {got}, which is not under way")]
    Stale { got: u32 },
    #[error("only a `manual` directive is reported; this one is carried out by its {} handler", .0.as_str())]
    NotManual(HandlerKind),
    #[error("nothing is due")]
    NotDue,
    #[error("the directive is {} and cannot begin", .0.as_str())]
    Begun(Status),
    #[error("the directive is {}; only one that failed or was canceled is carried out again", .0.as_str())]
    NotReopened(Status),
}

/// Records the intent. `step` is the run whose record the signals join.
pub fn request(request: Request, moment: &mut Moment) -> Decision {
    let directive = Directive {
        id: request.id,
        tenant: request.tenant,
        name: request.name,
        payload: request.payload,
        idempotency_key: request.idempotency_key,
        handler: request.handler,
        retry: request.retry,
        timeout: request.timeout,
        heartbeat: request.heartbeat,
        origin: request.origin,
        actor: request.actor,
        lineage: request.lineage,
        requested_at: moment.now(),
        status: Status::Requested,
        attempt: 0,
        wake_at: None,
        started_at: None,
        cancel_requested: false,
        settled_at: None,
        settled_by: None,
        output: None,
        error: None,
    };
    let mut plan = Plan { directive, signals: Vec::new(), perform: false, moment };
    let by = Some(plan.directive.actor.clone());
    plan.emit(Change::Requested, Record { by, ..Record::default() });
    plan.decision()
}

pub fn decide(directive: Directive, input: Input, moment: &mut Moment) -> Result<Decision, Illegal> {
    if directive.status.is_settled() && !matches!(input, Input::Reopen { .. }) {
        return Err(Illegal::Settled(directive.status));
    }
    let mut plan = Plan { directive, signals: Vec::new(), perform: false, moment };
    match input {
        Input::Begin => plan.begin()?,
        Input::Outcome { attempt, result, execution, logs } => plan.outcome(attempt, result, execution, logs)?,
        Input::Report { by, result } => plan.report(by, result)?,
        Input::Due => plan.due()?,
        Input::Cancel { by, reason, is_unsent } => plan.cancel(by, reason, is_unsent),
        Input::Heartbeat => plan.heartbeat()?,
        Input::Reopen { by } => plan.reopen(by)?,
    }
    Ok(plan.decision())
}

/// What the signals of a directive make of it as it was requested: the row, from the log alone.
pub fn fold<'a>(mut requested: Directive, signals: impl IntoIterator<Item = &'a Signal>) -> Directive {
    for signal in signals {
        if let Some(change) = change_of(&signal.name)
            && let Ok(record) = serde_json::from_str(signal.payload.text())
        {
            requested.evolve(change, &record, signal.id, signal.recorded_at);
        }
    }
    requested
}

struct Plan<'a> {
    directive: Directive,
    signals: Vec<Signal>,
    perform: bool,
    moment: &'a mut Moment,
}

impl Plan<'_> {
    fn begin(&mut self) -> Result<(), Illegal> {
        if self.directive.status != Status::Requested {
            return Err(Illegal::Begun(self.directive.status));
        }
        match self.directive.handler {
            // Handled in the commit that requests it: nobody ever sees it running.
            HandlerKind::BuiltIn => {}
            HandlerKind::Http | HandlerKind::Worker => self.attempt(),
            HandlerKind::Manual => {
                let due_at = self.silent_until();
                self.emit(Change::Started, Record { attempt: 1, due_at, ..Record::default() });
            }
        }
        Ok(())
    }

    fn attempt(&mut self) {
        let attempt = self.directive.attempt + 1;
        self.emit(Change::Started, Record { attempt, ..Record::default() });
        self.perform = true;
    }

    fn outcome(
        &mut self,
        attempt: u32,
        result: Result<Json, Failure>,
        execution: Option<Json>,
        logs: Vec<String>,
    ) -> Result<(), Illegal> {
        let is_expected = match self.directive.handler {
            HandlerKind::BuiltIn => self.directive.status == Status::Requested,
            HandlerKind::Http | HandlerKind::Worker => self.directive.is_in_flight(),
            HandlerKind::Manual => false,
        };
        if !is_expected || attempt != self.directive.attempt {
            return Err(Illegal::Stale { got: attempt });
        }
        let record = Record { attempt, execution, logs, ..Record::default() };
        match result {
            Ok(output) => self.emit(Change::Succeeded, Record { output: Some(output), ..record }),
            Err(error) if self.directive.cancel_requested => {
                self.emit(Change::Canceled, Record { error: Some(error), ..record });
            }
            Err(error) => self.retry_or_fail(error, record),
        }
        Ok(())
    }

    fn retry_or_fail(&mut self, error: Failure, record: Record) {
        let directive = &self.directive;
        let elapsed = directive.started_at.map_or(Span::default(), |begun| self.moment.now() - begun);
        let delay = directive.retry.delay(record.attempt, &error, elapsed, &directive.idempotency_key);
        // What is built in ends in the commit that requests it, whatever the step's policy says.
        let delay = delay.filter(|_| directive.handler.has_attempts());
        let due_at = delay.map(|delay| self.moment.now() + delay);
        let change = if due_at.is_some() { Change::Retrying } else { Change::Failed };
        self.emit(change, Record { error: Some(error), due_at, ..record });
    }

    fn report(&mut self, by: Party, result: Result<Json, Failure>) -> Result<(), Illegal> {
        if self.directive.handler != HandlerKind::Manual {
            return Err(Illegal::NotManual(self.directive.handler));
        }
        let (change, output, error) = match result {
            Ok(output) => (Change::Succeeded, Some(output), None),
            Err(error) => (Change::Failed, None, Some(error)),
        };
        let attempt = self.directive.attempt;
        self.emit(change, Record { attempt, output, error, by: Some(by), ..Record::default() });
        Ok(())
    }

    /// Until when a report, or a sign of life, must have come.
    fn silent_until(&self) -> Option<Timestamp> {
        let now = self.moment.now();
        let begun = self.directive.started_at.unwrap_or(now);
        let end = self.directive.timeout.map(|timeout| begun + timeout);
        end.into_iter().chain(self.directive.heartbeat.map(|heartbeat| now + heartbeat)).min()
    }

    fn heartbeat(&mut self) -> Result<(), Illegal> {
        if self.directive.handler != HandlerKind::Manual || self.directive.status != Status::Running {
            return Err(Illegal::NotManual(self.directive.handler));
        }
        let (attempt, due_at) = (self.directive.attempt, self.silent_until());
        self.emit(Change::Heartbeat, Record { attempt, due_at, ..Record::default() });
        Ok(())
    }

    fn reopen(&mut self, by: Party) -> Result<(), Illegal> {
        match self.directive.status {
            Status::Failed | Status::Canceled => {
                self.emit(Change::Reopened, Record { by: Some(by), ..Record::default() });
                Ok(())
            }
            status => Err(Illegal::NotReopened(status)),
        }
    }

    fn due(&mut self) -> Result<(), Illegal> {
        if self.directive.wake_at.is_none_or(|due| due > self.moment.now()) {
            return Err(Illegal::NotDue);
        }
        match self.directive.handler {
            HandlerKind::Manual => {
                let now = self.moment.now();
                let end = self.directive.started_at.zip(self.directive.timeout).map(|(begun, timeout)| begun + timeout);
                let error = match end.is_some_and(|end| end <= now) {
                    true => Failure::fatal("timeout", "nobody reported how it ended in time"),
                    false => Failure::fatal("heartbeat_timeout", "whoever carries it out was silent for too long"),
                };
                let attempt = self.directive.attempt;
                self.emit(Change::Failed, Record { attempt, error: Some(error), ..Record::default() });
            }
            HandlerKind::Http | HandlerKind::Worker => self.attempt(),
            HandlerKind::BuiltIn => return Err(Illegal::NotDue),
        }
        Ok(())
    }

    fn cancel(&mut self, by: Party, reason: String, is_unsent: bool) {
        // An effect that is under way may still happen; its outcome is recorded, whichever it is.
        let is_under_way = self.directive.is_in_flight() && !is_unsent;
        let change = if is_under_way { Change::CancelRequested } else { Change::Canceled };
        if change == Change::CancelRequested && self.directive.cancel_requested {
            return;
        }
        self.emit(change, Record { by: Some(by), reason: Some(reason), ..Record::default() });
    }

    fn emit(&mut self, change: Change, mut record: Record) {
        let directive = &mut self.directive;
        record.directive = directive.name.to_string();
        let id = SignalId(self.moment.uuid());
        let at = self.moment.now();
        directive.evolve(change, &record, id, at);
        let lineage = match change {
            Change::Requested => directive.lineage.clone(),
            _ => directive.lineage.caused_by(directive.id),
        };
        self.signals.push(Signal {
            id,
            tenant: directive.tenant,
            name: Name::known(change.signal_name()),
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage,
            run_id: directive.origin.map(|origin: Origin| -> RunId { origin.run_id }),
            directive_id: Some(directive.id),
            occurred_at: at,
            recorded_at: at,
            payload: Json::of(&record),
        });
    }

    fn decision(self) -> Decision {
        Decision { directive: self.directive, signals: self.signals, perform: self.perform }
    }
}

/// How long an attempt may take when neither the step nor the type says.
impl DirectiveType {
    pub const TIMEOUT_DEFAULT: Span = Span::from_secs(30);
    /// The same for the callback of an endpoint that answered by 202.
    pub const CALLBACK_TIMEOUT_DEFAULT: Span = Span::from_secs(86_400);
}
