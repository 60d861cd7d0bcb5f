// The memory of a process as the kernel counts it.
import { readFileSync } from "node:fs";

export interface ProcessMemory {
  /** RssAnon + RssShmem: what only swapping could take from the process. */
  readonly privateBytes: number;
  /** RssFile: mapped files, which the kernel takes back when it needs the room. */
  readonly fileBytes: number;
}

export function processMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (field: string) => {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status);
    if (!line) throw new Error(`/proc/${pid}/status has no ${field}`);
    return Number(line[1]) * 1024;
  };
  return { privateBytes: bytes("RssAnon") + bytes("RssShmem"), fileBytes: bytes("RssFile") };
}
