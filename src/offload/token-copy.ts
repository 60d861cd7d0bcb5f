/**
 * A token write at work: data of tokens into ranges of a device (T2, T3, T17).
 *
 * Always holds: ranges are filled in order, so what was done is one length from their start; never a byte from past the
 * token's end; every piece is bounded, and between two others get their turn. Errors: what stopped it, when nothing was
 * written; else a result shorter than asked.
 */
import { type ErrorCode, RopewalkError } from "../base/errors.ts";
import type { BlockDevice, ByteRange, OffloadWriteRequest, OffloadWriteResult } from "../device/mod.ts";
import { type Clock, nextTurn } from "../ports/mod.ts";
import type { KeptWrite } from "./kept-checksums.ts";
import type { TokenContent } from "./token-backing.ts";
import { readToken, type TokenUse } from "./token-use.ts";

const PAGE_BYTES = 4096;
const GIB = 2 ** 30;
/** Grafted in one call: whole subtrees of 1 GiB are one reference each, anything else is one for each 2 MiB or less. */
const SUBTREE_BYTES = GIB;
const ALIKE_GRAFT_BYTES_MAX = 64 * GIB;
const GRAFT_BYTES_MAX = 2 * GIB;
const MOVED_BYTES_MAX = 2 ** 20;
const ZERO_BYTES_MAX = 32 * GIB;
const EXTENTS_MAX = 64;

/** A destination: a device, and its way to take references to a pin's data where it has one. */
export interface CopyTarget {
  readonly device: BlockDevice;
  /** Name of the pool's volume that it is. */
  readonly volume?: string;
  readonly graft?: (piece: {
    pin: number;
    sourceOffset: number;
    offset: number;
    length: number;
  }) => Promise<void>;
  /** Where the checksums of companions are kept for later reads. */
  readonly checksums?: ChecksumKeeper;
}

/** Keeps the checksums of one token write after the other. */
export interface ChecksumKeeper {
  begin(request: OffloadWriteRequest): Promise<KeptWrite>;
  acting<Result>(write: KeptWrite, act: () => Result): Result;
  end(write: KeptWrite, lengthBytes: number): void;
}

export interface CopySource {
  /** Begins a use of a token; undefined: the token of zeros. TOKEN_ errors */
  begin(token: Uint8Array, channel: { isProtected: boolean }): Promise<TokenUse | undefined>;
  readonly clock: Clock;
  /** A provider's token was used so far. */
  used(provider: string, done: { bytes: number; movedBytes: number }): void;
  /** So much was read and written. */
  moved(bytes: number): void;
}

export class TokenCopy {
  readonly #source: CopySource;
  readonly #target: CopyTarget;
  /** Has what `act` issues known as the copy's own. */
  readonly #acting: <Result>(act: () => Result) => Result;
  readonly #request: OffloadWriteRequest;
  readonly #blockBytes: number;
  readonly #asked: number;
  #done = 0;
  #moved = 0;
  #memory = new Uint8Array(0);
  /** The token's side failed, so that another token may do better. */
  #isSourceAtFault = false;

  constructor(source: CopySource, target: CopyTarget, request: OffloadWriteRequest, kept?: KeptWrite) {
    this.#source = source;
    const { checksums } = target;
    this.#acting = (act) =>
      kept === undefined || checksums === undefined ? act() : checksums.acting(kept, act);
    this.#target = target;
    this.#request = request;
    this.#blockBytes = target.device.geometry.minimumBlockBytes;
    this.#asked = request.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (!Number.isSafeInteger(this.#asked))
      throw new RopewalkError("INVALID_RANGE", "The ranges are longer together than any token can be.");
  }

