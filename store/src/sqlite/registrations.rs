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
use rusqlite::types::Value;
use rusqlite::{Params, Row, params, params_from_iter};

use super::View;
use super::columns::{self, Id};
use super::fault::{Fault, Result};
use crate::{Directory, Order, Page};

const VERSION_COLUMNS: &str = "v.slug, v.version, v.id, v.digest, v.created_at, v.document, v.language";

/// Each list in the order of its tenants' ids, then of its own.
pub fn directory(view: &View) -> Result<Directory> {
    Ok(Directory {
        tenants: rows(view, "SELECT id, slug, name, created_at, weight FROM tenants ORDER BY id", [], tenant)?,
        keys: rows(
            view,
            "SELECT k.id, t.id, k.name, k.role, k.hash, k.created_at, k.expires_at, k.revoked_at, k.performs
             FROM keys k JOIN tenants t ON t.no = k.tenant ORDER BY k.id",
            [],
            key,
        )?,
        workflows: rows(
            view,
            "SELECT t.id, w.slug, w.status, w.active_version, w.updated_at
             FROM workflows w JOIN tenants t ON t.no = w.tenant ORDER BY t.id, w.slug",
            [],
            workflow,
        )?,
        active_versions: rows(
            view,
            &format!(
                "SELECT {VERSION_COLUMNS}, t.id FROM workflows w
                 JOIN workflow_versions v ON v.tenant = w.tenant AND v.slug = w.slug AND v.version = w.active_version
                 JOIN tenants t ON t.no = w.tenant ORDER BY t.id, w.slug"
            ),
            [],
            |row| workflow_version(TenantId(columns::id(row, 7)?), row),
        )?,
        agents: rows(
            view,
            "SELECT t.id, a.slug, a.digest, a.updated_at, a.document
             FROM agents a JOIN tenants t ON t.no = a.tenant ORDER BY t.id, a.slug",
            [],
            agent,
        )?,
        directive_types: rows(
            view,
            "SELECT t.id, y.name, y.updated_at, y.document
             FROM directive_types y JOIN tenants t ON t.no = y.tenant ORDER BY t.id, y.name",
            [],
            directive_type,
        )?,
        functions: rows(
            view,
            "SELECT t.id, f.name, f.updated_at, f.document
             FROM functions f JOIN tenants t ON t.no = f.tenant ORDER BY t.id, f.name",
            [],
            function,
        )?,
        modules: rows(
            view,
            "SELECT t.id, m.digest, m.size, m.created_at
             FROM modules m JOIN tenants t ON t.no = m.tenant ORDER BY t.id, m.digest",
            [],
            module_entry,
        )?,
        schedules: rows(
            view,
            "SELECT t.id, s.slug, s.digest, s.document, p.status, p.anchor_at, p.next_at, p.last_at, p.last_signal,
               p.queued_at, p.reason, p.updated_at
             FROM schedules s JOIN schedule_states p ON p.tenant = s.tenant AND p.slug = s.slug
             JOIN tenants t ON t.no = s.tenant ORDER BY t.id, s.slug",
            [],
            schedule,
        )?,
    })
}

pub fn version(view: &View, tenant: TenantId, slug: &Slug, version: &str) -> Result<Option<WorkflowVersion>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM workflow_versions v WHERE v.tenant = ?1 AND v.slug = ?2 AND v.version = ?3"
    );
    let found = rows(view, &sql, params![no, slug.as_str(), version], |row| workflow_version(tenant, row))?;
    Ok(found.into_iter().next())
}

pub fn module(view: &View, tenant: TenantId, digest: &ModuleDigest) -> Result<Option<Vec<u8>>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(None) };
    let sql = "SELECT bytes FROM modules WHERE tenant = ?1 AND digest = ?2";
    let found = rows(view, sql, params![no, digest.as_str()], |row| Ok(row.get(0)?))?;
    Ok(found.into_iter().next())
}

/// Documents stay where they are: sorting must not carry them.
pub fn versions(view: &View, tenant: TenantId, slug: &Slug, page: Page) -> Result<Vec<WorkflowVersion>> {
    let Some(no) = view.interned.tenant(tenant) else { return Ok(Vec::new()) };
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let mut values = vec![Value::from(no), slug.as_str().to_owned().into(), limit.into()];
    values.extend(page.cursor.map(|cursor| Value::from(Id(cursor))));
    rows(view, &versions_sql(page), params_from_iter(values), |row| workflow_version(tenant, row))
}

