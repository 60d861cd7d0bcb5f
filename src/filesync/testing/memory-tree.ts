/**
 * A directory tree in memory for unit tests: a source and a target in one, without time and without chance.
 *
 * Always holds: nothing happens by itself; events are those that a test hands over. `before` is asked ahead of each call, so
 * that a test may hold it up or let it fail; `refuse` lets operations on a path fail at the target.
 */
import { digest128 } from "../../base/digest.ts";
import { RopewalkError } from "../../base/errors.ts";
import type {
  ApplyResult,
  FileAttributes,
  FileFailure,
  HashRequest,
  PackedPath,
  PackRequest,
  PackResult,
  ScannedDirectory,
  ScanRequest,
  ScanResult,
  SourceFile,
  SourceTree,
  TargetFile,
  TargetTree,
  TreeEvent,
  TreePath,
  TreeWatch,
  WalkRequest,
  WalkResult,
} from "../../ports/mod.ts";
import {
  BundleWriter,
  ListingWriter,
  linkHash,
  type Operation,
  readBundle,
  readOperation,
} from "../../wire/filesync/mod.ts";
import { lastName, parentPath } from "../tree-path.ts";
import { MemoryFiles, type MemoryInode } from "./memory-files.ts";

export type TreeCall =
  | "walk"
  | "scan"
  | "stat"
  | "pack"
  | "open"
  | "read"
  | "apply"
  | "begin"
  | "write"
  | "keep"
  | "commit"
  | "hashes"
  | "sync"
  | "watch";

export class MemoryTree extends MemoryFiles implements SourceTree, TargetTree {
  /** What was asked, in its order: `scan a b`, `apply`, `write 0 5`. */
  readonly calls: string[] = [];
  /** The operations that were carried out. */
  readonly applied: Operation[] = [];
  readonly refuse = new Map<TreePath, string>();
  /** Directories that cannot be read. */
  readonly unreadable = new Map<TreePath, string>();
  readonly unwatched: number[] = [];
  before: (call: TreeCall, path: TreePath) => Promise<void> | void = () => undefined;
  /** What a scan or walk found is handed over only then. */
  afterScan: (request: ScanRequest) => Promise<void> | void = () => undefined;
  openFiles = 0;
  isClosed = false;
  drained: () => Promise<void> = () => Promise.resolve();
  readonly #watches = new Map<MemoryInode, number>();
  #listener: ((events: readonly TreeEvent[]) => void) | undefined;
  #watch = 0;

  // ---- what a test says and asks ----

  /** The number of its watch; undefined: it has none. */
  watchOf(path: TreePath): number | undefined {
    return this.#watches.get(this.nodes.get(path)!);
  }

  /** Another group of watches has it from now on, or nobody. */
  forgetWatch(path: TreePath): void {
    this.#watches.delete(this.nodes.get(path)!);
  }

