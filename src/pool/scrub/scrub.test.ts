import assert from "node:assert/strict";
import test from "node:test";
import { patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;

test("scrub counts a flipped bit of data, and only reads of that page fail", () =>
  withSimulatedPool(async (simulated) => {
    const device = await simulated.volume("v", 8 * MIB);
    await device.write(0, patternBytes(MIB / 2, 1), 1);
    assert.equal((await simulated.pool.scrub()).errors, 0);
    const wanted = Buffer.from(patternBytes(MIB / 2, 1).subarray(40_960, 40_976));
    const file = [...simulated.disk.directory.names.values()].find((each) =>
      Buffer.from(each.durableBytes()).includes(wanted),
    )!;
    file.flip(Buffer.from(file.durableBytes()).indexOf(wanted), 5);
    const sentences: string[] = [];
    const result = await simulated.pool.scrub({ onError: (sentence) => sentences.push(sentence) });
    assert.equal(result.errors, 1);
    assert.equal(sentences.length, 1);
    await assert.rejects(async () => void (await device.read(40_960, new Uint8Array(4096))), {
      code: "CHECKSUM_MISMATCH",
    });
    await device.read(45_056, new Uint8Array(4096));
  }));

test("a background scrub at the slowest pace neither delays a close nor speeds up when it is switched off", () =>
  withSimulatedPool(
    async (simulated) => {
      const device = await simulated.volume("v", 8 * MIB);
      for (let at = 0; at < 8 * MIB; at += MIB / 2) await device.write(at, patternBytes(MIB / 2, at), 1);
      await device.close();
      await simulated.pool.set({ scrubBytesPerSecond: 100_000_000 });
      await simulated.pause(20);
      await simulated.pool.set({ scrubBytesPerSecond: 1 });
      await simulated.pause(2000);
      const before = simulated.clock.nowMs;
      await simulated.pool.close();
      assert.ok(simulated.clock.nowMs - before < 2000, `the close took ${simulated.clock.nowMs - before} ms`);
    },
    { turnsMax: 100_000 },
  ));
