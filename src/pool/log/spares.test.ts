import assert from "node:assert/strict";
import test from "node:test";
import { SimulatedClock } from "../../../sim/simulated-clock.ts";
import { SimulatedDisk } from "../../../sim/simulated-disk.ts";
import { completeSettings } from "../settings.ts";
import { Spares } from "./spares.ts";

const MIB = 2 ** 20;
const MINUTE_MS = 60_000;

/** A pool of 160 files, of which `inUse` are segments. */
function spareFiles() {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, "spares");
  const process = clock.startProcess();
  const settings = completeSettings({ segmentBytes: MIB, sizeBytes: 160 * MIB, reserveSegments: 4 });
  const segments = new Set<string>();
  const attached = disk.attach(process);
  const spares = new Spares({ disk: attached, clock: process, settings, segments: () => segments.size });
  return {
    clock,
    spares,
    files: () => disk.directory.names.size,
    async take(): Promise<string> {
      let number = 0;
      const spare = await spares.take(settings.reserveSegments, () => {
        number = segments.size;
        segments.add(`segment-${number}`);
      });
      assert.ok(spare !== undefined);
      await attached.rename(spare, `segment-${number}`);
      return `segment-${number}`;
    },
    async giveBack(name: string): Promise<void> {
      segments.delete(name);
      await spares.put(name);
    },
    wait: (ms: number) => new Promise<void>((resolve) => void process.after(ms, resolve)),
  };
}

async function takeAndGiveBack(pool: ReturnType<typeof spareFiles>, count: number): Promise<void> {
  const taken: string[] = [];
  for (let done = 0; done < count; done += 1) taken.push(await pool.take());
  // Checkpoints with nothing taken between them.
  await pool.spares.turnInterval();
  await pool.spares.turnInterval();
  for (const name of taken) await pool.giveBack(name);
  await pool.spares.turnInterval();
}

test("files that were taken of late are kept for use again, half of the pool at most", async () => {
  const pool = spareFiles();
  await pool.clock.run(
    (async () => {
      await pool.spares.fill();
      await takeAndGiveBack(pool, 12);
      assert.ok(pool.spares.count >= 16, `${pool.spares.count} files are kept`);
      await takeAndGiveBack(pool, 100);
      assert.equal(pool.spares.count, 4 + 2 + 80);
      await pool.spares.settle();
    })(),
  );
});

test("what was not wanted for ten minutes is removed", async () => {
  const pool = spareFiles();
  await pool.clock.run(
    (async () => {
      await pool.spares.fill();
      await takeAndGiveBack(pool, 12);
      await pool.wait(4 * MINUTE_MS);
      assert.ok(pool.spares.count >= 16, `${pool.spares.count} files after four minutes`);
      await pool.wait(7 * MINUTE_MS);
      assert.equal(pool.spares.count, 6);
      assert.equal(pool.files(), 6);
      await pool.spares.settle();
    })(),
  );
});

test("collecting by command gives back at once what is only kept", async () => {
  const pool = spareFiles();
  await pool.clock.run(
    (async () => {
      await pool.spares.fill();
      await takeAndGiveBack(pool, 12);
      await pool.spares.shrink();
      assert.equal(pool.spares.count, 6);
      assert.equal(pool.files(), 6);
      await pool.spares.settle();
    })(),
  );
});
