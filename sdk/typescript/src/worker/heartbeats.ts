// Keeps what the worker holds: one request for all of it, a third of a lease after the last. The answer
// says what nobody wants any more, and what is another worker's.
import type { AttemptInProgress } from "./attempt.js";
import { backoffMs } from "./backoff.js";
import type { Exchange } from "./exchange.js";
import { type Logger, told } from "./logger.js";
import { HELD_MAX, type Kept } from "./protocol.js";

export class Heartbeats {
  /** When each is to be named next. */
  readonly #due = new Map<AttemptInProgress, number>();
  #timer: NodeJS.Timeout | undefined;
  #isUnderWay = false;
  #failures = 0;
  readonly #exchange: Exchange;
  readonly #logger: Logger;
  readonly #stop = new AbortController();

  constructor(exchange: Exchange, logger: Logger) {
    this.#exchange = exchange;
    this.#logger = logger;
  }

  keep(attempt: AttemptInProgress): void {
    this.#due.set(attempt, Date.now() + attempt.leaseMs / 3);
    this.#schedule();
  }

  release(attempt: AttemptInProgress): void {
    this.#due.delete(attempt);
    if (this.#due.size === 0) clearTimeout(this.#timer);
  }

  stop(): void {
    this.#stop.abort();
    this.#due.clear();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#isUnderWay || this.#due.size === 0) return;
    clearTimeout(this.#timer);
    const dueMs = Math.min(...this.#due.values()) - Date.now();
    this.#timer = setTimeout(() => void this.#beat(), Math.max(0, dueMs));
  }

  async #beat(): Promise<void> {
    this.#isUnderWay = true;
    const attempts = [...this.#due.keys()];
    for (let from = 0; from < attempts.length; from += HELD_MAX) {
      await this.#name(attempts.slice(from, from + HELD_MAX));
    }
    this.#isUnderWay = false;
    this.#schedule();
  }

  async #name(attempts: AttemptInProgress[]): Promise<void> {
    const sentAt = Date.now();
    try {
      const results = await this.#exchange.heartbeat(attempts, timeoutMs(attempts), this.#stop.signal);
      this.#failures = 0;
      this.#next(attempts, (attempt) => sentAt + attempt.leaseMs / 3);
      this.#read(new Map(attempts.map((attempt) => [attempt.id, attempt])), results);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const level = this.#failures++ === 0 ? "warn" : "debug";
      this.#logger(level, "a heartbeat failed", { attempts: attempts.length, error: told(error) });
      const again = Date.now() + backoffMs(this.#failures, error);
      this.#next(attempts, () => again);
    }
  }

  /** What was released meanwhile stays away. */
  #next(attempts: AttemptInProgress[], due: (attempt: AttemptInProgress) => number): void {
    for (const attempt of attempts) if (this.#due.has(attempt)) this.#due.set(attempt, due(attempt));
  }

  #read(attempts: Map<string, AttemptInProgress>, results: Kept[]): void {
    for (const result of results) {
      const attempt = attempts.get(result.id);
      // What is finished is settled by its report.
      if (!attempt || attempt.isFinished) continue;
      if (result.status === "refused") this.#lose(attempt, result);
      else if (result.cancel_requested) attempt.end("canceled");
    }
  }

  #lose(attempt: AttemptInProgress, { error }: Kept): void {
    const { id, name } = attempt;
    this.#logger("warn", "an attempt was lost", { id, name, code: error?.code, detail: error?.detail });
    attempt.end("lost");
    this.release(attempt);
  }
}

/** So short that there is time for another try before a lease ends. */
function timeoutMs(attempts: AttemptInProgress[]): number {
  const leaseMs = Math.min(...attempts.map((attempt) => attempt.leaseMs));
  return Math.min(Math.max(leaseMs / 4, 1_000), 10_000);
}
