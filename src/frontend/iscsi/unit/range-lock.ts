/**
 * Which changes may run at once: plain writes beside each other, a read-modify-write (COMPARE AND WRITE, ORWRITE)
 * alone in its range.
 *
 * Always holds: claims on overlapping ranges are admitted in the order in which they came, unless both are shared;
 * so none waits for ever. There are at most as many claims as the transport admits commands.
 */

export interface ByteSpan {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export type ClaimKind = "shared" | "exclusive";

interface Claim {
  readonly start: number;
  readonly end: number;
  readonly kind: ClaimKind;
  readonly admit: (() => void) | undefined;
}

export class RangeLock {
  readonly #held = new Set<Claim>();
  #waiting: Claim[] = [];

  /** Runs `work` once the range is free for it; at once, and without a promise, where nothing is in the way. */
  run<Result>(
    span: ByteSpan,
    kind: ClaimKind,
    work: () => Result | Promise<Result>,
  ): Result | Promise<Result> {
    const start = span.offsetBytes;
    const end = start + span.lengthBytes;
    if (this.#mustWait(start, end, kind, this.#waiting)) return this.#runLater(start, end, kind, work);
    return this.#runNow({ start, end, kind, admit: undefined }, work);
  }

  async #runLater<Result>(
    start: number,
    end: number,
    kind: ClaimKind,
    work: () => Result | Promise<Result>,
  ): Promise<Result> {
    let claim: Claim | undefined;
    await new Promise<void>((admit) => {
      claim = { start, end, kind, admit };
      this.#waiting.push(claim);
    });
    return this.#runNow(claim!, work);
  }

  #runNow<Result>(claim: Claim, work: () => Result | Promise<Result>): Result | Promise<Result> {
    this.#held.add(claim);
    let result: Result | Promise<Result>;
    try {
      result = work();
    } catch (error) {
      this.#release(claim);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.#release(claim));
    this.#release(claim);
    return result;
  }

  #release(claim: Claim): void {
    this.#held.delete(claim);
    if (this.#waiting.length === 0) return;
    const stillWaiting: Claim[] = [];
    for (const waiting of this.#waiting) {
      if (this.#mustWait(waiting.start, waiting.end, waiting.kind, stillWaiting)) stillWaiting.push(waiting);
      else {
        // Held from now on: its work begins in a later turn of the queue of promises.
        this.#held.add(waiting);
        waiting.admit!();
      }
    }
    this.#waiting = stillWaiting;
  }

  #mustWait(start: number, end: number, kind: ClaimKind, earlier: readonly Claim[]): boolean {
    for (const claim of this.#held) if (conflicts(claim, start, end, kind)) return true;
    for (const claim of earlier) if (conflicts(claim, start, end, kind)) return true;
    return false;
  }
}

function conflicts(claim: Claim, start: number, end: number, kind: ClaimKind): boolean {
  return (kind === "exclusive" || claim.kind === "exclusive") && claim.start < end && start < claim.end;
}
