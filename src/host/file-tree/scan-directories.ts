/**
 * Reads directories: what is in each, as a listing and its digest.
 *
 * Always holds: a directory of which an entry cannot be looked at is a failure as a whole: a listing without the entry
 * would look like its removal. Own names and excluded paths are passed over; of a target's, temporaries of dead sessions
 * are removed first.
 */
import { RopewalkError } from "../../base/errors.ts";
import type { FileAttributes, FileFailure, ScanResult, TreePath } from "../../ports/mod.ts";
import { type ListingSummary, ListingWriter, linkHash } from "../../wire/filesync/mod.ts";
import { AttributesTable } from "./attributes-table.ts";
import { DirectoryEntries } from "./directory-entries.ts";
import { E2BIG, ENOENT, errnoName } from "./errno-names.ts";
import { KnownDirectories } from "./known-directories.ts";
import { type FileStatus, lastStatus } from "./last-status.ts";
import { openDirectory } from "./open-directory.ts";
import { type OpenedRoot, type RootReference, withRoot } from "./opened-root.ts";
import { PassedNames } from "./passed-names.ts";
import { extendedAt, extendedHashOf, extendedOf, hasTimedChanges } from "./read-extended.ts";
import { removeLeftoverNames } from "./remove-tree.ts";
import type { Handed } from "./thread-jobs.ts";
import { treeCalls } from "./tree-calls.ts";

const DIGEST_BYTES = 16;
/** Numbers of a directory: entries, bytes of files, bytes of the listing (-1: not asked for). */
const COLUMNS = 3;

export interface ScanJob {
  readonly root: RootReference;
  readonly paths: readonly TreePath[];
  readonly withListings: boolean;
  /** Whether extended attributes are looked at. */
  readonly withExtended: boolean;
  readonly patterns: readonly string[];
  /** Of `KnownDirectories`. */
  readonly known: SharedArrayBuffer;
  /** Of a target: sessions whose temporaries are in use. */
  readonly live?: readonly string[];
}

/** A result in few buffers, which go from thread to thread uncopied. */
export interface ScannedColumns {
  readonly paths: readonly TreePath[];
  readonly attributes: Float64Array<ArrayBuffer>;
  readonly numbers: Float64Array<ArrayBuffer>;
  /** Digest and listing of each directory, one behind the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly directories: readonly (readonly string[])[];
  readonly failures: readonly FileFailure[];
}

interface Scanned {
  readonly path: TreePath;
  readonly attributes: FileAttributes;
  readonly finished: ListingSummary & { readonly listing?: Uint8Array };
}

/** No extended attributes. */
const NOTHING = new Uint8Array(0);

/** Of this thread: jobs run one after the other. */
const entries = new DirectoryEntries();

class Scan {
  readonly #root: OpenedRoot;
  readonly #job: ScanJob;
  readonly #passing: PassedNames;
  readonly #known: KnownDirectories;
  readonly #writer = new ListingWriter();
  /** Whether the listing of the directory under way may be remembered. */
  #isTimed = true;
  readonly done: Scanned[] = [];
  readonly failures: FileFailure[] = [];

  constructor(root: OpenedRoot, job: ScanJob) {
    this.#root = root;
    this.#job = job;
    this.#passing = new PassedNames(job.patterns);
    this.#known = new KnownDirectories(job.known, job.patterns);
  }

