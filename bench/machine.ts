// The machine that the figures come from, as far as it says so itself.
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { runProgram } from "../test/support/run-program.ts";

const GIB = 2 ** 30;

/** Sentences for the head of a report. `folder` is where the servers keep their data; `programs`: whose versions are told. */
export async function describeMachine(folder: string, programs: readonly string[]): Promise<string[]> {
  const date = new Date().toISOString().slice(0, 10);
  return [
    `Measured on ${date}: ${availableParallelism()} CPUs (${cpuModel()}), ${(totalmem() / GIB).toFixed(0)} GiB of memory,`,
    `Linux ${release()}, Node ${process.versions.node}; data on ${await fileSystem(folder)}.`,
    ...(programs.length === 0 ? [] : [`Peers: ${(await versions(programs)).join("; ")}.`]),
  ];
}

function cpuModel(): string {
  const [first] = cpus();
  const megahertz = first === undefined || first.speed === 0 ? "" : ` at ${first.speed} MHz`;
  // Virtual machines often hide the model and give its number only.
  const model = first?.model.trim() ?? "";
  return /[a-z]/i.test(model) ? `${model}${megahertz}` : `${cpuVendor()}, model hidden${megahertz}`;
}

function cpuVendor(): string {
  const vendor = /^(?:vendor_id|CPU implementer)\s*:\s*(.+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"));
  return vendor?.[1]?.trim() ?? process.arch;
}

async function fileSystem(folder: string): Promise<string> {
  const output = await runProgram("df", ["--output=fstype,source", folder]);
  const [type, source] = (output.trim().split("\n")[1] ?? "").trim().split(/\s+/);
  return `${type} (${source})`;
}

async function versions(programs: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const program of programs) {
    try {
      found.push((await runProgram(program, ["--version"])).split("\n")[0]!.replace("fio-", "fio ").trim());
    } catch {
      found.push(`no ${program}`);
    }
  }
  return found;
}
