//! From one store into another, record by record, and whether both say the same afterwards. Neither may be in use.

use fleetprompt_core::registration::WorkflowVersion;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{Signal, TenantId};
use std::fmt::Debug;
use std::sync::Arc;

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
/// Of payloads and outputs in one commit.
const BYTES_MAX: usize = 8 << 20;

/// All that is of one tenant. `to` has nothing of it.
pub fn copy(
    from: &dyn Store,
    to: &dyn Store,
    directory: &Directory,
    tenant: &Tenant,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let id = tenant.id;
    to.commit(&registered(from, directory, tenant)?)?;
    let mut so_far = Progress { tenants: 1, ..Progress::default() };
    pages(
        |page| from.signals(id, &SignalFilter::default(), page),
        |signal| signal.id.0,
        |signals| {
            so_far.signals += signals.len() as u64;
            progress(so_far);
            for_each_commit(
                signals,
                |signal| signal.payload.text().len(),
                |signals| to.commit(&facts(from, id, signals)?),
            )
        },
    )?;
    pages(
        |page| from.directives(id, &DirectiveFilter::default(), page),
        |directive| directive.id.0,
        |directives| {
            so_far.directives += directives.len() as u64;
            progress(so_far);
            for_each_commit(
                directives,
                |directive| directive.payload.text().len(),
                |directives| {
                    to.commit(&Batch { directives: directives.into_iter().map(Arc::new).collect(), ..Batch::default() })
                },
            )
        },
    )?;
    pages(
        |page| from.runs(id, &RunFilter::default(), page),
        |run| run.id.0,
        |runs| {
            so_far.runs += runs.len() as u64;
            progress(so_far);
            // Each with its steps, and so one after the other.
            for run in runs {
                let run = from.run(id, run.id)?.map(Arc::new);
                let write = run.map(|run| RunWrite { places: run.places().collect(), run });
                to.commit(&Batch { runs: write.into_iter().collect(), ..Batch::default() })?;
            }
            Ok(())
        },
    )
}

/// What a store says of a tenant, all of it: two that say the same give the same.
pub fn digest(
    store: &dyn Store,
    directory: &Directory,
    tenant: &Tenant,
    progress: &mut dyn FnMut(Progress),
) -> Result<String> {
    let id = tenant.id;
    let (mut hasher, mut so_far) = (blake3::Hasher::new(), Progress { tenants: 1, ..Progress::default() });
    let registered = registered(store, directory, tenant)?;
    add(&mut hasher, &registered);
    pages(
        |page| store.signals(id, &SignalFilter::default(), page),
        |signal| signal.id.0,
        |signals| {
            so_far.signals += signals.len() as u64;
            progress(so_far);
            let facts = facts(store, id, signals)?;
            add(&mut hasher, &facts);
            Ok(())
        },
    )?;
    pages(
        |page| store.directives(id, &DirectiveFilter::default(), page),
        |directive| directive.id.0,
        |directives| {
            so_far.directives += directives.len() as u64;
            progress(so_far);
            directives.iter().for_each(|directive| add(&mut hasher, directive));
            Ok(())
        },
    )?;
    pages(
        |page| store.runs(id, &RunFilter::default(), page),
        |run| run.id.0,
        |runs| {
            so_far.runs += runs.len() as u64;
            progress(so_far);
            for run in runs {
                let run = store.run(id, run.id)?;
                add(&mut hasher, &run);
            }
            Ok(())
        },
    )?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Every field of every record has a part in how it is shown.
fn add(hasher: &mut blake3::Hasher, record: &impl Debug) {
    hasher.update(format!("{record:?}").as_bytes());
}

fn registered(from: &dyn Store, directory: &Directory, tenant: &Tenant) -> Result<Batch> {
    let id = tenant.id;
    let workflows = of(&directory.workflows, id, |entry| entry.tenant);
    let mut workflow_versions: Vec<WorkflowVersion> = Vec::new();
    for workflow in &workflows {
        // In the order in which they came.
        workflow_versions.extend(from.workflow_versions(id, &workflow.slug)?.into_iter().rev());
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
        batch.dispositions.extend(from.dispositions(tenant, signal.id)?);
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
        let page = list(Page::after(cursor, PAGE))?;
        let Some(last) = page.last() else { return Ok(()) };
        cursor = Some(id(last));
        take(page)?;
    }
}

fn for_each_commit<T>(
    all: Vec<T>,
    bytes: impl Fn(&T) -> usize,
    mut commit: impl FnMut(Vec<T>) -> Result<()>,
) -> Result<()> {
    let (mut some, mut weight) = (Vec::new(), 0);
    for one in all {
        weight += bytes(&one);
        some.push(one);
        if weight >= BYTES_MAX {
            commit(std::mem::take(&mut some))?;
            weight = 0;
        }
    }
    if some.is_empty() { Ok(()) } else { commit(some) }
}
