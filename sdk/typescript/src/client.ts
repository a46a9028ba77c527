// A method for each operation of the API, by noun and verb: `client.run.list()`. The methods and their
// types are generated; here they are given something to do.
import { type CallOptions, type Operation, type Request, send } from "./call.js";
import { follow } from "./events.js";
import type { components } from "./generated/openapi.js";
import { type Operations, operationTable } from "./generated/operations.js";
import { type Connection, connection, type Settings } from "./settings.js";

type Schemas = components["schemas"];

/** One signal gets one answer, many get one each, in order. Text is one signal a line. */
export interface Emit {
  (signal: Schemas["EmitSignal"], options?: CallOptions): Promise<Schemas["Emitted"]>;
  (signals: Schemas["EmitSignal"][] | string, options?: CallOptions): Promise<Schemas["EmittedMany"]>;
}

export type Client = Omit<Operations, "signal"> & {
  signal: Omit<Operations["signal"], "emit"> & { emit: Emit };
};

export function createClient(settings: Settings = {}): Client {
  const to = connection(settings);
  const entries = Object.entries(operationTable).map(([name, operation]) => [name, methods(to, operation)]);
  return Object.fromEntries(entries);
}

function methods(to: Connection, entry: Operation | Record<string, Operation>): unknown {
  if (isOperation(entry)) return method(to, entry);
  return Object.fromEntries(Object.entries(entry).map(([verb, operation]) => [verb, method(to, operation)]));
}

function isOperation(entry: Operation | Record<string, Operation>): entry is Operation {
  return typeof entry.path === "string";
}

function method(to: Connection, operation: Operation): (...args: unknown[]) => unknown {
  return operation.answerType === "text/event-stream"
    ? (...args) => follow(to, requestOf(operation, args), optionsOf(operation, args).lastEventId)
    : async (...args) => {
        const text = await send(to, requestOf(operation, args));
        return operation.answerType === "application/json" ? JSON.parse(text) : text;
      };
}

/** Arguments come in the order of the generated signatures: path, body, query, options. */
function requestOf(operation: Operation, args: unknown[]): Request {
  const rest = [...args];
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
    encodeURIComponent(segment(name, rest.shift())),
  );
  const body = operation.bodyTypes ? rest.shift() : undefined;
  const query = operation.hasQuery ? (rest.shift() as Record<string, unknown> | undefined) : undefined;
  const options = optionsOf(operation, args);
  return {
    method: operation.method,
    path: path + search(query),
    headers: headersOf(operation, body, options),
    ...(body !== undefined && { body: isRaw(body) ? body : JSON.stringify(body) }),
    isRepeatable: operation.method === "GET" || options.idempotencyKey !== undefined || isDeduplicated(body),
    signal: options.signal,
  };
}

function optionsOf(operation: Operation, args: unknown[]): CallOptions {
  const inPath = operation.path.match(/\{/g)?.length ?? 0;
  const at = inPath + (operation.bodyTypes ? 1 : 0) + (operation.hasQuery ? 1 : 0);
  return (args[at] as CallOptions | undefined) ?? {};
}

/** An empty segment would ask for something else: the list instead of the one. */
function segment(name: string, value: unknown): string {
  if (typeof value !== "string" || value === "")
    throw new TypeError(`\`${name}\` must be a text that is not empty`);
  return value;
}

/** Lists are separated by commas, which is what becomes of them as text. */
function search(query: Record<string, unknown> = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const pairs = given.map(([name, value]) => [name, String(value)]);
  return pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "";
}

function headersOf(operation: Operation, body: unknown, options: CallOptions): Record<string, string> {
  return {
    accept: operation.answerType === "application/json" ? "application/json" : operation.answerType,
    ...(body !== undefined && { "content-type": contentType(operation, body) }),
    ...(options.idempotencyKey !== undefined && { "idempotency-key": options.idempotencyKey }),
  };
}

/** A document that is given as text is YAML, of which JSON is a part, or one signal a line; bytes are a module. */
function contentType(operation: Operation, body: unknown): string {
  const ofRaw = operation.bodyTypes?.find((type) => type !== "application/json");
  return isRaw(body) && ofRaw ? ofRaw : "application/json";
}

function isRaw(body: unknown): body is string | Uint8Array<ArrayBuffer> {
  return typeof body === "string" || body instanceof Uint8Array;
}

/** Whether the body itself says that it is the same fact, or the same intent, when it comes again. */
function isDeduplicated(body: unknown): boolean {
  if (Array.isArray(body)) return body.every(isDeduplicated);
  const { dedupe_key, idempotency_key, source_event_id } = (body ?? {}) as Record<string, unknown>;
  return [dedupe_key, idempotency_key, source_event_id].some((key) => typeof key === "string");
}
