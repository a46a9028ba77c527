//! What the expressions of a run see. Nothing is copied that is not referenced.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Value, json};

use super::Run;
use crate::Signal;
use crate::expression::{Context, Root};
use crate::tenant::Tenant;
use crate::workflow::Workflow;

/// Everything about a run that does not change while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub workflow: &'a Workflow,
    pub tenant: &'a Tenant,
    /// The signal that triggered the run.
    pub signal: Option<&'a Signal>,
}

/// The setting and the run as it is now.
pub(super) struct View<'a> {
    pub setting: Setting<'a>,
    pub run: &'a Run,
    pub fixed: &'a Fixed,
}

/// What no move of the run changes, written out once however many steps read it.
#[derive(Default)]
pub(super) struct Fixed {
    signal: OnceCell<Value>,
    run: OnceCell<Value>,
}

impl Context for View<'_> {
    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        let signal = self.setting.signal;
        match root {
            Root::Signal => signal.map(|signal| Cow::Borrowed(self.fixed.signal.get_or_init(|| signal.view()))),
            Root::SignalPayload => signal.map(|signal| Cow::Borrowed(signal.payload.value())),
            Root::Tenant => Some(Cow::Owned(tenant_view(self.setting.tenant))),
            Root::Run => Some(Cow::Borrowed(self.fixed.run.get_or_init(|| self.run_view()))),
            Root::StepStatus(id) => self.step(id).map(|step| Cow::Owned(Value::from(step.status.as_str()))),
            Root::StepOutput(id) => Some(Cow::Borrowed(self.step(id)?.output.as_ref()?.value())),
            Root::StepError(id) => {
                let error = self.step(id)?.error.as_ref()?;
                Some(Cow::Owned(json!({"code": error.code, "message": error.message})))
            }
        }
    }
}

impl View<'_> {
    fn step(&self, id: &str) -> Option<&super::Step> {
        let index = *self.setting.workflow.index.get(id)?;
        self.run.steps.get(index)
    }

    fn run_view(&self) -> Value {
        let given = self.run.input.as_ref().map(|input| input.value());
        let input = given.or(self.setting.signal.map(|signal| signal.payload.value()));
        json!({
            "id": self.run.id,
            "workflow": self.run.workflow,
            "version": &*self.run.version,
            "started_at": self.run.started_at,
            "correlation_id": &*self.run.lineage.correlation_id,
            "input": input,
        })
    }
}

fn tenant_view(tenant: &Tenant) -> Value {
    json!({"id": tenant.id, "slug": tenant.slug, "name": tenant.name})
}

/// What a trigger's `when` sees: the signal and the tenant, and no run yet.
pub struct TriggerView<'a> {
    pub tenant: &'a Tenant,
    pub signal: &'a Signal,
    view: OnceCell<Value>,
}

impl<'a> TriggerView<'a> {
    pub fn new(tenant: &'a Tenant, signal: &'a Signal) -> Self {
        Self { tenant, signal, view: OnceCell::new() }
    }
}

impl Context for TriggerView<'_> {
    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        match root {
            Root::Signal => Some(Cow::Borrowed(self.view.get_or_init(|| self.signal.view()))),
            Root::SignalPayload => Some(Cow::Borrowed(self.signal.payload.value())),
            Root::Tenant => Some(Cow::Owned(tenant_view(self.tenant))),
            Root::Run | Root::StepStatus(_) | Root::StepOutput(_) | Root::StepError(_) => None,
        }
    }
}
