//! One SQLite file in WAL mode: one connection writes, a few read beside it.
//!
//! The writer is the only one that commits. Every read sees one commit whole. What was committed survives a crash
//! (`synchronous = FULL`). A commit that failed leaves no trace, or is in doubt until the writer has removed it.

mod backup;
mod checkpoints;
mod columns;
mod commit;
mod connection;
mod descent;
mod directives;
mod fault;
mod files;
mod integrity;
mod intern;
mod migrations;
mod page;
mod places;
#[cfg(test)]
mod plans;
mod readers;
mod registrations;
mod restore;
mod runs;
mod signals;
mod work;
mod writer;

use std::path::Path;
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::run::{Place, Run, Status, Step, StepStatus};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, SignalId, Slug, TenantId, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;

pub use self::backup::{backup, create, remove};
use self::connection::ReadOnly;
use self::files::OpenFiles;
use self::intern::Interned;
use self::readers::Readers;
pub use self::restore::restore;
use self::writer::Writer;
use crate::{
    Batch, DirectiveFilter, Directory, Error, Integrity, OpenWork, Page, Result, RootUsage, RunFilter, RunPart,
    SignalFilter, StepRange, Store, TriggeredRun, WaitingFilter, WithDigest,
};

pub struct SqliteStore {
    // Dropped before the writer, which can then take the whole log into the file.
    readers: Readers,
    writer: Mutex<Writer>,
    files: Arc<OpenFiles>,
    interned: Interned,
}

