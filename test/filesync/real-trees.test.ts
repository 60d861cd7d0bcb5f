import assert from "node:assert/strict";
import { mkdirSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { needs } from "../support/needs.ts";
import { TemporaryFolder } from "../support/temporary-folder.ts";
import { gitWork } from "./git-work.ts";
import { LocalReplica } from "./local-replica.ts";
import { treeDifferences } from "./tree-differences.ts";

const nodeModules = realpathSync(resolve(import.meta.dirname, "../../node_modules"));

test(
  "a git repository that is committed to, rebased and collected while it replicates is in order at the target",
  needs("git", "rsync", "getfattr"),
  async () => assert.deepEqual(await gitWork({ rounds: 3, seed: 1 }), []),
);

test("the npm tree of this project arrives as it is", needs("rsync", "getfattr"), async () => {
  using folder = new TemporaryFolder();
  const target = folder.file("target");
  mkdirSync(target);
  await using replica = new LocalReplica({ source: nodeModules, target });
  await replica.settled();
  assert.deepEqual(await treeDifferences(nodeModules, target), []);
});
