// The scenario's worker as a process: what each of its handlers comes to, and how it ends.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fakeServer } from "./fixtures.js";
import { start } from "./program.js";

const path = fileURLToPath(new URL("../scenario.mjs", import.meta.url));

test("the scenario goes as it is described, and ends at SIGTERM", async () => {
  const server = await fakeServer();
  const env = { FLEETPROMPT_URL: server.url, FLEETPROMPT_KEY: server.key };
  const program = start([path], env, () => server.changed());
  const slow = server.ask("scenario.slow", { ms: 60_000 });
  const asked = [
    server.ask("scenario.echo", { a: [1] }),
    server.ask("scenario.fail", { code: "lead_unknown" }),
    server.ask("scenario.retry", { succeed_at: 3, delay: "5s" }, { attempt: 2 }),
    server.ask("scenario.retry", { succeed_at: 3 }, { attempt: 3 }),
    server.ask("scenario.raise", {}),
    server.ask("scenario.raise", {}, { attempt: 2 }),
    server.ask("scenario.slow", { ms: 5 }),
    server.ask("scenario.large", { bytes: 10 }),
    server.ask("scenario.large", { bytes: 2_000_000 }),
    server.ask("scenario.log"),
    server.ask("scenario.notify", {}, { kind: "directive" }),
    server.ask("scenario.together", { number: 0, of: 2 }),
    server.ask("scenario.together", { number: 1, of: 2, levels: 2 }),
  ];
  await server.until(() => asked.every(({ outcome }) => outcome), "all are reported");
  expect(asked.map(({ outcome }) => outcome)).toMatchObject([
    { status: "succeeded", output: { a: [1] } },
    { status: "failed", error: { code: "lead_unknown", message: "as asked" } },
    { status: "retry", error: { code: "busy", message: "as asked" }, delay: "5s" },
    { status: "succeeded", output: { attempt: 3 } },
    { status: "retry", error: { code: "error", message: "broken" } },
    { status: "succeeded", output: { attempt: 2 } },
    { status: "succeeded", output: { slept: 5 } },
    { status: "succeeded", output: { text: "xxxxxxxxxx" } },
    { status: "failed", error: { code: "output_too_large" } },
    { status: "succeeded", output: { ok: true }, logs: ["one", "two"] },
    { status: "succeeded", output: { key: "run_11:step", delivery: 1 } },
    { status: "succeeded", output: { number: 0, delivery: 1 } },
    { status: "succeeded", output: [[{ number: 1, delivery: 1 }]] },
  ]);
  server.cancel(slow);
  await server.until(() => slow.outcome, "what was called off is reported");
  expect(slow.outcome).toEqual({ status: "canceled" });
  expect(server.requests("take")[0]?.body.worker).toEqual({ name: "typescript", slots: 4 });
  program.process.kill("SIGTERM");
  expect(await program.ended).toMatchObject({ status: 0, output: "ready\n" });
});
