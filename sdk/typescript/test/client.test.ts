// The client: what it sends, what it repeats, what it throws, lists and streams.
import { readFileSync } from "node:fs";
import { describe, expect, expectTypeOf, test } from "vitest";
import { EventParser } from "../src/events.js";
import { ApiError, type Client, createClient, items, pages, Unreachable } from "../src/index.js";
import { fakeServer } from "./fixtures.js";
import type { FakeServer } from "./server.js";

function clientOf(server: FakeServer): Client {
  return createClient({ url: `${server.url}/`, key: server.key });
}

describe("operations", () => {
  test("each of the API's document has a method", () => {
    const document = JSON.parse(readFileSync(new URL("../../../docs/openapi.json", import.meta.url), "utf8"));
    const client = createClient() as unknown as Record<string, unknown>;
    const methods = Object.entries(client).flatMap(([name, entry]) =>
      typeof entry === "function" ? [name] : Object.keys(entry as object).map((verb) => `${name}.${verb}`),
    );
    const paths: Record<string, object>[] = Object.values(document.paths);
    expect(methods).toHaveLength(paths.flatMap((path) => Object.keys(path)).length);
    expect(methods).toEqual(
      expect.arrayContaining(["whoami", "run.list", "directiveType.apply", "signal.tail"]),
    );
  });

  test("path, query, body and key arrive where they belong", async () => {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/runs": () => ({ items: [] }),
      "POST /v1/runs/run_1/steps/a%2Fb/answer": () => ({}),
    };
    const client = clientOf(server);
    await client.run.list({ workflow: "ticket-triage", limit: 5 });
    await client.step.answer("run_1", "a/b", { value: true }, { idempotencyKey: "once" });
    expect(server.seen[0]?.path).toBe("/v1/runs?workflow=ticket-triage&limit=5");
    expect(server.seen[1]).toMatchObject({ body: { value: true }, headers: { "idempotency-key": "once" } });
  });

  test("documents that are text go as YAML, many signals one a line, bytes as a module", async () => {
    const server = await fakeServer();
    server.answers = {
      "POST /v1/workflows": () => ({}),
      "POST /v1/signals": () => ({ results: [] }),
      "POST /v1/modules": () => ({}),
    };
    const client = clientOf(server);
    await client.workflow.apply("workflow: {}", { activate: true });
    await client.signal.emit('{"name":"a"}\n{"name":"b"}\n');
    await client.module.add(new Uint8Array([0, 97, 115, 109]));
    expect(server.seen.map(({ headers }) => headers["content-type"])).toEqual([
      "application/yaml",
      "application/x-ndjson",
      "application/wasm",
    ]);
    expect(server.seen[2]?.headers["content-length"]).toBe("4");
    expect(server.seen[0]?.path).toBe("/v1/workflows?activate=true");
  });

  test("types are those of the document", () => {
    type Emit = Client["signal"]["emit"];
    const one = (emit: Emit) => emit({ name: "a" });
    const many = (emit: Emit) => emit([{ name: "a" }]);
    expectTypeOf<Awaited<ReturnType<typeof one>>>().toHaveProperty("deduplicated");
    expectTypeOf<Awaited<ReturnType<typeof many>>>().toHaveProperty("results");
    expectTypeOf<Parameters<Client["run"]["get"]>[0]>().toEqualTypeOf<string>();
    // @ts-expect-error: there is no such field.
    const wrong = (emit: Emit) => emit({ name: "a", payloda: 1 });
    expect(wrong).toBeDefined();
  });

  test("an empty id does not ask for the list", async () => {
    await expect(createClient().run.get("")).rejects.toThrow("`id` must be a text that is not empty");
  });
});

describe("errors", () => {
  test("what the server refuses is an ApiError with all that it says", async () => {
    const server = await fakeServer();
    const error = await clientOf(server)
      .run.get("run_1")
      .catch((caught) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 404,
      code: "not_found",
      detail: "it is not_found",
      retryAfter: undefined,
    });
  });

  test("what does not speak the API is told", async () => {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/whoami": (_, response) => void response.writeHead(502).end("<h1>Bad gateway</h1>"),
    };
    await expect(clientOf(server).whoami()).rejects.toMatchObject({ status: 502, code: "unexpected_answer" });
  });

  test("a server that is not there is Unreachable", async () => {
    const server = await fakeServer();
    await server.close();
    const error = await clientOf(server)
      .whoami()
      .catch((caught) => caught);
    expect(error).toBeInstanceOf(Unreachable);
    expect(error.message).toContain("ECONNREFUSED");
  });

  test("whoever calls a request off gets their own reason", async () => {
    const server = await fakeServer();
    const reason = new Error("not needed");
    const call = clientOf(server).whoami({ signal: AbortSignal.abort(reason) });
    await expect(call).rejects.toBe(reason);
  });

  test("a key is never shown", () => {
    expect(() => createClient({ key: "fp_secret with a space" })).toThrow(/^(?!.*secret).*$/);
  });
});

