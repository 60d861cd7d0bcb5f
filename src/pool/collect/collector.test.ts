import assert from "node:assert/strict";
import test from "node:test";
import { patternBytes, withSimulatedPool } from "../../../test/support/simulated-pool.ts";

const MIB = 2 ** 20;
const PAGE = 4096;

test("a disk that fails reads does not set the collector spinning, and it goes on when the disk does", () =>
  withSimulatedPool(
    async (simulated) => {
      const { pool, disk } = simulated;
      const device = await simulated.volume("v", 20 * MIB);
      for (let at = 0; at < 20 * MIB; at += MIB / 4) await device.write(at, patternBytes(MIB / 4, at), 0);
      // Every third page dies, so that each segment is worth collecting.
      disk.faults.arm({ call: "read", nth: 1, lasting: true, code: "IO_ERROR", name: "segment" });
      for (let at = 0; at < 14 * MIB; at += 3 * PAGE) await device.write(at, patternBytes(PAGE, at), 0);
      await device.flush();
      await simulated.pause(2000);
      const before = disk.faults.struck;
      assert.ok(before > 0, "it tried");
      await simulated.pause(2000);
      assert.ok(
        disk.faults.struck - before < 50,
        `${disk.faults.struck - before} failed reads in two idle seconds`,
      );
      disk.faults.clear();
      await pool.collect();
      assert.deepEqual(await pool.verify(), []);
      await device.close();
    },
    { settings: { sizeBytes: 40 * MIB }, turnsMax: 2_000_000 },
  ));
