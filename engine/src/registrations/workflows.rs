//! Workflows: a version is written once; which version is active is a row of its own.

use std::sync::Arc;

use fleetprompt_core::document::Format;
use fleetprompt_core::registration::{WorkflowEntry, WorkflowStatus, WorkflowVersion};
use fleetprompt_core::workflow::{LanguageRevision, Workflow};
use fleetprompt_core::{Party, Scope, Slug, WorkflowVersionId};
use fleetprompt_store::{Page, Store};
use serde_json::json;

use super::Change;
use crate::batch::Decider;
use crate::compile::CompiledWorkflow;
use crate::{AppliedWorkflow, Error, Refusal, TenantDirectory};

impl Decider {
    pub(super) fn workflow_apply(
        &mut self,
        scope: &Scope,
        compiled: CompiledWorkflow,
        activate: bool,
    ) -> Result<Change<AppliedWorkflow>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        compiled.check_names(tenant)?;
        let known = self.store.workflow_version(scope.tenant, &compiled.workflow.slug, &compiled.workflow.version)?;
        let same = known.as_ref().is_some_and(|known| known.digest == compiled.workflow.digest);
        // A version that is stored keeps the meaning that it was applied with.
        let language = known.as_ref().filter(|_| same).map_or(LanguageRevision::CURRENT, |known| known.language);
        let CompiledWorkflow { workflow, warnings, .. } = compiled.in_revision(language);

        let entry = tenant.workflows.get(&workflow.slug).map(|known| known.entry.clone());
        let in_force = |entry: &WorkflowEntry| entry.active_version.as_ref() == Some(&workflow.version);
        if let Some(known) = known.as_ref().filter(|_| !same) {
            may_replace(known, entry.as_ref())?;
        }
        let active_already = entry.as_ref().is_some_and(|e| in_force(e) && e.status == WorkflowStatus::Active);
        let changed = !same || (activate && !active_already);

