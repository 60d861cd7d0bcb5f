import assert from "node:assert/strict";
import test from "node:test";
import type { NewEntry } from "../queue/entry.ts";
import { connectTo, entryOf, workParts } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { TreeWork } from "./tree-work.ts";

test("names that were found in a directory that moved meanwhile are looked for again", async () => {
  const source = new MemoryTree({ d: "/", "d/a": "x" });
  source.link("d/a", "d/b");
  const [file] = await source.stat(["d/a"]);
  const appended: string[] = [];
  const parts = workParts(source, {
    append: ({ kind, path, existing }: NewEntry) => {
      appended.push([kind, path, existing].filter(Boolean).join(" "));
      return true;
    },
  });
  const work = new TreeWork(parts, () => undefined);
  const connection = await connectTo(new MemoryTree({ d: "/", "d/a": "x" }));
  const scan = source.scan.bind(source);
  let isMoved = false;
  source.scan = async (request) => {
    const result = await scan(request);
    if (request.paths.includes("d") && !isMoved) {
      isMoved = true;
      source.rename("d", "e");
      parts.nodes.root.attach(parts.nodes.at("d")!, "e");
    }
    return result;
  };
  parts.linkSearch.want(file!, { directory: parts.nodes.at("d")!, name: "a" });
  const mark = () => work.nonSyncRun([entryOf(parts, "mark", "")], connection);
  await mark();
  assert.deepEqual(appended, []);
  assert.equal(parts.counters.followUps, 1, "whoever waits for all that follows waits for that, too");
  await mark();
  assert.deepEqual(appended, ["link e/b e/a"]);
  await mark();
  assert.equal(appended.length, 1);
});
