import assert from "node:assert/strict";
import { test } from "node:test";
import { hostRandom } from "./random.ts";

test("random bytes have the length asked for and differ from call to call", () => {
  assert.equal(hostRandom.bytes(0).length, 0);
  const first = hostRandom.bytes(32);
  const second = hostRandom.bytes(32);
  assert.equal(first.length, 32);
  assert.notDeepEqual(first, second);
});
