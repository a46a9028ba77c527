// What a handler throws to say how an attempt ended. Any other error is a retry with the code `error`.

export interface FailedOptions extends ErrorOptions {
  /** What `retry.on` of a definition compares; `failed` unless given. */
  code?: string;
}

export interface RetryOptions extends ErrorOptions {
  /** What people and definitions see; `error` unless given. */
  code?: string;
  /** Not before this is over: `5s`, `1m30s`, or milliseconds. */
  delay?: string | number;
}

/** It failed for good. */
export class Failed extends Error {
  override readonly name = "Failed";
  readonly code: string;

  constructor(message: string, options: FailedOptions = {}) {
    super(message, options);
    this.code = options.code ?? "failed";
  }
}

/** It failed for now, and is tried again as its `retry` says. */
export class Retry extends Error {
  override readonly name = "Retry";
  readonly code: string;
  readonly delay: string | undefined;

  constructor(message: string, options: RetryOptions = {}) {
    super(message, options);
    this.code = options.code ?? "error";
    this.delay = delayText(options.delay);
  }
}

const DELAY = /^(\d+(ms|s|m|h|d))+$/;

function delayText(delay: string | number | undefined): string | undefined {
  const text = typeof delay === "number" ? `${Math.max(0, Math.round(delay))}ms` : delay;
  if (text !== undefined && !DELAY.test(text))
    throw new TypeError(`\`${text}\` is no delay: expected one like 5s`);
  return text;
}
