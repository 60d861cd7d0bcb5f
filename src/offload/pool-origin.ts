/**
 * A volume or snapshot of the pool that tokens are made of: binds pins, and watches what its openings change.
 *
 * Always holds: tokens share a pin only while the map is proved unchanged: nothing was appended to the pool's log since,
 * or the difference to the map of now is empty (changes by whatever way are seen by this). Errors: VOLUME_NOT_FOUND,
 * SNAPSHOT_NOT_FOUND, TOO_MANY, those of the pool.
 */
import { RopewalkError } from "../base/errors.ts";
import type { ByteRange } from "../device/mod.ts";
import type { MapRef } from "../pool/mod.ts";
import { type PinBoard, PinnedMap } from "./pinned-map.ts";
import { RangeIndex } from "./range-index.ts";
import type { TokenBacking, TokenContent, TokenOrigin } from "./token-backing.ts";
import type { TokenPool } from "./token-pool.ts";
import type { PoolMap } from "./token-service.ts";

export const POOL_PROVIDER = "pool";

/** Bytes compared at a time, where a page differs of which only a part belongs to a token. */
const COMPARED_BYTES_MAX = 4096;

export interface PoolObject {
  readonly map: PoolMap;
  /** The pool's number of the volume or snapshot: a later one of the same name is another. */
  readonly objectId: number;
  readonly uuid: string;
}

/** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND */
export function findPoolObject(pool: TokenPool, map: PoolMap): PoolObject {
  const { volume, snapshot } = map;
  const { id, uuid } = snapshot === undefined ? pool.volume(volume) : pool.snapshot(volume, snapshot);
  return { map, objectId: id, uuid };
}

/** `VOLUME` or `VOLUME@SNAPSHOT`. */
export function mapName({ volume, snapshot }: PoolMap): string {
  return snapshot === undefined ? volume : `${volume}@${snapshot}`;
}