describe("repeating", () => {
  const signal = { name: "a", dedupe_key: "once" };

  test.each([
    ["a read", 503, (client: Client) => client.signal.list()],
    ["a signal with a dedupe key", 503, (client: Client) => client.signal.emit(signal)],
    ["many of them", "break", (client: Client) => client.signal.emit([signal, signal])],
    [
      "what has an idempotency key",
      "break",
      (client: Client) => client.signal.replay("sig_1", { idempotencyKey: "k" }),
    ],
    ["whatever was not accepted", 429, (client: Client) => client.signal.emit({ name: "a" })],
  ] as const)("%s is sent again", async (_, does, call) => {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/signals": () => ({ items: [] }),
      "POST /v1/signals": () => ({}),
      "POST /v1/signals/sig_1/replay": () => ({}),
    };
    server.faults = [{ on: "", does }];
    await call(clientOf(server));
    expect(server.seen).toHaveLength(2);
  });

  test("what would happen twice is sent once", async () => {
    const server = await fakeServer();
    server.faults = [
      { on: "signals", does: 503 },
      { on: "signals", does: "break" },
    ];
    const client = clientOf(server);
    await expect(client.signal.emit({ name: "a" })).rejects.toBeInstanceOf(ApiError);
    await expect(client.signal.emit([signal, { name: "a" }])).rejects.toBeInstanceOf(Unreachable);
    expect(server.seen).toHaveLength(2);
  });

  test("Retry-After is waited for, unless it is longer than anybody would wait", async () => {
    const server = await fakeServer();
    server.answers = { "GET /v1/whoami": () => ({}) };
    server.faults = [{ on: "whoami", does: 503, retryAfter: 1 }];
    const begun = Date.now();
    await clientOf(server).whoami();
    expect(Date.now() - begun).toBeGreaterThan(950);
    server.faults = [{ on: "whoami", does: 503, retryAfter: 60 }];
    await expect(clientOf(server).whoami()).rejects.toMatchObject({ retryAfter: 60 });
  });

  test("it ends after four", async () => {
    const server = await fakeServer();
    server.faults = Array.from({ length: 9 }, () => ({ on: "whoami", does: 503 }));
    await expect(clientOf(server).whoami()).rejects.toMatchObject({ status: 503 });
    expect(server.seen).toHaveLength(4);
  });
});

describe("lists", () => {
  async function served(): Promise<FakeServer> {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/runs": ({ path }) => {
        const cursor = new URL(path, server.url).searchParams.get("cursor");
        if (cursor === "end") return { items: [{ id: "run_3" }] };
        return { items: [{ id: "run_1" }, { id: "run_2" }], next_cursor: "end" };
      },
    };
    return server;
  }

  test("are read page by page", async () => {
    const server = await served();
    const sizes = [];
    for await (const page of pages(clientOf(server).run.list, { status: ["failed", "parked"] }))
      sizes.push(page.items.length);
    expect(sizes).toEqual([2, 1]);
    expect(server.seen.map(({ path }) => path)).toEqual([
      "/v1/runs?status=failed%2Cparked",
      "/v1/runs?status=failed%2Cparked&cursor=end",
    ]);
  });

  test("are read item by item", async () => {
    const ids = [];
    for await (const run of items(clientOf(await served()).run.list)) ids.push(run.id);
    expect(ids).toEqual(["run_1", "run_2", "run_3"]);
  });
});

describe("streams", () => {
  test("are taken up again where they broke off, and end with `end`", async () => {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/runs/run_1/live": ({ headers }, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        if (headers["last-event-id"] === "sig_1") {
          response.end(
            'id: sig_2\nevent: signal\ndata: {"id":"sig_2"}\n\nevent: end\ndata: {"id":"run_1"}\n\n',
          );
        } else {
          response.write(
            ': heartbeat\n\nid: sig_1\nevent: signal\ndata: {"id":"sig_1"}\n\nid: sig_2\nevent: sig',
          );
          setImmediate(() => response.destroy());
        }
      },
    };
    const seen = [];
    for await (const { event, data } of clientOf(server).run.live("run_1")) seen.push([event, data.id]);
    expect(seen).toEqual([
      ["signal", "sig_1"],
      ["signal", "sig_2"],
      ["end", "run_1"],
    ]);
    expect(server.seen).toHaveLength(2);
  });

  test("of a server that refuses are told at once", async () => {
    const server = await fakeServer();
    const tail = clientOf(server).signal.tail();
    await expect(tail.next()).rejects.toBeInstanceOf(ApiError);
  });

  test("are the same wherever the text is cut", () => {
    const text =
      'retry: 1\n: x\n\nid: 1\nevent: signal\ndata: {"a":\ndata: 1}\n\nid:2\r\ndata:"ä"\r\n\r\nevent: end\n\n';
    const expected = [
      { id: "1", event: "signal", data: { a: 1 } },
      { id: "2", event: "message", data: "ä" },
      { id: "2", event: "end", data: undefined },
    ];
    for (const size of [1, 2, 3, 7, 1_000]) {
      const parser = new EventParser();
      const cut = text.match(new RegExp(`[\\s\\S]{1,${size}}`, "g")) ?? [];
      expect(cut.flatMap((part) => [...parser.push(part)])).toEqual(expected);
    }
  });
});
