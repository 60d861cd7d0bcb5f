// A daemon of ours with a volume that is copied, and what copies of it need: a volume written at random, a pool that
// has come to rest, and targets that go again.
import { setTimeout as delay } from "node:timers/promises";
import { runFio, settle } from "../nbd/fio.ts";
import { RopewalkServer } from "../nbd/ropewalk-server.ts";
import type { SuiteContext } from "../suite.ts";

const BLOCK_BYTES = 4096;
const GIB = 2 ** 30;
const REST_TIMEOUT_MS = 60_000;

export interface Copied {
  readonly bytes: number;
  readonly bytesMoved: number;
  readonly elapsedMs: number;
}

export class CopiedVolume extends RopewalkServer {
  readonly #folder: string;

  /** `dataBytes` are written into it; the pool has room for that four times over, so that nothing is collected. */
  constructor(context: SuiteContext, options: { name: string; sizeBytes: number; dataBytes: number }) {
    const { name, sizeBytes, dataBytes } = options;
    super(context, { name, sizeBytes, volume: "source", poolBytes: 4 * dataBytes + 4 * GIB });
    this.#folder = context.folder;
  }

  /** Until log, checkpoint and collector have done what the writes before left them. */
  async rest(): Promise<void> {
    await settle(this.#folder);
    const deadlineMs = performance.now() + REST_TIMEOUT_MS;
    for (let before = -1; performance.now() < deadlineMs; await delay(500)) {
      const metrics = await this.daemon.metrics();
      const written = ["log", "collector", "metadata"]
        .map((what) => metrics.get(`ropewalk_pool_${what}_written_bytes_total`) ?? Number.NaN)
        .reduce((sum, bytes) => sum + bytes);
      if (written === before) return;
      before = written;
    }
  }

  async copy(destination: string, ...flags: string[]): Promise<Copied> {
    return (await this.daemon.json("copy", "source", destination, ...flags)) as Copied;
  }

  async remove(volume: string): Promise<void> {
    await this.daemon.cli("volume", "delete", volume);
  }
}

/** Writes each page of what `uri` serves once, in random order, so that neighbours lie apart in a log. */
export async function fillAtRandom(uri: string, sizeBytes: number, folder: string): Promise<void> {
  const job = { rw: "randwrite", blockBytes: BLOCK_BYTES, depth: 32, sizeBytes } as const;
  await runFio(uri, { ...job, more: ["--norandommap=0"] }, folder);
}
