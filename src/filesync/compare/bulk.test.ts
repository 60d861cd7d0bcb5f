import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { TestQueue } from "../queue/testing/test-queue.ts";
import { addDirectory } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { entryAt, placeOf } from "../work/work-parts.ts";
import { Bulk, type BulkOptions, type BulkParts } from "./bulk.ts";
import { KeptComparison } from "./kept-attributes.ts";

class TestBulk {
  readonly source: MemoryTree;
  readonly target: MemoryTree;
  readonly clock = new SteppedClock();
  readonly queued = new TestQueue({ clock: this.clock, threads: 1 });
  readonly abort = new AbortController();
  readonly dirty: string[] = [];
  readonly bulk: Bulk;
  /** What was processed, in its order. */
  readonly done: string[] = [];
  #isEnded = false;

  constructor(source: MemoryTree, target: MemoryTree, more: Partial<BulkParts & BulkOptions> = {}) {
    this.source = source;
    this.target = target;
    const { nodes, queue } = this.queued;
    for (const path of source.paths) if (source.text(path) === "/") addDirectory(nodes, path);
    const scan = (tree: MemoryTree) => (request: { paths: readonly string[]; withListings: boolean }) =>
      tree.scan({ ...request, excludes: { patterns: [] } });
    this.bulk = new Bulk(
      {
        queue,
        source: scan(source),
        target: scan(target),
        placeOf: (path) => placeOf(nodes, path),
        entryAt,
        kept: new KeptComparison(),
        deletes: "mirror",
        dirty: (path) => this.dirty.push(path),
        linked: () => undefined,
        failed: () => undefined,
        settled: async () => undefined,
        ...more,
      },
      { path: "", mode: "attributes", allowDeletes: false, signal: this.abort.signal, ...more },
    );
  }

  /** Everything that is queued is done at once. */
  async run() {
    const running = this.bulk.run().finally(() => (this.#isEnded = true));
    running.catch(() => undefined);
    for (let turns = 0; !this.#isEnded && turns < 100_000; turns += 1) {
      const claim = this.queued.claim(0);
      if (claim === undefined) await this.clock.step(0);
      else {
        for (const { kind, path, existing } of claim.entries)
          this.done.push([kind, path, existing].filter(Boolean).join(" "));
        this.queued.done(claim);
      }
    }
    return await running;
  }
}

function many(count: number, prefix = "f"): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, "x"]));
}

test("a bulk is start, copies, attributes, links, removals, finish", async () => {
  const source = new MemoryTree({ a: "x", d: "/", "d/f": "x", touched: "x" });
  source.link("a", "b");
  source.nodes.get("touched")!.mode = 0o600;
  const bulk = new TestBulk(source, new MemoryTree({ touched: "x", old: "x" }));
  const result = await bulk.run();
  assert.deepEqual([bulk.done[0], bulk.done.at(-1)], ["sync-start", "sync-finish"]);
  assert.deepEqual(bulk.done.slice(1, 4).toSorted(), ["sync-copy a", "sync-copy d", "sync-copy d/f"]);
  assert.deepEqual(bulk.done.slice(4, -1), ["attribute touched", "link b a", "remove old"]);
  assert.deepEqual(result, { copied: 3, removed: 1, bytes: 2 });
  const { filesDone, filesTotal, bytesDone, isCounted } = bulk.bulk.progress;
  assert.deepEqual([filesDone, filesTotal, bytesDone, isCounted], [3, 3, 2, true]);
});

test("a second name is linked where the first is equal, and where the first is replaced by a copy", async () => {
  const source = new MemoryTree({ a: "x" });
  source.link("a", "b");
  const fresh = new TestBulk(source, new MemoryTree({ a: "x" }));
  await fresh.run();
  assert.deepEqual(fresh.done.slice(1, -1), ["link b a"]);
  const target = new MemoryTree({ a: "old content" });
  target.link("a", "b");
  const changed = new TestBulk(source, target);
  await changed.run();
  assert.deepEqual(changed.done.slice(1, -1), ["sync-copy a", "link b a"]);
  target.write("a", "x");
  const equal = new TestBulk(source, target);
  await equal.run();
  assert.deepEqual(equal.done.slice(1, -1), []);
});

