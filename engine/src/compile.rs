//! Definitions are compiled before they enter the queue, on threads of their own, so that a large one delays no
//! decision. What is checked again on the deciding thread is only what may have changed in the meantime.

use std::sync::Arc;

use fleetprompt_core::Json;
use fleetprompt_core::agent::{self, Agent};
use fleetprompt_core::diagnostic::{Diagnostic, Located, locate};
use fleetprompt_core::document::{BYTES_MAX, Format};
use fleetprompt_core::schedule::{self, Schedule};
use fleetprompt_core::workflow::{self, Catalog, LanguageRevision, Workflow};

use crate::{Error, Refusal, TenantDirectory};

/// Compilations of one tenant that run or wait.
pub(crate) const TENANT_MAX: usize = 4;
/// The same of all tenants together.
pub(crate) const ALL_MAX: usize = 64;

/// A workflow that was compiled, and against what.
pub(crate) struct CompiledWorkflow {
    pub workflow: Arc<Workflow>,
    pub warnings: Vec<Located>,
    activate: bool,
    checked_against: Arc<TenantDirectory>,
}

impl CompiledWorkflow {
    /// A draft may name what is still to come; what is to run may not.
    pub fn read(text: &str, format: Format, tenant: Arc<TenantDirectory>, activate: bool) -> Result<Self, Error> {
        let known = tenant.catalog();
        let catalog = match activate {
            true => known,
            false => {
                Catalog { functions: known.functions, worker_functions: known.worker_functions, ..Catalog::default() }
            }
        };
        let read = workflow::read(text, format, &catalog);
        let (workflow, warnings) = read.map_err(|problems| invalid("workflow", "workflow_invalid", &problems, text))?;
        check_stored(&workflow.document)?;
        Ok(Self { workflow: Arc::new(workflow), warnings: locate(&warnings, text), activate, checked_against: tenant })
    }

    /// The same as the language was when it was applied first.
    pub fn in_revision(self, revision: LanguageRevision) -> Self {
        // It was compiled just now, so that nobody else has it.
        let workflow = match Arc::try_unwrap(self.workflow) {
            Ok(workflow) => Arc::new(workflow.in_revision(revision)),
            Err(shared) => shared,
        };
        Self { workflow, ..self }
    }

    /// Whether what it names is still registered: other definitions may have been applied while it was compiled.
    pub fn check_names(&self, now: &TenantDirectory) -> Result<(), Refusal> {
        if std::ptr::eq(now, &*self.checked_against) || !self.activate {
            return Ok(());
        }
        match self.workflow.names().find(|named| !now.has(&self.workflow.slug, *named)) {
            None => Ok(()),
            Some(named) => Err(Refusal::conflict(
                "conflict",
                format!("{named} was removed while `{}` was compiled; apply the workflow again", self.workflow.slug),
            )),
        }
    }
}

/// A document that was read, with the warnings about it.
pub(crate) struct Compiled<T> {
    pub value: T,
    pub warnings: Vec<Located>,
}

pub(crate) fn read_agent(text: &str, format: Format) -> Result<Box<Compiled<Agent>>, Error> {
    let (value, warnings) =
        agent::read(text, format).map_err(|problems| invalid("agent", "agent_invalid", &problems, text))?;
    check_stored(&value.document)?;
    Ok(Box::new(Compiled { value, warnings: locate(&warnings, text) }))
}

pub(crate) fn read_schedule(text: &str, format: Format) -> Result<Box<Compiled<Schedule>>, Error> {
    let (value, warnings) =
        schedule::read(text, format).map_err(|problems| invalid("schedule", "schedule_invalid", &problems, text))?;
    check_stored(&value.document)?;
    Ok(Box::new(Compiled { value, warnings: locate(&warnings, text) }))
}

fn invalid(what: &str, code: &'static str, problems: &[Diagnostic], text: &str) -> Refusal {
    let count = problems.len();
    let plural = if count == 1 { "" } else { "s" };
    let message = format!("the {what} has {count} problem{plural}; nothing was applied");
    Refusal::invalid(code, message).with_diagnostics(locate(problems, text))
}

/// Written out as JSON a document may be longer than it was sent, and it must be read again.
fn check_stored(document: &Json) -> Result<(), Refusal> {
    let bytes = document.text().len();
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    let message = format!("written out as JSON the document has {bytes} bytes; at most {BYTES_MAX} are allowed");
    Err(Refusal::invalid("document_too_large", message))
}
