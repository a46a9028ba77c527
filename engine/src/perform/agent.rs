//! One agent doing one step: for now a single model call.

use std::time::{Duration, Instant};

use fleetprompt_core::{Failure, Json, Slug, Span, TenantId};
use serde_json::json;

use super::{Ended, Performed};
use crate::Directory;
use crate::models::{Models, Prompt};

/// How long a model may take when the step does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);

pub(super) async fn perform(
    directory: &Directory,
    models: &Models,
    tenant: TenantId,
    slug: &Slug,
    input: &Json,
    key: &str,
    timeout: Option<Span>,
) -> Performed {
    let registered = directory.tenant(tenant).and_then(|tenant| tenant.agents.get(slug));
    let Some((_, agent)) = registered else {
        let message = format!("there is no agent `{slug}`; apply it with `fleetprompt agent apply`");
        return Performed::failed(Failure::retry("agent_unknown", message));
    };
    let timeout = timeout.map_or(TIMEOUT_DEFAULT, Span::to_std);
    let begun = Instant::now();
    let prompt = Prompt { agent, input, idempotency_key: key, timeout };
    match tokio::time::timeout(timeout, models.complete(prompt)).await {
        Ok(Ok(completion)) => {
            let execution = json!({
                "agent": slug,
                "provider": completion.provider,
                "model": completion.model,
                "input_tokens": completion.input_tokens,
                "output_tokens": completion.output_tokens,
                "duration_ms": begun.elapsed().as_millis() as u64,
            });
            Performed {
                ended: Ended::Now(Ok(completion.output.into())),
                execution: Some(execution.into()),
                logs: completion.logs,
                answer: None,
            }
        }
        Ok(Err(failure)) => Performed::failed(failure),
        Err(_) => Performed::failed(Failure::retry(
            "timeout",
            format!("the model did not answer within {} s", timeout.as_secs_f64()),
        )),
    }
}
