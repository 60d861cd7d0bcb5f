// What an open makes of damage in the log's tail.
import assert from "node:assert/strict";
import test from "node:test";
import {
  bytesOf,
  patternBytes,
  type SimulatedPool,
  withSimulatedPool,
} from "../../../test/support/simulated-pool.ts";
import { decodeSegmentHeader, SegmentKind } from "../format/segment.ts";

const MIB = 2 ** 20;

/** Files of the log's segments that the running process began. */
function tail(simulated: SimulatedPool) {
  return [...simulated.disk.directory.names]
    .filter(([name]) => name.startsWith("segment-"))
    .map(([, file]) => ({ file, header: decodeSegmentHeader(file.durableBytes()) }))
    .filter(({ header }) => header?.kind === SegmentKind.log && header.incarnation === 2);
}

/** A pool that died without a checkpoint, with flushed writes in several segments. */
async function flushedAndDead(simulated: SimulatedPool): Promise<void> {
  const device = await simulated.volume("v", 8 * MIB);
  for (let at = 0; at < 4; at += 1) await device.write(at * MIB, patternBytes(MIB / 2, at), 1);
  // Time for the mark that says in the log what is durable.
  await simulated.pause(5000);
  simulated.die("lost");
}

test("a flipped bit in the header of any segment of the log's tail keeps the pool from opening: nothing flushed is left out", () =>
  withSimulatedPool(async (simulated) => {
    await flushedAndDead(simulated);
    const segments = tail(simulated);
    assert.ok(segments.length > 3);
    for (const { file } of segments) {
      file.flip(17, 3);
      await assert.rejects(simulated.open(), { code: "POOL_DAMAGED" });
      simulated.die();
      file.flip(17, 3);
    }
    await simulated.open();
    assert.deepEqual(
      await bytesOf(simulated.pool.openVolume("v"), 3 * MIB, MIB / 2),
      patternBytes(MIB / 2, 3),
    );
  }));

test("flipped bits in all headers of the log's tail keep the pool from opening", () =>
  withSimulatedPool(async (simulated) => {
    await flushedAndDead(simulated);
    for (const { file } of tail(simulated)) file.flip(17, 3);
    await assert.rejects(simulated.open(), { code: "POOL_DAMAGED" });
  }));
