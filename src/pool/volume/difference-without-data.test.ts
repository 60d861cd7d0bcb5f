import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";
import { SegmentKind } from "../format/segment.ts";
import type { Difference } from "../pool-api.ts";

const MIB = 2 ** 20;
const PAGE = 4096;

test("the difference of two snapshots is found from their maps alone, although no block of data can be read", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 64 * MIB);
    for (let piece = 0; piece < 16; piece += 1)
      await device.write((piece * MIB) / 2, patternBytes(MIB / 2, piece), 0);
    await simulated.pool.createSnapshot("v", "before");
    await device.write(3 * PAGE, patternBytes(2 * PAGE, 99), 0);
    await device.zero(5 * MIB, PAGE, 0);
    await device.write(40 * MIB, patternBytes(PAGE, 98), 1);
    await simulated.pool.createSnapshot("v", "after");
    // Afterwards maps stand in metadata segments; what is left in the log's is data.
    await simulated.pool.checkpoint();
    for (const [name, file] of simulated.disk.directory.names) {
      if (!name.startsWith("segment-") || file.durableBytes()[12] === SegmentKind.metadata) continue;
      for (let offset = PAGE; offset < file.sizeBytes; offset += 512) file.flip(offset, 1);
    }
    const found: Difference[] = [];
    const maps = {
      from: { volume: "v", snapshot: "before" },
      to: { volume: "v", snapshot: "after" },
    };
    for await (const each of simulated.pool.difference(maps)) found.push(each);
    assert.deepEqual(found, [
      { offsetBytes: 3 * PAGE, lengthBytes: 2 * PAGE, kind: "data" },
      { offsetBytes: 5 * MIB, lengthBytes: PAGE, kind: "hole" },
      { offsetBytes: 40 * MIB, lengthBytes: PAGE, kind: "data" },
    ]);
    await assert.rejects(bytesOf(device, 3 * PAGE, PAGE), { code: "CHECKSUM_MISMATCH" });
  }));
