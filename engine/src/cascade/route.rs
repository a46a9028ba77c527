//! Route: signal × subscriptions → dispositions. A match requests `workflow.run.start`.

use std::sync::Arc;

use fleetprompt_core::directive::{self, HandlerKind};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{Ancestry, Descent, FlowKeys, Queue, Start, TriggerView, start_key};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Json, Meter, Name, Party, RunId, Signal, Slug};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use serde_json::json;

use super::Cascade;
use super::admit::{Admitted, Candidate};
use super::handle::StartRun;
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
}

impl RefusalReason {
    pub const ALL: [Self; 6] =
        [Self::Inactive, Self::When, Self::InputSchema, Self::FlowControlKey, Self::Recursion, Self::Descendants];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::When => "when",
            Self::InputSchema => "input_schema",
            Self::FlowControlKey => "flow_control_key",
            Self::Recursion => "recursion",
            Self::Descendants => "descendants",
        }
    }
}

impl EncodeLabelValue for RefusalReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

impl Cascade<'_> {
    /// Offers a new signal to everybody who subscribed to its name, and to whoever waits for it.
    pub(super) fn route(&mut self, signal: &Arc<Signal>) -> Result<(), Error> {
        self.wake(signal)?;
        let tenant = self.tenant(signal.tenant)?;
        for subscriber in tenant.subscribers(&signal.name) {
            let disposition = self.offer(tenant, subscriber, signal)?;
            self.stage.dispositions.push(disposition);
        }
        Ok(())
    }

    /// Offers a signal on record once more: the runs that it started stay what they are, and
    /// workflows that were not there the first time get theirs.
    pub(crate) fn route_again(&mut self, signal: &Arc<Signal>) -> Result<Vec<Disposition>, Error> {
        let tenant = self.tenant(signal.tenant)?;
        let mut dispositions = Vec::new();
        for subscriber in tenant.subscribers(&signal.name) {
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
        match judge(tenant, subscriber, signal, &self.meter) {
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
        let candidate = Candidate { tenant: &tenant.tenant, signal: Some(signal), input: None };
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
        let descent = match self.descend(signal.tenant, ancestry)? {
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

    /// The start of a run was left to a later batch, and by then its root may have no more descendants.
    pub(crate) fn refuse_deferred(&mut self, signal: &Signal, workflow: &Slug, message: String) {
        self.stage.refusals.push((signal.tenant, workflow.clone(), RefusalReason::Descendants));
        self.stage.dispositions.push(Disposition {
            tenant: signal.tenant,
            signal_id: signal.id,
            workflow: workflow.clone(),
            kind: DispositionKind::Refused,
            run_id: None,
            reason: Some(message),
            at: self.moment.now(),
        });
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
        let directive = self.take_directive(requested);
        if self.is_large() {
            if let Some(descent) = descent {
                self.stage.descents.at((signal.tenant, descent.root)).deferred += 1;
            }
            self.begins.push_back((signal.tenant, directive_id));
            return Ok(run_id);
        }
        let output = Json::from(json!({"run_id": run_id}));
        self.settle_built_in(directive.as_ref().clone(), Ok(output));
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
