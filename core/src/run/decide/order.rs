//! Which steps may begin: read off the edges into each, and its `when`; and when all is done.

use super::super::record::{RunChange, RunRecord, StepChange, StepRecord};
use super::super::{Place, Status, StepStatus};
use super::{Plan, Todo};
use crate::workflow::{Edge, EdgeKind, Join, On, OnError};
use crate::{Failure, RecordId};

enum Entry {
    Wait,
    Begin,
    Skip(String),
    Fail(Failure),
}

impl Plan<'_> {
    /// Does what may follow, and what follows from that, until it is quiet or the budget is spent.
    pub(super) fn advance(&mut self) {
        loop {
            if self.is_cut() {
                return self.leave_rest();
            }
            self.setting.meter.begin_entry();
            let is_running = self.run.status == Status::Running;
            match self.next_todo() {
                Some(Todo::Check(index, _)) if is_running => self.check(index),
                Some(Todo::Act(place)) if is_running => self.act_now(place),
                // Where the run stands still, or is to end, nothing begins any more.
                Some(Todo::Check(..) | Todo::Act(_)) => {}
                Some(Todo::Items(index, until)) => self.next_items(index, until),
                None if is_running && self.run.steps.all_settled() => self.complete(),
                None => return,
            }
        }
    }

    fn check(&mut self, index: usize) {
        if self.run.steps[index].status != StepStatus::Pending {
            return;
        }
        let place = Place::step(index);
        match self.entry(index) {
            Entry::Wait => {}
            Entry::Begin => {
                self.cause = self.latest_before(index);
                self.begin_step(index);
            }
            Entry::Skip(reason) => {
                self.cause = self.latest_before(index);
                let record = StepRecord { reason: Some(reason), ..StepRecord::default() };
                self.emit_step(place, StepChange::Skipped, record);
            }
            Entry::Fail(failure) => {
                self.cause = self.latest_before(index);
                self.place_failed(place, failure, StepRecord::default());
            }
        }
    }

    fn entry(&self, index: usize) -> Entry {
        match self.setting.workflow.steps[index].join {
            Join::All => self.entry_of_all(index),
            Join::AtLeast(wanted) => self.entry_of_some(index, wanted as usize),
        }
    }

    /// Every edge has settled, what is needed is there, and of the transitions one is taken.
    fn entry_of_all(&self, index: usize) -> Entry {
        let edges = &self.setting.workflow.steps[index].after;
        let open = edges.iter().position(|edge| !self.run.steps[edge.from].status.is_settled());
        // Each step before this one looks at its edges again when it settles.
        self.setting.meter.charge_entries(open.unwrap_or(edges.len()));
        if open.is_some() {
            return Entry::Wait;
        }
        let (mut transitions, mut taken) = (0, 0);
        for edge in edges {
            let is_transition = matches!(edge.kind, EdgeKind::Transition { .. });
            transitions += usize::from(is_transition);
            match self.is_taken(edge) {
                Ok(true) => taken += usize::from(is_transition),
                Ok(false) if is_transition || matches!(edge.kind, EdgeKind::Order) => {}
                Ok(false) => {
                    let (id, status) = self.end_of(edge.from);
                    return Entry::Skip(format!("step `{id}` was {status}"));
                }
                Err(failure) => return Entry::Fail(failure),
            }
        }
        match (transitions, taken) {
            (1.., 0) => Entry::Skip("no transition to it was taken".to_owned()),
            _ => Entry::Begin,
        }
    }

    /// So many edges are satisfied or taken, or can still be.
    fn entry_of_some(&self, index: usize, wanted: usize) -> Entry {
        let (mut taken, mut open) = (0, 0);
        let edges = &self.setting.workflow.steps[index].after;
        self.setting.meter.charge_entries(edges.len());
        for edge in edges.iter().filter(|edge| !matches!(edge.kind, EdgeKind::Order)) {
            if !self.run.steps[edge.from].status.is_settled() {
                open += 1;
                continue;
            }
            match self.is_taken(edge) {
                Ok(is_taken) => taken += usize::from(is_taken),
                Err(failure) => return Entry::Fail(failure),
            }
        }
        if taken >= wanted {
            Entry::Begin
        } else if taken + open < wanted {
            Entry::Skip(format!("only {taken} of the {wanted} edges that it waits for were taken"))
        } else {
            Entry::Wait
        }
    }

    /// Whether an edge from a step that has settled lets the next one begin.
    fn is_taken(&self, edge: &Edge) -> Result<bool, Failure> {
        let status = self.run.steps[edge.from].status;
        match &edge.kind {
            EdgeKind::Order => Ok(true),
            EdgeKind::Needs => {
                let continues = self.setting.workflow.steps[edge.from].on_error == OnError::Continue;
                Ok(status == StepStatus::Completed || status == StepStatus::Failed && continues)
            }
            EdgeKind::Transition { on, when } => {
                let ended_so = match on {
                    On::Completed => status == StepStatus::Completed,
                    On::Failed => status == StepStatus::Failed,
                    On::Settled => matches!(status, StepStatus::Completed | StepStatus::Failed),
                };
                match when.as_ref().filter(|_| ended_so) {
                    Some(when) => when.holds(&self.view()),
                    None => Ok(ended_so),
                }
            }
        }
    }

    /// Whether a transition takes up that a step failed. One whose `when` cannot be told fails the step
    /// that it leads to, which is taking it up as well.
    pub(super) fn failure_is_taken_up(&self, index: usize) -> bool {
        let steps = &self.setting.workflow.steps;
        let is_for_failures = |edge: &&Edge| {
            edge.from == index && matches!(edge.kind, EdgeKind::Transition { on: On::Failed | On::Settled, .. })
        };
        let edges_into = |next: &usize| {
            self.setting.meter.charge_entries(steps[*next].after.len());
            steps[*next].after.iter()
        };
        let mut edges = steps[index].before.iter().flat_map(edges_into).filter(is_for_failures);
        edges.any(|edge| self.is_taken(edge).unwrap_or(true))
    }

    fn end_of(&self, index: usize) -> (&str, &'static str) {
        (&self.setting.workflow.steps[index].id, self.run.steps[index].status.as_str())
    }

    /// The signal that settled the last of the steps that this one waited for; what waits for none
    /// follows from the start. Ids rise with time.
    fn latest_before(&self, index: usize) -> RecordId {
        let edges = &self.setting.workflow.steps[index].after;
        let settled = |edge: &Edge| {
            let step = &self.run.steps[edge.from];
            step.signal_id.filter(|_| step.status.is_settled())
        };
        edges.iter().filter_map(settled).max().map_or(self.origin, RecordId::from)
    }

    fn complete(&mut self) {
        let last = self.run.steps.iter().filter_map(|step| step.signal_id).max();
        self.cause = last.map_or(self.origin, RecordId::from);
        let output = self.setting.workflow.output.as_ref().map(|output| output.render(&self.view()));
        match output.transpose() {
            Ok(output) => {
                let record = RunRecord { output, ..self.run_record() };
                self.emit_run(RunChange::Completed, record);
            }
            Err(failure) => {
                let message = format!("output: {}", failure.message);
                self.fail(Failure { message, ..failure });
            }
        }
    }
}
