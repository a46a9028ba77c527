//! What a cascade, or a whole batch of them, came to: not yet committed, and dropped without a trace
//! if it never is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use fleetprompt_core::directive::Directive;
use fleetprompt_core::registration::ScheduleEntry;
use fleetprompt_core::run::{Effect, Place, StepStatus};
use fleetprompt_core::signal::{DedupeKey, Disposition};
use fleetprompt_core::workflow::Workflow;
use fleetprompt_core::{DirectiveId, RunId, Signal, SignalId, Slug, TenantId};
use fleetprompt_store::{Batch, RunWrite};

use super::ScheduleRow;
use super::route::RefusalReason;
use crate::cache::OpenRun;
use crate::descent::DescentDeltas;

#[derive(Default)]
pub(crate) struct Stage {
    /// In the order of their ids.
    pub signals: Vec<Arc<Signal>>,
    /// Of the payloads: what this takes in memory, about.
    bytes: usize,
    pub dedupe_keys: HashMap<(TenantId, DedupeKey), SignalId>,
    pub dispositions: Vec<Disposition>,
    /// The refused ones among them, with the reason that they are counted under.
    pub refusals: Vec<(TenantId, Slug, RefusalReason)>,
    /// What is added to the counters of roots once this is committed.
    pub descents: DescentDeltas,
    directives: BTreeMap<DirectiveId, Arc<Directive>>,
    directive_keys: HashMap<(TenantId, String), DirectiveId>,
    runs: BTreeMap<RunId, (OpenRun, Vec<Place>)>,
    schedules: BTreeMap<(TenantId, Slug), ScheduleRow>,
    /// To begin once this is committed.
    pub effects: Vec<Effect>,
    /// Attempts of directives, the last one of each.
    pub attempts: BTreeMap<DirectiveId, Arc<Directive>>,
    /// Built-in directives left to the next commit.
    pub deferred: Vec<(TenantId, DirectiveId)>,
    /// Rows of registrations.
    pub registered: Batch,
    /// Versions among these, for the cache.
    pub compiled: Vec<(TenantId, Arc<Workflow>)>,
}

/// A batch that has come to this much leaves what can wait to the next one.
const SIGNALS_FULL: usize = 50_000;
const BYTES_FULL: usize = 256 << 20;
/// While several tenants share the engine, a batch ends once it has recorded so much.
const BYTES_FULL_SHARED: usize = 1 << 20;

impl Stage {
    pub fn is_full(&self) -> bool {
        self.signals.len() >= SIGNALS_FULL || self.bytes >= BYTES_FULL
    }

    /// Whether the other tenants would wait too long for a commit of more.
    pub fn is_full_for_sharers(&self) -> bool {
        self.bytes >= BYTES_FULL_SHARED
    }

    pub fn put_signal(&mut self, signal: Arc<Signal>) {
        self.bytes += signal.payload.text().len();
        self.signals.push(signal);
    }

    pub fn put_directive(&mut self, directive: Arc<Directive>) {
        if directive.attempt == 0 && !directive.status.is_settled() {
            let key = (directive.tenant, directive.idempotency_key.clone());
            self.directive_keys.insert(key, directive.id);
            self.bytes += directive.payload.text().len();
        }
        self.directives.insert(directive.id, directive);
    }

    pub fn put_run(&mut self, open: OpenRun, changed: Vec<Place>) {
        let steps = match self.runs.remove(&open.run.id) {
            Some((_, mut steps)) => {
                steps.extend(changed);
                steps
            }
            None => changed,
        };
        self.runs.insert(open.run.id, (open, steps));
    }

    pub fn put_schedule(&mut self, row: ScheduleRow) {
        self.schedules.insert((row.entry.tenant, row.entry.slug.clone()), row);
    }

    pub fn schedule(&self, tenant: TenantId, slug: &Slug) -> Option<&ScheduleRow> {
        self.schedules.get(&(tenant, slug.clone()))
    }

    pub fn take_schedules(&mut self) -> Vec<ScheduleRow> {
        std::mem::take(&mut self.schedules).into_values().collect()
    }

    pub fn directive(&self, id: DirectiveId) -> Option<&Arc<Directive>> {
        self.directives.get(&id)
    }

    pub fn directive_by_key(&self, tenant: TenantId, key: &str) -> Option<DirectiveId> {
        self.directive_keys.get(&(tenant, key.to_owned())).copied()
    }

