//! First whether the batch can be written, then all of it.

use std::collections::{BTreeMap, BTreeSet};

use fleetprompt_core::run::{Items, Run, Step, Steps};
use fleetprompt_core::signal::DispositionKind;
use fleetprompt_core::{DirectiveId, TenantId};

use super::State;
use crate::{Batch, Error, Result, RunWrite};

impl State {
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.commits_to_pass > 0 {
            self.commits_to_pass -= 1;
        } else if self.commits_to_fail > 0 {
            self.commits_to_fail -= 1;
            return Err(told_to_fail());
        }
        self.check_values(batch)?;
        self.check_tenants(batch)?;
        self.check_facts(batch)?;
        self.check_keys(batch)?;
        check_steps(batch)?;
        let unknown = self.next_unknown.take();
        if unknown != Some(false) {
            self.write(batch);
            self.refused_before_commit = self.commits_refused;
        }
        match unknown {
            None => Ok(()),
            Some(_) => Err(Error::OutcomeUnknown {
                cause: "the answer to this commit was told to be lost".into(),
                is_lost: true,
            }),
        }
    }

    /// No payload and no document has the text that a test declared unstorable.
    fn check_values(&mut self, batch: &Batch) -> Result<()> {
        let Some(text) = &self.unstorable else { return Ok(()) };
        let payloads = batch.signals.iter().map(|signal| &signal.payload);
        let payloads = payloads.chain(batch.directives.iter().map(|directive| &directive.payload));
        let mut values = payloads.chain(batch.workflow_versions.iter().map(|version| &version.document));
        if values.any(|value| value.text().contains(&**text)) {
            self.commits_refused += 1;
            return Err(refused("a value has the text that a test declared unstorable".into()));
        }
        Ok(())
    }

    fn check_tenants(&self, batch: &Batch) -> Result<()> {
        let known = |tenant: TenantId| {
            self.tenants.contains_key(&tenant) || batch.tenants.iter().any(|fresh| fresh.id == tenant)
        };
        match batch.tenants_named().find(|tenant| !known(*tenant)) {
            Some(tenant) => Err(refused(format!("there is no tenant {tenant}"))),
            None => Ok(()),
        }
    }

    /// A fact is new, and so is each of its dedupe keys.
    fn check_facts(&self, batch: &Batch) -> Result<()> {
        let mut ids = BTreeSet::new();
        for signal in &batch.signals {
            let id = (signal.tenant, signal.id);
            if self.signals.contains_key(&id) || !ids.insert(id) {
                return Err(refused(format!("signal {} exists", signal.id)));
            }
        }
        let mut keys = BTreeSet::new();
        for (tenant, key, _) in &batch.dedupe_keys {
            let key = (*tenant, key.clone());
            if self.dedupe_keys.contains_key(&key) || !keys.insert(key) {
                return Err(refused("a dedupe key exists".into()));
            }
        }
        Ok(())
    }

    /// An idempotency key belongs to one directive.
    fn check_keys(&self, batch: &Batch) -> Result<()> {
        let mut fresh = BTreeMap::<_, DirectiveId>::new();
        for directive in &batch.directives {
            let key = (directive.tenant, directive.idempotency_key.clone());
            let holder = self.directive_keys.get(&key).or_else(|| fresh.get(&key));
            if holder.is_some_and(|holder| *holder != directive.id) {
                return Err(refused("an idempotency key exists".into()));
            }
            fresh.insert(key, directive.id);
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) {
        self.write_registrations(batch);
        for signal in &batch.signals {
            self.signals.insert((signal.tenant, signal.id), signal.clone());
        }
        for (tenant, key, signal) in &batch.dedupe_keys {
            self.dedupe_keys.insert((*tenant, key.clone()), *signal);
        }
        for one in &batch.dispositions {
            let waiter = one.run_id.filter(|_| one.kind == DispositionKind::Advanced);
            self.dispositions.insert((one.tenant, one.signal_id, one.workflow.clone(), waiter), one.clone());
        }
        for directive in &batch.directives {
            let key = (directive.tenant, directive.idempotency_key.clone());
            self.directive_keys.insert(key, directive.id);
            self.directives.insert((directive.tenant, directive.id), directive.clone());
        }
        for write in &batch.runs {
            self.write_run(write);
        }
    }

    /// What the write does not name stays as it was: a change that is not named is found out by the
    /// first test that compares.
    fn write_run(&mut self, write: &RunWrite) {
        let id = (write.run.tenant, write.run.id);
        let steps = match self.runs.remove(&id) {
            Some(before) => before.steps,
            None => Steps::pending(write.run.steps.len()),
        };
        let mut run = Run { steps, ..Run::clone(&write.run) };
        let mut places = write.places.clone();
        // A step before its items, and these before what undoes them.
        places.sort_by_key(|place| (place.step, place.item.is_some(), place.undo));
        for place in places {
            match write.run.at(place) {
                Some(step) => run.restore(place, bare(step)),
                None => run.clear(place),
            }
        }
        self.runs.insert(id, run);
    }

    fn write_registrations(&mut self, batch: &Batch) {
        self.tenants.extend(batch.tenants.iter().map(|one| (one.id, one.clone())));
        self.keys.extend(batch.keys.iter().map(|one| (one.id, one.clone())));
        self.workflows.extend(batch.workflows.iter().map(|one| ((one.tenant, one.slug.clone()), one.clone())));
        let keyed = batch.workflow_versions.iter();
        let keyed = keyed.map(|one| ((one.tenant, one.slug.clone(), one.version.clone()), one.clone()));
        self.workflow_versions.extend(keyed);
        self.agents.extend(batch.agents.iter().map(|one| ((one.tenant, one.slug.clone()), one.clone())));
        self.functions.extend(batch.functions.iter().map(|one| ((one.tenant, one.name.clone()), one.clone())));
        let modules = batch.modules.iter().map(|(one, bytes)| ((one.tenant, one.digest.clone()), (one, bytes)));
        for (key, (entry, bytes)) in modules {
            self.modules.entry(key).or_insert_with(|| (entry.clone(), bytes.clone()));
        }
        batch.modules_removed.iter().for_each(|key| drop(self.modules.remove(key)));
        self.directive_types
            .extend(batch.directive_types.iter().map(|one| ((one.tenant, one.name.clone()), one.clone())));
        self.schedules.extend(batch.schedules.iter().map(|one| ((one.tenant, one.slug.clone()), one.clone())));
    }
}

fn check_steps(batch: &Batch) -> Result<()> {
    for RunWrite { run, places } in &batch.runs {
        if let Some(place) = places.iter().find(|place| place.index() >= run.steps.len()) {
            return Err(Error::Damaged(format!("a batch: {} has no step {} to write", run.id, place.step)));
        }
    }
    Ok(())
}

/// A step without what are rows of their own.
pub(super) fn bare(step: &Step) -> Step {
    let items = step.items.as_ref().map(|items| Box::new(Items::pending(items.steps.len())));
    Step { items, undo: None, ..step.clone() }
}

pub(super) fn told_to_fail() -> Error {
    Error::Unavailable { doing: "commit", cause: "this commit was told to fail".into() }
}

fn refused(cause: String) -> Error {
    Error::Unstorable { doing: "commit", cause }
}
