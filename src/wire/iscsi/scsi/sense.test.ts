// Sense data in both formats, and bytes that are none.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeSense, parseSense, type SenseData, SenseKey, sense } from "./mod.ts";

/** Records like those of the code, which have a prototype. */
const record = <Model>(model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> }) =>
  fc.record(model, { noNullPrototype: true });
const byte = fc.integer({ min: 0, max: 255 });
const details = fc.oneof(
  record({
    key: fc.constant(SenseKey.notReady),
    asc: byte,
    ascq: byte,
    progress: fc.constantFrom(0, 0.25, 0.5),
  }),
  record({
    key: fc.constant(SenseKey.illegalRequest),
    asc: byte,
    ascq: byte,
    fieldPointer: fc.oneof(
      record({ byte: fc.integer({ min: 0, max: 65535 }), bit: fc.integer({ min: 0, max: 7 }) }),
      record({ byte: fc.integer({ min: 0, max: 65535 }), isInParameterList: fc.constant(true) }),
    ),
  }),
  record({ key: fc.constant(SenseKey.miscompare), asc: byte, ascq: byte, information: fc.maxSafeNat() }),
);

test("the descriptor format says everything", () => {
  fc.assert(
    fc.property(details, (data: SenseData) => {
      assert.deepEqual(parseSense(encodeSense(data, "descriptor")), data);
    }),
  );
});

test("the fixed format leaves out what does not fit, and nothing else", () => {
  fc.assert(
    fc.property(details, (data: SenseData) => {
      const { information, ...rest } = data;
      const fits = information !== undefined && information <= 0xffffffff;
      assert.deepEqual(parseSense(encodeSense(data, "fixed")), fits ? data : rest);
    }),
  );
});

test("bytes that are no sense data are none", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const data = parseSense(bytes);
      assert.ok(data === undefined || (data.key >= 0 && data.key <= 15));
    }),
  );
  assert.equal(parseSense(new Uint8Array(0)), undefined);
});

test("the short way is the fixed format of eighteen bytes", () => {
  const bytes = sense(SenseKey.illegalRequest, 0x24, 0x00, { fieldPointer: { byte: 2, bit: 7 } });
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "70000500000000" + "0a" + "00000000" + "2400" + "00" + "cf0002",
  );
});
