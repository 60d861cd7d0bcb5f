// Runs a program to its end and collects what it printed. A program that runs longer than its time is killed
// and counts as failed. Nothing outlives the calling process.
import { spawn } from "node:child_process";
import { killAtExit } from "./leftovers.ts";

export interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

export interface ProgramOptions {
  readonly input?: string | Uint8Array;
  readonly environment?: Record<string, string>;
  readonly folder?: string;
  /** Default 120,000. */
  readonly timeoutMs?: number;
}

/** Runs it and returns whatever came out. Rejects only if it cannot be started or runs out of time. */
export function tryProgram(
  command: string,
  parameters: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const startedMs = performance.now();
  const child = spawn(command, parameters, {
    cwd: options.folder,
    env: { ...process.env, ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const forget = child.pid === undefined ? () => {} : killAtExit(child.pid);
  const timeoutMs = options.timeoutMs ?? 120_000;
  return new Promise((resolve, reject) => {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let outOfTime = false;
    const timer = setTimeout(() => {
      outOfTime = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (bytes: Buffer) => stdout.push(bytes));
    child.stderr.on("data", (bytes: Buffer) => stderr.push(bytes));
    child.stdin.on("error", () => {});
    child.stdin.end(options.input);
    child.on("error", (error) => {
      clearTimeout(timer);
      forget();
      reject(error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      forget();
      const result = {
        code: code ?? 128,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString() + (signal === null ? "" : `ended by ${signal}\n`),
        elapsedMs: performance.now() - startedMs,
      };
      if (outOfTime)
        reject(new Error(describe(command, parameters, result, `ran longer than ${timeoutMs} ms`)));
      else resolve(result);
    });
  });
}

/** Runs it and returns its standard output. Rejects with everything it printed unless it exits with 0. */
export async function runProgram(
  command: string,
  parameters: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const result = await tryProgram(command, parameters, options);
  if (result.code !== 0) throw new Error(describe(command, parameters, result, `exit code ${result.code}`));
  return result.stdout;
}

function describe(
  command: string,
  parameters: readonly string[],
  result: ProgramResult,
  outcome: string,
): string {
  return `${command} ${parameters.join(" ")}: ${outcome}\n${result.stdout}${result.stderr}`.trimEnd();
}
