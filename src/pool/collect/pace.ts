/**
 * Shares the loop: background work runs in short slices and leaves the rest of the time to requests.
 * Always holds: no slice is planned to be longer than `SLICE_MS`, and behind each at least one turn is others'.
 */
import { type Clock, nextTurn } from "../../ports/mod.ts";

const SLICE_MS = 0.7;
/** A rest ends after so many turns, whatever the clock says. */
const REST_TURNS_MAX = 64;

export class Pace {
  readonly #clock: Clock;
  #beganMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A slice begins now. */
  begin(): void {
    this.#beganMs = this.#clock.nowMs();
  }

  /** Whether the slice has had its time. */
  get isOver(): boolean {
    return this.#clock.nowMs() - this.#beganMs > SLICE_MS;
  }

  /** Rests until the slice was `duty` (0 to 1) of the time since it began; then the next slice begins. */
  async rest(duty: number): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const untilMs = nowMs + (nowMs - this.#beganMs) * (1 / Math.max(duty, 0.01) - 1);
    for (let turn = 0; turn < REST_TURNS_MAX; turn += 1) {
      await nextTurn(this.#clock);
      if (this.#clock.nowMs() >= untilMs) break;
    }
    this.begin();
  }
}
