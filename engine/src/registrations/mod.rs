//! Changes of what is registered: tenants, keys, workflows, agents, schedules, directive types, functions and their
//! modules. Rare; each is checked against what is there, committed by itself, and audited by a signal in the same commit.

mod agents;
mod directive_types;
mod functions;
mod keys;
mod load;
mod modules;
mod schedules;
mod workflows;

use fleetprompt_core::{Json, Lineage, Name, Party, Signal, SignalId, TenantId};
use serde::Serialize;

pub(crate) use load::load;
pub(crate) use workflows::compile_version;

use crate::batch::{Decider, Open};
use crate::input::{Registration, Reply};
use crate::{Directory, Error};

/// What a registration came to: rows and a signal in the stage, and how the directory changes.
struct Change<T> {
    open: Open,
    directory: Directory,
    answer: T,
}

impl Decider {
    pub(crate) fn register(&mut self, registration: Registration) {
        match registration {
            Registration::Workflow { scope, compiled, activate, reply } => {
                let change = self.workflow_apply(&scope, compiled, activate);
                self.enact(change, reply);
            }
            Registration::WorkflowStatus { scope, slug, to, compiled, reply } => {
                let change = self.workflow_status_set(&scope, &slug, to, compiled);
                self.enact(change, reply);
            }
            Registration::Agent { scope, compiled, reply } => {
                let change = self.agent_apply(&scope, *compiled);
                self.enact(change, reply);
            }
            Registration::Schedule { scope, compiled, reply } => {
                let change = self.schedule_apply(&scope, *compiled);
                self.enact(change, reply);
            }
            Registration::ScheduleOrder { scope, slug, order, reason, reply } => {
                let change = self.schedule_order(&scope, &slug, order, reason);
                self.enact(change, reply);
            }
            Registration::DirectiveType { scope, document, reply } => {
                let change = self.directive_type_apply(&scope, &document);
                self.enact(change, reply);
            }
            Registration::Function { scope, document, reply } => {
                let change = self.function_apply(&scope, &document);
                self.enact(change, reply);
            }
            Registration::Module { scope, bytes, reply } => {
                let change = self.module_add(&scope, bytes);
                self.enact(change, reply);
            }
            Registration::RemoveModule { scope, digest, reply } => {
                let change = self.module_remove(&scope, &digest);
                self.enact(change, reply);
            }
            Registration::Tenant { actor, slug, name, role, reply } => {
                let change = self.tenant_create(&actor, slug, name, role);
                self.enact(change, reply);
            }
            Registration::TenantChange { actor, slug, change, reply } => {
                let change = self.tenant_update(&actor, &slug, change);
                self.enact(change, reply);
            }
            Registration::Key { actor, tenant, new, reply } => {
                let change = self.key_create(&actor, tenant, new);
                self.enact(change, reply);
            }
            Registration::RevokeKey { actor, tenant, id, reply } => {
                let change = self.key_revoke(&actor, tenant, id);
                self.enact(change, reply);
            }
        }
    }

    /// Commits, and only if that held lets the new directory count.
    fn enact<T: 'static>(&mut self, change: Result<Change<T>, Error>, reply: Reply<T>) {
        let Change { mut open, directory, answer } = match change {
            Ok(change) => change,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let published = self.directory.clone();
        open.answer_alone(move |commit| {
            if commit.is_ok() {
                published.store(directory.into());
                published.load().announce();
            }
            drop(reply.send(commit.map(|()| answer)));
        });
        self.commit(open);
    }

    /// A copy of the directory to change, and an empty stage.
    fn begin(&mut self) -> (Directory, Open) {
        (Directory::clone(&self.directory.load()), Open::default())
    }

    /// Records that something was registered, as a fact of the tenant that others may listen to.
    fn audit(
        &mut self,
        open: &mut Open,
        tenant: TenantId,
        actor: &Party,
        name: &'static str,
        subject: Party,
        payload: impl Serialize,
    ) -> Result<(), Error> {
        let id = SignalId(self.moment.uuid());
        let now = self.moment.now();
        let signal = Signal {
            id,
            tenant,
            name: Name::known(name),
            subject: Some(subject),
            actor: Some(actor.clone()),
            source: None,
            source_event_id: None,
            dedupe_key: None,
            lineage: Lineage::root(id.to_string()),
            run_id: None,
            directive_id: None,
            occurred_at: now,
            recorded_at: now,
            payload: Json::of(&payload),
        };
        self.attempt(open, |cascade| cascade.state(signal))
    }
}
