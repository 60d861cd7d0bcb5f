import assert from "node:assert/strict";
import test from "node:test";
import { MemoryTree } from "../testing/memory-tree.ts";
import { SentFiles } from "./sent-files.ts";

const tree = new MemoryTree({ one: "1", two: "2" });
/** So long after they were written that another write would show. */
const LATER = 4e12;
const [one, two] = await tree.stat(["one", "two"]);

test("of a path to which nothing was sent nothing is known", () => {
  assert.equal(new SentFiles().mayBe("a", one!), true);
});

test("what was sent goes with renames, also of a directory above it, and replaces what was sent there", () => {
  const sent = new SentFiles();
  sent.sent("a/x", one!, LATER);
  sent.sent("b/x", two!, LATER);
  sent.renamed("a", "b", true);
  assert.deepEqual([sent.mayBe("b/x", one!), sent.mayBe("b/x", two!)], [true, false]);
  sent.renamed("b/x", "c", false);
  assert.deepEqual([sent.mayBe("c", two!), sent.mayBe("b/x", two!)], [false, true]);
});

test("what was removed is not known any more, with all below", () => {
  const sent = new SentFiles();
  for (const path of ["d/x", "dx"]) sent.sent(path, one!, LATER);
  sent.removed("d", true);
  assert.deepEqual([sent.mayBe("d/x", two!), sent.mayBe("dx", two!)], [true, false]);
});

test("of many paths those that were sent last are known", () => {
  const sent = new SentFiles();
  for (let file = 0; file < 100_000; file++) sent.sent(`f${file}`, one!, LATER);
  assert.deepEqual(
    [sent.mayBe("f99999", two!), sent.mayBe("f92000", two!), sent.mayBe("f0", two!)],
    [false, false, true],
  );
});
