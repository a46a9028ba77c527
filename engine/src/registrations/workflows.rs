//! Workflows: a version is written once; which version is active is a row of its own.

use std::sync::Arc;

use fleetprompt_core::diagnostic::{Located, locate};
use fleetprompt_core::document::Format;
use fleetprompt_core::registration::{WorkflowEntry, WorkflowStatus, WorkflowVersion};
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{Party, Scope, Slug, TenantId, WorkflowVersionId};
use fleetprompt_store::Page;
use serde_json::json;

use super::{Change, check_stored, count};
use crate::batch::Decider;
use crate::{AppliedWorkflow, Error, Refusal, RefusalKind, TenantDirectory};

impl Decider {
    pub(super) fn workflow_apply(
        &mut self,
        scope: &Scope,
        text: &str,
        format: Format,
        activate: bool,
    ) -> Result<Change<AppliedWorkflow>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let (workflow, warnings) = compile(text, format, &catalog(tenant, activate))?;
        check_stored(&workflow.document)?;
        let workflow = Arc::new(workflow);

        let entry = tenant.workflows.get(&workflow.slug).map(|known| known.entry.clone());
        let known = self.store.workflow_version(scope.tenant, &workflow.slug, &workflow.version)?;
        let in_force = |entry: &WorkflowEntry| entry.active_version.as_ref() == Some(&workflow.version);
        let same = known.as_ref().is_some_and(|known| known.digest == workflow.digest);
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
        version: Option<String>,
    ) -> Result<Change<WorkflowEntry>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let known = tenant.workflows.get(slug).cloned().ok_or_else(|| Refusal::not_found("workflow", slug))?;
        let (name, active_version) = match to {
            WorkflowStatus::Active => {
                ("workflow.activated", Some(self.version_to_activate(scope.tenant, slug, version)?))
            }
            WorkflowStatus::Paused if known.entry.status != WorkflowStatus::Active => {
                let message =
                    format!("workflow `{slug}` is {}; only an active one can be paused", known.entry.status.as_str());
                return Err(Refusal::conflict("workflow_not_active", message).into());
            }
            WorkflowStatus::Paused => ("workflow.paused", known.entry.active_version.clone()),
            WorkflowStatus::Archived => ("workflow.archived", known.entry.active_version.clone()),
            WorkflowStatus::Draft => {
                let message = "a workflow does not become a draft again; pause or archive it";
                return Err(Refusal::conflict("workflow_status_invalid", message).into());
            }
        };
        let active = match &active_version {
            Some(version) => self.checked_version(tenant, slug, version, to)?,
            None => None,
        };
        let entry = WorkflowEntry { status: to, active_version, updated_at: self.moment.now(), ..known.entry };
        open.stage.registered.workflows.push(entry.clone());
        let payload = json!({"workflow": slug, "version": entry.active_version, "status": to});
        self.audit(&mut open, scope.tenant, &scope.actor, name, subject(slug), payload)?;
        tenant.put_workflow(entry.clone(), active);
        Ok(Change { open, directory, answer: entry })
    }

    /// The version named, or else the newest.
    fn version_to_activate(&self, tenant: TenantId, slug: &Slug, version: Option<String>) -> Result<String, Error> {
        match version {
            Some(version) => Ok(version),
            None => {
                let newest = self.store.workflow_versions(tenant, slug, Page::newest(1))?.into_iter().next();
                Ok(newest.ok_or_else(|| Refusal::not_found("version of workflow", slug))?.version)
            }
        }
    }

    /// A version compiled; for activation also checked against what is registered now.
    fn checked_version(
        &mut self,
        tenant: &TenantDirectory,
        slug: &Slug,
        version: &str,
        to: WorkflowStatus,
    ) -> Result<Option<Arc<Workflow>>, Error> {
        let stored = self.store.workflow_version(tenant.tenant.id, slug, version)?;
        let stored = stored.ok_or_else(|| Refusal::not_found("version", format!("{slug} {version}")))?;
        let activate = to == WorkflowStatus::Active;
        let (workflow, _) = compile(stored.document.text(), Format::Json, &catalog(tenant, activate))?;
        Ok(Some(Arc::new(workflow)))
    }
}

fn compile(text: &str, format: Format, catalog: &Catalog) -> Result<(Workflow, Vec<Located>), Error> {
    match workflow::read(text, format, catalog) {
        Ok((workflow, warnings)) => Ok((workflow, locate(&warnings, text))),
        Err(diagnostics) => {
            let message = format!("the workflow has {}; nothing was applied", count(diagnostics.len(), "problem"));
            let refusal = Refusal::new(RefusalKind::Invalid, "workflow_invalid", message);
            Err(refusal.with_diagnostics(locate(&diagnostics, text)).into())
        }
    }
}

/// A draft may name what is still to come; what is to run may not.
fn catalog(tenant: &TenantDirectory, activate: bool) -> Catalog {
    let known = tenant.catalog();
    if activate {
        known
    } else {
        Catalog { functions: known.functions, worker_functions: known.worker_functions, ..Catalog::default() }
    }
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
