//! Tenants, keys, and what tenants register: rows as they are now.

use fleetprompt_core::Json;
use fleetprompt_core::registration::ScheduleEntry;
use rusqlite::params;

use super::super::columns::{Id, micros};
use super::super::fault::Result;
use super::Write;
use crate::Batch;

impl Write<'_> {
    pub(super) fn registrations(&mut self, batch: &Batch) -> Result<()> {
        // First of all: everything else names its tenant by number.
        self.tenants(batch)?;
        self.keys(batch)?;
        self.workflows(batch)?;
        self.workflow_versions(batch)?;
        self.agents(batch)?;
        self.directive_types(batch)?;
        self.functions(batch)?;
        self.modules(batch)?;
        self.schedules(batch)
    }

    fn tenants(&mut self, batch: &Batch) -> Result<()> {
        for tenant in &batch.tenants {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO tenants (id, slug, name, created_at, weight) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, name = excluded.name, weight = excluded.weight
                 RETURNING no",
            )?;
            let weight = tenant.weight.get();
            let values = params![Id(tenant.id.0), tenant.slug.as_str(), tenant.name, tenant.created_at.0, weight];
            let no = statement.query_row(values, |row| row.get(0))?;
            self.numbers.add_tenant(tenant.id, no);
        }
        Ok(())
    }

    fn keys(&self, batch: &Batch) -> Result<()> {
        for key in &batch.keys {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO keys (id, tenant, name, role, hash, created_at, expires_at, revoked_at, performs)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role,
                   expires_at = excluded.expires_at, revoked_at = excluded.revoked_at",
            )?;
            let performs = key.performs.as_ref().map(Json::of);
            statement.execute(params![
                Id(key.id.0),
                self.numbers.tenant(key.tenant)?,
                key.name,
                key.role.as_str(),
                key.hash.0,
                key.created_at.0,
                micros(key.expires_at),
                micros(key.revoked_at),
                performs.as_ref().map(Json::text),
            ])?;
        }
        Ok(())
    }

    fn workflows(&self, batch: &Batch) -> Result<()> {
        for workflow in &batch.workflows {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO workflows (tenant, slug, status, active_version, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, slug) DO UPDATE SET status = excluded.status,
                   active_version = excluded.active_version, updated_at = excluded.updated_at",
            )?;
            statement.execute(params![
                self.numbers.tenant(workflow.tenant)?,
                workflow.slug.as_str(),
                workflow.status.as_str(),
                workflow.active_version,
                workflow.updated_at.0,
            ])?;
        }
        Ok(())
    }

    fn workflow_versions(&self, batch: &Batch) -> Result<()> {
        for version in &batch.workflow_versions {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO workflow_versions (tenant, slug, version, id, digest, created_at, document, language)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (tenant, slug, version) DO UPDATE SET id = excluded.id, digest = excluded.digest,
                   created_at = excluded.created_at, document = excluded.document, language = excluded.language",
            )?;
            statement.execute(params![
                self.numbers.tenant(version.tenant)?,
                version.slug.as_str(),
                version.version,
                Id(version.id.0),
                version.digest,
                version.created_at.0,
                version.document.text(),
                version.language.0,
            ])?;
        }
        Ok(())
    }

    fn agents(&self, batch: &Batch) -> Result<()> {
        for agent in &batch.agents {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO agents (tenant, slug, digest, updated_at, document) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, slug) DO UPDATE SET digest = excluded.digest,
                   updated_at = excluded.updated_at, document = excluded.document",
            )?;
            statement.execute(params![
                self.numbers.tenant(agent.tenant)?,
                agent.slug.as_str(),
                agent.digest,
                agent.updated_at.0,
                agent.document.text(),
            ])?;
        }
        Ok(())
    }

    fn directive_types(&self, batch: &Batch) -> Result<()> {
        for kind in &batch.directive_types {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO directive_types (tenant, name, updated_at, document) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, name) DO UPDATE SET updated_at = excluded.updated_at,
                   document = excluded.document",
            )?;
            statement.execute(params![
                self.numbers.tenant(kind.tenant)?,
                kind.name.as_str(),
                kind.updated_at.0,
                kind.document.text(),
            ])?;
        }
        Ok(())
    }

    fn functions(&self, batch: &Batch) -> Result<()> {
        for function in &batch.functions {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO functions (tenant, name, updated_at, document) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, name) DO UPDATE SET updated_at = excluded.updated_at,
                   document = excluded.document",
            )?;
            statement.execute(params![
                self.numbers.tenant(function.tenant)?,
                function.name.as_str(),
                function.updated_at.0,
                function.document.text(),
            ])?;
        }
        Ok(())
    }

    fn modules(&self, batch: &Batch) -> Result<()> {
        for (module, bytes) in &batch.modules {
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO modules (tenant, digest, size, created_at, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, digest) DO NOTHING",
            )?;
            statement.execute(params![
                self.numbers.tenant(module.tenant)?,
                module.digest.as_str(),
                module.size as i64,
                module.created_at.0,
                &**bytes,
            ])?;
        }
        for (tenant, digest) in &batch.modules_removed {
            let mut statement = self.sql.prepare_cached("DELETE FROM modules WHERE tenant = ?1 AND digest = ?2")?;
            statement.execute(params![self.numbers.tenant(*tenant)?, digest.as_str()])?;
        }
        Ok(())
    }

    fn schedules(&self, batch: &Batch) -> Result<()> {
        for schedule in &batch.schedules {
            let tenant = self.numbers.tenant(schedule.tenant)?;
            // A fire changes the state alone; the document is then not written again.
            let mut statement = self.sql.prepare_cached(
                "INSERT INTO schedules (tenant, slug, digest, document) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, slug) DO UPDATE SET digest = excluded.digest, document = excluded.document
                 WHERE digest <> excluded.digest",
            )?;
            let document = schedule.document.text();
            statement.execute(params![tenant, schedule.slug.as_str(), schedule.digest, document])?;
            self.schedule_state(tenant, schedule)?;
        }
        Ok(())
    }

    fn schedule_state(&self, tenant: i64, schedule: &ScheduleEntry) -> Result<()> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO schedule_states (tenant, slug, status, anchor_at, next_at, last_at, last_signal, queued_at,
               reason, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (tenant, slug) DO UPDATE SET status = excluded.status, anchor_at = excluded.anchor_at,
               next_at = excluded.next_at, last_at = excluded.last_at, last_signal = excluded.last_signal,
               queued_at = excluded.queued_at, reason = excluded.reason, updated_at = excluded.updated_at",
        )?;
        let state = &schedule.state;
        statement.execute(params![
            tenant,
            schedule.slug.as_str(),
            state.status.as_str(),
            state.anchor_at.0,
            micros(state.next_at),
            micros(state.last_at),
            state.last_signal.map(|id| Id(id.0)),
            micros(state.queued_at),
            state.reason,
            state.updated_at.0,
        ])?;
        Ok(())
    }
}
