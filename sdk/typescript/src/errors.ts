// What can go wrong between here and the server: it refused, or it was not reached.
import type { components } from "./generated/openapi.js";

type Problem = components["schemas"]["Problem"];

/** The server understood, and refused (RFC 9457). Programs compare `code`; people read `detail`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly title: string;
  /** What is wrong in a document, all at once. */
  readonly diagnostics: NonNullable<Problem["diagnostics"]>;
  /** After how many seconds to ask again, where the server says so. */
  readonly retryAfter: number | undefined;

  constructor(problem: Omit<Problem, "type">, retryAfter?: number) {
    super(`${problem.code}: ${problem.detail}`);
    this.status = problem.status;
    this.code = problem.code;
    this.detail = problem.detail;
    this.title = problem.title;
    this.diagnostics = problem.diagnostics ?? [];
    this.retryAfter = retryAfter;
  }
}

/** Nobody answered, or the answer broke off. What was asked for may have happened. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
  readonly url: string;

  constructor(url: string, cause: unknown) {
    super(`cannot reach ${url}: ${reason(cause)}`, { cause });
    this.url = url;
  }
}

/** The innermost cause: what is around it only says that there is one. */
function reason(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause !== undefined) innermost = innermost.cause;
  if (!(innermost instanceof Error)) return String(innermost);
  if (innermost.name === "TimeoutError") return "no answer in time";
  const code = (innermost as { code?: unknown }).code;
  return innermost.message || String(code ?? innermost.name);
}

/** What a response that is no success says. */
export async function refusal(response: Response): Promise<ApiError> {
  const retryAfter = retryAfterOf(response.headers);
  const problem = await response.json().catch(() => undefined);
  if (isProblem(problem)) return new ApiError({ ...problem, status: response.status }, retryAfter);
  const { status } = response;
  const detail = `HTTP ${status}, and not from a FleetPrompt server`;
  return new ApiError({ status, code: "unexpected_answer", title: "Unexpected answer", detail }, retryAfter);
}

function isProblem(value: unknown): value is Problem {
  const { code, detail } = (value ?? {}) as Partial<Problem>;
  return typeof code === "string" && typeof detail === "string";
}

function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim();
  return text && /^\d+$/.test(text) ? Number(text) : undefined;
}
