// The process that owns the pool with very many tokens: makes them, counts, finds some, answers over the IPC channel.
import assert from "node:assert/strict";
import { Prng } from "../../src/base/prng.ts";
import { hostClock, hostRandom, openDirectoryDisk } from "../../src/host/mod.ts";
import { TOKEN_KEY_BYTES, TokenRoom } from "../../src/offload/mod.ts";
import { Pool } from "../../src/pool/mod.ts";
import { processMemory } from "../pool/process-memory.ts";

export interface LiveTokenOptions {
  readonly folder: string;
  readonly count: number;
}

export interface LiveTokenFigures {
  /** Heap and buffers after a collection, for each token. */
  readonly memoryBytes: number;
  /** What the kernel counts, with what the heap keeps in reserve. */
  readonly residentBytes: number;
  readonly createUs: number;
  readonly findUs: number;
}

const PAGE_BYTES = 4096;
const VOLUME_BYTES = 64 * 2 ** 30;
/** Tokens that are kept to be found again. */
const SAMPLES = 10_000;
const CHANNEL = { isProtected: true };

async function measure({ folder, count }: LiveTokenOptions): Promise<LiveTokenFigures> {
  const world = { disk: await openDirectoryDisk(folder), clock: hostClock, random: hostRandom };
  await Pool.format(world, { sizeBytes: 2 ** 30 });
  const pool = await Pool.open(world, {});
  await pool.createVolume({ name: "source", sizeBytes: VOLUME_BYTES });
  const key = hostRandom.bytes(TOKEN_KEY_BYTES);
  const room = await TokenRoom.open({
    pool,
    clock: hostClock,
    random: hostRandom,
    key,
    report: () => undefined,
  });
  const device = room.overPool({ volume: "source" }, pool.openVolume("source"));
  assert.ok(device.offload);
  const every = Math.max(1, Math.floor(count / SAMPLES));
  const samples: Uint8Array[] = [];
  const before = memory();
  const createStartedMs = performance.now();
  for (let made = 0; made < count; made++) {
    const { tokens } = await device.offload.read({
      ranges: [{ offsetBytes: (made * PAGE_BYTES) % VOLUME_BYTES, lengthBytes: PAGE_BYTES }],
      policy: "preserve",
      ttlMs: 86_400_000,
      inactivityMs: 0,
      persistent: false,
      deleteOnUse: false,
      priority: 0,
      provider: { skip: 0 },
      withChecksums: false,
      creator: "bench",
      isProtected: true,
    });
    if (made % every === 0) samples.push(tokens[0]!.token);
  }
  const createUs = ((performance.now() - createStartedMs) * 1000) / count;
  const after = memory();
  assert.equal(room.counters.live, count);

  const prng = new Prng(1);
  const findStartedMs = performance.now();
  for (let found = 0; found < SAMPLES; found++) {
    const token = samples[Math.floor(prng.fraction() * samples.length)]!;
    assert.equal(room.show(token, CHANNEL).state, "valid");
  }
  const findUs = ((performance.now() - findStartedMs) * 1000) / SAMPLES;

  // The samples are the requestor's, not the room's.
  const samplesBytes = samples.reduce((sum, token) => sum + token.byteLength, 0);
  await device.close();
  await room.close();
  await pool.close();
  return {
    memoryBytes: (after.heldBytes - before.heldBytes - samplesBytes) / count,
    residentBytes: (after.residentBytes - before.residentBytes) / count,
    createUs,
    findUs,
  };
}

function memory(): { heldBytes: number; residentBytes: number } {
  assert.ok(globalThis.gc, "this process needs --expose-gc");
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return { heldBytes: heapUsed + external, residentBytes: processMemory(process.pid).privateBytes };
}

process.once("message", (options: LiveTokenOptions) => {
  measure(options).then(
    (figures) => process.send!(figures),
    (error: Error) => process.send!({ error: error.stack ?? error.message }),
  );
});
// Without its parent it has nothing to do.
process.on("disconnect", () => process.exit(0));
