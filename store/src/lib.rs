//! Where it is kept: one trait of coarse calls, and the backends that answer them alike.
//!
//! The store writes decisions and never judges them. `commit` takes what a batch of decisions came
//! to and writes all of it or nothing, durably; everything else reads what was committed.

mod batch;
pub mod copy;
pub mod counting;
pub mod digest;
mod filter;
pub mod memory;
pub mod postgres;
mod rows;
pub mod sqlite;

pub use batch::{Batch, ModuleWrite, RunWrite};
pub use filter::{DirectiveFilter, Order, Page, RunFilter, RunPart, SignalFilter, StepRange, WaitingFilter};

use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowVersion,
};
use fleetprompt_core::run::{self, Descendants, Descent, Place, Run, Step, StepStatus, Waiting};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::tenant::{Key, Tenant};
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk, the database or its file: trying again may help, a decision may not.
    #[error("the store could not {doing}: {cause}")]
    Unavailable { doing: &'static str, cause: String },
    /// A value that no attempt will write, such as one that is too large or breaks a constraint. The store itself
    /// works: a batch without the value can be committed.
    #[error("the store cannot {doing} with these values: {cause}")]
    Unstorable { doing: &'static str, cause: String },
    /// Whether the last batch was written is unknown. Another store over the same place may find it. With `is_lost` this
    /// store writes nothing more; without, it makes sure that the batch is not there before it writes the next one.
    #[error("it is unknown whether the last commit was written: {cause}")]
    OutcomeUnknown { cause: String, is_lost: bool },
    /// Nothing that this store is asked to write will be: whoever holds it must begin anew.
    #[error("this node writes no more: {why}")]
    Lost { why: &'static str },
    /// Another node is at work on the database.
    #[error("the database is in use by the node `{node}`; stop it first, or wait")]
    InUse { node: String },
    /// The file was written by a newer version of this program.
    #[error(
        "{path} has schema version {found}, and this program knows {known}: use the newer fleetprompt that wrote it"
    )]
    Newer { path: String, found: i64, known: i64 },
    /// What is stored cannot have been written by us.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
}

impl Error {
    /// Returns `true` if the same batch fails however often it is committed.
    pub fn is_unstorable(&self) -> bool {
        matches!(self, Self::Unstorable { .. })
    }

    /// Returns `true` if this store writes nothing more.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::OutcomeUnknown { is_lost: true, .. })
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// A record and the digest that was stored with it; `None` for a record that is older than digests.
pub type WithDigest<T> = (T, Option<i64>);

pub trait Store: Send + Sync + 'static {
    /// Writes everything or nothing. On return it survives the loss of power. After an error nothing of it is there and
    /// never will be, unless the error is `OutcomeUnknown`.
    fn commit(&self, batch: &Batch) -> Result<()>;

    /// Returns `true` if it is known to answer. A database elsewhere may be away for a while.
    fn is_reachable(&self) -> bool {
        true
    }

    /// Fails if commits are refused at this moment. Writes to find out and changes nothing.
    fn probe(&self) -> Result<()>;

    /// Nothing will be written any more: another may begin.
    fn close(&self) {}

    // What an engine reads when it starts.

    fn directory(&self) -> Result<Directory>;
    fn open_work(&self) -> Result<OpenWork>;
    /// The highest id in any log, above which new ids must begin.
    fn last_signal_id(&self) -> Result<Option<SignalId>>;

    // What an engine reads before it decides. Answers come in the order of the questions.

