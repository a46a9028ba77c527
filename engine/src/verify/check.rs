//! Rows compared with what their signals make of them.

use std::collections::HashMap;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use fleetprompt_core::directive::{self, Directive, Status};
use fleetprompt_core::run::{self, Run};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, Slug, TenantId};
use fleetprompt_store::{Page, Result, SignalFilter, Store, digest};

use super::{Cause, Findings, Group, Job, PAGE, PAGE_BYTES};
use crate::cache::compile_stored;

/// Definitions that a checker holds at once.
const VERSIONS_MAX: usize = 1_000;
/// How often a row that a server changes is read again with its log.
const READS_MAX: usize = 5;

pub struct Checker<'a> {
    store: &'a dyn Store,
    findings: &'a Findings,
    versions: HashMap<(TenantId, Slug, Arc<str>), Arc<Workflow>>,
}

impl<'a> Checker<'a> {
    pub fn new(store: &'a dyn Store, findings: &'a Findings) -> Self {
        Self { store, findings, versions: HashMap::new() }
    }

    pub fn run(mut self, jobs: &Receiver<Job>) -> Result<()> {
        for job in jobs {
            match job {
                Job::Runs(tenant, groups) => self.check_runs(tenant, groups)?,
                Job::Directives(tenant, groups) => self.check_directives(tenant, groups)?,
                Job::Causes(tenant, causes) => self.check_causes(tenant, causes)?,
                Job::Suspects(tenant, suspects) => {
                    for id in suspects {
                        self.check_suspect(tenant, id)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_runs(&mut self, tenant: TenantId, groups: Vec<Group<RunId>>) -> Result<()> {
        let ids: Vec<_> = groups.iter().map(|(id, _)| (tenant, *id)).collect();
        let mut groups = groups.into_iter();
        let mut rest = &ids[..];
        while !rest.is_empty() {
            let stored = self.store.runs_by_id(rest)?;
            rest = &rest[stored.len()..];
            for (stored, (id, signals)) in stored.into_iter().zip(&mut groups) {
                let stored = stored.map(|(run, _)| run);
                match stored {
                    Some(stored) if self.run_problem(&stored, &signals)?.is_none() => self.count_run(&stored),
                    _ => self.findings.suspect(tenant, id.into()),
                }
            }
        }
        Ok(())
    }

    fn check_directives(&mut self, tenant: TenantId, groups: Vec<Group<DirectiveId>>) -> Result<()> {
        let ids: Vec<_> = groups.iter().map(|(id, _)| *id).collect();
        let stored = self.store.directives_with_digests(tenant, &ids)?;
        for (stored, (id, signals)) in stored.into_iter().zip(groups) {
            match stored {
                Some((stored, digest)) if directive_problem(&stored, &signals).is_none() => {
                    self.count_directive(&stored, digest);
                }
                _ => self.findings.suspect(tenant, id.into()),
            }
        }
        Ok(())
    }

    fn check_causes(&self, tenant: TenantId, causes: Vec<Cause>) -> Result<()> {
        for Cause { signal, by } in causes {
            let is_there = match by {
                RecordId::Signal(id) => self.store.signal(tenant, id)?.is_some(),
                RecordId::Directive(id) => self.store.directive(tenant, id)?.is_some(),
                RecordId::Run(id) => self.store.run_head(tenant, id)?.is_some(),
            };
            if !is_there {
                self.findings.problem(format!("{signal} was caused by {by}, which is not recorded"));
            }
        }
        Ok(())
    }

    /// Reads a record and its own log, between two reads of its row that are the same.
    fn check_suspect(&mut self, tenant: TenantId, id: RecordId) -> Result<()> {
        for _ in 0..READS_MAX {
            let is_settled = match id {
                RecordId::Run(id) => self.check_whole_run(tenant, id)?,
                RecordId::Directive(id) => self.check_whole_directive(tenant, id)?,
                RecordId::Signal(_) => true,
            };
            if is_settled {
                return Ok(());
            }
        }
        self.findings
            .add(|report| report.notes.push(format!("{id} changed each time that it was read: verify it again")));
        Ok(())
    }

    /// Returns `false` if the row changed meanwhile.
    fn check_whole_run(&mut self, tenant: TenantId, id: RunId) -> Result<bool> {
        let before = self.store.run(tenant, id)?;
        let signals = self.log(tenant, SignalFilter { run_id: Some(id), ..SignalFilter::default() }, |_| true)?;
        if before != self.store.run(tenant, id)? {
            return Ok(false);
        }
        let Some(stored) = before else {
            self.findings.problem(format!("{id} has a log and no row"));
            return Ok(true);
        };
        let problem = self.run_problem(&stored, &signals)?;
        problem.into_iter().for_each(|problem| self.findings.problem(problem));
        self.count_run(&stored);
        Ok(true)
    }

    fn check_whole_directive(&self, tenant: TenantId, id: DirectiveId) -> Result<bool> {
        let stored = self.store.directives_with_digests(tenant, &[id])?.pop().flatten();
        let Some((before, digest)) = stored else {
            self.findings.problem(format!("{id} has a log and no row"));
            return Ok(true);
        };
        // There is no index by directive; its signals have its correlation.
        let group = Some(before.lineage.correlation_id.to_string());
        let filter = SignalFilter { correlation_id: group, ..SignalFilter::default() };
        let signals = self.log(tenant, filter, |signal| signal.directive_id == Some(id))?;
        if self.store.directive(tenant, id)?.as_ref() != Some(&before) {
            return Ok(false);
        }
        directive_problem(&before, &signals).into_iter().for_each(|problem| self.findings.problem(problem));
        self.count_directive(&before, digest);
        Ok(true)
    }

    fn log(&self, tenant: TenantId, filter: SignalFilter, is_wanted: impl Fn(&Signal) -> bool) -> Result<Vec<Signal>> {
        let (mut signals, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.signals(tenant, &filter, Page::after(cursor, PAGE).within(PAGE_BYTES))?;
            let Some(last) = page.last() else { return Ok(signals) };
            cursor = Some(last.id.0);
            signals.extend(page.into_iter().filter(&is_wanted));
        }
    }

    fn run_problem(&mut self, stored: &Run, signals: &[Signal]) -> Result<Option<String>> {
        let id = stored.id;
        let Some(workflow) = self.version(stored)? else {
            return Ok(Some(format!("{id} is of {} {}, which is not recorded", stored.workflow, stored.version)));
        };
        // What a decision left to the next one is in the row alone.
        let continuation = stored.continuation.clone();
        Ok(match run::fold(&workflow, signals).map(|folded| Run { continuation, ..folded }) {
            Some(folded) if folded != *stored => {
                Some(format!("{id} is not what its log says: {}", difference(stored, &folded)))
            }
            Some(_) if !stored.status.has_ended() && stored.reason_to_wake().is_none() => {
                Some(format!("{id} has not ended, and nothing will wake it"))
            }
            Some(_) => None,
            None => Some(format!("{id} has a log that does not begin with its start")),
        })
    }

    fn count_run(&self, run: &Run) {
        self.findings.add(|report| {
            report.runs += 1;
            report.runs_open += usize::from(!run.status.has_ended());
        });
    }

    fn count_directive(&self, stored: &Directive, digest: Option<i64>) {
        self.findings.add(|report| {
            report.directives += 1;
            report.without_digest += usize::from(digest.is_none());
        });
        if digest.is_some_and(|digest| digest != digest::of_directive(stored)) {
            self.findings
                .problem(format!("{} {} is not what was requested: its digest differs", stored.name, stored.id));
        }
    }

    /// The definition of a run, read once for all its runs.
    fn version(&mut self, run: &Run) -> Result<Option<Arc<Workflow>>> {
        let key = (run.tenant, run.workflow.clone(), run.version.clone());
        if let Some(known) = self.versions.get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(version) = self.store.workflow_version(run.tenant, &run.workflow, &run.version)? else {
            return Ok(None);
        };
        let workflow = compile_stored(&version)?;
        if self.versions.len() >= VERSIONS_MAX {
            self.versions.clear();
        }
        self.versions.insert(key, workflow.clone());
        Ok(Some(workflow))
    }
}

fn directive_problem(stored: &Directive, signals: &[Signal]) -> Option<String> {
    let folded = directive::fold(as_requested(stored), signals);
    (folded != *stored)
        .then(|| format!("{} is {}, and its log says {}", stored.id, stored.status.as_str(), folded.status.as_str()))
}

/// A directive as it was before anything became of it.
fn as_requested(directive: &Directive) -> Directive {
    Directive {
        status: Status::Requested,
        attempt: 0,
        started_at: None,
        wake_at: None,
        cancel_requested: false,
        settled_at: None,
        settled_by: None,
        output: None,
        error: None,
        ..directive.clone()
    }
}

fn difference(stored: &Run, folded: &Run) -> String {
    if stored.status != folded.status {
        return format!("the row says {}, the log {}", stored.status.as_str(), folded.status.as_str());
    }
    let unlike = |(index, (a, b))| (a != b).then_some(index);
    let step: Option<usize> = stored.steps.iter().zip(folded.steps.iter()).enumerate().find_map(unlike);
    step.map_or("what surrounds its steps differs".into(), |index| format!("step number {} differs", index + 1))
}