test("directories whose attributes differ are dirty, and no entries", async () => {
  const source = new MemoryTree({ d: "/" });
  source.nodes.get("d")!.mode = 0o700;
  const bulk = new TestBulk(source, new MemoryTree({ d: "/" }));
  await bulk.run();
  assert.deepEqual([bulk.dirty, bulk.done], [["d"], ["sync-start", "sync-finish"]]);
});

test("a bulk that would remove more than half of the target and more than 100 removes nothing, and copies all the same", async () => {
  const bulk = new TestBulk(new MemoryTree({ a: "x" }), new MemoryTree(many(101, "old")));
  await assert.rejects(bulk.run(), { code: "MASS_DELETION" });
  assert.deepEqual(bulk.done, ["sync-start", "sync-copy a", "sync-finish"]);
});

test("a hundred removals, or half of the target, pass without a question; all with leave", async () => {
  const few = new TestBulk(new MemoryTree({ left: "x" }), new MemoryTree(many(100)));
  assert.equal((await few.run()).removed, 100);
  const half = new TestBulk(new MemoryTree(many(150)), new MemoryTree({ ...many(150), ...many(150, "old") }));
  assert.equal((await half.run()).removed, 150);
  const allowed = new TestBulk(new MemoryTree(), new MemoryTree(many(500)), { allowDeletes: true });
  assert.equal((await allowed.run()).removed, 500);
});

test("the guard counts what is in directories that would go, among those and among all", async () => {
  const old = (count: number) => ({ old: "/", ...many(count, "old/f") });
  const more = new TestBulk(new MemoryTree(many(120)), new MemoryTree({ ...many(120), ...old(130) }));
  await assert.rejects(more.run(), { code: "MASS_DELETION" });
  const less = new TestBulk(new MemoryTree(many(160)), new MemoryTree({ ...many(160), ...old(150) }));
  assert.equal((await less.run()).removed, 1);
});

test("where the target keeps what is extra, there is nothing to guard and nothing to remember", async () => {
  const bulk = new TestBulk(new MemoryTree(), new MemoryTree(many(300)), { deletes: "keep" });
  assert.equal((await bulk.run()).removed, 0);
});

test("a bulk that fails or is cancelled in the middle still has its finish", async () => {
  const source = new MemoryTree({ d: "/", "d/f": "x" });
  const failing = new TestBulk(source, new MemoryTree());
  source.before = (_, path) => {
    if (path === "d") throw new Error("the tree is gone");
  };
  await assert.rejects(failing.run(), /the tree is gone/);
  assert.equal(failing.done.at(-1), "sync-finish");
  const cancelled = new TestBulk(new MemoryTree({ a: "x" }), new MemoryTree());
  cancelled.abort.abort();
  await assert.rejects(cancelled.run(), { code: "CANCELLED" });
  assert.deepEqual(cancelled.done, ["sync-start", "sync-finish"]);
});

test("a plan tells what would be done, and does nothing", async () => {
  const source = new MemoryTree({ a: "xx", touched: "x" });
  source.nodes.get("touched")!.mode = 0o600;
  const bulk = new TestBulk(source, new MemoryTree({ touched: "x", old: "x" }));
  const { changes, result } = await bulk.bulk.plan();
  assert.deepEqual(
    changes.map(({ what, path }) => `${what} ${path}`),
    ["copy a", "attributes touched", "remove old"],
  );
  assert.deepEqual(result, { copied: 1, removed: 1, bytes: 2 });
  assert.equal([...bulk.queued.queue.entries()].length, 0);
});

test("a bulk waits while its share of the queue is full", async () => {
  const bulk = new TestBulk(new MemoryTree(many(2000)), new MemoryTree());
  const running = bulk.bulk.run();
  running.catch(() => undefined);
  for (let turns = 0; turns < 50; turns += 1) await bulk.clock.step(0);
  assert.ok([...bulk.queued.queue.entries()].length < 1000);
  bulk.queued.queue.close();
  await assert.rejects(running, { code: "SHUTTING_DOWN" });
});

test("an empty source removes nothing, as it may not be mounted, unless that is meant", async () => {
  const [source, target] = [new MemoryTree(), new MemoryTree({ f: "x" })];
  await assert.rejects(new TestBulk(source, target).run(), { code: "MASS_DELETION" });
  assert.deepEqual(target.paths, ["f"]);
  assert.equal((await new TestBulk(source, target, { allowDeletes: true }).run()).removed, 1);
});
