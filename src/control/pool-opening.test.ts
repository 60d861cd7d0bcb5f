import assert from "node:assert/strict";
import { test } from "node:test";
import { SteppedClock } from "../../test/support/stepped-clock.ts";
import { RopewalkError } from "../base/errors.ts";
import type { Pool, PoolSettings } from "../pool/mod.ts";
import type { Disk } from "../ports/mod.ts";
import { newPoolBytes, openPool, type PoolMaker } from "./pool-opening.ts";

const GIB = 2 ** 30;
const noSettings = {
  sizeBytes: undefined,
  nodeCacheBytes: undefined,
  collectAboveRatio: undefined,
  scrubBytesPerSecond: undefined,
  pageThreads: undefined,
};

/** A place and a maker that write down what was done; the pool refuses sizes below `usedBytes`. */
function world({ hasPool, freeBytes = 100 * GIB }: { hasPool: boolean; freeBytes?: number }) {
  const done: string[] = [];
  const pool = {
    status: () => ({ sizeBytes: 8 * GIB }),
    close: async () => void done.push("close"),
    set: async ({ sizeBytes }: { sizeBytes: number }) => {
      if (sizeBytes < GIB) throw new RopewalkError("INVALID_SIZE", "the pool uses more");
      done.push(`set ${sizeBytes}`);
    },
  };
  const disk = {} as Disk;
  const place = {
    hasPool,
    freeBytes: async () => freeBytes,
    openPool: async () => disk,
    makePool: async (format: (disk: Disk) => Promise<void>) => {
      await format(disk);
      return disk;
    },
  };
  const maker: PoolMaker = {
    format: async (_world, settings: Partial<PoolSettings> = {}) =>
      void done.push(`format ${JSON.stringify(settings)}`),
    open: async (_world, settings: Partial<PoolSettings> = {}) => {
      done.push(`open ${JSON.stringify(settings)}`);
      return pool as unknown as Pool;
    },
  };
  const random = { bytes: (length: number) => new Uint8Array(length) };
  return { done, place, options: { maker, clock: new SteppedClock(), random } };
}

test("a new pool has 80 % of what is free, at least 1 GiB, unless a size is given", async () => {
  assert.equal(newPoolBytes(100 * GIB), 80 * GIB);
  assert.equal(newPoolBytes(GIB), GIB);
  assert.equal(newPoolBytes(0), GIB);
  const fresh = world({ hasPool: false });
  const opened = await openPool(fresh.place, { ...fresh.options, settings: noSettings });
  assert.equal(opened.isNew, true);
  assert.deepEqual(fresh.done, [`format {"sizeBytes":${80 * GIB}}`, "open {}"]);
  const sized = world({ hasPool: false });
  await openPool(sized.place, { ...sized.options, settings: { ...noSettings, sizeBytes: 8 * GIB } });
  assert.deepEqual(sized.done, [`format {"sizeBytes":${8 * GIB}}`, "open {}"]);
});

test("an existing pool keeps its size, or gets the one that is given", async () => {
  const kept = world({ hasPool: true });
  const settings = { ...noSettings, collectAboveRatio: 1.5, scrubBytesPerSecond: 7, nodeCacheBytes: 5 };
  assert.equal((await openPool(kept.place, { ...kept.options, settings })).isNew, false);
  assert.deepEqual(kept.done, ['open {"nodeCacheBytes":5,"collectAboveRatio":1.5,"scrubBytesPerSecond":7}']);
  const grown = world({ hasPool: true });
  await openPool(grown.place, { ...grown.options, settings: { ...noSettings, sizeBytes: 32 * GIB } });
  assert.deepEqual(grown.done, ["open {}", `set ${32 * GIB}`]);
});

test("a size that the pool cannot have fails the opening and closes it again", async () => {
  const { place, options, done } = world({ hasPool: true });
  await assert.rejects(
    openPool(place, { ...options, settings: { ...noSettings, sizeBytes: 512 } }),
    (error) => error instanceof RopewalkError && error.code === "INVALID_SIZE",
  );
  assert.deepEqual(done, ["open {}", "close"]);
});
