//! How a decision is recorded: each move is a signal, and the run is what the signal makes of it.

use super::super::context::View;
use super::super::record::{RunChange, RunRecord, StepChange, StepRecord};
use super::super::{FlowKeys, Place, Step};
use super::Plan;
use crate::{Json, Meter, Name, RecordId, Signal, SignalId};

impl Plan<'_> {
    /// What is seen from nowhere in particular: by edges, and by the end.
    pub(super) fn view(&self) -> View<'_> {
        View { setting: self.setting, run: &self.run, fixed: &self.fixed, place: None, event: None }
    }

    pub(super) fn view_at(&self, place: Place) -> View<'_> {
        View { place: Some(place), ..self.view() }
    }

    /// What is at a place that is known to be there.
    pub(super) fn unit(&self, place: Place) -> &Step {
        self.run.at(place).expect("a decision only goes where the run has a place")
    }

    /// The signal that made a place what it is, as the cause of what follows.
    pub(super) fn caused_by_place(&mut self, place: Place) {
        let signal = self.run.at(place).and_then(|step| step.signal_id);
        self.cause = signal.map_or(self.origin, RecordId::from);
    }

    pub(super) fn run_record(&self) -> RunRecord {
        RunRecord {
            workflow: self.run.workflow.clone(),
            version: self.run.version.clone(),
            signal_id: None,
            directive_id: None,
            input: None,
            parent: None,
            source: None,
            descent: None,
            keys: FlowKeys::default(),
            queue: None,
            deadline: None,
            output: None,
            error: None,
            by: None,
            reason: None,
            ending: None,
            from: Vec::new(),
        }
    }

    pub(super) fn emit_run(&mut self, change: RunChange, record: RunRecord) -> SignalId {
        let signal = self.signal(change.signal_name(), Json::of(&record));
        self.run.evolve(change, &record, signal.id, signal.recorded_at);
        let id = signal.id;
        self.signals.push(signal);
        id
    }

    pub(super) fn emit_step(&mut self, place: Place, change: StepChange, record: StepRecord) -> SignalId {
        let step = &self.setting.workflow.steps[place.index()];
        let place = Place { undo: change.is_undo(), ..place };
        // What one iteration left to compensate stays so after the next one.
        let was_compensable = change != StepChange::Reset && self.run.at(place).is_some_and(|unit| unit.compensable);
        let record = StepRecord {
            step: step.id.clone(),
            kind: step.kind.name().to_owned(),
            item: place.item,
            compensable: record.compensable || was_compensable,
            ..record
        };
        let signal = self.signal(change.signal_name(), Json::of(&record));
        let (id, at) = (signal.id, signal.recorded_at);
        self.signals.push(signal);
        self.run.change(place, |unit| unit.evolve(change, &record, id, at));
        self.changed.push(place);
        let is_step = place.item.is_none() && !place.undo;
        if is_step && self.run.steps[place.index()].status.is_settled() {
            step.before.iter().for_each(|next| self.check_later(*next));
        }
        id
    }

    fn signal(&mut self, name: &'static str, payload: Json) -> Signal {
        let at = self.moment.now();
        self.setting.meter.charge(Meter::SIGNAL_UNITS);
        self.setting.meter.charge_bytes(payload.text().len());
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
