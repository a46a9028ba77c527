// One run of a worker, from its first take to its last report. It takes as much as there are free slots,
// makes the attempts side by side, and when it is told to stop it finishes what it has.
import { sleep } from "../sleep.js";
import { AttemptInProgress } from "./attempt.js";
import { backoffMs, isPassing } from "./backoff.js";
import type { Exchange } from "./exchange.js";
import { type Outcome, outcomeOf, type Performing } from "./handler.js";
import { Heartbeats } from "./heartbeats.js";
import { type Logger, told } from "./logger.js";
import type { Patterns } from "./patterns.js";
import { HELD_MAX, TAKE_MAX, type Taken, type TakenAttempt } from "./protocol.js";
import { Reports } from "./reports.js";

export interface Terms {
  exchange: Exchange;
  patterns: Patterns<Performing>;
  slots: number;
  graceMs: number;
  logger: Logger;
}

/** A server that is about to stop wants to be asked again after this. */
const SHUTDOWN_PAUSE_MS = 1_000;
/** Outcomes of the last moment get at least this long to be reported. */
const REPORT_GRACE_MS = 2_000;

export class Shift {
  readonly #terms: Terms;
  readonly #heartbeats: Heartbeats;
  readonly #reports: Reports;
  /** What its handler is at, and the end of that. */
  readonly #running = new Map<AttemptInProgress, Promise<void>>();
  /** All that the server counts as this worker's: running, or finished and not yet on record. */
  readonly #held = new Map<string, AttemptInProgress>();
  readonly #stop = new AbortController();
  #changed = () => {};

  constructor(terms: Terms) {
    this.#terms = terms;
    this.#heartbeats = new Heartbeats(terms.exchange, terms.logger);
    this.#reports = new Reports(terms.exchange, terms.logger, (attempt) => this.#release(attempt));
  }

  /** Until it is stopped. Rejects when the server refuses the very first take: then something is not set right. */
  async work(): Promise<void> {
    try {
      await this.#takeUntilStopped();
    } finally {
      await this.#finish();
    }
  }

  /** Takes no more. */
  stop(): void {
    this.#stop.abort();
    this.#changed();
  }

  async #takeUntilStopped(): Promise<void> {
    let wasAnswered = false;
    for (let failures = 0; await this.#hasFreeSlot(); ) {
      try {
        const taken = await this.#take();
        if (failures > 0) this.#terms.logger("info", "the server is back", {});
        [wasAnswered, failures] = [true, 0];
        this.#begin(taken);
        if (taken.shutdown) await this.#pause(SHUTDOWN_PAUSE_MS);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!wasAnswered && !isPassing(error)) throw error;
        this.#terms.logger(failures++ === 0 ? "warn" : "debug", "nothing can be taken", {
          error: told(error),
        });
        await this.#pause(backoffMs(failures, error));
      }
    }
  }

  /** Waits for one; false when it is time to stop. */
  async #hasFreeSlot(): Promise<boolean> {
    while (!this.#stop.signal.aborted && this.#free() <= 0) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    return !this.#stop.signal.aborted;
  }

  /** Outcomes that cannot be reported keep slots busy, in the end: nobody takes what they cannot report. */
  #free(): number {
    const { slots } = this.#terms;
    return Math.min(slots - this.#running.size, 2 * slots - this.#held.size, TAKE_MAX);
  }

  #take(): Promise<Taken> {
    const { exchange, patterns } = this.#terms;
    // Named is only what can be called off: of all else it would be said again, and at once. What waits to
    // be reported is kept by heartbeats.
    const wanted = [...this.#running.keys()].filter((attempt) => attempt.ended === undefined);
    const holding = wanted.slice(0, HELD_MAX).map((attempt) => attempt.id);
    return exchange.take({ performs: patterns.all(), limit: this.#free(), holding }, this.#stop.signal);
  }

  #begin({ attempts = [], canceled = [] }: Partial<Taken>): void {
    for (const id of canceled) this.#held.get(id)?.end("canceled");
    for (const taken of attempts) {
      // One that is handed out again although it is here: the answer before this one went astray.
      if (!this.#held.has(taken.id)) this.#start(taken);
    }
  }

  #start(taken: TakenAttempt): void {
    const attempt = new AttemptInProgress(taken, this.#terms.logger);
    this.#held.set(attempt.id, attempt);
    this.#heartbeats.keep(attempt);
    this.#running.set(attempt, this.#perform(attempt));
  }

  async #perform(attempt: AttemptInProgress): Promise<void> {
    const { patterns, logger } = this.#terms;
    const outcome = await outcomeOf(patterns.find(attempt.name) ?? UNKNOWN, attempt, logger);
    this.#running.delete(attempt);
    if (isWanted(attempt, outcome)) this.#reports.add(attempt, outcome);
    else this.#release(attempt);
    this.#changed();
  }

  #release(attempt: AttemptInProgress): void {
    this.#held.delete(attempt.id);
    this.#heartbeats.release(attempt);
    this.#changed();
  }

  async #finish(): Promise<void> {
    const { graceMs, logger } = this.#terms;
    const until = Date.now() + graceMs;
    await within(graceMs, Promise.all(this.#running.values()));
    for (const attempt of this.#running.keys()) {
      logger("warn", "an attempt was not finished in time", { id: attempt.id, name: attempt.name });
      attempt.end("stopped");
    }
    await within(Math.max(until - Date.now(), REPORT_GRACE_MS), this.#allReported());
    this.#heartbeats.stop();
    this.#reports.stop();
  }

  async #allReported(): Promise<void> {
    await Promise.all(this.#running.values());
    await this.#reports.idle();
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, this.#stop.signal).catch(() => {});
  }
}

/** The server gives a worker what it performs and nothing else; a proxy may not. */
const UNKNOWN: Performing = {
  handler: (_, { name }) => {
    throw new Error(`this worker does not perform \`${name}\``);
  },
  parse: undefined,
};

/** What was cut short by the worker's end is left to the next one, and uses up no attempt. */
function isWanted(attempt: AttemptInProgress, outcome: Outcome): boolean {
  return attempt.ended !== "lost" && (attempt.ended !== "stopped" || outcome.status === "succeeded");
}

async function within(ms: number, done: Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  await Promise.race([done, sleep(ms, stop.signal).catch(() => {})]);
  stop.abort();
}
