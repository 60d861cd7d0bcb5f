/**
 * Everything that tokens were made of and that is open or kept: volumes and snapshots of the pool, and other devices;
 * and the pins that they share between them.
 *
 * Always holds: one origin for each volume, snapshot or device; those of the pool are forgotten when they have neither
 * openings nor pins, the others with their last opening. Errors: TOO_MANY (pins).
 */
import { createHash } from "node:crypto";
import { type Clock, nextTurn } from "../ports/mod.ts";
import type { ChecksumFiles } from "./checksum-files.ts";
import { EmulatedLive, EmulatedOrigin } from "./emulated-origin.ts";
import type { PinBoard } from "./pinned-map.ts";
import { findPoolObject, mapName, POOL_PROVIDER, type PoolObject, PoolOrigin } from "./pool-origin.ts";
import type { TokenBacking, TokenOrigin } from "./token-backing.ts";
import type { TokenLedger } from "./token-ledger.ts";
import { LOCATOR_BYTES } from "./token-payload.ts";
import type { TokenPool } from "./token-pool.ts";

interface KeptOrigin {
  readonly origin: PoolOrigin;
  openings: number;
}

export class TokenOrigins {
  readonly #pool: TokenPool;
  readonly #clock: Clock;
  readonly #ledger: TokenLedger;
  readonly #board: PinBoard;
  readonly #checksumFiles: ChecksumFiles | undefined;
  /** By the pool's number of the volume or snapshot. */
  readonly #ofPool = new Map<number, KeptOrigin>();
  readonly #emulated = new Map<string, EmulatedOrigin>();
  #durable: Promise<void> = Promise.resolve();
  #nextDurable: Promise<void> | undefined;

