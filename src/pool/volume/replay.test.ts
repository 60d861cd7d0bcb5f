import assert from "node:assert/strict";
import test from "node:test";
import { decodeGraftPayload } from "./replay.ts";

test("a graft record whose text is no JSON, or another shape, is damage", () => {
  for (const text of ["", "{", "null", '{"source":0,"sourceOffset":0,"hold":0}', '{"source":1}'])
    assert.throws(() => decodeGraftPayload(Buffer.from(text)), { code: "POOL_DAMAGED" }, text);
  const whole = { source: 3, sourceOffset: 4096, hold: 7 };
  assert.deepEqual(decodeGraftPayload(Buffer.from(JSON.stringify(whole))), whole);
});
