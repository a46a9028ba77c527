//! The log of one tenant, read once from its beginning. Signals are held until the end of their run or directive is read; of
//! what is open for long only the id is, and its own log is read at the end.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crossbeam_channel::Sender;
use fleetprompt_core::directive;
use fleetprompt_core::run;
use fleetprompt_core::{DirectiveId, RecordId, RunId, Signal, TenantId};
use fleetprompt_store::{Page, Result, Store, digest};
use uuid::Uuid;

use super::schedules::ScheduleLogs;
use super::{Cause, Findings, Group, JOB_RECORDS, Job, PAGE, PAGE_BYTES};

/// Bytes of signals that are held.
const HELD_BYTES_MAX: usize = 64 << 20;
const SIGNAL_BYTES: usize = 400;
/// Most causes are among the records just before.
const KNOWN_MAX: usize = 100_000;

pub struct LogReader<'a> {
    store: &'a dyn Store,
    tenant: TenantId,
    jobs: &'a Sender<Job>,
    findings: &'a Findings,
    runs: Open<RunId>,
    directives: Open<DirectiveId>,
    causes: Vec<Cause>,
    known: KnownIds,
    schedules: ScheduleLogs,
    signals: usize,
    without_digest: usize,
}

impl<'a> LogReader<'a> {
    pub fn new(store: &'a dyn Store, tenant: TenantId, jobs: &'a Sender<Job>, findings: &'a Findings) -> Self {
        Self {
            store,
            tenant,
            jobs,
            findings,
            runs: Open::default(),
            directives: Open::default(),
            causes: Vec::new(),
            known: KnownIds::default(),
            schedules: ScheduleLogs::default(),
            signals: 0,
            without_digest: 0,
        }
    }

    /// Returns what the log says of schedules.
    pub fn read(mut self) -> Result<ScheduleLogs> {
        let mut cursor = None;
        loop {
            let page = Page::after(cursor, PAGE).within(PAGE_BYTES);
            let signals = self.store.signals_with_digests(self.tenant, page)?;
            let Some((last, _)) = signals.last() else { break };
            cursor = Some(last.id.0);
            for (signal, digest) in signals {
                self.check_digest(&signal, digest);
                self.check_cause(&signal);
                self.schedules.add(&signal);
                self.group(signal);
            }
            self.send(false);
            if self.runs.bytes + self.directives.bytes > HELD_BYTES_MAX {
                self.runs.forget(self.tenant, self.findings);
                self.directives.forget(self.tenant, self.findings);
            }
        }
        self.runs.end_all();
        self.directives.end_all();
        self.send(true);
        let (signals, without_digest) = (self.signals, self.without_digest);
        self.findings.add(|report| {
            report.signals += signals;
            report.without_digest += without_digest;
        });
        Ok(self.schedules)
    }

    fn check_digest(&mut self, signal: &Signal, digest: Option<i64>) {
        self.signals += 1;
        match digest {
            None => self.without_digest += 1,
            Some(digest) if digest == digest::of_signal(signal) => {}
            Some(_) => self
                .findings
                .problem(format!("{} {} is not what was recorded: its digest differs", signal.name, signal.id)),
        }
    }

    fn check_cause(&mut self, signal: &Signal) {
        self.known.add(signal.id.0);
        // The row of what has a log is looked for with it.
        let about = [signal.run_id.map(|id| id.0), signal.directive_id.map(|id| id.0)];
        about.into_iter().flatten().for_each(|id| self.known.add(id));
        if let Some(by) = signal.lineage.causation_id
            && !self.known.has(by.uuid())
        {
            self.causes.push(Cause { signal: signal.id, by });
        }
    }

    fn group(&mut self, signal: Signal) {
        if let Some(id) = signal.directive_id {
            let is_end = directive::change_of(&signal.name).is_some_and(directive::Change::settles);
            self.directives.add(id, signal, is_end);
        } else if let Some(id) = signal.run_id {
            let is_end = run::run_change_of(&signal.name).is_some_and(|change| change.makes().has_ended());
            self.runs.add(id, signal, is_end);
        }
    }

    /// Hands on what has ended, in jobs of some size unless it is the last. A checker that failed ends all of it, and says
    /// why.
    fn send(&mut self, is_last: bool) {
        let tenant = self.tenant;
        let is_due = |count: usize| count >= JOB_RECORDS || is_last && count > 0;
        while is_due(self.runs.ended.len()) {
            let _ = self.jobs.send(Job::Runs(tenant, take_some(&mut self.runs.ended)));
        }
        while is_due(self.directives.ended.len()) {
            let _ = self.jobs.send(Job::Directives(tenant, take_some(&mut self.directives.ended)));
        }
        while is_due(self.causes.len()) {
            let _ = self.jobs.send(Job::Causes(tenant, take_some(&mut self.causes)));
        }
    }
}

fn take_some<T>(all: &mut Vec<T>) -> Vec<T> {
    let rest = all.split_off(all.len().min(JOB_RECORDS));
    std::mem::replace(all, rest)
}

/// Signals of records whose end was not read yet, and of those whose end was.
struct Open<I> {
    groups: HashMap<I, (Vec<Signal>, usize)>,
    ended: Vec<Group<I>>,
    /// Records whose signals are not held any more.
    forgotten: HashSet<I>,
    bytes: usize,
}

impl<I> Default for Open<I> {
    fn default() -> Self {
        Self { groups: HashMap::new(), ended: Vec::new(), forgotten: HashSet::new(), bytes: 0 }
    }
}

impl<I: Copy + Eq + Hash + Into<RecordId>> Open<I> {
    /// What goes on after its end gets another group, which does not match: then its own log is read.
    fn add(&mut self, id: I, signal: Signal, is_end: bool) {
        if self.forgotten.contains(&id) {
            return;
        }
        let bytes = SIGNAL_BYTES + signal.payload.text().len();
        let (signals, of_group) = self.groups.entry(id).or_default();
        signals.push(signal);
        *of_group += bytes;
        self.bytes += bytes;
        if is_end && let Some((signals, bytes)) = self.groups.remove(&id) {
            self.bytes -= bytes;
            self.ended.push((id, signals));
        }
    }

    fn end_all(&mut self) {
        self.ended.extend(self.groups.drain().map(|(id, (signals, _))| (id, signals)));
        self.bytes = 0;
    }

    fn forget(&mut self, tenant: TenantId, findings: &Findings) {
        for (id, _) in self.groups.drain() {
            findings.suspect(tenant, id.into());
            self.forgotten.insert(id);
        }
        self.bytes = 0;
    }
}

/// Ids of the last records, twice as many at most as `KNOWN_MAX`.
#[derive(Default)]
struct KnownIds {
    newer: HashSet<Uuid>,
    older: HashSet<Uuid>,
}

impl KnownIds {
    fn add(&mut self, id: Uuid) {
        self.newer.insert(id);
        if self.newer.len() >= KNOWN_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
    }

    fn has(&self, id: Uuid) -> bool {
        self.newer.contains(&id) || self.older.contains(&id)
    }
}