  constructor(options: {
    pool: TokenPool;
    clock: Clock;
    ledger: TokenLedger;
    checksumFiles?: ChecksumFiles | undefined;
    report: (sentence: string) => void;
    plants: ReadonlySet<string>;
  }) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.#ledger = options.ledger;
    this.#checksumFiles = options.checksumFiles;
    this.#board = {
      maps: new Set(),
      plants: options.plants,
      idle: (origin) => this.#forgetIdle(origin),
      report: options.report,
      makeRoom: (priority) => this.#makePinRoom(priority),
      makeDurable: () => this.#makeDurable(),
    };
  }

  ofPool(object: PoolObject): PoolOrigin {
    return this.#kept(object).origin;
  }

  opened(object: PoolObject): PoolOrigin {
    const kept = this.#kept(object);
    kept.openings += 1;
    return kept.origin;
  }

  closed(origin: PoolOrigin): void {
    const kept = this.#ofPool.get(origin.object.objectId);
    if (kept?.origin === origin) kept.openings -= 1;
    this.#forgetIdle(origin);
  }

  emulated(options: { id: string; description: string; lastingName?: string | undefined }): EmulatedOrigin {
    let origin = this.#emulated.get(options.id);
    if (origin !== undefined) return origin;
    const files = this.#checksumFiles;
    const { id, description, lastingName: name } = options;
    origin = new EmulatedOrigin({
      id,
      description,
      lasting: files === undefined || name === undefined ? undefined : { files, name },
      preservedBytesMax: this.#ledger.settings.preservedBytesMax,
      checksumBytesMax: this.#ledger.settings.checksumBytesMax,
      events: {
        changed: (slots) => this.cancelChanged(slots),
        giveUp: (given) => this.#ledger.giveUpOneOf(given.bindings(), "preserved"),
        saving: (given, bytes) => {
          if (this.#ledger.load.isOverheadAbove(bytes))
            this.#ledger.giveUpOneOf(given.bindings(), "overhead");
        },
        closed: (given) => {
          this.#emulated.delete(given.provider);
          this.#ledger.cancelOrigin(given);
        },
      },
    });
    this.#emulated.set(options.id, origin);
    return origin;
  }

  cancelChanged(slots: Iterable<number>): void {
    for (const slot of slots) void this.#ledger.cancel(slot, "changed");
  }

  /** What a locator names, as it is when it is opened; undefined when it is not there. */
  liveAt(locator: Uint8Array): TokenBacking | undefined {
    const emulated = this.#emulatedAt(locator);
    if (emulated !== undefined) return new EmulatedLive(emulated);
    const object = this.#objectAt(locator);
    return object && this.ofPool(object).followed;
  }

  /** Other maps of the same volume, the newest first: what the one of the locator no longer holds may be in them. */
  *relativesOf(locator: Uint8Array, countMax: number): Generator<TokenBacking> {
    const object = this.#objectAt(locator);
    if (object === undefined) return;
    const { volume, snapshot } = object.map;
    if (snapshot !== undefined) yield this.ofPool(findPoolObject(this.#pool, { volume })).followed;
    const snapshots = this.#pool.snapshots(volume).filter(({ name }) => name !== snapshot);
    const newest = snapshots.sort((one, other) => other.sequence - one.sequence).slice(0, countMax);
    for (const { id: objectId, uuid, name } of newest)
      yield this.ofPool({ map: { volume, snapshot: name }, objectId, uuid }).followed;
  }

  /** All volumes of the pool, as each is when it is opened, one of them first, by their locators. */
  *volumes(first: string | undefined): Generator<{ backing: TokenBacking; locator: Uint8Array }> {
    const all = this.#pool.volumes();
    const ordered = [
      ...all.filter(({ name }) => name === first),
      ...all.filter(({ name }) => name !== first),
    ];
    for (const { id: objectId, uuid, name: volume } of ordered)
      yield { backing: this.ofPool({ map: { volume }, objectId, uuid }).followed, locator: uuidBytes(uuid) };
  }

  /** Its provider and its description. */
  placeAt(locator: Uint8Array): Pick<TokenOrigin, "provider" | "description"> | undefined {
    const object = this.#objectAt(locator);
    if (object === undefined) return this.#emulatedAt(locator);
    return { provider: POOL_PROVIDER, description: mapName(object.map) };
  }

  #emulatedAt(locator: Uint8Array): EmulatedOrigin | undefined {
    return this.#emulated.values().find((origin) => Buffer.compare(emulatedLocator(origin), locator) === 0);
  }

  #objectAt(locator: Uint8Array): PoolObject | undefined {
    const isNamed = ({ uuid }: { uuid: string }) => Buffer.compare(uuidBytes(uuid), locator) === 0;
    const volume = this.#pool.volumes().find(isNamed);
    if (volume !== undefined) return { map: { volume: volume.name }, objectId: volume.id, uuid: volume.uuid };
    const snapshot = this.#pool.snapshots().find(isNamed);
    if (snapshot === undefined) return undefined;
    const { id: objectId, uuid, volume: of, name } = snapshot;
    return { map: { volume: of, snapshot: name }, objectId, uuid };
  }

  /** Pins of tokens that are not persistent are given back; the others wait for the next `open`. */
  async close(): Promise<void> {
    await Promise.all([...this.#board.maps].map((map) => (map.isPersistent ? map.close() : map.giveBack())));
  }

  #kept(object: PoolObject): KeptOrigin {
    let kept = this.#ofPool.get(object.objectId);
    if (kept === undefined) {
      const origin = new PoolOrigin({ pool: this.#pool, board: this.#board, object });
      this.#ofPool.set(object.objectId, (kept = { origin, openings: 0 }));
    }
    return kept;
  }

  /** The next opening makes it anew. */
  #forgetIdle(origin: PoolOrigin): void {
    const key = origin.object.objectId;
    const kept = this.#ofPool.get(key);
    if (kept?.origin === origin && kept.openings === 0 && origin.maps === 0) this.#ofPool.delete(key);
  }

  async #makePinRoom(priority: number): Promise<void> {
    while (this.#board.maps.size >= this.#ledger.settings.pinsMax) {
      void this.#ledger.pressure.giveUpLowest("pins", priority);
      await nextTurn(this.#clock);
    }
  }

  /** One checkpoint for all who ask before it begins. */
  #makeDurable(): Promise<void> {
    this.#nextDurable ??= this.#durable
      .catch(() => undefined)
      .then(() => {
        this.#nextDurable = undefined;
        this.#durable = this.#pool.checkpoint();
        return this.#durable;
      });
    return this.#nextDurable;
  }
}

export function poolLocator(origin: PoolOrigin): Uint8Array {
  return uuidBytes(origin.object.uuid);
}

export function emulatedLocator(origin: EmulatedOrigin): Uint8Array {
  return createHash("sha256").update(origin.provider).digest().subarray(0, LOCATOR_BYTES);
}

function uuidBytes(uuid: string): Uint8Array {
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}