  emit(...events: (Partial<TreeEvent> & Pick<TreeEvent, "kind">)[]): void {
    this.#listener?.(
      events.map((event) => ({ watch: -1, name: "", isDirectory: false, cookie: 0, ...event })),
    );
  }

  /** An event of a name, by the path as it is called now. */
  happened(kind: TreeEvent["kind"], path: TreePath, more: Partial<TreeEvent> = {}): void {
    this.emit({ kind, watch: this.watchOf(parentPath(path))!, name: lastName(path), ...more });
  }

  // ---- both ports ----

  async root(): Promise<FileAttributes> {
    return this.attributesOf(this.nodes.get("")!);
  }

  async walk({ paths, excludes }: WalkRequest): Promise<WalkResult> {
    const request = { paths, excludes, withListings: false };
    const watches = new Map<TreePath, number>();
    const { directories, failures } = await this.#scanned("walk", request, (path) => {
      const directory = this.nodes.get(path)!;
      const watch = this.#watches.get(directory) ?? ++this.#watch;
      this.#watches.set(directory, watch);
      watches.set(path, watch);
    });
    const walked = directories.map(({ path, directories: inside }) => ({
      path,
      watch: watches.get(path)!,
      directories: inside,
    }));
    return { directories: walked, failures };
  }

  scan(request: ScanRequest): Promise<ScanResult> {
    return this.#scanned("scan", request);
  }

  async #scanned(
    call: "scan" | "walk",
    request: ScanRequest,
    reading: (path: TreePath) => void = () => undefined,
  ): Promise<ScanResult> {
    this.calls.push(`${call} ${request.paths.join(" ")}`);
    for (const path of request.paths) await this.before(call, path);
    const directories: ScannedDirectory[] = [];
    const failures: FileFailure[] = [];
    for (const path of request.paths) {
      const errno = this.unreadable.get(path) ?? this.#noDirectory(path);
      if (errno === undefined) {
        reading(path);
        directories.push(this.#scan(path, request));
      } else failures.push({ path, errno, doing: "open" });
    }
    await this.afterScan(request);
    return { directories, failures };
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    this.calls.push(`stat ${paths.join(" ")}`);
    await this.before("stat", paths[0] ?? "");
    return paths.map((path) => {
      const inode = this.nodes.get(path);
      return inode && this.attributesOf(inode);
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #noDirectory(path: TreePath): string | undefined {
    const kind = this.nodes.get(path)?.kind;
    if (kind === undefined) return "ENOENT";
    return kind === "directory" ? undefined : "ENOTDIR";
  }

  #scan(path: TreePath, { withListings, excludes }: ScanRequest): ScannedDirectory {
    const directory = this.nodes.get(path)!;
    const patterns = excludes.patterns.map((pattern) => new RegExp(pattern));
    const writer = new ListingWriter();
    for (const [each, inode] of this.nodes) {
      if (each === "" || parentPath(each) !== path || patterns.some((pattern) => pattern.test(each)))
        continue;
      const hash = inode.kind === "symlink" ? linkHash(inode.target) : 0;
      writer.add({ name: lastName(each), attributes: this.attributesOf(inode), linkHash: hash });
    }
    const { listing, ...finished } = writer.finish();
    return {
      path,
      attributes: this.attributesOf(directory),
      ...finished,
      listing: withListings ? listing : undefined,
    };
  }

  // ---- the source ----

  async watch(listener: (events: readonly TreeEvent[]) => void): Promise<TreeWatch> {
    await this.before("watch", "");
    this.#listener = listener;
    return {
      drained: () => this.drained(),
      remove: (watches) => {
        this.unwatched.push(...watches);
        for (const [inode, watch] of this.#watches) if (watches.includes(watch)) this.#watches.delete(inode);
      },
      close: async () => {
        this.#listener = undefined;
      },
    };
  }

  async pack({ paths, targetPaths, inlineBytesMax, bundleBytesMax, what }: PackRequest): Promise<PackResult> {
    this.calls.push(`pack ${paths.join(" ")}`);
    const writer = new BundleWriter(bundleBytesMax);
    const packed: PackedPath[] = [];
    const failures: FileFailure[] = [];
    let taken = 0;
    for (const [index, path] of paths.entries()) {
      await this.before("pack", path);
      const inode = this.nodes.get(path);
      const errno = this.unreadable.get(path) ?? (inode === undefined ? "ENOENT" : undefined);
      if (inode === undefined || errno !== undefined) failures.push({ path, errno: errno!, doing: "open" });
      else {
        const attributes = this.attributesOf(inode);
        const isLarge = what === "content" && inode.kind === "file" && inode.content.length > inlineBytesMax;
        const operation = operationOf(inode, { attributes, path: targetPaths?.[index] ?? path, what });
        if (!isLarge && !writer.add(operation)) break;
        packed.push({ path, attributes, isLarge, changedWhileRead: false });
      }
      taken += 1;
    }
    return {
      bundle: writer.take(),
      operations: writer.operations || taken - failures.length,
      taken,
      packed,
      failures,
    };
  }

  async open(path: TreePath): Promise<SourceFile> {
    this.calls.push(`open ${path}`);
    await this.before("open", path);
    const inode = this.nodes.get(path);
    if (inode?.kind !== "file") throw new RopewalkError("NOT_FOUND", `${path} is not there.`);
    if (this.unreadable.has(path)) throw new RopewalkError("PERMISSION_DENIED", `${path} may not be read.`);
    this.openFiles += 1;
    let isOpen = true;
    return {
      attributes: this.attributesOf(inode),
      extended: new Uint8Array(),
      read: async (offset, target) => {
        await this.before("read", path);
        const bytes = inode.content.subarray(offset, offset + target.length);
        target.set(bytes);
        return bytes.length;
      },
      hashes: async (request) => hashesOf(inode.content, request),
      dataAt: async (offset) => dataAt(inode.content, offset),
      now: async () => this.attributesOf(inode),
      close: async () => {
        if (isOpen) this.openFiles -= 1;
        isOpen = false;
      },
    };
  }

  // ---- the target ----

  async apply(bundle: Uint8Array): Promise<ApplyResult> {
    const operations = readBundle(new Uint8Array(bundle));
    this.calls.push(`apply ${operations.map((operation) => nameOf(operation)).join(" ")}`);
    await this.before("apply", operations[0] === undefined ? "" : nameOf(operations[0]));
    const failures: ApplyResult["failures"][number][] = [];
    for (const [number, operation] of operations.entries()) {
      const path = nameOf(operation);
      const errno =
        this.refuse.get(path) ?? this.refuse.get(`${operation.op} ${path}`) ?? this.carryOut(operation);
      if (errno === undefined) this.applied.push(operation);
      else failures.push({ path, errno, doing: operation.op, operation: number });
    }
    return { done: operations.length - failures.length, failures };
  }

  async begin(path: TreePath): Promise<TargetFile> {
    this.calls.push(`begin ${path}`);
    await this.before("begin", path);
    const old = this.nodes.get(path)?.content;
    let content = new Uint8Array();
    const put = (offset: number, bytes: Uint8Array) => {
      const grown = new Uint8Array(Math.max(content.length, offset + bytes.length));
      grown.set(content);
      grown.set(bytes, offset);
      content = grown;
    };
    this.openFiles += 1;
    const end = () => void (this.openFiles -= 1);
    return {
      write: async (offset, bytes) => {
        this.calls.push(`write ${offset} ${bytes.length}`);
        await this.before("write", path);
        put(offset, bytes);
      },
      keep: async (offset, length) => {
        this.calls.push(`keep ${offset} ${length}`);
        await this.before("keep", path);
        put(offset, old!.subarray(offset, offset + length));
      },
      commit: async (packed) => {
        end();
        await this.before("commit", path);
        const errno = this.refuse.get(path);
        if (errno !== undefined) return { path, errno, doing: "rename" };
        const operation = readOperation(packed);
        if (operation.op !== "file" || operation.path !== path) throw new Error("committed otherwise");
        const sized = new Uint8Array(operation.attributes.sizeBytes);
        sized.set(content.subarray(0, sized.length));
        this.nodes.set(path, this.described(this.make(path, "file"), operation.attributes));
        this.nodes.get(path)!.content = sized;
        return undefined;
      },
      abort: async () => end(),
    };
  }

  async hashes(path: TreePath, request: HashRequest): Promise<Uint8Array> {
    await this.before("hashes", path);
    const inode = this.nodes.get(path);
    return inode?.kind === "file" ? hashesOf(inode.content, request) : new Uint8Array();
  }

  async sync(): Promise<void> {
    this.calls.push("sync");
    await this.before("sync", "");
  }

  async freeBytes(): Promise<number> {
    return 1e9;
  }
}

/** The path that an operation is about. */
function nameOf(operation: Operation): TreePath {
  return operation.op === "rename" ? operation.to : operation.path;
}

function operationOf(
  inode: MemoryInode,
  { attributes, path, what }: { attributes: FileAttributes; path: TreePath; what: PackRequest["what"] },
): Operation {
  const described = { path, attributes, extended: new Uint8Array() };
  if (what === "attributes") return { op: "attributes", ...described };
  if (inode.kind === "directory") return { op: "makeDirectory", ...described };
  if (inode.kind === "symlink") return { op: "symlink", ...described, target: inode.target };
  if (inode.kind !== "file") return { op: "special", ...described };
  const extents = inode.content.length === 0 ? [] : [{ offset: 0, bytes: inode.content }];
  return { op: "file", ...described, extents };
}

function hashesOf(content: Uint8Array, { offset, length, blockBytes, seed }: HashRequest): Uint8Array {
  const end = Math.min(offset + length, content.length);
  const hashes: Uint8Array[] = [];
  for (let at = offset; at < end; at += blockBytes)
    hashes.push(digest128(content.subarray(at, Math.min(at + blockBytes, end)), seed));
  return Buffer.concat(hashes);
}

/** Pages of zeros are holes. */
function dataAt(content: Uint8Array, from: number): { offset: number; end: number } | undefined {
  const isHole = (at: number) => content.subarray(at, at + 4096).every((byte) => byte === 0);
  let offset = from;
  while (offset < content.length && isHole(offset)) offset += 4096 - (offset % 4096);
  if (offset >= content.length) return undefined;
  let end = offset;
  while (end < content.length && !isHole(end)) end += 4096 - (end % 4096);
  return { offset, end: Math.min(end, content.length) };
}
