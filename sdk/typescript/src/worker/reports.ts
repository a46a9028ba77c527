// Outcomes on their way to the record. Whatever ends while a report is under way goes into the next, and
// an outcome is sent until it is answered: as long as the process lives, none is lost.
import { ApiError } from "../errors.js";
import { sleep } from "../sleep.js";
import type { AttemptInProgress } from "./attempt.js";
import { backoffMs } from "./backoff.js";
import type { Exchange } from "./exchange.js";
import { failed, type Outcome } from "./handler.js";
import { type Logger, told } from "./logger.js";
import { REPORT_BYTES_MAX, REPORT_MAX, type Recorded } from "./protocol.js";

interface Report {
  attempt: AttemptInProgress;
  text: string;
  /** It was in a report that the server could not read: it goes by itself, to find which one it was. */
  isAlone: boolean;
  isReplaced: boolean;
}

export class Reports {
  #queue: Report[] = [];
  #sending: Promise<void> | undefined;
  readonly #exchange: Exchange;
  readonly #logger: Logger;
  readonly #settled: (attempt: AttemptInProgress) => void;
  readonly #stop = new AbortController();

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
      this.#queue.push({ attempt, text: textOf(attempt, outcome), isAlone: false, isReplaced: false });
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
    while (this.#queue.length > 0) failures = await this.#send(this.#batch(), failures);
    this.#sending = undefined;
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

  /** They stay in the queue until they are answered. */
  #batch(): Report[] {
    const batch: Report[] = [];
    let bytes = 0;
    for (const report of this.#queue) {
      bytes += Buffer.byteLength(report.text) + 1;
      const fits = bytes <= REPORT_BYTES_MAX && batch.length < REPORT_MAX && !report.isAlone;
      if (batch.length > 0 && !fits) break;
      batch.push(report);
      if (report.isAlone) break;
    }
    return batch;
  }

  #read(batch: Report[], results: Recorded[]): void {
    const byId = new Map(results.map((result) => [result.id, result]));
    const answered = batch.filter(({ attempt }) => this.#isAnswered(attempt, byId.get(attempt.id)));
    this.#remove(answered);
    if (answered.length < batch.length) throw new Error("some outcomes are not recorded yet");
  }

  #isAnswered(attempt: AttemptInProgress, result: Recorded | undefined): boolean {
    // An earlier report of it, whose answer was lost, is being recorded: how that ends is not known yet.
    if (!result || result.error?.code === "attempt_reported") return false;
    if (result.status === "refused") this.#say("warn", "an outcome was refused", attempt, result.error);
    return true;
  }

  #remove(answered: Report[]): void {
    this.#queue = this.#queue.filter((report) => !answered.includes(report));
    for (const { attempt } of answered) this.#settled(attempt);
  }

  /** One that cannot be read by itself has failed, and says so; one that cannot even say that is dropped. */
  #separate(batch: Report[], error: unknown): void {
    const [report] = batch;
    if (batch.length > 1 || !report) {
      for (const one of batch) one.isAlone = true;
    } else if (report.isReplaced) {
      this.#say("error", "an outcome cannot be reported", report.attempt, { code: told(error) });
      this.#remove([report]);
    } else {
      report.text = textOf(report.attempt, failed("outcome_refused", told(error)));
      report.isReplaced = true;
    }
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

/** What was sent is at fault, and not who sent it or when. */
function isUnreadable(error: unknown): boolean {
  return (
    error instanceof ApiError && [400, 413, 422].includes(error.status) && error.code !== "unexpected_answer"
  );
}
