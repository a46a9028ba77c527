//! What a batch of decisions came to: facts to append, and rows as they are now.

use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowVersion,
};
use fleetprompt_core::run::{Place, Run};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::tenant::{Key, Tenant};
use fleetprompt_core::{Signal, SignalId, TenantId};

/// Facts are inserted; rows are inserted or brought up to date. A record occurs at most once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub signals: Vec<Arc<Signal>>,
    pub dedupe_keys: Vec<(TenantId, DedupeKey, SignalId)>,
    /// The last one for a pair of signal and workflow counts.
    pub dispositions: Vec<Disposition>,
    pub directives: Vec<Arc<Directive>>,
    pub runs: Vec<RunWrite>,

    pub tenants: Vec<Tenant>,
    pub keys: Vec<Key>,
    pub workflows: Vec<WorkflowEntry>,
    /// Replaces the document of a version that was only a draft.
    pub workflow_versions: Vec<WorkflowVersion>,
    pub agents: Vec<AgentEntry>,
    pub directive_types: Vec<DirectiveTypeEntry>,
    pub functions: Vec<FunctionEntry>,
    pub modules: Vec<ModuleWrite>,
    pub modules_removed: Vec<(TenantId, ModuleDigest)>,
    pub schedules: Vec<ScheduleEntry>,
}

/// A module with its bytes.
pub type ModuleWrite = (ModuleEntry, Arc<[u8]>);

#[derive(Debug, Clone)]
pub struct RunWrite {
    pub run: Arc<Run>,
    /// What to write of it: steps, items and compensations; the others are as they were. What the run
    /// no longer has at a place, or has not begun, has no row.
    pub places: Vec<Place>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
            && self.dedupe_keys.is_empty()
            && self.dispositions.is_empty()
            && self.directives.is_empty()
            && self.runs.is_empty()
            && self.tenants.is_empty()
            && self.keys.is_empty()
            && self.workflows.is_empty()
            && self.workflow_versions.is_empty()
            && self.agents.is_empty()
            && self.directive_types.is_empty()
            && self.functions.is_empty()
            && self.modules.is_empty()
            && self.modules_removed.is_empty()
            && self.schedules.is_empty()
    }

    /// Whose records these are, some of them often.
    pub(crate) fn tenants_named(&self) -> impl Iterator<Item = TenantId> {
        let named = self.signals.iter().map(|signal| signal.tenant);
        let named = named.chain(self.dedupe_keys.iter().map(|(tenant, ..)| *tenant));
        let named = named.chain(self.dispositions.iter().map(|disposition| disposition.tenant));
        let named = named.chain(self.directives.iter().map(|directive| directive.tenant));
        let named = named.chain(self.runs.iter().map(|write| write.run.tenant));
        let named = named.chain(self.keys.iter().map(|key| key.tenant));
        let named = named.chain(self.workflows.iter().map(|workflow| workflow.tenant));
        let named = named.chain(self.workflow_versions.iter().map(|version| version.tenant));
        let named = named.chain(self.agents.iter().map(|agent| agent.tenant));
        let named = named.chain(self.directive_types.iter().map(|kind| kind.tenant));
        let named = named.chain(self.functions.iter().map(|function| function.tenant));
        let named = named.chain(self.modules.iter().map(|(module, _)| module.tenant));
        let named = named.chain(self.modules_removed.iter().map(|(tenant, _)| *tenant));
        named.chain(self.schedules.iter().map(|schedule| schedule.tenant))
    }
}
