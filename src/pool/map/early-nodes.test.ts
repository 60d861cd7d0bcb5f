import assert from "node:assert/strict";
import { test } from "node:test";
import { EarlyNodes } from "./early-nodes.ts";

const node = (id: number, length: number) => Uint32Array.from({ length }, (_, at) => id * 10_000 + at);

test("what was put is taken once, as it was, in any order and over many blocks", () => {
  const early = new EarlyNodes();
  const lengths = new Map<number, number>();
  let next = 1;
  for (let round = 0; round < 40; round += 1) {
    for (let count = 0; count < 100; count += 1, next += 1) {
      const length = 10 + ((next * 7919) % 3000);
      lengths.set(next, length);
      early.put(next, node(next, length));
    }
    const ids = [...lengths.keys()].sort((a, b) => ((a * 31) % 101) - ((b * 31) % 101));
    for (const id of ids.slice(0, 90)) {
      assert.deepEqual(early.take(id), node(id, lengths.get(id)!));
      assert.equal(early.take(id), undefined);
      lengths.delete(id);
    }
  }
  for (const [id, length] of lengths) assert.deepEqual(early.take(id), node(id, length));
});

test("what was taken stays as it is until the next is put", () => {
  const early = new EarlyNodes();
  for (let id = 1; id <= 60; id += 1) early.put(id, node(id, 3000));
  const first = early.take(1)!;
  for (let id = 2; id <= 60; id += 1) early.take(id);
  assert.deepEqual(first, node(1, 3000));
});

test("after a clear nothing is there, and it goes on", () => {
  const early = new EarlyNodes();
  for (let id = 1; id <= 60; id += 1) early.put(id, node(id, 3000));
  early.clear();
  assert.equal(early.take(60), undefined);
  early.put(7, node(7, 5));
  assert.deepEqual(early.take(7), node(7, 5));
});
