//! Reading what is registered. It is little, and the engine holds it in memory.

use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::{
    AgentEntry, DirectiveTypeEntry, FunctionEntry, ModuleEntry, ScheduleEntry, WorkflowEntry, WorkflowStatus,
    WorkflowVersion,
};
use fleetprompt_core::schedule;
use fleetprompt_core::tenant::{Key, KeyHash, Role, Tenant, Weight};
use fleetprompt_core::workflow::LanguageRevision;
use fleetprompt_core::{KeyId, SignalId, Slug, TenantId, WorkflowVersionId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::View;
use super::columns::{self, text};
use super::database::partition;
use super::fault::{Fault, Result};
use crate::{Directory, Order, Page};

const VERSION_COLUMNS: &str = "v.tenant_id, v.slug, v.version, v.id, v.digest, v.created_at, v.document, \
    v.language";

pub async fn tenants(view: &View<'_>) -> Result<Vec<Tenant>> {
    view.rows("SELECT tenant_id, slug, name, created_at, weight FROM tenants ORDER BY tenant_id", &[], tenant).await
}

/// With the partition of its tenant.
pub async fn keys_by_hash(view: &View<'_>, hashes: &[KeyHash]) -> Result<Vec<(Key, u16)>> {
    let sql = "SELECT k.tenant_id, k.id, k.name, k.role, k.hash, k.created_at, k.expires_at, k.revoked_at, k.performs,
          t.partition
        FROM keys k JOIN tenants t ON t.tenant_id = k.tenant_id WHERE k.hash = ANY ($1)";
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
    view.rows(sql, &[&hashes], |row| Ok((key(row)?, partition(row, 9)?))).await
}

/// Each list in the order of its tenants' ids, then of its own.
pub async fn directory(view: &View<'_>, tenants: &[Uuid]) -> Result<Directory> {
    let active_versions = format!(
        "SELECT {VERSION_COLUMNS} FROM workflows w JOIN workflow_versions v ON v.tenant_id = w.tenant_id
           AND v.slug = w.slug AND v.version = w.active_version
         WHERE w.tenant_id = ANY ($1) ORDER BY w.tenant_id, w.slug COLLATE \"C\""
    );
    let keys = "SELECT tenant_id, id, name, role, hash, created_at, expires_at, revoked_at, performs FROM keys
        WHERE tenant_id = ANY ($1) ORDER BY id";
    let workflows = "SELECT tenant_id, slug, status, active_version, updated_at FROM workflows
        WHERE tenant_id = ANY ($1) ORDER BY tenant_id, slug COLLATE \"C\"";
    let agents = "SELECT tenant_id, slug, digest, updated_at, document FROM agents
        WHERE tenant_id = ANY ($1) ORDER BY tenant_id, slug COLLATE \"C\"";
    let directive_types = "SELECT tenant_id, name, updated_at, document FROM directive_types
        WHERE tenant_id = ANY ($1) ORDER BY tenant_id, name COLLATE \"C\"";
    let functions = "SELECT tenant_id, name, updated_at, document FROM functions
        WHERE tenant_id = ANY ($1) ORDER BY tenant_id, name COLLATE \"C\"";
    let modules = "SELECT tenant_id, digest, size, created_at FROM modules
        WHERE tenant_id = ANY ($1) ORDER BY tenant_id, digest COLLATE \"C\"";
    let schedules = "SELECT s.tenant_id, s.slug, s.digest, s.document, p.status, p.anchor_at, p.next_at, p.last_at,
          p.last_signal, p.queued_at, p.reason, p.updated_at
        FROM schedules s JOIN schedule_states p ON p.tenant_id = s.tenant_id AND p.slug = s.slug
        WHERE s.tenant_id = ANY ($1) ORDER BY s.tenant_id, s.slug COLLATE \"C\"";
    let all = "SELECT tenant_id, slug, name, created_at, weight FROM tenants WHERE tenant_id = ANY ($1)
         ORDER BY tenant_id";
    Ok(Directory {
        tenants: view.rows(all, &[&tenants], tenant).await?,
        keys: view.rows(keys, &[&tenants], key).await?,
        workflows: view.rows(workflows, &[&tenants], workflow).await?,
        active_versions: view.rows(&active_versions, &[&tenants], workflow_version).await?,
        agents: view.rows(agents, &[&tenants], agent).await?,
        directive_types: view.rows(directive_types, &[&tenants], directive_type).await?,
        functions: view.rows(functions, &[&tenants], function).await?,
        modules: view.rows(modules, &[&tenants], module_entry).await?,
        schedules: view.rows(schedules, &[&tenants], schedule).await?,
    })
}

pub async fn version(view: &View<'_>, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>> {
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM workflow_versions v WHERE v.tenant_id = $1 AND v.slug = $2 AND v.version = $3"
    );
    view.row(&sql, &[&tenant.0, &slug.as_str(), &text(version)], workflow_version).await
}

