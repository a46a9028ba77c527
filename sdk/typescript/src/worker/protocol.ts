// The worker protocol on the wire, and its limits.

/** An attempt as the server hands it out. */
export interface TakenAttempt {
  id: string;
  kind: "function" | "directive";
  name: string;
  input: unknown;
  idempotency_key: string;
  attempt: number;
  delivery: number;
  tenant: string;
  run_id?: string | null;
  workflow?: string | null;
  step?: string | null;
  item?: unknown;
  correlation_id: string;
  causation_id?: string | null;
  traceparent?: string | null;
  lease_ms: number;
  timeout_ms?: number | null;
}

export interface Taken {
  attempts: TakenAttempt[];
  canceled: string[];
  shutdown: boolean;
}

/** Who asks. */
export interface Identity {
  name: string;
  version?: string;
  labels?: Record<string, string>;
  slots?: number;
}

export interface Kept {
  id: string;
  status: "kept" | "refused";
  cancel_requested?: boolean;
  error?: Refusal;
}

export interface Recorded {
  id: string;
  status: "recorded" | "refused";
  error?: Refusal;
}

export interface Refusal {
  code: string;
  detail?: string;
  /** As of a response that says the same. */
  status?: number;
}

export const TAKE_MAX = 100;
export const HELD_MAX = 1_000;
export const REPORT_MAX = 100;
/** Of 10 MiB; the rest is for what stands around the outcomes. */
export const REPORT_BYTES_MAX = 10 * 1024 * 1024 - 16 * 1024;
export const OUTPUT_BYTES_MAX = 1024 * 1024;
export const PROGRESS_BYTES_MAX = 4 * 1024;
export const LOGS_MAX = 100;
/** Long texts are cut, so that what an attempt says cannot outgrow a report. */
export const TEXT_MAX = 2_000;
export const CODE_MAX = 255;
