// Outcomes on their way to the record. Whatever ends while a report is under way goes into the next, and
// an outcome is sent until it is answered: as long as the process lives, none is lost.
import { ApiError } from "../errors.js";
import { sleep } from "../sleep.js";
import type { AttemptInProgress } from "./attempt.js";
import { backoffMs } from "./backoff.js";
import type { Exchange } from "./exchange.js";
import { failed, type Outcome } from "./handler.js";
import { type Logger, told } from "./logger.js";
import { REPORT_BYTES_MAX, REPORT_MAX, type Recorded, type Refusal } from "./protocol.js";

interface Report {
  attempt: AttemptInProgress;
  text: string;
  /** It was in a report that the server could not read: it goes by itself, to find which one it was. */
  isAlone: boolean;
  /** The server refused it, and it says just that now. */
  isReplaced: boolean;
  /** How often in a row its own answer was to send it again. */
  failures: number;
  /** When to send it again, in milliseconds since 1970. */
  dueAt: number;
}

/** Codes of outcomes that nothing waits for any more. */
const NOT_WANTED = [
  "lease_lost",
  "attempt_settled",
  "attempt_not_yours",
  "attempt_id_invalid",
  "unstorable_outcome",
];

export class Reports {
  #queue: Report[] = [];
  #sending: Promise<void> | undefined;
  readonly #exchange: Exchange;
  readonly #logger: Logger;
  readonly #settled: (attempt: AttemptInProgress) => void;
  readonly #stop = new AbortController();
  #wake = () => {};

  /** `settled` is called for each that is recorded or refused. */
  constructor(exchange: Exchange, logger: Logger, settled: (attempt: AttemptInProgress) => void) {
    this.#exchange = exchange;
    this.#logger = logger;
    this.#settled = settled;
  }

  add(attempt: AttemptInProgress, outcome: Outcome): void {
    if (this.#stop.signal.aborted) {
      this.#late(attempt);
    } else {
      const text = textOf(attempt, outcome);
      this.#queue.push({ attempt, text, isAlone: false, isReplaced: false, failures: 0, dueAt: 0 });
      this.#wake();
      this.#sending ??= this.#sendAll();
    }
  }

  /** When everything that was added is answered. */
  async idle(): Promise<void> {
    while (this.#sending) await this.#sending;
  }

  /** Gives up what is not answered yet, and says so. */
  stop(): void {
    this.#stop.abort();
    for (const { attempt } of this.#queue) this.#late(attempt);
    this.#queue = [];
  }

  /** Nothing is awaited between finding nothing more to send and saying so: else one could be left behind. */
  async #sendAll(): Promise<void> {
    let failures = 0;
    while (this.#queue.length > 0) {
      const batch = this.#batch();
      if (batch.length > 0) failures = await this.#send(batch, failures);
      else await this.#untilDue();
    }
    this.#sending = undefined;
  }

  /** Waits until one is to be sent again, or another one is added. */
  async #untilDue(): Promise<void> {
    const added = new AbortController();
    this.#wake = () => added.abort();
    const ms = Math.min(...this.#queue.map(({ dueAt }) => dueAt)) - Date.now();
    await sleep(Math.max(ms, 1), AbortSignal.any([added.signal, this.#stop.signal])).catch(() => {});
  }

  /** How many failures there are in a row, after this. */
  async #send(batch: Report[], failures: number): Promise<number> {
    try {
      const outcomes = batch.map(({ text }) => text);
      this.#read(batch, await this.#exchange.report(outcomes, this.#stop.signal));
      return 0;
    } catch (error) {
      if (isUnreadable(error)) this.#separate(batch, error);
      else if (!this.#stop.signal.aborted) await this.#wait(failures + 1, error);
      return failures + 1;
    }
  }

  async #wait(failures: number, error: unknown): Promise<void> {
    this.#logger(failures === 1 ? "warn" : "debug", "outcomes wait to be reported", {
      outcomes: this.#queue.length,
      error: told(error),
    });
    await sleep(backoffMs(failures, error), this.#stop.signal).catch(() => {});
  }

  /** What is due. All of it stays in the queue until it is answered. */
  #batch(): Report[] {
    const batch: Report[] = [];
    const now = Date.now();
    let bytes = 0;
    for (const report of this.#queue) {
      if (report.dueAt > now) continue;
      bytes += Buffer.byteLength(report.text) + 1;
      const fits = bytes <= REPORT_BYTES_MAX && batch.length < REPORT_MAX && !report.isAlone;
      if (batch.length > 0 && !fits) break;
      batch.push(report);
      if (report.isAlone) break;
    }
    return batch;
  }

  /** Each has an answer of its own: one that may be recorded later is sent again without the others. */
  #read(batch: Report[], results: Recorded[]): void {
    const byId = new Map(results.map((result) => [result.id, result]));
    for (const report of batch) {
      const result = byId.get(report.attempt.id);
      if (result?.status === "recorded") this.#remove([report]);
      else if (!result || isPassing(result.error)) report.dueAt = Date.now() + backoffMs(++report.failures);
      else this.#refused(report, result.error);
    }
  }

  /**
   * What nobody waits for is dropped. What cannot be recorded as it is becomes a failure that says so: else the
   * attempt would be made again and again, to the same end.
   */
  #refused(report: Report, error: Refusal | undefined): void {
    const { code = "refused", detail = "" } = error ?? {};
    this.#say("warn", "an outcome was refused", report.attempt, { code, detail });
    if (report.isReplaced || NOT_WANTED.includes(code)) {
      this.#remove([report]);
    } else {
      report.text = textOf(report.attempt, failed(code, `the outcome was refused: ${detail}`));
      report.isReplaced = report.isAlone = true;
    }
  }

  #remove(answered: Report[]): void {
    this.#queue = this.#queue.filter((report) => !answered.includes(report));
    for (const { attempt } of answered) this.#settled(attempt);
  }

  /** A request that the server cannot read has an outcome that is at fault: each goes by itself, to find it. */
  #separate(batch: Report[], error: ApiError): void {
    const [report] = batch;
    if (batch.length === 1 && report) this.#refused(report, error);
    for (const one of batch) one.isAlone = true;
  }

  #late(attempt: AttemptInProgress): void {
    this.#say("error", "an outcome was not reported in time", attempt);
  }

  #say(
    level: "warn" | "error",
    message: string,
    { id, name }: AttemptInProgress,
    error?: Recorded["error"],
  ): void {
    this.#logger(level, message, { id, name, ...(error && { code: error.code, detail: error.detail }) });
  }
}

function textOf({ id }: AttemptInProgress, outcome: Outcome): string {
  return JSON.stringify({ id, ...outcome });
}

/** Whether the same outcome may be recorded later. */
function isPassing(error: Refusal | undefined): boolean {
  const { code, status = 0 } = error ?? {};
  return code === "attempt_reported" || [408, 425, 429].includes(status) || status >= 500;
}

/** What was sent is at fault, and not who sent it or when. */
function isUnreadable(error: unknown): error is ApiError {
  return (
    error instanceof ApiError && [400, 413, 422].includes(error.status) && error.code !== "unexpected_answer"
  );
}
