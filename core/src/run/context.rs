//! What the expressions of a run see. Nothing is copied that is not referenced.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Value, json};

use super::{Place, Run, StepStatus};
use crate::expression::{Context, Root};
use crate::tenant::Tenant;
use crate::workflow::Workflow;
use crate::{Json, Meter, Signal};

/// Everything about a run that does not change while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub workflow: &'a Workflow,
    pub tenant: &'a Tenant,
    /// The signal that triggered the run.
    pub signal: Option<&'a Signal>,
    /// What the work of the decision is charged to.
    pub meter: &'a Meter,
}

/// The setting and the run as it is now, seen from one of its places, or from none.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub setting: Setting<'a>,
    pub run: &'a Run,
    pub fixed: &'a Fixed,
    pub place: Option<Place>,
    /// The signal that is offered to a wait.
    pub event: Option<&'a Event<'a>>,
}

/// What no move of the run changes, written out once however many steps read it.
#[derive(Default)]
pub(super) struct Fixed {
    signal: OnceCell<Value>,
    run: OnceCell<Value>,
}

pub(super) struct Event<'a> {
    signal: &'a Signal,
    meter: &'a Meter,
    view: OnceCell<Value>,
}

impl<'a> Event<'a> {
    pub fn new(signal: &'a Signal, meter: &'a Meter) -> Self {
        Self { signal, meter, view: OnceCell::new() }
    }

    pub fn view(&self) -> &Value {
        self.view.get_or_init(|| view_of(self.signal, self.meter))
    }
}

/// Writing a signal out is work, however little of it is read.
fn view_of(signal: &Signal, meter: &Meter) -> Value {
    meter.charge_bytes(signal.payload.text().len());
    signal.view()
}

impl Context for View<'_> {
    fn meter(&self) -> &Meter {
        self.setting.meter
    }

    fn list_len(&self, root: Root<'_>) -> Option<usize> {
        let Root::StepOutput(id) = root else { return None };
        let step = self.output_of(id)?;
        step.is_gathered().then(|| step.items.as_ref().map_or(0, |items| items.steps.len()))
    }

    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        let signal = self.setting.signal;
        match root {
            Root::Signal => {
                signal.map(|signal| Cow::Borrowed(self.fixed.signal.get_or_init(|| self.signal_view(signal))))
            }
            Root::SignalPayload => signal.map(|signal| Cow::Borrowed(self.payload(signal).value())),
            Root::Tenant => Some(Cow::Owned(tenant_view(self.setting.tenant))),
            Root::Run => Some(Cow::Borrowed(self.fixed.run.get_or_init(|| self.run_view()))),
            Root::StepStatus(id) => self.step(id).map(|step| Cow::Owned(Value::from(step.status.as_str()))),
            Root::StepOutput(id) => self.output(id).map(|output| Cow::Borrowed(output.value())),
            Root::StepError(id) => {
                let error = self.step(id)?.error.as_ref()?;
                let view = json!({"code": error.code, "message": error.message, "retryable": error.retryable});
                Some(Cow::Owned(view))
            }
            Root::Item => self.item().map(Cow::Borrowed),
            Root::Index => self.place?.item.map(|index| Cow::Owned(Value::from(index))),
            Root::Repeat => self.repeat().map(Cow::Owned),
            Root::Event => self.event.map(|event| Cow::Borrowed(event.view())),
            Root::EventPayload => self.event.map(|event| Cow::Borrowed(event.signal.payload.value())),
        }
    }
}

impl View<'_> {
    fn step(&self, id: &str) -> Option<&super::Step> {
        let index = *self.setting.workflow.index.get(id)?;
        self.run.steps.get(index)
    }

    /// A step's output once it has completed; where it is undone, of the very part that is.
    fn output(&self, id: &str) -> Option<&Json> {
        let step = self.output_of(id)?;
        if step.is_gathered() && !step.has_gathered() {
            self.setting.meter.charge_bytes(step.items.as_ref().map_or(0, |items| items.steps.bytes()));
        }
        step.output()
    }

    fn output_of(&self, id: &str) -> Option<&super::Step> {
        let index = *self.setting.workflow.index.get(id)?;
        match self.place.filter(|place| place.undo && place.index() == index) {
            // A step that failed after its effect has an output as well.
            Some(own) => self.run.at(own.done()),
            None => self.run.steps.get(index).filter(|step| step.status == StepStatus::Completed),
        }
    }

    /// Of `for_each`: worked out from the definition once, and then kept with the items.
    fn item(&self) -> Option<&Value> {
        let place = self.place?;
        let for_each = self.setting.workflow.steps.get(place.index())?.for_each.as_ref()?;
        let items = self.run.steps.get(place.index())?.items.as_ref()?;
        let item = place.item? as usize;
        // Most lists stand somewhere as they are. `for_each` sees nothing that depends on the place.
        if let Some(Ok(Cow::Borrowed(list))) = for_each.items.borrow(self) {
            return list.get(item);
        }
        let list = items.list(|| {
            let outside = View { place: None, ..*self };
            for_each.items.render(&outside).map_or(Value::Null, |list| list.value().clone())
        });
        list.get(item)
    }

    fn repeat(&self) -> Option<Value> {
        let place = self.place?;
        let step = self.run.at(place.done())?;
        // What a step gave before it was reset is only seen by its compensation.
        let output = step.output.as_ref().filter(|_| place.undo || step.iteration > 0);
        let output = output.map_or(Value::Null, |output| output.value().clone());
        Some(json!({"iteration": step.iteration, "output": output}))
    }

    /// A run that is done again with a corrected input sees that as the signal's payload.
    fn payload<'s>(&'s self, signal: &'s Signal) -> &'s Json {
        self.run.input.as_ref().unwrap_or(&signal.payload)
    }

    fn signal_view(&self, signal: &Signal) -> Value {
        let mut view = view_of(signal, self.setting.meter);
        if let Some(input) = &self.run.input {
            view["payload"] = input.value().clone();
        }
        view
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
    meter: &'a Meter,
    view: OnceCell<Value>,
}

impl<'a> TriggerView<'a> {
    pub fn new(tenant: &'a Tenant, signal: &'a Signal, meter: &'a Meter) -> Self {
        Self { tenant, signal, meter, view: OnceCell::new() }
    }
}

impl Context for TriggerView<'_> {
    fn meter(&self) -> &Meter {
        self.meter
    }

    fn resolve(&self, root: Root<'_>) -> Option<Cow<'_, Value>> {
        match root {
            Root::Signal => Some(Cow::Borrowed(self.view.get_or_init(|| view_of(self.signal, self.meter)))),
            Root::SignalPayload => Some(Cow::Borrowed(self.signal.payload.value())),
            Root::Tenant => Some(Cow::Owned(tenant_view(self.tenant))),
            Root::Run | Root::StepStatus(_) | Root::StepOutput(_) | Root::StepError(_) => None,
            Root::Item | Root::Index | Root::Repeat | Root::Event | Root::EventPayload => None,
        }
    }
}
