//! Admit: what stands at the door of a workflow. Debounce, then throttle, then concurrency: a run
//! that has to wait for one of them is there, queued, and says for which.

use std::borrow::Cow;
use std::sync::Arc;

use fleetprompt_core::expression::{Context, Root, Template};
use fleetprompt_core::run::{self, FlowKeys, Parent, Queue, QueueReason, Run, Status};
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::workflow::{OnLimit, Workflow};
use fleetprompt_core::{Failure, Json, Meter, Party, RunId, Signal, TenantId, Timestamp};
use serde_json::{Value, json};

use super::{Cascade, Work};
use crate::Error;

/// Runs that one start cancels under `cancel_oldest`. If a limit was lowered by more, the next starts cancel the others.
const CANCELED_TOGETHER: usize = 100;

/// Whether a run may begin.
pub(crate) enum Admitted {
    Now,
    Queued(Queue),
    /// There is to be no such run, and why.
    Not(String),
}

/// A run of the workflow that is asked for.
pub(crate) struct Candidate<'a> {
    pub tenant: &'a Tenant,
    pub signal: Option<&'a Signal>,
    pub input: Option<&'a Json>,
}

impl Cascade<'_> {
    /// The keys that a run would be counted under.
    pub(crate) fn flow_keys(&self, workflow: &Workflow, candidate: &Candidate<'_>) -> Result<FlowKeys, Failure> {
        let view = CandidateView { candidate, meter: self.meter };
        let key = |template: Option<&Template>| match template {
            Some(template) => template.render(&view).map(|key| key_text(&key)),
            None => Ok(Arc::from("")),
        };
        let of = |rule: Option<Option<&Template>>| rule.map(key).transpose();
        Ok(FlowKeys {
            concurrency: of(workflow.concurrency.as_ref().map(|rule| rule.key.as_ref()))?,
            throttle: of(workflow.throttle.as_ref().map(|rule| rule.key.as_ref()))?,
            debounce: of(workflow.debounce.as_ref().map(|rule| rule.key.as_ref()))?,
        })
    }

    /// A run that stands under the same key as one that waits for it shares its place among those that may
    /// run at once: in line behind it, it would never come.
    pub(crate) fn share_place(
        &mut self,
        tenant: TenantId,
        workflow: &Workflow,
        keys: &mut FlowKeys,
        mut parent: Option<Parent>,
    ) -> Result<(), Error> {
        if keys.concurrency.is_none() || workflow.concurrency.as_ref().is_none_or(|rule| rule.on_limit == OnLimit::Drop)
        {
            return Ok(());
        }
        // A chain of causes is bounded, and so is this.
        while let Some(Parent { run_id, waits: true, .. }) = parent {
            let Some(open) = self.find_run(tenant, run_id)? else { break };
            if open.run.workflow == workflow.slug && open.run.keys.concurrency == keys.concurrency {
                keys.concurrency = None;
                break;
            }
            parent = open.run.parent;
        }
        Ok(())
    }

    /// From the first rule on; what makes room for it is done.
    pub(crate) fn admit(&mut self, tenant: TenantId, workflow: &Workflow, keys: &FlowKeys) -> Result<Admitted, Error> {
        let (Some(rule), Some(key)) = (&workflow.debounce, &keys.debounce) else {
            return self.admit_after(tenant, workflow, keys, QueueReason::Debounce);
        };
        let now = self.moment.now();
        let earlier = self.standing.debounced(tenant, &workflow.slug, key);
        let since = match earlier {
            Some(earlier) => self.supersede(tenant, earlier)?,
            None => None,
        };
        let since = since.unwrap_or(now);
        let quiet = now + rule.period;
        let until = rule.max.map_or(quiet, |max| quiet.min(since + max).max(now));
        Ok(Admitted::Queued(Queue { reason: QueueReason::Debounce, until: Some(until), since: Some(since) }))
    }

    /// The run that stood for the earlier signals gives way; since when it did.
    fn supersede(&mut self, tenant: TenantId, id: RunId) -> Result<Option<Timestamp>, Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(None) };
        let queue = open.run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
        let Some(queue) = queue else { return Ok(None) };
        let reason = "debounced: a later signal came".to_owned();
        let input = run::Input::Cancel { by: Party::engine(), reason, compensate: false };
        let superseded = self.try_advance(tenant, id, input, None)?;
        Ok(queue.since.filter(|_| matches!(superseded, Some(Ok(())))))
    }

    /// From the rule after the one that it has passed; how fast runs may begin is asked once more.
    fn admit_after(
        &mut self,
        tenant: TenantId,
        workflow: &Workflow,
        keys: &FlowKeys,
        passed: QueueReason,
    ) -> Result<Admitted, Error> {
        if let (Some(rule), Some(key)) = (&workflow.throttle, &keys.throttle) {
            let now = self.moment.now();
            self.recall_begins(tenant, workflow, Timestamp(now.0.saturating_sub(rule.per.0)))?;
            // What had its time already, and comes late, may come together with others that do.
            let after_begun = passed != QueueReason::Debounce;
            let at = self.standing.next_begin(tenant, &workflow.slug, key, (rule.limit, rule.per), now, after_begun);
            if at > now {
                return Ok(Admitted::Queued(Queue { reason: QueueReason::Throttle, until: Some(at), since: None }));
            }
        }
        let (Some(rule), Some(key)) = (&workflow.concurrency, &keys.concurrency) else { return Ok(Admitted::Now) };
        let limit = rule.limit as usize;
        if self.standing.running(tenant, &workflow.slug, key, limit) < limit {
            return Ok(Admitted::Now);
        }
        Ok(match rule.on_limit {
            OnLimit::Queue => Admitted::Queued(Queue { reason: QueueReason::Concurrency, until: None, since: None }),
            OnLimit::Drop => {
                let plural = if limit == 1 { "run is" } else { "runs are" };
                Admitted::Not(format!("{limit} {plural} under way already, and that is the limit"))
            }
            OnLimit::CancelOldest => {
                self.cancel_oldest(tenant, workflow, key, limit)?;
                Admitted::Now
            }
        })
    }

    /// When runs began is asked of the store once, and held from then on. Which version they were of does
    /// not matter, so it cannot be known beforehand how far back anybody will ask.
    fn recall_begins(&mut self, tenant: TenantId, workflow: &Workflow, from: Timestamp) -> Result<(), Error> {
        const BEGUN_MAX: usize = 100_000;
        if !self.standing.remembers_begins(tenant, &workflow.slug, from) {
            let begins = self.store.begun_since(tenant, &workflow.slug, from, BEGUN_MAX)?;
            self.standing.restore_begins(tenant, &workflow.slug, from, begins);
        }
        Ok(())
    }

    /// Makes room for one: those that end already no longer count, and a retry or a lower limit may have left too many.
    fn cancel_oldest(
        &mut self,
        tenant: TenantId,
        workflow: &Workflow,
        key: &Arc<str>,
        limit: usize,
    ) -> Result<(), Error> {
        let ids = self.standing.all_running(tenant, &workflow.slug, key);
        let ids: Vec<_> = ids.into_iter().map(|id| (tenant, id)).collect();
        let (mut rest, mut running) = (&ids[..], Vec::new());
        while !rest.is_empty() {
            let runs = self.find_runs(rest)?;
            rest = &rest[runs.len()..];
            let counts = |run: &Run| !matches!(run.status, Status::Stopping | Status::Compensating);
            running.extend(runs.into_iter().flatten().filter(|open| counts(&open.run)).map(|open| open.run.id));
        }
        self.meter.charge(Meter::OFFER_UNITS * ids.len() as u64);
        let too_many = (running.len() + 1).saturating_sub(limit).min(CANCELED_TOGETHER);
        for id in running.into_iter().take(too_many).rev() {
            let reason = "a newer run takes its place".to_owned();
            let input = run::Input::Cancel { by: Party::engine(), reason, compensate: false };
            self.work.push_front(Work::Advance(tenant, id, input));
        }
        Ok(())
    }

    /// A queued run has waited for this long enough: it begins, or waits for the next thing.
    pub(super) fn turn(&mut self, tenant: TenantId, id: RunId, passed: QueueReason) -> Result<(), Error> {
        let Some(open) = self.find_run(tenant, id)? else { return Ok(()) };
        let queue = open.run.standing.as_ref().and_then(|standing| standing.queue.as_ref());
        if open.run.status != Status::Queued || queue.is_none_or(|queue| queue.reason != passed) {
            return Ok(());
        }
        let is_still = |queued: &Queue| Some(queued) == queue;
        match self.admit_after(tenant, &open.workflow, &open.run.keys, passed)? {
            Admitted::Now => self.advance(tenant, id, run::Input::Begin)?,
            Admitted::Queued(queued) if is_still(&queued) => false,
            Admitted::Queued(queued) => self.advance(tenant, id, run::Input::Queue(queued))?,
            Admitted::Not(reason) => {
                self.advance(tenant, id, run::Input::Cancel { by: Party::engine(), reason, compensate: false })?
            }
        };
        Ok(())
    }
}

