/**
 * Keeps requests on overlapping ranges apart: whoever changes a range is alone on it, whoever needs it unchanged
 * shares it with others of the kind.
 *
 * Always holds: ranges are widened to whole units; who asks waits for every earlier one that it conflicts with,
 * also for those that wait themselves, so nobody starves. Errors: TOO_MANY when too many wait.
 */
import { assert } from "../../base/assert.ts";
import { RopewalkError } from "../../base/errors.ts";
import type { ByteRange } from "../offload.ts";

const WAITING_MAX = 65_536;

export type GateMode = "shared" | "exclusive";

export interface GateHold {
  readonly ranges: readonly ByteRange[];
  readonly mode: GateMode;
}

interface Waiter extends GateHold {
  readonly enter: () => void;
}

export class RangeGate {
  readonly #unitBytes: number;
  readonly #held = new Set<GateHold>();
  #waiting: Waiter[] = [];

  constructor(unitBytes: number) {
    assert(unitBytes > 0, "a gate's unit is a number of bytes");
    this.#unitBytes = unitBytes;
  }

  /** The hold, at once when nothing stands against it; it is given back with `leave`. */
  enter(ranges: readonly ByteRange[], mode: GateMode): GateHold | Promise<GateHold> {
    const wanted: GateHold = { ranges: ranges.map((range) => this.#widened(range)), mode };
    if (!this.#isBlocked(wanted, this.#waiting.length)) {
      this.#held.add(wanted);
      return wanted;
    }
    if (this.#waiting.length >= WAITING_MAX)
      throw new RopewalkError("TOO_MANY", `${WAITING_MAX} requests wait for overlapping ones already.`);
    return new Promise((resolve) => {
      // Held in the turn in which it may, so that nobody comes between.
      this.#waiting.push({
        ...wanted,
        enter: () => {
          this.#held.add(wanted);
          resolve(wanted);
        },
      });
    });
  }

  leave(hold: GateHold): void {
    const wasHeld = this.#held.delete(hold);
    assert(wasHeld, "only a hold is given back, and once");
    for (let index = 0; index < this.#waiting.length; ) {
      const waiter = this.#waiting[index]!;
      if (this.#isBlocked(waiter, index)) index++;
      else {
        this.#waiting.splice(index, 1);
        waiter.enter();
      }
    }
  }

  /** Does `work` while the ranges are held. */
  async during<Result>(
    ranges: readonly ByteRange[],
    mode: GateMode,
    work: () => Result | Promise<Result>,
  ): Promise<Result> {
    const hold = await this.enter(ranges, mode);
    try {
      return await work();
    } finally {
      this.leave(hold);
    }
  }

  /** Whether something that is held, or one of the first `before` that wait, conflicts. */
  #isBlocked(wanted: GateHold, before: number): boolean {
    for (const hold of this.#held) if (conflicts(hold, wanted)) return true;
    for (let index = 0; index < before; index++) if (conflicts(this.#waiting[index]!, wanted)) return true;
    return false;
  }

  #widened({ offsetBytes, lengthBytes }: ByteRange): ByteRange {
    const start = offsetBytes - (offsetBytes % this.#unitBytes);
    const end = Math.ceil((offsetBytes + lengthBytes) / this.#unitBytes) * this.#unitBytes;
    return { offsetBytes: start, lengthBytes: end - start };
  }
}

function conflicts(one: GateHold, other: GateHold): boolean {
  if (one.mode === "shared" && other.mode === "shared") return false;
  for (const a of one.ranges)
    for (const b of other.ranges)
      if (a.offsetBytes < b.offsetBytes + b.lengthBytes && b.offsetBytes < a.offsetBytes + a.lengthBytes)
        return true;
  return false;
}
