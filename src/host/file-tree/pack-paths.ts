/**
 * Packs paths into a bundle: for each the operation that makes the target's path what the source's is now.
 *
 * Always holds: paths are taken in their order until the bundle is full; each is packed, large, or a failure. What a
 * file's content and attributes say belongs together, unless `changedWhileRead`: it is read again, at most 3 times,
 * when its size, mtime, ctime or inode is another after the read. Nothing but a regular file is ever read.
 */
import { constants } from "node:fs";
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, FileFailure, PackRequest, PackResult, TreePath } from "../../ports/mod.ts";
import { BundleWriter, EXTENTS_MAX, type Operation } from "../../wire/filesync/mod.ts";
import { AttributesTable } from "./attributes-table.ts";
import { EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENXIO, EPERM, errnoName } from "./errno-names.ts";
import { type FileExtent, readData, readWhole } from "./file-content.ts";
import { lastStatus } from "./last-status.ts";
import { type OpenedRoot, type RootReference, withRoot } from "./opened-root.ts";
import { extendedAt, extendedHashOf, extendedOf } from "./read-extended.ts";
import { isAbsent } from "./stat-paths.ts";
import type { Handed } from "./thread-jobs.ts";
import { OPEN_FILE, treeCalls } from "./tree-calls.ts";

const READS_MAX = 4;
const { O_NOATIME } = constants;
const Flag = { large: 1, changed: 2 } as const;

export interface PackJob extends PackRequest {
  readonly root: RootReference;
}

/** A result in few buffers, which go from thread to thread uncopied. */
export interface PackedColumns {
  readonly bundle: Uint8Array<ArrayBuffer>;
  readonly operations: number;
  readonly taken: number;
  readonly attributes: Float64Array<ArrayBuffer>;
  /** Of each row of `attributes`: the number of its path, and flags. */
  readonly rows: Uint32Array<ArrayBuffer>;
  readonly failures: readonly FileFailure[];
}

/** What came of one path. */
type Outcome = "taken" | "full";

/** Kept by the thread from job to job: its memory is some MiB. */
let writer: { readonly bytesMax: number; readonly bundle: BundleWriter } | undefined;

function isSame(before: FileAttributes): boolean {
  return (
    before.inode === lastStatus.inode &&
    before.changedNanoseconds === lastStatus.changedNanoseconds &&
    before.changedSeconds === lastStatus.changedSeconds &&
    before.modifiedNanoseconds === lastStatus.modifiedNanoseconds &&
    before.modifiedSeconds === lastStatus.modifiedSeconds &&
    before.sizeBytes === lastStatus.sizeBytes
  );
}

/** Without a new atime, where the file's owner or root reads; others may not ask for that. */
export function openForReading(directory: number, name: string): number {
  const fd = treeCalls.openat(directory, name, OPEN_FILE | O_NOATIME);
  return fd === -EPERM ? treeCalls.openat(directory, name, OPEN_FILE) : fd;
}

class Packing {
  readonly #root: OpenedRoot;
  readonly #job: PackJob;
  readonly #bundle: BundleWriter;
  readonly #attributes: FileAttributes[] = [];
  readonly #rows: number[] = [];
  readonly #failures: FileFailure[] = [];
  #index = 0;

  constructor(root: OpenedRoot, job: PackJob, bundle: BundleWriter) {
    this.#root = root;
    this.#job = job;
    this.#bundle = bundle;
  }