        let now = self.moment.now();
        let version = match known.filter(|_| same) {
            Some(known) => known,
            None => WorkflowVersion {
                id: WorkflowVersionId(self.moment.uuid()),
                tenant: scope.tenant,
                slug: workflow.slug.clone(),
                version: workflow.version.clone(),
                document: workflow.document.clone(),
                digest: workflow.digest.clone(),
                created_at: now,
                language,
            },
        };
        let entry = entry.unwrap_or_else(|| WorkflowEntry {
            tenant: scope.tenant,
            slug: workflow.slug.clone(),
            status: WorkflowStatus::Draft,
            active_version: None,
            updated_at: now,
        });
        let entry = match activate {
            true => WorkflowEntry {
                status: WorkflowStatus::Active,
                active_version: Some(workflow.version.clone()),
                updated_at: if changed { now } else { entry.updated_at },
                ..entry
            },
            false => entry,
        };
        if changed {
            if !same {
                open.stage.registered.workflow_versions.push(version.clone());
            }
            open.stage.registered.workflows.push(entry.clone());
            let payload = json!({
                "workflow": workflow.slug, "version": workflow.version, "digest": workflow.digest,
                "status": entry.status,
            });
            let name = if activate { "workflow.activated" } else { "workflow.applied" };
            self.audit(&mut open, scope.tenant, &scope.actor, name, subject(&workflow.slug), payload)?;
            open.stage.compiled.push((scope.tenant, workflow.clone()));
            let active = tenant.workflows.get(&workflow.slug).and_then(|known| known.active.clone());
            tenant.put_workflow(entry.clone(), if activate { Some(workflow.clone()) } else { active });
        }
        let answer = AppliedWorkflow { entry, version, changed, warnings };
        Ok(Change { open, directory, answer })
    }

    pub(super) fn workflow_status_set(
        &mut self,
        scope: &Scope,
        slug: &Slug,
        to: WorkflowStatus,
        compiled: Option<CompiledWorkflow>,
    ) -> Result<Change<WorkflowEntry>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let known = tenant.workflows.get(slug).cloned().ok_or_else(|| Refusal::not_found("workflow", slug))?;
        let activated = compiled.map(|compiled| self.still_stored(tenant, &known.entry, compiled)).transpose()?;
        let name = match to {
            WorkflowStatus::Active => "workflow.activated",
            WorkflowStatus::Paused if known.entry.status != WorkflowStatus::Active => {
                let message =
                    format!("workflow `{slug}` is {}; only an active one can be paused", known.entry.status.as_str());
                return Err(Refusal::conflict("workflow_not_active", message).into());
            }
            WorkflowStatus::Paused => "workflow.paused",
            WorkflowStatus::Archived => "workflow.archived",
            WorkflowStatus::Draft => {
                let message = "a workflow does not become a draft again; pause or archive it";
                return Err(Refusal::conflict("workflow_status_invalid", message).into());
            }
        };
        let active = activated.or(known.active);
        let active_version = active.as_ref().map(|active| active.version.clone()).or(known.entry.active_version);
        let entry = WorkflowEntry { status: to, active_version, updated_at: self.moment.now(), ..known.entry };
        open.stage.registered.workflows.push(entry.clone());
        let payload = json!({"workflow": slug, "version": entry.active_version, "status": to});
        self.audit(&mut open, scope.tenant, &scope.actor, name, subject(slug), payload)?;
        tenant.put_workflow(entry.clone(), active);
        Ok(Change { open, directory, answer: entry })
    }

    /// A version that was compiled to be activated, if it is still what is stored: a draft may have been replaced.
    fn still_stored(
        &self,
        tenant: &TenantDirectory,
        entry: &WorkflowEntry,
        compiled: CompiledWorkflow,
    ) -> Result<Arc<Workflow>, Error> {
        compiled.check_names(tenant)?;
        let workflow = compiled.workflow;
        if entry.status == WorkflowStatus::Draft {
            let stored = self.store.workflow_version(tenant.tenant.id, &workflow.slug, &workflow.version)?;
            if stored.is_none_or(|stored| stored.digest != workflow.digest) {
                let message = format!(
                    "version {} of `{}` was replaced while it was compiled; activate it again",
                    workflow.version, workflow.slug
                );
                return Err(Refusal::conflict("conflict", message).into());
            }
        }
        Ok(workflow)
    }
}

/// The version named, or else the newest, compiled and checked against what is registered now.
pub(crate) fn compile_version(
    store: &dyn Store,
    tenant: Arc<TenantDirectory>,
    slug: &Slug,
    version: Option<&str>,
) -> Result<CompiledWorkflow, Error> {
    let id = tenant.tenant.id;
    if !tenant.workflows.contains_key(slug) {
        return Err(Refusal::not_found("workflow", slug).into());
    }
    let version = match version {
        Some(version) => version.to_owned(),
        None => {
            let newest = store.workflow_versions(id, slug, Page::newest(1))?.into_iter().next();
            newest.ok_or_else(|| Refusal::not_found("version of workflow", slug))?.version
        }
    };
    let stored = store.workflow_version(id, slug, &version)?;
    let stored = stored.ok_or_else(|| Refusal::not_found("version", format!("{slug} {version}")))?;
    Ok(CompiledWorkflow::read(stored.document.text(), Format::Json, tenant, true)?.in_revision(stored.language))
}

fn may_replace(known: &WorkflowVersion, entry: Option<&WorkflowEntry>) -> Result<(), Refusal> {
    // Only a workflow that never was in force is sure to have no run on any of its versions.
    if entry.is_none_or(|entry| entry.status == WorkflowStatus::Draft) {
        return Ok(());
    }
    let message = format!(
        "version {} of `{}` is there with other content, and a version never changes; raise `version`",
        known.version, known.slug
    );
    Err(Refusal::conflict("version_exists", message))
}

fn subject(slug: &Slug) -> Party {
    Party::new("workflow", slug)
}
