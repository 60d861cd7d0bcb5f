/** The model of a map, held against plain arrays of bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MapModel, type Marks } from "./map-model.ts";
import { SimulatedRandom } from "./simulated-random.ts";
import { pageBytes, requestBytes, UnitContent, unitBytes } from "./unit-content.ts";

const sizeBytes = 300 * 1024 + 512;

function marks(content: UnitContent, offset: number, length: number): Marks {
  const units = Math.ceil(length / unitBytes) + 1;
  return {
    requestOffset: offset,
    firstStamp: content.reserveStamps(units),
    firstBlock: content.reserveBlocks(Math.ceil(length / pageBytes) + 1),
  };
}

function bytesOf(content: UnitContent, map: MapModel): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(map.sizeBytes / unitBytes) * unitBytes);
  for (const [unit, stamp] of map.stamps(0, bytes.length / unitBytes).entries())
    content.fill(stamp, bytes, unit * unitBytes);
  return bytes.subarray(0, map.sizeBytes);
}

test("a map reads as if every operation had been done to an array of bytes", () => {
  const random = new SimulatedRandom("map model");
  for (let round = 0; round < 20; round++) {
    const content = new UnitContent();
    const map = new MapModel(content, sizeBytes);
    let bytes = new Uint8Array(sizeBytes);
    const frozen: { map: MapModel; bytes: Uint8Array }[] = [];
    for (let step = 0; step < 40; step++) {
      const kind = random.pick(["write", "write", "clear", "resize", "graft", "freeze"] as const);
      const offset = random.between(0, bytes.length - 1);
      const length = Math.min(random.between(1, 40_000), bytes.length - offset);
      if (kind === "write") {
        const names = marks(content, offset, length);
        map.write(offset, length, names);
        bytes.set(requestBytes(names.firstStamp, offset, length), offset);
      } else if (kind === "clear") {
        map.clear(offset, length, marks(content, offset, length));
        bytes.fill(0, offset, offset + length);
      } else if (kind === "resize") {
        const size = random.between(1, 700) * unitBytes;
        map.resize(size, marks(content, size, 2 * pageBytes));
        const resized = new Uint8Array(size);
        resized.set(bytes.subarray(0, size));
        bytes = resized;
      } else if (kind === "graft") {
        const source =
          frozen.length > 0 && random.chance(0.5) ? random.pick(frozen) : { map, bytes: bytes.slice() };
        const pages = Math.floor(Math.min(source.bytes.length, bytes.length) / pageBytes);
        if (pages === 0) continue;
        const count = random.between(1, Math.min(pages, 20));
        const from = random.between(0, Math.floor(source.bytes.length / pageBytes) - count) * pageBytes;
        const to = random.between(0, Math.floor(bytes.length / pageBytes) - count) * pageBytes;
        map.graft(source.map, from, to, count * pageBytes);
        bytes.set(source.bytes.slice(from, from + count * pageBytes), to);
      } else frozen.push({ map: map.freeze(), bytes: bytes.slice() });
      assert.deepEqual(bytesOf(content, map), bytes);
    }
    for (const each of frozen) assert.deepEqual(bytesOf(content, each.map), each.bytes);
  }
});

test("pages are data when something stands in them, empty when they were given back whole, else either", () => {
  const content = new UnitContent();
  const map = new MapModel(content, sizeBytes);
  map.write(0, 4 * pageBytes, marks(content, 0, 4 * pageBytes));
  map.clear(pageBytes, pageBytes, marks(content, pageBytes, pageBytes));
  map.clear(2 * pageBytes, 512, marks(content, 2 * pageBytes, 512));
  map.clear(3 * pageBytes, 4095, marks(content, 3 * pageBytes, 4095));
  map.clear(3 * pageBytes + 4095, 1, marks(content, 3 * pageBytes + 4095, 1));
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((page) => map.pageKind(page)),
    ["data", "empty", "data", "either", "empty"],
  );
});

test("blocks that two maps share are counted once", () => {
  const content = new UnitContent();
  const map = new MapModel(content, sizeBytes);
  map.write(0, 4 * pageBytes, marks(content, 0, 4 * pageBytes));
  const frozen = map.freeze();
  map.write(0, pageBytes, marks(content, 0, pageBytes));
  map.graft(frozen, 0, 8 * pageBytes, 2 * pageBytes);
  const certain = new Set<number>();
  for (const each of [map, frozen]) each.addBlocks(certain, new Set());
  assert.equal(certain.size, 5);
});
