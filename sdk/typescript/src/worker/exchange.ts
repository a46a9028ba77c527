// The three requests of a worker. Each is sent once: who asks knows when and what to ask again.
import { sendOnce } from "../call.js";
import { Unreachable } from "../errors.js";
import type { Connection } from "../settings.js";
import type { AttemptInProgress } from "./attempt.js";
import type { Identity, Kept, Recorded, Taken } from "./protocol.js";

/** How long the server may hold back the answer to a take, for something to do. */
const TAKE_WAIT_S = 20;
const ANSWER_MAX_MS = 10_000;

export interface TakeRequest {
  performs: string[];
  limit: number;
  holding: string[];
}

export class Exchange {
  readonly #to: Connection;
  readonly #identity: string;

  constructor(to: Connection, identity: Identity) {
    this.#to = to;
    this.#identity = `"worker":${JSON.stringify(identity)}`;
  }

  async take({ performs, limit, holding }: TakeRequest, signal: AbortSignal): Promise<Taken> {
    const fields = JSON.stringify({ performs, limit, holding, wait: `${TAKE_WAIT_S}s` }).slice(1);
    return this.#post("take", `{${this.#identity},${fields}`, TAKE_WAIT_S * 1000 + ANSWER_MAX_MS, signal);
  }

  async heartbeat(attempts: AttemptInProgress[], timeoutMs: number, signal: AbortSignal): Promise<Kept[]> {
    const beats = attempts.map(({ id, progressText }) => {
      return progressText === undefined
        ? `{"id":${JSON.stringify(id)}}`
        : `{"id":${JSON.stringify(id)},"progress":${progressText}}`;
    });
    const answer = await this.#post<{ results: Kept[] }>(
      "heartbeat",
      `{${this.#identity},"attempts":[${beats.join(",")}]}`,
      timeoutMs,
      signal,
    );
    return answer.results;
  }

  /** Outcomes come as JSON: they were measured. */
  async report(outcomes: string[], signal: AbortSignal): Promise<Recorded[]> {
    const body = `{${this.#identity},"outcomes":[${outcomes.join(",")}]}`;
    const answer = await this.#post<{ results: Recorded[] }>("report", body, 3 * ANSWER_MAX_MS, signal);
    return answer.results;
  }

  async #post<T>(verb: string, body: string, timeoutMs: number, signal: AbortSignal): Promise<T> {
    const headers = { accept: "application/json", "content-type": "application/json" };
    const path = `/v1/attempts/${verb}`;
    const text = await sendOnce(this.#to, {
      method: "POST",
      path,
      headers,
      body,
      isRepeatable: false,
      timeoutMs,
      signal,
    });
    try {
      return JSON.parse(text);
    } catch (error) {
      // Somebody in between answered for the server.
      throw new Unreachable(this.#to.url, error);
    }
  }
}
