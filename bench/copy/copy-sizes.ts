// How large, for a full run and for a quick one. A quick run proves that everything works and shows the order of
// magnitude; the limits are meant for the full sizes.
import type { SuiteContext } from "../suite.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

export interface CopySizes {
  /** Volume that is copied, filled with random writes of 4 KiB. */
  readonly volumeBytes: number;
  /** What one token stands for. */
  readonly pieceBytes: number;
  /** Thin volumes that are copied, smallest first. */
  readonly thinBytes: readonly number[];
  /** Written into each, all over it. */
  readonly thinShare: number;
  readonly liveTokens: number;
}

export function copySizes({ quick }: SuiteContext): CopySizes {
  return quick
    ? {
        volumeBytes: 256 * MIB,
        pieceBytes: 16 * MIB,
        thinBytes: [256 * MIB, GIB],
        thinShare: 1 / 64,
        liveTokens: 20_000,
      }
    : {
        volumeBytes: 10 * GIB,
        pieceBytes: 256 * MIB,
        thinBytes: [GIB, 10 * GIB, 100 * GIB],
        thinShare: 1 / 64,
        liveTokens: 1_000_000,
      };
}

/** `512 MiB`, `16 GiB`: whole numbers only. */
export function sizeText(bytes: number): string {
  return bytes % GIB === 0 ? `${bytes / GIB} GiB` : `${bytes / MIB} MiB`;
}
