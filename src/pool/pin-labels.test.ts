import assert from "node:assert/strict";
import { test } from "node:test";
import { withSimulatedPool } from "../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;

test("a persistent pin's label is listed, and comes back after a crash and after a checkpoint", () =>
  withSimulatedPool(async (simulated) => {
    await simulated.pool.createVolume({ name: "v", sizeBytes: MIB });
    const label = 'tokens: ½ "quoted"';
    const labelled = await simulated.pool.pin({ volume: "v" }, { persistent: true, label });
    const plain = await simulated.pool.pin({ volume: "v" }, { persistent: true });
    const passing = await simulated.pool.pin({ volume: "v" });
    const kept = [
      { id: labelled, persistent: true, label, sizeBytes: MIB },
      { id: plain, persistent: true, label: undefined, sizeBytes: MIB },
    ];
    assert.deepEqual(simulated.pool.pins(), [
      ...kept,
      { id: passing, persistent: false, label: undefined, sizeBytes: MIB },
    ]);
    simulated.die("lost");
    await simulated.open();
    assert.deepEqual(simulated.pool.pins(), kept);
    await simulated.pool.checkpoint();
    await simulated.pool.close();
    await simulated.open();
    assert.deepEqual(simulated.pool.pins(), kept);
    await simulated.pool.unpin(labelled);
    await simulated.pool.unpin(plain);
    assert.deepEqual(simulated.pool.pins(), []);
  }));

test("a label is kept only with a persistent pin, of at most 2,048 bytes, and all of them within their share", () =>
  withSimulatedPool(async ({ pool }) => {
    await pool.createVolume({ name: "v", sizeBytes: MIB });
    await assert.rejects(pool.pin({ volume: "v" }, { label: "x" }), { code: "INVALID_ARGUMENT" });
    const long = { persistent: true, label: "½".repeat(1025) };
    await assert.rejects(pool.pin({ volume: "v" }, long), { code: "TOO_LARGE" });
    const options = { persistent: true, label: "½".repeat(1024) };
    const pins: number[] = [];
    for (let made = 0; made < Math.floor(MIB / 4 / 2050); made++)
      pins.push(await pool.pin({ volume: "v" }, options));
    await assert.rejects(pool.pin({ volume: "v" }, options), { code: "TOO_MANY" });
    await pool.checkpoint();
    await pool.unpin(pins.pop()!);
    await pool.pin({ volume: "v" }, options);
  }));
