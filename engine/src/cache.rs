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
    /// Of all that is kept, about.
    bytes: usize,
    /// The same of all caches of the process together.
    of_all: Arc<AtomicUsize>,
}

/// Of all caches of the process together: however many runs there are, and however large tenants make them.
const BYTES_MAX: usize = 64 << 20;
/// A run or a directive without what tenants put into it.
const RECORD_BYTES: usize = 2 << 10;
/// A compiled definition takes many times its text.
const COMPILED: usize = 16;
/// One step of a run without its output.
const STEP_BYTES: usize = 256;

impl Cache {
    pub fn new(store: Arc<dyn Store>, of_all: Arc<AtomicUsize>) -> Self {
        Self {
            modules: Arc::new(Modules::new(store.clone())),
            store,
            runs: HashMap::new(),
            directives: HashMap::new(),
            versions: HashMap::new(),
            bytes: 0,
            of_all,
        }
    }

    pub fn forget(&mut self) {
        self.runs.clear();
        self.directives.clear();
        self.versions.clear();
        self.weigh(self.bytes, 0);
    }

    fn weigh(&mut self, less: usize, more: usize) {
        self.bytes = self.bytes + more - less;
        self.of_all.fetch_add(more, Ordering::Relaxed);
        self.of_all.fetch_sub(less, Ordering::Relaxed);
    }

    /// What has ended is not needed again; what waits is only kept while there is room, and versions longer than runs of
    /// them.
    pub fn trim(&mut self) {
        if !self.is_more_than(BYTES_MAX) {
            return;
        }
        self.runs.clear();
        self.directives.clear();
        let of_versions = self.versions.values().map(|workflow| of_version(workflow)).sum();
        self.weigh(self.bytes, of_versions);
        if self.is_more_than(BYTES_MAX / 2) {
            self.forget();
        }
    }

    /// Whoever has little of what is too much need not forget it.
    fn is_more_than(&self, most: usize) -> bool {
        self.of_all.load(Ordering::Relaxed) > most && self.bytes > BYTES_MAX / 64
    }

    pub fn put_run(&mut self, open: OpenRun) {
        let id = open.run.id;
        let more = if open.run.status.has_ended() { 0 } else { of_run(&open) };
        let before = if more == 0 { self.runs.remove(&id) } else { self.runs.insert(id, open) };
        self.weigh(before.as_ref().map_or(0, of_run), more);
    }

    pub fn put_directive(&mut self, directive: Arc<Directive>) {
        let id = directive.id;
        let more = if directive.status.is_settled() { 0 } else { of_directive(&directive) };
        let before = if more == 0 { self.directives.remove(&id) } else { self.directives.insert(id, directive) };
        self.weigh(before.map_or(0, |before| of_directive(&before)), more);
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
        let more = of_version(&workflow);
        let before = self.versions.insert(key, workflow);
        self.weigh(before.map_or(0, |before| of_version(&before)), more);
    }

    pub fn version(&mut self, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<Arc<Workflow>>> {
        let key = (tenant, slug.clone(), Arc::from(version));
        if let Some(workflow) = self.versions.get(&key) {
            return Ok(Some(workflow.clone()));
        }
        let Some(stored) = self.store.workflow_version(tenant, slug, version)? else { return Ok(None) };
        let workflow = compile_stored(stored.document.text())?;
        self.put_version(tenant, workflow.clone());
        Ok(Some(workflow))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn of_run(open: &OpenRun) -> usize {
    let signal = open.signal.as_ref().map_or(0, |signal| signal.payload.text().len());
    let items = open.run.steps.iter().filter_map(|step| step.items.as_ref()).map(|items| items.steps.len());
    let places = open.run.steps.len() + items.sum::<usize>();
    RECORD_BYTES + signal + places * STEP_BYTES + open.run.steps.bytes()
}

fn of_directive(directive: &Directive) -> usize {
    RECORD_BYTES + directive.payload.text().len()
}

fn of_version(workflow: &Workflow) -> usize {
    workflow.document.text().len() * COMPILED
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

#[cfg(test)]
mod tests {
    use fleetprompt_core::directive::{HandlerKind, Request, request};
    use fleetprompt_core::{Json, Lineage, Moment, Party};
    use fleetprompt_store::memory::MemoryStore;
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));

    fn directive(number: u128, payload_bytes: usize) -> Arc<Directive> {
        let requested = Request {
            id: DirectiveId(Uuid::from_u128(number)),
            tenant: TENANT,
            name: "order.ship".parse().expect("a name"),
            payload: Json::of(&"x".repeat(payload_bytes)),
            idempotency_key: number.to_string(),
            handler: HandlerKind::Manual,
            retry: Default::default(),
            timeout: None,
            heartbeat: None,
            origin: None,
            actor: Party::engine(),
            lineage: Lineage::root("order"),
        };
        Arc::new(request(requested, &mut Moment::new(0)).directive)
    }

    fn workflow() -> Arc<Workflow> {
        let step = r#"{"id": "a", "type": "function", "function": "json.identity", "input": {}}"#;
        let workflow = format!(
            r#"{{"name": "W", "slug": "w", "version": "1.0.0", "trigger": {{"signal": "a.b"}}, "steps": [{step}]}}"#
        );
        compile_stored(&format!(r#"{{"workflow": {workflow}}}"#)).expect("a definition")
    }

    #[test]
    fn what_waits_is_forgotten_before_versions_and_before_it_takes_too_much() {
        let of_all = Arc::<AtomicUsize>::default();
        let mut cache = Cache::new(Arc::new(MemoryStore::default()), of_all.clone());
        for _ in 0..2 {
            cache.put_version(TENANT, workflow());
            assert_eq!(of_all.load(Ordering::Relaxed), of_version(&workflow()), "it is kept once");
        }
        for number in 0..70 {
            cache.put_directive(directive(number, 1 << 20));
            cache.trim();
            assert!(of_all.load(Ordering::Relaxed) <= BYTES_MAX);
        }
        assert!((1..70).contains(&cache.directives.len()));
        assert_eq!(cache.versions.len(), 1);
        drop(cache);
        assert_eq!(of_all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_has_little_forgets_nothing_for_who_has_much() {
        let of_all = Arc::<AtomicUsize>::default();
        let [mut much, mut little] = [0; 2].map(|_| Cache::new(Arc::new(MemoryStore::default()), of_all.clone()));
        (0..70).for_each(|number| much.put_directive(directive(number, 1 << 20)));
        little.put_directive(directive(100, 0));
        little.trim();
        much.trim();
        assert_eq!((little.directives.len(), much.directives.len()), (1, 0));
    }
}
