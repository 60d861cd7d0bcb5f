/**
 * The device of the layer `defer`: answers token writes before their data is there, and has it there when it is looked at.
 *
 * Always holds: a range with moves is read, bound or made durable only after they were carried out; a change that covers
 * moves drops them when it has succeeded, not before; what is deferred is only what defer.md calls safe to hold.
 * Errors: those of the device below; IO_ERROR with the reason where a move could not be carried out.
 */
import {
  type BlockDevice,
  type Capabilities,
  type Completion,
  type Extent,
  type Geometry,
  RequestFlag,
} from "../block-device.ts";
import type {
  ByteRange,
  DeviceOffload,
  OffloadReadRequest,
  OffloadReadResult,
  OffloadWriteRequest,
  OffloadWriteResult,
} from "../offload.ts";
import { DeferredMover } from "./deferred-mover.ts";
import type { DeferredMove } from "./deferred-moves.ts";
import { ExtentList } from "./extent-list.ts";
import type { LayerWorld } from "./layer.ts";
import { RangeGate } from "./range-gate.ts";
import { bytesOfRanges } from "./split-offload.ts";
import { readTokenClaims } from "./token-claims.ts";

/** Alternatives that are kept for one write. */
const TOKENS_MAX = 8;
/** How much longer than the delay a token lives that is deferred. EXTENDED COPY's own live a minute. */
const LIFE_MARGIN_MS = 120_000;

export interface DeferOptions {
  readonly delayMs: number;
  readonly bytesMax: number;
  readonly movesMax: number;
  readonly tokens: "persistent" | "preserve";
  readonly world: LayerWorld;
  readonly print: (line: string) => void;
}

/** Over a device that has token copies. */
export class DeferDevice implements BlockDevice {
  readonly geometry: Geometry;
  readonly capabilities: Capabilities;
  readonly offload: DeviceOffload;
  readonly #inner: BlockDevice;
  readonly #below: DeviceOffload;
  readonly #options: DeferOptions;
  readonly #gate: RangeGate;
  readonly #mover: DeferredMover;
  /** Until then a token may live that follows the device or ends with a change, which the device below must see at once. */
  #watchedUntilMs = 0;

  constructor(inner: BlockDevice, below: DeviceOffload, options: DeferOptions) {
    this.#inner = inner;
    this.#below = below;
    this.#options = options;
    this.geometry = inner.geometry;
    this.capabilities = inner.capabilities;
    this.#gate = new RangeGate(inner.geometry.minimumBlockBytes);
    const { delayMs, print, world } = options;
    this.#mover = new DeferredMover({ below, gate: this.#gate, clock: world.clock, delayMs, print });
    this.offload = {
      providers: below.providers,
      read: (request) => this.#tokenRead(request),
      write: (request) => this.#tokenWrite(request),
    };
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  read(offset: number, target: Uint8Array): Completion {
    const range = { offsetBytes: offset, lengthBytes: target.length };
    if (!this.#mover.moves.touches(range)) return this.#inner.read(offset, target);
    return this.#alone([range], async () => {
      await this.#mover.carryOut(range);
      await this.#inner.read(offset, target);
    });
  }