export class PoolOrigin implements TokenOrigin {
  readonly pool: TokenPool;
  readonly board: PinBoard;
  readonly object: PoolObject;
  readonly description: string;
  readonly provider = POOL_PROVIDER;
  readonly watched = new RangeIndex();
  /** Pins held. */
  maps = 0;
  readonly followed = new FollowedMap(this);
  readonly #map: MapRef;
  /** The newest pin that may be shared. */
  #latest: PinnedMap | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: { pool: TokenPool; board: PinBoard; object: PoolObject }) {
    this.pool = options.pool;
    this.board = options.board;
    this.object = options.object;
    this.#map = options.object.map;
    this.description = mapName(options.object.map);
  }

  get #isFrozen(): boolean {
    return this.object.map.snapshot !== undefined;
  }

  exists(): boolean {
    try {
      return findPoolObject(this.pool, this.object.map).objectId === this.object.objectId;
    } catch (error) {
      if (error instanceof RopewalkError) return false;
      throw error;
    }
  }

  /** The map as it is now, pinned; counted once for the caller. */
  async bind(priority: number): Promise<PinnedMap> {
    const latest = this.#latest;
    if (latest !== undefined && (this.#isFrozen || this.pool.status().sequence === latest.sequence)) {
      if (!this.board.plants.has("token-early-unpin")) latest.hold();
      return latest;
    }
    // One after the other, so that many at once share one pin.
    const bound = this.#turn.then(() => this.#bindNew(priority));
    this.#turn = bound.catch(() => undefined);
    return bound;
  }

  async #bindNew(priority: number): Promise<PinnedMap> {
    const latest = this.#latest;
    if (latest !== undefined && (this.#isFrozen || this.pool.status().sequence === latest.sequence)) {
      latest.hold();
      return latest;
    }
    latest?.hold();
    try {
      const fresh = await this.#pinned({ isPersistent: false, priority });
      if (latest !== undefined && (await this.#isSame(latest, fresh))) {
        await this.#shareOn(latest, fresh);
        return latest;
      }
      this.#latest = fresh;
      latest?.release();
      return fresh;
    } catch (error) {
      latest?.release();
      throw error;
    }
  }

  /** A pin that is durable when this resolves and outlives a restart; never shared. */
  bindPersistent(label: string, priority: number): Promise<PinnedMap> {
    return this.#pinned({ isPersistent: true, label, priority });
  }

  async #pinned(options: { isPersistent: boolean; label?: string; priority: number }): Promise<PinnedMap> {
    await this.board.makeRoom(options.priority);
    if (!this.exists())
      throw new RopewalkError(
        "VOLUME_NOT_FOUND",
        `${this.description} was deleted; there is nothing to bind.`,
      );
    const { isPersistent, label } = options;
    const before = this.pool.status().sequence;
    const pinning = this.pool.pin(this.#map, {
      persistent: isPersistent,
      ...(label !== undefined && { label }),
    });
    const after = this.pool.status().sequence;
    if (isPersistent && this.board.plants.has("token-early-ack")) {
      const early = this.pool.pins().find((pin) => pin.label === label);
      if (early !== undefined)
        return new PinnedMap({ origin: this, pin: early.id, isPersistent, sequence: -1 });
    }
    // Only when its record was appended at once, and alone, is it known which one it is.
    const sequence = after === before + 1 ? after : -1;
    return new PinnedMap({ origin: this, pin: await pinning, isPersistent, sequence });
  }

  /** `fresh` was found to be `latest` once more: it goes, and `latest` is known to be good up to then. */
  async #shareOn(latest: PinnedMap, fresh: PinnedMap): Promise<void> {
    const before = this.pool.status().sequence;
    latest.sequence = fresh.sequence;
    fresh.release();
    await fresh.settled;
    // The record of its end, and no other, came since.
    if (latest.sequence === before && this.pool.status().sequence === before + 1)
      latest.sequence = before + 1;
  }

  async #isSame(one: PinnedMap, other: PinnedMap): Promise<boolean> {
    if (one.sizeBytes !== other.sizeBytes) return false;
    if (this.board.plants.has("token-stale-pin")) return true;
    for await (const _ of this.pool.difference({ from: { pin: one.pin }, to: { pin: other.pin } }))
      return false;
    return true;
  }

  /** Whether the origin reads otherwise than `bound` in one of the ranges: by bytes where pages are cut. */
  async differs(bound: PinnedMap, ranges: readonly ByteRange[]): Promise<boolean> {
    if (this.#isFrozen) return false;
    if (this.pool.status().sequence === bound.sequence) return false;
    bound.hold();
    let now: PinnedMap | undefined;
    try {
      now = await this.bind(Number.MAX_SAFE_INTEGER);
      if (now === bound) return false;
      for (const range of ranges) if (await this.#differsIn(bound, now, range)) return true;
      return false;
    } finally {
      now?.release();
      bound.release();
    }
  }

  async #differsIn(bound: PinnedMap, now: PinnedMap, range: ByteRange): Promise<boolean> {
    const end = range.offsetBytes + range.lengthBytes;
    if (end > now.sizeBytes) return true;
    const differences = this.pool.difference({
      from: { pin: bound.pin },
      to: { pin: now.pin },
      offset: range.offsetBytes,
      length: range.lengthBytes,
    });
    for await (const { offsetBytes, lengthBytes } of differences) {
      const from = Math.max(offsetBytes, range.offsetBytes);
      const to = Math.min(offsetBytes + lengthBytes, end);
      if (to - from >= COMPARED_BYTES_MAX) return true;
      if (to > from && !(await haveSameBytes(bound, now, from, to - from))) return true;
    }
    return false;
  }

  made(map: PinnedMap): void {
    this.maps += 1;
    this.board.maps.add(map);
  }

  /** The map is given back. */
  forget(map: PinnedMap): void {
    if (this.#latest === map) this.#latest = undefined;
    this.board.maps.delete(map);
    this.maps -= 1;
    if (this.maps === 0) this.board.idle(this);
  }
}

/** Tokens that follow their origin: each use reads a map of its own, frozen when the use began. */
export class FollowedMap implements TokenBacking {
  readonly origin: PoolOrigin;
  readonly settled = Promise.resolve();

  constructor(origin: PoolOrigin) {
    this.origin = origin;
  }

  hold(): void {}

  release(): void {}

  async open(): Promise<TokenContent> {
    const map = await this.origin.bind(Number.MAX_SAFE_INTEGER).catch((error: unknown) => {
      if (this.origin.maps === 0) this.origin.board.idle(this.origin);
      throw error;
    });
    const content = await map.open();
    return { ...content, close: () => map.release() };
  }

  hasChanged(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

async function haveSameBytes(
  one: PinnedMap,
  other: PinnedMap,
  offset: number,
  length: number,
): Promise<boolean> {
  const [first, second] = [Buffer.alloc(length), Buffer.alloc(length)];
  await (await one.open()).read(offset, first);
  await (await other.open()).read(offset, second);
  return first.equals(second);
}
