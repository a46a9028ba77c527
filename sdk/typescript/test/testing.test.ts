// What handlers do, and what becomes of it, without a server.
import { describe, expect, test } from "vitest";
import { perform } from "../src/testing.js";
import { type Attempt, Failed, Retry, Worker } from "../src/worker.js";
import { untilAborted } from "./fixtures.js";

type Logged = { level: string; message: string; fields: Record<string, unknown> };

function worker(logged: Logged[] = []): Worker {
  return new Worker({ logger: (level, message, fields) => logged.push({ level, message, fields }) });
}

async function outcomeOf(handler: (input: unknown, attempt: Attempt) => unknown, input: unknown = {}) {
  return perform(worker().performs("job", handler), "job", input);
}

describe("outcomes", () => {
  test("what is returned is the output, as the server will have it", async () => {
    const output = { at: new Date(0), nothing: undefined };
    expect(await outcomeOf(() => output)).toEqual({
      status: "succeeded",
      output: { at: "1970-01-01T00:00:00.000Z" },
    });
    expect(await outcomeOf(() => {})).toEqual({ status: "succeeded", output: null });
  });

  test("Retry is tried again, not before its delay", async () => {
    const outcome = await outcomeOf(() => {
      throw new Retry("the line is busy", { code: "busy", delay: "5s" });
    });
    expect(outcome).toEqual({
      status: "retry",
      error: { code: "busy", message: "the line is busy" },
      delay: "5s",
    });
  });

  test("a delay may be a number of milliseconds, and nothing that the server does not know", () => {
    expect(new Retry("", { delay: 1500 }).delay).toBe("1500ms");
    expect(() => new Retry("", { delay: "soon" })).toThrow("is no delay");
  });

  test("Failed has failed for good", async () => {
    const outcome = await outcomeOf(() =>
      Promise.reject(new Failed("no such lead", { code: "lead_unknown" })),
    );
    expect(outcome).toEqual({ status: "failed", error: { code: "lead_unknown", message: "no such lead" } });
  });

  test("any other error is tried again, and its stack is for the log alone", async () => {
    const logged: Logged[] = [];
    const performing = worker(logged).performs("job", () => {
      throw new Error("broken");
    });
    const outcome = await perform(performing, "job", {});
    expect(outcome).toEqual({ status: "retry", error: { code: "error", message: "broken" } });
    expect(logged[0]?.fields.stack).toContain("testing.test.ts");
  });

  test.each([
    ["a number that is none", () => ({ score: Number.NaN }), "NaN is no JSON"],
    ["a bigint", () => 1n, "BigInt"],
    ["a function", () => () => {}, "a function is no JSON"],
    ["half of a surrogate pair", () => "\ud800", "surrogate"],
    ["a circle", circle, "circular"],
  ])("%s is no output", async (_, handler, message) => {
    const outcome = await outcomeOf(handler);
    expect(outcome).toMatchObject({ status: "failed", error: { code: "output_invalid" } });
    expect(JSON.stringify(outcome)).toContain(message);
  });

  test("an output of more than 1 MiB has failed", async () => {
    expect(await outcomeOf(() => "x".repeat(2 ** 20 - 2))).toMatchObject({ status: "succeeded" });
    expect(await outcomeOf(() => "x".repeat(2 ** 20 - 1))).toMatchObject({
      status: "failed",
      error: { code: "output_too_large" },
    });
    expect(await outcomeOf(() => "ä".repeat(2 ** 19))).toMatchObject({ error: { code: "output_too_large" } });
  });

  test("an attempt that is called off is canceled, unless it is done or its output is wrong", async () => {
    const performing = worker()
      .performs("stops", (_, { signal }) => untilAborted(signal))
      .performs("done", () => 1)
      .performs("wrong", () => 1n);
    const signal = AbortSignal.abort();
    expect(await perform(performing, "stops", {}, { signal })).toEqual({ status: "canceled" });
    expect(await perform(performing, "done", {}, { signal })).toEqual({ status: "succeeded", output: 1 });
    expect(await perform(performing, "wrong", {}, { signal })).toMatchObject({ status: "failed" });
  });
});

