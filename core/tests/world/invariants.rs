//! What holds after every decision.

use std::collections::{BTreeMap, HashMap, HashSet};

use fleetprompt_core::RecordId;
use fleetprompt_core::run::{self, Effect, Place, Run, Status, Step, StepStatus, Steps};

use super::World;

impl World {
    pub fn check(&self) {
        self.the_log_gives_the_run();
        self.every_cause_is_on_record();
        self.what_is_asked_for_twice_says_so();
        every_tally_is_true(&self.run.steps);
        for (place, step) in rows(&self.run) {
            is_whole(&self.run, place, &step);
        }
        self.no_signal_is_consumed_twice();
        self.a_run_that_has_ended_is_still_and_another_is_not_stuck();
    }

    fn no_signal_is_consumed_twice(&self) {
        let rows = rows(&self.run);
        let all: Vec<_> = rows.values().filter_map(|step| step.consumed).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "each signal ends one wait of the run");
        assert!(all.iter().all(|id| self.run.has_consumed(*id)), "what a place consumed the run knows");
    }

    fn the_log_gives_the_run(&self) {
        let folded = run::fold(&self.workflow, &self.log);
        let continuation = self.run.continuation.clone();
        let folded = folded.map(|folded| Run { continuation, ..folded });
        assert_eq!(folded.as_ref(), Some(&self.run), "the log gives the run:\n{}", self.timeline());
        assert!(self.log.is_sorted_by(|a, b| a.id < b.id), "ids strictly rise");
    }

    fn every_cause_is_on_record(&self) {
        let mut known: HashSet<RecordId> = [self.trigger.id.into(), self.run.directive_id.into()].into();
        known.insert(self.run.id.into());
        known.extend(self.heard.iter().map(|id| RecordId::from(*id)));
        for signal in &self.log {
            let cause = signal.lineage.causation_id.expect("no signal of a run is a root fact");
            assert!(known.contains(&cause), "{} has a cause that is on record before it", signal.name);
            assert_eq!(signal.lineage.correlation_id, self.run.lineage.correlation_id);
            assert_eq!((signal.run_id, signal.tenant), (Some(self.run.id), self.run.tenant));
            known.insert(signal.id.into());
        }
    }

    /// A key stands for one effect, unless an operator had it asked for again.
    fn what_is_asked_for_twice_says_so(&self) {
        let recorded: HashSet<RecordId> = self.log.iter().map(|signal| signal.id.into()).collect();
        let mut asked = HashMap::new();
        for effect in &self.effects {
            let Effect::Directive { key, id, again, lineage, place, .. } = effect else { continue };
            let earlier = asked.insert(key, id);
            assert!(earlier.is_none() || *again, "{key} is asked for twice and says so");
            let is_recorded = lineage.causation_id.is_some_and(|cause| recorded.contains(&cause));
            assert!(is_recorded, "{place:?} asks after it is on record that it does");
        }
    }

    fn a_run_that_has_ended_is_still_and_another_is_not_stuck(&self) {
        let run = &self.run;
        let under_way = rows(run).into_iter().find(|(_, step)| step.status.is_in_flight());
        assert!(run.continuation.is_none() || run.status == Status::Running, "only what runs goes on");
        if run.status.has_ended() {
            assert_eq!(under_way, None, "what was begun ends with the run:\n{}", self.timeline());
            assert_eq!((run.wake_at(), &run.standing, run.ended_at.is_some()), (None, &None, true));
            assert_eq!(run.status_by, self.log.last().map(|signal| signal.id), "the end is the last word");
            assert_eq!(run.error.is_some(), run.status == Status::Failed);
        } else {
            assert!(run.reason_to_wake().is_some(), "a reason to wake is left:\n{}\n{run:#?}", self.timeline());
            assert_eq!(run.standing.is_some(), run.status != Status::Running);
        }
    }
}

/// What is counted is what a recount gives.
fn every_tally_is_true(steps: &Steps) {
    assert_eq!(&steps.iter().cloned().collect::<Steps>(), steps, "the tallies of {} steps", steps.len());
    steps.iter().filter_map(|step| step.items.as_ref()).for_each(|items| every_tally_is_true(&items.steps));
}

/// What each status says about the rest of a row.
fn is_whole(run: &Run, place: Place, step: &Step) {
    let status = step.status;
    let is_settled = status.is_settled();
    assert_eq!(step.ended_at.is_some(), is_settled, "{place:?} is {status}");
    assert!(!is_settled || step.lock.is_none(), "{place:?} is {status} and holds a lock");
    assert!(!is_settled || step.due_at.is_none(), "{place:?} is {status} and due");
    let may_wait = matches!(status, StepStatus::Waiting | StepStatus::Canceling);
    assert!(step.waiting.is_none() || may_wait, "{place:?} is {status} and waits");
    assert!(step.waiting.is_some() || status != StepStatus::Waiting, "{place:?} waits for nothing");
    assert!(step.due_at.is_some() || status != StepStatus::Retrying, "{place:?} is never tried again");
    assert!(step.signal_id.is_some(), "{place:?} is {status} by no signal");
    let is_undoing = matches!(run.status, Status::Compensating);
    assert!(
        !place.undo || !status.is_in_flight() || is_undoing,
        "{place:?} is {status} in a run that is {}",
        run.status
    );
    if let Some(items) = run.at(place).and_then(|step| step.items.as_ref()) {
        assert!(!is_settled || items.steps.in_flight() == 0, "{place:?} is {status} and its items are not");
    }
}

/// The places at which two states of a run differ.
pub fn differences(before: &Run, after: &Run) -> Vec<Place> {
    let (before, after) = (rows(before), rows(after));
    let places: std::collections::BTreeSet<Place> = before.keys().chain(after.keys()).copied().collect();
    places.into_iter().filter(|place| before.get(place) != after.get(place)).collect()
}

/// Every place that is more than a step that has not begun, by itself.
pub fn rows(run: &Run) -> BTreeMap<Place, Step> {
    let mut rows = BTreeMap::new();
    for (index, step) in run.steps.iter().enumerate() {
        add(&mut rows, Place::step(index), step);
        let items = step.items.iter().flat_map(|items| items.steps.iter());
        items.enumerate().for_each(|(at, item)| add(&mut rows, Place::step(index).item(at as u32), item));
    }
    rows
}

fn add(rows: &mut BTreeMap<Place, Step>, place: Place, step: &Step) {
    let alone = Step { items: None, undo: None, ..step.clone() };
    if alone != Step::default() {
        rows.insert(place, alone);
    }
    if let Some(undo) = &step.undo {
        rows.insert(place.undo(), (**undo).clone());
    }
}
