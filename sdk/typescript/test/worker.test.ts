// Workers against a server: taking, being at it, reporting, and what happens when something stops.
import { describe, expect, test } from "vitest";
import { ApiError } from "../src/index.js";
import { Failed, Worker } from "../src/worker.js";
import { fakeServer, gate, run, untilAborted } from "./fixtures.js";
import type { Asked } from "./server.js";

describe("taking", () => {
  test("what is asked for is performed and reported", async () => {
    const server = await fakeServer();
    run(server, (worker) => worker.performs("lead.score", async (input) => ({ of: input })), {
      version: "1.2.3",
      labels: { region: "eu" },
    });
    const asked = server.ask("lead.score", { company: "Acme" }, { labels: { region: "eu" } });
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "succeeded", output: { of: { company: "Acme" } } });
    expect(server.requests("take")[0]?.body).toEqual({
      worker: { name: "tested", version: "1.2.3", labels: { region: "eu" }, slots: 10 },
      performs: ["lead.score"],
      limit: 10,
      holding: [],
      wait: "20s",
    });
  });

  test("no more is taken than there are free slots, and what is held is named", async () => {
    const server = await fakeServer();
    const done = gate();
    let side = 0;
    let most = 0;
    const many = Array.from({ length: 9 }, (_, at) => server.ask("job", at));
    run(
      server,
      (worker) =>
        worker.performs("job", async () => {
          most = Math.max(most, ++side);
          server.changed();
          await done.opened;
          side--;
        }),
      { slots: 4 },
    );
    await server.until(() => side === 4, "four are under way");
    done.open();
    await server.until(() => many.every(({ outcome }) => outcome), "all are reported");
    expect(most).toBe(4);
    expect(server.requests("take").every(({ body }) => Number(body.limit) <= 4)).toBe(true);
  });

  test("attempts that are under way are named as held by the next take", async () => {
    const server = await fakeServer();
    const done = gate();
    run(server, (worker) => worker.performs("job", () => done.opened), { slots: 2 });
    const asked = server.ask("job");
    await server.until(() => server.requests("take").length === 2, "it takes again");
    expect(server.requests("take")[1]?.body).toMatchObject({ limit: 1, holding: [asked.id] });
    done.open();
  });

  test("the handler that says most about a name is the one", async () => {
    const server = await fakeServer();
    run(server, (worker) =>
      worker
        .performs("*", () => "any")
        .performs("mail.*", () => "mail")
        .performs("mail.send", () => "send"),
    );
    const asked = ["lead.score", "mail.list", "mail.send"].map((name) => server.ask(name));
    await server.until(() => asked.every(({ outcome }) => outcome), "all are reported");
    expect(asked.map(({ outcome }) => outcome?.output)).toEqual(["any", "mail", "send"]);
  });

  test("a server that is about to stop is asked again", async () => {
    const server = await fakeServer();
    server.isStopping = true;
    run(server, (worker) => worker.performs("job", () => 1));
    await server.until(() => server.requests("take").length === 1, "it takes");
    server.isStopping = false;
    const asked = server.ask("job");
    await server.until(() => asked.outcome, "it is reported");
    expect(server.requests("take").length).toBeGreaterThan(1);
  });

  test("503, 429 and broken connections are no reason to give up", async () => {
    const server = await fakeServer();
    server.faults = [
      { on: "take", does: 503 },
      { on: "take", does: "break" },
      { on: "take", does: 429, retryAfter: 0 },
    ];
    const asked = server.ask("job");
    const { logged } = run(server, (worker) => worker.performs("job", () => 1));
    await server.until(() => asked.outcome, "it is reported");
    expect(logged.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
      "nothing can be taken",
    ]);
    expect(logged.map(({ message }) => message)).toContain("the server is back");
  });

  test("a key that is refused at first ends the worker, with what the server says", async () => {
    const server = await fakeServer();
    const { ended } = run(server, (worker) => worker.performs("job", () => 1), { key: "fp_wrong" });
    expect(await ended).toMatchObject({ status: 401, code: "unauthorized" });
    expect(await ended).toBeInstanceOf(ApiError);
  });

  test("an answer to a take that got lost costs a delivery, and nothing else", async () => {
    const server = await fakeServer();
    server.faults = [{ on: "take", does: "break after" }];
    const asked = server.ask("job", {}, { leaseMs: 1_000 });
    run(server, (worker) => worker.performs("job", (_, { delivery }) => delivery));
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome?.output).toBe(2);
  });
});