    /// Reads runs in bulk, each with the signal that triggered it. The answer may end before the ids do: once it holds
    /// `READ_BYTES_MAX`. It has at least one entry when there is an id, so the caller asks again for the rest.
    fn runs_by_id(&self, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>>;
    /// Reads directives in bulk. The answer may end before the ids do, as that of `runs_by_id`.
    fn directives_by_id(&self, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>>;
    /// Reads signals in bulk. The answer may end before the ids do, as that of `runs_by_id`.
    fn signals_by_id(&self, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>>;
    fn deduplicate(&self, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>>;
    fn directives_by_key(&self, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>>;

    /// The throttled runs of a workflow that began since then, with their keys; the last ones first.
    fn begun_since(
        &self,
        tenant: TenantId,
        workflow: &Slug,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, Timestamp, RunId)>>;

    /// What a root has led to, as the rows of its descendants say.
    fn root_usage(&self, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage>;

    // One record of a tenant; another tenant's is `None`.

    fn signal(&self, tenant: TenantId, id: SignalId) -> Result<Option<Signal>>;
    fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>>;
    /// With its steps, and their outputs and failures.
    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>>;
    /// Without its steps, which are pending: their number is known.
    fn run_head(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>>;
    /// Some of its steps, and the items and compensations of these.
    fn run_steps(&self, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>>;
    /// The steps of a run that have one of these statuses, or whose compensation has, in their order.
    fn steps_with(&self, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>>;
    fn workflow_version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>>;
    /// The bytes of a module.
    fn module(&self, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>>;

    // Lists of a tenant, by page: see `Page` for where one ends.

    fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>>;
    /// The first `limit`, by workflow.
    fn dispositions(&self, tenant: TenantId, signal: SignalId, limit: usize) -> Result<Vec<Disposition>>;
    /// Signals that a workflow refused, newest first.
    fn refusals(&self, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>>;
    fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>>;
    /// Without steps: `Run::steps` is empty.
    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>>;
    /// What waits in runs that have not ended. The order, and the cursor of a page, is that of the
    /// signals that made them wait: `Step::signal_id`.
    fn waiting(&self, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Result<Vec<(RunId, Place, Step)>>;
    /// How many runs of a workflow have not ended, by version and status.
    fn runs_in_flight(&self, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, run::Status, u64)>>;
    /// Without their documents: `WorkflowVersion::document` is null.
    fn workflow_versions(&self, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>>;

    // What `verify` reads.

    /// Runs the checks of the database itself, which read all of it.
    fn integrity(&self) -> Result<Integrity> {
        Ok(Integrity::default())
    }

    /// Signals with the digests that were stored with them; `None` for signals that are older than digests.
    fn signals_with_digests(&self, tenant: TenantId, page: Page) -> Result<Vec<WithDigest<Signal>>> {
        let with_digest = |signal: Signal| {
            let digest = digest::of_signal(&signal);
            (signal, Some(digest))
        };
        Ok(self.signals(tenant, &SignalFilter::default(), page)?.into_iter().map(with_digest).collect())
    }

    /// The same for directives, in the order of the ids.
    fn directives_with_digests(
        &self,
        tenant: TenantId,
        ids: &[DirectiveId],
    ) -> Result<Vec<Option<WithDigest<Directive>>>> {
        let with_digest = |directive: Directive| {
            let digest = digest::of_directive(&directive);
            (directive, Some(digest))
        };
        ids.iter().map(|id| Ok(self.directive(tenant, *id)?.map(with_digest))).collect()
    }
}

/// What the database says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrity {
    /// Damage, and differences between its schema and the one that this program knows.
    pub problems: Vec<String>,
    /// What could not be checked, and what would make it possible.
    pub notes: Vec<String>,
}

/// A bulk read ends after the record with which it passes this size: an engine holds its answer in memory whole.
pub const READ_BYTES_MAX: usize = 16 << 20;

/// A run as `Store::run` returns it, and the signal that triggered it; `None` where a directive asked for it.
pub type TriggeredRun = (Run, Option<Signal>);

/// Everything that is registered, of all tenants: what the engine holds in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Directory {
    pub tenants: Vec<Tenant>,
    pub keys: Vec<Key>,
    pub workflows: Vec<WorkflowEntry>,
    /// The active version of each workflow that has one.
    pub active_versions: Vec<WorkflowVersion>,
    pub agents: Vec<AgentEntry>,
    pub directive_types: Vec<DirectiveTypeEntry>,
    pub functions: Vec<FunctionEntry>,
    /// Without their bytes.
    pub modules: Vec<ModuleEntry>,
    /// Also where each of them stands.
    pub schedules: Vec<ScheduleEntry>,
}

/// A directive, and the workflow and version of the run that asked for it, where one did.
pub type OpenDirective = (TenantId, DirectiveId, Option<(Slug, Arc<str>)>);

/// A place that waits for signals.
pub type OpenWait = (TenantId, RunId, Place, Arc<Waiting>);

/// A place that holds a lock (`true`) or waits for it, since which signal.
pub type OpenLock = (TenantId, RunId, Place, Arc<str>, SignalId, bool);

/// What was left to do when the last engine ended, however it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenWork {
    /// Runs and directives that must be looked at again at a time.
    pub runs_due: Vec<(Timestamp, TenantId, RunId)>,
    pub directives_due: Vec<(Timestamp, TenantId, DirectiveId)>,
    /// Directives on record that nobody has begun.
    pub directives_requested: Vec<(TenantId, DirectiveId)>,
    /// Directives with an attempt under way, at an endpoint or a worker, whose outcome was never recorded.
    pub directives_in_flight: Vec<OpenDirective>,
    /// Runs with an attempt of an agent or a worker's function whose outcome was never recorded.
    pub runs_in_flight: Vec<(TenantId, RunId)>,
    /// What waits for signals.
    pub waits: Vec<OpenWait>,
    /// What holds a lock (`true`) or waits for it, and since which signal; in the order of these.
    pub locks: Vec<OpenLock>,
    /// Runs that flow control counts, without their steps and inputs.
    pub flows: Vec<Run>,
}

/// What a root has led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RootUsage {
    /// Descendants that have not ended.
    pub open: u64,
    /// Everything that it led to before the window began.
    pub before: Descendants,
    /// Everything that it led to, except for the signals recorded since its last descendant was started.
    pub total: Descendants,
}

impl RootUsage {
    /// From the first descendant that was started within the window, and the last one of all.
    fn of(open: u64, first: Option<Descent>, last: Option<Descent>) -> Self {
        let itself = Descendants { runs: 1, ..Descendants::default() };
        let total = last.map_or(Descendants::default(), |last| last.before + itself);
        Self { open, before: first.map_or(total, |first| first.before), total }
    }
}
