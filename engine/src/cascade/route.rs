//! Route: signal × subscriptions → dispositions. A match requests `workflow.run.start`.

use std::ops::Bound;
use std::sync::Arc;

use fleetprompt_core::directive::{self, HandlerKind};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{Ancestry, Descent, FlowKeys, Place, Queue, Start, TriggerView, start_key};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Failure, Json, Meter, Name, Party, RunId, Signal, Slug};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use serde_json::json;

use super::Cascade;
use super::admit::{self, Admitted};
use super::handle::StartRun;
use crate::cache::READ_TOGETHER;
use crate::directives::signal_offer::Candidate;
use crate::directives::workflow_run_start::{self, StartBySignal};
use crate::{Error, TenantDirectory, Workflows};

/// What becomes of a signal at one workflow.
enum Verdict {
    Start(Arc<Workflow>),
    Filter(String),
    Refuse(RefusalReason, String),
}

/// Why a workflow that subscribes to a signal was not started by it: a label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RefusalReason {
    Inactive,
    When,
    InputSchema,
    FlowControlKey,
    Recursion,
    Descendants,
    StartFailed,
}

impl RefusalReason {
    pub const ALL: [Self; 7] = [
        Self::Inactive,
        Self::When,
        Self::InputSchema,
        Self::FlowControlKey,
        Self::Recursion,
        Self::Descendants,
        Self::StartFailed,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::When => "when",
            Self::InputSchema => "input_schema",
            Self::FlowControlKey => "flow_control_key",
            Self::Recursion => "recursion",
            Self::Descendants => "descendants",
            Self::StartFailed => "start_failed",
        }
    }
}

impl EncodeLabelValue for RefusalReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