/// Without their documents.
pub async fn versions(view: &View<'_>, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>> {
    let (side, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    let beyond = page.cursor.map_or(String::new(), |_| format!("AND v.id {side} $4"));
    let sql = format!(
        "SELECT v.tenant_id, v.slug, v.version, v.id, v.digest, v.created_at, 'null'::text, v.language
         FROM workflow_versions v
         WHERE v.tenant_id = $1 AND v.slug = $2 {beyond} ORDER BY v.id {direction} LIMIT $3"
    );
    let (slug, limit) = (slug.as_str(), i64::try_from(page.limit).unwrap_or(i64::MAX));
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&tenant.0, &slug, &limit];
    values.extend(page.cursor.as_ref().map(|cursor| cursor as &(dyn ToSql + Sync)));
    view.rows(&sql, &values, workflow_version).await
}

pub async fn module(view: &View<'_>, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM modules WHERE tenant_id = $1 AND digest = $2";
    view.row(sql, &[&tenant.0, &digest.as_str()], |row| columns::get(row, 0)).await
}

fn tenant_id(row: &Row) -> Result<TenantId> {
    Ok(TenantId(columns::id(row, 0)?))
}

fn tenant(row: &Row) -> Result<Tenant> {
    Ok(Tenant {
        id: tenant_id(row)?,
        slug: columns::parsed(row, 1)?,
        name: columns::string(row, 2)?,
        created_at: columns::time(row, 3)?,
        weight: weight(row, 4)?,
    })
}

fn weight(row: &Row, column: usize) -> Result<Weight> {
    let weight: i32 = columns::get(row, column)?;
    let weight = u16::try_from(weight).ok().and_then(|weight| weight.try_into().ok());
    weight.ok_or_else(|| Fault::damaged("a tenant", "its weight is none"))
}

fn key(row: &Row) -> Result<Key> {
    let hash: &[u8] = columns::get(row, 4)?;
    let hash = hash.try_into().map_err(|_| Fault::damaged("a key", "its hash has another length"))?;
    Ok(Key {
        id: KeyId(columns::id(row, 1)?),
        tenant: tenant_id(row)?,
        name: columns::string(row, 2)?,
        role: columns::word(row, 3, &Role::ALL, Role::as_str)?,
        hash: KeyHash(hash),
        created_at: columns::time(row, 5)?,
        expires_at: columns::time_if_any(row, 6)?,
        revoked_at: columns::time_if_any(row, 7)?,
        performs: columns::record(row, 8)?,
    })
}

fn workflow(row: &Row) -> Result<WorkflowEntry> {
    Ok(WorkflowEntry {
        tenant: tenant_id(row)?,
        slug: columns::parsed(row, 1)?,
        status: columns::word(row, 2, &WorkflowStatus::ALL, WorkflowStatus::as_str)?,
        active_version: columns::string_if_any(row, 3)?,
        updated_at: columns::time(row, 4)?,
    })
}

fn workflow_version(row: &Row) -> Result<WorkflowVersion> {
    Ok(WorkflowVersion {
        tenant: tenant_id(row)?,
        slug: columns::parsed(row, 1)?,
        version: columns::string(row, 2)?,
        id: WorkflowVersionId(columns::id(row, 3)?),
        digest: columns::string(row, 4)?,
        created_at: columns::time(row, 5)?,
        document: columns::json(row, 6)?,
        language: language(row, 7)?,
    })
}

fn language(row: &Row, column: usize) -> Result<LanguageRevision> {
    let revision: i32 = columns::get(row, column)?;
    let revision = u16::try_from(revision).map(LanguageRevision);
    revision.map_err(|_| Fault::damaged("a version", "its revision of the language is none"))
}

fn agent(row: &Row) -> Result<AgentEntry> {
    Ok(AgentEntry {
        tenant: tenant_id(row)?,
        slug: columns::parsed(row, 1)?,
        digest: columns::string(row, 2)?,
        updated_at: columns::time(row, 3)?,
        document: columns::json(row, 4)?,
    })
}

fn directive_type(row: &Row) -> Result<DirectiveTypeEntry> {
    Ok(DirectiveTypeEntry {
        tenant: tenant_id(row)?,
        name: columns::parsed(row, 1)?,
        updated_at: columns::time(row, 2)?,
        document: columns::json(row, 3)?,
    })
}

fn function(row: &Row) -> Result<FunctionEntry> {
    Ok(FunctionEntry {
        tenant: tenant_id(row)?,
        name: columns::parsed(row, 1)?,
        updated_at: columns::time(row, 2)?,
        document: columns::json(row, 3)?,
    })
}

fn module_entry(row: &Row) -> Result<ModuleEntry> {
    Ok(ModuleEntry {
        tenant: tenant_id(row)?,
        digest: columns::parsed(row, 1)?,
        size: columns::number(row, 2)?,
        created_at: columns::time(row, 3)?,
    })
}

fn schedule(row: &Row) -> Result<ScheduleEntry> {
    Ok(ScheduleEntry {
        tenant: tenant_id(row)?,
        slug: columns::parsed(row, 1)?,
        digest: columns::string(row, 2)?,
        document: columns::json(row, 3)?,
        state: schedule::State {
            status: columns::word(row, 4, &schedule::Status::ALL, schedule::Status::as_str)?,
            anchor_at: columns::time(row, 5)?,
            next_at: columns::time_if_any(row, 6)?,
            last_at: columns::time_if_any(row, 7)?,
            last_signal: columns::id_if_any(row, 8)?.map(SignalId),
            queued_at: columns::time_if_any(row, 9)?,
            reason: columns::string_if_any(row, 10)?,
            updated_at: columns::time(row, 11)?,
        },
    })
}
