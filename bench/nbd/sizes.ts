// How large and how long, for a full run and for a quick one. A quick run proves that everything works and
// shows the order of magnitude; its figures are not for the document.
import type { SuiteContext } from "../suite.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

export interface Sizes {
  /** Volume of the comparisons with the peers. */
  readonly volumeBytes: number;
  /** Volume of which a snapshot is taken under load. */
  readonly snapshotVolumeBytes: number;
  /** Volume that is overwritten while the collector runs. */
  readonly steadyVolumeBytes: number;
  /** What its pool may use, in multiples of the live data; a quick run's volume is too small for a tight one. */
  readonly pressures: readonly number[];
  /** Overwrites of that volume before anything is measured, in multiples of its size. */
  readonly ageing: number;
  readonly runtimeMs: number;
  readonly rampMs: number;
  readonly snapshots: number;
}

export function sizes({ quick }: SuiteContext): Sizes {
  return quick
    ? {
        volumeBytes: 256 * MIB,
        snapshotVolumeBytes: 256 * MIB,
        steadyVolumeBytes: GIB,
        pressures: [2],
        ageing: 0.5,
        runtimeMs: 300,
        rampMs: 0,
        snapshots: 5,
      }
    : {
        volumeBytes: 2 * GIB,
        snapshotVolumeBytes: 16 * GIB,
        steadyVolumeBytes: 4 * GIB,
        pressures: [2, 1.3],
        ageing: 1,
        runtimeMs: 4000,
        rampMs: 500,
        snapshots: 100,
      };
}
