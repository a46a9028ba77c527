//! Whether what is stored is what the log says: every row folded again from the signals, every
//! cause there, no run stuck. Reads only, so it may look at a copy of a live database.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use fleetprompt_core::directive::{self, Directive, Status};
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::run::{self, Run};
use fleetprompt_core::schedule;
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, SignalId, Slug, TenantId};
use fleetprompt_store::{Page, Result, SignalFilter, Store};

use crate::cache::compile_stored;
use crate::cascade::schedule_of;

/// What was looked at, and what was not right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub tenants: usize,
    pub signals: usize,
    pub runs: usize,
    pub runs_open: usize,
    pub directives: usize,
    pub schedules: usize,
    /// Empty when all is well.
    pub problems: Vec<String>,
}

const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;
/// Definitions that are held at once.
const VERSIONS_MAX: usize = 1_000;

pub fn verify(store: &dyn Store) -> Result<Report> {
    let mut report = Report::default();
    let directory = store.directory()?;
    let mut schedules = HashMap::<TenantId, Vec<ScheduleEntry>>::new();
    for entry in directory.schedules {
        schedules.entry(entry.tenant).or_default().push(entry);
    }
    for tenant in directory.tenants {
        report.tenants += 1;
        let audit = Audit {
            store,
            tenant: tenant.id,
            runs: HashMap::new(),
            directives: HashMap::new(),
            schedules: BTreeMap::new(),
            versions: HashMap::new(),
            report: &mut report,
        };
        audit.run(schedules.remove(&tenant.id).unwrap_or_default())?;
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
    schedules: BTreeMap<Slug, ScheduleLog>,
    versions: HashMap<(Slug, Arc<str>), Arc<Workflow>>,
    report: &'a mut Report,
}

/// What the log says of a schedule so far.
#[derive(Default)]
struct ScheduleLog {
    last: Option<schedule::Record>,
    fires: HashSet<SignalId>,
    backfills: HashSet<SignalId>,
    /// By itself or by hand: a backfill only tells history again.
    has_fired: bool,
}

impl Audit<'_> {
    fn run(mut self, stored: Vec<ScheduleEntry>) -> Result<()> {
        let mut cursor = None;
        loop {
            let signals = self.store.signals(
                self.tenant,
                &SignalFilter::default(),
                Page::after(cursor, PAGE).within(PAGE_BYTES),
            )?;
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
        for entry in stored {
            self.check_schedule(&entry);
        }
        for slug in std::mem::take(&mut self.schedules).into_keys() {
            self.problem(format!("schedule {slug} has a log and no row"));
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        self.report.signals += 1;
        self.check_cause(&signal)?;
        self.schedule_signal(&signal);
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
        let Some(workflow) = self.version(&stored)? else {
            self.problem(format!("{id} is of {} {}, which is not on record", stored.workflow, stored.version));
            return Ok(());
        };
        // What a decision left to the next one is in the row alone.
        let continuation = stored.continuation.clone();
        match run::fold(&workflow, signals).map(|folded| Run { continuation, ..folded }) {
            Some(folded) if folded == stored => {}
            Some(folded) => self.problem(format!("{id} is not what its log says: {}", difference(&stored, &folded))),
            None => self.problem(format!("{id} has a log that does not begin with its start")),
        }
        if !stored.status.has_ended() && stored.reason_to_wake().is_none() {
            self.problem(format!("{id} has not ended, and nothing will wake it"));
        }
        Ok(())
    }

    /// The definition of a run, read once for all its runs.
    fn version(&mut self, run: &Run) -> Result<Option<Arc<Workflow>>> {
        let key = (run.workflow.clone(), run.version.clone());
        if let Some(known) = self.versions.get(&key) {
            return Ok(Some(known.clone()));
        }
        let Some(version) = self.store.workflow_version(self.tenant, &run.workflow, &run.version)? else {
            return Ok(None);
        };
        let workflow = compile_stored(&version)?;
        if self.versions.len() >= VERSIONS_MAX {
            self.versions.clear();
        }
        self.versions.insert(key, workflow.clone());
        Ok(Some(workflow))
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

    fn schedule_signal(&mut self, signal: &Signal) {
        if let Some(slug) = schedule_of(signal) {
            let log = self.schedules.entry(slug).or_default();
            let told_by = signal.lineage.causation_id;
            log.has_fired |= !matches!(told_by, Some(RecordId::Signal(by)) if log.backfills.contains(&by));
            log.fires.insert(signal.id);
        } else if let Some(change) = schedule::change_of(&signal.name)
            && let Ok(record) = serde_json::from_str::<schedule::Record>(signal.payload.text())
        {
            let log = self.schedules.entry(record.schedule.clone()).or_default();
            if change == schedule::Change::Backfilled {
                log.backfills.insert(signal.id);
            }
            log.last = Some(record);
        }
    }

    fn check_schedule(&mut self, entry: &ScheduleEntry) {
        self.report.schedules += 1;
        let (slug, state) = (&entry.slug, &entry.state);
        let log = self.schedules.remove(slug).unwrap_or_default();
        let Some(last) = log.last else {
            return self.problem(format!("schedule {slug} has a row and no log"));
        };
        if (last.status, &last.digest) != (state.status, &entry.digest) {
            let (stored, told) = (state.status.as_str(), last.status.as_str());
            self.problem(format!("schedule {slug} is not what its log says: {stored} in its row, {told} in its log"));
        }
        let is_on_record = match state.last_signal {
            // A due time that a backfill had told before is that fire.
            Some(fire) => log.fires.contains(&fire),
            None => !log.has_fired,
        };
        if !is_on_record {
            self.problem(format!("schedule {slug} has another last fire in its row than in its log"));
        }
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
