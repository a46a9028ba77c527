//! Effects of an engine that is driven manually: the caller performs them, once they have a slot or a worker.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use fleetprompt_core::directive::{Directive, HandlerKind};
use fleetprompt_core::run::{Effect, Place, Run};
use fleetprompt_core::workflow::{Priority, Workflow};
use fleetprompt_core::{SignalId, TenantId};
use parking_lot::Mutex;

use super::{PerformBounds, Task, TaskKind};
use crate::cache::OpenRun;
use crate::clock::MonotonicClock;
use crate::input::Outcome;
use crate::perform::{EffectId, For, Perform, Performing, Ready, Sent, Slot, Slots, Waiting, When, offered};
use crate::workers::{InputBudget, Offer, Workers};
use crate::{Directory, Metrics};

pub(super) struct Hands {
    directory: Arc<ArcSwap<Directory>>,
    slots: Option<Arc<Slots>>,
    ready: Sender<Ready>,
    performing: Arc<Performing>,
    workers: Option<Workers>,
    effects: Mutex<Effects>,
}

#[derive(Default)]
struct Effects {
    /// Begun, and not known to the caller yet.
    begun: Vec<Task>,
    waiting: Vec<(EffectId, Task)>,
    held: Vec<(Task, Slot)>,
}

impl Hands {
    pub fn new(
        performs: Option<PerformBounds>,
        directory: Arc<ArcSwap<Directory>>,
        (outcomes, ready): (Sender<Outcome>, Sender<Ready>),
        clock: &MonotonicClock,
    ) -> Self {
        let workers = performs.map(|of| {
            let inputs = Arc::new(InputBudget::new(of.input_bytes, Arc::default()));
            Workers::new(of.lease, outcomes, inputs, &Metrics::default(), clock.clone())
        });
        let slots = performs.map(|of| Arc::new(Slots::new(of.effects_max, Arc::default())));
        Self { directory, slots, ready, performing: Arc::default(), workers, effects: Mutex::default() }
    }

    pub fn workers(&self) -> Option<&Workers> {
        self.workers.as_ref()
    }

    pub fn expire_leases(&self) {
        let Some(workers) = self.workers() else { return };
        workers.expire();
        while workers.until_next().is_some_and(|until| until.is_zero()) {
            workers.expire();
        }
    }

    pub fn take_begun(&self) -> Vec<Task> {
        std::mem::take(&mut self.effects.lock().begun)
    }

    /// What has not begun is left to the next engine.
    pub fn drop_waiting(&self) {
        // None is counted as in flight there, so this is done at once.
        let held = pin!(self.performing.hold(Duration::ZERO)).poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(held.is_ready());
        self.effects.lock().waiting.clear();
    }

    pub fn waiting(&self) -> Vec<Task> {
        self.effects.lock().waiting.iter().map(|(_, task)| task.clone()).collect()
    }

    pub fn slots_taken(&self) -> usize {
        self.effects.lock().held.len()
    }

    /// Its slot is free, however often this is said.
    pub fn ended(&self, task: &Task) {
        let slot = {
            let mut effects = self.effects.lock();
            let held = effects.held.iter().position(|(held, _)| held.is(task));
            held.map(|at| effects.held.swap_remove(at))
        };
        drop(slot);
    }

    fn perform(&self, task: Task, priority: Priority) -> Sent {
        let Some(slots) = &self.slots else {
            self.effects.lock().begun.push(task);
            return Sent::Now;
        };
        if let Some(slot) = slots.take(task.tenant) {
            self.begin(task, slot);
            return Sent::Now;
        }
        let (effect, of) = (task.effect(), For::of(&self.directory.load(), task.tenant, priority));
        self.effects.lock().waiting.push((effect, task));
        slots.wait(of, Waiting { effect, ready: self.ready.clone(), performing: self.performing.clone() });
        Sent::Later
    }

