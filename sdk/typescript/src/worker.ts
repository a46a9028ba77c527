// Workers: programs that take attempts from a server, make them, and report how they ended. For Node.
export type { Attempt, Json } from "./worker/attempt.js";
export { Failed, Retry } from "./worker/failures.js";
export type { Handler, Outcome, PerformsOptions } from "./worker/handler.js";
export type { Level, Logger } from "./worker/logger.js";
export type { Parse, StandardSchema } from "./worker/parse.js";
export type { TakenAttempt } from "./worker/protocol.js";
export { Worker, type WorkerOptions } from "./worker/worker.js";