pub fn versions_sql(page: Page) -> String {
    let (side, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    let beyond = page.cursor.map_or(String::new(), |_| format!("AND v.id {side} ?4"));
    format!(
        "SELECT v.slug, v.version, v.id, v.digest, v.created_at, 'null', v.language
         FROM workflow_versions v
         WHERE v.tenant = ?1 AND v.slug = ?2 {beyond} ORDER BY v.id {direction} LIMIT ?3"
    )
}

fn rows<T>(view: &View, sql: &str, params: impl Params, mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
    let mut statement = view.sql.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn name<T: std::str::FromStr<Err: std::fmt::Display>>(row: &Row, column: usize) -> Result<T> {
    columns::parsed(row.get_ref(column)?.as_str().map_err(|why| Fault::damaged("a name", why))?)
}

fn tenant(row: &Row) -> Result<Tenant> {
    Ok(Tenant {
        id: TenantId(columns::id(row, 0)?),
        slug: name(row, 1)?,
        name: row.get(2)?,
        created_at: columns::time(row, 3)?,
        weight: weight(row, 4)?,
    })
}

fn weight(row: &Row, column: usize) -> Result<Weight> {
    let weight: u16 = row.get(column)?;
    weight.try_into().map_err(|why| Fault::damaged("a tenant", why))
}

fn key(row: &Row) -> Result<Key> {
    Ok(Key {
        id: KeyId(columns::id(row, 0)?),
        tenant: TenantId(columns::id(row, 1)?),
        name: row.get(2)?,
        role: columns::word(row, 3, &Role::ALL, Role::as_str)?,
        hash: KeyHash(row.get(4)?),
        created_at: columns::time(row, 5)?,
        expires_at: columns::time_if_any(row, 6)?,
        revoked_at: columns::time_if_any(row, 7)?,
        performs: columns::record(row, 8)?,
    })
}

fn workflow(row: &Row) -> Result<WorkflowEntry> {
    Ok(WorkflowEntry {
        tenant: TenantId(columns::id(row, 0)?),
        slug: name(row, 1)?,
        status: columns::word(row, 2, &WorkflowStatus::ALL, WorkflowStatus::as_str)?,
        active_version: row.get(3)?,
        updated_at: columns::time(row, 4)?,
    })
}

fn workflow_version(tenant: TenantId, row: &Row) -> Result<WorkflowVersion> {
    Ok(WorkflowVersion {
        tenant,
        slug: name(row, 0)?,
        version: row.get(1)?,
        id: WorkflowVersionId(columns::id(row, 2)?),
        digest: row.get(3)?,
        created_at: columns::time(row, 4)?,
        document: columns::json(row, 5)?,
        language: LanguageRevision(row.get(6)?),
    })
}

fn agent(row: &Row) -> Result<AgentEntry> {
    Ok(AgentEntry {
        tenant: TenantId(columns::id(row, 0)?),
        slug: name(row, 1)?,
        digest: row.get(2)?,
        updated_at: columns::time(row, 3)?,
        document: columns::json(row, 4)?,
    })
}

fn directive_type(row: &Row) -> Result<DirectiveTypeEntry> {
    Ok(DirectiveTypeEntry {
        tenant: TenantId(columns::id(row, 0)?),
        name: name(row, 1)?,
        updated_at: columns::time(row, 2)?,
        document: columns::json(row, 3)?,
    })
}

fn function(row: &Row) -> Result<FunctionEntry> {
    Ok(FunctionEntry {
        tenant: TenantId(columns::id(row, 0)?),
        name: name(row, 1)?,
        updated_at: columns::time(row, 2)?,
        document: columns::json(row, 3)?,
    })
}

fn module_entry(row: &Row) -> Result<ModuleEntry> {
    Ok(ModuleEntry {
        tenant: TenantId(columns::id(row, 0)?),
        digest: name(row, 1)?,
        size: row.get::<_, i64>(2)?.unsigned_abs(),
        created_at: columns::time(row, 3)?,
    })
}

fn schedule(row: &Row) -> Result<ScheduleEntry> {
    Ok(ScheduleEntry {
        tenant: TenantId(columns::id(row, 0)?),
        slug: name(row, 1)?,
        digest: row.get(2)?,
        document: columns::json(row, 3)?,
        state: schedule::State {
            status: columns::word(row, 4, &schedule::Status::ALL, schedule::Status::as_str)?,
            anchor_at: columns::time(row, 5)?,
            next_at: columns::time_if_any(row, 6)?,
            last_at: columns::time_if_any(row, 7)?,
            last_signal: columns::id_if_any(row, 8)?.map(SignalId),
            queued_at: columns::time_if_any(row, 9)?,
            reason: row.get(10)?,
            updated_at: columns::time(row, 11)?,
        },
    })
}
