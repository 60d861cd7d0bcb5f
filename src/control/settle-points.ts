/**
 * Waits for "the target equals the source as of now", each with a number, so that one wait may take several requests.
 * Always holds: a number stays known until `ENDED_KEPT_MAX` later ones have ended; at most `WAITING_MAX` wait at once.
 * Errors: TOO_MANY, NOT_FOUND, and what the wait itself fails with.
 */
import { asRopewalkError, RopewalkError } from "../base/errors.ts";
import type { Clock } from "../ports/mod.ts";

const WAITING_MAX = 256;
const ENDED_KEPT_MAX = 256;

interface Point {
  state: "waiting" | "settled" | RopewalkError;
  readonly ended: Promise<void>;
}

export class SettlePoints {
  readonly #clock: Clock;
  readonly #points = new Map<number, Point>();
  #nextId = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins to wait; the point's number. */
  begin(settled: () => Promise<void>): number {
    const waiting = [...this.#points.values()].filter(({ state }) => state === "waiting").length;
    if (waiting >= WAITING_MAX)
      throw new RopewalkError("TOO_MANY", `${WAITING_MAX} waits are under way already; wait for one to end.`);
    this.#forgetOld();
    const id = this.#nextId++;
    const ended = Promise.withResolvers<void>();
    const point: Point = { state: "waiting", ended: ended.promise };
    this.#points.set(id, point);
    settled()
      .then(
        () => (point.state = "settled"),
        (error: unknown) => (point.state = asRopewalkError(error)),
      )
      .finally(ended.resolve);
    return id;
  }

  /** Whether it is reached, after `waitMs` at the latest; undefined waits as long as it takes. */
  async wait(id: number, waitMs: number | undefined): Promise<boolean> {
    const point = this.#points.get(id);
    if (point === undefined)
      throw new RopewalkError("NOT_FOUND", `There is no wait ${id}, or it ended long ago.`);
    if (waitMs === undefined) await point.ended;
    else {
      const passed = Promise.withResolvers<void>();
      const timer = this.#clock.after(waitMs, passed.resolve);
      await Promise.race([point.ended, passed.promise]);
      timer.cancel();
    }
    if (point.state instanceof RopewalkError) throw point.state;
    return point.state === "settled";
  }

  #forgetOld(): void {
    const ended = [...this.#points].filter(([, { state }]) => state !== "waiting");
    for (const [id] of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT_MAX + 1)))
      this.#points.delete(id);
  }
}
