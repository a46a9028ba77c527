// What the worker says about itself. It never says inputs or outputs, which may be secret.

export type Level = "debug" | "info" | "warn" | "error";

export type Logger = (level: Level, message: string, fields: Record<string, unknown>) => void;

/** One JSON object a line; nothing of `debug`. */
export const logToStderr: Logger = (level, message, fields) => {
  if (level === "debug") return;
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
};

/** An error as a field. */
export function told(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
