/**
 * The token room: every token of a daemon, whatever stack or path it came from (T15), and the devices that give and
 * take them.
 *
 * Always holds: a token that does not verify is TOKEN_UNKNOWN; what a token stands for is read from a frozen map, or
 * from a layer that preserves it; pins that no token needs are given back. Errors: the TOKEN_ codes, TOO_MANY when
 * nothing may make room, SHUTTING_DOWN after `close`.
 */
import { createHash } from "node:crypto";
import { RopewalkError } from "../base/errors.ts";
import {
  type BlockDevice,
  checkDevice,
  type DeviceOffload,
  type OffloadReadRequest,
  type OffloadReadResult,
  type OffloadWriteRequest,
  type OffloadWriteResult,
} from "../device/mod.ts";
import { type Clock, nextTurn, type Random } from "../ports/mod.ts";
import { EmulatedLive, EmulatedOrigin } from "./emulated-origin.ts";
import { EmulatedTokenDevice } from "./emulated-token-device.ts";
import { type BoundData, bindPersistent, restorePersistent, type TokenFacts } from "./persistent-tokens.ts";
import type { PinBoard } from "./pinned-map.ts";
import { findPoolObject, POOL_PROVIDER, type PoolObject, PoolOrigin } from "./pool-origin.ts";
import { PoolTokenDevice } from "./pool-token-device.ts";
import type { TokenContent } from "./token-backing.ts";
import { TokenBytes, UNIT_NAME_BYTES, zeroTokenBytes } from "./token-bytes.ts";
import { type CopySource, type CopyTarget, readToken, TokenCopy } from "./token-copy.ts";
import type { TokenCounters } from "./token-counters.ts";
import { TokenLedger } from "./token-ledger.ts";
import type { TokenPool } from "./token-pool.ts";
import { providerIds, providerOf } from "./token-providers.ts";
import { TokenRanges } from "./token-ranges.ts";
import { checkReadRequest } from "./token-request.ts";
import type { TokenRun } from "./token-run.ts";
import { type PoolMap, TOKEN_BYTES, type TokenInfo, type TokenService } from "./token-service.ts";
import { completeTokenSettings, type GivenTokenSettings, type TokenSettings } from "./token-settings.ts";

export interface TokenRoomOptions {
  readonly pool: TokenPool;
  readonly clock: Clock;
  readonly random: Random;
  /** 32 secret bytes; with another key all tokens are unknown. */
  readonly key: Uint8Array;
  readonly settings?: GivenTokenSettings;
  /** Told of tokens that were given up, and of pins that cannot be read. */
  readonly report: (sentence: string) => void;
}