  write(offset: number, source: Uint8Array, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: source.length };
    return this.#change(range, flags, () => this.#inner.write(offset, source, flags));
  }

  zero(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#change(range, flags, () => this.#inner.zero(offset, length, flags));
  }

  trim(offset: number, length: number, flags: number): Completion {
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#change(range, flags, () => this.#inner.trim(offset, length, flags));
  }

  flush(): Completion {
    if (this.#mover.moves.count === 0) return this.#inner.flush();
    return this.#flushBehindMoves();
  }

  extents(offset: number, length: number, extentsMax: number): Extent[] | Promise<Extent[]> {
    if (this.#mover.moves.count === 0) return this.#inner.extents(offset, length, extentsMax);
    const range = { offsetBytes: offset, lengthBytes: length };
    return this.#gate.during([range], "shared", () => this.#extentsHeld(range, extentsMax));
  }

  async close(): Promise<void> {
    try {
      await this.#mover.stop();
      await this.#mover.complete(this.#mover.lastNumber);
    } finally {
      const { failedBytes } = this.#mover.moves;
      if (failedBytes > 0)
        this.#options.print(`closed while ${failedBytes} bytes are not what was acknowledged; they are lost`);
      await this.#inner.close();
    }
  }

  #change({ offsetBytes, lengthBytes }: ByteRange, flags: number, act: () => Completion): Completion {
    const { moves } = this.#mover;
    const range = { offsetBytes, lengthBytes };
    const isDurable = (flags & RequestFlag.fua) !== 0 && moves.count > 0;
    if (!isDurable && !moves.touches(range)) return act();
    const change = async (): Promise<void> => {
      await act();
      moves.cut(range);
    };
    return isDurable ? this.#behindMoves(() => this.#alone([range], change)) : this.#alone([range], change);
  }

  /** The change, then every move that was answered before it; one that fails is not the change's failure. */
  async #behindMoves<Result>(change: () => Promise<Result>): Promise<Result> {
    const upTo = this.#mover.lastNumber;
    const result = await change();
    await this.#mover.complete(upTo).catch(() => undefined);
    return result;
  }

  async #flushBehindMoves(): Promise<void> {
    const failure = await this.#mover.complete(this.#mover.lastNumber).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    await this.#inner.flush();
    if (failure !== undefined) throw failure.error;
  }

  /**
   * Alone on the ranges. What the work would leave two moves of, where there is no room for one more, is carried out
   * first. IO_ERROR
   */
  async #alone<Result>(ranges: readonly ByteRange[], work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      const hold = await this.#gate.enter(ranges, "exclusive");
      const split = this.#splitWithoutRoom(ranges);
      if (split === undefined) {
        try {
          return await work();
        } finally {
          this.#gate.leave(hold);
        }
      }
      this.#gate.leave(hold);
      await this.#mover.finish(split);
    }
  }

  #splitWithoutRoom(ranges: readonly ByteRange[]): DeferredMove | undefined {
    const { moves } = this.#mover;
    if (moves.count + ranges.length <= this.#options.movesMax) return undefined;
    for (const range of ranges) {
      const move = moves.splitBy(range);
      if (move !== undefined) return move;
    }
    return undefined;
  }

  async #extentsHeld(range: ByteRange, extentsMax: number): Promise<Extent[]> {
    const list = new ExtentList(range.offsetBytes, extentsMax);
    const end = range.offsetBytes + range.lengthBytes;
    for (const move of this.#mover.moves.overlapping(range)) {
      if (!(await this.#addBelow(list, Math.min(move.offsetBytes, end), extentsMax))) return list.extents;
      const moveEnd = Math.min(move.offsetBytes + move.lengthBytes, end);
      if (!list.add(moveEnd - list.endBytes, "data")) return list.extents;
    }
    await this.#addBelow(list, end, extentsMax);
    return list.extents;
  }

  /** What the device below says up to `end`; false when no more fit in. */
  async #addBelow(list: ExtentList, end: number, extentsMax: number): Promise<boolean> {
    while (list.endBytes < end) {
      const from = list.endBytes;
      for (const extent of await this.#inner.extents(from, end - from, extentsMax))
        if (!list.add(Math.min(extent.lengthBytes, end - list.endBytes), extent.kind)) return false;
      if (list.endBytes === from) return false;
    }
    return true;
  }

  #tokenRead(request: OffloadReadRequest): Promise<OffloadReadResult> {
    const { clock } = this.#options.world;
    if (request.policy !== "preserve")
      this.#watchedUntilMs = Math.max(this.#watchedUntilMs, clock.nowMs() + request.ttlMs);
    return this.#alone(request.ranges, async () => {
      for (const range of request.ranges) await this.#mover.carryOut(range);
      return await this.#below.read(request);
    });
  }

  #tokenWrite(request: OffloadWriteRequest): Promise<OffloadWriteResult> {
    const write = (): Promise<OffloadWriteResult> =>
      this.#alone(request.ranges, async () => {
        const isDeferred =
          this.#mayDefer(request) && (await this.#isTaken(request)) && this.#mayDefer(request);
        if (!isDeferred) return await this.#writeNow(request);
        this.#mover.add(request);
        return { lengthBytes: bytesOfRanges(request.ranges), movedBytes: 0 };
      });
    return request.fua ? this.#behindMoves(write) : write();
  }

  /** There is room for it, and all of its tokens are safe to hold, by what they say. */
  #mayDefer(request: OffloadWriteRequest): boolean {
    const { tokens, companions = [], ranges, tokenOffsetBytes, fua, signal } = request;
    const { moves } = this.#mover;
    const { delayMs, bytesMax, movesMax, world, ...options } = this.#options;
    const lengthBytes = bytesOfRanges(ranges);
    if (fua || lengthBytes === 0 || companions.length > 0 || signal?.aborted === true) return false;
    // Each range is a move, and may cut an older one in two.
    if (moves.count + 2 * ranges.length > movesMax || moves.bytes + lengthBytes > bytesMax) return false;
    if (world.clock.nowMs() < this.#watchedUntilMs) return false;
    if (tokens.length === 0 || tokens.length > TOKENS_MAX) return false;
    const neededUntilMs = world.clock.wallMs() + delayMs + LIFE_MARGIN_MS;
    return tokens.every((bytes) => {
      const token = readTokenClaims(bytes);
      if (token === undefined || token.isOneUse || !token.isPreserved) return false;
      if (options.tokens === "persistent" && !token.isPersistent) return false;
      return token.expiresAtMs >= neededUntilMs && token.lengthBytes >= tokenOffsetBytes + lengthBytes;
    });
  }

  /** Whether the device below would write from a token of the request: it is asked to write none of it. */
  #isTaken(request: OffloadWriteRequest): Promise<boolean> {
    const { offsetBytes } = request.ranges[0]!;
    return this.#below.write({ ...request, ranges: [{ offsetBytes, lengthBytes: 0 }], isPart: true }).then(
      () => true,
      () => false,
    );
  }

  /** The ranges are held. */
  async #writeNow(request: OffloadWriteRequest): Promise<OffloadWriteResult> {
    const result = await this.#below.write(request);
    let left = result.lengthBytes;
    for (const { offsetBytes, lengthBytes } of request.ranges) {
      this.#mover.moves.cut({ offsetBytes, lengthBytes: Math.min(left, lengthBytes) });
      left -= Math.min(left, lengthBytes);
    }
    return result;
  }
}
