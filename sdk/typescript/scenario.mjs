// The worker of the scenario that the SDKs of all languages run against a real server: each handler is
// one way in which an attempt can go. Build first, then: node scenario.mjs
import { setTimeout as sleep } from "node:timers/promises";
import { Failed, Retry, Worker } from "@fleetprompt/sdk/worker";

const worker = new Worker({
  name: process.env.WORKER_NAME ?? "typescript",
  slots: Number(process.env.WORKER_SLOTS ?? 4),
});

worker.performs("scenario.echo", (input) => input);

worker.performs("scenario.fail", ({ code }) => {
  throw new Failed("as asked", { code });
});

worker.performs("scenario.retry", ({ succeed_at, delay }, { attempt }) => {
  if (attempt < succeed_at) throw new Retry("as asked", { code: "busy", delay });
  return { attempt };
});

worker.performs("scenario.raise", (_, { attempt }) => {
  if (attempt === 1) throw new Error("broken");
  return { attempt };
});

worker.performs("scenario.slow", async ({ ms }, { signal }) => {
  await sleep(ms, undefined, { signal });
  return { slept: ms };
});

worker.performs("scenario.large", ({ bytes }) => ({ text: "x".repeat(bytes) }));

worker.performs("scenario.log", (_, attempt) => {
  attempt.log("one");
  attempt.log("two");
  attempt.progress({ done: 1 });
  return { ok: true };
});

// Ends when `of` attempts are being made, so that their outcomes are reported together.
let present = 0;
let allPresent;
const meeting = new Promise((resolve) => {
  allPresent = resolve;
});
worker.performs("scenario.together", async ({ number, of, levels = 0 }, { delivery }) => {
  if (++present === of) allPresent();
  await meeting;
  let output = { number, delivery };
  for (let level = 0; level < levels; level++) output = [output];
  return output;
});

worker.performs("scenario.notify", (_, { idempotencyKey, delivery }) => ({ key: idempotencyKey, delivery }));

console.log("ready");
await worker.run();
