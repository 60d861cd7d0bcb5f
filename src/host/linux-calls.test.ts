import assert from "node:assert/strict";
import { test } from "node:test";
import { linuxCalls } from "./linux-calls.ts";

test("every call on a descriptor that is not open returns EBADF, negated", async () => {
  assert.equal(linuxCalls.readNowait(-1, new Uint8Array(8), 0, 8, 0), -9);
  assert.equal(linuxCalls.lockExclusive(-1), -9);
  assert.notEqual(await linuxCalls.beginWriteback(-1, 0, 4096), 0);
  assert.equal(await linuxCalls.allocate(-1, 4096), -9);
  assert.equal(await linuxCalls.dropCache(-1), -9);
});