  async run(): Promise<OffloadWriteResult> {
    let firstError: unknown;
    for (const token of this.#request.tokens) {
      this.#isSourceAtFault = true;
      try {
        await this.#from(token);
        firstError = undefined;
        if (this.#done === this.#asked) break;
      } catch (error) {
        firstError ??= error;
      }
      if (!this.#isSourceAtFault) break;
    }
    if (this.#request.tokens.length === 0)
      firstError = new RopewalkError("INVALID_ARGUMENT", "A token write names at least one token.");
    if (this.#done === 0 && firstError !== undefined) throw firstError;
    if (this.#request.fua && this.#done > 0) await this.#target.device.flush();
    return { lengthBytes: this.#done, movedBytes: this.#moved };
  }

  async #from(token: Uint8Array): Promise<void> {
    const { isProtected, tokenOffsetBytes } = this.#request;
    const use = await this.#source.begin(token, { isProtected });
    if (use === undefined) return this.#zeros();
    const [doneBefore, movedBefore] = [this.#done, this.#moved];
    try {
      const length = Math.min(this.#asked, Math.max(0, use.ranges.lengthBytes - tokenOffsetBytes));
      const end = length - (length % this.#blockBytes);
      if (end <= this.#done && this.#asked > this.#done)
        throw new RopewalkError("TOKEN_CUT", "The token's data ends before what was asked for.");
      if (this.#done < end)
        await use.verify({ offsetBytes: tokenOffsetBytes + this.#done, lengthBytes: end - this.#done }, () =>
          this.#checkGoingOn(use),
        );
      while (this.#done < end) {
        this.#checkGoingOn(use);
        const before = this.#done;
        await this.#piece(use, end);
        // A graft ends in a later turn by itself; what was read and written may all have come at once.
        if (this.#done > before) await nextTurn(this.#source.clock);
      }
    } finally {
      if (use.provider !== undefined)
        this.#source.used(use.provider, {
          bytes: this.#done - doneBefore,
          movedBytes: this.#moved - movedBefore,
        });
      await use.finish({ isUsed: this.#done === this.#asked && this.#request.isPart !== true });
    }
  }

  async #zeros(): Promise<void> {
    this.#isSourceAtFault = false;
    while (this.#done < this.#asked) {
      this.#checkGoingOn(undefined);
      const { offsetBytes, lengthBytes } = this.#destination();
      const length = Math.min(lengthBytes, ZERO_BYTES_MAX);
      await this.#zero(offsetBytes, length);
      if (this.#done < this.#asked) await nextTurn(this.#source.clock);
    }
  }

  #checkGoingOn(use: TokenUse | undefined): void {
    if (this.#request.signal?.aborted === true) {
      this.#isSourceAtFault = false;
      throw new RopewalkError("CANCELLED", "The token write was cancelled.");
    }
    const stopped = use?.stopped();
    if (stopped !== undefined) throw stopped;
  }

  /** Where the ranges go on. */
  #destination(): ByteRange {
    let rest = this.#done;
    for (const { offsetBytes, lengthBytes } of this.#request.ranges) {
      if (rest < lengthBytes) return { offsetBytes: offsetBytes + rest, lengthBytes: lengthBytes - rest };
      rest -= lengthBytes;
    }
    throw new RopewalkError("INTERNAL", "There is nothing left to write.");
  }

  /** Where the token's data goes on: in a joined token in one of its parts. */
  #sourceOf(use: TokenUse): ByteRange & { readonly content: TokenContent } {
    let content: TokenContent = use.content;
    let { offsetBytes, lengthBytes } = use.ranges.at(this.#request.tokenOffsetBytes + this.#done)!;
    for (let part = content.at?.(offsetBytes); part !== undefined; part = content.at?.(offsetBytes)) {
      ({ content, offsetBytes } = part);
      lengthBytes = Math.min(lengthBytes, part.lengthBytes);
    }
    return { content, offsetBytes, lengthBytes };
  }

  async #piece(use: TokenUse, end: number): Promise<void> {
    const destination = this.#destination();
    const { content, ...source } = this.#sourceOf(use);
    const to = destination.offsetBytes;
    const from = source.offsetBytes;
    const wanted = Math.min(destination.lengthBytes, source.lengthBytes, end - this.#done);
    // A source that was cut, and is followed, is zeros past its end.
    const inside = Math.max(0, content.sizeBytes - from);
    if (inside === 0 && wanted >= this.#blockBytes)
      return this.#zero(to, Math.min(wanted - (wanted % this.#blockBytes), ZERO_BYTES_MAX));
    const together = inside === 0 ? wanted : Math.min(wanted, inside);
    const graft = this.#target.graft;
    if (graft !== undefined && content.pin !== undefined && to % PAGE_BYTES === from % PAGE_BYTES) {
      const toPage = (PAGE_BYTES - (to % PAGE_BYTES)) % PAGE_BYTES;
      const endsBoth =
        from + together === content.sizeBytes && to + together === this.#target.device.sizeBytes;
      if (toPage === 0 && (together >= PAGE_BYTES || endsBoth)) {
        const length = graftBytes({ from, to, together, endsBoth });
        await this.#graft(graft, { pin: content.pin, sourceOffset: from, offset: to, length });
        return;
      }
      if (toPage > 0 && toPage < together) return this.#move(use, { from, to, length: toPage });
    }
    if (together < this.#blockBytes) {
      // The destination's block is put together from several ranges of the source.
      const length = Math.min(destination.lengthBytes, end - this.#done, this.#blockBytes);
      return this.#move(use, { from: undefined, to, length });
    }
    return this.#move(use, { from, to, length: together - (together % this.#blockBytes) });
  }

  async #graft(
    graft: NonNullable<CopyTarget["graft"]>,
    piece: { pin: number; sourceOffset: number; offset: number; length: number },
  ): Promise<void> {
    try {
      await graft(piece);
    } catch (error) {
      const code: ErrorCode | undefined = error instanceof RopewalkError ? error.code : undefined;
      this.#isSourceAtFault =
        code === "PIN_NOT_FOUND" || code === "NOT_FOUND" || code === "CHECKSUM_MISMATCH";
      throw error;
    }
    this.#done += piece.length;
  }

  /** Up to 1 MiB by reading and writing; holes and zeros of the source stay lengths (T30). */
  async #move(use: TokenUse, piece: { from: number | undefined; to: number; length: number }): Promise<void> {
    const { from, to } = piece;
    let length = piece.length;
    if (from !== undefined) {
      const extents = await this.#sourceOf(use).content.extents(from, length, EXTENTS_MAX);
      const first = extents[0];
      if (first !== undefined) {
        const known = Math.min(first.lengthBytes - (from - first.offsetBytes), length);
        const whole = known - (known % this.#blockBytes);
        if (first.kind !== "data" && whole > 0) return this.#zero(to, Math.min(whole, ZERO_BYTES_MAX));
        if (first.kind === "data")
          length = Math.min(length, Math.ceil(known / this.#blockBytes) * this.#blockBytes);
        else length = Math.min(length, this.#blockBytes);
      }
    }
    const { maximumRequestBytes } = this.#target.device.geometry;
    const bytes = this.#buffer(Math.min(length, MOVED_BYTES_MAX, maximumRequestBytes));
    await readToken(use, this.#request.tokenOffsetBytes + this.#done, bytes);
    // What was read may have been overwritten meanwhile by somebody whom an emulated provider lets through no more.
    this.#checkGoingOn(use);
    this.#isSourceAtFault = false;
    await this.#acting(() => this.#target.device.write(to, bytes, 0));
    this.#isSourceAtFault = true;
    this.#done += bytes.length;
    this.#countMoved(bytes.length * 2);
  }

  #countMoved(bytes: number): void {
    this.#moved += bytes;
    this.#source.moved(bytes);
  }

  /** One memory for all pieces: a piece is written before the next is read. */
  #buffer(length: number): Uint8Array {
    if (this.#memory.length < length) this.#memory = new Uint8Array(length);
    return this.#memory.subarray(0, length);
  }

  async #zero(offset: number, length: number): Promise<void> {
    const wasSourceAtFault = this.#isSourceAtFault;
    this.#isSourceAtFault = false;
    if (this.#target.device.capabilities.zero === "absent") {
      const { maximumRequestBytes } = this.#target.device.geometry;
      const zeros = new Uint8Array(Math.min(length, MOVED_BYTES_MAX, maximumRequestBytes));
      await this.#acting(() => this.#target.device.write(offset, zeros, 0));
      this.#done += zeros.length;
      this.#countMoved(zeros.length);
    } else {
      await this.#acting(() => this.#target.device.zero(offset, length, 0));
      this.#done += length;
    }
    this.#isSourceAtFault = wasSourceAtFault;
  }
}

function graftBytes(piece: { from: number; to: number; together: number; endsBoth: boolean }): number {
  const { from, to, together, endsBoth } = piece;
  const isAlike = from % SUBTREE_BYTES === to % SUBTREE_BYTES;
  const most = isAlike ? ALIKE_GRAFT_BYTES_MAX : GRAFT_BYTES_MAX;
  // Pieces end at borders of subtrees, so that the next ones are whole.
  if (together > most) return most - (to % SUBTREE_BYTES);
  return endsBoth ? together : together - (together % PAGE_BYTES);
}
