// Event streams that survive their connection: one that broke off is taken up again with
// `Last-Event-ID`, so that nothing is missed and nothing comes twice.
import { open, type Request, type ServerEvent } from "./call.js";
import { ApiError, Unreachable } from "./errors.js";
import type { Connection } from "./settings.js";
import { sleep } from "./sleep.js";

/** The server says something at least every 15 seconds; silence for this long is a dead connection. */
const SILENCE_MAX_MS = 45_000;
const DELAY_FIRST_MS = 200;
const DELAY_MAX_MS = 10_000;
/** About a minute of a server that is gone, once it was there. */
const FAILURES_MAX = 10;

/** Ends after the event `end`. A server that was never there, or that refuses, is told at once. */
export async function* follow(
  to: Connection,
  request: Request,
  lastEventId?: string,
): AsyncGenerator<ServerEvent<never>, void, undefined> {
  let lastId = lastEventId;
  let wasConnected = false;
  for (let failures = 0; ; ) {
    try {
      for await (const event of connect(to, request, lastId, () => (wasConnected = true))) {
        failures = 0;
        lastId = event.id ?? lastId;
        yield event as ServerEvent<never>;
        if (event.event === "end") return;
      }
      throw new Unreachable(to.url, "the event stream broke off");
    } catch (error) {
      failures++;
      if (!isPassing(error) || !wasConnected || failures > FAILURES_MAX) throw error;
      await sleep(Math.min(DELAY_FIRST_MS * 2 ** (failures - 1), DELAY_MAX_MS), request.signal);
    }
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof Unreachable) return true;
  return error instanceof ApiError && (error.status === 429 || error.status >= 500);
}

async function* connect(
  to: Connection,
  request: Request,
  lastId: string | undefined,
  connected: () => void,
): AsyncGenerator<ServerEvent, void, undefined> {
  const silence = new AbortController();
  const signal = request.signal ? AbortSignal.any([request.signal, silence.signal]) : silence.signal;
  const headers = { ...request.headers, ...(lastId !== undefined && { "last-event-id": lastId }) };
  let timer = expect(silence);
  try {
    const response = await open(to, { ...request, headers, signal });
    connected();
    const parser = new EventParser();
    const decoder = new TextDecoder();
    for await (const bytes of chunks(response)) {
      clearTimeout(timer);
      yield* parser.push(decoder.decode(bytes, { stream: true }));
      timer = expect(silence);
    }
  } catch (error) {
    if (request.signal?.aborted) throw request.signal.reason;
    throw error instanceof ApiError || error instanceof SyntaxError ? error : new Unreachable(to.url, error);
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function expect(silence: AbortController): ReturnType<typeof setTimeout> {
  return setTimeout(() => silence.abort(new Error("nothing came for too long")), SILENCE_MAX_MS);
}

/** Not every browser can iterate over a body. */
async function* chunks(response: Response): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) yield read.value;
}

/** Server-sent events, line by line (WHATWG HTML, 9.2.6). It takes text as it comes, cut anywhere. */
export class EventParser {
  #rest = "";
  #id: string | undefined;
  #event = "";
  #data: string[] = [];

  /** The events that this text completes. */
  *push(text: string): Generator<ServerEvent> {
    // A CR at the end may be the first half of CR LF: it waits for what comes next.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = line === "" ? this.#complete() : this.#field(line);
      if (event) yield event;
    }
  }

  #field(line: string): undefined {
    const [, name, value = ""] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? [];
    if (name === "id") this.#id = value;
    else if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    // Else a comment (the heartbeat), `retry`, or a field that does not exist.
  }

  #complete(): ServerEvent | undefined {
    const [event, data] = [this.#event, this.#data];
    this.#event = "";
    this.#data = [];
    if (data.length === 0 && event === "") return undefined;
    return {
      id: this.#id,
      event: event || "message",
      data: data.length > 0 ? JSON.parse(data.join("\n")) : undefined,
    };
  }
}
