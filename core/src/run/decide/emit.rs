//! How a decision is recorded: each move is a signal, and the run is what the signal makes of it.

use super::super::context::View;
use super::super::record::{RunChange, RunRecord, StepChange, StepRecord};
use super::Plan;
use crate::{Json, Name, Signal, SignalId};

impl Plan<'_> {
    pub(super) fn view(&self) -> View<'_> {
        View { setting: self.setting, run: &self.run, fixed: &self.fixed }
    }

    pub(super) fn run_record(&self) -> RunRecord {
        RunRecord {
            workflow: self.run.workflow.clone(),
            version: self.run.version.clone(),
            signal_id: None,
            directive_id: None,
            input: None,
            deadline: None,
            output: None,
            error: None,
            by: None,
            reason: None,
        }
    }

    pub(super) fn emit_run(&mut self, change: RunChange, record: RunRecord) -> SignalId {
        let signal = self.signal(change.signal_name(), Json::of(&record));
        self.run.evolve(change, &record, signal.id, signal.recorded_at);
        let id = signal.id;
        self.signals.push(signal);
        id
    }

    pub(super) fn emit_step(&mut self, index: usize, change: StepChange, record: StepRecord) -> SignalId {
        let step = &self.setting.workflow.steps[index];
        let record = StepRecord { step: step.id.clone(), kind: step.kind.name().to_owned(), ..record };
        let signal = self.signal(change.signal_name(), Json::of(&record));
        self.run.steps[index].evolve(change, &record, signal.id, signal.recorded_at);
        let id = signal.id;
        self.signals.push(signal);
        self.changed.push(index);
        if self.run.steps[index].status.is_settled() {
            self.queue.extend(&step.before);
        }
        id
    }

    fn signal(&mut self, name: &'static str, payload: Json) -> Signal {
        let at = self.moment.now();
        Signal {
            id: SignalId(self.moment.uuid()),
            tenant: self.run.tenant,
            name: Name::known(name),
            subject: None,
            actor: None,
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage: self.run.lineage.caused_by(self.cause),
            run_id: Some(self.run.id),
            directive_id: None,
            occurred_at: at,
            recorded_at: at,
            payload,
        }
    }
}
