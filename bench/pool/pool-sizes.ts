// How much data the pool suite works on. Figures whose growth is asked for are taken at each of `dataBytes`.
import type { SuiteContext } from "../suite.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

export interface PoolSizes {
  readonly dataBytes: readonly number[];
  /** Size of the thin volume over which the data is spread. */
  readonly thinBytes: number;
  readonly graftBytes: readonly number[];
  /** The lengths with limits of their own. */
  readonly graftLimitBytes: number;
  readonly engineVolumeBytes: number;
  readonly engineMs: number;
  readonly snapshots: number;
  /** The data is overwritten, and then read, for so long before the memory is looked at. */
  readonly serveMs: number;
}

export function poolSizes({ quick }: SuiteContext): PoolSizes {
  return quick
    ? {
        dataBytes: [16 * MIB, 64 * MIB],
        thinBytes: 16 * GIB,
        graftBytes: [128 * MIB, 512 * MIB],
        graftLimitBytes: 10 * GIB,
        engineVolumeBytes: 512 * MIB,
        engineMs: 1000,
        snapshots: 5,
        serveMs: 1000,
      }
    : {
        dataBytes: [GIB, 4 * GIB, 16 * GIB],
        thinBytes: 1024 * GIB,
        graftBytes: [GIB, 4 * GIB, 10 * GIB, 16 * GIB],
        graftLimitBytes: 10 * GIB,
        engineVolumeBytes: 4 * GIB,
        engineMs: 5000,
        snapshots: 20,
        serveMs: 10_000,
      };
}

/** `512 MiB`, `16 GiB`, `1 TiB`: whole numbers only. */
export function sizeText(bytes: number): string {
  for (const [unit, unitBytes] of [
    ["TiB", 1024 * GIB],
    ["GiB", GIB],
  ] as const) {
    if (bytes % unitBytes === 0) return `${bytes / unitBytes} ${unit}`;
  }
  return `${bytes / MIB} MiB`;
}
