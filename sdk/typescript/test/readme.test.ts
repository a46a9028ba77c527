// The README's examples: taken out of it, compiled against the built package, and run as they stand.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Webhook } from "standardwebhooks";
import { beforeAll, describe, expect, test } from "vitest";
import { fakeServer } from "./fixtures.js";
import { type Program, start } from "./program.js";
import type { FakeServer } from "./server.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(`${root}/README.md`, "utf8");
/** By name, which is each one's first line. */
const examples = new Map(
  [...readme.matchAll(/^```ts\n\/\/ (\S+)\.ts\n([\s\S]*?)^```$/gm)].map(([, name = "", text = ""]) => [
    name,
    text,
  ]),
);

beforeAll(() => {
  const folder = `${root}/.readme`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, text] of examples) writeFileSync(`${folder}/${name}.ts`, text);
  const compilerOptions = { rootDir: ".", outDir: "out", declaration: false, types: ["node"] };
  writeFileSync(
    `${folder}/tsconfig.json`,
    JSON.stringify({ extends: "../tsconfig.json", compilerOptions, include: ["*.ts"] }),
  );
  execFileSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, "-p", folder], {
    stdio: "pipe",
  });
}, 60_000);

function run(
  server: FakeServer,
  name: string,
  args: string[] = [],
  env: Record<string, string> = {},
): Program {
  const path = `${root}/.readme/out/${name}.js`;
  const settings = { FLEETPROMPT_URL: server.url, FLEETPROMPT_KEY: server.key, ...env };
  return start([...args, path], settings, () => server.changed());
}

/** What stands in for the world around an example. */
function preload(name: string): string[] {
  return ["--import", new URL(`preload/${name}.mjs`, import.meta.url).href];
}

describe("examples", () => {
  test("are all tried here", () => {
    expect(readme.match(/^```ts$/gm)).toHaveLength(examples.size);
    expect([...examples.keys()]).toEqual(["worker", "mailer", "score.test", "client", "follow", "endpoint"]);
  });

  test("worker", async () => {
    const server = await fakeServer();
    const program = run(server, "worker");
    const asked = server.ask("lead.score", { company: "Acme" });
    await server.until(() => asked.outcome, "it is reported");
    expect(asked.outcome).toEqual({ status: "succeeded", output: { score: 87 }, logs: ["scoring Acme"] });
    program.process.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ status: 0, output: "" });
  });

  test("mailer", async () => {
    const server = await fakeServer();
    const program = run(server, "mailer", preload("mail_server"));
    const outcomes = [];
    for (const input of [
      { to: "a@example.com", subject: "Hi" },
      { to: "b", subject: "c" },
      { to: "d", subject: "e" },
      {},
    ]) {
      const asked = server.ask("mail.send", input, { kind: "directive", labels: { region: "eu" } });
      await server.until(() => asked.outcome, "it is reported");
      outcomes.push(asked.outcome);
    }
    expect(outcomes).toMatchObject([
      { status: "succeeded", output: { sent: "a@example.com" } },
      { status: "retry", error: { code: "busy" }, delay: "30s" },
      { status: "failed", error: { code: "mail_refused" } },
      { status: "failed", error: { code: "input_invalid", message: "expected `to` and `subject`" } },
    ]);
    program.process.kill("SIGTERM");
    expect(await program.ended).toMatchObject({ status: 0 });
  });

  test("score.test", async () => {
    const { status, output } = await run(await fakeServer(), "score.test").ended;
    expect(output).toContain("a lead is scored when the register is open");
    expect(status).toBe(0);
  });

  test("client", async () => {
    const server = await fakeServer();
    server.answers = {
      "POST /v1/signals": () => ({ signal: { id: "sig_1" }, deduplicated: false, dispositions: [] }),
      "GET /v1/runs": ({ path }) =>
        path.includes("cursor=")
          ? { items: [{ id: "run_2" }] }
          : { items: [{ id: "run_1" }], next_cursor: "more" },
      "POST /v1/runs/run_1/retry": () => ({}),
      "POST /v1/runs/run_2/retry": () => ({}),
    };
    const { output, status, errors } = await run(server, "client").ended;
    expect({ output, status, errors }).toEqual({
      output: "sig_1 is new\n404 not_found\n",
      status: 0,
      errors: "",
    });
    const retried = server.seen.filter(({ path }) => path.endsWith("/retry"));
    expect(retried.map(({ headers }) => headers["idempotency-key"])).toEqual(["retry-run_1", "retry-run_2"]);
  });

  test("follow", async () => {
    const server = await fakeServer();
    server.answers = {
      "GET /v1/runs/run_01h455vb4pex5vsknk084sn02q/live": (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.end(
          'id: sig_1\nevent: signal\ndata: {"id":"sig_1"}\n\nevent: end\ndata: {"id":"run_1"}\n\n',
        );
      },
    };
    const { output, status } = await run(server, "follow").ended;
    expect({ output, status }).toEqual({ output: "signal sig_1\nend run_1\n", status: 0 });
  });

  test("endpoint", async () => {
    const server = await fakeServer();
    // A port that was free a moment ago.
    const port = new URL(server.url).port;
    await server.close();
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const program = run(server, "endpoint", preload("listening"), { PORT: port, WEBHOOK_SECRET: secret });
    await server.until(() => program.output().includes("listening"), "it listens");
    const body = JSON.stringify({ payload: { to: "a@example.com" } });
    const at = new Date();
    const headers = {
      "webhook-id": "dir_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign("dir_1", at, body),
    };
    const url = `http://127.0.0.1:${port}`;
    const delivered = await fetch(url, { method: "POST", headers, body });
    expect([delivered.status, await delivered.json()]).toEqual([200, { sent: "a@example.com" }]);
    expect((await fetch(url, { method: "POST", headers, body: "{}" })).status).toBe(401);
    program.process.kill();
    await program.ended;
  });
});
