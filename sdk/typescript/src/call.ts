// One request and its answer. What is safe to repeat is repeated a few times; what is not is sent once,
// unless the server says by 429 that it took nothing.
import { ApiError, refusal, Unreachable } from "./errors.js";
import type { Connection } from "./settings.js";
import { sleep } from "./sleep.js";

export interface CallOptions {
  /** The same request under the same key is the same intent: it may be sent again, and is. */
  idempotencyKey?: string;
  /** Behind which event a stream goes on. */
  lastEventId?: string;
  /** Calls the request off. */
  signal?: AbortSignal;
}

/** An event of a stream; `data` is what it holds as JSON. */
export interface ServerEvent<Data = unknown> {
  id: string | undefined;
  event: string;
  data: Data;
}

/** An operation on the wire. */
export interface Operation {
  method: string;
  path: string;
  bodyTypes?: string[];
  hasQuery?: boolean;
  answerType: string;
}

export interface OperationTable {
  [nounOrVerb: string]: Operation | { [verb: string]: Operation };
}

export interface Request {
  method: string;
  /** From the server's root, with its query. */
  path: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  /** Whether sending it twice does what sending it once does. */
  isRepeatable: boolean;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
}

const ATTEMPTS_MAX = 4;
const DELAY_FIRST_MS = 100;
/** A server that asks for more is down for longer than a caller wants to wait unasked. */
const DELAY_MAX_MS = 10_000;
const ANSWER_MAX_MS = 60_000;

/** Sends until there is an answer that another attempt would not change. Throws what went wrong. */
export async function send(to: Connection, request: Request): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await sendOnce(to, request);
    } catch (error) {
      const delayMs = delayBeforeNext(error, attempt, request.isRepeatable);
      if (delayMs === undefined) throw error;
      await sleep(delayMs, request.signal);
    }
  }
}

/** The text of the answer. It is read here, so that one that breaks off is told like one that never came. */
export function sendOnce(to: Connection, request: Request): Promise<string> {
  return limited(request.timeoutMs ?? ANSWER_MAX_MS, request.signal, async (signal) => {
    const response = await open(to, { ...request, signal });
    return reached(to, signal, () => response.text());
  });
}

/** Leaves neither a timer nor a listener behind: a worker's signal lives through very many requests. */
async function limited<T>(
  ms: number,
  caller: AbortSignal | undefined,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const stop = () => limit.abort(caller?.reason);
  if (caller?.aborted) stop();
  caller?.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(() => limit.abort(new DOMException("no answer in time", "TimeoutError")), ms);
  try {
    return await act(limit.signal);
  } finally {
    clearTimeout(timer);
    caller?.removeEventListener("abort", stop);
  }
}

/** A response that says success; its body is still to be read. */
export async function open(to: Connection, request: Request): Promise<Response> {
  const headers = new Headers(request.headers);
  if (to.key !== undefined) headers.set("authorization", `Bearer ${to.key}`);
  const { method, body = null, signal = null } = request;
  const url = to.url + request.path;
  const response = await reached(to, request.signal, () => to.fetch(url, { method, headers, body, signal }));
  if (!response.ok) throw await refusal(response);
  return response;
}

/** Whoever calls a request off gets their own reason back; all else means that nobody was reached. */
async function reached<T>(
  to: Connection,
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== "TimeoutError") throw signal.reason;
    throw new Unreachable(to.url, error);
  }
}

function delayBeforeNext(error: unknown, attempt: number, isRepeatable: boolean): number | undefined {
  if (attempt >= ATTEMPTS_MAX || !isWorthRepeating(error, isRepeatable)) return undefined;
  const asked = error instanceof ApiError ? error.retryAfter : undefined;
  const delayMs = asked === undefined ? DELAY_FIRST_MS * 2 ** (attempt - 1) : asked * 1000;
  return delayMs <= DELAY_MAX_MS ? delayMs : undefined;
}

/** 429 is said before anything is accepted. */
function isWorthRepeating(error: unknown, isRepeatable: boolean): boolean {
  if (error instanceof Unreachable) return isRepeatable;
  if (!(error instanceof ApiError)) return false;
  return error.status === 429 || (error.status === 503 && isRepeatable);
}
