/**
 * The source's end of a simulated tree: what a daemon reads while others change it.
 *
 * Always holds: what a file's content and attributes say belongs together, or `changedWhileRead` says that it may not;
 * only a change within one tick of the clock goes unnoticed, as on a real file system, and the observer is told of it.
 */
import { assert } from "../../src/base/assert.ts";
import { RopewalkError } from "../../src/base/errors.ts";
import type {
  FileAttributes,
  FileFailure,
  HashRequest,
  PackedPath,
  PackRequest,
  PackResult,
  ScanRequest,
  ScanResult,
  SourceFile,
  SourceTree,
  TreeEvent,
  TreePath,
  TreeWatch,
  WalkRequest,
  WalkResult,
} from "../../src/ports/mod.ts";
import { BundleWriter, type Operation } from "../../src/wire/filesync/mod.ts";
import type { ContentHistory } from "./content-history.ts";
import { hashBlocks, scanTree, someTime, type TreeSurroundings } from "./scan-tree.ts";
import type { SimulatedInode } from "./simulated-inode.ts";
import { type InotifyCounts, type InotifyOptions, SimulatedInotify } from "./simulated-inotify.ts";
import { FileError, type SimulatedTree } from "./simulated-tree.ts";

const readsMax = 4;

export interface SourceTreeOptions extends TreeSurroundings {
  readonly inotify: Pick<InotifyOptions, "queueMax" | "watchesMax" | "readMsMax" | "joinChance">;
  readonly counts: InotifyCounts;
  /** Contents that were read and that the file never had at one moment. */
  readonly history: ContentHistory;
}

interface PackingState {
  readonly writer: BundleWriter;
  readonly packed: PackedPath[];
}

export class SimulatedSourceTree implements SourceTree {
  readonly #tree: SimulatedTree;
  readonly #options: SourceTreeOptions;
  #inotify: SimulatedInotify | undefined;

