//! Route: signal × subscriptions → dispositions. A match requests `workflow.run.start`.

use std::sync::Arc;

use fleetprompt_core::directive::{self, HandlerKind};
use fleetprompt_core::registration::WorkflowStatus;
use fleetprompt_core::retry::RetryPolicy;
use fleetprompt_core::run::{FlowKeys, Queue, Start, TriggerView, start_key};
use fleetprompt_core::signal::{Disposition, DispositionKind};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, Json, Lineage, Name, Party, RunId, Signal};
use serde_json::json;

use super::admit::{Admitted, Candidate};
use super::handle::StartRun;
use super::{Cascade, ROUTED_MAX};
use crate::directives::workflow_run_start::{self, StartBySignal};
use crate::{Error, TenantDirectory, Workflows};

/// What becomes of a signal at one workflow.
enum Verdict {
    Start(Arc<Workflow>),
    Not(DispositionKind, String),
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
        if self.stage.signals.len() >= ROUTED_MAX {
            let reason = format!("more than {ROUTED_MAX} signals follow from one input; is it a loop?");
            return Ok(self.disposition(subscriber, signal, DispositionKind::Refused, Some(reason)));
        }
        match judge(tenant, subscriber, signal) {
            Verdict::Not(kind, reason) => Ok(self.disposition(subscriber, signal, kind, Some(reason))),
            Verdict::Start(workflow) => self.admit_by_signal(tenant, subscriber, workflow, signal),
        }
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
                let reason = Some(format!("the key of its flow control: {}", failure.message));
                return Ok(self.disposition(subscriber, signal, DispositionKind::Refused, reason));
            }
        };
        let queue = match self.admit(signal.tenant, &workflow, &keys)? {
            Admitted::Now => None,
            Admitted::Queued(queue) => Some(queue),
            Admitted::Not(reason) => {
                return Ok(self.disposition(subscriber, signal, DispositionKind::Throttled, Some(reason)));
            }
        };
        let run_id = self.start_by_signal(tenant, workflow, signal, keys, queue)?;
        let disposition = self.disposition(subscriber, signal, DispositionKind::Started, None);
        Ok(Disposition { run_id: Some(run_id), ..disposition })
    }

    /// The directive `workflow.run.start` with its whole life, and then the run.
    fn start_by_signal(
        &mut self,
        tenant: &Arc<TenantDirectory>,
        workflow: Arc<Workflow>,
        signal: &Arc<Signal>,
        keys: FlowKeys,
        queue: Option<Queue>,
    ) -> Result<RunId, Error> {
        let run_id = RunId(self.moment.uuid());
        let directive_id = DirectiveId(self.moment.uuid());
        let payload = StartBySignal {
            workflow: workflow.slug.clone(),
            version: workflow.version.clone(),
            signal_id: signal.id,
            run_id,
        };
        let lineage = Lineage { depth: signal.lineage.depth + 1, ..signal.lineage.caused_by(signal.id) };
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
            self.begins.push_back((signal.tenant, directive_id));
            return Ok(run_id);
        }
        let output = Json::from(json!({"run_id": run_id}));
        self.settle_built_in(directive.as_ref().clone(), Ok(output));
        let start = Start { keys, queue, ..Start::new(run_id, directive_id, directive.lineage.clone()) };
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

fn judge(tenant: &TenantDirectory, subscriber: &Workflows, signal: &Signal) -> Verdict {
    let refused = |reason: String| Verdict::Not(DispositionKind::Refused, reason);
    let Some(workflow) = &subscriber.active else { return refused("no version is active".into()) };
    if subscriber.entry.status != WorkflowStatus::Active {
        return refused(format!("the workflow is {}", subscriber.entry.status.as_str()));
    }
    if signal.lineage.depth >= Lineage::DEPTH_MAX {
        return refused(format!(
            "{} runs lie between this signal and its root fact; is it a loop?",
            Lineage::DEPTH_MAX
        ));
    }
    let when = workflow.trigger.as_ref().and_then(|trigger| trigger.when.as_ref());
    match when.map(|when| (when, when.holds(&TriggerView::new(&tenant.tenant, signal)))) {
        Some((when, Ok(false))) => {
            return Verdict::Not(DispositionKind::Filtered, format!("`when` did not hold: {}", when.source()));
        }
        Some((_, Err(failure))) => return refused(format!("trigger.when: {}", failure.message)),
        Some((_, Ok(true))) | None => {}
    }
    match workflow.input_schema.as_ref().map(|schema| schema.validate(signal.payload.value())) {
        Some(Err(message)) => refused(format!("the payload does not fit input_schema: {message}")),
        Some(Ok(())) | None => Verdict::Start(workflow.clone()),
    }
}
