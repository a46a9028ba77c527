// A tiny server that speaks the worker protocol as docs/workers.md has it, in memory: leases that end,
// deliveries, long polls, cancellation, shutdown. Tests tell it what to do wrong by `faults`.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Json = Record<string, unknown>;

export interface Offer {
  kind?: "function" | "directive";
  leaseMs?: number;
  timeoutMs?: number;
  attempt?: number;
  labels?: Record<string, string>;
}

/** One attempt that was asked for, over all its deliveries. */
export interface Asked {
  name: string;
  input: unknown;
  offer: Offer;
  delivery: number;
  id: string;
  holder: string | undefined;
  leaseTimer: NodeJS.Timeout | undefined;
  isCanceled: boolean;
  progress: unknown[];
  outcome: Json | undefined;
  /** How often an outcome of it was reported, with those that were known. */
  reports: number;
}

export interface Fault {
  on: "take" | "report" | "heartbeat" | string;
  /** A status, or to break the connection before or after the request has had its effect. */
  does: number | "break" | "break after";
  retryAfter?: number;
  detail?: string;
}

export interface Seen {
  path: string;
  method: string;
  headers: IncomingMessage["headers"];
  body: Json;
}

type Answer = (request: Seen, response: ServerResponse) => unknown;

const VERBS = ["take", "report", "heartbeat"];
const FIELDS: Record<string, string[]> = {
  take: ["worker", "performs", "limit", "holding", "wait"],
  heartbeat: ["worker", "attempts"],
  report: ["worker", "outcomes"],
};

export class FakeServer {
  url = "";
  key = "fp_test";
  faults: Fault[] = [];
  seen: Seen[] = [];
  asked: Asked[] = [];
  isStopping = false;
  /** What the next reports of single attempts are refused with, by input, beside others that are recorded. */
  refusals: { input: unknown; status: number; code: string }[] = [];
  /** How many takes wait for an answer. */
  waiting = 0;
  /** Answers of everything that is not of workers: `GET /v1/runs`. */
  answers: Record<string, Answer> = {};
  #server: Server | undefined;
  #watchers = new Set<() => void>();
  #count = 0;

