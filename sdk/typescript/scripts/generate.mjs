// Writes src/generated/ from the API's document: `openapi.ts`, its types, and `operations.ts`, a typed
// method for each operation under its noun and verb (`run_list` is `client.run.list`).
// With --check it writes nothing and fails where a file is not what it would write.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const root = new URL("../", import.meta.url);
const documentUrl = new URL("../../docs/openapi.json", root);

/** What the document cannot say: what the data of an event stream is. */
const EVENT_DATA = { signal_tail: 'schemas["Signal"]', run_live: 'schemas["Signal"] | schemas["Run"]' };

const document = JSON.parse(readFileSync(documentUrl, "utf8"));
const notice = "// Generated from the API's document by `npm run generate`. Do not edit.\n";
const files = {
  "src/generated/openapi.ts": notice + astToString(await openapiTS(document, { defaultNonNullable: false })),
  "src/generated/operations.ts": notice + operations(document),
};

for (const [path, text] of Object.entries(files)) {
  const url = new URL(path, root);
  if (!process.argv.includes("--check")) {
    writeFileSync(url, text);
  } else if (readFileSync(url, "utf8") !== text) {
    console.error(`${path} is not what docs/openapi.json gives: run \`npm run generate\``);
    process.exit(1);
  }
}

function operations(document) {
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => described(path, method.toUpperCase(), operation)),
  );
  const nouns = groupBy(all, ({ noun }) => noun);
  return `import type { CallOptions, OperationTable, ServerEvent } from "../call.js";
import type { components, operations } from "./openapi.js";

type schemas = components["schemas"];

/** Every operation of the API, by noun and verb. */
export interface Operations {
${[...nouns].map(([noun, members]) => interfaceOf(noun, members)).join("\n")}
}

/** What each operation is on the wire. */
export const operationTable: OperationTable = {
${[...nouns].map(([noun, members]) => tableOf(noun, members)).join("\n")}
};
`;
}

function groupBy(all, key) {
  const groups = new Map();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}

function described(path, method, operation) {
  const words = operation.operationId.split("_");
  const verb = words.length > 1 ? words.pop() : undefined;
  const parameters = operation.parameters ?? [];
  const lists = parameters.filter(({ schema }) => schema?.type === "array");
  if (lists.some(({ explode }) => explode !== false))
    throw new Error(`${path}: lists are separated by commas`);
  const bodies = operation.requestBody?.content;
  const answers = Object.entries(operation.responses).filter(([status]) => status.startsWith("2"));
  const answerTypes = answers.flatMap(([, answer]) => Object.keys(answer.content ?? {}));
  return {
    id: operation.operationId,
    noun: verb ? camel(words) : undefined,
    verb: verb ?? camel(words),
    path,
    method,
    text: [operation.summary, operation.description].filter(Boolean).join(".\n\n"),
    inPath: parameters.filter((one) => one.in === "path").map((one) => one.name),
    hasQuery: parameters.some((one) => one.in === "query"),
    bodyTypes: bodies ? Object.keys(bodies) : [],
    bodySchema: bodies?.["application/json"]?.schema,
    bodyRequired: operation.requestBody?.required === true,
    answers,
    answerType: answerTypes.find((type) => !type.endsWith("json")) ? answerTypes[0] : "application/json",
  };
}

function camel(words) {
  return words.map((word, at) => (at === 0 ? word : word[0].toUpperCase() + word.slice(1))).join("");
}

function interfaceOf(noun, members) {
  const indent = noun ? "    " : "  ";
  const lines = members.flatMap((one) => [...comment(one.text), signature(one)]);
  const methods = lines.map((line) => indent + line).join("\n");
  return noun ? `  ${noun}: {\n${methods}\n  };` : methods;
}

function comment(text) {
  return ["/**", ...text.split("\n").map((line) => ` * ${line}`.trimEnd()), " */"];
}

function signature(one) {
  const required = [
    ...one.inPath.map((name) => `${name}: string`),
    ...(one.bodyTypes.length > 0 ? [`body${one.bodyRequired ? "" : "?"}: ${bodyType(one)}`] : []),
    ...(one.hasQuery ? [`query?: NonNullable<operations["${one.id}"]["parameters"]["query"]>`] : []),
    "options?: CallOptions",
  ];
  return `${one.verb}: (${required.join(", ")}) => ${answerOf(one)};`;
}

function bodyType(one) {
  if (!one.bodyTypes.includes("application/json")) return "Uint8Array";
  const ofJson = one.bodySchema
    ? `operations["${one.id}"]["requestBody"]["content"]["application/json"]`
    : "never";
  const json = one.bodyRequired
    ? ofJson
    : `NonNullable<operations["${one.id}"]["requestBody"]>["content"]["application/json"]`;
  return one.bodyTypes.length > 1 ? `${json} | string` : json;
}

function answerOf(one) {
  if (one.answerType === "text/event-stream") {
    return `AsyncGenerator<ServerEvent<${EVENT_DATA[one.id] ?? "unknown"}>, void, undefined>`;
  }
  if (one.answerType !== "application/json") return "Promise<string>";
  const types = one.answers.map(([, answer]) => {
    const reference = answer.content?.["application/json"]?.schema?.$ref;
    return reference ? `schemas["${reference.split("/").pop()}"]` : "unknown";
  });
  return `Promise<${[...new Set(types)].join(" | ")}>`;
}

function tableOf(noun, members) {
  const rows = members.map((one) => `    ${one.verb}: ${JSON.stringify(wire(one))},`).join("\n");
  return noun ? `  ${noun}: {\n${rows}\n  },` : rows;
}

function wire(one) {
  return {
    method: one.method,
    path: one.path,
    ...(one.bodyTypes.length > 0 && { bodyTypes: one.bodyTypes }),
    ...(one.hasQuery && { hasQuery: true }),
    answerType: one.answerType,
  };
}