describe("being at it", () => {
  test("leases are kept for as long as it takes, all in one request, with progress", async () => {
    const server = await fakeServer();
    const done = gate();
    const asked = [server.ask("job", {}, { leaseMs: 1_500 }), server.ask("job", {}, { leaseMs: 1_500 })];
    run(server, (worker) =>
      worker.performs("job", async (_, attempt) => {
        attempt.progress({ done: 1 });
        await done.opened;
      }),
    );
    await server.until(
      () => server.requests("heartbeat").length >= 5,
      "five heartbeats, which is more than a lease",
    );
    done.open();
    await server.until(() => asked.every(({ outcome }) => outcome), "both are reported");
    expect(asked.map(({ delivery }) => delivery)).toEqual([1, 1]);
    expect(asked[0]?.progress[0]).toEqual({ done: 1 });
    expect(server.requests("heartbeat")[0]?.body.attempts).toHaveLength(2);
  });

  test("heartbeats that fail are sent again while there is time", async () => {
    const server = await fakeServer();
    server.faults = [
      { on: "heartbeat", does: 503 },
      { on: "heartbeat", does: "break" },
    ];
    const done = gate();
    const asked = server.ask("job", {}, { leaseMs: 3_000 });
    run(server, (worker) => worker.performs("job", () => done.opened));
    await server.until(() => server.requests("heartbeat").length >= 4, "it goes on");
    done.open();
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.delivery).toBe(1);
  });

  test("what is called off by a heartbeat is aborted, and reported as canceled", async () => {
    const server = await fakeServer();
    const asked = server.ask("job", {}, { leaseMs: 1_500 });
    run(server, (worker) => worker.performs("job", (_, { signal }) => untilAborted(signal)), { slots: 1 });
    await server.until(() => asked.holder, "it is taken");
    server.cancel(asked);
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "canceled" });
  });

  test("what is called off by a take is aborted at once", async () => {
    const server = await fakeServer();
    const asked = server.ask("job");
    run(server, (worker) => worker.performs("job", (_, { signal }) => untilAborted(signal)));
    await server.until(() => server.requests("take").length === 2, "the next take is open");
    server.cancel(asked);
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "canceled" });
    expect(server.requests("heartbeat")).toHaveLength(0);
  });

  test("what was done before it could be called off is reported as done", async () => {
    const server = await fakeServer();
    const asked = server.ask("job");
    run(server, (worker) =>
      worker.performs("job", async (_, { signal }) => {
        await untilAborted(signal).catch(() => {});
        return "done";
      }),
    );
    await server.until(() => server.requests("take").length === 2, "the next take is open");
    server.cancel(asked);
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "succeeded", output: "done" });
    expect(server.requests("take").length).toBeLessThan(5);
  });

  test("what was called off after it was done, and before it was reported, is not asked about again", async () => {
    const server = await fakeServer();
    server.faults = Array.from({ length: 3 }, () => ({ on: "report", does: 503 }));
    const asked = server.ask("job");
    run(server, (worker) => worker.performs("job", () => "done"));
    await server.until(() => server.requests("report").length > 0, "it is done");
    server.cancel(asked);
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "succeeded", output: "done" });
    expect(server.requests("take").length).toBeLessThan(5);
  });

  test("what is another worker's is aborted, and nothing of it is reported", async () => {
    const server = await fakeServer();
    const aborted = gate<string>();
    const asked = server.ask("job", {}, { leaseMs: 300 });
    const { logged } = run(server, (worker) =>
      worker.performs("job", (_, { signal, delivery }) => {
        if (delivery > 1) return "second";
        return untilAborted(signal).catch((reason) => {
          aborted.open(reason.message);
          throw reason;
        });
      }),
    );
    await server.until(() => asked.holder, "it is taken");
    server.lose(asked);
    expect(await aborted.opened).toBe("the attempt is another worker's now");
    await server.until(() => asked.outcome, "the second delivery is reported");
    expect(asked).toMatchObject({ reports: 1, outcome: { output: "second" } });
    expect(logged.find(({ message }) => message === "an attempt was lost")?.fields.code).toBe("lease_lost");
  });

  test("what takes too long is aborted at its deadline", async () => {
    const server = await fakeServer();
    const asked = server.ask("job", {}, { timeoutMs: 50 });
    run(server, (worker) => worker.performs("job", (_, { signal }) => untilAborted(signal)));
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toMatchObject({ status: "retry", error: { code: "timeout" } });
  });
});