  async start(port = 0): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this;
  }

  /** As `kill -9` does: connections break, what is known stays. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  }

  async restart(): Promise<void> {
    await this.start(Number(new URL(this.url).port));
  }

  async close(): Promise<void> {
    for (const { leaseTimer } of this.asked) clearTimeout(leaseTimer);
    await this.kill();
  }

  ask(name: string, input: unknown = {}, offer: Offer = {}): Asked {
    const one: Asked = {
      ...{ name, input, offer, delivery: 0, id: "", holder: undefined, leaseTimer: undefined },
      ...{ isCanceled: false, progress: [], outcome: undefined, reports: 0 },
    };
    this.asked.push(one);
    this.changed();
    return one;
  }

  cancel(asked: Asked): void {
    asked.isCanceled = true;
    this.changed();
  }

  /** Gives it to somebody else, as the end of a lease does. */
  lose(asked: Asked): void {
    clearTimeout(asked.leaseTimer);
    asked.holder = undefined;
    asked.id = "";
    this.changed();
  }

  requests(verb: string): Seen[] {
    return this.seen.filter(({ path }) => path === `/v1/attempts/${verb}`);
  }

  changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Resolves when it holds; looked at again with everything that happens here. */
  until(holds: () => unknown, what: string, ms = 20_000): Promise<void> {
    return this.#await(holds, ms).then((held) => {
      if (!held)
        throw new Error(`not within ${ms} ms: ${what}\n${JSON.stringify(this.seen.slice(-5), null, 1)}`);
    });
  }

  #await(holds: () => unknown, ms: number, closed?: ServerResponse): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (held: boolean) => {
        this.#watchers.delete(look);
        clearTimeout(timer);
        resolve(held);
      };
      const look = () => {
        if (holds()) end(true);
      };
      const timer = setTimeout(() => end(false), ms);
      closed?.once("close", () => end(false));
      this.#watchers.add(look);
      look();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const isJson = request.headers["content-type"] === "application/json" && text !== "";
    const body = isJson ? JSON.parse(text) : text;
    const seen = { path, method: request.method ?? "", headers: request.headers, body };
    this.seen.push(seen);
    this.changed();
    const fault = this.#fault(path);
    if (fault?.does === "break") return void response.destroy();
    if (typeof fault?.does === "number") return refuse(response, fault.does, fault);
    const answer = await this.#answer(seen, response);
    this.changed();
    if (fault?.does === "break after" || response.destroyed) return void response.destroy();
    if (!response.headersSent) send(response, answer);
  }

  #fault(path: string): Fault | undefined {
    const at = this.faults.findIndex(({ on }) => path.split("?")[0]?.endsWith(on));
    return at < 0 ? undefined : this.faults.splice(at, 1)[0];
  }

  async #answer(request: Seen, response: ServerResponse): Promise<unknown> {
    const verb = request.path.replace("/v1/attempts/", "");
    if (request.headers.authorization !== `Bearer ${this.key}`) return refuse(response, 401);
    if (!VERBS.includes(verb)) {
      const answer = this.answers[`${request.method} ${request.path.split("?")[0]}`];
      return answer ? answer(request, response) : refuse(response, 404);
    }
    const unknown = Object.keys(request.body).filter((field) => !FIELDS[verb]?.includes(field));
    if (unknown.length > 0) return refuse(response, 400, { detail: `unknown: ${unknown}` });
    if (verb === "take") return this.#take(request.body, response);
    if (verb === "heartbeat") return this.#heartbeat(request.body);
    return this.#report(request.body);
  }

  async #take(body: Json, response: ServerResponse): Promise<unknown> {
    const {
      worker,
      performs,
      limit = 1,
      holding = [],
      wait = "0s",
    } = body as {
      worker: { name: string; labels?: Record<string, string> };
      performs: string[];
      limit?: number;
      holding?: string[];
      wait?: string;
    };
    const available = () =>
      this.asked.filter(
        (one) =>
          !one.holder &&
          !one.outcome &&
          !one.isCanceled &&
          performs.some((pattern) => fits(pattern, one.name)) &&
          Object.entries(one.offer.labels ?? {}).every(([label, value]) => worker.labels?.[label] === value),
      );
    const canceled = () => holding.filter((id) => this.#byId(id)?.isCanceled);
    const something = () => (limit > 0 && available().length > 0) || canceled().length > 0 || this.isStopping;
    this.waiting++;
    await this.#await(something, Number.parseFloat(wait) * 1000, response);
    this.waiting--;
    this.changed();
    if (response.destroyed) return undefined;
    const attempts = available()
      .slice(0, limit)
      .map((one) => this.#handOut(one, worker.name));
    return { attempts, canceled: canceled(), shutdown: this.isStopping };
  }

  #handOut(one: Asked, holder: string): Json {
    one.delivery++;
    one.holder = holder;
    one.id = `run_${this.asked.indexOf(one)}.0.0.sig_0.${one.delivery}.${(++this.#count).toString(16)}`;
    this.#lease(one);
    return {
      id: one.id,
      kind: one.offer.kind ?? "function",
      name: one.name,
      input: one.input,
      tenant: "acme",
      run_id: `run_${this.asked.indexOf(one)}`,
      workflow: "test",
      step: "step",
      idempotency_key: `run_${this.asked.indexOf(one)}:step`,
      attempt: one.offer.attempt ?? 1,
      delivery: one.delivery,
      correlation_id: "sig_0",
      causation_id: "sig_0",
      traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      lease_ms: leaseMs(one),
      ...(one.offer.timeoutMs !== undefined && { timeout_ms: one.offer.timeoutMs }),
    };
  }

  #lease(one: Asked): void {
    clearTimeout(one.leaseTimer);
    one.leaseTimer = setTimeout(() => this.lose(one), leaseMs(one));
  }

  #byId(id: string): Asked | undefined {
    return this.asked.find((one) => one.id === id);
  }

  #heartbeat(body: Json): unknown {
    const attempts = body.attempts as { id: string; progress?: unknown }[];
    return { results: attempts.map((beat) => ({ id: beat.id, ...this.#kept(beat) })) };
  }

  #kept({ id, progress }: { id: string; progress?: unknown }): Json {
    const one = this.#byId(id);
    if (!one?.holder) return refused("lease_lost");
    if (one.outcome) return refused("attempt_settled");
    if (progress !== undefined) one.progress.push(progress);
    this.#lease(one);
    return { status: "kept", ...(one.isCanceled && { cancel_requested: true }) };
  }

  #report(body: Json): unknown {
    const outcomes = body.outcomes as Json[];
    return { results: outcomes.map((outcome) => ({ id: outcome.id, ...this.#recorded(outcome) })) };
  }

  #recorded({ id, ...outcome }: Json): Json {
    const one = this.#byId(String(id));
    if (!one) return refused("lease_lost");
    one.reports++;
    const at = this.refusals.findIndex(({ input }) => input === one.input);
    const [refusal] = at < 0 ? [] : this.refusals.splice(at, 1);
    if (refusal) return refused(refusal.code, refusal.status);
    if (one.outcome) return same(one.outcome, outcome) ? { status: "recorded" } : refused("attempt_settled");
    if (!one.holder) return refused("lease_lost");
    one.outcome = outcome;
    clearTimeout(one.leaseTimer);
    return { status: "recorded" };
  }
}

function leaseMs({ offer }: Asked): number {
  return offer.leaseMs ?? 15_000;
}

function fits(pattern: string, name: string): boolean {
  return pattern === name || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1)));
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function refused(code: string, status = 409): Json {
  return { status: "refused", error: { type: "about:blank", title: code, status, code, detail: code } };
}

const CODES: Record<number, string> = {
  401: "unauthorized",
  404: "not_found",
  429: "busy",
  503: "unavailable",
};

function refuse(response: ServerResponse, status: number, { retryAfter, detail }: Partial<Fault> = {}): void {
  const code = CODES[status] ?? "invalid_request";
  const problem = { type: "about:blank", title: code, status, code, detail: detail ?? `it is ${code}` };
  response.writeHead(status, {
    "content-type": "application/problem+json",
    ...(retryAfter !== undefined && { "retry-after": String(retryAfter) }),
  });
  response.end(JSON.stringify(problem));
}

function send(response: ServerResponse, answer: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(answer));
}