export class TokenRoom implements TokenService {
  readonly zeroToken = zeroTokenBytes();
  readonly settings: TokenSettings;
  readonly #pool: TokenPool;
  readonly #clock: Clock;
  readonly #ledger: TokenLedger;
  readonly #board: PinBoard;
  /** By the pool's number of the volume or snapshot. */
  readonly #poolOrigins = new Map<number, { origin: PoolOrigin; openings: number }>();
  readonly #emulatedOrigins = new Map<string, EmulatedOrigin>();
  readonly #copySource: CopySource;
  #durable: Promise<void> = Promise.resolve();
  #nextDurable: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: TokenRoomOptions) {
    this.#pool = options.pool;
    this.#clock = options.clock;
    this.settings = completeTokenSettings(options.settings ?? {});
    this.#ledger = new TokenLedger({
      clock: options.clock,
      random: options.random,
      settings: this.settings,
      bytes: new TokenBytes(options.key),
      report: options.report,
    });
    this.#board = {
      maps: new Set(),
      idle: (origin) => this.#forgetIdleOrigin(origin),
      report: options.report,
      makeRoom: (priority) => this.#makePinRoom(priority),
      makeDurable: () => this.#makeDurable(),
    };
    this.#copySource = {
      clock: options.clock,
      begin: (token, channel) => this.#begin(token, channel),
      finish: (run, content, { isUsed }) => this.#finish(run, content, { isUsed }),
      stopped: (run) => this.#stopped(run),
    };
  }

  /** Takes up the persistent tokens of the pool again; those whose time is over end. INVALID_ARGUMENT (settings) */
  static async open(options: TokenRoomOptions): Promise<TokenRoom> {
    const room = new TokenRoom(options);
    await restorePersistent({
      pool: options.pool,
      ledger: room.#ledger,
      report: options.report,
      originOf: (object) => room.#poolOrigin(object).origin,
    });
    return room;
  }

  get counters(): Readonly<TokenCounters> {
    return this.#ledger.counters;
  }

  // ---- devices ----

  /** VOLUME_NOT_FOUND, SNAPSHOT_NOT_FOUND */
  overPool(map: PoolMap, base: BlockDevice): BlockDevice {
    const checked = checkDevice(base);
    const object = findPoolObject(this.#pool, map);
    const kept = this.#poolOrigin(object);
    kept.openings += 1;
    const { origin } = kept;
    const changed = (offset: number, length: number) =>
      this.#cancelChanged(origin.watched.find(offset, length));
    return checkDevice(
      new PoolTokenDevice({
        base: checked,
        origin,
        onChange: changed,
        onClose: () => {
          kept.openings -= 1;
          this.#forgetIdleOrigin(origin);
        },
        offload: (device) => this.#poolOffload(device, origin, checked.offload),
      }),
    );
  }

  emulatedOver(base: BlockDevice, options: { id: string; description: string }): BlockDevice {
    const checked = checkDevice(base);
    let origin = this.#emulatedOrigins.get(options.id);
    if (origin === undefined) {
      origin = new EmulatedOrigin({
        ...options,
        preservedBytesMax: this.settings.preservedBytesMax,
        events: {
          changed: (slots) => this.#cancelChanged(slots),
          giveUp: (given) => this.#ledger.giveUpOneOf(given.bindings(), "preserved"),
          closed: (given) => {
            this.#emulatedOrigins.delete(given.provider);
            this.#ledger.cancelOrigin(given);
          },
        },
      });
      this.#emulatedOrigins.set(options.id, origin);
    }
    const found = origin;
    return checkDevice(
      new EmulatedTokenDevice({
        base: checked,
        origin: found,
        offload: (device) => this.#emulatedOffload(device, found, checked.offload),
      }),
    );
  }

  #poolOffload(device: PoolTokenDevice, origin: PoolOrigin, below: DeviceOffload | undefined): DeviceOffload {
    const unit = unitName(origin.object.uuid.replaceAll("-", ""));
    const { volume, snapshot } = origin.object.map;
    const graft = async (piece: { pin: number; sourceOffset: number; offset: number; length: number }) => {
      device.changes(piece.offset, piece.length);
      const { pin, ...rest } = piece;
      await this.#pool.graft({ source: { pin }, volume, ...rest });
    };
    const target: CopyTarget = snapshot === undefined ? { device, graft } : { device };
    return {
      providers: providerIds(POOL_PROVIDER, below),
      read: (request) => {
        const other = providerOf(POOL_PROVIDER, below, request);
        if (other !== undefined) return other();
        return this.#issue(request, unit, (facts) => this.#bindPool(origin, request, facts));
      },
      write: (request) => this.#write(target, below, request),
    };
  }

  #emulatedOffload(
    device: EmulatedTokenDevice,
    origin: EmulatedOrigin,
    below: DeviceOffload | undefined,
  ): DeviceOffload {
    const unit = unitName(createHash("sha256").update(origin.provider).digest("hex"));
    return {
      providers: providerIds(origin.provider, below),
      read: (request) => {
        const other = providerOf(origin.provider, below, request);
        if (other !== undefined) return other();
        return this.#issue(request, unit, async () => {
          const ranges = new TokenRanges(request.ranges);
          if (request.persistent)
            throw this.#ledger.refuse(
              "TOKEN_UNSUPPORTED",
              "What this provider keeps is lost with the process.",
            );
          if (request.policy === "reference") return { backing: new EmulatedLive(origin), ranges };
          return { backing: await origin.bind(ranges.ranges), ranges };
        });
      },
      write: (request) => this.#write({ device }, below, request),
    };
  }

  // ---- giving tokens ----

  async #issue(
    request: OffloadReadRequest,
    unit: Uint8Array,
    bind: (facts: TokenFacts) => Promise<BoundData>,
  ): Promise<OffloadReadResult> {
    this.#checkOpen();
    const ledger = this.#ledger;
    const problem = checkReadRequest(request, this.settings);
    if (problem !== undefined) throw ledger.refuse(problem.code, problem.sentence);
    const asked = new TokenRanges(request.ranges);
    if (asked.lengthBytes === 0) return { tokens: [], lengthBytes: 0 };
    const { policy, persistent, deleteOnUse, isProtected, inactivityMs, priority, creator } = request;
    await ledger.makeRoom({ ranges: asked, policy, priority });
    const createdAtMs = ledger.nowMs();
    const facts = { ...ledger.newId(), createdAtMs, expiresAtMs: createdAtMs + request.ttlMs };
    const { ranges, backing } = await bind(facts);
    if (this.#closing !== undefined) {
      backing.release();
      this.#checkOpen();
    }
    const all = { ...facts, policy, persistent, deleteOnUse, isProtected };
    ledger.add({ ...all, ranges, inactivityMs, priority, creator }, backing);
    ledger.counters.created += 1;
    const { lengthBytes } = ranges;
    const token = ledger.bytes.encode({ ...all, unit, lengthBytes });
    return { tokens: [{ token, dataOffsetBytes: 0, lengthBytes, role: "primary" }], lengthBytes };
  }

  async #bindPool(origin: PoolOrigin, request: OffloadReadRequest, facts: TokenFacts): Promise<BoundData> {
    const ranges = new TokenRanges(request.ranges);
    if (request.policy === "reference") return { backing: origin.followed, ranges };
    const bound = request.persistent
      ? await bindPersistent(origin, { request, facts, generation: this.#ledger.bytes.generation })
      : { backing: await origin.bind(request.priority), ranges };
    // The volume may have been cut since the request was checked.
    if (bound.ranges.isInside(bound.backing.sizeBytes)) return bound;
    bound.backing.release();
    throw this.#ledger.refuse(
      "INVALID_RANGE",
      "A range ends past the end of what the token is to be made of.",
    );
  }

  #poolOrigin(object: PoolObject): { origin: PoolOrigin; openings: number } {
    const key = object.objectId;
    let kept = this.#poolOrigins.get(key);
    if (kept === undefined) {
      const origin = new PoolOrigin({ pool: this.#pool, board: this.#board, object });
      this.#poolOrigins.set(key, (kept = { origin, openings: 0 }));
    }
    return kept;
  }

  /** Origins without openings and pins are forgotten; the next opening makes them anew. */
  #forgetIdleOrigin(origin: PoolOrigin): void {
    const key = origin.object.objectId;
    const kept = this.#poolOrigins.get(key);
    if (kept?.origin === origin && kept.openings === 0 && origin.maps === 0) this.#poolOrigins.delete(key);
  }

  async #makePinRoom(priority: number): Promise<void> {
    while (this.#board.maps.size >= this.settings.pinsMax) {
      void this.#ledger.giveUpLowest("pins", priority);
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

  #cancelChanged(slots: Iterable<number>): void {
    for (const slot of slots) void this.#ledger.cancel(slot, "changed");
  }

  // ---- taking tokens ----

  async #write(
    target: CopyTarget,
    below: DeviceOffload | undefined,
    request: OffloadWriteRequest,
  ): Promise<OffloadWriteResult> {
    this.#checkOpen();
    if (below !== undefined && !request.tokens.some((token) => this.#isOurs(token)))
      return below.write(request);
    const result = await new TokenCopy(this.#copySource, target, request).run();
    this.#ledger.counters.bytesMoved += result.movedBytes;
    return result;
  }

  #isOurs(token: Uint8Array): boolean {
    return this.#isZero(token) || this.#ledger.bytes.verify(token) !== undefined;
  }

  #isZero(token: Uint8Array): boolean {
    return token.length === TOKEN_BYTES && Buffer.compare(token, this.zeroToken) === 0;
  }

  async #begin(
    token: Uint8Array,
    channel: { isProtected: boolean },
  ): Promise<{ run: TokenRun; content: TokenContent } | undefined> {
    this.#checkOpen();
    if (this.#isZero(token)) {
      this.#ledger.counters.used += 1;
      return undefined;
    }
    const slot = this.#ledger.find(token);
    this.#ledger.checkChannel(slot, channel);
    const run = this.#ledger.beginRun(slot);
    let content: TokenContent | undefined;
    try {
      if (run.policy === "invalidate" && (await run.backing.hasChanged(run.ranges.ranges)))
        void this.#ledger.endOf(run, "cancelled");
      if (run.endedAs === undefined) content = await run.backing.open(run.ranges.ranges);
      if (run.endedAs !== undefined) throw run.endedAs;
      return { run, content: content! };
    } catch (error) {
      content?.close();
      this.#ledger.finishRun(run);
      throw error;
    }
  }

  async #finish(run: TokenRun, content: TokenContent, { isUsed }: { isUsed: boolean }): Promise<void> {
    content.close();
    const ended = run.deleteOnUse && isUsed ? this.#ledger.endOf(run, "deleted") : undefined;
    this.#ledger.finishRun(run);
    await ended;
  }

  #stopped(run: TokenRun): RopewalkError | undefined {
    if (this.#closing !== undefined) return new RopewalkError("SHUTTING_DOWN", "The token room is closing.");
    return this.settings.runningWrites === "abort" ? run.endedAs : undefined;
  }

  show(token: Uint8Array, channel: { isProtected: boolean }): TokenInfo {
    this.#checkOpen();
    if (this.#isZero(token)) return ZERO_INFO;
    const slot = this.#ledger.find(token);
    this.#ledger.checkChannel(slot, channel);
    return this.#ledger.info(slot);
  }

  /** Live ones, in the order they were made. */
  list(): TokenInfo[] {
    return this.#ledger.list();
  }

  async read(
    token: Uint8Array,
    offset: number,
    target: Uint8Array,
    channel: { isProtected: boolean },
  ): Promise<number> {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw this.#ledger.refuse("INVALID_RANGE", `${offset} is no place in a token.`);
    const begun = await this.#begin(token, channel);
    if (begun === undefined) {
      target.fill(0);
      return target.length;
    }
    const { run, content } = begun;
    try {
      const inside = Math.min(target.length, Math.max(0, run.ranges.lengthBytes - offset));
      await readToken(run, content, offset, target.subarray(0, inside));
      target.fill(0, inside);
      return inside;
    } finally {
      await this.#finish(run, content, { isUsed: false });
    }
  }

  async revoke(token: Uint8Array, { strength }: { strength: "mandatory" | "hint" }): Promise<void> {
    this.#checkOpen();
    if (this.#isZero(token)) throw this.#ledger.refuse("TOKEN_UNSUPPORTED", "The token of zeros has no end.");
    const slot = this.#ledger.find(token);
    if (strength === "hint") this.#ledger.hint(slot);
    else await this.#ledger.revoke(slot);
  }

  endCreator(creator: string): void {
    if (this.settings.endWithSession) void this.#ledger.endCreator(creator);
  }

  /** Runs stop, pins of tokens that are not persistent are given back; the others wait for the next `open`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#ledger.close();
    await Promise.all([...this.#board.maps].map((map) => (map.isPersistent ? map.close() : map.giveBack())));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new RopewalkError("SHUTTING_DOWN", "The token room is closing.");
  }
}

const ZERO_INFO: TokenInfo = {
  id: "0".repeat(16),
  state: "valid",
  kind: "zero",
  lengthBytes: Number.MAX_SAFE_INTEGER,
  policy: "preserve",
  persistent: true,
  deleteOnUse: false,
  priority: 0,
  createdAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  inactivityMs: 0,
  uses: 0,
  usedAtMs: 0,
  creator: "",
  provider: "zero",
  source: "zeros",
};

/** An NAA name of the kind that is assigned locally (SPC-4, 7.8.6.6.5), from hexadecimal digits. */
function unitName(digits: string): Uint8Array {
  return Buffer.from(`3${digits.slice(0, UNIT_NAME_BYTES * 2 - 1)}`, "hex");
}
