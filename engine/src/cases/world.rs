//! The world of a case: an engine that is driven by hand, a tenant in it, and keys of every role.

use std::collections::HashMap;
use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::run::Run;
use fleetprompt_core::tenant::Role;
use fleetprompt_core::{Json, Party, RunId, Scope, Signal, SignalId, Slug, TenantId, Timestamp};
use fleetprompt_store::memory::MemoryStore;
use fleetprompt_store::{Page, RunFilter, SignalFilter, Store};

use super::Problem;
use super::files::{self, Definitions};
use crate::{ByHand, Error, TaskKind};

/// More than a case can look at.
const RECORDS_MAX: usize = 1_000_000;

pub(super) struct World {
    pub hand: ByHand,
    pub store: Arc<MemoryStore>,
    pub tenant: TenantId,
    keys: HashMap<Role, Party>,
    /// The last signal from before the case began.
    before: Option<SignalId>,
    slugs: HashMap<RunId, Slug>,
}

impl World {
    pub fn new(definitions: &Definitions, now: Timestamp) -> Result<Self, Problem> {
        let store = Arc::new(MemoryStore::default());
        Self::made(definitions, store, now).map_err(|error| Problem::said(told("the definitions", &error)))
    }

    fn made(definitions: &Definitions, store: Arc<MemoryStore>, now: Timestamp) -> Result<Self, Error> {
        let mut hand = ByHand::start(store.clone(), now, 1)?;
        let slug: Slug = "test".parse().expect("it is a slug");
        let (tenant, owner) = hand.tenant_create(slug, Role::Owner)?;
        let owner = Party::new("key", owner.key.id);
        let scope = Scope { tenant: tenant.id, actor: owner.clone() };
        register(&mut hand, &scope, definitions)?;
        let keys = HashMap::from([(Role::Owner, owner)]);
        let mut world = Self { hand, store, tenant: tenant.id, keys, before: None, slugs: HashMap::new() };
        world.key(Role::Member)?;
        world.before = world.store.last_signal_id()?;
        Ok(world)
    }

    /// Somebody with that role.
    pub fn scope(&mut self, role: Role) -> Result<Scope, Problem> {
        let actor = self.key(role).map_err(|error| Problem::said(told("a key", &error)))?;
        Ok(Scope { tenant: self.tenant, actor })
    }

    /// A key is made when its role is needed first.
    fn key(&mut self, role: Role) -> Result<Party, Error> {
        if let Some(actor) = self.keys.get(&role) {
            return Ok(actor.clone());
        }
        let made = self.hand.key_create(self.tenant, role)?;
        let actor = Party::new("key", made.key.id);
        self.keys.insert(role, actor.clone());
        Ok(actor)
    }

    /// The runs of a workflow that no other run started, the oldest first.
    pub fn runs(&self, slug: &Slug) -> Vec<Run> {
        let mut runs = self.all_runs(Some(slug));
        runs.retain(|run| run.parent.is_none());
        runs
    }

    /// Runs with their steps, the oldest first.
    pub fn all_runs(&self, slug: Option<&Slug>) -> Vec<Run> {
        let filter = RunFilter { workflow: slug.cloned(), ..RunFilter::default() };
        let found = self.store.runs(self.tenant, &filter, Page::after(None, RECORDS_MAX)).unwrap_or_default();
        found.iter().filter_map(|run| self.run(run.id)).collect()
    }

    pub fn run(&self, id: RunId) -> Option<Run> {
        self.store.run(self.tenant, id).ok().flatten()
    }

    pub fn workflow_of(&mut self, id: RunId) -> Option<Slug> {
        if !self.slugs.contains_key(&id) {
            let run = self.run(id)?;
            self.slugs.insert(id, run.workflow);
        }
        self.slugs.get(&id).cloned()
    }

    /// Everything on record since the case began.
    pub fn signals(&self) -> Vec<Signal> {
        let page = Page::after(self.before.map(|id| id.0), RECORDS_MAX);
        self.store.signals(self.tenant, &SignalFilter::default(), page).unwrap_or_default()
    }
}

fn register(hand: &mut ByHand, scope: &Scope, definitions: &Definitions) -> Result<(), Error> {
    let apply_agent = |hand: &mut ByHand, document: &Json| hand.agent_apply(scope, document.text(), Format::Json);
    for slug in definitions.agents_asked() {
        match definitions.agent(slug) {
            Some(agent) => apply_agent(hand, &agent.document)?,
            None => apply_agent(hand, &files::agent_stand_in(slug))?,
        };
    }
    for name in definitions.functions_asked() {
        hand.function_apply(scope, files::function_stand_in(name))?;
    }
    for of_type in &definitions.directive_types {
        hand.directive_type_apply(scope, of_type.document.clone())?;
    }
    for name in definitions.directives_asked() {
        if definitions.directive_types.iter().all(|of_type| of_type.name != *name) {
            hand.directive_type_apply(scope, files::directive_type_stand_in(name))?;
        }
    }
    for (slug, version) in definitions.workflows_asked() {
        hand.workflow_apply(scope, files::workflow_stand_in(slug, version).text(), Format::Json)?;
    }
    for workflow in definitions.workflows.iter().chain([&definitions.workflow]) {
        hand.workflow_apply(scope, workflow.document.text(), Format::Json)?;
    }
    Ok(())
}

/// What the engine said, with what is wrong in a document.
pub(super) fn told(what: &str, error: &Error) -> String {
    let found = match error {
        Error::Refused(refusal) => refusal.diagnostics.as_slice(),
        Error::Busy { .. } | Error::Unavailable(_) | Error::OutcomeUnknown(_) => &[],
    };
    let found: String = found.iter().map(|found| format!("; {} {}", found.code, found.message)).collect();
    format!("{what} cannot be used: {error}{found}")
}

/// The run that an effect belongs to.
pub(super) fn run_of(kind: &TaskKind) -> Option<RunId> {
    match kind {
        TaskKind::Agent { run, .. } | TaskKind::Function { run, .. } => Some(*run),
        TaskKind::Directive(directive) => directive.origin.map(|origin| origin.run_id),
    }
}
