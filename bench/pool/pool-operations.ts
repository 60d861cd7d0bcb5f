// What is measured on a pool in the process that owns it. Each operation takes and returns plain values, since
// the caller is another process (pool-process.ts).
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../src/base/prng.ts";
import { type BlockDevice, RequestFlag } from "../../src/device/mod.ts";
import { hostClock, hostRandom, openDirectoryDisk, openPageThreads } from "../../src/host/mod.ts";
import { Pool, type PoolSettings } from "../../src/pool/mod.ts";
import { CountingDisk } from "./counting-disk.ts";
import { type ProcessMemory, processMemory } from "./process-memory.ts";

const BLOCK_BYTES = 4096;
/** Requests in flight: as many as fio's depth in the other suite. */
const DEPTH = 32;
/** Bytes of chance from which each request takes its own, so that no two blocks are alike. */
const CHANCE_BYTES = 8 * 2 ** 20;

export type Load = "randread" | "randwrite" | "read" | "write";

export interface LoadOptions {
  readonly volume: string;
  readonly load: Load;
  readonly blockBytes: number;
  /** Ends after so many bytes, or after `durationMs`, whichever comes first. */
  readonly bytesMax?: number;
  readonly durationMs?: number;
  readonly seed: number;
}

export interface LoadResult {
  readonly operations: number;
  readonly elapsedMs: number;
}

export class PoolOperations {
  #pool: Pool | undefined;
  #disk: CountingDisk | undefined;
  #chance: Buffer | undefined;
  #pageThreads: ReturnType<typeof openPageThreads>;

  /** Makes the pool if `format` is given, and opens it. The time is that of the opening alone. */
  async open(options: { folder: string; format?: Partial<PoolSettings> }): Promise<{ elapsedMs: number }> {
    // As the daemon has it.
    this.#pageThreads ??= openPageThreads();
    await this.#pageThreads?.ready;
    const pageThreads = this.#pageThreads;
    const disk = new CountingDisk(await openDirectoryDisk(options.folder, { pageThreads }));
    const world = { disk, clock: hostClock, random: hostRandom, pageThreads };
    if (options.format !== undefined) await Pool.format(world, options.format);
    const startedMs = performance.now();
    this.#pool = await Pool.open(world, options.format ?? {});
    this.#disk = disk;
    return { elapsedMs: performance.now() - startedMs };
  }

  async close(): Promise<void> {
    await this.#opened.close();
    this.#pool = undefined;
  }

  async createVolume(options: { name: string; sizeBytes: number }): Promise<void> {
    await this.#opened.createVolume(options);
  }

  async createSnapshot(options: { volume: string; name: string }): Promise<void> {
    await this.#opened.createSnapshot(options.volume, options.name);
  }

  async flush(options: { volume: string }): Promise<void> {
    const device = this.#opened.openVolume(options.volume);
    await device.flush();
    await device.close();
  }

  /** Hands DEPTH requests at a time to the pool, as a server does with what one turn of the loop brought. */
  async load(options: LoadOptions): Promise<LoadResult> {
    const {
      load,
      blockBytes,
      bytesMax = Number.POSITIVE_INFINITY,
      durationMs = Number.POSITIVE_INFINITY,
    } = options;
    const device = this.#opened.openVolume(options.volume);
    // Apart, so that loads of one seed go to the same places whether they read or write.
    const [places, prng] = [new Prng(options.seed), new Prng(options.seed + 1)];
    const chance = this.#chanceBytes();
    const blocks = Math.floor(device.sizeBytes / blockBytes);
    const isRandom = load.startsWith("rand");
    const isRead = load.endsWith("read");
    const targets = Array.from({ length: DEPTH }, () => new Uint8Array(blockBytes));
    const startedMs = performance.now();
    let operations = 0;
    while (operations * blockBytes < bytesMax && performance.now() - startedMs < durationMs) {
      const waits: Promise<void>[] = [];
      for (const target of targets) {
        const index = isRandom ? Math.floor(places.fraction() * blocks) : operations % blocks;
        operations++;
        const completion = isRead
          ? device.read(index * blockBytes, target)
          : device.write(index * blockBytes, sourceFrom(chance, { prng, blockBytes }), RequestFlag.none);
        if (completion !== undefined) waits.push(completion);
      }
      await Promise.all(waits);
      await nextTurn();
    }
    const elapsedMs = performance.now() - startedMs;
    await device.close();
    return { operations, elapsedMs };
  }

