import assert from "node:assert/strict";
import test from "node:test";
import { SteppedClock } from "../../../test/support/stepped-clock.ts";
import { Deferred } from "../../base/deferred.ts";
import { RopewalkError } from "../../base/errors.ts";
import { nextTurn } from "../../ports/mod.ts";
import { type DeletesPolicy, type Hello, NO_MAC, PROTOCOL_VERSION } from "../../wire/filesync/mod.ts";
import { ABILITIES } from "../testing/abilities.ts";
import { TEST_RANDOM } from "../testing/local-target.ts";
import { MemoryTree } from "../testing/memory-tree.ts";
import { isNested, TargetRoots } from "./target-roots.ts";

const turn = () => nextTurn(new SteppedClock());

class Roots {
  readonly opened: { path: string; deletes: DeletesPolicy; tree: MemoryTree }[] = [];
  readonly ended: string[] = [];
  /** What a tree waits for when it is closed. */
  closing: Promise<void> = Promise.resolve();
  trouble: RopewalkError | undefined;
  readonly roots = new TargetRoots({
    random: TEST_RANDOM,
    canonical: async (path) => path.replace("/link", "/real"),
    open: async (path, { deletes }) => {
      if (this.trouble !== undefined) throw this.trouble;
      const tree = new MemoryTree();
      tree.close = async () => {
        await this.closing;
        tree.isClosed = true;
      };
      this.opened.push({ path, deletes, tree });
      return { tree, abilities: ABILITIES };
    },
  });

  /** A connection that says hello. */
  async enter(
    path: string,
    about: { synchronization?: number; connection?: number; deletes?: DeletesPolicy } = {},
  ) {
    const { synchronization = 1, connection = 0, deletes = "mirror" } = about;
    const end = async () => {
      this.ended.push(`${synchronization}:${connection}`);
      admission.left();
    };
    const admission = this.roots.admission({ find: () => ({ path, key: undefined }), end });
    const hello: Hello = {
      version: PROTOCOL_VERSION,
      role: connection === 0 ? "main" : "sync",
      connection,
      connections: 4,
      target: "copy",
      synchronization: new Uint8Array(16).fill(synchronization),
      nonce: new Uint8Array(32),
      modes: [],
      deletes,
      sourceHost: "",
      sourceDirectory: "",
      mac: NO_MAC,
    };
    const { root } = await admission.hello(hello);
    return { tree: root!.tree, admission };
  }
}

test("connections of one synchronization share a tree, which the last one closes", async () => {
  const roots = new Roots();
  const main = await roots.enter("/t");
  const sync = await roots.enter("/t", { connection: 1 });
  assert.equal(main.tree, sync.tree);
  assert.deepEqual(roots.roots.inUse, ["/t"]);
  main.admission.left();
  await turn();
  assert.equal(roots.opened[0]!.tree.isClosed, false);
  sync.admission.left();
  await turn();
  assert.equal(roots.opened[0]!.tree.isClosed, true);
  assert.deepEqual(roots.roots.inUse, []);
});

test("two synchronizations cannot share a root, whatever way it is called, nor may one lie in another", async () => {
  const roots = new Roots();
  await roots.enter("/real/t");
  for (const path of ["/real/t", "/link/t", "/real", "/real/t/below", "/"])
    await assert.rejects(roots.enter(path, { synchronization: 2 }), { code: "TARGET_IN_USE" }, path);
  await roots.enter("/real/tt", { synchronization: 2 });
});

test("a root of the same synchronization may not lie in another one either", async () => {
  const roots = new Roots();
  await roots.enter("/t");
  await assert.rejects(roots.enter("/t/below", { connection: 1 }), { code: "TARGET_IN_USE" });
});

test("a newer connection of the same number ends the older one first", async () => {
  const roots = new Roots();
  const first = await roots.enter("/t");
  const second = await roots.enter("/t");
  assert.deepEqual([roots.ended, roots.opened.length], [["1:0"], 1]);
  assert.equal(first.tree, second.tree);
  first.admission.left();
  await turn();
  assert.equal(roots.opened[0]!.tree.isClosed, false, "the older one has nothing to leave any more");
});

test("when the policy changes, connections of before end and the tree is opened anew, once", async () => {
  const roots = new Roots();
  await roots.enter("/t");
  await roots.enter("/t", { connection: 1 });
  const entered = await Promise.all(
    [0, 1].map((connection) => roots.enter("/t", { connection, deletes: "keep" })),
  );
  assert.deepEqual(roots.ended.slice(0, 2).toSorted(), ["1:0", "1:1"]);
  assert.deepEqual(
    roots.opened.map(({ deletes }) => deletes),
    ["mirror", "keep"],
  );
  assert.equal(entered[0]!.tree, entered[1]!.tree);
  assert.deepEqual(roots.roots.inUse, ["/t"]);
});

test("a root is opened again only when its tree of before is closed", async () => {
  const roots = new Roots();
  const closing = new Deferred();
  roots.closing = closing.promise;
  (await roots.enter("/t")).admission.left();
  const again = roots.enter("/t");
  await turn();
  assert.equal(roots.opened.length, 1);
  closing.resolve();
  await again;
  assert.equal(roots.opened.length, 2);
});

test("a root that cannot be opened is nobody's, and is tried again by the next", async () => {
  const roots = new Roots();
  roots.trouble = new RopewalkError("NOT_FOUND", "no such directory");
  await assert.rejects(roots.enter("/t"), { code: "NOT_FOUND" });
  assert.deepEqual(roots.roots.inUse, []);
  roots.trouble = undefined;
  await roots.enter("/t", { synchronization: 2 });
});

test("a connection that ends before its welcome holds nothing", async () => {
  const roots = new Roots();
  const entering = roots.enter("/t");
  const other = await roots.enter("/t", { connection: 0 });
  await entering;
  other.admission.left();
  await turn();
  assert.deepEqual(roots.roots.inUse, []);
});

test("nested is what is the same or lies in it, by whole names", () => {
  assert.ok(isNested("/a", "/a/b") && isNested("/a/b", "/a") && isNested("/", "/a") && isNested("/a", "/a"));
  assert.ok(!isNested("/a", "/ab"));
});
