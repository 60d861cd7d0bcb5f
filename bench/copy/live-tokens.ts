// Very many live tokens: what each costs in memory, and how long it takes to make one and to find one.
// The pool and its tokens are in a process of their own (live-tokens-child.ts), so that its memory is only theirs.
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { killAtExit } from "../../test/support/leftovers.ts";
import { limitRow, plainRow, type Row } from "../row.ts";
import type { Group, SuiteContext } from "../suite.ts";
import { copySizes } from "./copy-sizes.ts";
import type { LiveTokenFigures, LiveTokenOptions } from "./live-tokens-child.ts";

const MEMORY_BYTES_MAX = 512;
const EACH_US_MAX = 100;

const names = (count: number) => {
  const tokens = `${count.toLocaleString("en-US")} live tokens`;
  return {
    memory: `memory of each of ${tokens}`,
    resident: `resident memory of the process by ${tokens}, for each`,
    create: `making one of ${tokens}`,
    find: `finding one of ${tokens}`,
  };
};

export function liveTokens(context: SuiteContext): Group {
  return { rows: Object.values(names(copySizes(context).liveTokens)), measure };
}

async function measure(context: SuiteContext): Promise<Row[]> {
  const { rounds, say } = context;
  const { liveTokens: count } = copySizes(context);
  const figures: LiveTokenFigures[] = [];
  for (let round = 0; round < rounds; round++) {
    const found = await inChild({ folder: context.folderFor(`live-tokens-${round}`), count });
    say(
      `  ${count} tokens: ${found.memoryBytes.toFixed(0)} bytes each (${found.residentBytes.toFixed(0)} resident), ` +
        `made in ${found.createUs.toFixed(1)} µs, found in ${found.findUs.toFixed(1)} µs`,
    );
    figures.push(found);
  }
  const { memory, resident, create, find } = names(count);
  const all = (pick: (one: LiveTokenFigures) => number) => figures.map(pick);
  return [
    limitRow({ name: memory, unit: "B", ours: all((one) => one.memoryBytes), limit: MEMORY_BYTES_MAX }),
    plainRow({ name: resident, unit: "B", ours: all((one) => one.residentBytes) }),
    limitRow({ name: create, unit: "µs", ours: all((one) => one.createUs), limit: EACH_US_MAX }),
    limitRow({ name: find, unit: "µs", ours: all((one) => one.findUs), limit: EACH_US_MAX }),
  ];
}

async function inChild(options: LiveTokenOptions): Promise<LiveTokenFigures> {
  const child = fork(join(import.meta.dirname, "live-tokens-child.ts"), {
    // With the heap's settings of bin/ropewalk; the collection is asked for before memory is looked at.
    execArgv: [
      "--max-semi-space-size=2",
      "--heap-growing-percent=50",
      "--no-parallel-scavenge",
      "--expose-gc",
    ],
  });
  const forget = killAtExit(child.pid!);
  try {
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`the process with the tokens ended with ${code}`);
    });
    const answer = once(child, "message").then(
      ([message]) => message as LiveTokenFigures | { error: string },
    );
    child.send(options);
    const message = await Promise.race([answer, ended]);
    if ("error" in message) throw new Error(message.error);
    return message;
  } finally {
    if (child.connected) child.disconnect();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    forget();
  }
}
