// A program in a process of its own.
import { type ChildProcess, spawn } from "node:child_process";

export interface Program {
  process: ChildProcess;
  /** What it wrote to stdout, so far. */
  output: () => string;
  /** Its status, and all that it wrote. */
  ended: Promise<{ status: number | null; output: string; errors: string }>;
}

export function start(args: string[], env: Record<string, string>, written: () => void = () => {}): Program {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: "pipe" });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
    written();
  });
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<{ status: number | null; output: string; errors: string }>((resolve) => {
    child.on("close", (status) => resolve({ status, output, errors }));
  });
  return { process: child, output: () => output, ended };
}
