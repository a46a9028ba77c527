//! What the store says, read as it grows: the log, and the rows of whatever the log spoke of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::run::{Place, Run, Step};
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{DirectiveId, RunId, Signal, Slug, TenantId, Timestamp};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Page, SignalFilter, Store};
use uuid::Uuid;

use crate::check::{Held, hold};

#[derive(Default)]
pub struct Seen {
    cursors: BTreeMap<TenantId, Option<Uuid>>,
    pub runs: BTreeMap<RunId, Run>,
    pub directives: BTreeMap<DirectiveId, Directive>,
    /// When those that began anew did so last.
    pub reopened: BTreeMap<DirectiveId, Timestamp>,
    /// The record of each run, without that of its directives.
    pub logs: BTreeMap<RunId, Vec<Signal>>,
    pub facts: Vec<(TenantId, fleetprompt_core::SignalId)>,
    workflows: BTreeMap<(TenantId, Slug, Arc<str>), Arc<Workflow>>,
    digest: blake3::Hasher,
    pub signals: usize,
}

impl Seen {
    /// What is new, and the rows as they are after it.
    pub fn look(&mut self, store: &MemoryStore, tenants: &[TenantId]) -> Result<Vec<Signal>, String> {
        let mut fresh = Vec::new();
        for tenant in tenants {
            let cursor = self.cursors.entry(*tenant).or_default();
            loop {
                let page = Page::after(*cursor, 1_000);
                let signals = store.signals(*tenant, &SignalFilter::default(), page).map_err(|e| e.to_string())?;
                let Some(last) = signals.last() else { break };
                *cursor = Some(last.id.0);
                fresh.extend(signals);
            }
        }
        for signal in &fresh {
            self.record(signal);
        }
        self.read_rows(store, &fresh)?;
        Ok(fresh)
    }

    fn record(&mut self, signal: &Signal) {
        self.signals += 1;
        self.digest.update(signal.id.0.as_bytes());
        self.digest.update(signal.name.as_str().as_bytes());
        self.digest.update(signal.payload.text().as_bytes());
        match (signal.directive_id, signal.run_id) {
            (Some(id), _) if signal.name.as_str() == "directive.reopened" => {
                self.reopened.insert(id, signal.recorded_at);
            }
            (Some(_), _) => {}
            (None, Some(id)) => self.logs.entry(id).or_default().push(signal.clone()),
            (None, None) => self.facts.push((signal.tenant, signal.id)),
        }
    }

    /// Each row once, however much is new about it.
    fn read_rows(&mut self, store: &MemoryStore, fresh: &[Signal]) -> Held {
        let directives: BTreeSet<_> = fresh.iter().filter_map(|one| Some((one.tenant, one.directive_id?))).collect();
        let mut runs: BTreeSet<_> = fresh.iter().filter_map(|one| Some((one.tenant, one.run_id?))).collect();
        // The rest of a decision that was cut off may leave no signal of its run.
        let cut = self.runs.values().filter(|run| run.continuation.is_some());
        runs.extend(cut.map(|run| (run.tenant, run.id)));
        for (tenant, id) in directives {
            let row = store.directive(tenant, id).map_err(|error| error.to_string())?;
            self.directives.insert(id, row.ok_or_else(|| format!("{id} has a log and no row"))?);
        }
        for (tenant, id) in runs {
            let row = store.run(tenant, id).map_err(|error| error.to_string())?;
            self.runs.insert(id, row.ok_or_else(|| format!("{id} has a log and no row"))?);
        }
        let is_foreign = |signal: &&Signal| {
            let run = signal.run_id.and_then(|id| self.runs.get(&id));
            run.is_some_and(|run| run.tenant != signal.tenant)
        };
        let foreign = fresh.iter().find(is_foreign);
        hold(foreign.is_none(), || format!("{:?} is about a run of another tenant", foreign.map(|signal| signal.id)))
    }

    pub fn digest(&self) -> String {
        self.digest.finalize().to_hex().to_string()
    }

    /// The definition that a run follows.
    pub fn read_workflows(&mut self, store: &MemoryStore) -> Held {
        for run in self.runs.values() {
            let key = (run.tenant, run.workflow.clone(), run.version.clone());
            if self.workflows.contains_key(&key) {
                continue;
            }
            let stored = store.workflow_version(run.tenant, &run.workflow, &run.version).map_err(|e| e.to_string())?;
            let stored = stored.ok_or_else(|| format!("{} follows a version that is not there", run.id))?;
            let read = workflow::read(stored.document.text(), Format::Json, &Catalog::default());
            let (workflow, _) = read.map_err(|_| format!("{} {} cannot be read again", stored.slug, stored.version))?;
            self.workflows.insert(key, Arc::new(workflow.in_revision(stored.language)));
        }
        Ok(())
    }

    pub fn workflow(&self, run: &Run) -> &Workflow {
        &self.workflows[&(run.tenant, run.workflow.clone(), run.version.clone())]
    }

    pub fn open_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|run| !run.status.has_ended())
    }

    /// `step`, or `step[item]`, and of which run.
    pub fn name_of(&self, run: &Run, place: Place) -> String {
        let step = &self.workflow(run).steps[place.index()].id;
        let item = place.item.map(|item| format!("[{item}]")).unwrap_or_default();
        format!("{}{step}{item} of {}", if place.undo { "the undoing of " } else { "" }, run.id)
    }
}

/// What is under way somewhere in a run, without the steps that only gather items.
pub fn in_flight(run: &Run) -> impl Iterator<Item = (Place, &Step)> {
    let unit = |place| Some((place, run.at(place)?));
    run.places().filter_map(unit).filter(|(_, step)| step.status.is_in_flight() && step.items.is_none())
}
