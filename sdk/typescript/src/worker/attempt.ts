// One attempt in progress: what a handler sees of it, and what the worker knows beside that.
import { jsonText, plainText } from "./json.js";
import type { Logger } from "./logger.js";
import { LOGS_MAX, PROGRESS_BYTES_MAX, type TakenAttempt, TEXT_MAX } from "./protocol.js";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What a handler sees. */
export interface Attempt<Input = unknown> {
  /** The name of this delivery. */
  readonly id: string;
  readonly kind: "function" | "directive";
  /** What is asked for. */
  readonly name: string;
  /** With what, after `parse`. */
  readonly input: Input;
  readonly tenant: string;
  /** The same for every attempt and every delivery: give it to whatever you call, and it happens once. */
  readonly idempotencyKey: string;
  /** The how-manieth attempt it is: one more after each that failed. */
  readonly attempt: number;
  /** How often this attempt was handed out: more than once after a worker was lost. */
  readonly delivery: number;
  readonly runId: string | undefined;
  readonly workflow: string | undefined;
  readonly step: string | undefined;
  readonly item: unknown;
  readonly correlationId: string;
  readonly causationId: string | undefined;
  /** W3C Trace Context. */
  readonly traceparent: string | undefined;
  /** When it has failed with the code `timeout`; without one, it may take as long as it needs. */
  readonly deadline: Date | undefined;
  /** Aborted when nobody wants the outcome any more: stop if you can, and throw. */
  readonly signal: AbortSignal;
  /** Adds a line to what is reported; up to 100 are kept. */
  log(line: string): void;
  /** Says how far it is, in any JSON up to 4 KiB. It goes with the next heartbeat. */
  progress(value: Json): void;
}

/** Why an attempt is not wanted any more. */
export type Ended = "canceled" | "lost" | "timeout" | "stopped";

/** Timers cannot wait longer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class AttemptInProgress implements Attempt {
  readonly id: string;
  readonly kind: "function" | "directive";
  readonly name: string;
  input: unknown;
  readonly tenant: string;
  readonly idempotencyKey: string;
  readonly attempt: number;
  readonly delivery: number;
  readonly runId: string | undefined;
  readonly workflow: string | undefined;
  readonly step: string | undefined;
  readonly item: unknown;
  readonly correlationId: string;
  readonly causationId: string | undefined;
  readonly traceparent: string | undefined;
  readonly deadline: Date | undefined;
  readonly signal: AbortSignal;

  readonly leaseMs: number;
  readonly logs: string[] = [];
  /** The latest that was said, as JSON. */
  progressText: string | undefined;
  /** Why it is not wanted any more, the first reason that came. */
  ended: Ended | undefined;
  /** Whether its outcome waits to be recorded. */
  isFinished = false;

  readonly #abort = new AbortController();
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(taken: TakenAttempt, logger: Logger) {
    this.id = taken.id;
    this.kind = taken.kind;
    this.name = taken.name;
    this.input = taken.input;
    this.tenant = taken.tenant;
    this.idempotencyKey = taken.idempotency_key;
    this.attempt = taken.attempt;
    this.delivery = taken.delivery;
    this.runId = taken.run_id ?? undefined;
    this.workflow = taken.workflow ?? undefined;
    this.step = taken.step ?? undefined;
    this.item = taken.item ?? undefined;
    this.correlationId = taken.correlation_id;
    this.causationId = taken.causation_id ?? undefined;
    this.traceparent = taken.traceparent ?? undefined;
    this.leaseMs = taken.lease_ms;
    this.signal = this.#abort.signal;
    this.#logger = logger;
    const timeoutMs = taken.timeout_ms ?? undefined;
    this.deadline = timeoutMs === undefined ? undefined : new Date(Date.now() + timeoutMs);
    if (timeoutMs !== undefined && timeoutMs <= TIMER_MS_MAX) {
      this.#timer = setTimeout(() => this.end("timeout"), timeoutMs);
    }
  }

  log(line: string): void {
    if (this.logs.length < LOGS_MAX) this.logs.push(plainText(String(line), TEXT_MAX));
  }

  /** What cannot be sent is no reason to fail: the work itself is well. */
  progress(value: Json): void {
    try {
      const text = jsonText(value);
      const bytes = Buffer.byteLength(text);
      if (bytes > PROGRESS_BYTES_MAX)
        throw new TypeError(`${bytes} bytes are more than ${PROGRESS_BYTES_MAX}`);
      this.progressText = text;
    } catch (error) {
      this.#logger("warn", "progress was not taken", { id: this.id, name: this.name, error: String(error) });
    }
  }

  end(why: Ended): void {
    if (this.ended || this.isFinished) return;
    this.ended = why;
    const name = why === "timeout" ? "TimeoutError" : "AbortError";
    this.#abort.abort(new DOMException(MESSAGES[why], name));
  }

  /** Nothing ends it from here on. */
  finish(): void {
    this.isFinished = true;
    clearTimeout(this.#timer);
  }
}

const MESSAGES: Record<Ended, string> = {
  canceled: "the attempt was called off",
  lost: "the attempt is another worker's now",
  timeout: "the attempt took longer than it may",
  stopped: "the worker stops",
};
