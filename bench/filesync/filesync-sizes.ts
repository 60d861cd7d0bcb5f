// How large and how long, for a full run and for a quick one, which proves that everything works; the limits are meant for
// the full sizes.
import type { SuiteContext } from "../suite.ts";
import type { ManyFiles } from "./many-files.ts";

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

export interface FilesyncSizes {
  /** Of the first copy. */
  readonly smallFiles: ManyFiles;
  readonly largeFiles: { readonly count: number; readonly bytes: number };
  /** The tree that nothing, or little, changes in. */
  readonly tree: ManyFiles;
  readonly live: { readonly perSecond: number; readonly seconds: number };
  /** What is copied for the first time while live changes go on. */
  readonly bulk: { readonly smallFiles: ManyFiles; readonly largeBytes: number };
  readonly renamed: ManyFiles;
  readonly changedFileBytes: number;
  /** Of the first copy over the delayed link. */
  readonly linkFiles: ManyFiles;
}

export function filesyncSizes({ quick }: SuiteContext): FilesyncSizes {
  return quick
    ? {
        smallFiles: { directories: 5, filesEach: 200, bytes: 4 * KIB },
        largeFiles: { count: 2, bytes: 32 * MIB },
        tree: { directories: 10, filesEach: 250, bytes: 128 },
        live: { perSecond: 100, seconds: 1 },
        bulk: { smallFiles: { directories: 5, filesEach: 400, bytes: 4 * KIB }, largeBytes: 128 * MIB },
        renamed: { directories: 10, filesEach: 100, bytes: 16 },
        changedFileBytes: 64 * MIB,
        linkFiles: { directories: 4, filesEach: 100, bytes: 4 * KIB },
      }
    : {
        smallFiles: { directories: 1000, filesEach: 200, bytes: 4 * KIB },
        largeFiles: { count: 4, bytes: 2 * GIB },
        tree: { directories: 1000, filesEach: 500, bytes: 128 },
        live: { perSecond: 100, seconds: 30 },
        bulk: { smallFiles: { directories: 100, filesEach: 1000, bytes: 4 * KIB }, largeBytes: 4 * GIB },
        renamed: { directories: 100, filesEach: 1000, bytes: 16 },
        changedFileBytes: 4 * GIB,
        linkFiles: { directories: 100, filesEach: 200, bytes: 4 * KIB },
      };
}

export function fileCount({ directories, filesEach }: ManyFiles): number {
  return directories * filesEach;
}

/** `200,000 × 4 KiB`. */
export function filesText(files: ManyFiles): string {
  return `${countText(fileCount(files))} × ${sizeText(files.bytes)}`;
}

export function countText(count: number): string {
  return count.toLocaleString("en-US");
}

/** `512 MiB`, `4 KiB`: whole numbers only. */
export function sizeText(bytes: number): string {
  for (const [unit, name] of [
    [GIB, "GiB"],
    [MIB, "MiB"],
    [KIB, "KiB"],
  ] as const)
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit} ${name}`;
  return `${bytes} B`;
}
