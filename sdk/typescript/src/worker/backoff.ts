// How long to wait before asking again. A server that is back gives an attempt to others after half a
// lease, so nobody waits longer than two seconds unless the server asks for it.
import { ApiError, Unreachable } from "../errors.js";

const DELAY_FIRST_MS = 100;
const DELAY_MAX_MS = 2_000;
const RETRY_AFTER_MAX_MS = 30_000;

/** With jitter, so that a fleet does not come back in step. */
export function backoffMs(failures: number, error?: unknown): number {
  const full = Math.min(DELAY_FIRST_MS * 2 ** Math.min(failures - 1, 10), DELAY_MAX_MS);
  const jittered = full * (0.5 + Math.random() / 2);
  const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
  return Math.max(jittered, Math.min(asked, RETRY_AFTER_MAX_MS));
}

/** Whether asking again may be answered otherwise. */
export function isPassing(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  return error instanceof ApiError && (error.status === 408 || error.status === 429 || error.status >= 500);
}
