// Runs a checker that is a program of its own; its output is the list of problems if it fails.
import { spawn } from "node:child_process";
import { join } from "node:path";

export interface ProgramRun {
  root: string;
  /** Path relative to the root. */
  program: string;
  parameters: string[];
}

export function runProgram({ root, program, parameters }: ProgramRun): Promise<string[]> {
  return new Promise((resolve) => {
    const child = spawn(join(root, program), parameters, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", (error) => resolve([`${program} did not start: ${error.message}`]));
    child.on("close", (code) =>
      resolve(code === 0 ? [] : [output.trim() || `${program} ended with ${code}`]),
    );
  });
}
