//! From one store into another, record by record, and whether both say the same afterwards. Neither may be in use.

use std::sync::Arc;

use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{Signal, TenantId};

use crate::{Batch, DirectiveFilter, Directory, Page, Result, RunFilter, RunWrite, SignalFilter, Store};

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub tenants: u64,
    pub signals: u64,
    pub directives: u64,
    pub runs: u64,
}

const PAGE: usize = 500;
/// Of payloads and outputs in one batch.
const BYTES_MAX: usize = 8 << 20;

/// All that is of one tenant. `to` has nothing of it.
pub fn copy(
    from: &dyn Store,
    to: &dyn Store,
    directory: &Directory,
    tenant: &Tenant,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    read(from, directory, tenant, progress, |batch| to.commit(&batch))
}

/// What a store says of a tenant, all of it: two that say the same give the same. Every field of every record has a
/// part in how it is shown.
pub fn digest(
    store: &dyn Store,
    directory: &Directory,
    tenant: &Tenant,
    progress: &mut dyn FnMut(Progress),
) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    read(store, directory, tenant, progress, |batch| {
        hasher.update(format!("{batch:?}").as_bytes());
        Ok(())
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A tenant from end to end, as batches that would write it.
fn read(
    store: &dyn Store,
    directory: &Directory,
    tenant: &Tenant,
    progress: &mut dyn FnMut(Progress),
    mut take: impl FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let id = tenant.id;
    let mut so_far = Progress { tenants: 1, ..Progress::default() };
    take(registered(store, directory, tenant)?)?;
    pages(
        |page| store.signals(id, &SignalFilter::default(), page),
        |signal| signal.id.0,
        |signals| {
            so_far.signals += signals.len() as u64;
            progress(so_far);
            let bytes = |signal: &Signal| signal.payload.text().len();
            in_parts(signals.into_iter().map(Ok), bytes, |signals| take(facts(store, id, signals)?))
        },
    )?;
    pages(
        |page| store.directives(id, &DirectiveFilter::default(), page),
        |directive| directive.id.0,
        |directives| {
            so_far.directives += directives.len() as u64;
            progress(so_far);
            let directives = directives.into_iter().map(|directive| Ok(Arc::new(directive)));
            in_parts(
                directives,
                |directive| directive.payload.text().len(),
                |directives| take(Batch { directives, ..Batch::default() }),
            )
        },
    )?;
    pages(
        |page| store.runs(id, &RunFilter::default(), page),
        |run| run.id.0,
        |runs| {
            so_far.runs += runs.len() as u64;
            progress(so_far);
            // Each with its steps, which lists leave out.
            let whole = runs.into_iter().filter_map(|run| store.run(id, run.id).transpose());
            let written = whole.map(|run| {
                let run = Arc::new(run?);
                Ok(RunWrite { places: run.places().collect(), run })
            });
            in_parts(written, |write| write.run.steps.bytes(), |runs| take(Batch { runs, ..Batch::default() }))
        },
    )
}

fn registered(from: &dyn Store, directory: &Directory, tenant: &Tenant) -> Result<Batch> {
    let id = tenant.id;
    let workflows = of(&directory.workflows, id, |entry| entry.tenant);
    let mut workflow_versions: Vec<WorkflowVersion> = Vec::new();
    for workflow in &workflows {
        for version in from.workflow_versions(id, &workflow.slug, Page::after(None, usize::MAX))? {
            workflow_versions.extend(from.workflow_version(id, &workflow.slug, &version.version)?);
        }
    }
    let mut modules = Vec::new();
    for module in of(&directory.modules, id, |entry| entry.tenant) {
        let bytes = from.module(id, &module.digest)?.unwrap_or_default();
        modules.push((module, Arc::from(bytes)));
    }
    Ok(Batch {
        tenants: vec![tenant.clone()],
        keys: of(&directory.keys, id, |key| key.tenant),
        workflows,
        workflow_versions,
        agents: of(&directory.agents, id, |entry| entry.tenant),
        directive_types: of(&directory.directive_types, id, |entry| entry.tenant),
        functions: of(&directory.functions, id, |entry| entry.tenant),
        modules,
        schedules: of(&directory.schedules, id, |entry| entry.tenant),
        ..Batch::default()
    })
}

fn of<T: Clone>(all: &[T], tenant: TenantId, of: impl Fn(&T) -> TenantId) -> Vec<T> {
    all.iter().filter(|one| of(one) == tenant).cloned().collect()
}

/// Signals with the keys under which they are known, and what became of them.
fn facts(from: &dyn Store, tenant: TenantId, signals: Vec<Signal>) -> Result<Batch> {
    let mut batch = Batch::default();
    let keys: Vec<_> = signals
        .iter()
        .flat_map(|signal| signal.dedupe_keys().into_iter().map(|key| (signal.id, (tenant, key))))
        .collect();
    let questions: Vec<_> = keys.iter().map(|(_, key)| key.clone()).collect();
    // Not every signal that has a key took it: a fire by hand has the time of the one before.
    let firsts = from.deduplicate(&questions)?;
    let taken = keys.into_iter().zip(firsts).filter(|((id, _), first)| *first == Some(*id));
    batch.dedupe_keys = taken.map(|((id, (tenant, key)), _)| (tenant, key, id)).collect();
    for signal in &signals {
        batch.dispositions.extend(from.dispositions(tenant, signal.id, usize::MAX)?);
    }
    batch.signals = signals.into_iter().map(Arc::new).collect();
    Ok(batch)
}

/// Oldest first, to the end.
fn pages<T>(
    list: impl Fn(Page) -> Result<Vec<T>>,
    id: impl Fn(&T) -> uuid::Uuid,
    mut take: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    let mut cursor = None;
    loop {
        let page = list(Page::after(cursor, PAGE).within(BYTES_MAX))?;
        let Some(last) = page.last() else { return Ok(()) };
        cursor = Some(id(last));
        take(page)?;
    }
}

/// As many at once as are not too much.
fn in_parts<T>(
    all: impl Iterator<Item = Result<T>>,
    bytes: impl Fn(&T) -> usize,
    mut take: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    let (mut some, mut weight) = (Vec::new(), 0);
    for one in all {
        let one = one?;
        weight += bytes(&one);
        some.push(one);
        if weight >= BYTES_MAX {
            take(std::mem::take(&mut some))?;
            weight = 0;
        }
    }
    if some.is_empty() { Ok(()) } else { take(some) }
}
