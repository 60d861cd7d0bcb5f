// Parameter lists from initiators: what is encoded is read back, and whatever else comes is a check condition.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  blockDescriptor,
  CheckCondition,
  encodeModeData,
  encodeTransportId,
  encodeUnmapList,
  fullStatusData,
  type ModeForm,
  parseModeList,
  parseReserveOut,
  parseUnmapList,
} from "./mod.ts";

const ranges = fc.array(
  fc.record(
    { lba: fc.maxSafeNat(), blocks: fc.integer({ min: 0, max: 0xffffffff }) },
    { noNullPrototype: true },
  ),
  { maxLength: 50 },
);

test("an UNMAP list is read back as it was written", () => {
  fc.assert(fc.property(ranges, (list) => assert.deepEqual(parseUnmapList(encodeUnmapList(list)), list)));
});

test("an UNMAP list that ends before its descriptors do is refused", () => {
  const list = encodeUnmapList([{ lba: 1, blocks: 1 }]);
  for (let length = 1; length < list.length; length++) {
    assert.throws(() => parseUnmapList(list.subarray(0, length)), CheckCondition);
  }
});

test("mode pages are read back as MODE SENSE gave them", () => {
  const pages = [Uint8Array.of(0x08, 2, 4, 5), Uint8Array.of(0x4a, 1, 0, 2, 6, 7)];
  for (const [form, kind] of [
    [6, "short"],
    [10, "short"],
    [10, "long"],
  ] as const) {
    const bytes = encodeModeData(form, {
      deviceParameter: 0x10,
      blockDescriptor: blockDescriptor(1000, 512, kind),
      isLongDescriptor: kind === "long",
      pages,
    });
    const { blockBytes, pages: parsed } = parseModeList(form, bytes);
    assert.equal(blockBytes, 512);
    assert.deepEqual(
      parsed.map((page) => page.bytes),
      pages,
    );
    assert.deepEqual(
      parsed.map((page) => [page.code, page.subpage]),
      [
        [8, 0],
        [10, 1],
      ],
    );
  }
});

test("a transport id names the initiator port that it was made of", () => {
  const id = encodeTransportId("iqn.2026-11.io.ropewalk:a,i,0x00023d000001");
  const list = new Uint8Array(24 + id.length);
  new DataView(list.buffer).setUint32(20, id.length);
  list.set(id, 24);
  assert.equal(parseReserveOut(7, list).move!.initiatorPort, "iqn.2026-11.io.ropewalk:a,i,0x00023d000001");
  const full = fullStatusData(3, [{ key: 1n, relativePort: 1, initiatorPort: "a,i,0x1", holds: 5 }]);
  assert.equal(full.length, 8 + 24 + 24);
});

test("whatever the bytes of a list are, it is read or refused", () => {
  const readOrRefused = (read: () => unknown) => {
    try {
      read();
    } catch (error) {
      assert.ok(error instanceof CheckCondition, String(error));
    }
  };
  const shaped = fc
    .array(fc.constantFrom(0, 1, 2, 8, 0x45, 24, 255), { maxLength: 80 })
    .map((bytes) => Uint8Array.from(bytes));
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 200 }), shaped),
      fc.constantFrom<ModeForm>(6, 10),
      fc.integer({ min: 0, max: 8 }),
      (bytes, form, serviceAction) => {
        readOrRefused(() => parseUnmapList(bytes));
        readOrRefused(() => parseModeList(form, bytes));
        readOrRefused(() => parseReserveOut(serviceAction, bytes));
      },
    ),
    { numRuns: 500 },
  );
});
