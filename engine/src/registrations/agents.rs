//! Agents: the newest document counts; the log keeps when it changed and by whom.

use std::sync::Arc;

use fleetprompt_core::agent::Agent;
use fleetprompt_core::registration::AgentEntry;
use fleetprompt_core::{Party, Scope};
use serde_json::json;

use super::Change;
use crate::batch::Decider;
use crate::compile::Compiled;
use crate::{AppliedAgent, Error, Refusal};

impl Decider {
    pub(super) fn agent_apply(
        &mut self,
        scope: &Scope,
        Compiled { value: agent, warnings }: Compiled<Agent>,
    ) -> Result<Change<AppliedAgent>, Error> {
        let (mut directory, mut open) = self.begin();
        let tenant = directory.tenant_mut(scope.tenant).ok_or_else(|| Refusal::not_found("tenant", scope.tenant))?;
        if let Some((entry, _)) = tenant.agents.get(&agent.slug).filter(|(entry, _)| entry.digest == agent.digest) {
            let answer = AppliedAgent { entry: entry.clone(), changed: false, warnings };
            return Ok(Change { open, directory, answer });
        }
        let entry = AgentEntry {
            tenant: scope.tenant,
            slug: agent.slug.clone(),
            document: agent.document.clone(),
            digest: agent.digest.clone(),
            updated_at: self.moment.now(),
        };
        open.stage.registered.agents.push(entry.clone());
        let payload = json!({"agent": entry.slug, "digest": entry.digest, "document": entry.document});
        let subject = Party::new("agent", &entry.slug);
        self.audit(&mut open, scope.tenant, &scope.actor, "agent.applied", subject, payload)?;
        tenant.agents.insert(entry.slug.clone(), (entry.clone(), Arc::new(agent)));
        Ok(Change { open, directory, answer: AppliedAgent { entry, changed: true, warnings } })
    }
}
