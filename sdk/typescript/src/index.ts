// The client: everything the API has, typed. It needs nothing but fetch, so it works in browsers too.
export type { CallOptions, ServerEvent } from "./call.js";
export { type Client, createClient, type Emit } from "./client.js";
export { ApiError, Unreachable } from "./errors.js";
export type { components, operations } from "./generated/openapi.js";
export { items, pages } from "./pages.js";
export type { Settings } from "./settings.js";
