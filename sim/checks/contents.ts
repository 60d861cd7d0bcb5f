/**
 * Holds bytes that were read against the model's stamps.
 * The check that fails is `content`: a unit that holds something else than any of the values that it could have.
 */
import type { BlockDevice } from "../../src/device/mod.ts";
import { CheckFailed } from "../check-failed.ts";
import type { Life } from "../machine.ts";
import { chunkBytes, type MapModel } from "../map-model.ts";
import { stampZero, type UnitContent, unitBytes } from "../unit-content.ts";

const scratch = new Uint8Array(unitBytes);

/** `alternatives`: for each moment of the read the stamps of the units that the range touches. */
export function checkBytes(
  content: UnitContent,
  name: string,
  bytes: Uint8Array,
  offset: number,
  alternatives: readonly Uint32Array[],
): void {
  const firstUnit = Math.floor(offset / unitBytes);
  const units = alternatives[0]!.length;
  for (let unit = 0; unit < units; unit++) {
    const start = (firstUnit + unit) * unitBytes;
    const from = Math.max(start, offset);
    const found = bytes.subarray(from - offset, Math.min(start + unitBytes, offset + bytes.length) - offset);
    if (alternatives.some((stamps) => equals(content, stamps[unit]!, found, from - start))) continue;
    const expected = [...new Set(alternatives.map((stamps) => stamps[unit]!))];
    const names = expected.map((stamp) => (stamp <= stampZero ? "zeros" : `stamp ${stamp}`)).join(" or ");
    const described = found.length === unitBytes ? content.describe(found) : "other bytes";
    throw new CheckFailed("content", `${name} at ${start}: expected ${names}, found ${described}`);
  }
}

/** Reads everything that the model knows of, and some of the nothing between. */
export async function checkMapContent(
  life: Life,
  name: string,
  device: BlockDevice,
  map: MapModel,
  wantsChunk: (offset: number) => boolean = () => true,
): Promise<void> {
  if (device.sizeBytes !== map.sizeBytes)
    throw new CheckFailed("size", `${name} has ${device.sizeBytes} bytes, expected ${map.sizeBytes}`);
  const offsets = map.chunkOffsets().filter(wantsChunk);
  const far = life.machine.random.between(0, Math.floor((map.sizeBytes - 1) / chunkBytes)) * chunkBytes;
  for (const offset of [...offsets, far]) {
    const bytes = new Uint8Array(Math.min(chunkBytes, map.sizeBytes - offset));
    try {
      await life.completion(() => device.read(offset, bytes), "read");
    } catch (error) {
      life.expectError(error, `read of ${name} at ${offset}`, []);
      continue;
    }
    const stamps = map.stamps(offset / unitBytes, Math.ceil(bytes.length / unitBytes));
    checkBytes(life.machine.content, name, bytes, offset, [stamps]);
  }
}

function equals(content: UnitContent, stamp: number, found: Uint8Array, from: number): boolean {
  content.fill(stamp, scratch, 0);
  return Buffer.compare(scratch.subarray(from, from + found.length), found) === 0;
}
