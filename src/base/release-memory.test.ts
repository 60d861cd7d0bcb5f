import assert from "node:assert/strict";
import { test } from "node:test";
import { releaseMemory } from "./release-memory.ts";

test("long memory is given back at once, and a part of longer memory is left alone", () => {
  const whole = new Uint8Array(2 ** 20);
  releaseMemory(whole);
  assert.equal(whole.length, 0);
  const part = new Uint8Array(2 ** 20).subarray(1);
  releaseMemory(part);
  assert.equal(part.length, 2 ** 20 - 1);
  releaseMemory(Buffer.from("of Node's pool"));
});
