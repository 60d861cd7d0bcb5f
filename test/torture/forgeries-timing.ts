// Whether refusals tell by their time what is wrong with a token: batches of each kind, shuffled among each other so
// that whatever else the machine does meets all kinds alike, compared by their medians.
import type { Prng } from "../../src/base/prng.ts";
import { withFlipped } from "./forgeries-of.ts";

export interface RefusalTime {
  readonly kind: string;
  readonly medianNs: number;
}

/** A batch takes about half a millisecond. */
const BATCH = 40;

/** Tokens that are each wrong in one place, and one that verifies but is not known. */
export function timedForgeries(seen: {
  token: Uint8Array;
  foreign: Uint8Array;
  unknown: Uint8Array;
}): ReadonlyMap<string, Uint8Array> {
  const { token, foreign, unknown } = seen;
  const flippedAt = (byte: number) => withFlipped(token, byte * 8);
  return new Map([
    ["type", flippedAt(0)],
    ["id", flippedAt(8)],
    ["length", flippedAt(63)],
    ["magic", flippedAt(160)],
    ["random part, first byte", flippedAt(176)],
    ["random part, last byte", flippedAt(191)],
    ["MAC, first byte", flippedAt(480)],
    ["MAC, last byte", flippedAt(511)],
    ["another key's", foreign],
    [VERIFIES, unknown],
  ]);
}

export const VERIFIES = "verifies, unknown";

/** Medians of the time that one refusal takes. `refuse` must refuse. */
export function refusalTimes(
  forgeries: ReadonlyMap<string, Uint8Array>,
  { refuse, rounds, prng }: { refuse: (token: Uint8Array) => void; rounds: number; prng: Prng },
): RefusalTime[] {
  const kinds = [...forgeries.keys()];
  const samples = new Map(kinds.map((kind) => [kind, [] as number[]]));
  const warmUp = Math.ceil(rounds / 10);
  for (let round = -warmUp; round < rounds; round++) {
    shuffle(kinds, prng);
    for (const kind of kinds) {
      const token = forgeries.get(kind)!;
      const startedNs = process.hrtime.bigint();
      for (let count = 0; count < BATCH; count++) refuse(token);
      if (round >= 0) samples.get(kind)!.push(Number(process.hrtime.bigint() - startedNs) / BATCH);
    }
  }
  return [...samples].map(([kind, times]) => ({ kind, medianNs: median(times) }));
}

/** How much longer the slowest takes than the fastest: 0 for none. */
export function spreadOf(times: readonly RefusalTime[]): number {
  const medians = times.map(({ medianNs }) => medianNs);
  return Math.max(...medians) / Math.min(...medians) - 1;
}

function median(values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function shuffle(list: unknown[], prng: Prng): void {
  for (let left = list.length; left > 1; left--) {
    const other = prng.word() % left;
    [list[left - 1], list[other]] = [list[other], list[left - 1]];
  }
}
