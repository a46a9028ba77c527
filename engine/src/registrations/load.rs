//! The directory as the store has it, compiled.

use std::sync::Arc;

use fleetprompt_core::directive::DirectiveType;
use fleetprompt_core::document::Format;
use fleetprompt_core::function::Function;
use fleetprompt_core::tenant::Tenant;
use fleetprompt_core::{agent, schedule};
use fleetprompt_store::{Error, Result, Store};

use crate::Directory;
use crate::cache::compile_stored;
use crate::cascade::ScheduleRow;

pub(crate) fn load(store: &dyn Store) -> Result<Directory> {
    let stored = store.directory()?;
    let mut directory = Directory::default();
    for tenant in stored.tenants {
        directory.put_tenant(tenant);
    }
    for key in stored.keys {
        directory.put_key(key);
    }
    for entry in stored.workflows {
        let active = stored.active_versions.iter().find(|version| {
            version.tenant == entry.tenant
                && version.slug == entry.slug
                && entry.active_version.as_ref() == Some(&version.version)
        });
        let active = active.map(compile_stored).transpose()?;
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.put_workflow(entry, active);
        }
    }
    for entry in stored.agents {
        let read = agent::read(entry.document.text(), Format::Json);
        let (agent, _) = read.map_err(|_| damaged("agent", entry.slug.as_str()))?;
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.agents.insert(entry.slug.clone(), (entry, Arc::new(agent)));
        }
    }
    for entry in stored.schedules {
        let read = schedule::read_stored(entry.document.text());
        let (schedule, _) = read.map_err(|_| damaged("schedule", entry.slug.as_str()))?;
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.put_schedule(ScheduleRow { entry: Arc::new(entry), schedule: Arc::new(schedule) });
        }
    }
    for entry in stored.directive_types {
        let read =
            DirectiveType::read_stored(&entry.document).map_err(|_| damaged("directive type", entry.name.as_str()))?;
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.directive_types.insert(entry.name.clone(), (entry, Arc::new(read)));
        }
    }
    for entry in stored.functions {
        let read = Function::read(&entry.document).map_err(|_| damaged("function", entry.name.as_str()))?;
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.functions.insert(entry.name.clone(), (entry, Arc::new(read)));
        }
    }
    for entry in stored.modules {
        if let Some(tenant) = directory.tenant_mut(entry.tenant) {
            tenant.modules.insert(entry.digest.clone(), entry);
        }
    }
    Ok(directory)
}

fn damaged(what: &str, name: &str) -> Error {
    Error::Damaged(format!("the {what} `{name}` cannot be read"))
}

/// What a signal about a tenant is about.
pub(super) fn subject(tenant: &Tenant) -> fleetprompt_core::Party {
    fleetprompt_core::Party::new("tenant", tenant.id)
}
