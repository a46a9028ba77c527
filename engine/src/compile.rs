//! Definitions are compiled before they enter the queue, on threads of their own, so that a large one delays no
//! decision. How many are compiled at once is limited, of each tenant and of all; beyond it callers are told to come
//! back. What is checked again on the deciding thread is only what may have changed in the meantime.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fleetprompt_core::agent::{self, Agent};
use fleetprompt_core::diagnostic::{Diagnostic, Located, locate};
use fleetprompt_core::document::{BYTES_MAX, Format};
use fleetprompt_core::schedule::{self, Schedule};
use fleetprompt_core::workflow::{self, Catalog, Workflow};
use fleetprompt_core::{Json, TenantId};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Refusal, TenantDirectory};

/// Compilations of one tenant that run or wait.
const TENANT_MAX: usize = 4;
/// The same of all tenants together.
const ALL_MAX: usize = 64;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Documents nest, and what reads them does as well; memory is only taken where it is used.
pub(crate) const STACK_BYTES: usize = 16 << 20;

/// Admits compilations: one of each tenant at a time, and of all at most half as many as there are processors.
pub struct CompileSlots {
    running: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, OfTenant>>,
}

struct OfTenant {
    /// Those that run and those that wait.
    count: usize,
    turn: Arc<Semaphore>,
}

/// Counts as one compilation of its tenant until it is dropped.
struct Admission {
    slots: Arc<CompileSlots>,
    tenant: TenantId,
    turn: Arc<Semaphore>,
}

impl Default for CompileSlots {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self { running: Arc::new(Semaphore::new((processors / 2).max(1))), tenants: Mutex::default() }
    }
}

impl CompileSlots {
    /// Runs `compile` on a thread of its own once it is its turn; `Busy` if too many wait already. When the caller
    /// leaves, what has begun still holds its place until it ends.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        tenant: TenantId,
        compile: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let admission = self.admit(tenant)?;
        let turn = acquire(admission.turn.clone()).await;
        let running = acquire(self.running.clone()).await;
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let compiled = compile();
            drop((turn, running, admission));
            drop(sender.send(compiled));
        };
        let spawned = thread::Builder::new().name("compile".into()).stack_size(STACK_BYTES).spawn(work);
        spawned.map_err(|error| Error::Unavailable(format!("the thread to compile on did not start: {error}")))?;
        let broken =
            |_| Refusal::conflict("internal", "the definition could not be compiled; it is a bug in FleetPrompt");
        Ok(receiver.await.map_err(broken)?)
    }

    fn admit(self: &Arc<Self>, tenant: TenantId) -> Result<Admission, Error> {
        let mut tenants = self.tenants.lock();
        let all: usize = tenants.values().map(|of_tenant| of_tenant.count).sum();
        let new = || OfTenant { count: 0, turn: Arc::new(Semaphore::new(1)) };
        let count = tenants.get(&tenant).map_or(0, |of_tenant| of_tenant.count);
        if count >= TENANT_MAX || all >= ALL_MAX {
            return Err(Error::Busy { retry_after: RETRY_AFTER });
        }
        let of_tenant = tenants.entry(tenant).or_insert_with(new);
        of_tenant.count += 1;
        Ok(Admission { slots: self.clone(), tenant, turn: of_tenant.turn.clone() })
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("these semaphores are never closed")
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut tenants = self.slots.tenants.lock();
        let Some(of_tenant) = tenants.get_mut(&self.tenant) else { return };
        of_tenant.count -= 1;
        if of_tenant.count == 0 {
            tenants.remove(&self.tenant);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    /// One compilation of the tenant that lasts until something is sent; gives that it has begun.
    async fn hold(slots: &Arc<CompileSlots>, whose: TenantId) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
        let (release, held) = mpsc::channel();
        let (began, begun) = oneshot::channel();
        let slots = slots.clone();
        let task = tokio::spawn(async move {
            let compile = move || {
                let _ = began.send(());
                let _ = held.recv();
            };
            slots.run(whose, compile).await.expect("it is admitted");
        });
        begun.await.expect("it begins");
        (release, task)
    }

    #[tokio::test]
    async fn one_tenant_compiles_one_at_a_time_and_is_refused_beyond_its_share() {
        let slots = Arc::new(CompileSlots { running: Arc::new(Semaphore::new(2)), tenants: Mutex::default() });
        let (release, first) = hold(&slots, tenant(1)).await;
        let waiting: Vec<_> = (1..TENANT_MAX)
            .map(|number| {
                let slots = slots.clone();
                tokio::spawn(async move { slots.run(tenant(1), move || number).await })
            })
            .collect();
        while slots.tenants.lock()[&tenant(1)].count < TENANT_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.run(tenant(1), || 0).await, Err(Error::Busy { retry_after: RETRY_AFTER }));
        assert_eq!(slots.run(tenant(2), || 7).await, Ok(7), "another tenant does not wait for it");
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop(release);
        first.await.expect("it ends");
        for (number, task) in (1..).zip(waiting) {
            assert_eq!(task.await.expect("it ends"), Ok(number));
        }
        assert!(slots.tenants.lock().is_empty());
    }

    #[tokio::test]
    async fn a_caller_who_leaves_frees_its_place_and_a_panic_is_a_refusal() {
        let slots = Arc::new(CompileSlots { running: Arc::new(Semaphore::new(1)), tenants: Mutex::default() });
        let (release, first) = hold(&slots, tenant(1)).await;
        let leaving = tokio::spawn({
            let slots = slots.clone();
            async move { slots.run(tenant(2), || ()).await }
        });
        while !slots.tenants.lock().contains_key(&tenant(2)) {
            tokio::task::yield_now().await;
        }
        leaving.abort();
        assert!(leaving.await.expect_err("it was aborted").is_cancelled());
        assert!(!slots.tenants.lock().contains_key(&tenant(2)));
        drop(release);
        first.await.expect("it ends");
        let broken = slots.run(tenant(1), || panic!("on purpose")).await;
        assert!(matches!(broken, Err(Error::Refused(refusal)) if refusal.code == "internal"));
        assert_eq!(slots.run(tenant(1), || 1).await, Ok(1));
    }
}