describe("reporting", () => {
  test("what ends while a report is under way goes into the next", async () => {
    const server = await fakeServer();
    const many = Array.from({ length: 300 }, () => server.ask("job"));
    run(server, (worker) => worker.performs("job", () => 1), { slots: 300 });
    await server.until(() => many.every(({ outcome }) => outcome), "all are reported");
    const reports = server.requests("report").map(({ body }) => (body.outcomes as unknown[]).length);
    expect(reports.length).toBeLessThan(30);
    expect(Math.max(...reports)).toBeLessThanOrEqual(100);
  });

  test("large outcomes are spread over reports of at most 10 MiB", async () => {
    const server = await fakeServer();
    const many = Array.from({ length: 25 }, () => server.ask("job"));
    run(server, (worker) => worker.performs("job", () => "x".repeat(1_000_000)), { slots: 25 });
    await server.until(() => many.every(({ outcome }) => outcome), "all are reported");
    const sizes = server.requests("report").map(({ headers }) => Number(headers["content-length"]));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(10 * 1024 * 1024);
  });

  test("an outcome whose answer got lost is reported again, and recorded once", async () => {
    const server = await fakeServer();
    server.faults = [
      { on: "report", does: "break after" },
      { on: "report", does: "break" },
      { on: "report", does: 503 },
      { on: "report", does: 429, retryAfter: 0 },
    ];
    const asked = server.ask("job");
    const { worker } = run(server, (worker) => worker.performs("job", () => 1));
    await server.until(() => asked.reports === 2, "it is reported again");
    await worker.stop();
    expect(server.requests("report")).toHaveLength(5);
    expect(asked.outcome).toEqual({ status: "succeeded", output: 1 });
  });

  test("an outcome that is refused is said and dropped", async () => {
    const server = await fakeServer();
    const done = gate();
    const asked = server.ask("job", {}, { leaseMs: 30_000 });
    const { logged } = run(server, (worker) => worker.performs("job", () => done.opened), { slots: 1 });
    await server.until(() => asked.holder, "it is taken");
    const { id } = asked;
    asked.isCanceled = true;
    server.lose(asked);
    done.open();
    await server.until(
      () => logged.some(({ message }) => message === "an outcome was refused"),
      "it is said",
    );
    expect(logged.find(({ message }) => message === "an outcome was refused")?.fields).toMatchObject({
      id,
      code: "lease_lost",
    });
    const next = server.ask("job");
    await server.until(() => next.outcome, "the slot is free again");
  });

  test("an outcome that the server cannot read has failed, and keeps no other out", async () => {
    const server = await fakeServer();
    const first = gate();
    const asked: Asked[] = [1, 2, 3].map((input) => server.ask("job", input));
    // The first report goes alone; the two others meet a server that cannot read the second of them.
    server.faults = [
      { on: "report", does: 503 },
      { on: "report", does: 422, detail: "more than 64 levels" },
      { on: "report", does: 422, detail: "more than 64 levels" },
    ];
    run(server, (worker) =>
      worker.performs("job", async (input) => {
        if (input === 1) return void first.open();
        await first.opened;
      }),
    );
    await server.until(() => asked.every(({ outcome }) => outcome), "all are reported");
    expect(asked.map(({ outcome }) => outcome?.status).sort()).toEqual(["failed", "succeeded", "succeeded"]);
    const failed = asked.find(({ outcome }) => outcome?.status === "failed");
    expect(failed?.outcome?.error).toMatchObject({ code: "invalid_request" });
  });

  test("of 100 outcomes the 99 that are recorded are not sent again with the one that is not", async () => {
    const BAD = 57;
    for (const [refusals, ends] of [
      [["unavailable", "attempt_reported"], { status: "succeeded" }],
      [["too_deep"], { status: "failed", error: { code: "too_deep" } }],
    ] as const) {
      const server = await fakeServer();
      const statuses = { unavailable: 503, attempt_reported: 409, too_deep: 400 };
      server.refusals = refusals.map((code) => ({ input: BAD, code, status: statuses[code] }));
      const all = gate();
      let side = 0;
      const many = Array.from({ length: 100 }, (_, input) => server.ask("job", input));
      const perform = async () => {
        if (++side === 100) all.open();
        await all.opened;
      };
      const { worker } = run(server, (worker) => worker.performs("job", perform), { slots: 100 });
      await server.until(() => many.every(({ outcome }) => outcome), "all are reported");
      await worker.stop();
      expect(many[BAD]?.outcome).toMatchObject(ends);
      const expected = many.map((_, input) => (input === BAD ? refusals.length + 1 : 1));
      expect(many.map(({ reports }) => reports)).toEqual(expected);
      const sizes = server.requests("report").map(({ body }) => (body.outcomes as unknown[]).length);
      expect(sizes.reduce((sum, size) => sum + size)).toBe(100 + refusals.length);
    }
  });

  test("outcomes wait for a server that was killed", async () => {
    const server = await fakeServer();
    const done = gate();
    const asked = [server.ask("job"), server.ask("job")];
    run(server, (worker) => worker.performs("job", () => done.opened));
    await server.until(() => asked.every(({ holder }) => holder), "both are taken");
    await server.kill();
    done.open();
    await server.restart();
    await server.until(() => asked.every(({ outcome }) => outcome), "both are reported");
    expect(asked.map(({ delivery }) => delivery)).toEqual([1, 1]);
  });
});

