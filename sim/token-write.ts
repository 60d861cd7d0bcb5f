/**
 * One token write at work: its pieces as the pool is asked for them, held against what the token stands for.
 *
 * Always holds: pieces come in the order of the ranges, each where the last one ended (`token-write`), and with the
 * bytes that one of the tokens has there (`token-content`). The model changes by the pieces' records alone.
 */
import type { BlockDevice, ByteRange } from "../src/device/mod.ts";
import { CheckFailed } from "./check-failed.ts";
import type { DataRequests } from "./data-requests.ts";
import { deviceOver } from "./device-over.ts";
import type { Life } from "./machine.ts";
import type { RequestShape } from "./requests.ts";
import type { TokenBook } from "./token-book.ts";
import type { TokenContent } from "./token-content.ts";
import { stampZero, unitBytes } from "./unit-content.ts";

/** A token of the write: what it may hold. `zeros`: the token of zeros. */
export type TokenWriteSource = { readonly content: TokenContent } | "zeros";

interface Piece {
  readonly kind: "write" | "zero" | "graft";
  readonly to: number;
  readonly length: number;
  readonly isOf: (source: TokenWriteSource) => boolean;
  readonly change: RequestShape["change"];
  readonly send: () => unknown;
}

/** How often a piece that could be taken for another request's looks again. */
const waitMs = 0.2;

export class TokenWrite {
  readonly volume: number;
  readonly #life: Life;
  readonly #book: TokenBook;
  readonly #data: DataRequests;
  readonly #ranges: readonly ByteRange[];
  readonly #tokenOffset: number;
  readonly #sources: readonly TokenWriteSource[];
  #at = 0;
  /** Bytes written, from the ranges' start on. */
  done = 0;
  movedBytes = 0;
  lastSequence = 0;
  /** A piece failed. */
  failed = false;

  constructor(
    life: Life,
    parts: {
      book: TokenBook;
      data: DataRequests;
      volume: number;
      ranges: readonly ByteRange[];
      tokenOffset: number;
      sources: readonly TokenWriteSource[];
    },
  ) {
    this.#life = life;
    this.#book = parts.book;
    this.#data = parts.data;
    this.volume = parts.volume;
    this.#ranges = parts.ranges;
    this.#tokenOffset = parts.tokenOffset;
    this.#sources = parts.sources;
  }

