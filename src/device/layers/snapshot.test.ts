import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { testBlockDevice } from "../../../test/support/block-device-conformance.ts";
import { ObservedDevice } from "../../../test/support/observed-device.ts";
import {
  bytesAt,
  copyByTokens,
  pattern,
  TokenShelf,
  tokenMemoryDevice,
  writeRequest,
} from "../../../test/support/token-memory-device.ts";
import { makeLayer } from "../../../test/support/tree-layer.ts";
import { RopewalkError } from "../../base/errors.ts";
import { MemoryDevice } from "../memory-device.ts";

const SIZE_BYTES = 100_000;
const CHUNKS = { chunkBytes: 4096 };

testBlockDevice("snapshot", {
  runs: 30,
  open: async (sizeBytes) => {
    const store = new ObservedDevice({ sizeBytes });
    store.together = true;
    return (await makeLayer("snapshot", [new MemoryDevice({ sizeBytes }), store], CHUNKS)).device;
  },
});

test("whatever changes, the view stays as it was", async () => {
  const place = { offset: fc.nat(SIZE_BYTES - 1), length: fc.integer({ min: 1, max: 20_000 }) };
  const change = fc.record({ kind: fc.constantFrom("write", "zero", "trim", "token"), ...place });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(change, { maxLength: 12 }), async (hasTokens, changes) => {
      const shelf = new TokenShelf();
      const make = () =>
        hasTokens
          ? tokenMemoryDevice(shelf, { sizeBytes: SIZE_BYTES, bytesMax: 5000 })
          : new MemoryDevice({ sizeBytes: SIZE_BYTES });
      const origin = make();
      await origin.write(0, pattern(SIZE_BYTES, 1), 0);
      const { device, view } = await makeLayer("snapshot", [origin, make()], CHUNKS);
      await Promise.all(
        changes.map(async ({ kind, offset, length }) => {
          const cut = Math.min(length, SIZE_BYTES - offset);
          if (kind === "write") await device.write(offset, pattern(cut, 77), 0);
          else if (kind === "zero") await device.zero(offset, cut, 0);
          else if (kind === "trim") await device.trim(offset, cut, 0);
          else if (hasTokens)
            await device.offload!.write(writeRequest([shelf.keep(pattern(cut, 3))], offset, cut));
        }),
      );
      assert.deepEqual(await bytesAt(view!, 0, SIZE_BYTES), pattern(SIZE_BYTES, 1));
      if (hasTokens) {
        const target = tokenMemoryDevice(shelf, { sizeBytes: SIZE_BYTES });
        await copyByTokens(view!, target, { from: 0, to: 0, lengthBytes: SIZE_BYTES });
        assert.deepEqual(await bytesAt(target, 0, SIZE_BYTES), pattern(SIZE_BYTES, 1));
      }
      await device.close();
    }),
    { numRuns: 60 },
  );
});

test("a chunk is saved once, by token where both members can", async () => {
  const shelf = new TokenShelf();
  const [origin, store] = ["origin", "store"].map((name) =>
    tokenMemoryDevice(shelf, { sizeBytes: SIZE_BYTES, name }),
  );
  const { device } = await makeLayer("snapshot", [origin!, store!], CHUNKS);
  await device.write(5000, pattern(10, 1), 0);
  await device.write(4096, pattern(8192, 2), 0);
  assert.deepEqual(shelf.calls, [
    "read origin 4096+4096",
    "write store 4096+4096",
    "read origin 8192+4096",
    "write store 8192+4096",
  ]);
});

test("a store whose tokens are others is written plainly", async () => {
  const [origin, store] = [0, 1].map(() => tokenMemoryDevice(new TokenShelf(), { sizeBytes: SIZE_BYTES }));
  await origin!.write(0, pattern(SIZE_BYTES, 1), 0);
  const { device, view } = await makeLayer("snapshot", [origin!, store!], CHUNKS);
  await device.zero(0, SIZE_BYTES, 0);
  assert.deepEqual(await bytesAt(view!, 0, SIZE_BYTES), pattern(SIZE_BYTES, 1));
});

test("the view tells extents of both, is read-only, and ends with the device", async () => {
  const origin = new MemoryDevice({ sizeBytes: 65_536 });
  origin.write(4096, pattern(4096, 1), 0);
  const { device, view } = await makeLayer(
    "snapshot",
    [origin, new MemoryDevice({ sizeBytes: 65_536 })],
    CHUNKS,
  );
  await device.trim(4096, 4096, 0);
  await device.write(16_384, pattern(4096, 1), 0);
  assert.deepEqual(await view!.extents(0, 12_288, 10), [
    { offsetBytes: 0, lengthBytes: 4096, kind: "hole" },
    { offsetBytes: 4096, lengthBytes: 4096, kind: "data" },
    { offsetBytes: 8192, lengthBytes: 4096, kind: "hole" },
  ]);
  assert.throws(() => view!.write(0, pattern(10, 1), 0), { code: "READ_ONLY" });
  await device.close();
  await assert.rejects(bytesAt(view!, 0, 10), { code: "IO_ERROR" });
});

for (const whenStoreFails of ["dropView", "failWrites"] as const)
  test(`a store that fails: ${whenStoreFails}`, async () => {
    const store = new ObservedDevice({ sizeBytes: SIZE_BYTES });
    store.before = (operation) => {
      if (operation === "write") throw new RopewalkError("NO_SPACE", "full");
      return undefined;
    };
    const members = [new MemoryDevice({ sizeBytes: SIZE_BYTES }), store];
    const { device, view, lines } = await makeLayer("snapshot", members, { ...CHUNKS, whenStoreFails });
    const write = async (): Promise<void> => void (await device.write(0, pattern(10, 1), 0));
    if (whenStoreFails === "failWrites") {
      await assert.rejects(write, { code: "NO_SPACE" });
      assert.deepEqual(await bytesAt(view!, 0, 10), Buffer.alloc(10));
    } else {
      await write();
      await assert.rejects(bytesAt(view!, 0, 10), { code: "IO_ERROR" });
      assert.deepEqual(lines, ["snapshot at stack: the frozen view is given up: full"]);
    }
  });

test("a store that is too small or read-only is refused", async () => {
  const origin = new MemoryDevice({ sizeBytes: SIZE_BYTES });
  const code = "INVALID_CONFIG";
  await assert.rejects(makeLayer("snapshot", [origin, new MemoryDevice({ sizeBytes: 4096 })], CHUNKS), {
    code,
  });
  const readOnly = new MemoryDevice({ sizeBytes: SIZE_BYTES, capabilities: { writable: false } });
  await assert.rejects(makeLayer("snapshot", [origin, readOnly], CHUNKS), { code });
});
