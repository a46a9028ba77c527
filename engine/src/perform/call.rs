//! One call of a function that takes longer than a decision may wait, on a thread for computations.

use std::time::Duration;

use fleetprompt_core::function::ModuleDigest;
use fleetprompt_core::{Failure, Json, TenantId};

use super::{Ended, Performed, Performer};
use crate::functions::{self, Function};
use crate::{Directory, Error};

/// How long a call waits before its module is read again, when the store did not answer.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is called here; other functions are performed by workers.
#[derive(Clone)]
pub(super) enum Callee {
    Builtin(&'static Function),
    Module(ModuleDigest),
}

impl Callee {
    pub fn find(directory: &Directory, tenant: TenantId, function: &str) -> Option<Self> {
        match directory.tenant(tenant)?.functions.get(function) {
            Some((_, registered)) => registered.module().cloned().map(Self::Module),
            None => functions::find(function).map(Self::Builtin),
        }
    }
}

pub(super) async fn perform(performer: &Performer, tenant: TenantId, function: &str, input: Json) -> Performed {
    let result = loop {
        match call(performer, tenant, function, input.clone()).await {
            Err(Error::Unavailable(error)) => {
                tracing::warn!(target: "store", error, function, "cannot call a function; the call is repeated");
                tokio::time::sleep(READ_AGAIN_AFTER).await;
            }
            Err(error) => break Err(Failure::fatal("internal", error.to_string())),
            Ok(result) => break result,
        }
    };
    let result = result.map_err(|failure| failure.named(function));
    Performed { ended: Ended::Now(result), execution: None, logs: Vec::new(), answer: None }
}

async fn call(
    performer: &Performer,
    tenant: TenantId,
    function: &str,
    input: Json,
) -> Result<Result<Json, Failure>, Error> {
    let Some(callee) = Callee::find(&performer.directory.load(), tenant, function) else {
        let message = "it was called here when its attempt began, and a worker performs it now; retry the step";
        return Ok(Err(Failure::fatal("function_unknown", message)));
    };
    let modules = performer.modules.clone();
    let compute = move || match callee {
        Callee::Builtin(function) => Ok(functions::call(function, input.value())),
        Callee::Module(digest) => modules.call(tenant, &digest, input.value()),
    };
    Ok(performer.compute_slots.run(tenant, compute).await??)
}