  touches(offset: number, length: number): boolean {
    return this.#ranges.some(
      (range) => range.offsetBytes < offset + length && offset < range.offsetBytes + range.lengthBytes,
    );
  }

  /** An opening of the volume whose writes are pieces of this token write. */
  over(base: BlockDevice): BlockDevice {
    return deviceOver(base, {
      write: (offset, source, flags) => this.#write(offset, source, () => base.write(offset, source, flags)),
      zero: (offset, length, flags) => this.#zero(offset, length, () => base.zero(offset, length, flags)),
    });
  }

  async #write(to: number, source: Uint8Array, send: () => unknown): Promise<void> {
    const { volume } = this;
    const length = source.length;
    const bytes = source.slice();
    const marks = this.#data.marks(to, length);
    const firstUnit = Math.floor(to / unitBytes);
    for (let unit = firstUnit; unit * unitBytes < to + length; unit++) {
      const whole = new Uint8Array(unitBytes);
      const from = Math.max(to, unit * unitBytes);
      const end = Math.min(to + length, (unit + 1) * unitBytes);
      whole.set(bytes.subarray(from - to, end - to), from - unit * unitBytes);
      this.#life.machine.content.setMixed(marks.firstStamp + unit - firstUnit, whole);
    }
    await this.#piece({
      kind: "write",
      to,
      length,
      isOf: (token) =>
        token === "zeros"
          ? bytes.every((byte) => byte === 0)
          : token.content.holdsBytes(this.#tokenOffset + this.done, bytes),
      change: (event) => ({ kind: "write", volume, offset: event.offset, length: event.length, marks }),
      send,
    });
    this.movedBytes += 2 * length;
  }

  async #zero(to: number, length: number, send: () => unknown): Promise<void> {
    const { volume } = this;
    const marks = this.#data.marks(to, length);
    await this.#piece({
      kind: "zero",
      to,
      length,
      isOf: (token) => token === "zeros" || token.content.holdsZeros(this.#tokenOffset + this.done, length),
      change: (event) => ({ kind: "zero", volume, offset: event.offset, length: event.length, marks }),
      send,
    });
  }

  async graft(
    options: { pin: number; sourceOffset: number; offset: number; length: number },
    send: () => Promise<void>,
  ): Promise<void> {
    const { volume } = this;
    const { pin, sourceOffset, offset: to, length } = options;
    const map = this.#life.machine.history.current.pins.get(pin)?.map;
    if (map === undefined) return this.#fail("token-write", `a graft from pin ${pin}, which is not there`);
    await this.#piece({
      kind: "graft",
      to,
      length,
      isOf: (token) =>
        token !== "zeros" &&
        token.content.holdsPlace(this.#tokenOffset + this.done, { map, offset: sourceOffset }, length),
      change: (event) => ({
        kind: "graft",
        volume,
        offset: event.offset,
        length: event.length,
        source: map,
        sourceOffset: sourceOffset + event.offset - to,
      }),
      send,
    });
  }

  async #piece({ kind, to, length, isOf, change, send }: Piece): Promise<void> {
    const { requests, machine } = this.#life;
    const { volume } = this;
    if (!this.#life.alive) return never();
    this.#book.changed(volume, to, length);
    const place = this.#place();
    if (place === undefined || place.offsetBytes !== to || place.lengthBytes < length)
      return this.#fail(
        "token-write",
        `a ${kind} at ${to}+${length}, expected at ${place?.offsetBytes}+${place?.lengthBytes}`,
      );
    while (this.#at < this.#sources.length && !isOf(this.#sources[this.#at]!)) this.#at++;
    if (this.#at === this.#sources.length)
      return this.#fail(
        "token-content",
        `a ${kind} at ${to}+${length} is not what stands in the token at ${this.#tokenOffset + this.done}`,
      );
    while (requests.clashes(kind, volume, to, length)) await this.#life.pause(waitMs);
    const request = requests.begin({ kind, volume, range: { offset: to, length }, change });
    try {
      await send();
      if (!this.#life.alive) return await never();
      if (!request.complete && kind !== "zero")
        return this.#fail(
          "no-record",
          `a ${kind} at ${to}+${length} of a token was done without its records`,
        );
      if (!request.complete) this.#mustBeZero(request.reached, to + length);
      machine.history.promiseWritten(request.lastSequence);
      this.lastSequence = Math.max(this.lastSequence, request.lastSequence);
      this.done += length;
    } catch (error) {
      this.failed = true;
      throw error;
    } finally {
      requests.end(request);
    }
  }

  /** Where the ranges go on. */
  #place(): ByteRange | undefined {
    let rest = this.done;
    for (const { offsetBytes, lengthBytes } of this.#ranges) {
      if (rest < lengthBytes) return { offsetBytes: offsetBytes + rest, lengthBytes: lengthBytes - rest };
      rest -= lengthBytes;
    }
    return undefined;
  }

  /** Zeroing may leave out what is empty anyway. */
  #mustBeZero(from: number, to: number): void {
    const first = Math.floor(from / unitBytes);
    const { map } = this.#life.machine.history.current.volume(this.volume);
    if (map.stamps(first, Math.ceil(to / unitBytes) - first).some((stamp) => stamp > stampZero))
      void this.#fail("no-record", `zeros at ${from} to ${to} were written without a record`);
  }

  /** The room would take it for an error of the pool, so it ends the run by itself. */
  #fail(check: string, sentence: string): Promise<never> {
    if (this.#life.alive) this.#life.machine.clock.fail(new CheckFailed(check, sentence));
    return never();
  }
}

/** The room's process is dead, or the run is over: nobody may hear an answer. */
function never(): Promise<never> {
  return new Promise(() => {});
}
