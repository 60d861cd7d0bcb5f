import assert from "node:assert/strict";
import test from "node:test";
import { MemoryTree } from "../testing/memory-tree.ts";
import { ALL_KEPT, describeDropped, type KeptAttributes, KeptComparison } from "./kept-attributes.ts";

const [file] = await new MemoryTree({ file: "x" }).stat(["file"]);
const at = (modifiedSeconds: number, modifiedNanoseconds = 0) => ({
  ...file!,
  modifiedSeconds,
  modifiedNanoseconds,
});

function comparison(kept: Partial<KeptAttributes> = {}): KeptComparison {
  const made = new KeptComparison();
  made.kept = { ...ALL_KEPT, ...kept };
  return made;
}

test("times count as far as the target keeps them", () => {
  const [one, cut] = [at(7, 123_456_789), at(7, 123_456_700)];
  assert.equal(comparison().isAlike(one, cut), false);
  assert.equal(comparison({ timeStepNanoseconds: 100 }).isAlike(one, cut), true);
  assert.equal(comparison({ timeStepNanoseconds: 100 }).isAlike(one, at(7, 123_456_600)), false);
  const seconds = comparison({ timeStepNanoseconds: 1e9 });
  assert.deepEqual([seconds.isSameContent(one, at(7)), seconds.isSameContent(one, at(6))], [true, false]);
  const two = comparison({ timeStepNanoseconds: 2e9 });
  assert.deepEqual([two.isSameContent(one, at(6)), two.isSameContent(one, at(8))], [true, false]);
  assert.equal(two.isSameContent(at(-1, 5), at(-2)), true, "before 1970, too");
  assert.equal(two.isSameContent({ ...one, sizeBytes: 9 }, at(6)), false);
});

test("of a mode those bits count that the target keeps", () => {
  const [one, other] = [
    { ...file!, mode: 0o640 },
    { ...file!, mode: 0o777 },
  ];
  assert.equal(comparison().isAlike(one, other), false);
  assert.equal(comparison({ modeBits: 0 }).isAlike(one, other), true);
  assert.equal(comparison({ modeBits: 0o200 }).isAlike(one, other), true);
  assert.equal(comparison({ modeBits: 0o200 }).isAlike({ ...one, mode: 0o440 }, other), false);
});

test("what is dropped without a word is told in one sentence", () => {
  assert.equal(describeDropped(ALL_KEPT), undefined);
  assert.equal(
    describeDropped({ ...ALL_KEPT, modeBits: 0, timeStepNanoseconds: 1e7 }),
    "Its file system does not keep some or all permissions and times but for steps of 0.01 s; what differs by no more is taken for the same.",
  );
});