describe("stopping", () => {
  test("it takes no more, finishes what it has, and reports it", async () => {
    const server = await fakeServer();
    const done = gate();
    const asked = server.ask("job");
    const { worker, ended } = run(server, (worker) => worker.performs("job", () => done.opened));
    await server.until(() => server.requests("take").length === 2, "it is taken");
    const stopped = worker.stop();
    await server.until(() => server.waiting === 0, "it takes no more");
    const late = server.ask("job");
    done.open();
    await stopped;
    expect(await ended).toBeUndefined();
    expect(asked.outcome).toMatchObject({ status: "succeeded" });
    expect(late.holder).toBeUndefined();
  });

  test("what is not finished in time is aborted, left to the next worker, and said", async () => {
    const server = await fakeServer();
    const asked = server.ask("job");
    const { worker, logged } = run(
      server,
      (worker) => worker.performs("job", (_, { signal }) => untilAborted(signal)),
      { graceMs: 50 },
    );
    await server.until(() => server.requests("take").length === 2, "it is taken");
    await worker.stop();
    expect(asked.outcome).toBeUndefined();
    expect(logged.map(({ message }) => message)).toContain("an attempt was not finished in time");
  });

  test("an outcome that cannot be reported in time is said", async () => {
    const server = await fakeServer();
    const asked = server.ask("job");
    server.faults = Array.from({ length: 100 }, () => ({ on: "report", does: 503 }));
    const { worker, logged } = run(server, (worker) => worker.performs("job", () => 1), { graceMs: 0 });
    await server.until(() => server.requests("report").length > 0, "it is reported");
    await worker.stop();
    expect(logged.find(({ message }) => message === "an outcome was not reported in time")?.fields.id).toBe(
      asked.id,
    );
  });

  test("SIGTERM stops it, and leaves no listener behind", async () => {
    const server = await fakeServer();
    const before = process.listenerCount("SIGTERM");
    const { ended } = run(server, (worker) => worker.performs("job", () => 1), { stopOnSignals: true });
    await server.until(() => server.requests("take").length === 1, "it takes");
    expect(process.listenerCount("SIGTERM")).toBe(before + 1);
    const [stop] = process.listeners("SIGTERM").slice(-1);
    stop?.("SIGTERM");
    // The next one ends the process, whatever the worker is at.
    expect(process.listenerCount("SIGTERM")).toBe(before);
    expect(await ended).toBeUndefined();
    expect(process.listenerCount("SIGTERM")).toBe(before);
  });

  test("it can run again", async () => {
    const server = await fakeServer();
    const { worker } = run(server, (worker) => worker.performs("job", () => 1));
    await worker.stop();
    const again = worker.run();
    const asked = server.ask("job");
    await server.until(() => asked.outcome, "it is reported");
    await worker.stop();
    await again;
  });
});

describe("what cannot be", () => {
  test.each([
    ["no slots", () => new Worker({ slots: 0 }), "1 to 1000 slots"],
    ["no name", () => new Worker({ name: "" }), "1 to 255 characters"],
    ["no URL", () => new Worker({ url: "localhost:7070" }), "is not the URL of a server"],
    ["a pattern inside a name", () => new Worker().performs("ma*l", () => 1), "says no names"],
    [
      "two handlers",
      () => new Worker().performs("a", () => 1).performs("a", () => 2),
      "has a handler already",
    ],
    ["nothing to perform", () => new Worker().run(), "performs nothing"],
  ])("%s is said at once", (_, act, message) => {
    expect(act).toThrow(message);
  });

  test("a logger that throws takes nothing with it", async () => {
    const server = await fakeServer();
    const asked = server.ask("job");
    const logger = () => {
      throw new Error("the disk is full");
    };
    run(server, (worker) => worker.performs("job", () => Promise.reject(new Failed("no"))), { logger });
    await server.until(() => asked.outcome, "it is reported");
  });
});
