/**
 * Carries out deferred token writes: when they are due, and when somebody needs them.
 *
 * Always holds: whoever carries out or drops a range is alone on it (the gate); a move is there until its bytes are, so
 * what failed can be tried again; the background takes one bounded piece after the other, in the order of the answers.
 * Errors: IO_ERROR with the reason for what could not be carried out.
 */
import { RopewalkError } from "../../base/errors.ts";
import { type Clock, nextTurn, type Timer } from "../../ports/mod.ts";
import type { ByteRange, DeviceOffload, OffloadWriteRequest } from "../offload.ts";
import { type DeferredMove, DeferredMoves, type DeferredWrite } from "./deferred-moves.ts";
import type { RangeGate } from "./range-gate.ts";

/** How much is moved while others wait for the range. */
const PIECE_BYTES = 4 * 1024 * 1024;

export interface DeferredMoverOptions {
  readonly below: DeviceOffload;
  readonly gate: RangeGate;
  readonly clock: Clock;
  readonly delayMs: number;
  readonly print: (line: string) => void;
}

export class DeferredMover {
  readonly moves = new DeferredMoves();
  readonly #options: DeferredMoverOptions;
  #lastNumber = 0;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: DeferredMoverOptions) {
    this.#options = options;
  }

  /** The number of the move that was answered last. */
  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** Takes a token write over, in place of what was to be moved to its ranges, which the caller holds. */
  add({ tokens, isProtected, ranges, tokenOffsetBytes }: OffloadWriteRequest): void {
    const { clock, delayMs } = this.#options;
    const write: DeferredWrite = {
      // The caller's bytes are the caller's again when it has its answer.
      tokens: tokens.map((token) => token.slice()),
      isProtected,
      dueMs: clock.nowMs() + delayMs,
      isReported: false,
    };
    let at = tokenOffsetBytes;
    for (const range of ranges) {
      this.moves.cut(range);
      if (range.lengthBytes > 0)
        this.moves.add({
          ...range,
          write,
          number: ++this.#lastNumber,
          tokenOffsetBytes: at,
          hasFailed: false,
        });
      at += range.lengthBytes;
    }
    this.#schedule();
  }

  /** What is to be moved to the range, which the caller holds; `upTo`: only moves up to that number. IO_ERROR */
  async carryOut(range: ByteRange, upTo = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      const move = this.moves.overlapping(range).find(({ number }) => number <= upTo);
      if (move === undefined) return;
      const offsetBytes = Math.max(move.offsetBytes, range.offsetBytes);
      const end = Math.min(move.offsetBytes + move.lengthBytes, range.offsetBytes + range.lengthBytes);
      await this.#movePiece(move, {
        offsetBytes,
        lengthBytes: Math.min(end - offsetBytes, PIECE_BYTES),
      });
    }
  }

  /** All that is left of a move, of which the caller holds nothing. IO_ERROR */
  async finish(move: DeferredMove): Promise<void> {
    for (;;) {
      const rest = this.moves.overlapping(move).find(({ number }) => number === move.number);
      if (rest === undefined) return;
      await this.#step(rest);
    }
  }

  /** Every move up to that number; all are tried before the first one's error is thrown. IO_ERROR */
  async complete(upTo: number): Promise<void> {
    const failed = new Set<DeferredMove>();
    let failure: { readonly error: unknown } | undefined;
    for (;;) {
      const move = this.moves.oldest((each) => each.number <= upTo && !failed.has(each));
      if (move === undefined) break;
      try {
        await this.#step(move);
      } catch (error) {
        failure ??= { error };
        failed.add(move);
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  /** Nothing is moved in the background any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** The first piece of a move, as far as it is still there when the range is free. */
  #step({ number, offsetBytes, lengthBytes }: DeferredMove): Promise<void> {
    const piece = { offsetBytes, lengthBytes: Math.min(lengthBytes, PIECE_BYTES) };
    return this.#options.gate.during([piece], "exclusive", () => this.carryOut(piece, number));
  }

  async #movePiece(move: DeferredMove, piece: ByteRange): Promise<void> {
    const { tokens, isProtected } = move.write;
    try {
      const { lengthBytes } = await this.#options.below.write({
        tokens,
        tokenOffsetBytes: move.tokenOffsetBytes + piece.offsetBytes - move.offsetBytes,
        ranges: [piece],
        fua: false,
        isProtected,
        isPart: true,
      });
      if (lengthBytes === 0)
        throw new RopewalkError("TOKEN_CUT", "The token's data ends before what was asked for.");
      this.moves.cut({ offsetBytes: piece.offsetBytes, lengthBytes });
    } catch (error) {
      throw this.#failed(move, error);
    }
  }

  #failed(move: DeferredMove, cause: unknown): RopewalkError {
    const { offsetBytes, lengthBytes, write } = move;
    const reason = cause instanceof RopewalkError ? `${cause.code}, ${cause.message}` : String(cause);
    // Somebody may have cut the move elsewhere meanwhile.
    for (const rest of this.moves.overlapping(move)) if (rest.number === move.number) rest.hasFailed = true;
    if (!write.isReported) {
      write.isReported = true;
      this.#options.print(
        `${lengthBytes} bytes at ${offsetBytes} are not what was acknowledged, and cannot be read: ${reason} ` +
          `(${this.moves.failedBytes} bytes in all)`,
      );
    }
    return new RopewalkError(
      "IO_ERROR",
      `A token's data was acknowledged for the ${lengthBytes} bytes at ${offsetBytes} and could not be written: ` +
        `${reason} Write or trim all of them.`,
      { cause },
    );
  }

  /** What has failed waits for somebody who needs it. */
  #schedule(): void {
    if (this.#isStopped || this.#timer !== undefined || this.#running !== undefined) return;
    const next = this.moves.oldest(({ hasFailed }) => !hasFailed);
    if (next === undefined) return;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, next.write.dueMs - clock.nowMs()), () => {
      this.#timer = undefined;
      this.#running = this.#moveDue().finally(() => {
        this.#running = undefined;
        this.#schedule();
      });
    });
  }

  async #moveDue(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#isStopped) {
      const next = this.moves.oldest(({ hasFailed }) => !hasFailed);
      if (next === undefined || next.write.dueMs > clock.nowMs()) return;
      // A failure is marked on the move, and told to whoever needs it.
      await this.#step(next).catch(() => undefined);
      await nextTurn(clock);
    }
  }
}
