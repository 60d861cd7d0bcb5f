/**
 * What clients do to a volume: write, zero, trim, flush, read, ask for extents; each with its promise.
 *
 * Always holds: an acknowledged write is promised as written, one with FUA as durable; an acknowledged flush
 * makes all that was acknowledged before it durable. A read must return, for every unit, a value that the unit
 * had between the read's begin and its end (`content`).
 */
import type { ErrorCode } from "../src/base/errors.ts";
import { RequestFlag } from "../src/device/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import { checkBytes } from "./checks/contents.ts";
import type { Life } from "./machine.ts";
import type { Marks } from "./map-model.ts";
import type { Request } from "./requests.ts";
import { pageBytes, requestBytes, stampZero, unitBytes } from "./unit-content.ts";
import type { VolumeAccess } from "./volume-access.ts";

/** A full pool may refuse whatever needs space. */
const errorsOfFullPool: readonly ErrorCode[] = ["NO_SPACE"];

export interface RangeRequest {
  readonly volume: number;
  readonly offset: number;
  readonly length: number;
  readonly flags: number;
}

export class DataRequests {
  readonly #life: Life;
  readonly #access: VolumeAccess;
  /** Requests that the pool refused for want of space. */
  refused = 0;

  constructor(life: Life, access: VolumeAccess) {
    this.#life = life;
    this.#access = access;
  }

  /** Names for the units and blocks that a request on this range touches. */
  marks(offset: number, length: number): Marks {
    const { content } = this.#life.machine;
    const units = Math.ceil((offset + length) / unitBytes) - Math.floor(offset / unitBytes);
    const pages = Math.ceil((offset + length) / pageBytes) - Math.floor(offset / pageBytes);
    return {
      requestOffset: offset,
      firstStamp: content.reserveStamps(units),
      firstBlock: content.reserveBlocks(pages),
    };
  }

  async write({ volume, offset, length, flags }: RangeRequest): Promise<void> {
    const marks = this.marks(offset, length);
    const request = this.#life.requests.begin({
      kind: "write",
      volume,
      range: { offset, length },
      change: (event) => ({ kind: "write", volume, offset: event.offset, length: event.length, marks }),
    });
    const data = requestBytes(marks.firstStamp, offset, length);
    const device = this.#access.acquire(volume);
    try {
      await this.#life.completion(() => device.write(offset, data, flags), "write");
      if (!request.complete)
        throw new CheckFailed("no-record", `a write at ${offset} was acknowledged without one`);
      this.#promise(request, flags);
    } catch (error) {
      this.#refuse(error, `write at ${offset}+${length}`);
    } finally {
      this.#finish(volume, request);
    }
  }

  async clear(kind: "zero" | "trim", { volume, offset, length, flags }: RangeRequest): Promise<void> {
    const marks = this.marks(offset, length);
    const request = this.#life.requests.begin({
      kind,
      volume,
      range: { offset, length },
      change: (event) => ({ kind, volume, offset: event.offset, length: event.length, marks }),
    });
    const device = this.#access.acquire(volume);
    try {
      await this.#life.completion(
        () => (kind === "zero" ? device.zero(offset, length, flags) : device.trim(offset, length, flags)),
        kind,
      );
      if (!request.complete) this.#mustBeZero(volume, request.reached, offset + length);
      this.#promise(request, flags);
    } catch (error) {
      const unsupported: ErrorCode[] = (flags & RequestFlag.fast) !== 0 ? ["UNSUPPORTED"] : [];
      this.#refuse(error, `${kind} at ${offset}+${length}`, unsupported);
    } finally {
      this.#finish(volume, request);
    }
  }

  async flush(volume: number): Promise<void> {
    const { history } = this.#life.machine;
    const written = history.writtenFloor;
    const device = this.#access.acquire(volume);
    try {
      await this.#life.completion(() => device.flush(), "flush");
      history.promiseDurable(written);
    } catch (error) {
      this.#refuse(error, "flush");
    } finally {
      this.#access.release(volume);
    }
  }

  async read(volume: number, offset: number, length: number): Promise<void> {
    const life = this.#life;
    const { history, content } = life.machine;
    const firstUnit = Math.floor(offset / unitBytes);
    const units = Math.ceil((offset + length) / unitBytes) - firstUnit;
    const now = () => history.current.volume(volume).map.stamps(firstUnit, units);
    const alternatives = [now()];
    const stop = life.onAppend((event) => {
      if (event.volume === volume) alternatives.push(now());
    });
    const bytes = new Uint8Array(length);
    const device = this.#access.acquire(volume);
    try {
      await life.completion(() => device.read(offset, bytes), "read");
      checkBytes(content, `read of volume ${volume}`, bytes, offset, alternatives);
    } catch (error) {
      life.expectError(error, `read at ${offset}+${length}`, []);
    } finally {
      stop();
      this.#access.release(volume);
    }
  }

  #promise(request: Request, flags: number): void {
    const { history } = this.#life.machine;
    if ((flags & RequestFlag.fua) !== 0) history.promiseDurable(request.lastSequence);
    else history.promiseWritten(request.lastSequence);
  }

  /** A zero or trim may leave out what is empty anyway. */
  #mustBeZero(volume: number, from: number, to: number): void {
    const first = Math.floor(from / unitBytes);
    const { map } = this.#life.machine.history.current.volume(volume);
    const end = Math.min(to, map.sizeBytes);
    if (map.stamps(first, Math.ceil(end / unitBytes) - first).some((stamp) => stamp > stampZero))
      throw new CheckFailed(
        "no-record",
        `clearing ${from} to ${to} was acknowledged, and data is left there`,
      );
  }

  #refuse(error: unknown, doing: string, more: readonly ErrorCode[] = []): void {
    const code = this.#life.expectError(error, doing, [...errorsOfFullPool, ...more]);
    if (code === "NO_SPACE") this.refused++;
  }

  #finish(volume: number, request: Request): void {
    this.#life.requests.end(request);
    this.#access.release(volume);
  }
}
