/**
 * One copy from a volume or snapshot to a volume: by tokens, and plainly where those are not the way (T1, T2, T19,
 * T28).
 *
 * Always holds: nothing is made or grown before the source's range is known to exist; what was written stays, and the
 * failure of a copy says how much that is; a token that was bound for a copy ends with it.
 * Errors: INVALID_RANGE, INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, NO_SPACE, CANCELLED, and what devices say.
 */
import { RopewalkError } from "../base/errors.ts";
import { checkName, parseMapName, VOLUME_SIZE_UNIT_BYTES } from "../base/object-name.ts";
import type { BlockDevice, DeviceOffload, OffloadReadResult } from "../device/mod.ts";
import type { ControlledTokens } from "./controlled-tokens.ts";
import type { Exports } from "./exports.ts";
import { saysCopyPlainly } from "./offload-fallback.ts";
import { flushDevice, openDevice } from "./opened-device.ts";
import { partialFailure } from "./partial-failure.ts";
import { copyPlainly } from "./plain-copy.ts";
import { writeThroughTokens } from "./token-runs.ts";
import type { Volumes } from "./volumes.ts";

export interface CopyWish {
  /** `VOLUME` or `VOLUME@SNAPSHOT`. */
  readonly source: string;
  /** A volume; made when there is none, grown when it is too small. */
  readonly destination: string;
  readonly offsetBytes?: number | undefined;
  readonly toOffsetBytes?: number | undefined;
  /** To the source's end when absent. */
  readonly lengthBytes?: number | undefined;
}

export interface CopyProgress {
  /** Written so far, zeros included. */
  readonly bytes: number;
  readonly bytesExpected: number;
  /** Bytes of data that were read and written for it. */
  readonly bytesMoved: number;
  /** How much of it was copied by reading and writing, because tokens were not the way. */
  readonly bytesPlain: number;
}

/** A wish whose range was checked. */
export interface CopyPlan {
  readonly source: string;
  readonly destination: string;
  readonly fromBytes: number;
  readonly toBytes: number;
  readonly lengthBytes: number;
}

/** What a copy works with. */
export interface CopyWorld {
  readonly volumes: Volumes;
  readonly exports: Exports;
  readonly room: ControlledTokens | undefined;
}

/** Both ends' token copies, and the room that ends their tokens. */
interface TokenWays {
  readonly source: DeviceOffload;
  readonly destination: DeviceOffload;
  readonly room: ControlledTokens;
}

/** Above what tokens have that nobody gave a priority, because work waits for these. */
const PRIORITY = 100;
/** Long enough for the slowest copy that a token takes part in, where the room allows it; the copy itself ends it. */
const TTL_MS = 24 * 3_600_000;

/** INVALID_NAME, VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND, INVALID_RANGE */
export function planCopy(exports: Exports, wish: CopyWish): CopyPlan {
  const source = parseMapName(wish.source);
  const destination = checkName("volume", wish.destination);
  const { sizeBytes } = exports.show(wish.source);
  const { offsetBytes: fromBytes = 0, toOffsetBytes: toBytes = 0 } = wish;
  const lengthBytes = wish.lengthBytes ?? sizeBytes - fromBytes;
  if (lengthBytes <= 0 || fromBytes + lengthBytes > sizeBytes)
    throw new RopewalkError(
      "INVALID_RANGE",
      `${lengthBytes} bytes at ${fromBytes} are no range of ${wish.source}, which ends at ${sizeBytes}.`,
    );
  const isSelf = source.snapshot === undefined && source.volume === destination;
  if (isSelf && Math.abs(fromBytes - toBytes) < lengthBytes)
    throw new RopewalkError(
      "INVALID_RANGE",
      `The ${lengthBytes} bytes at ${fromBytes} and at ${toBytes} of ${destination} overlap; copy to another place, or from a snapshot.`,
    );
  return { source: wish.source, destination, fromBytes, toBytes, lengthBytes };
}

export class CopyWork {
  readonly #plan: CopyPlan;
  readonly #signal: AbortSignal;
  readonly #report: (progress: CopyProgress) => void;
  #bytes = 0;
  #bytesMoved = 0;
  #bytesPlain = 0;

  constructor(plan: CopyPlan, run: { signal: AbortSignal; report: (progress: CopyProgress) => void }) {
    this.#plan = plan;
    this.#signal = run.signal;
    this.#report = run.report;
  }

