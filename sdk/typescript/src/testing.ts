// Handlers without a server: `perform` makes an attempt as the worker would, and returns what it would
// report.
import { AttemptInProgress } from "./worker/attempt.js";
import { type Outcome, outcomeOf } from "./worker/handler.js";
import { jsonText } from "./worker/json.js";
import type { TakenAttempt } from "./worker/protocol.js";
import type { Worker } from "./worker/worker.js";

export type { Outcome } from "./worker/handler.js";

export interface PerformOptions {
  kind?: "function" | "directive";
  tenant?: string;
  runId?: string;
  workflow?: string;
  step?: string;
  item?: unknown;
  idempotencyKey?: string;
  attempt?: number;
  delivery?: number;
  traceparent?: string;
  timeoutMs?: number;
  /** Calls the attempt off, as the server would. */
  signal?: AbortSignal;
  /** Called with what the handler says of its progress. */
  onProgress?: (value: unknown) => void;
}

/** Rejects only when the worker has no handler for `name`. */
export async function perform(
  worker: Worker,
  name: string,
  input: unknown,
  options: PerformOptions = {},
): Promise<Outcome> {
  const { performing, logger } = worker.performing(name);
  const attempt = new AttemptInProgress(taken(name, input, options), logger);
  const progress = attempt.progress.bind(attempt);
  attempt.progress = (value) => {
    progress(value);
    options.onProgress?.(value);
  };
  const cancel = () => attempt.end("canceled");
  if (options.signal?.aborted) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });
  const outcome = await outcomeOf(performing, attempt, logger);
  options.signal?.removeEventListener("abort", cancel);
  return outcome;
}

/** The input goes the way of the wire: a date arrives as text. */
function taken(name: string, input: unknown, options: PerformOptions): TakenAttempt {
  const { runId = "run_00000000000000000000000000", step = "step", attempt = 1, delivery = 1 } = options;
  return {
    id: `${runId}.0.0.sig_00000000000000000000000000.${delivery}.0000000000000000`,
    kind: options.kind ?? "function",
    name,
    input: JSON.parse(jsonText(input)),
    idempotency_key: options.idempotencyKey ?? `${runId}:${step}`,
    attempt,
    delivery,
    tenant: options.tenant ?? "test",
    run_id: runId,
    workflow: options.workflow ?? "test",
    step,
    item: options.item,
    correlation_id: "sig_00000000000000000000000000",
    causation_id: "sig_00000000000000000000000000",
    traceparent: options.traceparent ?? null,
    lease_ms: 15_000,
    timeout_ms: options.timeoutMs ?? null,
  };
}
