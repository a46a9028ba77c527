// Run by `check` in a project of its own, in which the package was installed as anybody would: every
// entry point is there, typed, and does something.
import { ApiError, createClient, pages } from "@fleetprompt/sdk";
import { perform } from "@fleetprompt/sdk/testing";
import { InvalidSignature, verify } from "@fleetprompt/sdk/webhooks";
import { Failed, Worker } from "@fleetprompt/sdk/worker";

const worker = new Worker()
  .performs("lead.score", (input: { company: string }, { attempt }) => ({
    score: input.company.length + attempt,
  }))
  .performs("lead.*", () => {
    throw new Failed("no such lead", { code: "lead_unknown" });
  });

const scored = await perform(worker, "lead.score", { company: "Acme" });
const failed = await perform(worker, "lead.find", {});
same(scored, { status: "succeeded", output: { score: 5 } });
same(failed, { status: "failed", error: { code: "lead_unknown", message: "no such lead" } });

const runs = pages(createClient({ url: "http://127.0.0.1:1" }).run.list);
const unreachable = await runs.next().catch((error: Error) => error.name);
same(unreachable, "Unreachable");
same(new ApiError({ status: 404, code: "not_found", title: "", detail: "" }).code, "not_found");

const unsigned = await verify("whsec_AAAA", {}, "").catch((error) => error instanceof InvalidSignature);
same(unsigned, true);

console.log("installed: every entry point works");

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
  }
}
