// What is said of many latencies, and which change of a file a content that was seen stands for.

/** The least value that at least `share` (0 to 1) of all do not exceed; undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

interface Waiting {
  readonly change: number;
  readonly writtenMs: number;
}

/**
 * Changes of files on their way, numbered in their order. Always holds: a content stands for its own change and for
 * those of the same file before it, which it replaced on the way; each change arrives once.
 */
export class Arrivals {
  readonly latenciesMs: number[] = [];
  readonly #waiting = new Map<string, Waiting[]>();

  written(path: string, change: number, nowMs: number): void {
    const waiting = this.#waiting.get(path);
    if (waiting === undefined) this.#waiting.set(path, [{ change, writtenMs: nowMs }]);
    else waiting.push({ change, writtenMs: nowMs });
  }

  /** The content of `change` stands at the target. */
  seen(path: string, change: number, nowMs: number): void {
    const waiting = this.#waiting.get(path);
    while (waiting?.[0] !== undefined && waiting[0].change <= change)
      this.latenciesMs.push(nowMs - waiting.shift()!.writtenMs);
    if (waiting?.length === 0) this.#waiting.delete(path);
  }

  isWaiting(path: string): boolean {
    return this.#waiting.has(path);
  }

  get paths(): string[] {
    return [...this.#waiting.keys()];
  }
}
