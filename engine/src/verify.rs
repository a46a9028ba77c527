//! Whether what is stored is what the log says: every row folded again from the signals, every
//! cause there, no run stuck. Reads only, so it may look at a copy of a live database.

use std::collections::HashMap;

use fleetprompt_core::directive::{self, Directive, Status};
use fleetprompt_core::run::{self, Run};
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, TenantId};
use fleetprompt_store::{Page, Result, SignalFilter, Store};

use crate::cache::compile_stored;

/// What was looked at, and what was not right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub tenants: usize,
    pub signals: usize,
    pub runs: usize,
    pub runs_open: usize,
    pub directives: usize,
    /// Empty when all is well.
    pub problems: Vec<String>,
}

const PAGE: usize = 1_000;

pub fn verify(store: &dyn Store) -> Result<Report> {
    let mut report = Report::default();
    for tenant in store.directory()?.tenants {
        report.tenants += 1;
        Audit { store, tenant: tenant.id, runs: HashMap::new(), directives: HashMap::new(), report: &mut report }
            .run()?;
    }
    Ok(report)
}

/// One tenant's log, read once from its beginning.
struct Audit<'a> {
    store: &'a dyn Store,
    tenant: TenantId,
    /// The signals so far of what has not ended.
    runs: HashMap<RunId, Vec<Signal>>,
    directives: HashMap<DirectiveId, Vec<Signal>>,
    report: &'a mut Report,
}

impl Audit<'_> {
    fn run(mut self) -> Result<()> {
        let mut cursor = None;
        loop {
            let signals = self.store.signals(self.tenant, &SignalFilter::default(), Page::after(cursor, PAGE))?;
            let Some(last) = signals.last() else { break };
            cursor = Some(last.id.0);
            for signal in signals {
                self.signal(signal)?;
            }
        }
        for (id, signals) in std::mem::take(&mut self.runs) {
            self.check_run(id, &signals)?;
        }
        for (id, signals) in std::mem::take(&mut self.directives) {
            self.check_directive(id, &signals)?;
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.report.signals += 1;
        self.check_cause(&signal)?;
        // What has ended may go on after all, so only its last end is the end of its log.
        let (tenant, by) = (self.tenant, Some(signal.id));
        if let Some(id) = signal.directive_id {
            let settles = directive::change_of(&signal.name).is_some_and(directive::Change::settles);
            self.directives.entry(id).or_default().push(signal);
            if settles && self.store.directive(tenant, id)?.is_none_or(|stored| stored.settled_by == by) {
                let signals = self.directives.remove(&id).unwrap_or_default();
                self.check_directive(id, &signals)?;
            }
        } else if let Some(id) = signal.run_id {
            let ends = run::run_change_of(&signal.name).is_some_and(|change| change.makes().has_ended());
            self.runs.entry(id).or_default().push(signal);
            if ends && self.store.run(tenant, id)?.is_none_or(|stored| stored.status_by == by) {
                let signals = self.runs.remove(&id).unwrap_or_default();
                self.check_run(id, &signals)?;
            }
        }
        Ok(())
    }

    fn check_cause(&mut self, signal: &Signal) -> Result<()> {
        let Some(cause) = signal.lineage.causation_id else { return Ok(()) };
        let there = match cause {
            RecordId::Signal(id) => self.store.signal(self.tenant, id)?.is_some(),
            RecordId::Directive(id) => self.store.directive(self.tenant, id)?.is_some(),
            RecordId::Run(id) => self.store.run(self.tenant, id)?.is_some(),
        };
        if !there {
            self.problem(format!("{} {} was caused by {cause}, which is not on record", signal.name, signal.id));
        }
        Ok(())
    }

    fn check_run(&mut self, id: RunId, signals: &[Signal]) -> Result<()> {
        self.report.runs += 1;
        let Some(stored) = self.store.run(self.tenant, id)? else {
            self.problem(format!("{id} has a log and no row"));
            return Ok(());
        };
        self.report.runs_open += usize::from(!stored.status.has_ended());
        let version = self.store.workflow_version(self.tenant, &stored.workflow, &stored.version)?;
        let Some(version) = version else {
            self.problem(format!("{id} is of {} {}, which is not on record", stored.workflow, stored.version));
            return Ok(());
        };
        let workflow = compile_stored(version.document.text())?;
        match run::fold(&workflow, signals) {
            Some(folded) if folded == stored => {}
            Some(folded) => self.problem(format!("{id} is not what its log says: {}", difference(&stored, &folded))),
            None => self.problem(format!("{id} has a log that does not begin with its start")),
        }
        if !stored.status.has_ended() && stored.reason_to_wake().is_none() {
            self.problem(format!("{id} has not ended, and nothing will wake it"));
        }
        Ok(())
    }

    fn check_directive(&mut self, id: DirectiveId, signals: &[Signal]) -> Result<()> {
        self.report.directives += 1;
        let Some(stored) = self.store.directive(self.tenant, id)? else {
            self.problem(format!("{id} has a log and no row"));
            return Ok(());
        };
        let folded = directive::fold(as_requested(&stored), signals);
        if folded != stored {
            self.problem(format!("{id} is {}, and its log says {}", stored.status.as_str(), folded.status.as_str()));
        }
        Ok(())
    }

    fn problem(&mut self, problem: String) {
        self.report.problems.push(problem);
    }
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