  run(): Handed<PackedColumns> {
    const { paths } = this.#job;
    while (this.#index < paths.length && this.#take(paths[this.#index]!) === "taken") this.#index += 1;
    const operations = this.#bundle.operations;
    const bundle = this.#bundle.take() as Uint8Array<ArrayBuffer>;
    const attributes = AttributesTable.ofRows(this.#attributes).numbers;
    const rows = Uint32Array.from(this.#rows);
    return {
      result: { bundle, operations, taken: this.#index, attributes, rows, failures: this.#failures },
      transfer: [bundle.buffer, attributes.buffer, rows.buffer],
    };
  }

  #take(path: TreePath): Outcome {
    const located = this.#root.locate(path);
    if (located < 0) return this.#fail(located, "open");
    const found = treeCalls.statat(this.#root.parent, this.#root.name);
    if (found < 0) return this.#fail(found, "statx");
    try {
      if (lastStatus.kind === "file" && this.#job.what === "content") return this.#takeFile();
      return this.#takeOther();
    } catch (error) {
      // A path that is too long for the wire; names are checked there.
      if (error instanceof RopewalkError && error.code === "INVALID_ARGUMENT")
        return this.#fail(-ENAMETOOLONG, "pack");
      throw error;
    }
  }

  get #target(): TreePath {
    return this.#job.targetPaths?.[this.#index] ?? this.#job.paths[this.#index]!;
  }

  /** A regular file; `lastStatus` is its. */
  #takeFile(): Outcome {
    const { parent, name } = this.#root;
    if (lastStatus.sizeBytes > this.#job.inlineBytesMax)
      return this.#packed(lastStatus.attributes(extendedHashOf(extendedAt(parent, name))), Flag.large);
    const fd = openForReading(parent, name);
    if (fd === -ELOOP || fd === -ENXIO) return this.#takeChanged();
    if (fd < 0) return this.#fail(fd, "open");
    try {
      return this.#readFile(fd);
    } finally {
      treeCalls.close(fd);
    }
  }

  /** The name was a file a moment ago, and is something else now. */
  #takeChanged(): Outcome {
    const found = treeCalls.statat(this.#root.parent, this.#root.name);
    if (found < 0) return this.#fail(found, "statx");
    return lastStatus.kind === "file" ? this.#fail(-ENOENT, "open") : this.#takeOther();
  }

  /** Until nothing changed during a read, or the last one; `lastStatus` is the file's. */
  #readFile(fd: number): Outcome {
    for (let reads = 1; ; reads += 1) {
      const isSparse = lastStatus.allocatedBytes < lastStatus.sizeBytes;
      let before = lastStatus.attributes(0);
      const extended = extendedOf(fd);
      if (typeof extended === "number") return this.#fail(extended, "read the extended attributes of");
      if (extended.length > 0) before = { ...before, extendedHash: extendedHashOf(extended) };
      if (before.sizeBytes > this.#job.inlineBytesMax) return this.#packed(before, Flag.large);
      const memory = this.#bundle.beginFile(this.#target, before, extended, before.sizeBytes);
      // Alone in a bundle and yet too long: it goes in parts.
      if (memory === undefined)
        return this.#bundle.operations > 0 ? "full" : this.#packed(before, Flag.large);
      const extents = isSparse ? readData(fd, memory, EXTENTS_MAX) : readWhole(fd, memory);
      const result = treeCalls.fstat(fd);
      const isUnchanged = result === 0 && isSame(before);
      const isLast = isUnchanged || result < 0 || reads === READS_MAX;
      if (isLast && result === 0 && typeof extents !== "number")
        return this.#endFile(before, extents, isUnchanged ? 0 : Flag.changed);
      this.#bundle.cancelFile();
      if (result < 0) return this.#fail(result, "statx");
      if (lastStatus.kind !== "file") return this.#takeChanged();
      if (isLast && typeof extents === "number") return this.#fail(extents, "read");
    }
  }

  #endFile(attributes: FileAttributes, extents: readonly FileExtent[], flags: number): Outcome {
    this.#bundle.endFile(attributes, extents);
    return this.#packed(attributes, flags);
  }

  /** Anything but a file's content; `lastStatus` is its. */
  #takeOther(): Outcome {
    const { parent, name } = this.#root;
    const attributes = lastStatus.attributes(0);
    const extended = extendedAt(parent, name);
    if (typeof extended === "number") return this.#fail(extended, "read the extended attributes of");
    const described = { path: this.#target, attributes, extended };
    let operation: Operation;
    if (this.#job.what === "attributes") operation = { op: "attributes", ...described };
    else if (attributes.kind === "directory") operation = { op: "makeDirectory", ...described };
    else if (attributes.kind === "symlink") {
      const target = treeCalls.readlinkat(parent, name);
      // EINVAL: it became something else; an event follows.
      if (typeof target === "number") return this.#fail(target === -EINVAL ? -ENOENT : target, "readlink");
      operation = { op: "symlink", ...described, target };
    } else operation = { op: "special", ...described };
    if (this.#bundle.add(operation))
      return this.#packed({ ...attributes, extendedHash: extendedHashOf(extended) }, 0);
    return this.#bundle.operations > 0 ? "full" : this.#fail(-ENAMETOOLONG, "pack");
  }

  #packed(attributes: FileAttributes, flags: number): Outcome {
    this.#attributes.push(attributes);
    this.#rows.push(this.#index, flags);
    return "taken";
  }

  #fail(result: number, doing: string): Outcome {
    const errno = errnoName(result !== -ENAMETOOLONG && isAbsent(result) ? -ENOENT : result);
    this.#failures.push({ path: this.#job.paths[this.#index]!, errno, doing });
    return "taken";
  }
}

/** The handler of a tree thread. */
export function packPaths(job: PackJob): Handed<PackedColumns> {
  if (writer?.bytesMax !== job.bundleBytesMax)
    writer = { bytesMax: job.bundleBytesMax, bundle: new BundleWriter(job.bundleBytesMax) };
  const { bundle } = writer;
  try {
    return withRoot(job.root, (root) => new Packing(root, job, bundle).run());
  } catch (error) {
    // What is half in it must not come into the next one.
    writer = undefined;
    throw error;
  }
}

/** On the thread that asked. */
export function packResultOf(columns: PackedColumns, paths: readonly TreePath[]): PackResult {
  const attributes = new AttributesTable(columns.attributes);
  const packed: PackResult["packed"][number][] = [];
  for (let row = 0; row < attributes.length; row += 1) {
    const flags = columns.rows[2 * row + 1]!;
    packed.push({
      path: paths[columns.rows[2 * row]!]!,
      attributes: attributes.row(row)!,
      isLarge: (flags & Flag.large) !== 0,
      changedWhileRead: (flags & Flag.changed) !== 0,
    });
  }
  const { bundle, operations, taken, failures } = columns;
  return { bundle, operations, taken, packed, failures };
}
