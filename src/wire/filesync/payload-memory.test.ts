import assert from "node:assert/strict";
import { test } from "node:test";
import { PayloadMemory } from "./payload-memory.ts";

const MIB = 2 ** 20;

test("memory of a large payload that was given back is used again, once, and as long as it is asked for", () => {
  const memory = new PayloadMemory();
  const [first, other] = [memory.take(MIB + 12), memory.take(MIB + 12)];
  assert.notEqual(first.buffer, other.buffer);
  memory.giveBack(first);
  const again = memory.take(MIB);
  assert.deepEqual([again.buffer === first.buffer, again.length, memory.freeBytes], [true, MIB, 0]);
  assert.notEqual(memory.take(MIB).buffer, first.buffer);
});

test("a payload gets no memory that is too short, or more than twice as long", () => {
  const memory = new PayloadMemory();
  const given = memory.take(MIB);
  memory.giveBack(given);
  for (const length of [MIB + 1, MIB / 2 - 1, 1000]) {
    const taken = memory.take(length);
    assert.deepEqual([taken.buffer === given.buffer, taken.length], [false, length]);
  }
  assert.equal(memory.take(MIB / 2).buffer, given.buffer);
});

test("8 MiB lie unused at most, those that came last, and none when they are given up", () => {
  const memory = new PayloadMemory();
  const all = Array.from({ length: 12 }, () => memory.take(MIB));
  for (const payload of all) memory.giveBack(payload);
  assert.equal(memory.freeBytes, 8 * MIB);
  const kept = new Set(Array.from({ length: 8 }, () => memory.take(MIB).buffer));
  assert.deepEqual(kept, new Set(all.slice(4).map(({ buffer }) => buffer)));
  for (const payload of all) memory.giveBack(payload);
  memory.clear();
  assert.equal(memory.freeBytes, 0);
  assert.ok(!all.some(({ buffer }) => buffer === memory.take(MIB).buffer));
});

test("short payloads are zeros and do not come back, nor does what a thread took over", () => {
  const memory = new PayloadMemory();
  const short = memory.take(1000);
  assert.deepEqual(short, new Uint8Array(1000));
  memory.giveBack(short);
  const gone = memory.take(MIB);
  structuredClone(gone, { transfer: [gone.buffer as ArrayBuffer] });
  memory.giveBack(gone);
  assert.equal(memory.freeBytes, 0);
});
