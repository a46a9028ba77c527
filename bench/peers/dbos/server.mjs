// DBOS as a peer of the benchmark: the work of the `bench` workflow in DBOS's terms, with HTTP in front of it.
//
//     DATABASE_URL=postgres://USER@HOST/DATABASE PORT=8080 node server.mjs
//
// USER must own the database, no more: DBOS makes its schema there when it starts.
import { createServer } from "node:http";
import { DBOS } from "@dbos-inc/dbos-sdk";

const { DATABASE_URL, PORT } = process.env;
if (!DATABASE_URL || !PORT) throw new Error("DATABASE_URL and PORT must be set");

// W1 and W2: three steps that do nothing, each result committed before the next step begins.
const order = DBOS.registerWorkflow(
  async ({ total }) => {
    const priced = await DBOS.runStep(async () => ({ total }), { name: "price" });
    const checked = await DBOS.runStep(async () => ({ ok: true }), { name: "check" });
    return await DBOS.runStep(async () => ({ priced, checked }), { name: "close" });
  },
  { name: "order" },
);

// W3: nothing, and not within the window.
const accept = DBOS.registerWorkflow(async () => {}, { name: "accept" });
const LATER = { queueName: "accept", enqueueOptions: { delaySeconds: 3600 } };

DBOS.setConfig({
  name: "fleetprompt-bench",
  systemDatabaseUrl: DATABASE_URL,
  systemDatabasePoolSize: 16,
  logLevel: "warn",
});
await DBOS.launch();
await DBOS.registerQueue(LATER.queueName);

const paths = {
  // Called like a function, a workflow is performed here and now, and its outcome committed.
  "/run": (body) => order(body),
  // Resolves once workflow and input are committed.
  "/start": async (body) => ({ id: (await DBOS.startWorkflow(accept, LATER)(body)).workflowID }),
};

function answer(response, status, value) {
  const body = JSON.stringify(value);
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  response.writeHead(status, headers).end(body);
}

async function serve(request, response) {
  if (request.method === "GET" && request.url === "/health") return answer(response, 200, { ok: true });
  const perform = request.method === "POST" && Object.hasOwn(paths, request.url) && paths[request.url];
  if (!perform) return answer(response, 404, { error: "not found" });
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  answer(response, 200, await perform(JSON.parse(Buffer.concat(chunks))));
}

const server = createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    if (response.headersSent) response.destroy();
    else answer(response, 500, { error: String(error) });
  });
});
// A client's connection stays, however long it is idle.
server.keepAliveTimeout = 0;
server.listen(Number(PORT), "127.0.0.1");