  constructor(tree: SimulatedTree, options: SourceTreeOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  async root(): Promise<FileAttributes> {
    await someTime(this.#options);
    return this.#tree.attributes(this.#tree.root);
  }

  async watch(listener: (events: readonly TreeEvent[]) => void): Promise<TreeWatch> {
    assert(this.#inotify === undefined, "a tree is watched once");
    await someTime(this.#options);
    const { clock, random, inotify, counts } = this.#options;
    this.#inotify = new SimulatedInotify(
      this.#tree,
      listener,
      { ...inotify, clock, random, groups: 8 },
      counts,
    );
    return this.#inotify;
  }

  async walk({ paths, excludes }: WalkRequest): Promise<WalkResult> {
    const inotify = this.#inotify;
    assert(inotify !== undefined, "watches need a listener first");
    const watches = new Map<TreePath, number>();
    const reading = (path: TreePath, directory: SimulatedInode) =>
      watches.set(path, inotify.add(path, directory));
    const request = { paths, excludes, withListings: false };
    const { directories, failures } = await scanTree(this.#tree, request, { ...this.#options, reading });
    return {
      directories: directories.map(({ path, directories: inside }) => ({
        path,
        watch: watches.get(path)!,
        directories: inside,
      })),
      failures,
    };
  }

  scan(request: ScanRequest): Promise<ScanResult> {
    return scanTree(this.#tree, request, this.#options);
  }

  async stat(paths: readonly TreePath[]): Promise<readonly (FileAttributes | undefined)[]> {
    const all: (FileAttributes | undefined)[] = [];
    for (const path of paths) {
      if (this.#options.random.chance(0.1)) await someTime(this.#options);
      const inode = this.#tree.find(path);
      all.push(inode === undefined ? undefined : this.#tree.attributes(inode));
    }
    await someTime(this.#options);
    return all;
  }

  async pack(request: PackRequest): Promise<PackResult> {
    const writer = new BundleWriter(request.bundleBytesMax);
    const state: PackingState = { writer, packed: [] };
    const failures: FileFailure[] = [];
    let taken = 0;
    for (const path of request.paths) {
      if (this.#options.random.chance(0.3)) await someTime(this.#options);
      try {
        if (!(await this.#packPath(request, taken, state))) break;
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        failures.push({ path, errno: error.errno === "ENOTDIR" ? "ENOENT" : error.errno, doing: "open" });
      }
      taken++;
    }
    await someTime(this.#options);
    const { operations } = writer;
    return { bundle: writer.take(), operations, taken, packed: state.packed, failures };
  }

  async open(path: TreePath): Promise<SourceFile> {
    await someTime(this.#options);
    const inode = this.#tree.find(path);
    if (inode?.kind !== "file") throw new RopewalkError("NOT_FOUND", `${path} is not there any more.`);
    return new SimulatedSourceFile(this.#tree, inode, this.#options);
  }

  close(): Promise<void> {
    return this.#inotify?.close() ?? Promise.resolve();
  }

  /** False: it does not fit, and is to come in the next bundle. */
  #packPath(request: PackRequest, index: number, state: PackingState): boolean | Promise<boolean> {
    const path = request.paths[index]!;
    const inode = this.#tree.at(path);
    const to = request.targetPaths?.[index] ?? path;
    if (inode.kind === "file" && request.what === "content")
      return this.#packFile(inode, { path, to, inlineBytesMax: request.inlineBytesMax }, state);
    const attributes = this.#tree.attributes(inode);
    const described = { path: to, attributes, extended: inode.packedExtended };
    let operation: Operation;
    if (request.what === "attributes") operation = { op: "attributes", ...described };
    else if (inode.isDirectory) operation = { op: "makeDirectory", ...described };
    else if (inode.kind === "symlink") operation = { op: "symlink", ...described, target: inode.target };
    else operation = { op: "special", ...described };
    if (!state.writer.add(operation)) return false;
    state.packed.push({ path, attributes, isLarge: false, changedWhileRead: false });
    return true;
  }

  async #packFile(
    inode: SimulatedInode,
    file: { readonly path: TreePath; readonly to: TreePath; readonly inlineBytesMax: number },
    { writer, packed }: PackingState,
  ): Promise<boolean> {
    const { path, to } = file;
    const isSlow = this.#options.random.chance(0.3);
    for (let reads = 1; ; reads++) {
      const before = this.#tree.attributes(inode);
      const { version } = inode;
      const isLarge = before.sizeBytes > file.inlineBytesMax;
      const memory = isLarge
        ? undefined
        : writer.beginFile(to, before, inode.packedExtended, before.sizeBytes);
      if (memory === undefined) {
        if (!isLarge && writer.operations > 0) return false;
        packed.push({ path, attributes: before, isLarge: true, changedWhileRead: false });
        return true;
      }
      const length = await this.#readInto(memory, inode, { inParts: isSlow });
      const after = this.#tree.attributes(inode);
      const isUnchanged = isSameMoment(before, after);
      if (!isUnchanged && reads < readsMax) {
        writer.cancelFile();
        continue;
      }
      if (inode.version !== version) {
        // What lies behind the end reads as zeros.
        const content = new Uint8Array(before.sizeBytes);
        content.set(memory.subarray(0, length));
        this.#options.history.wasTorn(content);
      }
      writer.endFile(before, length === 0 ? [] : [{ offset: 0, length }]);
      packed.push({ path, attributes: before, isLarge: false, changedWhileRead: !isUnchanged });
      return true;
    }
  }

  async #readInto(
    memory: Uint8Array,
    inode: SimulatedInode,
    { inParts }: { readonly inParts: boolean },
  ): Promise<number> {
    const { random } = this.#options;
    const half = inParts ? random.between(0, memory.length) : memory.length;
    const first = inode.content.subarray(0, half);
    memory.set(first);
    if (half === memory.length || first.length < half) return first.length;
    await someTime(this.#options);
    const second = inode.content.subarray(half, memory.length);
    memory.set(second, half);
    return half + second.length;
  }
}

class SimulatedSourceFile implements SourceFile {
  readonly attributes: FileAttributes;
  readonly extended: Uint8Array;
  readonly #tree: SimulatedTree;
  readonly #inode: SimulatedInode;
  readonly #around: SourceTreeOptions;
  readonly #version: number;

  constructor(tree: SimulatedTree, inode: SimulatedInode, around: SourceTreeOptions) {
    this.#tree = tree;
    this.#inode = inode;
    this.#around = around;
    this.#version = inode.version;
    this.attributes = tree.attributes(inode);
    this.extended = inode.packedExtended;
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    await this.#someTime();
    const bytes = this.#inode.content.subarray(offset, offset + target.length);
    target.set(bytes);
    return bytes.length;
  }

  async hashes(request: HashRequest): Promise<Uint8Array> {
    await this.#someTime();
    return hashBlocks(this.#inode.content, request);
  }

  async dataAt(offset: number): Promise<{ offset: number; end: number } | undefined> {
    await this.#someTime();
    const { length } = this.#inode.content;
    return offset < length ? { offset, end: length } : undefined;
  }

  async now(): Promise<FileAttributes> {
    await someTime(this.#around);
    return this.#tree.attributes(this.#inode);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #someTime(): Promise<void> {
    await someTime(this.#around);
    if (this.#inode.version !== this.#version) this.#around.history.wasTornOfSize(this.attributes.sizeBytes);
  }
}

function isSameMoment(one: FileAttributes, other: FileAttributes): boolean {
  return (
    one.changedSeconds === other.changedSeconds &&
    one.changedNanoseconds === other.changedNanoseconds &&
    one.modifiedSeconds === other.modifiedSeconds &&
    one.modifiedNanoseconds === other.modifiedNanoseconds &&
    one.sizeBytes === other.sizeBytes
  );
}
