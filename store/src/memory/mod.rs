//! Everything in maps behind one mutex: what the contract means, with nothing that could hide it.
//!
//! For tests and simulation. It keeps nothing when the process ends.

mod commit;
mod lists;
mod work;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ScheduleEntry, WorkflowEntry, WorkflowVersion,
};
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus, Steps};
use fleetprompt_core::signal::{DedupeKey, Disposition, DispositionKind};
use fleetprompt_core::tenant::{Key, Tenant};
use fleetprompt_core::{DirectiveId, KeyId, Name, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use parking_lot::Mutex;

use crate::rows::{ReadBudget, bytes_of_directive, bytes_of_run};
use crate::{
    Batch, DirectiveFilter, Directory, Error, ModuleWrite, OpenWork, Page, Result, RootUsage, RunFilter, RunPart,
    SignalFilter, StepRange, Store, TriggeredRun, WaitingFilter,
};

#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Commits before those that fail.
    commits_to_pass: usize,
    commits_to_fail: usize,
    /// Whether the next commit is written before it says that its outcome is unknown; `None` if it says what is true.
    next_unknown: Option<bool>,
    /// No value that has this text can be written.
    unstorable: Option<String>,
    commits_refused: usize,
    refused_before_commit: usize,
    /// A run that cannot be read.
    damaged: Option<RunId>,
    signals: BTreeMap<(TenantId, SignalId), Arc<Signal>>,
    dedupe_keys: BTreeMap<(TenantId, DedupeKey), SignalId>,
    dispositions: BTreeMap<(TenantId, SignalId, Slug, Option<RunId>), Disposition>,
    directives: BTreeMap<(TenantId, DirectiveId), Arc<Directive>>,
    directive_keys: BTreeMap<(TenantId, String), DirectiveId>,
    runs: BTreeMap<(TenantId, RunId), Run>,
    tenants: BTreeMap<TenantId, Tenant>,
    keys: BTreeMap<KeyId, Key>,
    workflows: BTreeMap<(TenantId, Slug), WorkflowEntry>,
    workflow_versions: BTreeMap<(TenantId, Slug, String), WorkflowVersion>,
    agents: BTreeMap<(TenantId, Slug), AgentEntry>,
    directive_types: BTreeMap<(TenantId, Name), DirectiveTypeEntry>,
    functions: BTreeMap<(TenantId, Name), FunctionEntry>,
    modules: BTreeMap<(TenantId, ModuleDigest), ModuleWrite>,
    schedules: BTreeMap<(TenantId, Slug), ScheduleEntry>,
}

impl MemoryStore {
    /// The next `count` commits write nothing and say so, as a full disk would.
    pub fn fail_next_commits(&self, count: usize) {
        self.state.lock().commits_to_fail = count;
    }

    /// The next commit says that its outcome is unknown and that the store is lost, whether or not it `is_written`, as
    /// over a database that did not answer.
    pub fn lose_next_answer(&self, is_written: bool) {
        self.state.lock().next_unknown = Some(is_written);
    }

    /// From now on every commit with a value that has this text is refused, as by a database that cannot hold it.
    pub fn refuse_values_with(&self, text: &str) {
        self.state.lock().unstorable = Some(text.to_owned());
    }

    /// From now on no bulk read with this run succeeds; with `None`, all of them do again.
    pub fn damage_run(&self, id: Option<RunId>) {
        self.state.lock().damaged = id;
    }

    /// Number of commits that were refused for their values.
    pub fn commits_refused(&self) -> usize {
        self.state.lock().commits_refused
    }

    /// The same, when the last commit was written.
    pub fn refused_before_commit(&self) -> usize {
        self.state.lock().refused_before_commit
    }

    /// After `count` more commits every one fails, as if the process had ended there.
    pub fn fail_commits_after(&self, count: usize) {
        let mut state = self.state.lock();
        (state.commits_to_pass, state.commits_to_fail) = (count, usize::MAX);
    }

    /// How many of them are still to come.
    pub fn commits_to_fail(&self) -> usize {
        self.state.lock().commits_to_fail
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        self.state.lock().commit(batch)
    }

    fn probe(&self) -> Result<()> {
        match self.state.lock().commits_to_fail {
            0 => Ok(()),
            _ => Err(commit::told_to_fail()),
        }
    }

    fn directory(&self) -> Result<Directory> {
        Ok(self.state.lock().directory())
    }

    fn open_work(&self) -> Result<OpenWork> {
        Ok(self.state.lock().open_work())
    }

    fn last_signal_id(&self) -> Result<Option<SignalId>> {
        Ok(self.state.lock().signals.keys().map(|(_, id)| *id).max())
    }

