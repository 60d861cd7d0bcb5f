import assert from "node:assert/strict";
import test from "node:test";
import type { Clock } from "../../ports/mod.ts";
import type { NewEntry } from "../queue/entry.ts";
import { connectTo, entryOf, workParts } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { TreeWork } from "./tree-work.ts";
import { UnreadChanges } from "./unread-changes.ts";

/** By the source's clock; nothing is changed before. */
const BEGAN_SECONDS = 1_000_000;

/** Two files of two names each, of which it is known, and one of one. */
async function threeFiles() {
  const source = new MemoryTree({ d: "/", "d/a": "a", "d/c": "c", alone: "alone" });
  source.link("d/a", "b");
  source.link("d/c", "e");
  const clock = { wallMs: () => BEGAN_SECONDS * 1000 } as Clock;
  const parts = workParts(source, { unread: new UnreadChanges(clock) });
  for (const path of ["d/a", "b", "d/c", "e", "alone"]) {
    const [attributes] = await source.stat([path]);
    parts.links.seen(attributes!, entryOf(parts, "write", path).place!);
  }
  const changed = (path: string) => {
    source.nodes.get(path)!.version = BEGAN_SECONDS + 1;
  };
  const named = async () => {
    const places = await parts.unread.run(source, parts.links);
    return places.map(({ directory, name }) => `${directory.path}/${name}`);
  };
  return { source, parts, changed, named };
}

test("a file that was changed by a name nobody read is found by one of its other names, once it is asked for", async () => {
  const { parts, changed, named } = await threeFiles();
  for (const path of ["d/c", "alone"]) changed(path);
  assert.deepEqual(await named(), [], "nothing was asked for");
  parts.unread.want();
  assert.deepEqual(await named(), ["d/c"]);
  assert.deepEqual(await named(), []);
});

test("a name that is another file's by now is no name of the file that was changed", async () => {
  const { source, parts, changed, named } = await threeFiles();
  source.remove("d/c");
  source.write("d/c", "another");
  for (const path of ["d/c", "e"]) changed(path);
  parts.unread.want();
  assert.deepEqual(await named(), ["/e"]);
});

test("a source that could not be read is asked again", async () => {
  const { source, parts, changed, named } = await threeFiles();
  changed("d/c");
  parts.unread.want();
  let isAway = true;
  source.before = () => {
    if (isAway) throw new Error("away");
  };
  await assert.rejects(named(), /away/);
  assert.equal(parts.unread.isWanted, true);
  isAway = false;
  assert.deepEqual(await named(), ["d/c"]);
});

test("what asks: a name that is gone and was never read, a directory that went before it was compared or is removed", async () => {
  const asks = async (kind: NewEntry["kind"], path: string, isDirectory = false): Promise<boolean> => {
    const { parts } = await threeFiles();
    const work = new TreeWork(parts, () => undefined);
    const entry = entryOf(parts, kind, path, { isDirectory });
    if (kind === "repair") parts.nodes.at("d")!.detach();
    await work.nonSyncRun([entry], await connectTo(new MemoryTree()));
    return parts.unread.isWanted;
  };
  assert.equal(await asks("attribute", "d/gone"), true);
  assert.equal(await asks("create", "d/gone"), true);
  assert.equal(await asks("repair", "d/gone"), true);
  assert.equal(await asks("remove", "gone", true), true);
  assert.equal(await asks("remove", "d", true), true, "though something else is there by now");
  assert.equal(await asks("remove", "gone"), false);
  assert.equal(await asks("attribute", "d/a"), false);
  assert.equal(await asks("create", "alone"), false);
});

test("what was changed so follows by itself, and before a mark is reached", async () => {
  const { parts, changed } = await threeFiles();
  const appended: string[] = [];
  const later: (() => void)[] = [];
  const work = new TreeWork(
    {
      ...parts,
      append: ({ kind, path }) => appended.push(`${kind} ${path}`) > 0,
      later: (_, action) => later.push(action),
    },
    () => undefined,
  );
  const connection = await connectTo(new MemoryTree());
  const gone = () => work.nonSyncRun([entryOf(parts, "attribute", "d/gone")], connection);
  changed("d/c");
  await gone();
  await work.nonSyncRun([entryOf(parts, "mark", "")], connection);
  assert.deepEqual(appended, ["attribute d/c"]);
  assert.equal(parts.counters.followUps, 1);
  changed("d/a");
  await gone();
  assert.equal(work.isUnsettled, false, "it is looked for when there is time");
  assert.equal(later.length, 1);
  later[0]!();
  await new Promise(setImmediate);
  assert.deepEqual(appended, ["attribute d/c", "attribute d/a", "attribute d/c"]);
});
