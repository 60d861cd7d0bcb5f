/** The source's end: events come late and may be lost, files change while they are read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TreeEvent } from "../../src/ports/mod.ts";
import { SimulatedClock } from "../simulated-clock.ts";
import { SimulatedRandom } from "../simulated-random.ts";
import { ContentHistory } from "./content-history.ts";
import { SimulatedSourceTree, type SourceTreeOptions } from "./simulated-source-tree.ts";
import { SimulatedTree } from "./simulated-tree.ts";

function source(seed: number, inotify: Partial<SourceTreeOptions["inotify"]> = {}) {
  const clock = new SimulatedClock();
  const tree = new SimulatedTree({ nowMs: () => clock.nowMs, tickMs: 1, device: 1 });
  const counts = { events: 0, overflows: 0, joined: 0 };
  const limits = { queueMax: 1000, watchesMax: 100, readMsMax: 5, joinChance: 0, ...inotify };
  const random = new SimulatedRandom(seed);
  const history = new ContentHistory();
  const around = { clock: clock.startProcess(), random, callMsMax: 10, counts, history };
  return { clock, tree, counts, source: new SimulatedSourceTree(tree, { ...around, inotify: limits }) };
}

const noExcludes = { patterns: [] };

test("events of watched directories reach the listener in their order before `drained` resolves", async () => {
  const { clock, tree, source: tested } = source(1);
  const got: TreeEvent[] = [];
  await clock.run(
    (async () => {
      const watch = await tested.watch((events) => got.push(...events));
      const request = { paths: [""], excludes: noExcludes };
      const { directories } = await tested.walk(request);
      tree.create("f", "file", 0o644);
      tree.setContent("f", Buffer.from("1"));
      tree.setContent("f", Buffer.from("2"));
      tree.create(".ropewalk-x", "file", 0o644);
      tree.rename("f", "g");
      await watch.drained();
      assert.ok(got.every((event) => event.watch === directories[0]!.watch));
    })(),
  );
  // Equal ones that follow one another are one; own names are passed over.
  assert.deepEqual(
    got.map(({ kind, name }) => `${kind} ${name}`),
    ["created f", "written f", "movedFrom f", "movedTo g"],
  );
});

test("a full queue loses events and says so once", async () => {
  const { clock, tree, counts, source: tested } = source(2, { queueMax: 3 });
  const got: TreeEvent[] = [];
  await clock.run(
    (async () => {
      const watch = await tested.watch((events) => got.push(...events));
      await tested.walk({ paths: [""], excludes: noExcludes });
      for (let number = 0; number < 10; number++) tree.create(`f${number}`, "file", 0o644);
      await watch.drained();
    })(),
  );
  assert.deepEqual(
    got.map(({ kind }) => kind),
    ["created", "created", "created", "overflow"],
  );
  assert.deepEqual([got.at(-1)!.watch, got.at(-1)!.group, counts.overflows], [-1, 0, 1]);
});

test("more directories than watches: WATCH_LIMIT", async () => {
  const { clock, tree, source: tested } = source(3, { watchesMax: 1 });
  tree.create("d", "directory", 0o755);
  await clock.run(
    (async () => {
      await tested.watch(() => undefined);
      const request = { paths: ["", "d"], excludes: noExcludes };
      await assert.rejects(tested.walk(request), { code: "WATCH_LIMIT" });
    })(),
  );
});

test("a file that changes all the time is packed as one that changed while it was read", async () => {
  let told = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const { clock, tree, source: tested } = source(seed);
    tree.create("f", "file", 0o644);
    let isOver = false;
    const write = () => {
      if (isOver) return;
      tree.setContent("f", new Uint8Array(1000).fill(clock.nowMs * 10));
      clock.schedule(0.05, write);
    };
    write();
    const { packed } = await clock.run(
      tested.pack({ paths: ["f"], inlineBytesMax: 1e6, bundleBytesMax: 1e6, what: "content" }),
    );
    isOver = true;
    told += Number(packed[0]!.changedWhileRead);
  }
  assert.ok(told > 0 && told < 20, `${told} of 20`);
});
