//! Schedules compared with what their signals say of them.

use std::collections::{BTreeMap, HashSet};

use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::{RecordId, Signal, SignalId, Slug, schedule};

use super::Findings;
use crate::cascade::schedule_of;

/// What the log of a tenant says of its schedules so far.
#[derive(Default)]
pub struct ScheduleLogs(BTreeMap<Slug, ScheduleLog>);

#[derive(Default)]
struct ScheduleLog {
    last: Option<schedule::Record>,
    fires: HashSet<SignalId>,
    backfills: HashSet<SignalId>,
    /// By itself or by a request: a backfill only repeats history.
    has_fired: bool,
}

impl ScheduleLogs {
    pub fn add(&mut self, signal: &Signal) {
        if let Some(slug) = schedule_of(signal) {
            let log = self.0.entry(slug).or_default();
            let cause = signal.lineage.causation_id;
            log.has_fired |= !matches!(cause, Some(RecordId::Signal(by)) if log.backfills.contains(&by));
            log.fires.insert(signal.id);
        } else if let Some(change) = schedule::change_of(&signal.name)
            && let Ok(record) = serde_json::from_str::<schedule::Record>(signal.payload.text())
        {
            let log = self.0.entry(record.schedule.clone()).or_default();
            if change == schedule::Change::Backfilled {
                log.backfills.insert(signal.id);
            }
            log.last = Some(record);
        }
    }

    /// Rows as they were before the log was read and after it: what a server changed meanwhile is not compared.
    pub fn check(mut self, before: &[ScheduleEntry], after: &[ScheduleEntry], findings: &Findings) {
        for entry in after {
            let log = self.0.remove(&entry.slug).unwrap_or_default();
            match before.contains(entry) {
                true => log.check(entry, findings),
                false => findings.add(|report| report.schedules += 1),
            }
        }
        for slug in self.0.into_keys() {
            findings.problem(format!("schedule {slug} has a log and no row"));
        }
    }
}

impl ScheduleLog {
    fn check(self, entry: &ScheduleEntry, findings: &Findings) {
        findings.add(|report| report.schedules += 1);
        let (slug, state) = (&entry.slug, &entry.state);
        let Some(last) = self.last else {
            return findings.problem(format!("schedule {slug} has a row and no log"));
        };
        if (last.status, &last.digest) != (state.status, &entry.digest) {
            let (stored, logged) = (state.status.as_str(), last.status.as_str());
            findings
                .problem(format!("schedule {slug} is not what its log says: {stored} in its row, {logged} in its log"));
        }
        let is_recorded = match state.last_signal {
            // A due time that a backfill had recorded before is that fire.
            Some(fire) => self.fires.contains(&fire),
            None => !self.has_fired,
        };
        if !is_recorded {
            findings.problem(format!("schedule {slug} has another last fire in its row than in its log"));
        }
    }
}