impl Cascade<'_> {
    /// Offers a new signal to the runs that wait for it, and to the workflows that subscribe to its name.
    pub(super) fn route(&mut self, signal: &Arc<Signal>) -> Result<(), Error> {
        self.route_from(signal, None)
    }

    /// From one candidate on, in their order: waits, then workflows. Once the budget is spent, the others are left to a
    /// later commit.
    pub(super) fn route_from(&mut self, signal: &Arc<Signal>, from: Option<Candidate>) -> Result<(), Error> {
        let first = match from {
            Some(Candidate::Workflow(slug)) => return self.offer_to_subscribers(signal, Some(&slug)),
            Some(Candidate::Wait { run_id, place }) => Bound::Included((run_id, place)),
            None => Bound::Unbounded,
        };
        match self.offer_to_waits(signal, first)? {
            true => self.offer_to_subscribers(signal, None),
            false => Ok(()),
        }
    }

    /// Returns `false` if the budget was spent before all of them.
    fn offer_to_waits(&mut self, signal: &Arc<Signal>, mut from: Bound<(RunId, Place)>) -> Result<bool, Error> {
        loop {
            let waits = self.standing.waiting_for(signal, from, READ_TOGETHER);
            let Some((last, _)) = waits.last().copied() else { return Ok(true) };
            let is_end = waits.len() < READ_TOGETHER;
            if !self.offer_to_each(signal, waits)? {
                return Ok(false);
            }
            if is_end {
                return Ok(true);
            }
            from = Bound::Excluded((last, Place::LAST));
        }
    }

    fn offer_to_each(&mut self, signal: &Arc<Signal>, waits: Vec<(RunId, Place)>) -> Result<bool, Error> {
        let mut ids: Vec<_> = waits.iter().map(|(run, _)| (signal.tenant, *run)).collect();
        ids.dedup();
        let (mut rest, mut waits) = (&ids[..], waits.into_iter().peekable());
        while !rest.is_empty() {
            let runs = self.find_runs(rest)?;
            let (some, later) = rest.split_at(runs.len());
            rest = later;
            for ((_, id), open) in some.iter().zip(runs) {
                while let Some((run_id, place)) = waits.next_if(|(run, _)| run == id) {
                    if self.meter.is_spent() {
                        self.route_later(signal, Candidate::Wait { run_id, place })?;
                        return Ok(false);
                    }
                    let Some(open) = &open else { continue };
                    // This signal may have ended a wait at another place of the run.
                    let open = self.stage.run(*id).unwrap_or(open).clone();
                    self.offer_to(signal, open, place)?;
                    self.meter.charge(Meter::OFFER_UNITS);
                }
            }
        }
        Ok(true)
    }

    fn offer_to_subscribers(&mut self, signal: &Arc<Signal>, from: Option<&Slug>) -> Result<(), Error> {
        let tenant = self.tenant(signal.tenant)?;
        let is_new = self.stage.signal(signal.id).is_some();
        let rest = tenant.subscribers(&signal.name).filter(|one| from.is_none_or(|from| one.entry.slug >= *from));
        for subscriber in rest {
            let slug = &subscriber.entry.slug;
            if self.meter.is_spent() {
                return self.route_later(signal, Candidate::Workflow(slug.clone()));
            }
            if is_new || !self.has_started(signal, slug)? {
                let disposition = self.offer(tenant, subscriber, signal)?;
                self.stage.dispositions.push(disposition);
            }
            self.meter.charge(Meter::OFFER_UNITS);
        }
        Ok(())
    }

    /// Offers a signal on record once more: the runs that it started stay what they are, and
    /// workflows that were not there the first time get theirs.
    pub(crate) fn route_again(&mut self, signal: &Arc<Signal>) -> Result<Vec<Disposition>, Error> {
        let tenant = self.tenant(signal.tenant)?;
        let mut dispositions = Vec::new();
        for subscriber in tenant.subscribers(&signal.name) {
            // The others are offered it all the same, and their dispositions read from the signal.
            if self.meter.is_spent() {
                self.route_later(signal, Candidate::Workflow(subscriber.entry.slug.clone()))?;
                break;
            }
            let key = start_key(&subscriber.entry.slug, signal.id);
            let disposition = match self.directive_by_key(signal.tenant, &key)? {
                Some(directive) => {
                    let run_id = workflow_run_start::run_of(&directive.payload);
                    let reason = "the run that this signal starts exists already".to_owned();
                    let kind = DispositionKind::Deduplicated;
                    Disposition { run_id, ..self.disposition(subscriber, signal, kind, Some(reason)) }
                }
                None => {
                    let disposition = self.offer(tenant, subscriber, signal)?;
                    self.stage.dispositions.push(disposition.clone());
                    disposition
                }
            };
            dispositions.push(disposition);
        }
        Ok(dispositions)
    }

    fn offer(
        &mut self,
        tenant: &Arc<TenantDirectory>,
        subscriber: &Workflows,
        signal: &Arc<Signal>,
    ) -> Result<Disposition, Error> {
        self.meter.begin_entry();
        match judge(tenant, subscriber, signal, self.meter) {
            Verdict::Refuse(reason, message) => Ok(self.refuse(subscriber, signal, reason, message)),
            Verdict::Filter(message) => {
                Ok(self.disposition(subscriber, signal, DispositionKind::Filtered, Some(message)))
            }
            Verdict::Start(workflow) => self.admit_by_signal(tenant, subscriber, workflow, signal),
        }
    }

    /// Every refusal is a disposition, and is counted and logged once it is committed.
    pub(crate) fn refuse(
        &mut self,
        subscriber: &Workflows,
        signal: &Signal,
        reason: RefusalReason,
        message: String,
    ) -> Disposition {
        self.stage.refusals.push((signal.tenant, subscriber.entry.slug.clone(), reason));
        self.disposition(subscriber, signal, DispositionKind::Refused, Some(message))
    }

    fn admit_by_signal(
        &mut self,
        tenant: &Arc<TenantDirectory>,
        subscriber: &Workflows,
        workflow: Arc<Workflow>,
        signal: &Arc<Signal>,
    ) -> Result<Disposition, Error> {
        let candidate = admit::Candidate { tenant: &tenant.tenant, signal: Some(signal), input: None };
        let keys = match self.flow_keys(&workflow, &candidate) {
            Ok(keys) => keys,
            Err(failure) => {
                let message = format!("the key of its flow control: {}", failure.message);
                return Ok(self.refuse(subscriber, signal, RefusalReason::FlowControlKey, message));
            }
        };
        let ancestry = self.ancestry_of_signal(signal)?;
        if let Some(message) = ancestry.as_ref().and_then(|ancestry| recursion(&workflow, signal, ancestry)) {
            return Ok(self.refuse(subscriber, signal, RefusalReason::Recursion, message));
        }
        let descent = match self.descend(signal.tenant, ancestry, false)? {
            Ok(descent) => descent,
            Err(refused) => {
                return Ok(self.refuse(subscriber, signal, RefusalReason::Descendants, refused.to_string()));
            }
        };
        let queue = match self.admit(signal.tenant, &workflow, &keys)? {
            Admitted::Now => None,
            Admitted::Queued(queue) => Some(queue),
            Admitted::Not(reason) => {
                return Ok(self.disposition(subscriber, signal, DispositionKind::Throttled, Some(reason)));
            }
        };
        let run_id = self.start_by_signal(tenant, workflow, signal, (keys, queue, descent))?;
        let disposition = self.disposition(subscriber, signal, DispositionKind::Started, None);
        Ok(Disposition { run_id: Some(run_id), ..disposition })
    }

    /// The start of a run failed after the batch in which the signal was offered: the disposition says why.
    pub(super) fn refuse_start(&mut self, signal: &Signal, workflow: Slug, failure: Failure) {
        let (kind, refused) = match failure.code.as_str() {
            "throttled" => (DispositionKind::Throttled, None),
            "descendants_limit" => (DispositionKind::Refused, Some(RefusalReason::Descendants)),
            _ => (DispositionKind::Refused, Some(RefusalReason::StartFailed)),
        };
        self.stage.refusals.extend(refused.map(|reason| (signal.tenant, workflow.clone(), reason)));
        let (tenant, signal_id, at) = (signal.tenant, signal.id, self.moment.now());
        let reason = Some(failure.message);
        self.stage.dispositions.push(Disposition { tenant, signal_id, workflow, kind, run_id: None, reason, at });
    }

    /// The directive `workflow.run.start` with its whole life, and then the run.
    fn start_by_signal(
        &mut self,
        tenant: &Arc<TenantDirectory>,
        workflow: Arc<Workflow>,
        signal: &Arc<Signal>,
        (keys, queue, descent): (FlowKeys, Option<Queue>, Option<Arc<Descent>>),
    ) -> Result<RunId, Error> {
        let run_id = RunId(self.moment.uuid());
        let directive_id = DirectiveId(self.moment.uuid());
        let payload = StartBySignal {
            workflow: workflow.slug.clone(),
            version: workflow.version.clone(),
            signal_id: signal.id,
            run_id,
        };
        let lineage = signal.lineage.caused_by(signal.id).of_run();
        let requested = directive::request(
            directive::Request {
                id: directive_id,
                tenant: signal.tenant,
                name: Name::known(workflow_run_start::NAME),
                payload: Json::of(&payload),
                idempotency_key: start_key(&workflow.slug, signal.id),
                handler: HandlerKind::BuiltIn,
                retry: RetryPolicy::default(),
                timeout: None,
                heartbeat: None,
                origin: None,
                actor: Party::engine(),
                lineage,
            },
            self.moment,
        );
        let directive = self.take_directive(requested)?;
        if self.is_large() {
            if let Some(descent) = descent {
                self.stage.descents.at((signal.tenant, descent.root)).deferred += 1;
            }
            self.begins.push_back((signal.tenant, directive_id));
            return Ok(run_id);
        }
        let output = Json::from(json!({"run_id": run_id}));
        self.settle_built_in(directive.as_ref().clone(), Ok(output))?;
        let start = Start { keys, queue, descent, ..Start::new(run_id, directive_id, directive.lineage.clone()) };
        self.start_run(StartRun { workflow, tenant: tenant.tenant.clone(), signal: Some(signal.clone()), start })?;
        Ok(run_id)
    }

    fn disposition(
        &self,
        subscriber: &Workflows,
        signal: &Signal,
        kind: DispositionKind,
        reason: Option<String>,
    ) -> Disposition {
        Disposition {
            tenant: signal.tenant,
            signal_id: signal.id,
            workflow: subscriber.entry.slug.clone(),
            kind,
            run_id: None,
            reason,
            at: self.moment.now(),
        }
    }
}

