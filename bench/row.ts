// One line of a benchmark's result, in the shape that `--json` promises.
// Always holds: `ratio` above 1 means that we are better, whichever way the unit points; what was not measured
// is null, never a guess.

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly peer: number | null;
  /** Who `peer` is: another server, ourselves in another state, or `limit`. */
  readonly peerName: string;
  readonly ratio: number | null;
  /** The ratio to reach; null where the figure is only reported. */
  readonly goal: number | null;
}

export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly peer: readonly number[];
  readonly peerName: string;
  readonly goal: number | null;
}

/** A row of medians where more is better: operations or bytes a second. */
export function rateRow(measured: Measured): Row {
  const { name, unit, peerName, goal } = measured;
  const [ours, peer] = [median(measured.ours), median(measured.peer)];
  const ratio = ours === null || peer === null || peer === 0 ? null : ours / peer;
  return { name, unit, ours, peer, peerName, ratio, goal };
}

/** A row of medians where less is better. */
export function costRow(measured: Measured): Row {
  const { ours, peer, ...row } = rateRow(measured);
  return { ...row, ours, peer, ratio: ours === null || peer === null || ours === 0 ? null : peer / ours };
}

/** A row whose goal is to stay at or below `limit`. */
export function limitRow(limited: {
  name: string;
  unit: string;
  ours: readonly number[];
  limit: number;
}): Row {
  return costRow({ ...limited, peer: [limited.limit], peerName: "limit", goal: 1 });
}

/** A row that is reported without a comparison. */
export function plainRow(plain: { name: string; unit: string; ours: readonly number[] }): Row {
  return { ...plain, ours: median(plain.ours), peer: null, peerName: "", ratio: null, goal: null };
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
