//! Modules of WebAssembly, which functions may be called in.

use std::sync::Arc;

use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::registration::ModuleEntry;
use fleetprompt_core::{Party, Scope};
use serde_json::{Value, json};

use super::Change;
use crate::batch::Decider;
use crate::modules::{self, MODULES_MAX, TENANT_BYTES_MAX};
use crate::{AddedModule, Error, Refusal};

impl Decider {
    /// It was compiled before it came here.
    pub(super) fn module_add(&mut self, scope: &Scope, bytes: Arc<[u8]>) -> Result<Change<AddedModule>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let digest = modules::digest(&bytes);
        if let Some(entry) = tenant.modules.get(&digest) {
            let answer = AddedModule { entry: entry.clone(), changed: false };
            return Ok(Change { open, directory, answer });
        }
        let size = bytes.len() as u64;
        let taken: u64 = tenant.modules.values().map(|module| module.size).sum();
        if tenant.modules.len() >= MODULES_MAX || taken + size > TENANT_BYTES_MAX {
            let message = format!(
                "there is room for {MODULES_MAX} modules and {} MiB in all; remove those that no function names",
                TENANT_BYTES_MAX >> 20
            );
            return Err(Refusal::conflict("modules_full", message).into());
        }
        let entry = ModuleEntry { tenant: scope.tenant, digest, size, created_at: self.moment.now() };
        open.stage.registered.modules.push((entry.clone(), bytes));
        self.audit(&mut open, scope.tenant, &scope.actor, "module.added", subject(&entry), about(&entry))?;
        tenant.modules.insert(entry.digest.clone(), entry.clone());
        Ok(Change { open, directory, answer: AddedModule { entry, changed: true } })
    }

    pub(super) fn module_remove(&mut self, scope: &Scope, digest: &ModuleDigest) -> Result<Change<ModuleEntry>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        let entry = tenant.modules.get(digest).ok_or_else(|| Refusal::not_found("module", digest))?.clone();
        let user = tenant.functions.values().find(|(_, function)| function.module() == Some(digest));
        if let Some((function, _)) = user {
            let message =
                format!("the function `{}` is called in it; apply that with another one first", function.name);
            return Err(Refusal::conflict("module_in_use", message).into());
        }
        open.stage.registered.modules_removed.push((scope.tenant, digest.clone()));
        self.audit(&mut open, scope.tenant, &scope.actor, "module.removed", subject(&entry), about(&entry))?;
        tenant.modules.remove(digest);
        Ok(Change { open, directory, answer: entry })
    }
}

fn subject(module: &ModuleEntry) -> Party {
    Party::new("module", &module.digest)
}

fn about(module: &ModuleEntry) -> Value {
    json!({"module": module.digest, "size": module.size})
}