    pub fn run(&self, id: RunId) -> Option<&OpenRun> {
        self.runs.get(&id).map(|(open, _)| open)
    }

    pub fn signal(&self, id: SignalId) -> Option<&Arc<Signal>> {
        let index = self.signals.binary_search_by_key(&id, |signal| signal.id).ok()?;
        self.signals.get(index)
    }

    /// Each attempt once: one that was withdrawn and begun anew in the same commit is the later one alone.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.effects);
        let mut known = HashSet::with_capacity(effects.len());
        effects.reverse();
        effects.retain(|effect| known.insert(effect.attempt()));
        effects.reverse();
        effects
    }

    /// The run and the signal that began an attempt. None: it was withdrawn in the same commit, and is not
    /// worth its price.
    pub fn begun(&self, effect: &Effect) -> Option<(&OpenRun, SignalId)> {
        let (run, place, attempt) = effect.attempt()?;
        let open = self.run(run)?;
        let unit = open.run.at(place)?;
        let is_under_way = unit.status == StepStatus::Running && unit.attempt == attempt;
        Some((open, unit.signal_id.filter(|_| is_under_way)?))
    }

    /// Every run that this changes, with the places.
    pub fn changed(&self) -> impl Iterator<Item = (&OpenRun, &[Place])> {
        self.runs.values().map(|(open, places)| (open, places.as_slice()))
    }

    /// The attempts of directives that are still wanted: one that was canceled in the same commit is never sent.
    pub fn take_attempts(&mut self) -> Vec<Arc<Directive>> {
        let attempts = std::mem::take(&mut self.attempts).into_values();
        let is_wanted = |attempt: &Arc<Directive>| {
            let now = self.directives.get(&attempt.id);
            now.is_some_and(|now| now.is_in_flight() && now.attempt == attempt.attempt)
        };
        attempts.filter(is_wanted).collect()
    }

    pub fn directives(&self) -> impl Iterator<Item = &Arc<Directive>> {
        self.directives.values()
    }

    /// What came `later` in the same batch counts over what is here.
    pub fn merge(&mut self, later: Stage) {
        self.signals.extend(later.signals);
        self.bytes += later.bytes;
        self.dedupe_keys.extend(later.dedupe_keys);
        self.dispositions.extend(later.dispositions);
        self.refusals.extend(later.refusals);
        self.descents.merge(later.descents);
        self.directives.extend(later.directives);
        self.directive_keys.extend(later.directive_keys);
        for (open, steps) in later.runs.into_values() {
            self.put_run(open, steps);
        }
        self.schedules.extend(later.schedules);
        self.effects.extend(later.effects);
        self.attempts.extend(later.attempts);
        self.deferred.extend(later.deferred);
    }

    pub fn to_batch(&self) -> Batch {
        let runs = self.runs.values().map(|(open, changed)| {
            let mut places = changed.clone();
            places.sort_unstable();
            places.dedup();
            RunWrite { run: open.run.clone(), places }
        });
        let dedupe_keys = self.dedupe_keys.iter().map(|((tenant, key), id)| (*tenant, key.clone(), *id));
        Batch {
            signals: self.signals.clone(),
            dedupe_keys: dedupe_keys.collect(),
            dispositions: self.dispositions.clone(),
            directives: self.directives.values().cloned().collect(),
            runs: runs.collect(),
            schedules: self.schedules.values().map(|row| ScheduleEntry::clone(&row.entry)).collect(),
            ..self.registered.clone()
        }
    }

    pub fn into_rows(self) -> (Vec<OpenRun>, Vec<Arc<Directive>>) {
        let runs = self.runs.into_values().map(|(open, _)| open).collect();
        (runs, self.directives.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use fleetprompt_core::Json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_attempt_that_began_twice_in_one_commit_is_made_once_as_it_began_last() {
        let began = |place: usize, input: &str| Effect::Agent {
            run: RunId(Uuid::nil()),
            place: Place::step(place),
            attempt: 1,
            agent: "helper".parse().expect("a slug"),
            input: Json::from(serde_json::json!(input)),
            key: "key".into(),
            timeout: None,
        };
        let mut stage = Stage { effects: vec![began(0, "first")], ..Stage::default() };
        let later = Stage { effects: vec![began(1, "another"), began(0, "last")], ..Stage::default() };
        stage.merge(later);
        assert_eq!(stage.take_effects(), [began(1, "another"), began(0, "last")]);
    }
}