    fn runs_by_id(&self, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>> {
        let state = self.state.lock();
        if let Some(id) = state.damaged.filter(|damaged| ids.iter().any(|(_, id)| id == damaged)) {
            return Err(Error::Damaged(format!("run {id} is declared damaged")));
        }
        let triggered = |id: &(TenantId, RunId)| {
            let run = state.runs.get(id)?.clone();
            let signal = run.signal_id.and_then(|signal| state.signals.get(&(run.tenant, signal)));
            Some((run, signal.map(|signal| Signal::clone(signal))))
        };
        Ok(read_within_budget(ids, triggered, |run| bytes_of_run(run) + run.0.steps.bytes()))
    }

    fn directives_by_id(&self, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>> {
        let state = self.state.lock();
        let directive = |id: &_| state.directives.get(id).map(|directive| Directive::clone(directive));
        Ok(read_within_budget(ids, directive, bytes_of_directive))
    }

    fn signals_by_id(&self, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>> {
        let state = self.state.lock();
        let signal = |id: &_| state.signals.get(id).map(|signal| Signal::clone(signal));
        Ok(read_within_budget(ids, signal, |signal| signal.payload.text().len()))
    }

    fn deduplicate(&self, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>> {
        let state = self.state.lock();
        Ok(keys.iter().map(|key| state.dedupe_keys.get(key).copied()).collect())
    }

    fn directives_by_key(&self, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>> {
        let state = self.state.lock();
        let by_key = |key: &(TenantId, String)| {
            let id = state.directive_keys.get(key)?;
            state.directives.get(&(key.0, *id)).map(|directive| Directive::clone(directive))
        };
        Ok(keys.iter().map(by_key).collect())
    }

    fn begun_since(
        &self,
        tenant: TenantId,
        workflow: &Slug,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, Timestamp, RunId)>> {
        Ok(self.state.lock().begun_since(tenant, workflow, since, limit))
    }

    fn root_usage(&self, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage> {
        Ok(self.state.lock().root_usage(tenant, root, since))
    }

    fn signal(&self, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
        Ok(self.state.lock().signals.get(&(tenant, id)).map(|signal| Signal::clone(signal)))
    }

    fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
        Ok(self.state.lock().directives.get(&(tenant, id)).map(|directive| Directive::clone(directive)))
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        Ok(self.state.lock().runs.get(&(tenant, id)).cloned())
    }

    fn run_head(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        let run = self.run(tenant, id)?;
        Ok(run.map(|run| Run { steps: Steps::pending(run.steps.len()), ..run }))
    }

    fn run_steps(&self, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>> {
        let state = self.state.lock();
        Ok(state.runs.get(&(tenant, id)).map(|run| state.run_part(run, steps)))
    }

    fn steps_with(&self, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>> {
        let Some(run) = self.run(tenant, run)? else { return Ok(Vec::new()) };
        let is_wanted = |step: &Step| statuses.contains(&step.status);
        let found = run
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| is_wanted(step) || step.undo.as_deref().is_some_and(is_wanted));
        Ok(found.map(|(index, _)| index).collect())
    }

    fn workflow_version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>> {
        let key = (tenant, slug.clone(), version.to_owned());
        Ok(self.state.lock().workflow_versions.get(&key).cloned())
    }

    fn module(&self, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>> {
        let state = self.state.lock();
        Ok(state.modules.get(&(tenant, digest.clone())).map(|(_, bytes)| bytes.to_vec()))
    }

    fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>> {
        Ok(self.state.lock().signals(tenant, filter, page))
    }

    fn dispositions(&self, tenant: TenantId, signal: SignalId, limit: usize) -> Result<Vec<Disposition>> {
        let state = self.state.lock();
        let of_signal = state.dispositions.values().filter(|one| one.tenant == tenant && one.signal_id == signal);
        Ok(of_signal.take(limit).cloned().collect())
    }

    fn refusals(&self, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>> {
        let state = self.state.lock();
        let is_refusal = |one: &&Disposition| {
            one.tenant == tenant && one.workflow == *workflow && one.kind == DispositionKind::Refused
        };
        let mut refusals: Vec<_> = state.dispositions.values().filter(is_refusal).cloned().collect();
        refusals.sort_unstable_by_key(|one| Reverse(one.signal_id));
        refusals.truncate(limit);
        Ok(refusals)
    }

    fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>> {
        Ok(self.state.lock().directives(tenant, filter, page))
    }

    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
        Ok(self.state.lock().runs(tenant, filter, page))
    }

    fn waiting(&self, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Result<Vec<(RunId, Place, Step)>> {
        Ok(self.state.lock().waiting(tenant, filter, page))
    }

    fn runs_in_flight(&self, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, Status, u64)>> {
        Ok(self.state.lock().runs_in_flight(tenant, slug))
    }

    fn workflow_versions(&self, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>> {
        Ok(self.state.lock().workflow_versions(tenant, slug, page))
    }
}

fn read_within_budget<I, T>(ids: &[I], read: impl Fn(&I) -> Option<T>, bytes: impl Fn(&T) -> usize) -> Vec<Option<T>> {
    let (mut found, mut budget) = (Vec::new(), ReadBudget::default());
    for id in ids {
        if budget.is_spent() {
            break;
        }
        let record = read(id);
        budget.spend(record.as_ref().map_or(0, &bytes));
        found.push(record);
    }
    found
}

impl State {
    fn directory(&self) -> Directory {
        let active = |workflow: &WorkflowEntry| {
            let version = workflow.active_version.clone()?;
            self.workflow_versions.get(&(workflow.tenant, workflow.slug.clone(), version)).cloned()
        };
        Directory {
            tenants: self.tenants.values().cloned().collect(),
            keys: self.keys.values().cloned().collect(),
            workflows: self.workflows.values().cloned().collect(),
            active_versions: self.workflows.values().filter_map(active).collect(),
            agents: self.agents.values().cloned().collect(),
            directive_types: self.directive_types.values().cloned().collect(),
            functions: self.functions.values().cloned().collect(),
            modules: self.modules.values().map(|(entry, _)| entry.clone()).collect(),
            schedules: self.schedules.values().cloned().collect(),
        }
    }
}