describe("inputs", () => {
  interface Lead {
    company: string;
  }

  const lead = (value: unknown): Lead => {
    const { company } = value as Partial<Lead>;
    if (typeof company !== "string") throw new Error("company: expected a text");
    return { company };
  };

  const schema = {
    "~standard": {
      version: 1 as const,
      vendor: "test",
      validate: async (value: unknown) => {
        const { company } = value as Partial<Lead>;
        if (typeof company === "string") return { value: { company: company.toUpperCase() } };
        return { issues: [{ message: "expected a text", path: ["lead", { key: "company" }] }] };
      },
    },
  };

  test("are parsed by a function or a schema, which also say their type", async () => {
    const performing = worker()
      .performs("function", ({ company }, attempt) => [company, attempt.input.company], { parse: lead })
      .performs("schema", ({ company }) => company.length + company, { parse: schema });
    expect(await perform(performing, "function", { company: "Acme", more: 1 })).toMatchObject({
      output: ["Acme", "Acme"],
    });
    expect(await perform(performing, "schema", { company: "Acme" })).toMatchObject({ output: "4ACME" });
  });

  test("that are refused have failed, with what is wrong", async () => {
    const performing = worker()
      .performs("function", () => 1, { parse: lead })
      .performs("schema", () => 1, { parse: schema });
    expect(await perform(performing, "function", {})).toEqual({
      status: "failed",
      error: { code: "input_invalid", message: "company: expected a text" },
    });
    expect(await perform(performing, "schema", {})).toEqual({
      status: "failed",
      error: { code: "input_invalid", message: "lead.company: expected a text" },
    });
  });

  test("come by the wire: a date is text", async () => {
    expect(
      await outcomeOf((input) => typeof (input as { at: unknown }).at, { at: new Date() }),
    ).toMatchObject({
      output: "string",
    });
  });
});

describe("attempts", () => {
  test("say where they come from", async () => {
    const outcome = await perform(
      worker().performs("mail.*", (_, attempt) => ({
        ...{ name: attempt.name, kind: attempt.kind, run: attempt.runId, key: attempt.idempotencyKey },
        ...{ attempt: attempt.attempt, delivery: attempt.delivery, item: attempt.item, step: attempt.step },
        left: attempt.deadline && attempt.deadline.getTime() > Date.now(),
      })),
      "mail.send",
      {},
      {
        kind: "directive",
        runId: "run_1",
        step: "greet",
        attempt: 2,
        delivery: 3,
        item: 4,
        timeoutMs: 60_000,
      },
    );
    expect(outcome).toEqual({
      status: "succeeded",
      output: {
        ...{ name: "mail.send", kind: "directive", run: "run_1", key: "run_1:greet" },
        ...{ attempt: 2, delivery: 3, item: 4, step: "greet", left: true },
      },
    });
  });

  test("log up to 100 lines, whatever the outcome", async () => {
    const outcome = await outcomeOf((_, attempt) => {
      for (let line = 1; line <= 101; line++) attempt.log(`line ${line}`);
      throw new Failed("no");
    });
    expect(outcome.status).toBe("failed");
    expect(outcome.logs).toHaveLength(100);
    expect(outcome.logs?.[99]).toBe("line 100");
  });

  test("cannot fail by their progress", async () => {
    const logged: Logged[] = [];
    const seen: unknown[] = [];
    const performing = worker(logged).performs("job", (_, attempt) => {
      attempt.progress({ done: 1 });
      attempt.progress("x".repeat(5_000));
      return 1;
    });
    const outcome = await perform(performing, "job", {}, { onProgress: (value) => seen.push(value) });
    expect(outcome).toEqual({ status: "succeeded", output: 1 });
    expect(seen[0]).toEqual({ done: 1 });
    expect(logged.map(({ message }) => message)).toEqual(["progress was not taken"]);
  });

  test("of what nobody performs are a mistake of the test", async () => {
    await expect(
      perform(
        worker().performs("a", () => 1),
        "b",
        {},
      ),
    ).rejects.toThrow("it performs a");
  });
});

function circle(): unknown {
  const one: { self?: unknown } = {};
  one.self = one;
  return one;
}
