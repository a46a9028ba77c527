//! Whether the database is whole and stores what the log says: the database's own checks, the digest of every record, every
//! row derived again from its signals, every cause there, no run stuck. It only reads, also while servers write.
//!
//! One thread reads the log of each tenant in order and hands the signals of each run and directive to several others, which
//! compare them with the rows. A server may change a row in between. So what does not match is a suspect first, and is
//! compared again at the end: its row, its own log, and its row once more, which must not have changed.

mod check;
mod log;
mod schedules;

use std::collections::BTreeMap;
use std::thread;

use crossbeam_channel::{Sender, bounded};
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::{DirectiveId, Json, RecordId, RunId, Signal, SignalId, TenantId};
use fleetprompt_store::{Directory, Error, Page, Result, Store};
use parking_lot::Mutex;

use self::check::Checker;
use self::log::LogReader;
use crate::compute::STACK_BYTES;
use crate::modules;

/// What was looked at, and what was not right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub tenants: usize,
    pub signals: usize,
    /// Signals and directives recorded by a version without digests.
    pub without_digest: usize,
    pub runs: usize,
    pub runs_open: usize,
    pub directives: usize,
    pub schedules: usize,
    /// Empty when all is well.
    pub problems: Vec<String>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

/// SQLite has as many connections that read.
const CHECKERS_MAX: usize = 4;
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;
/// Records of one job.
const JOB_RECORDS: usize = 200;

pub fn verify(store: &dyn Store) -> Result<Report> {
    let integrity = store.integrity()?;
    let is_whole = integrity.problems.is_empty();
    let findings = Findings::default();
    findings.add(|report| (report.problems, report.notes) = (integrity.problems, integrity.notes));
    match compare(store, &findings) {
        Err(error) if is_whole => return Err(error),
        Err(error) => findings.problem(format!("the rest could not be compared: {error}")),
        Ok(()) => {}
    }
    Ok(findings.into_report())
}

fn compare(store: &dyn Store, findings: &Findings) -> Result<()> {
    let directory = store.directory()?;
    check_documents(store, &directory, findings)?;
    let mut schedules = Vec::new();
    with_checkers(store, findings, |jobs| {
        for tenant in &directory.tenants {
            findings.add(|report| report.tenants += 1);
            schedules.push((tenant.id, LogReader::new(store, tenant.id, jobs, findings).read()?));
        }
        Ok(())
    })?;
    let after = store.directory()?;
    for (tenant, logs) in schedules {
        let of_tenant = |directory: &Directory| -> Vec<ScheduleEntry> {
            directory.schedules.iter().filter(|entry| entry.tenant == tenant).cloned().collect()
        };
        logs.check(&of_tenant(&directory), &of_tenant(&after), findings);
    }
    with_checkers(store, findings, |jobs| {
        for (tenant, suspects) in findings.take_suspects() {
            for some in suspects.chunks(JOB_RECORDS) {
                if jobs.send(Job::Suspects(tenant, some.to_vec())).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

/// The signals of a run or a directive, in their order.
type Group<I> = (I, Vec<Signal>);

/// What one of the checkers does at a time.
enum Job {
    Runs(TenantId, Vec<Group<RunId>>),
    Directives(TenantId, Vec<Group<DirectiveId>>),
    Causes(TenantId, Vec<Cause>),
    Suspects(TenantId, Vec<RecordId>),
}

/// What a signal was caused by.
struct Cause {
    signal: SignalId,
    by: RecordId,
}

/// What all threads have found so far.
#[derive(Default)]
struct Findings {
    report: Mutex<Report>,
    suspects: Mutex<BTreeMap<TenantId, Vec<RecordId>>>,
}

impl Findings {
    fn add(&self, add: impl FnOnce(&mut Report)) {
        add(&mut self.report.lock());
    }

    fn problem(&self, problem: String) {
        self.add(|report| report.problems.push(problem));
    }

    fn suspect(&self, tenant: TenantId, id: RecordId) {
        self.suspects.lock().entry(tenant).or_default().push(id);
    }

    fn take_suspects(&self) -> BTreeMap<TenantId, Vec<RecordId>> {
        let mut suspects = std::mem::take(&mut *self.suspects.lock());
        for of_tenant in suspects.values_mut() {
            of_tenant.sort_unstable_by_key(|id| id.uuid());
            of_tenant.dedup();
        }
        suspects
    }

    fn into_report(self) -> Report {
        let mut report = self.report.into_inner();
        report.problems.sort_unstable();
        report
    }
}

/// Runs `produce`, and several checkers on its jobs, until all of these are done.
fn with_checkers(
    store: &dyn Store,
    findings: &Findings,
    produce: impl FnOnce(&Sender<Job>) -> Result<()>,
) -> Result<()> {
    let checkers = thread::available_parallelism().map_or(1, usize::from).min(CHECKERS_MAX);
    let (jobs, queue) = bounded(checkers * 2);
    // With the sender, so that the checkers end however this does.
    thread::scope(move |scope| {
        let mut running = Vec::new();
        for _ in 0..checkers {
            let (queue, builder) = (queue.clone(), thread::Builder::new().name("verify".into()));
            // A definition is compiled there.
            let spawned = builder
                .stack_size(STACK_BYTES)
                .spawn_scoped(scope, move || Checker::new(store, findings).run(&queue))
                .map_err(|error| Error::Unavailable { doing: "start a thread", cause: error.to_string() })?;
            running.push(spawned);
        }
        drop(queue);
        let produced = produce(&jobs);
        drop(jobs);
        for checker in running {
            checker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        produced
    })
}

/// Documents that have a digest beside them, and modules, whose name is their digest.
fn check_documents(store: &dyn Store, directory: &Directory, findings: &Findings) -> Result<()> {
    let check = |what: &str, name: &dyn std::fmt::Display, document: &Json, digest: &str| {
        if blake3::hash(document.text().as_bytes()).to_hex().as_str() != digest {
            findings.problem(format!("the document of {what} {name} is not what was applied: its digest differs"));
        }
    };
    for agent in &directory.agents {
        check("agent", &agent.slug, &agent.document, &agent.digest);
    }
    for schedule in &directory.schedules {
        check("schedule", &schedule.slug, &schedule.document, &schedule.digest);
    }
    for module in &directory.modules {
        let bytes = store.module(module.tenant, &module.digest)?;
        if bytes.is_none_or(|bytes| modules::digest(&bytes) != module.digest) {
            findings.problem(format!("module {} is not what was uploaded", module.digest));
        }
    }
    for workflow in &directory.workflows {
        let mut cursor = None;
        loop {
            let page = Page::after(cursor, PAGE);
            let versions = store.workflow_versions(workflow.tenant, &workflow.slug, page)?;
            let Some(last) = versions.last() else { break };
            cursor = Some(last.id.0);
            for listed in &versions {
                let stored = store.workflow_version(workflow.tenant, &workflow.slug, &listed.version)?;
                let name = format!("{} {}", workflow.slug, listed.version);
                match stored {
                    Some(version) => check("workflow", &name, &version.document, &version.digest),
                    None => findings.problem(format!("workflow {name} is listed and cannot be found")),
                }
            }
        }
    }
    Ok(())
}