  directory(path: TreePath): void {
    const fd = openDirectory(this.#root.fd, path);
    if (fd < 0) {
      this.#fail(path, errnoName(fd), "open");
      return;
    }
    let hasRemoved: boolean;
    try {
      hasRemoved = this.#read(path, fd);
    } finally {
      treeCalls.close(fd);
    }
    if (hasRemoved) this.directory(path);
  }

  /** Whether leftovers were removed from it: it is to be read anew. */
  #read(path: TreePath, fd: number): boolean {
    const { live, withListings } = this.#job;
    let failed = treeCalls.fstat(fd);
    if (failed < 0) return this.#fail(path, errnoName(failed), "statx");
    const attributes = lastStatus.attributes(extendedHashOf(extendedOf(fd)));
    failed = entries.readNames(fd);
    if (failed < 0) return this.#fail(path, errnoName(failed), "getdents64");
    this.#passing.in(path);
    failed = entries.look(fd, attributes.device, this.#passing);
    if (live !== undefined && removeLeftoverNames(fd, this.#passing.own, live) > 0) return true;
    if (failed < 0) return this.#fail(path, errnoName(failed), "statx");

    const key = this.#known.keyOf(fd, entries);
    const digest = key === undefined || withListings ? undefined : this.#known.find(key);
    if (digest === undefined) return this.#list(fd, { path, attributes, key });
    const { count, fileBytes, directories } = entries;
    this.done.push({ path, attributes, finished: { digest, entries: count, fileBytes, directories } });
    return false;
  }

  #list(fd: number, directory: Omit<Scanned, "finished"> & { key: Uint8Array | undefined }): false {
    const { path, attributes, key } = directory;
    this.#isTimed = this.#job.withExtended;
    for (let entry = 0; entry < entries.count; entry += 1) {
      const failed = this.#add(fd, entries.name(entry), entries.status(entry));
      if (failed === 0) continue;
      this.#writer.clear();
      return this.#fail(path, errnoName(failed), "statx");
    }
    try {
      const finished = this.#job.withListings ? this.#writer.finish() : this.#writer.finishSummary();
      if (key !== undefined && this.#isTimed) this.#known.remember(key, finished.digest);
      this.done.push({ path, attributes, finished });
    } catch (error) {
      if (!(error instanceof RopewalkError)) throw error;
      this.#fail(path, errnoName(-E2BIG), "list");
    }
    return false;
  }

  /** 0, or the negated errno of an entry that is there and cannot be looked at. */
  #add(fd: number, name: string, status: FileStatus): number {
    const extended = this.#job.withExtended ? extendedAt(fd, name) : NOTHING;
    this.#isTimed &&= hasTimedChanges(extended);
    let target: string | number = 0;
    if (status.kind === "symlink") {
      target = treeCalls.readlinkat(fd, name);
      // It became something else or is gone: an event follows, and what is listed is as good as any moment's.
      if (typeof target === "number") return this.#addAgain(fd, name);
    }
    const attributes = status.attributes(extendedHashOf(extended));
    this.#writer.add({ name, attributes, linkHash: typeof target === "string" ? linkHash(target) : 0 });
    return 0;
  }

  /** What is listed then is not what was looked at, so it may not be remembered. */
  #addAgain(fd: number, name: string): number {
    this.#isTimed = false;
    const result = treeCalls.statat(fd, name);
    if (result === -ENOENT) return 0;
    return result < 0 ? result : this.#add(fd, name, lastStatus);
  }

  #fail(path: TreePath, errno: string, doing: string): false {
    this.failures.push({ path, errno, doing });
    return false;
  }
}

/** The handler of a tree thread. */
export function scanDirectories(job: ScanJob): Handed<ScannedColumns> {
  return withRoot(job.root, (root) => {
    const scan = new Scan(root, job);
    for (const path of job.paths) scan.directory(path);
    return toColumns(scan.done, scan.failures, job.withListings);
  });
}

function toColumns(
  done: readonly Scanned[],
  failures: readonly FileFailure[],
  withListings: boolean,
): Handed<ScannedColumns> {
  const attributes = AttributesTable.ofRows(done.map((scanned) => scanned.attributes)).numbers;
  const numbers = new Float64Array(COLUMNS * done.length);
  let length = 0;
  for (const { finished } of done) length += DIGEST_BYTES + (withListings ? finished.listing!.length : 0);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const [row, { finished }] of done.entries()) {
    numbers.set(
      [finished.entries, finished.fileBytes, withListings ? finished.listing!.length : -1],
      COLUMNS * row,
    );
    bytes.set(finished.digest, at);
    at += DIGEST_BYTES;
    if (!withListings) continue;
    bytes.set(finished.listing!, at);
    at += finished.listing!.length;
  }
  const paths = done.map((scanned) => scanned.path);
  const directories = done.map((scanned) => scanned.finished.directories);
  return {
    result: { paths, attributes, numbers, bytes, directories, failures },
    transfer: [attributes.buffer, numbers.buffer, bytes.buffer],
  };
}

/** The results of several jobs, one behind the other; on the thread that asked. */
export function scanResultOf(parts: readonly ScannedColumns[]): ScanResult {
  const directories: ScanResult["directories"][number][] = [];
  for (const part of parts) {
    const attributes = new AttributesTable(part.attributes);
    let at = 0;
    for (const [row, path] of part.paths.entries()) {
      const [entries, fileBytes, listingBytes] = part.numbers.subarray(COLUMNS * row);
      // The digest is copied: it is kept longer than the listings.
      const digest = part.bytes.slice(at, (at += DIGEST_BYTES));
      const listing = listingBytes! < 0 ? undefined : part.bytes.subarray(at, (at += listingBytes!));
      directories.push({
        path,
        attributes: attributes.row(row)!,
        digest,
        entries: entries!,
        fileBytes: fileBytes!,
        directories: part.directories[row]!,
        listing,
      });
    }
  }
  return { directories, failures: parts.flatMap((part) => part.failures) };
}
