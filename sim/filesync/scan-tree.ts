/**
 * Scans and hashes of a simulated tree, for both ends: each takes time, in which the tree changes.
 * Always holds: as with a real directory, a name that stays is listed once; one that comes, goes or is renamed meanwhile
 * may be listed or not; each entry's attributes are those of the moment at which it was looked at.
 */
import { checksum } from "../../src/base/checksum.ts";
import { digest128 } from "../../src/base/digest.ts";
import {
  type Clock,
  type FileFailure,
  type HashRequest,
  type ScannedDirectory,
  type ScanRequest,
  type ScanResult,
  sleep,
  type TreePath,
} from "../../src/ports/mod.ts";
import { ListingWriter, linkHash, OWN_PREFIX } from "../../src/wire/filesync/mod.ts";
import type { SimulatedRandom } from "../simulated-random.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import { FileError, type SimulatedTree } from "./simulated-tree.ts";

export interface TreeSurroundings {
  readonly clock: Clock;
  readonly random: SimulatedRandom;
  /** How long a call lasts at most, most of the time. */
  readonly callMsMax: number;
}

/** Some simulated time, mostly little. */
export function someTime({ clock, random, callMsMax }: TreeSurroundings): Promise<void> {
  return sleep(
    clock,
    random.chance(0.05) ? random.fraction() * 20 * callMsMax : random.fraction() * callMsMax,
  );
}

/** `reading`: told of each directory before it is read. */
export async function scanTree(
  tree: SimulatedTree,
  request: ScanRequest,
  around: TreeSurroundings & {
    readonly reading?: (path: TreePath, directory: SimulatedInode) => void;
    readonly mayFail?: boolean;
  },
): Promise<ScanResult> {
  const directories: ScannedDirectory[] = [];
  const failures: FileFailure[] = [];
  const excludes = request.excludes.patterns.map((pattern) => new RegExp(pattern));
  for (const path of request.paths) {
    if (around.random.chance(0.3)) await someTime(around);
    try {
      directories.push(
        await scanDirectory(tree, { path, excludes, withListing: request.withListings }, around),
      );
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      failures.push({ path, errno: error.errno, doing: "open" });
    }
  }
  await someTime(around);
  return { directories, failures };
}

async function scanDirectory(
  tree: SimulatedTree,
  request: { readonly path: TreePath; readonly excludes: readonly RegExp[]; readonly withListing: boolean },
  around: Parameters<typeof scanTree>[2],
): Promise<ScannedDirectory> {
  const { path, excludes, withListing } = request;
  const directory = tree.directory(path);
  around.reading?.(path, directory);
  const attributes = tree.attributes(directory);
  const writer = new ListingWriter();
  const prefix = path === "" ? "" : `${path}/`;
  const isSlow = around.random.chance(0.2);
  // A directory is read in the order of its names' hashes, a part at a time.
  const parts = isSlow ? around.random.between(2, 3) : 1;
  for (let part = 0; part < parts; part++) {
    for (const name of [...directory.entries.keys()]) {
      if (partOf(name, parts) !== part) continue;
      if (name.startsWith(OWN_PREFIX) || excludes.some((pattern) => pattern.test(prefix + name))) continue;
      if (isSlow && around.random.chance(0.1)) await someTime(around);
      const inode = directory.entries.get(name);
      if (inode === undefined) continue;
      const hash = inode.kind === "symlink" ? linkHash(inode.target) : 0;
      writer.add({ name, attributes: tree.attributes(inode), linkHash: hash });
    }
    if (isSlow) await someTime(around);
  }
  const { digest, entries, fileBytes, directories, listing } = writer.finish();
  return {
    path,
    attributes,
    digest,
    entries,
    fileBytes,
    directories,
    listing: withListing ? listing : undefined,
  };
}

function partOf(name: string, parts: number): number {
  return parts === 1 ? 0 : checksum(Buffer.from(name, "latin1")) % parts;
}

/** Ends where the content ends; the last block may be shorter. */
export function hashBlocks(
  content: Uint8Array,
  { offset, length, blockBytes, seed }: HashRequest,
): Uint8Array {
  const end = Math.min(offset + length, content.length);
  const hashes: Uint8Array[] = [];
  for (let at = offset; at < end; at += blockBytes)
    hashes.push(digest128(content.subarray(at, Math.min(at + blockBytes, end)), seed));
  return Buffer.concat(hashes);
}