  /**
   * Takes a snapshot while one lane writes and one reads, each request as soon as the one before ended.
   * `replyMs`: until the snapshot was durable. `stallMs`: the longest that another request took meanwhile.
   * `usualMs`: the same of a window as long in which no snapshot was taken.
   */
  async snapshotUnderLoad(options: {
    volume: string;
    name: string;
    seed: number;
  }): Promise<{ replyMs: number; stallMs: number; usualMs: number }> {
    const device = this.#opened.openVolume(options.volume);
    const prng = new Prng(options.seed);
    const chance = this.#chanceBytes();
    const target = new Uint8Array(BLOCK_BYTES);
    let longestMs = 0;
    let ended = false;
    const lane = async (request: (offset: number) => Promise<void> | undefined): Promise<void> => {
      while (!ended) {
        const offset = randomOffset(prng, device);
        const startedMs = performance.now();
        await request(offset);
        longestMs = Math.max(longestMs, performance.now() - startedMs);
        await nextTurn();
      }
    };
    const lanes = [
      lane((offset) => device.write(offset, sourceFrom(chance, { prng, blockBytes: BLOCK_BYTES }), 0)),
      lane((offset) => device.read(offset, target)),
    ];
    await delay(200);
    longestMs = 0;
    const startedMs = performance.now();
    await this.#opened.createSnapshot(options.volume, options.name);
    const replyMs = performance.now() - startedMs;
    const stallMs = longestMs;
    await delay(200);
    longestMs = 0;
    await delay(replyMs);
    const usualMs = longestMs;
    ended = true;
    await Promise.all(lanes);
    await device.close();
    return { replyMs, stallMs, usualMs };
  }

  async difference(options: {
    volume: string;
    from: string;
    to: string;
  }): Promise<{ elapsedMs: number; bytesRead: number; bytesFound: number }> {
    const { volume, from, to } = options;
    const before = this.#disk!.bytesRead;
    const startedMs = performance.now();
    let bytesFound = 0;
    const stream = this.#opened.difference({
      from: { volume, snapshot: from },
      to: { volume, snapshot: to },
    });
    for await (const { lengthBytes } of stream) bytesFound += lengthBytes;
    return {
      elapsedMs: performance.now() - startedMs,
      bytesRead: this.#disk!.bytesRead - before,
      bytesFound,
    };
  }

  async graft(options: {
    source: string;
    sourceOffset: number;
    volume: string;
    offset: number;
    length: number;
  }): Promise<{ elapsedMs: number }> {
    const startedMs = performance.now();
    await this.#opened.graft({ ...options, source: { volume: options.source } });
    return { elapsedMs: performance.now() - startedMs };
  }

  memory(): ProcessMemory {
    return processMemory(process.pid);
  }

  get #opened(): Pool {
    if (this.#pool === undefined) throw new Error("the pool is not open");
    return this.#pool;
  }

  #chanceBytes(): Buffer {
    this.#chance ??= Buffer.from(hostRandom.bytes(CHANCE_BYTES));
    return this.#chance;
  }
}

function sourceFrom(chance: Buffer, { prng, blockBytes }: { prng: Prng; blockBytes: number }): Uint8Array {
  const start = Math.floor(prng.fraction() * (chance.length - blockBytes));
  return chance.subarray(start, start + blockBytes);
}

function randomOffset(prng: Prng, device: BlockDevice): number {
  return Math.floor(prng.fraction() * (device.sizeBytes / BLOCK_BYTES)) * BLOCK_BYTES;
}

function nextTurn(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}
