// What a test needs from the machine: programs, Debian's Python module for NBD, FUSE, root.
// A test whose needs are not met is skipped with the reason, and with CI=true it fails instead, because a
// green run must mean that everything ran.
import { spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { findProgram } from "../../tools/find-program.ts";

/** Things that are not simply a program of that name in PATH: how to tell, and what to say. */
const special: Record<string, { present: () => boolean; advice: string }> = {
  root: { present: () => process.getuid?.() === 0, advice: "must run as root" },
  fuse: { present: () => existsSync("/dev/fuse"), advice: "needs /dev/fuse" },
  "network link": { present: canLink, advice: "needs network namespaces, veth and tbf of the kernel" },
  loop: { present: () => existsSync("/dev/loop-control"), advice: "needs loop devices" },
  "python3-libnbd": {
    present: () => existsSync("/usr/lib/python3/dist-packages/nbd.py"),
    advice: "needs Debian's python3-libnbd",
  },
  "qemu-block-extra": {
    present: () => globSync("/usr/lib/*/qemu/block-iscsi.so").length > 0,
    advice: "needs Debian's qemu-block-extra",
  },
};

/**
 * Options for a test that needs programs (`"qemu-img"`) or one of `root`, `fuse`, `loop`, `network link`,
 * `python3-libnbd`, `qemu-block-extra`.
 *
 *     test("qemu-img reads a volume", needs("qemu-img"), async () => { … });
 *
 * Throws under CI=true when something is missing.
 */
export function needs(...things: string[]): { skip: string | false } {
  const missing = things.map(missingReason).filter((reason) => reason !== undefined);
  if (missing.length === 0) return { skip: false };
  const reason = missing.join(", ");
  if (process.env["CI"] === "true") throw new Error(`a test cannot run here: ${reason}`);
  return { skip: reason };
}

function missingReason(thing: string): string | undefined {
  const entry = special[thing];
  if (entry) return entry.present() ? undefined : entry.advice;
  return findProgram(thing) ? undefined : `needs ${thing} in PATH`;
}

/** Tried in a namespace that goes with the process. */
function canLink(): boolean {
  const shape = "tbf rate 10mbit burst 32kbit latency 50ms";
  const tried = `ip link add link0 type veth peer name link1 && tc qdisc add dev link0 root ${shape}`;
  return spawnSync("unshare", ["--net", "sh", "-c", tried]).status === 0;
}
