/**
 * How much of the loop's time collecting takes: behind each slice it rests in proportion.
 * Always holds: behind each slice at least one turn is others'.
 */
import { type Clock, nextTurn } from "../../ports/mod.ts";
import type { Slices } from "../slices.ts";

/** A rest ends after so many turns, whatever the clock says. */
const REST_TURNS_MAX = 64;

export class Pace {
  readonly #clock: Clock;
  readonly #slices: Slices;
  #beganMs = 0;

  constructor(clock: Clock, slices: Slices) {
    this.#clock = clock;
    this.#slices = slices;
  }

  /** A slice begins now. */
  begin(): void {
    this.#beganMs = this.#clock.nowMs();
  }

  /** Whether the slice has had its time. */
  get isOver(): boolean {
    return this.#slices.isOver;
  }

  /** Rests until the slice was `duty` (0 to 1) of the time since it began; then the next slice begins. */
  async rest(duty: number): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const untilMs = nowMs + (nowMs - this.#beganMs) * (1 / Math.max(duty, 0.01) - 1);
    for (let turn = 0; turn < REST_TURNS_MAX; turn += 1) {
      await nextTurn(this.#clock);
      if (this.#clock.nowMs() >= untilMs) break;
    }
    await this.#slices.next();
    this.begin();
  }
}
