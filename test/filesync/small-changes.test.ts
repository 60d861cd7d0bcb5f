// The smallest cases of what churn has found: each is a handful of calls, and the target equals the source afterwards.
import assert from "node:assert/strict";
import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SynchronizationSettings } from "../../src/filesync/mod.ts";
import { AT_FDCWD, treeCalls } from "../../src/host/file-tree/tree-calls.ts";
import { needs } from "../support/needs.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { LocalReplica } from "./local-replica.ts";
import { treeDifferences } from "./tree-differences.ts";

interface Place {
  readonly source: string;
  readonly outside: string;
  readonly replica: LocalReplica;
}

/** Longer than what may still follow from the first bulk. */
const QUIET_MS = 1500;
/** Long enough for a directory that came to be watched. */
const WATCHED_MS = 500;

async function differencesAfter(
  change: (place: Place) => Promise<void> | void,
  settings: Partial<SynchronizationSettings> = {},
): Promise<string[]> {
  using folder = new TemporaryFolder();
  const [source, target, outside] = [folder.file("source"), folder.file("target"), folder.file("outside")];
  for (const path of [source, target, outside]) mkdirSync(path);
  await using replica = new LocalReplica({ source, target, threads: 1, ...settings });
  await change({ source, outside, replica });
  await replica.settled();
  return treeDifferences(source, target);
}

function exchange(one: string, other: string): void {
  assert.equal(treeCalls.renameat2(AT_FDCWD, one, AT_FDCWD, other, "exchange"), 0);
}

const tools = needs("rsync", "getfattr");

test(
  "what is moved out of a directory that is renamed at once afterwards is gone at the target",
  tools,
  async () => {
    const differences = await differencesAfter(async ({ source, outside, replica }) => {
      mkdirSync(`${source}/a/inner`, { recursive: true });
      writeFileSync(`${source}/a/inner/file`, "1");
      writeFileSync(`${source}/a/file`, "1");
      await replica.settled();
      await delay(QUIET_MS);
      renameSync(`${source}/a/inner`, `${outside}/inner`);
      renameSync(`${source}/a/file`, `${outside}/file`);
      renameSync(`${source}/a`, `${source}/b`);
    });
    assert.deepEqual(differences, []);
  },
);

for (const [name, make] of [
  [
    "two directories",
    (path: string, inner: string) => {
      mkdirSync(path);
      writeFileSync(`${path}/${inner}`, inner);
    },
  ],
  ["two files", (path: string, inner: string) => writeFileSync(path, inner)],
] as const)
  test(`${name} that changed places at once are in their new places, and followed there`, tools, async () => {
    const differences = await differencesAfter(async ({ source, replica }) => {
      make(`${source}/a`, "one");
      make(`${source}/b`, "two");
      await replica.settled();
      exchange(`${source}/a`, `${source}/b`);
      await replica.settled();
      if (name === "two directories")
        for (const directory of ["a", "b"]) writeFileSync(`${source}/${directory}/later`, directory);
    });
    assert.deepEqual(differences, []);
  });

test("a directory and a file that changed places at once are in their new places", tools, async () => {
  const differences = await differencesAfter(async ({ source, replica }) => {
    mkdirSync(`${source}/a`);
    writeFileSync(`${source}/a/inner`, "1");
    writeFileSync(`${source}/b`, "2");
    await replica.settled();
    exchange(`${source}/a`, `${source}/b`);
    await replica.settled();
    writeFileSync(`${source}/b/later`, "3");
  });
  assert.deepEqual(differences, []);
});

test(
  "what was changed by a name that came and went before anybody read it follows by the names that are left",
  tools,
  async () => {
    const differences = await differencesAfter(
      async ({ source, outside, replica }) => {
        for (const path of [`${outside}/comes`, `${source}/keeps`, `${source}/into`]) mkdirSync(path);
        writeFileSync(`${source}/keeps/file`, "content");
        linkSync(`${source}/keeps/file`, `${outside}/comes/name`);
        await replica.settled();
        await delay(QUIET_MS);
        // What happens behind it waits for it.
        writeFileSync(`${source}/large`, Buffer.alloc(4 * 2 ** 20, "large"));
        renameSync(`${outside}/comes`, `${source}/into/comes`);
        await delay(WATCHED_MS);
        chmodSync(`${source}/into/comes/name`, 0o600);
        rmSync(`${source}/into/comes`, { recursive: true });
      },
      { bandwidthBytesPerSecond: 2 ** 20 },
    );
    assert.deepEqual(differences, []);
  },
);
