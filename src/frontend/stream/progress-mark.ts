/**
 * Tells whether something goes on: a number that should change within a time.
 * Always holds: the time counts from the first look since it last changed, or since it was owed again.
 */
export class ProgressMark {
  #sinceMs: number | undefined;
  #value = 0;

  /** How long `value` has stood still although it `isOwed`, in milliseconds. */
  stalledMs(nowMs: number, value: number, isOwed: boolean): number {
    if (!isOwed) {
      this.#sinceMs = undefined;
      return 0;
    }
    if (this.#sinceMs === undefined || value !== this.#value) {
      this.#sinceMs = nowMs;
      this.#value = value;
    }
    return nowMs - this.#sinceMs;
  }
}
