// How large and how long, for a full run and for a quick one, which proves that everything works.
import type { SuiteContext } from "../suite.ts";

const MIB = 2 ** 20;

export interface IscsiSizes {
  readonly volumeBytes: number;
  /** Of iscsi-perf, which takes whole seconds. */
  readonly readSeconds: number;
  /** Requests of 4 KiB in one run of qemu-img bench. */
  readonly smallRequests: number;
  /** Of 128 KiB. */
  readonly largeRequests: number;
}

export function iscsiSizes({ quick }: SuiteContext): IscsiSizes {
  return quick
    ? { volumeBytes: 256 * MIB, readSeconds: 1, smallRequests: 5_000, largeRequests: 2_000 }
    : { volumeBytes: 2048 * MIB, readSeconds: 5, smallRequests: 250_000, largeRequests: 32_768 };
}