    fn begin(&self, task: Task, slot: Slot) {
        let mut effects = self.effects.lock();
        let effect = task.effect();
        effects.waiting.retain(|(waiting, _)| *waiting != effect);
        effects.begun.push(task.clone());
        effects.held.push((task, slot));
    }
}

impl Perform for Arc<Hands> {
    fn step(&self, open: &OpenRun, effect: Effect, begun: SignalId, when: When) {
        if let (Effect::Function { .. }, Some(workers)) = (&effect, self.workers()) {
            let offer = offered::step(&self.directory.load(), open, effect, begun);
            offer.into_iter().for_each(|offer| workers.offer_by(offer, when));
        } else if let Some(task) = Task::of_step(open.run.tenant, effect, begun) {
            self.perform(task, open.workflow.priority);
        }
    }

    fn directive(&self, directive: Arc<Directive>, workflow: Option<Arc<Workflow>>, when: When) -> Sent {
        if let (HandlerKind::Worker, Some(workers)) = (directive.handler, self.workers()) {
            let attempt = offered::directive(&self.directory.load(), &directive, workflow.as_deref());
            let offer = |attempt| Offer { attempt, input: directive.payload.clone() };
            attempt.into_iter().for_each(|attempt| workers.offer_by(offer(attempt), when));
            return Sent::Now;
        }
        let priority = workflow.map_or(Priority::Normal, |workflow| workflow.priority);
        self.perform(Task::of_directive(directive), priority)
    }

    fn step_in(&self, open: &OpenRun, effect: Effect, begun: SignalId, slot: Slot) {
        if let Some(task) = Task::of_step(open.run.tenant, effect, begun) {
            self.begin(task, slot);
        }
    }

    fn directive_in(&self, directive: Arc<Directive>, slot: Slot) {
        self.begin(Task::of_directive(directive), slot);
    }

    fn in_flight(&self) -> usize {
        self.effects.lock().held.len()
    }

    fn withdraw(&self, directive: &Directive) {
        self.workers().into_iter().for_each(|workers| workers.withdraw(directive));
    }

    fn changed(&self, run: &Run, places: &[Place]) {
        self.workers().into_iter().for_each(|workers| workers.keep_only(run, places));
    }

    fn flush(&self) {
        self.workers().into_iter().for_each(Workers::serve);
    }
}

impl Task {
    fn of_step(tenant: TenantId, effect: Effect, begun: SignalId) -> Option<Self> {
        let (kind, attempt, key) = match effect {
            Effect::Agent { run, place, attempt, agent, input, key, .. } => {
                (TaskKind::Agent { run, place, agent, input }, attempt, key)
            }
            Effect::Function { run, place, attempt, function, input, key, .. } => {
                (TaskKind::Function { run, place, function, input }, attempt, key)
            }
            _ => return None,
        };
        Some(Self { tenant, kind, attempt, key, begun: Some(begun) })
    }

    fn of_directive(directive: Arc<Directive>) -> Self {
        let (tenant, attempt, key) = (directive.tenant, directive.attempt, directive.idempotency_key.clone());
        Self { tenant, kind: TaskKind::Directive(directive), attempt, key, begun: None }
    }

    fn effect(&self) -> EffectId {
        let (attempt, begun) = (self.attempt, self.begun.unwrap_or(SignalId(uuid::Uuid::nil())));
        match &self.kind {
            TaskKind::Directive(directive) => EffectId::Directive { id: directive.id, attempt },
            TaskKind::Agent { run, place, .. } | TaskKind::Function { run, place, .. } => {
                EffectId::Step { run: *run, place: *place, attempt, begun }
            }
        }
    }

    /// Whether it is the same attempt.
    fn is(&self, other: &Self) -> bool {
        let started_at = |task: &Self| match &task.kind {
            TaskKind::Directive(directive) => directive.started_at,
            TaskKind::Agent { .. } | TaskKind::Function { .. } => None,
        };
        let of = |task: &Self| (task.tenant, task.attempt, task.begun);
        of(self) == of(other) && self.key == other.key && started_at(self) == started_at(other)
    }
}