/// What the keys of flow control see.
struct CandidateView<'a> {
    candidate: &'a Candidate<'a>,
    meter: &'a Meter,
}

impl Context for CandidateView<'_> {
    fn meter(&self) -> &Meter {
        self.meter
    }

    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        let Candidate { tenant, signal, input } = *self.candidate;
        match root {
            Root::Signal => signal.map(|signal| Cow::Owned(signal.view())),
            Root::SignalPayload => signal.map(|signal| Cow::Borrowed(signal.payload.value())),
            Root::Tenant => Some(Cow::Owned(json!({"id": tenant.id, "slug": tenant.slug, "name": tenant.name}))),
            Root::Run => {
                let payload = signal.map(|signal| signal.payload.value());
                let input = input.map(Json::value).or(payload);
                Some(Cow::Owned(json!({"input": input})))
            }
            _ => None,
        }
    }
}

/// Keys are compared as text; long ones by what they are digested to.
fn key_text(key: &Json) -> Arc<str> {
    const BYTES_MAX: usize = 255;
    match key.value() {
        Value::String(text) if text.len() <= BYTES_MAX => text.as_str().into(),
        _ if key.text().len() <= BYTES_MAX => key.text().into(),
        _ => blake3::hash(key.text().as_bytes()).to_hex().as_str().into(),
    }
}
