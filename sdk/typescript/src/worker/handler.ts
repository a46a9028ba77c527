// From a handler and an attempt to an outcome: the one way in which attempts are made, by workers and in
// tests. It never throws: whatever a handler does is an outcome.
import type { Attempt, AttemptInProgress } from "./attempt.js";
import { Failed, Retry } from "./failures.js";
import { jsonText, plainText } from "./json.js";
import { type Logger, told } from "./logger.js";
import { type Parse, parsed } from "./parse.js";
import { CODE_MAX, OUTPUT_BYTES_MAX, TEXT_MAX } from "./protocol.js";

export type Handler<Input = unknown, Output = unknown> = (
  input: Input,
  attempt: Attempt<Input>,
) => Output | Promise<Output>;

export interface PerformsOptions<Input> {
  /** Turns the input into what the handler takes; what it refuses has failed with `input_invalid`. */
  parse?: Parse<Input>;
}

/** A handler with what stands before it. */
export interface Performing {
  handler: Handler;
  parse: Parse<unknown> | undefined;
}

/** How an attempt ended, as it is reported. */
export type Outcome = { logs?: string[] } & (
  | { status: "succeeded"; output: unknown }
  | { status: "retry"; error: OutcomeError; delay?: string }
  | { status: "failed"; error: OutcomeError }
  | { status: "canceled" }
);

export interface OutcomeError {
  code: string;
  message: string;
}

export async function outcomeOf(
  performing: Performing,
  attempt: AttemptInProgress,
  logger: Logger,
): Promise<Outcome> {
  const outcome = await made(performing, attempt, logger);
  attempt.finish();
  return attempt.logs.length > 0 ? { ...outcome, logs: attempt.logs } : outcome;
}

async function made(performing: Performing, attempt: AttemptInProgress, logger: Logger): Promise<Outcome> {
  let output: unknown;
  try {
    attempt.input = await inputOf(performing, attempt.input);
    output = await performing.handler(attempt.input, attempt);
  } catch (error) {
    return unsuccessful(error, attempt, logger);
  }
  return done(output);
}

async function inputOf({ parse }: Performing, input: unknown): Promise<unknown> {
  if (!parse) return input;
  try {
    return await parsed(parse, input);
  } catch (error) {
    if (error instanceof Failed || error instanceof Retry) throw error;
    throw new Failed(told(error), { code: "input_invalid", cause: error });
  }
}

/** The output as the server will have it: what becomes of dates and the like is seen in tests, too. */
function done(output: unknown): Outcome {
  let text: string;
  try {
    text = jsonText(output);
  } catch (error) {
    return failed("output_invalid", `the output is no JSON: ${told(error)}`);
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > OUTPUT_BYTES_MAX) {
    return failed("output_too_large", `the output has ${bytes} bytes, of at most ${OUTPUT_BYTES_MAX}`);
  }
  return { status: "succeeded", output: JSON.parse(text) };
}

function unsuccessful(error: unknown, attempt: AttemptInProgress, logger: Logger): Outcome {
  if (attempt.ended === "canceled") return { status: "canceled" };
  if (error instanceof Failed) return failed(error.code, error.message);
  if (error instanceof Retry) {
    const { delay } = error;
    return { status: "retry", error: said(error.code, error.message), ...(delay !== undefined && { delay }) };
  }
  const { id, name } = attempt;
  const stack = error instanceof Error ? error.stack : undefined;
  logger("warn", "an attempt ended with an error", { id, name, error: told(error), stack });
  return { status: "retry", error: said(attempt.ended === "timeout" ? "timeout" : "error", told(error)) };
}

export function failed(code: string, message: string): Outcome {
  return { status: "failed", error: said(code, message) };
}

function said(code: string, message: string): OutcomeError {
  return { code: plainText(code, CODE_MAX), message: plainText(message, TEXT_MAX) };
}
