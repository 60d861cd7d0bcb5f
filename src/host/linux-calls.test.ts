import assert from "node:assert/strict";
import { test } from "node:test";
import { linuxCalls } from "./linux-calls.ts";

test("every call on a descriptor that is not open returns EBADF, negated", async () => {
  assert.equal(linuxCalls.readNowait(-1, new Uint8Array(8), 0, 8, 0), -9);
  assert.equal(linuxCalls.lockExclusive(-1), -9);
  assert.notEqual(await linuxCalls.beginWriteback(-1, 0, 4096), 0);
  assert.equal(await linuxCalls.allocate(-1, 4096), -9);
  assert.equal(await linuxCalls.dropCache(-1), -9);
  assert.equal(await linuxCalls.punchHole(-1, 0, 4096), -9);
  assert.equal(await linuxCalls.zeroRange(-1, 0, 4096), -9);
  assert.equal(await linuxCalls.seek(-1, 0, "end"), -9);
});

test("calls under way together each have their own errno", async () => {
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      index % 2 === 0 ? linuxCalls.punchHole(-1, 0, 4096) : linuxCalls.seek(1, -1, "data"),
    ),
  );
  for (const [index, result] of results.entries())
    if (index % 2 === 0) assert.equal(result, -9);
    else assert.ok(result < 0 && result !== -9, String(result));
});
