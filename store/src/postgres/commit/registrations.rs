//! Tenants, keys, and what tenants register: rows as they are now. They change seldom, so each is a statement.

use fleetprompt_core::Json;
use fleetprompt_core::registration::ScheduleEntry;

use super::super::columns::{micros, text};
use super::{Write, Writes};
use crate::Batch;

pub fn registrations<'a>(batch: &'a Batch, partition: i32, writes: &mut Writes<'a>) {
    tenants(batch, partition, writes);
    keys(batch, writes);
    workflows(batch, writes);
    documents(batch, writes);
    modules(batch, writes);
    for schedule in &batch.schedules {
        self::schedule(schedule, writes);
    }
}

fn tenants<'a>(batch: &'a Batch, partition: i32, writes: &mut Writes<'a>) {
    writes.extend(batch.tenants.iter().map(|tenant| {
        Write::new(
            "INSERT INTO tenants (tenant_id, slug, name, created_at, weight, partition) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id) DO UPDATE SET slug = excluded.slug, name = excluded.name, weight = excluded.weight",
        )
        .with(tenant.id.0)
        .with(tenant.slug.as_str())
        .with(text(&tenant.name))
        .with(tenant.created_at.0)
        .with(i32::from(tenant.weight.get()))
        .with(partition)
    }));
}

fn keys<'a>(batch: &'a Batch, writes: &mut Writes<'a>) {
    writes.extend(batch.keys.iter().map(|key| {
        Write::new(
            "INSERT INTO keys (tenant_id, id, name, role, hash, created_at, expires_at, revoked_at, performs)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name, role = excluded.role,
               expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
        )
        .with(key.tenant.0)
        .with(key.id.0)
        .with(text(&key.name))
        .with(key.role.as_str())
        .with(&key.hash.0[..])
        .with(key.created_at.0)
        .with(micros(key.expires_at))
        .with(micros(key.revoked_at))
        .with(key.performs.as_ref().map(|performs| Json::of(performs).text().to_owned()))
    }));
}

fn workflows<'a>(batch: &'a Batch, writes: &mut Writes<'a>) {
    writes.extend(batch.workflows.iter().map(|workflow| {
        Write::new(
            "INSERT INTO workflows (tenant_id, slug, status, active_version, updated_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, slug) DO UPDATE SET status = excluded.status,
               active_version = excluded.active_version, updated_at = excluded.updated_at",
        )
        .with(workflow.tenant.0)
        .with(workflow.slug.as_str())
        .with(workflow.status.as_str())
        .with(workflow.active_version.as_deref().map(text))
        .with(workflow.updated_at.0)
    }));
    writes.extend(batch.workflow_versions.iter().map(|version| {
        Write::new(
            "INSERT INTO workflow_versions (tenant_id, slug, version, id, digest, created_at, document, language)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (tenant_id, slug, version) DO UPDATE SET id = excluded.id, digest = excluded.digest,
               created_at = excluded.created_at, document = excluded.document, language = excluded.language",
        )
        .with(version.tenant.0)
        .with(version.slug.as_str())
        .with(text(&version.version))
        .with(version.id.0)
        .with(version.digest.as_str())
        .with(version.created_at.0)
        .with(version.document.text())
        .with(i32::from(version.language.0))
    }));
}

fn documents<'a>(batch: &'a Batch, writes: &mut Writes<'a>) {
    writes.extend(batch.agents.iter().map(|agent| {
        Write::new(
            "INSERT INTO agents (tenant_id, slug, digest, updated_at, document) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, slug) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at,
               document = excluded.document",
        )
        .with(agent.tenant.0)
        .with(agent.slug.as_str())
        .with(agent.digest.as_str())
        .with(agent.updated_at.0)
        .with(agent.document.text())
    }));
    writes.extend(batch.directive_types.iter().map(|kind| {
        Write::new(
            "INSERT INTO directive_types (tenant_id, name, updated_at, document) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = excluded.updated_at,
               document = excluded.document",
        )
        .with(kind.tenant.0)
        .with(kind.name.as_str())
        .with(kind.updated_at.0)
        .with(kind.document.text())
    }));
    writes.extend(batch.functions.iter().map(|function| {
        Write::new(
            "INSERT INTO functions (tenant_id, name, updated_at, document) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, name) DO UPDATE SET updated_at = excluded.updated_at,
               document = excluded.document",
        )
        .with(function.tenant.0)
        .with(function.name.as_str())
        .with(function.updated_at.0)
        .with(function.document.text())
    }));
}

fn modules<'a>(batch: &'a Batch, writes: &mut Writes<'a>) {
    writes.extend(batch.modules.iter().map(|(module, bytes)| {
        Write::new(
            "INSERT INTO modules (tenant_id, digest, size, created_at, bytes) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, digest) DO NOTHING",
        )
        .with(module.tenant.0)
        .with(module.digest.as_str())
        .with(module.size as i64)
        .with(module.created_at.0)
        .with(&**bytes)
    }));
    writes.extend(batch.modules_removed.iter().map(|(tenant, digest)| {
        Write::new("DELETE FROM modules WHERE tenant_id = $1 AND digest = $2").with(tenant.0).with(digest.as_str())
    }));
}

fn schedule<'a>(schedule: &'a ScheduleEntry, writes: &mut Writes<'a>) {
    // A fire changes the state alone; the document is then not written again.
    let document = Write::new(
        "INSERT INTO schedules AS s (tenant_id, slug, digest, document) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, slug) DO UPDATE SET digest = excluded.digest, document = excluded.document
         WHERE s.digest <> excluded.digest",
    )
    .with(schedule.tenant.0)
    .with(schedule.slug.as_str())
    .with(schedule.digest.as_str())
    .with(schedule.document.text());
    let state = &schedule.state;
    let stands = Write::new(
        "INSERT INTO schedule_states (tenant_id, slug, status, anchor_at, next_at, last_at, last_signal, queued_at,
           reason, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (tenant_id, slug) DO UPDATE SET status = excluded.status, anchor_at = excluded.anchor_at,
           next_at = excluded.next_at, last_at = excluded.last_at, last_signal = excluded.last_signal,
           queued_at = excluded.queued_at, reason = excluded.reason, updated_at = excluded.updated_at",
    )
    .with(schedule.tenant.0)
    .with(schedule.slug.as_str())
    .with(state.status.as_str())
    .with(state.anchor_at.0)
    .with(micros(state.next_at))
    .with(micros(state.last_at))
    .with(state.last_signal.map(|id| id.0))
    .with(micros(state.queued_at))
    .with(state.reason.as_deref().map(text))
    .with(state.updated_at.0);
    writes.extend([document, stands]);
}