/// What a read is given: a snapshot, and the numbers that its rows use.
struct View<'a> {
    sql: &'a Connection,
    interned: &'a Interned,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self> {
        let mut writer = connection::writer(path)?;
        migrations::apply(&mut writer, path)?;
        let interned = Interned::load(&writer).map_err(|fault| fault.while_("read the tenants"))?;
        let files = Arc::new(OpenFiles::at(path));
        let writer = Mutex::new(Writer::new(writer, path, files.clone())?);
        Ok(Self { readers: Readers::new(path, ReadOnly::Shared, files.clone()), writer, files, interned })
    }

    /// Opens a file to read it, also while a server writes to it, and a copy in a folder that cannot be written. Its schema
    /// must be the newest, and stays as it is.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        let reading = "open the file to read it";
        let way = ReadOnly::of(path);
        let sql = way.open(path).map_err(|fault| fault.while_(reading))?;
        connection::check_ours(&sql, path)?;
        migrations::must_be_current(&sql, path)?;
        let interned = Interned::load(&sql).map_err(|fault| fault.while_(reading))?;
        let files = Arc::new(OpenFiles::at(path));
        let readers = Readers::new(path, way, files.clone());
        Ok(Self { readers, writer: Mutex::new(Writer::read_only(sql, files.clone())), files, interned })
    }

    /// Fails if the files that are open are not at their path any more: what was committed since is lost.
    pub fn check_files(&self) -> Result<()> {
        self.files.check().map_err(|fault| fault.while_("find its files"))
    }

    fn read<T>(&self, doing: &'static str, read: impl FnOnce(&View) -> fault::Result<T>) -> Result<T> {
        let mut connection = self.readers.take().map_err(|fault| self.error(fault, doing))?;
        self.snapshot(&mut connection, read).map_err(|fault| self.error(fault, doing))
    }

    /// Reads for the engine, which is about to write: the writer has the newest pages at hand, and
    /// while it is held nothing is committed.
    fn read_ahead<T>(&self, doing: &'static str, read: impl FnOnce(&View) -> fault::Result<T>) -> Result<T> {
        let writer = self.writer.lock();
        read(&View { sql: &writer.sql, interned: &self.interned }).map_err(|fault| self.error(fault, doing))
    }

    fn error(&self, fault: fault::Fault, doing: &'static str) -> Error {
        self.files.explain(fault).while_(doing)
    }

    fn snapshot<T>(
        &self,
        connection: &mut Connection,
        read: impl FnOnce(&View) -> fault::Result<T>,
    ) -> fault::Result<T> {
        let snapshot = connection.transaction()?;
        let answer = read(&View { sql: &snapshot, interned: &self.interned })?;
        snapshot.commit()?;
        Ok(answer)
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.writer.lock().commit(&self.interned, batch).map_err(|fault| self.error(fault, "commit"))
    }

    fn is_reachable(&self) -> bool {
        self.check_files().is_ok()
    }

    fn probe(&self) -> Result<()> {
        self.writer.lock().probe().map_err(|fault| fault.while_("commit"))
    }

    fn directory(&self) -> Result<Directory> {
        self.read("read what is registered", registrations::directory)
    }

    fn open_work(&self) -> Result<OpenWork> {
        self.read("read the open work", work::open_work)
    }

    fn last_signal_id(&self) -> Result<Option<SignalId>> {
        self.read("read the end of the log", signals::last_id)
    }

    fn runs_by_id(&self, ids: &[(TenantId, RunId)]) -> Result<Vec<Option<TriggeredRun>>> {
        self.read("read runs", |view| runs::by_id(view, ids))
    }

    fn directives_by_id(&self, ids: &[(TenantId, DirectiveId)]) -> Result<Vec<Option<Directive>>> {
        self.read("read directives", |view| directives::by_id(view, ids))
    }

    fn signals_by_id(&self, ids: &[(TenantId, SignalId)]) -> Result<Vec<Option<Signal>>> {
        self.read("read signals", |view| signals::by_id(view, ids))
    }

    fn deduplicate(&self, keys: &[(TenantId, DedupeKey)]) -> Result<Vec<Option<SignalId>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.read_ahead("look for duplicates", |view| signals::deduplicate(view, keys))
    }

    fn directives_by_key(&self, keys: &[(TenantId, String)]) -> Result<Vec<Option<Directive>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.read_ahead("look for directives by key", |view| directives::by_key(view, keys))
    }

    fn begun_since(
        &self,
        tenant: TenantId,
        workflow: &Slug,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, Timestamp, RunId)>> {
        self.read("read when runs began", |view| runs::begun_since(view, tenant, workflow, since, limit))
    }

    fn root_usage(&self, tenant: TenantId, root: RecordId, since: Timestamp) -> Result<RootUsage> {
        self.read_ahead("read what a root has led to", |view| descent::root_usage(view, tenant, root, since))
    }

    fn signal(&self, tenant: TenantId, id: SignalId) -> Result<Option<Signal>> {
        self.read("read a signal", |view| signals::one(view, tenant, id))
    }

    fn directive(&self, tenant: TenantId, id: DirectiveId) -> Result<Option<Directive>> {
        self.read("read a directive", |view| directives::one(view, tenant, id))
    }

    fn run(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        self.read("read a run", |view| runs::one(view, tenant, id))
    }

    fn run_head(&self, tenant: TenantId, id: RunId) -> Result<Option<Run>> {
        self.read("read a run", |view| runs::head(view, tenant, id))
    }

    fn run_steps(&self, tenant: TenantId, id: RunId, steps: StepRange) -> Result<Option<RunPart>> {
        self.read("read steps of a run", |view| runs::part(view, tenant, id, steps))
    }

    fn steps_with(&self, tenant: TenantId, run: RunId, statuses: &[StepStatus]) -> Result<Vec<usize>> {
        self.read("list steps of a run", |view| places::steps_with(view, tenant, run, statuses))
    }

    fn workflow_version(&self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>> {
        self.read("read a workflow version", |view| registrations::version(view, tenant, slug, version))
    }

    fn module(&self, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>> {
        self.read("read a module", |view| registrations::module(view, tenant, digest))
    }

    fn signals(&self, tenant: TenantId, filter: &SignalFilter, page: Page) -> Result<Vec<Signal>> {
        self.read("list signals", |view| signals::list(view, tenant, filter, page))
    }

    fn dispositions(&self, tenant: TenantId, signal: SignalId, limit: usize) -> Result<Vec<Disposition>> {
        self.read("list dispositions", |view| signals::dispositions(view, tenant, signal, limit))
    }

    fn refusals(&self, tenant: TenantId, workflow: &Slug, limit: usize) -> Result<Vec<Disposition>> {
        self.read("list refused signals", |view| descent::refusals(view, tenant, workflow, limit))
    }

    fn directives(&self, tenant: TenantId, filter: &DirectiveFilter, page: Page) -> Result<Vec<Directive>> {
        self.read("list directives", |view| directives::list(view, tenant, filter, page))
    }

    fn runs(&self, tenant: TenantId, filter: &RunFilter, page: Page) -> Result<Vec<Run>> {
        self.read("list runs", |view| runs::list(view, tenant, filter, page))
    }

    fn waiting(&self, tenant: TenantId, filter: &WaitingFilter, page: Page) -> Result<Vec<(RunId, Place, Step)>> {
        self.read("list what waits", |view| places::waiting(view, tenant, filter, page))
    }

    fn runs_in_flight(&self, tenant: TenantId, slug: &Slug) -> Result<Vec<(String, Status, u64)>> {
        self.read("count runs", |view| runs::in_flight(view, tenant, slug))
    }

    fn workflow_versions(&self, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>> {
        self.read("list workflow versions", |view| registrations::versions(view, tenant, slug, page))
    }

    fn integrity(&self) -> Result<Integrity> {
        let connection = self.readers.take().map_err(|fault| fault.while_("check the file"))?;
        integrity::check(&connection).map_err(|fault| fault.while_("check the file"))
    }

    fn signals_with_digests(&self, tenant: TenantId, page: Page) -> Result<Vec<WithDigest<Signal>>> {
        self.read("read signals", |view| signals::with_digests(view, tenant, page))
    }

    fn directives_with_digests(
        &self,
        tenant: TenantId,
        ids: &[DirectiveId],
    ) -> Result<Vec<Option<WithDigest<Directive>>>> {
        self.read("read directives", |view| directives::with_digests(view, tenant, ids))
    }
}

impl Drop for SqliteStore {
    /// Leaves one file behind. What this does not get to, the next open does.
    fn drop(&mut self) {
        self.readers.close();
        self.writer.get_mut().close();
    }
}