/// A workflow that reacts to what the engine records for its own descendants would start itself forever.
fn recursion(workflow: &Workflow, signal: &Signal, ancestry: &Ancestry) -> Option<String> {
    let is_engine_signal = signal.run_id.is_some() || signal.directive_id.is_some();
    let is_allowed = workflow.trigger.as_ref().is_some_and(|trigger| trigger.allow_recursion);
    if is_allowed || !is_engine_signal || !ancestry.workflows.contains(&workflow.slug) {
        return None;
    }
    Some(format!(
        "{} was recorded for a run that descends from `{}` itself; declare `trigger.allow_recursion: true` if the \
         workflow is to start again",
        signal.name, workflow.slug
    ))
}

fn judge(tenant: &TenantDirectory, subscriber: &Workflows, signal: &Signal, meter: &Meter) -> Verdict {
    let inactive = |message: String| Verdict::Refuse(RefusalReason::Inactive, message);
    let Some(workflow) = &subscriber.active else { return inactive("no version is active".into()) };
    if subscriber.entry.status != WorkflowStatus::Active {
        return inactive(format!("the workflow is {}", subscriber.entry.status.as_str()));
    }
    let when = workflow.trigger.as_ref().and_then(|trigger| trigger.when.as_ref());
    match when.map(|when| (when, when.holds(&TriggerView::new(&tenant.tenant, signal, meter)))) {
        Some((when, Ok(false))) => return Verdict::Filter(format!("`when` did not hold: {}", when.source())),
        Some((_, Err(failure))) => {
            return Verdict::Refuse(RefusalReason::When, format!("trigger.when: {}", failure.message));
        }
        Some((_, Ok(true))) | None => {}
    }
    let validated = workflow.input_schema.as_ref().map(|schema| {
        meter.charge_bytes(signal.payload.text().len());
        schema.validate(signal.payload.value())
    });
    match validated {
        Some(Err(message)) => {
            let message = format!("the payload does not fit input_schema: {message}");
            Verdict::Refuse(RefusalReason::InputSchema, message)
        }
        Some(Ok(())) | None => Verdict::Start(workflow.clone()),
    }
}
