//! What the engine keeps in memory between batches. All of it can be read again from the store, so
//! forgetting is always safe; it is what happens when a commit fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleetprompt_core::directive::Directive;
use fleetprompt_core::document::Format;
use fleetprompt_core::run::Run;
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{DirectiveId, RunId, Signal, Slug, TenantId};
use fleetprompt_store::{Error, Result, Store};

use crate::modules::Modules;

/// A run, and what about it does not change.
#[derive(Debug, Clone)]
pub(crate) struct OpenRun {
    pub run: Arc<Run>,
    pub workflow: Arc<Workflow>,
    pub signal: Option<Arc<Signal>>,
}

pub(crate) struct Cache {
    store: Arc<dyn Store>,
    runs: HashMap<RunId, OpenRun>,
    directives: HashMap<DirectiveId, Arc<Directive>>,
    versions: HashMap<(TenantId, Slug, Arc<str>), Arc<Workflow>>,
    /// These have limits of their own, and never change.
    pub modules: Arc<Modules>,
    max: usize,
    /// Of the documents and payloads put in since all was forgotten last, about.
    bytes: usize,
    /// The same of all caches of the process together.
    of_all: Arc<AtomicUsize>,
}

/// Tenants choose how large their records are; they do not get to choose how much memory these take, in all caches of
/// the process together.
const BYTES_MAX: usize = 256 << 20;
/// A compiled definition takes many times its text.
const COMPILED: usize = 16;
/// One step of a run without its output.
const STEP_BYTES: usize = 256;

impl Cache {
    pub fn new(store: Arc<dyn Store>, max: usize, of_all: Arc<AtomicUsize>) -> Self {
        Self {
            modules: Arc::new(Modules::new(store.clone())),
            store,
            runs: HashMap::new(),
            directives: HashMap::new(),
            versions: HashMap::new(),
            max,
            bytes: 0,
            of_all,
        }
    }

    pub fn forget(&mut self) {
        self.runs.clear();
        self.directives.clear();
        self.versions.clear();
        self.of_all.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    fn weigh(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.of_all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What has ended is not needed again; what waits is only kept while there is room.
    pub fn trim(&mut self) {
        // Whoever has little of what is too much need not forget it.
        if self.of_all.load(Ordering::Relaxed) > BYTES_MAX && self.bytes > BYTES_MAX / 64 {
            self.forget();
        }
        if self.runs.len() > self.max {
            self.runs.clear();
        }
        if self.directives.len() > self.max {
            self.directives.clear();
        }
        if self.versions.len() > self.max {
            self.versions.clear();
        }
    }

    pub fn put_run(&mut self, open: OpenRun) {
        if open.run.status.has_ended() {
            self.runs.remove(&open.run.id);
        } else {
            self.weigh(weight(&open));
            self.runs.insert(open.run.id, open);
        }
    }

    pub fn put_directive(&mut self, directive: Arc<Directive>) {
        if directive.status.is_settled() {
            self.directives.remove(&directive.id);
        } else {
            self.weigh(directive.payload.text().len());
            self.directives.insert(directive.id, directive);
        }
    }

    pub fn directive(&mut self, tenant: TenantId, id: DirectiveId) -> Result<Option<Arc<Directive>>> {
        match self.directives.get(&id) {
            Some(directive) => Ok(Some(directive.clone()).filter(|directive| directive.tenant == tenant)),
            None => Ok(self.store.directive(tenant, id)?.map(Arc::new)),
        }
    }

    pub fn run(&mut self, tenant: TenantId, id: RunId) -> Result<Option<OpenRun>> {
        if let Some(open) = self.runs.get(&id) {
            return Ok(Some(open.clone()).filter(|open| open.run.tenant == tenant));
        }
        let Some(run) = self.store.run(tenant, id)? else { return Ok(None) };
        let workflow = self.version(tenant, &run.workflow, &run.version)?;
        let workflow = workflow.ok_or_else(|| {
            Error::Damaged(format!("run {id} is of {} {}, which is not stored", run.workflow, run.version))
        })?;
        let signal = run.signal_id.map(|signal| self.store.signal(tenant, signal)).transpose()?.flatten();
        Ok(Some(OpenRun { run: Arc::new(run), workflow, signal: signal.map(Arc::new) }))
    }

    pub fn put_version(&mut self, tenant: TenantId, workflow: Arc<Workflow>) {
        let key = (tenant, workflow.slug.clone(), workflow.version.as_str().into());
        self.weigh(workflow.document.text().len() * COMPILED);
        self.versions.insert(key, workflow);
    }

    pub fn version(&mut self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<Arc<Workflow>>> {
        let key = (tenant, slug.clone(), Arc::from(version));
        if let Some(workflow) = self.versions.get(&key) {
            return Ok(Some(workflow.clone()));
        }
        let Some(stored) = self.store.workflow_version(tenant, slug, version)? else { return Ok(None) };
        let workflow = compile_stored(stored.document.text())?;
        self.weigh(workflow.document.text().len() * COMPILED);
        self.versions.insert(key, workflow.clone());
        Ok(Some(workflow))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn weight(open: &OpenRun) -> usize {
    let signal = open.signal.as_ref().map_or(0, |signal| signal.payload.text().len());
    let items = open.run.steps.iter().filter_map(|step| step.items.as_ref()).map(|items| items.steps.len());
    let places = open.run.steps.len() + items.sum::<usize>();
    signal + places * STEP_BYTES + open.run.steps.bytes()
}

/// A definition that was checked when it was applied.
pub(crate) fn compile_stored(document: &str) -> Result<Arc<Workflow>> {
    match workflow::read(document, Format::Json, &Catalog::default()) {
        Ok((workflow, _)) => Ok(Arc::new(workflow)),
        Err(diagnostics) => {
            let first = diagnostics.first().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
            Err(Error::Damaged(format!("a stored definition cannot be read: {first}")))
        }
    }
}
