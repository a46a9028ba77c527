// A fake server and workers that end with the test.
import { afterEach } from "vitest";
import { Worker, type WorkerOptions } from "../src/worker.js";
import { FakeServer } from "./server.js";

export interface Logged {
  level: string;
  message: string;
  fields: Record<string, unknown>;
}

const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

export async function fakeServer(): Promise<FakeServer> {
  const server = await new FakeServer().start();
  endings.push(() => server.close());
  return server;
}

export interface Running {
  worker: Worker;
  logged: Logged[];
  /** How `run` ended. */
  ended: Promise<unknown>;
}

/** A worker that runs until the test is over. */
export function run(
  server: FakeServer,
  teach: (worker: Worker) => void,
  options: WorkerOptions = {},
): Running {
  const logged: Logged[] = [];
  const worker = new Worker({
    url: server.url,
    key: server.key,
    name: "tested",
    stopOnSignals: false,
    graceMs: 2_000,
    logger: (level, message, fields) => {
      logged.push({ level, message, fields });
      server.changed();
    },
    ...options,
  });
  teach(worker);
  const ended = worker.run().then(
    () => undefined,
    (error) => error,
  );
  endings.push(() => worker.stop());
  return { worker, logged, ended };
}

/** A promise that somebody else settles. */
export function gate<T = void>(): { opened: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => {};
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Rejects with the signal's reason when it is aborted, as a handler does that stops if it can. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