  get progress(): CopyProgress {
    return {
      bytes: this.#bytes,
      bytesExpected: this.#plan.lengthBytes,
      bytesMoved: this.#bytesMoved,
      bytesPlain: this.#bytesPlain,
    };
  }

  /** Durable when it resolves. */
  async run(world: CopyWorld): Promise<void> {
    this.#report(this.progress);
    try {
      await this.#copy(world);
    } catch (error) {
      throw partialFailure(error, { done: this.#bytes, of: this.#plan.lengthBytes, verb: "copied" });
    }
  }

  async #copy({ volumes, exports, room }: CopyWorld): Promise<void> {
    await using from = openDevice(exports, this.#plan.source);
    await provideDestination(volumes, this.#plan);
    await using to = openDevice(exports, this.#plan.destination);
    const [source, destination] = [from.device, to.device];
    if (room && source.offload && destination.offload)
      await this.#copyByTokens({ source: source.offload, destination: destination.offload, room });
    await this.#copyPlainly(source, destination);
    await flushDevice(destination);
  }

  /** Until all is written, or until plain copying is the way for the rest. */
  async #copyByTokens(ways: TokenWays): Promise<void> {
    try {
      while (this.#bytes < this.#plan.lengthBytes) await this.#copyByOneRead(ways);
    } catch (error) {
      if (!saysCopyPlainly(error)) throw error;
    }
  }

  async #copyByOneRead({ source, destination, room }: TokenWays): Promise<void> {
    this.#signal.throwIfAborted();
    const { fromBytes, toBytes, lengthBytes } = this.#plan;
    const bound = await source.read({
      ranges: [{ offsetBytes: fromBytes + this.#bytes, lengthBytes: lengthBytes - this.#bytes }],
      policy: "preserve",
      ttlMs: Math.min(TTL_MS, room.settings.ttlMsMax),
      inactivityMs: 0,
      persistent: false,
      // Written in several steps, and ended here when they are done.
      deleteOnUse: false,
      priority: PRIORITY,
      provider: { skip: 0 },
      withChecksums: false,
      creator: "copy",
      isProtected: true,
    });
    try {
      if (bound.lengthBytes === 0)
        throw new RopewalkError("UNSUPPORTED", "The source bound nothing; copy plainly.");
      await writeThroughTokens(destination, {
        tokens: bound.tokens,
        fromBytes: 0,
        toBytes: toBytes + this.#bytes,
        lengthBytes: bound.lengthBytes,
        isProtected: true,
        steps: "bounded",
        signal: this.#signal,
        onWritten: (bytes, movedBytes) => this.#written(bytes, movedBytes),
      });
    } finally {
      await revokeAll(room, bound);
    }
  }

  async #copyPlainly(source: BlockDevice, destination: BlockDevice): Promise<void> {
    const { fromBytes, toBytes, lengthBytes } = this.#plan;
    const done = this.#bytes;
    await copyPlainly({
      source,
      destination,
      fromBytes: fromBytes + done,
      toBytes: toBytes + done,
      lengthBytes: lengthBytes - done,
      signal: this.#signal,
      onWritten: (bytes, movedBytes) => {
        this.#bytesPlain += bytes;
        this.#written(bytes, movedBytes);
      },
    });
  }

  #written(bytes: number, movedBytes: number): void {
    this.#bytes += bytes;
    this.#bytesMoved += movedBytes;
    this.#report(this.progress);
  }
}

/** A token that has ended by itself meanwhile is as good as revoked. */
async function revokeAll(room: ControlledTokens, { tokens }: OffloadReadResult): Promise<void> {
  await Promise.allSettled(tokens.map(async ({ token }) => room.revoke(token, { strength: "mandatory" })));
}

async function provideDestination(volumes: Volumes, plan: CopyPlan): Promise<void> {
  const { destination: name, toBytes, lengthBytes } = plan;
  const endBytes = toBytes + lengthBytes;
  const sizeBytes = Math.ceil(endBytes / VOLUME_SIZE_UNIT_BYTES) * VOLUME_SIZE_UNIT_BYTES;
  const existing = volumes.list().find((volume) => volume.name === name);
  if (!existing) await volumes.create({ name, sizeBytes });
  else if (existing.sizeBytes < endBytes) await volumes.resize(name, sizeBytes);
}
