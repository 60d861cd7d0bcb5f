// What a process has read and written by system calls, as the kernel counts it, page cache and sockets included.
import { readFileSync } from "node:fs";

/** Bytes of both directions since the process began. */
export function processIoBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/io`, "utf8");
  return ["rchar", "wchar"].reduce((sum, field) => {
    const line = new RegExp(`^${field}: (\\d+)$`, "m").exec(text);
    if (!line) throw new Error(`/proc/${pid}/io has no ${field}`);
    return sum + Number(line[1]);
  }, 0);
}
