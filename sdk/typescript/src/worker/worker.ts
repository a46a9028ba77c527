// What people write their workers with: who it is, what it performs, and when it runs.
import { hostname } from "node:os";
import { type Connection, connection, type Settings } from "../settings.js";
import { Exchange } from "./exchange.js";
import type { Handler, Performing, PerformsOptions } from "./handler.js";
import { type Logger, logToStderr, told } from "./logger.js";
import { Patterns } from "./patterns.js";
import type { Identity } from "./protocol.js";
import { Shift } from "./shift.js";

export interface WorkerOptions extends Settings {
  /** Tells this worker from others with the same key; host name and process id unless given. */
  name?: string;
  /** What people see of it. */
  version?: string;
  /** What people see of it, and what directs to it what asks for a label. */
  labels?: Record<string, string>;
  /** How many attempts it makes side by side; 10 unless given. */
  slots?: number;
  /** How long it may take to finish what it has when it is to stop; 30,000 unless given. */
  graceMs?: number;
  /** Whether SIGINT and SIGTERM stop it; they do unless this is false. */
  stopOnSignals?: boolean;
  /** Where it says what it does; JSON lines on stderr unless given. */
  logger?: Logger;
}

const STOP_SIGNALS = ["SIGINT", "SIGTERM"] as const;
const SLOTS_MAX = 1_000;

export class Worker {
  readonly name: string;
  readonly #to: Connection;
  readonly #identity: Identity;
  readonly #slots: number;
  readonly #graceMs: number;
  readonly #stopOnSignals: boolean;
  readonly #logger: Logger;
  readonly #patterns = new Patterns<Performing>();
  #shift: Shift | undefined;
  #running: Promise<void> | undefined;

  constructor(options: WorkerOptions = {}) {
    const { name = `${hostname()}-${process.pid}`, version, labels, slots = 10, graceMs = 30_000 } = options;
    if (name.length < 1 || name.length > 255) throw new TypeError("a worker's name has 1 to 255 characters");
    if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX) {
      throw new TypeError(`a worker has 1 to ${SLOTS_MAX} slots, and not ${slots}`);
    }
    this.name = name;
    this.#to = connection(options);
    this.#identity = { name, ...(version !== undefined && { version }), ...(labels && { labels }), slots };
    this.#slots = slots;
    this.#graceMs = graceMs;
    this.#stopOnSignals = options.stopOnSignals ?? true;
    this.#logger = quiet(options.logger ?? logToStderr);
  }

  /** Says what it does for a name, or for many: `mail.send`, `mail.*` or `*`. The closest one counts. */
  performs<Input = unknown, Output = unknown>(
    pattern: string,
    handler: Handler<Input, Output>,
    options: PerformsOptions<Input> = {},
  ): this {
    if (this.#running) throw new Error("a worker that runs cannot learn: say what it performs before `run`");
    // What a handler takes is known to whoever wrote it; here it is whatever came.
    this.#patterns.add(pattern, { handler: handler as Handler, parse: options.parse });
    return this;
  }

  /** Takes and makes attempts until it is stopped, and resolves when all of them are reported. */
  run(): Promise<void> {
    if (this.#running) throw new Error("this worker runs already");
    if (this.#patterns.all().length === 0)
      throw new Error("this worker performs nothing: call `performs` first");
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Takes no more, finishes what it has and reports it. Resolves when that is done. */
  async stop(): Promise<void> {
    this.#shift?.stop();
    // How it ended is for whoever called `run`.
    await this.#running?.catch(() => {});
  }

  /** @internal What tests perform with. */
  performing(name: string): { performing: Performing; logger: Logger } {
    const performing = this.#patterns.find(name);
    const known = this.#patterns.all().join(", ") || "nothing";
    if (!performing) throw new Error(`this worker does not perform \`${name}\`; it performs ${known}`);
    return { performing, logger: this.#logger };
  }

  async #work(): Promise<void> {
    const exchange = new Exchange(this.#to, this.#identity);
    const [patterns, slots, graceMs, logger] = [this.#patterns, this.#slots, this.#graceMs, this.#logger];
    const shift = new Shift({ exchange, patterns, slots, graceMs, logger });
    this.#shift = shift;
    const ignore = this.#stopOnSignals ? this.#listen(shift) : () => {};
    logger("info", "the worker runs", { name: this.name, url: this.#to.url, performs: patterns.all() });
    try {
      await shift.work();
      logger("info", "the worker has stopped", { name: this.name });
    } catch (error) {
      logger("error", "the worker cannot work", { name: this.name, error: told(error) });
      throw error;
    } finally {
      ignore();
    }
  }

  /** The first signal stops the shift; the second is not ours, and ends the process at once, as usual. */
  #listen(shift: Shift): () => void {
    const stop = (signal: NodeJS.Signals) => {
      ignore();
      this.#logger("info", "the worker stops", { name: this.name, signal });
      shift.stop();
    };
    const ignore = () => {
      for (const signal of STOP_SIGNALS) process.removeListener(signal, stop);
    };
    for (const signal of STOP_SIGNALS) process.on(signal, stop);
    return ignore;
  }
}

/** A logger that throws must not take attempts with it. */
function quiet(logger: Logger): Logger {
  return (level, message, fields) => {
    try {
      logger(level, message, fields);
    } catch {
      // There is nowhere left to say it.
    }
  };
}
